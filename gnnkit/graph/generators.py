"""Small known graphs. Undirected unless said otherwise: every edge in both directions, as networkx would give them."""

from __future__ import annotations

import numpy as np

from gnnkit.graph.checks import as_count
from gnnkit.graph.edges import add_reverses, graph_from_arrays
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin


def _build(senders: np.ndarray, receivers: np.ndarray, num_nodes: int, *, directed: bool = False) -> Graph:
    if directed:
        return graph_from_arrays(senders, receivers, num_nodes)
    senders, receivers, _, partner = add_reverses(senders, receivers, {})
    return graph_from_arrays(senders, receivers, num_nodes, origin=Origin(partner=partner))


def empty(n: int) -> Graph:
    """``n`` nodes without edges.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.empty(3)
    Graph(num_nodes=3, num_edges=0)
    """
    none = np.zeros(0, np.int64)
    return _build(none, none, as_count(n, "n"))


def path(n: int, *, directed: bool = False) -> Graph:
    """The path 0 - 1 - ... - (n-1); ``directed=True`` keeps only the edges forward (a sequence).

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.path(3).to_edges()[:2]
    (array([0, 1, 1, 2], dtype=int32), array([1, 2, 0, 1], dtype=int32))
    """
    nodes = np.arange(as_count(n, "n"))
    return _build(nodes[:-1], nodes[1:], n, directed=directed)


def cycle(n: int, *, directed: bool = False) -> Graph:
    """The ring of ``n`` nodes. As in networkx one node has a self-loop, and two nodes share a single edge.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.cycle(4).topology.in_degree()
    array([2, 2, 2, 2])
    """
    nodes = np.arange(as_count(n, "n"))
    if n == 2 and not directed:
        return path(2)
    return _build(nodes, np.roll(nodes, -1), n, directed=directed)


def complete(n: int, *, self_loops: bool = False) -> Graph:
    """Every pair of ``n`` nodes joined; ``self_loops=True`` also joins each node to itself (attention over a set).

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.complete(4).num_edges, gk.complete(4, self_loops=True).num_edges
    (12, 16)
    """
    first, second = np.triu_indices(as_count(n, "n"), k=0 if self_loops else 1)
    return _build(first, second, n)


def star(n: int) -> Graph:
    """``n`` nodes in all: node 0 joined to each other node.

    Notes
    -----
    ``networkx.star_graph(n)`` counts the leaves and has n + 1 nodes.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.star(4).topology.in_degree()
    array([3, 1, 1, 1])
    """
    leaves = np.arange(1, max(as_count(n, "n"), 1))
    return _build(np.zeros_like(leaves), leaves, n)


def grid(height: int, width: int) -> Graph:
    """The ``height`` x ``width`` lattice; node ``row * width + column`` is joined to its up to four neighbours.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.grid(2, 3)
    Graph(num_nodes=6, num_edges=14)
    """
    height, width = as_count(height, "height"), as_count(width, "width")
    nodes = np.arange(height * width).reshape(height, width)
    senders = np.concatenate([nodes[:, :-1].ravel(), nodes[:-1].ravel()])
    receivers = np.concatenate([nodes[:, 1:].ravel(), nodes[1:].ravel()])
    return _build(senders, receivers, height * width)
