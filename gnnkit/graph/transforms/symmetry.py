"""Directions: undirected from directed and back, reversed edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import InvalidFeatureError
from gnnkit.graph.edges import add_reverses
from gnnkit.graph.fields import concatenate, first_unequal, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import BatchOrigin, Origin
from gnnkit.graph.parallel import content_order
from gnnkit.graph.topology import inverse_permutation
from gnnkit.graph.transforms.merge import Reduce, check_reduce, partners, reduce_runs, reducer_of, seats
from gnnkit.graph.transforms.rebuild import with_edges, with_topology


def to_undirected(g: Graph, *, reduce: Reduce | None = None) -> Graph:
    """Give every edge its reverse.

    Parameters
    ----------
    g : Graph
    reduce : str or mapping from field name to str, optional
        None adds the reverses that are missing, with copies of the edge fields, and leaves what is there: self-loops
        and pairs that are already symmetric keep their weights. A name ("sum", "mean", "max", "min", "prod", "first")
        joins each edge list with its reverse and merges what is then parallel; "sum" doubles self-loops and
        symmetric pairs, as ``torch_geometric.utils.to_undirected`` does.

    Returns
    -------
    Graph
        Goes out to networkx as undirected. With None the given edges come first, then the reverses that were added.

    Raises
    ------
    InvalidFeatureError
        With ``reduce=None``, when the two directions of a pair hold different values; the text names the pair.

    Notes
    -----
    With None parallel edges stay: the k-th ``a -> b`` is matched with the k-th ``b -> a``. With a reducer there are
    none left, and both directions hold the same bits.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([0, 0, 1, 1], [0, 1, 0, 2], num_nodes=3, e=[3.0, 1.0, 1.0, 4.0])
    >>> gk.transforms.to_undirected(g).to_edges()[2]["e"]        # loop and symmetric pair as they were
    array([3., 1., 1., 4., 4.])
    >>> gk.transforms.to_undirected(g, reduce="sum").to_edges()[2]["e"]
    array([6., 2., 4., 2., 4.])
    """
    return _complete(g) if reduce is None else _merge_both(g, reduce)


def _complete(g: Graph) -> Graph:
    topology = g.topology
    partner = partners(topology)
    paired = np.flatnonzero(partner >= 0)
    for name, value in g.edges.items():
        first = first_unequal(raw(value), paired, partner[paired])
        if first is not None:
            s, r = int(topology.senders[paired[first]]), int(topology.receivers[paired[first]])
            values = raw(value)[paired[first]], raw(value)[partner[paired[first]]]
            raise InvalidFeatureError(
                "Both directions of an edge must hold the same values to be one undirected edge. "
                f"The field {name!r} has {values[0]} on {s} -> {r} and {values[1]} on {r} -> {s}. "
                "Choose how to join them with reduce=, for example 'mean', 'max' or 'sum'."
            )
    senders, receivers, fields = g.to_edges()
    caller = partner[topology.caller_order]  # by caller's position, still pointing to canonical positions
    whose = np.where(caller >= 0, topology.edge_order[caller] if len(caller) else caller, -1)
    lone = np.flatnonzero(whose < 0)
    whose[lone] = len(senders) + np.arange(len(lone))
    fields = {name: concatenate([value, take_rows(value, lone)]) for name, value in fields.items()}
    both = np.concatenate([senders, receivers[lone]]), np.concatenate([receivers, senders[lone]])
    return with_edges(g, both[0], both[1], fields, origin=_undirected(g, np.concatenate([whose, lone])))


def _merge_both(g: Graph, reduce: Reduce) -> Graph:
    check_reduce(g, reduce)
    senders, receivers, fields = g.to_edges()
    loops = np.flatnonzero(senders == receivers)
    source = np.concatenate([np.arange(len(senders)), loops])  # a loop is its own reverse: it meets itself
    s, r = senders[source].astype(np.int64), receivers[source].astype(np.int64)
    low, high = np.minimum(s, r), np.maximum(s, r)
    _, low, order = K.build_csr(low, high, num_receivers=g.num_nodes, num_senders=g.num_nodes)
    high = high[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    starts = np.flatnonzero(begins)
    runs = np.append(starts, len(order))
    first = order[starts]  # merged edges stand where the first of their parts stood
    summed = content_order(~begins, fields, source[order])  # sums have the same bits for any order of the edges
    fields = {
        name: take_rows(value, source[first])
        if reducer_of(reduce, name) == "first"
        else reduce_runs(take_rows(value, summed), runs, reducer_of(reduce, name), name)
        for name, value in fields.items()
    }
    seat = inverse_permutation(seats(first, len(order)))
    fields = {name: take_rows(value, seat) for name, value in fields.items()}
    s, r, fields, partner = add_reverses(s[first[seat]], r[first[seat]], fields)
    return with_edges(g, s, r, fields, origin=_undirected(g, partner))


def _undirected(g: Graph, partner: np.ndarray) -> Any:
    if isinstance(g.origin, BatchOrigin):
        return g.origin.without_edges()
    base = Origin() if g.origin is None else g.origin.without_edges()
    return Origin(base.node_names, partner, columns=base.columns, extra=base.extra) if g.num_graphs == 1 else None


def to_directed(g: Graph) -> Graph:
    """The same edges, but no longer known as the two directions of undirected ones on the way out.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.to_networkx(gk.transforms.to_directed(gk.path(2))).edges
    OutEdgeView([(0, 1), (1, 0)])
    """
    origin = None if g.origin is None else g.origin.without_edges()
    return with_topology(g, g.topology, g.edges, origin=origin)


def reverse(g: Graph) -> Graph:
    """Turn every edge around; edge fields travel with their edges, the caller's order stays.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.reverse(gk.from_edges([0, 1], [1, 2], num_nodes=3, e=[5, 6])).to_edges()
    (array([1, 2], dtype=int32), array([0, 1], dtype=int32), {'e': array([5, 6])})
    """
    permutation = g.topology.transpose_permutation
    fields = {name: take_rows(value, permutation) for name, value in g.edges.items()}
    return with_topology(g, g.topology.transpose(), fields, origin=g.origin)
