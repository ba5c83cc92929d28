"""Breadth-first search in plain numpy: the specification of kernels/traversal.py. Imports only numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def khop(indptr: ArrayLike, indices: ArrayLike, seeds: ArrayLike, hops: int) -> NDArray[np.int32]:
    indptr, indices, seeds = np.asarray(indptr), np.asarray(indices), np.asarray(seeds)
    distance = np.full(len(indptr) - 1, -1, np.int32)
    distance[seeds] = 0
    receivers = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    for hop in range(1, hops + 1):
        senders = indices[distance[receivers] == hop - 1]
        fresh = senders[distance[senders] == -1]
        if len(fresh) == 0:
            break
        distance[fresh] = hop
    return distance
