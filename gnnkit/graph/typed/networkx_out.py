"""Typed graphs out to networkx: types, names, order, keys and attributes as they came in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from gnnkit.errors import InvalidFeatureError, InvalidGraphError
from gnnkit.graph.attributes import added
from gnnkit.graph.fields import first_difference, raw
from gnnkit.graph.networkx_door import empty_networkx, has_parallel, put_edges, write_rows
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey
from gnnkit.graph.typed.origin import TypedOrigin


def to_networkx_typed(g: TypedGraph) -> Any:
    """Give a typed graph back to networkx. Behind :func:`gk.to_networkx`."""
    if g.num_graphs != 1:
        raise InvalidGraphError(
            f"to_networkx must be given one graph. Got a batch of {g.num_graphs}. "
            "Use [gk.to_networkx(part) for part in gk.unbatch(g)]."
        )
    origin = g.origin if isinstance(g.origin, TypedOrigin) else _plain_origin(g)
    names, places = _nodes_in_order(g, origin)
    edges = _edges_in_order(g, origin, places)
    senders = np.fromiter((edge[0] for edge in edges), np.int64, len(edges))
    receivers = np.fromiter((edge[1] for edge in edges), np.int64, len(edges))
    directed = origin.partner is None
    multigraph = bool(origin.multigraph) or has_parallel(senders, receivers, directed)
    G = empty_networkx(directed=directed, multigraph=multigraph)
    G.graph.update({**write_rows(g.globals, origin.global_columns, "globals", 1)[0], **origin.extra})
    G.add_nodes_from(names)
    put_edges(
        G,
        [(names[s][0], names[r][0]) for s, r, _, _ in edges],
        [key for _, _, key, _ in edges],
        [row for *_, row in edges],
    )
    return G


def _plain_origin(g: TypedGraph) -> TypedOrigin:
    """For a graph that was not made from networkx: nodes are called (type, index)."""
    start = np.cumsum([0, *g.num_nodes.values()])
    return TypedOrigin(
        node_names={name: tuple((name, i) for i in range(count)) for name, count in g.num_nodes.items()},
        node_positions={name: start[k] + np.arange(count) for k, (name, count) in enumerate(g.num_nodes.items())},
    )


def _nodes_in_order(g: TypedGraph, origin: TypedOrigin) -> tuple[list[tuple[Hashable, dict[Any, Any]]], dict[str, Any]]:
    """(name, attributes) of all nodes in their order, and where the nodes of each type stand there."""
    entries: list[tuple[Hashable, dict[Any, Any]]] = []
    for name, fields in g.nodes.items():
        rows = write_rows(fields, origin.node_columns.get(name, {}), "nodes", g.num_nodes[name])
        rows = _with_kind(rows, origin.node_attribute, name, "nodes")
        entries += zip(origin.node_names[name], rows)
    positions = np.concatenate([np.zeros(0, np.int64), *(origin.node_positions[name] for name in g.node_types)])
    order = np.argsort(positions, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ends = np.cumsum([0, *g.num_nodes.values()])
    places = {name: rank[ends[k] : ends[k + 1]] for k, name in enumerate(g.node_types)}
    return [entries[i] for i in order.tolist()], places


def _with_kind(rows: list[dict[Any, Any]], attribute: str | None, kind: str, level: str) -> list[dict[Any, Any]]:
    if attribute is None:
        return rows
    if rows and attribute in rows[0]:  # all rows have the same names; this one refuses
        added(rows[0], attribute, kind, level)
    return [{attribute: kind, **row} for row in rows]


def _edges_in_order(
    g: TypedGraph, origin: TypedOrigin, places: Mapping[str, np.ndarray]
) -> list[tuple[int, int, Hashable, dict[Any, Any]]]:
    """(sender, receiver, key, attributes) of all edges as given, in their order; ends are places among all nodes."""
    if origin.partner is not None:
        _check_directions(g, origin)
    entries: list[tuple[int, tuple[int, int, Hashable, dict[Any, Any]]]] = []
    start = 0
    for key, relation in g.relations.items():
        senders, receivers, fields = relation.to_edges()
        rows = write_rows(fields, origin.edge_columns.get(key, {}), "edges", len(senders))
        rows = _with_kind(rows, origin.edge_attribute, key[1], "edges")
        positions = start + np.arange(len(rows))
        start += len(rows)
        if origin.edge_positions is not None:
            positions = origin.edge_positions[key]
        ends = zip(places[key[0]][senders].tolist(), places[key[2]][receivers].tolist())
        for position, (s, r), row in zip(positions.tolist(), ends, rows):
            if origin.partner is None or origin.partner[position] >= position:
                name = None if origin.edge_keys is None else origin.edge_keys[position]
                entries.append((position, (s, r, name, row)))
    return [entry for _, entry in sorted(entries, key=lambda entry: entry[0])]


def _check_directions(g: TypedGraph, origin: TypedOrigin) -> None:
    """Raise unless both directions of every undirected edge have the same fields and values."""
    assert origin.partner is not None and origin.edge_positions is not None
    where = np.zeros(len(origin.partner), np.int64)
    for mine in origin.edge_positions.values():
        where[mine] = np.arange(len(mine))
    for key, relation in g.relations.items():
        positions = origin.edge_positions[key]
        mirror = g.relations[key[2], key[1], key[0]]
        theirs = mirror.to_edges()[2]
        senders, receivers, fields = relation.to_edges()
        partners = where[origin.partner[positions]]
        for name, value in fields.items():
            row = _first_unequal(raw(value), theirs.get(name), partners)
            if row is not None:
                ends = _ends(g, origin, key, int(senders[row]), int(receivers[row]))
                raise InvalidFeatureError(
                    f"An undirected edge must have the same values in both directions. The edge field {name!r} of "
                    f"{key!r} differs from that of {mirror.key!r}, first at {ends}. Make them equal, or drop the field."
                )


def _first_unequal(mine: np.ndarray, other: Any, partners: np.ndarray) -> int | None:
    if other is None:
        return 0 if len(mine) else None
    theirs = raw(other)
    if mine.shape[1:] != theirs.shape[1:]:
        return 0 if len(mine) else None
    return first_difference(mine, theirs[partners]) if len(mine) else None


def _ends(g: TypedGraph, origin: TypedOrigin, key: RelationKey, sender: int, receiver: int) -> str:
    return f"{origin.node_names[key[0]][sender]!r} -> {origin.node_names[key[2]][receiver]!r}"
