"""Typed graphs as one plain Graph, and back: types become an integer per node and per edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, InvalidGraphError, UnknownFieldError
from gnnkit.graph.fields import FieldMap, concatenate, describe, is_sparse, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.topology import inverse_permutation
from gnnkit.graph.typed.checks import checked_ends
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, as_type, place

NODE_TYPE, EDGE_TYPE = "node_type", "edge_type"


def to_homogeneous(
    g: TypedGraph, *, fields: Sequence[str] | None = None, edge_fields: Sequence[str] | None = None
) -> Graph:
    """Put all nodes and edges of a typed graph into one plain graph.

    Parameters
    ----------
    g : TypedGraph
        Its node types count from 0 in the order of ``g.node_types``, its relations in that of ``g.edge_types``.
    fields, edge_fields : list of names, optional
        Node and edge fields to keep: every type must have them, with the same row shape and dtype. Default: all of
        them, an error if they differ; ``[]`` keeps none.

    Returns
    -------
    Graph
        With the node field ``node_type`` and the edge field ``edge_type``, int64. The nodes of the first type come
        first, then those of the second, ... (in a batch: graph by graph). Edges stand relation by
        relation in the caller's order. Globals stay.

    Raises
    ------
    InvalidFeatureError
        When a field is not the same in all types; the text names the first type that differs.

    Examples
    --------
    >>> import gnnkit as gk
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph({"author": 2, "paper": 2}, edges={writes: ([0, 1], [1, 1])})
    >>> one = g.to_homogeneous()
    >>> one
    Graph(num_nodes=4, num_edges=2, node_type=int64[4], edge_type=int64[2])
    >>> one.to_edges()[:2]
    (array([0, 1], dtype=int32), array([3, 3], dtype=int32))
    """
    counts = list(g.num_nodes.values())
    start = dict(zip(g.node_types, np.cumsum([0, *counts]).tolist()))
    place_of, node_ptr = _by_graph(g)
    nodes = _shared(dict(g.nodes), fields, "fields", NODE_TYPE)
    nodes = {NODE_TYPE: np.repeat(np.arange(len(counts)), counts), **nodes}
    if place_of is not None:
        order = inverse_permutation(place_of)
        nodes = {name: take_rows(value, order) for name, value in nodes.items()}
    edges = {key: one.to_edges() for key, one in g.relations.items()}
    senders = [edge[0].astype(np.int64) + start[key[0]] for key, edge in edges.items()]
    receivers = [edge[1].astype(np.int64) + start[key[2]] for key, edge in edges.items()]
    kinds = np.repeat(np.arange(len(edges)), [len(one) for one in senders])
    values = _shared({key: edge[2] for key, edge in edges.items()}, edge_fields, "edge_fields", EDGE_TYPE)
    s, r = (np.concatenate([np.zeros(0, np.int64), *ends]) for ends in (senders, receivers))
    if place_of is not None:
        s, r = place_of[s], place_of[r]
    size = {"num_senders": sum(counts), "num_receivers": sum(counts)}
    topology, canonical = canonical_edges(s, r, {EDGE_TYPE: kinds, **values}, **size)
    return Graph.trusted(topology, nodes, canonical, g.globals, node_ptr=node_ptr, origin=_origin(g))


def _by_graph(g: TypedGraph) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Where a node of the types laid end to end stands in a batch, and the boundaries; None for a single graph."""
    if g.num_graphs == 1:
        return None, None
    sizes = sum((np.diff(pointer) for pointer in g.node_ptr.values()), np.zeros(g.num_graphs, np.int64))
    graphs = np.concatenate([np.zeros(0, np.int64), *(g[name].node_graph for name in g.node_types)])
    return inverse_permutation(np.argsort(graphs, kind="stable")), np.concatenate([[0], np.cumsum(sizes)])


def _shared(
    maps: Mapping[Any, Mapping[str, Any]], names: Sequence[str] | None, option: str, own: str
) -> dict[str, Any]:
    if isinstance(names, str):
        raise InvalidArgumentError(f"{option} must be a list of names. Got {names!r}. Write {option}=[{names!r}].")
    every = dict.fromkeys(name for fields in maps.values() for name in fields)
    shared = {name: _joined(maps, name, option) for name in (every if names is None else names)}
    if own in shared:
        raise InvalidFeatureError(
            f"The field {own!r} is made of the types. The typed graph has a field of that name. "
            f"Rename it, or leave it out with {option}=[...]."
        )
    return shared


def _joined(maps: Mapping[Any, Mapping[str, Any]], name: str, option: str) -> Any:
    first = next((key for key, fields in maps.items() if name in fields), None)
    if first is None:
        raise UnknownFieldError(
            f"A field must exist to be kept. No type has a field {name!r}. Choose others with {option}=[...]."
        )
    model = maps[first][name]
    for key, fields in maps.items():
        value = fields.get(name)
        if value is None or not _alike(value, model):
            found = "no such field" if value is None else describe(value)
            raise InvalidFeatureError(
                f"A field of the homogeneous graph must have the same row shape and dtype in all types. {name!r} is "
                f"{describe(model)} in {place(first)} and there is {found} in {place(key)}. "
                f"Choose the fields to keep with {option}=[...] ([] for none), or bring them to one width first."
            )
    return concatenate([fields[name] for fields in maps.values()])


