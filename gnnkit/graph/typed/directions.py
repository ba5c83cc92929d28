"""Directions of relations: reverses under a name of their own, and both directions under one name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidGraphError
from gnnkit.graph.fields import first_difference, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.transforms import to_undirected as plain_to_undirected
from gnnkit.graph.typed.change import chosen_relations
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, within
from gnnkit.graph.typed.views import Relation


def add_reverse(g: TypedGraph, relations: Iterable[RelationKey] | None = None, *, prefix: str = "rev_") -> TypedGraph:
    """Add the reverse of relations as relations of their own: messages can then go both ways with other weights.

    Parameters
    ----------
    g : TypedGraph
    relations : list of (sender type, name, receiver type), optional
        Default: all.
    prefix : str
        The reverse of (s, name, d) is called (d, prefix + name, s).

    Returns
    -------
    TypedGraph
        Edge fields are copied to the reverses; the caller's order of the edges is the same.

    Raises
    ------
    InvalidGraphError
        When a relation of such a name exists.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.typed_graph({"author": 2, "paper": 3}, edges={("author", "writes", "paper"): ([0, 1], [2, 0])})
    >>> both = g.add_reverse()
    >>> both.edge_types
    (('author', 'writes', 'paper'), ('paper', 'rev_writes', 'author'))
    >>> both["rev_writes"].to_edges()
    (array([2, 0], dtype=int32), array([0, 1], dtype=int32), {})
    """
    if not isinstance(prefix, str) or not prefix:
        raise InvalidArgumentError(
            f"The prefix of reverse relations must be a non-empty string. Got {prefix!r}. Use prefix='rev_'."
        )
    topologies, edges = {}, {}
    for key in chosen_relations(g, relations):
        sender, name, receiver = key
        reverse = receiver, prefix + name, sender
        if reverse in g.relations or reverse in topologies:
            raise InvalidGraphError(
                f"The reverse of a relation needs a name of its own. {reverse!r}, for {key!r}, exists. "
                "Choose another prefix=, or the relations to reverse with relations=[...]."
            )
        topologies[reverse], edges[reverse] = _reversed(g.relations[key])
    return g.replace(relations=topologies, edges=edges)


def _reversed(relation: Relation) -> tuple[Any, dict[str, Any]]:
    order = relation.topology.transpose_permutation
    return relation.topology.transpose(), {name: take_rows(value, order) for name, value in relation.edges.items()}


def to_undirected(g: TypedGraph, relations: Iterable[RelationKey] | None = None, *, reduce: Any = None) -> TypedGraph:
    """Give every edge of relations its reverse, under the same name.

    Parameters
    ----------
    g : TypedGraph
    relations : list of (sender type, name, receiver type), optional
        Default: all.
    reduce : str or mapping, optional
        How the two directions are joined within one node type, see :func:`gk.transforms.to_undirected`.

    Returns
    -------
    TypedGraph
        Within one type (s, name, s) becomes symmetric. Between two types the reverses are the relation (d, name, s).

    Raises
    ------
    InvalidGraphError
        When (d, name, s) exists and does not hold exactly the reverses.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.typed_graph({"a": 2, "b": 1}, edges={("a", "to", "b"): ([0, 1], [0, 0]), ("a", "to", "a"): ([0], [1])})
    >>> g.to_undirected().schema
    a             2 nodes
    b              1 node
    a -> to -> b  2 edges
    a -> to -> a  2 edges
    b -> to -> a  2 edges
    """
    topologies: dict[RelationKey, Any] = {}
    edges: dict[RelationKey, dict[str, Any]] = {}
    for key in chosen_relations(g, relations):
        sender, name, receiver = key
        relation = g.relations[key]
        if sender == receiver:
            with within(key):
                node_ptr = None if g.num_graphs == 1 else g.node_ptr[sender]
                plain = Graph.trusted(relation.topology, None, relation.edges, node_ptr=node_ptr)
                both = plain_to_undirected(plain, reduce=reduce)
            topologies[key], edges[key] = both.topology, dict(both.edges)
            continue
        reverse = receiver, name, sender
        there = _reversed(relation)
        if reverse not in g.relations:
            topologies[reverse], edges[reverse] = there
        elif not _same_edges(g.relations[reverse], *there):
            raise InvalidGraphError(
                f"The two directions of an undirected relation must hold the same edges. {reverse!r} exists and "
                f"differs from the reverse of {key!r}. Drop one of them with g.select(...), or rename it."
            )
    return g.replace(relations=topologies, edges=edges)


def _same_edges(relation: Relation, topology: Any, edges: dict[str, Any]) -> bool:
    if relation.edges.keys() != edges.keys() or not np.array_equal(relation.topology.indptr, topology.indptr):
        return False
    if not np.array_equal(relation.topology.indices, topology.indices):
        return False
    pairs = [(raw(relation.edges[name]), raw(value)) for name, value in edges.items()]
    return all(one.shape == two.shape and (not len(one) or first_difference(one, two) is None) for one, two in pairs)
