"""A convolution as a sparse matrix. Imports numpy and Topology; scipy where it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.graph import Topology


def stencil_matrix(edges: Topology, blocks: np.ndarray, groups: int = 1) -> Any:
    """The matrix of ``y[r] = sum over the edges of x[s] @ block of the edge``, on rows of channels.

    Parameters
    ----------
    edges : Topology
    blocks : array [num_edges, in // groups, out]
        The matrix of every edge.
    groups : int
        Blocks act within each of so many groups of columns.

    Returns
    -------
    scipy.sparse.csr_array [num_receivers * out, num_senders * in]
        Of parallel edges the blocks are added.
    """
    from scipy import sparse

    num_edges, inside, out = blocks.shape
    first = inside * (np.arange(out) // max(out // groups, 1))  # input channel at which the group of an output begins
    column = edges.senders[:, None, None] * np.int64(inside * groups) + (np.arange(inside)[:, None] + first)
    row = np.broadcast_to(edges.receivers[:, None, None] * np.int64(out) + np.arange(out), blocks.shape)
    shape = (edges.num_receivers * out, edges.num_senders * inside * groups)
    column = np.broadcast_to(column, (num_edges, inside, out))
    return sparse.coo_array((blocks.ravel(), (row.ravel(), column.ravel())), shape=shape).tocsr()
