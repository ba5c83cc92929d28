"""Parts of a graph: induced subgraphs, the largest component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gnnkit.errors import InvalidGraphError, ShapeError
from gnnkit.graph.checks import as_index, in_range
from gnnkit.graph.fields import take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.report import component_labels


def subgraph(g: Graph, nodes: Any) -> Graph:
    """The graph of some nodes and all edges between them.

    Parameters
    ----------
    g : Graph
    nodes : integers [num_kept], or booleans [num_nodes]
        Kept nodes, each once; integers also set their new order.

    Returns
    -------
    Graph
        Fields of the kept nodes and edges, in the caller's edge order. Globals stay. In a batch every graph stays, also
        one that lost all its nodes. Names given by networkx or pandas travel along.

    Raises
    ------
    InvalidGraphError, ShapeError, DTypeError
        When a node is out of range, repeated, or a mask has another length; the text names it.

    Notes
    -----
    O(num_nodes + num_edges). Tensors keep their gradient. An empty selection is legal.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.subgraph(gk.path(4), [2, 1]).to_edges()[:2]
    (array([1, 0], dtype=int32), array([0, 1], dtype=int32))
    """
    index = _node_index(g, nodes)
    old = g.topology
    new_index = np.full(g.num_nodes, -1, np.int64)
    new_index[index] = np.arange(len(index))
    senders, receivers = new_index[old.senders], new_index[old.receivers]
    inside = (senders >= 0) & (receivers >= 0)
    positions = np.flatnonzero(inside[old.caller_order])
    kept = old.caller_order[positions]
    size = {"num_senders": len(index), "num_receivers": len(index)}
    fields = {name: take_rows(value, kept) for name, value in g.edges.items()}
    topology, fields = canonical_edges(senders[kept], receivers[kept], fields, **size)
    return Graph.trusted(
        topology,
        {name: take_rows(value, index) for name, value in g.nodes.items()},
        fields,
        g.globals,
        node_ptr=_node_ptr(g, index),
        origin=_kept_origin(g, index, positions),
    )


def _node_index(g: Graph, nodes: Any) -> np.ndarray:
    array = np.asarray(getattr(nodes, "data", nodes) if hasattr(nodes, "requires_grad") else nodes)
    if array.dtype == bool and array.ndim == 1 and array.size:
        if len(array) != g.num_nodes:
            raise ShapeError(
                f"A mask of nodes must have one entry per node, {g.num_nodes}. Got {len(array)}. Or give node indices."
            )
        return np.flatnonzero(array)
    index = as_index(array, "nodes", entry="node")
    if not in_range(index, g.num_nodes):
        bad = index[(index < 0) | (index >= g.num_nodes)][0]
        raise InvalidGraphError(
            f"Kept nodes must be indices from 0 to num_nodes - 1 = {g.num_nodes - 1}. Got {bad}. Correct the selection."
        )
    repeated = np.bincount(index, minlength=1) > 1
    if repeated.any():
        raise InvalidGraphError(
            f"Kept nodes must be given once each. Got node {int(np.argmax(repeated))} more than once. Use np.unique."
        )
    return index


def _node_ptr(g: Graph, index: np.ndarray) -> np.ndarray | None:
    if g.num_graphs == 1:
        return None
    graph = g.node_graph[index]
    falls = graph[1:] < graph[:-1]
    if falls.any():
        node = int(index[int(np.argmax(falls)) + 1])
        raise InvalidGraphError(
            "Kept nodes of a batch must stay in the order of its graphs. "
            f"Node {node} of graph {int(g.node_graph[node])} follows one of a later graph. Sort the nodes."
        )
    return np.concatenate([[0], np.cumsum(np.bincount(graph, minlength=g.num_graphs))]).astype(np.int64)


def _kept_origin(g: Graph, index: np.ndarray, positions: np.ndarray) -> Any:
    if not isinstance(g.origin, Origin):
        return None
    origin = g.origin.select_edges(positions)
    names = range(g.num_nodes) if origin.node_names is None else origin.node_names
    return replace(origin, node_names=tuple(names[i] for i in index.tolist()))


def largest_component(g: Graph) -> Graph:
    """The subgraph of the largest weakly connected component (of each graph, in a batch).

    Notes
    -----
    Of equally large components the one with the lowest node wins. A graph without nodes stays as it is.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.largest_component(gk.from_edges([0, 3], [1, 4], num_nodes=6, undirected=True))
    Graph(num_nodes=2, num_edges=2)
    """
    labels = component_labels(g)
    if not len(labels):
        return g
    count, first = np.bincount(labels), np.unique(labels, return_index=True)[1]
    graph = g.node_graph[first]
    ranked = np.lexsort((first, -count, graph))
    best = ranked[np.unique(graph[ranked], return_index=True)[1]]
    return subgraph(g, np.flatnonzero(np.isin(labels, best)))
