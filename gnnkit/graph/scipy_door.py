"""The scipy.sparse door: adjacency matrices in and out. scipy is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from gnnkit.errors import DTypeError, InvalidGraphError, UnknownFieldError
from gnnkit.graph.checks import check_endpoints
from gnnkit.graph.edges import graph_from_arrays, with_short
from gnnkit.graph.fields import describe, raw
from gnnkit.graph.graph import Graph


def from_scipy(
    A: Any,
    *,
    x: Any = None,
    weight: str | None = "weight",
    nodes: Mapping[str, Any] | None = None,
    allow_nan: bool = False,
) -> Graph:
    """Build a graph from a square sparse adjacency matrix.

    Parameters
    ----------
    A : scipy.sparse array or matrix [num_nodes, num_nodes]
        **Rows receive**: a stored entry ``A[i, j]`` is the edge ``j -> i``, so that ``A @ x`` sums over the neighbours
        a node hears from. Pass ``A.T`` for the other convention.
    x, nodes : array [num_nodes, ...] / mapping, optional
        Node fields.
    weight : str or None
        Edge field that takes the stored values; None ignores them.
    allow_nan : bool
        Accept NaN.

    Raises
    ------
    DTypeError, InvalidGraphError
        When A is not sparse or not square.

    Notes
    -----
    Every stored entry is an edge: explicit zeros are edges of weight 0, duplicates (COO) are parallel edges. The
    caller's order is the order of storage. A symmetric matrix gives both directions.

    Examples
    --------
    >>> import gnnkit as gk
    >>> from scipy import sparse
    >>> g = gk.from_scipy(sparse.csr_array([[0, 2], [0, 0]]))
    >>> g.senders, g.receivers, g.edges["weight"]
    (array([1], dtype=int32), array([0], dtype=int32), array([2]))
    """
    if not (hasattr(A, "tocoo") and hasattr(A, "nnz")):
        raise DTypeError(
            f"from_scipy must be given a scipy.sparse matrix. Got {type(A).__name__}. "
            "Wrap a dense adjacency in scipy.sparse.csr_array(A), which makes every nonzero an edge."
        )
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise InvalidGraphError(
            f"An adjacency matrix must be square, one row and column per node. Got shape {A.shape}. "
            "Use gk.Topology.from_edges(..., num_senders=, num_receivers=) for a bipartite topology."
        )
    entries = A.tocoo()
    # Copies: scipy may share these arrays with A.
    senders, receivers = np.array(entries.col, dtype=np.int64), np.array(entries.row, dtype=np.int64)
    # scipy checks coordinates when a matrix is made, not what is written into them later
    check_endpoints(senders, receivers, num_senders=A.shape[0], num_receivers=A.shape[0])
    edges = {} if weight is None else {weight: np.array(entries.data)}
    nodes = with_short("nodes", nodes, "x", x)
    return graph_from_arrays(senders, receivers, A.shape[0], nodes=nodes, edges=edges, allow_nan=allow_nan)


def to_scipy(g: Graph, weight: str | None = None, *, format: Literal["csr", "csc", "coo"] = "csr") -> Any:
    """Adjacency of ``g`` as a ``scipy.sparse`` array [num_nodes, num_nodes]; rows receive, as in :func:`from_scipy`.

    Parameters
    ----------
    g : Graph
        Also a batch: the matrix is then block-diagonal.
    weight : str, optional
        Edge field of one number per edge for the entries; None writes 1.0 (float64).
    format : str
        "coo" keeps the caller's edge order.

    Raises
    ------
    UnknownFieldError, InvalidGraphError
        When there is no such edge field, or it does not hold one number per edge.

    Notes
    -----
    Parallel edges are duplicate entries, zeros stay stored: nothing is summed or dropped here (scipy sums duplicates
    in products and in ``toarray``).

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.to_scipy(gk.path(3)).toarray()
    array([[0., 1., 0.],
           [1., 0., 1.],
           [0., 1., 0.]])
    """
    from scipy import sparse

    shape = (g.num_nodes, g.num_nodes)
    if weight is not None and weight not in g.edges:
        raise UnknownFieldError(
            f"weight must be an edge field. Got {weight!r}; the edge fields are {list(g.edges)}. "
            "Choose one of these, or None for ones."
        )
    if format == "coo":
        senders, receivers, fields = g.to_edges()
        return sparse.coo_array((_entries(g, weight, fields), (receivers, senders)), shape=shape)
    rows = sparse.csr_array(
        (_entries(g, weight, g.edges), np.array(g.topology.indices), np.array(g.topology.indptr)), shape=shape
    )
    return rows.asformat(format)


def _entries(g: Graph, weight: str | None, fields: Mapping[str, Any]) -> np.ndarray:
    if weight is None:
        return np.ones(g.num_edges)
    values = raw(fields[weight])
    if values.ndim != 1 or values.dtype.kind not in "biufc":
        raise InvalidGraphError(
            f"A matrix entry must be one number per edge. The edge field {weight!r} is {describe(values)}. "
            "Choose or make a numeric field of shape [num_edges]."
        )
    return np.array(values)
