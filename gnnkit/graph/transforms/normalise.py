"""Normalisation: of the adjacency (GCN) and of feature rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit import autodiff
from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError, unknown_name
from gnnkit.graph.fields import concatenate, is_sparse, is_tensor, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import appended
from gnnkit.graph.topology import Topology, frozen
from gnnkit.graph.transforms.rebuild import edge_weights, with_topology


def gcn_normalised(
    topology: Topology, weights: Any = None, self_loops: bool = True, *, dtype: DTypeLike | None = None
) -> tuple[Topology, Any]:
    """The normalised adjacency ``D^-1/2 (A + I) D^-1/2`` of a GCN: a topology and one weight per edge.

    Parameters
    ----------
    topology : Topology
        Not bipartite.
    weights : float array or Tensor [num_edges], optional
        Canonical order; None stands for ones. A Tensor keeps its gradient.
    self_loops : bool
        Add a loop of weight 1 to every node that has none; existing loops keep their weight.
    dtype : dtype, optional
        Of the result: default that of ``weights``, float32 without.

    Returns
    -------
    topology, weights
        Weights in the canonical order of the returned topology. Without ``weights`` both are cached on ``topology``.

    Raises
    ------
    InvalidFeatureError
        When a weighted degree is negative, which has no real root; the text names the node.

    Notes
    -----
    The degree of a node is the sum of the weights it receives, and stands at both ends of an edge. Nodes of degree 0
    get weight 0. Parallel edges each count. The caller's edge order stays; added loops follow it.

    References
    ----------
    Kipf and Welling, Semi-supervised classification with graph convolutional networks, ICLR 2017.

    Examples
    --------
    >>> import gnnkit as gk
    >>> topology, weights = gk.graph.gcn_normalised(gk.path(2).topology)
    >>> topology.num_edges, weights
    (4, array([0.5, 0.5, 0.5, 0.5], dtype=float32))
    """
    if weights is not None:
        return _normalised(topology, _checked_weights(topology, weights), self_loops, dtype)
    dtype = np.dtype(np.float32 if dtype is None else dtype)

    def build() -> tuple[Topology, np.ndarray]:
        looped, values = _normalised(topology, np.ones(topology.num_edges), self_loops, dtype)
        return looped, frozen(values)

    return topology.cached(("gcn_normalised", self_loops, dtype), build)


def with_remaining_loops(topology: Topology) -> tuple[Topology, np.ndarray, int]:
    """The topology with a loop on every node; where each edge comes from (``>= num_edges``: added); how many were."""

    def build() -> tuple[Topology, np.ndarray, int]:
        missing = np.ones(topology.num_nodes, bool)
        missing[topology.receivers[topology.self_loops()]] = False
        nodes = np.flatnonzero(missing)
        # Loops go into their rows by merging positions; the edges that are there stay in order.
        offset = np.searchsorted(nodes, topology.receivers) + _loops_before(topology, missing)
        size = topology.num_edges + len(nodes)
        source = np.empty(size, np.int64)
        is_loop = np.ones(size, bool)
        seats = np.arange(topology.num_edges) + offset
        is_loop[seats] = False
        source[seats] = np.arange(topology.num_edges)
        source[is_loop] = topology.num_edges + np.arange(len(nodes))
        indices = np.empty(size, topology.indices.dtype)
        indices[seats], indices[is_loop] = topology.indices, nodes
        indptr = topology.indptr + np.concatenate([[0], np.cumsum(missing)])
        caller = np.concatenate([topology.edge_order, topology.num_edges + np.arange(len(nodes))])
        looped = Topology.trusted(indptr, indices, topology.num_senders, caller[source])
        return looped, frozen(source), len(nodes)

    return topology.cached("with_remaining_loops", build)


def _loops_before(topology: Topology, missing: np.ndarray) -> np.ndarray:
    """1 for an edge whose row gets a loop that sorts before it (its sender lies above its receiver), else 0."""
    return (missing[topology.receivers] & (topology.senders > topology.receivers)).astype(np.int64)


def _checked_weights(topology: Topology, weights: Any) -> Any:
    weights = weights if is_tensor(weights) else np.asarray(weights)
    if tuple(weights.shape) != (topology.num_edges,):
        raise ShapeError(
            f"Edge weights must be one number per edge, shape ({topology.num_edges},). Got {tuple(weights.shape)}. "
            "Choose an edge field of one number per edge."
        )
    if raw(weights).dtype.kind not in "iuf":
        raise DTypeError(
            f"Edge weights must be numbers. Got dtype {raw(weights).dtype}. Convert with .astype('float32')."
        )
    return weights if raw(weights).dtype.kind == "f" else weights.astype(np.float32)


def _normalised(topology: Topology, weights: Any, self_loops: bool, dtype: DTypeLike | None) -> tuple[Topology, Any]:
    _ = topology.num_nodes  # refuses a bipartite topology
    if self_loops:
        topology, source, added = with_remaining_loops(topology)
        weights = take_rows(concatenate([weights, np.ones(added, raw(weights).dtype)]), source)
    degree = autodiff.scatter_add(weights, topology.receivers, topology.num_nodes)
    low = raw(degree) < 0
    if low.any():
        node = int(np.argmax(low))
        raise InvalidFeatureError(
            f"Degrees must not be negative for GCN normalisation. The weights into node {node} sum to "
            f"{raw(degree)[node]}. Use non-negative weights."
        )
    some = raw(degree) > 0
    root = np.where(some, np.where(some, degree, 1) ** -0.5, 0)
    # The two roots are multiplied first: both directions of an edge then hold the same bits.
    values = weights * (take_rows(root, topology.receivers) * take_rows(root, topology.senders))
    return topology, values if dtype is None else values.astype(dtype)


def gcn_norm(g: Graph, *, weight: str | None = None, self_loops: bool = True) -> Graph:
    """Write the GCN normalisation into the edge field "weight", with self-loops added where there are none.

    Parameters
    ----------
    g : Graph
    weight : str, optional
        Edge field of one number per edge to start from; None: ones (a field "weight" is then overwritten).
    self_loops : bool
        See :func:`gcn_normalised`.

    Raises
    ------
    InvalidFeatureError
        When loops are added and the graph has other edge fields, which have no value on them.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.gcn_norm(gk.path(3)).to_edges()[2]["weight"].round(4)
    array([0.4082, 0.4082, 0.4082, 0.4082, 0.5   , 0.3333, 0.5   ], dtype=float32)
    """
    weights = None if weight is None else edge_weights(g, weight)
    topology, values = gcn_normalised(g.topology, weights, self_loops)
    others = {name: value for name, value in g.edges.items() if name != "weight"}
    added = topology.num_edges - g.num_edges
    if added and others.keys() - {weight}:
        names = ", ".join(map(repr, sorted(others.keys() - {weight})))
        raise InvalidFeatureError(
            f"Every edge must have a value in every field. The {added} added self-loops have none for {names}. "
            f"Drop them with g.without({names}), or add loops with gk.transforms.add_remaining_self_loops(g, fill=...)."
        )
    others = {} if added else others
    origin = appended(g.origin, added)
    return with_topology(g, topology, {**others, "weight": values}, origin=origin)


_NORMS = ("l1", "l2", "max")


def normalize_features(g: Graph, *, norm: str = "l1", field: str = "x") -> Graph:
    """Divide every row of a node field by its norm; rows of zeros stay.

    Parameters
    ----------
    g : Graph
    norm : str
        "l1" (sum of magnitudes), "l2" or "max" (largest magnitude).
    field : str
        Floating node field [num_nodes, channels]: array, Tensor (keeps its gradient) or SparseMatrix (stays sparse).

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([], [], num_nodes=2, x=[[1.0, 3.0], [0.0, 0.0]])
    >>> gk.transforms.normalize_features(g).x
    array([[0.25, 0.75],
           [0.  , 0.  ]])
    """
    if norm not in _NORMS:
        raise unknown_name("norm", norm, _NORMS)
    value = g.nodes[field]
    if value.ndim != 2:
        raise ShapeError(
            f"Features to normalise must have shape [num_nodes, channels]. Field {field!r} has {tuple(value.shape)}. "
            "Reshape it."
        )
    if value.dtype.kind != "f":
        raise DTypeError(
            f"Features to normalise must be floating. The field {field!r} is {value.dtype}. Use .astype('float32')."
        )
    return g.replace(nodes={field: _sparse_rows(value, norm) if is_sparse(value) else _dense_rows(value, norm)})


def _dense_rows(value: Any, norm: str) -> Any:
    if value.shape[1] == 0:
        return value
    size = np.abs(value)
    if norm == "l2":
        total = np.sum(value * value, axis=1, keepdims=True)
        positive = raw(total) > 0
        scale = np.where(positive, np.sqrt(np.where(positive, total, 1)), 1)
    else:
        total = np.sum(size, axis=1, keepdims=True) if norm == "l1" else np.max(size, axis=1, keepdims=True)
        scale = np.where(raw(total) > 0, total, 1)
    return value / scale


def _sparse_rows(value: Any, norm: str) -> Any:
    matrix = value.to_scipy()
    if norm == "max":
        total = np.zeros(len(value)) if not value.shape[1] else abs(matrix).max(axis=1).toarray().ravel()
    else:
        power = 1 if norm == "l1" else 2
        rows = np.repeat(np.arange(len(value)), np.diff(matrix.indptr))
        total = np.bincount(rows, weights=np.abs(matrix.data) ** power, minlength=len(value)) ** (1 / power)
    scale = np.where(total > 0, total, 1)
    return value.with_data((value.data / np.repeat(scale, np.diff(matrix.indptr))).astype(value.dtype))
