"""Door of the breadth-first kernel: who reaches the seeds within some hops. Imports only floor 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import pointers, positions, read_only
from gnnkit.kernels.twins import traversal as twins

# Below this many edges the twin answers in about a millisecond per hop and needs no compiling.
SMALL = 1 << 17


def khop(indptr: ArrayLike, indices: ArrayLike, seeds: ArrayLike, hops: int) -> NDArray[np.int32]:
    """Distance of every node to the nearest seed, walking incoming edges backwards from the seeds.

    Parameters
    ----------
    indptr : int64 [num_nodes + 1]
    indices : int [num_edges]
        Senders, of the same ``num_nodes`` nodes.
    seeds : int [num_seeds]
        May repeat or be empty.
    hops : int
        Largest distance looked at.

    Returns
    -------
    int32 [num_nodes]
        0 at the seeds, d where a message needs d steps to reach a seed, -1 beyond ``hops`` or unreachable.

    Notes
    -----
    The nodes at 0 .. L are exactly those that an L-layer network reads for the seeds. Time O(nodes and edges seen).

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.khop(np.array([0, 0, 1, 2, 3]), np.array([0, 1, 2]), np.array([3]), 2)
    array([-1,  2,  1,  0], dtype=int32)
    """
    indptr, indices, seeds = pointers(indptr), positions(indices), read_only(seeds, np.int64)
    if len(indices) < SMALL or backend.current_backend() == "numpy":
        return twins.khop(indptr, indices, seeds, hops)
    num_nodes = len(indptr) - 1
    distance = np.full(num_nodes, -1, np.int32)
    backend.loops("traversal").khop(indptr, indices, seeds, hops, np.empty(num_nodes, np.int64), distance)
    return distance