def _alike(one: Any, other: Any) -> bool:
    same_text = one.dtype.kind == other.dtype.kind and one.dtype.kind in "US"
    return (
        one.shape[1:] == other.shape[1:]
        and is_sparse(one) == is_sparse(other)
        and (one.dtype == other.dtype or same_text)
    )


def _origin(g: TypedGraph) -> Origin | None:
    names = getattr(g.origin, "node_names", None)
    if names is None:
        return None
    return Origin(node_names=tuple(node for name in g.node_types for node in names[name]))


def from_homogeneous(
    graph: Graph,
    node_types: Sequence[str],
    relations: Iterable[RelationKey],
    *,
    node_type: str = NODE_TYPE,
    edge_type: str = EDGE_TYPE,
) -> TypedGraph:
    """Build a typed graph from a plain graph with an integer type per node and per edge.

    Parameters
    ----------
    graph : Graph
        A single graph or a batch.
    node_types : list of str
        Name of type 0, 1, ... of the node field ``node_type``. Types without nodes are kept.
    relations : list of (sender type, name, receiver type)
        Key of type 0, 1, ... of the edge field ``edge_type``.
    node_type, edge_type : str
        The two integer fields; all other fields go to every type and every relation.

    Returns
    -------
    TypedGraph
        Nodes and edges of one type keep their order; the inverse of :func:`to_homogeneous`.

    Raises
    ------
    InvalidGraphError
        When a type number has no name, or an edge does not join the types of its relation; the text names the first.

    Examples
    --------
    >>> import gnnkit as gk
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph({"author": 2, "paper": 2}, edges={writes: ([0, 1], [1, 1])})
    >>> gk.from_homogeneous(g.to_homogeneous(), ["author", "paper"], [writes]) == g
    True
    """
    if not isinstance(graph, Graph):
        raise InvalidArgumentError(f"from_homogeneous takes a gk.Graph. Got {type(graph).__name__}. Convert it first.")
    names = [as_type(name) for name in _listed(node_types, "node_types")]
    kinds = _kinds(graph.nodes, node_type, len(names), "node_types")
    members = [np.flatnonzero(kinds == number) for number in range(len(names))]
    counts = {name: len(one) for name, one in zip(names, members)}
    keys = [checked_ends(key, counts) for key in _listed(relations, "relations")]
    local = np.zeros(graph.num_nodes, np.int64)
    for one in members:
        local[one] = np.arange(len(one))
    senders, receivers, fields = graph.to_edges()
    edge_kinds = _kinds(FieldMap("edges", fields), edge_type, len(keys), "relations")
    fields.pop(edge_type)
    topologies, edges = {}, {}
    for number, key in enumerate(keys):
        mine = np.flatnonzero(edge_kinds == number)
        s, r = senders[mine], receivers[mine]
        _check_ends(key, mine, kinds[s], kinds[r], names, s, r)
        size = {"num_senders": counts[key[0]], "num_receivers": counts[key[2]]}
        own = {name: take_rows(value, mine) for name, value in fields.items()}
        topologies[key], edges[key] = canonical_edges(local[s], local[r], own, **size)
    others = {name: value for name, value in graph.nodes.items() if name != node_type}
    pointers = None
    if graph.num_graphs != 1:
        pointers = {name: np.searchsorted(one, graph.node_ptr) for name, one in zip(names, members)}
    return TypedGraph.trusted(
        counts,
        topologies,
        nodes={
            name: {field: take_rows(value, one) for field, value in others.items()} for name, one in zip(names, members)
        },
        edges=edges,
        globals=graph.globals,
        node_ptr=pointers,
        num_graphs=graph.num_graphs,
    )


def _listed(names: Any, option: str) -> list[Any]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InvalidArgumentError(f"{option} must be a list. Got {names!r}. Write {option}=[...].")
    listed = list(names)
    twice = next((name for k, name in enumerate(listed) if name in listed[:k]), None)
    if twice is not None:
        raise InvalidArgumentError(f"{option} must name everything once. Got {twice!r} twice. Rename one.")
    return listed


def _kinds(fields: FieldMap, name: str, count: int, option: str) -> np.ndarray:
    kinds = raw(fields[name])
    entry = "node" if fields.level == "nodes" else "edge"
    if is_sparse(kinds) or kinds.ndim != 1 or kinds.dtype.kind not in "iu":
        raise InvalidFeatureError(
            f"The type of every {entry} must be one integer. The {entry} field {name!r} is {describe(kinds)}. "
            f"Give integers from 0, or name another field with {entry}_type=."
        )
    wrong = (kinds < 0) | (kinds >= count)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InvalidGraphError(
            f"Every {entry} type must have a name: {option} lists {count}. "
            f"{entry.capitalize()} {first} has {name} {int(kinds[first])}. Add its name, or correct the field."
        )
    return kinds


def _check_ends(
    key: RelationKey, edges: np.ndarray, s_kinds: Any, r_kinds: Any, names: list[str], s: np.ndarray, r: np.ndarray
) -> None:
    wrong = (s_kinds != names.index(key[0])) | (r_kinds != names.index(key[2]))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InvalidGraphError(
            f"An edge of a relation must join nodes of its types. Edge {int(edges[k])} ({int(s[k])} -> {int(r[k])}) of "
            f"{key!r} goes from a {names[int(s_kinds[k])]!r} to a {names[int(r_kinds[k])]!r}. Correct its edge type."
        )
