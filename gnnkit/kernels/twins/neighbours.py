"""The kernels along edges in plain numpy: the specification of kernels/neighbours.py. Imports only numpy and twins.

They make one row per edge and add rows one after another (``np.add.at``): slow, and plainly right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.twins.csr import expand_indptr


def gather(x: ArrayLike, index: ArrayLike) -> NDArray[Any]:
    return np.asarray(x)[np.asarray(index)]


def scatter_add(values: ArrayLike, index: ArrayLike, num_rows: int) -> NDArray[Any]:
    values, index = np.asarray(values), np.asarray(index)
    out = np.zeros((num_rows, *values.shape[index.ndim :]), values.dtype)
    if values.size:
        np.add.at(out, index, values)
    return out


def neighbour_sum(
    indptr: ArrayLike, indices: ArrayLike, x: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[Any]:
    messages = gather(x, indices)
    if weights is not None:
        weights = np.asarray(weights)
        if weights.dtype.kind in "iub" and messages.dtype.kind == "f":
            weights = weights.astype(messages.dtype)
        messages = messages * weights.reshape(weights.shape + (1,) * (messages.ndim - weights.ndim))
    return scatter_add(messages, expand_indptr(indptr), len(np.asarray(indptr)) - 1)


def edge_dot(indptr: ArrayLike, indices: ArrayLike, receiver_x: ArrayLike, sender_x: ArrayLike) -> NDArray[Any]:
    return (gather(receiver_x, expand_indptr(indptr)) * gather(sender_x, indices)).sum(axis=-1)
