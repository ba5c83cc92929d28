"""New typed graphs from old ones: fields replaced or dropped, types selected. Behind the methods of TypedGraph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gnnkit.errors import InvalidArgumentError, InvalidGraphError, UnknownFieldError, unknown_name
from gnnkit.graph.fields import FieldMap
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.checks import as_mapping, checked_ends, checked_pointers, checked_topology, fields_of
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, TypedFields, as_type, place, within
from gnnkit.graph.typed.views import Relation


def replaced(g: TypedGraph, x: Any, e: Any, u: Any, nodes: Any, edges: Any, globals: Any, relations: Any) -> TypedGraph:
    """See :meth:`TypedGraph.replace`."""
    new_nodes: dict[str, FieldMap] = dict(g.nodes)
    for name, fields in _with_short("nodes", nodes, "x", x).items():
        if name not in g.nodes:
            raise unknown_name("node type", as_type(name), g.nodes)
        new_nodes[name] = _merged(g.nodes[name], fields, "nodes", name, g.num_nodes[name])
    new_edges = _with_short("edges", edges, "e", e)
    new_relations, origin = dict(g.relations), g.origin
    topologies = _checked(g, relations)
    if any(key not in g.relations or one is not g.relations[key].topology for key, one in topologies.items()):
        origin = None if origin is None else origin.without_edges()
    for key, topology in topologies.items():
        new_relations[key] = Relation(key, topology, _kept_edges(g, key, topology, new_edges.get(key, {})))
    for key, fields in new_edges.items():
        if key not in new_relations:
            raise unknown_name("relation", str(key), map(str, new_relations))
        old = new_relations[key]
        new_relations[key] = Relation(key, old.topology, _merged(old.edges, fields, "edges", key, old.num_edges))
    new_globals = g.globals
    if globals is not None or u is not None:
        given = dict(as_mapping(globals, "globals", "{'u': values}"))
        if u is not None:
            given["u"] = u
        new_globals = _merged(g.globals, given, "globals", None, g.num_graphs)
    return _rebuilt(g, new_nodes, new_relations, new_globals, origin)


def _rebuilt(g: TypedGraph, nodes: Any, relations: Any, globals: Any, origin: Any) -> TypedGraph:
    graph = object.__new__(TypedGraph)
    pointers = g._node_ptr
    graph._fill(
        nodes,
        relations,
        globals,
        counts={name: g.num_nodes[name] for name in nodes},
        node_ptr=None if pointers is None else {name: pointers[name] for name in nodes},
        num_graphs=g.num_graphs,
        origin=origin,
    )
    return graph


def _with_short(level: str, fields: Any, short: str, values: Any) -> dict[Any, Any]:
    example = "{'paper': {'x': values}}" if level == "nodes" else "{relation: {'e': values}}"
    merged = {key: as_mapping(one, level, example) for key, one in as_mapping(fields, level, example).items()}
    for key, value in as_mapping(values, short, "{'paper': values}" if short == "x" else "{relation: values}").items():
        if short in merged.get(key, ()):
            raise InvalidArgumentError(
                f"A field must be given once. Got {short}[{key!r}] and {level}[{key!r}][{short!r}]. Drop one of them."
            )
        merged[key] = {short: value, **merged.get(key, {})}
    return merged


def _merged(old: FieldMap, new: Any, level: str, key: Any, count: int) -> TypedFields:
    return TypedFields(level, {**old, **fields_of(new, level, key, count)}, key)


def _checked(g: TypedGraph, relations: Any) -> dict[RelationKey, Topology]:
    checked = {}
    for given, topology in as_mapping(relations, "relations", "{relation: topology}").items():
        key = checked_ends(given, g.num_nodes)
        with within(key):
            checked[key] = checked_topology(topology, key, g.num_nodes)
    if g.num_graphs != 1:
        checked_pointers(g._node_ptr, g.num_nodes, checked)
    return checked


def _kept_edges(g: TypedGraph, key: RelationKey, topology: Topology, given: Mapping[str, Any]) -> FieldMap:
    if key not in g.relations:
        return TypedFields("edges", {}, key)
    old = g.relations[key]
    if topology is old.topology:
        return old.edges
    stale = ", ".join(repr(name) for name in old.edges if name not in given)
    if stale:
        raise InvalidGraphError(
            f"Edge fields must belong to the edges of the topology. Replacing that of {place(key)} leaves "
            f"{stale} from the old edges. "
            f"Give them anew in the same call, or drop them with g.without({stale}, at={key!r})."
        )
    return TypedFields("edges", {}, key)


def stripped(g: TypedGraph, names: Sequence[str], at: str | RelationKey | None) -> TypedGraph:
    """See :meth:`TypedGraph.without`."""
    if at is not None and at not in g:
        raise unknown_name("node type or relation", str(at), map(str, (*g.node_types, *g.edge_types)))
    places: dict[Any, FieldMap] = {**g.nodes, **{key: one.edges for key, one in g.relations.items()}}
    places = {at: places[at]} if at is not None else {**places, None: g.globals}
    for name in names:
        if not any(name in fields for fields in places.values()):
            there = {place(key): list(fields) for key, fields in places.items() if fields}
            raise UnknownFieldError(
                f"A field must exist to be dropped. No field {name!r}; there are {there}. Check the name."
            )
    kept = {
        key: TypedFields(fields.level, {name: one for name, one in fields.items() if name not in names}, key)
        if any(name in fields for name in names)
        else fields
        for key, fields in places.items()
    }
    nodes = {name: kept.get(name, fields) for name, fields in g.nodes.items()}
    relations = {key: Relation(key, one.topology, kept.get(key, one.edges)) for key, one in g.relations.items()}
    return _rebuilt(g, nodes, relations, kept.get(None, g.globals), g.origin)


def selected(g: TypedGraph, node_types: Iterable[str] | None, relations: Iterable[RelationKey] | None) -> TypedGraph:
    """See :meth:`TypedGraph.select`."""
    wanted = None if relations is None else chosen_relations(g, relations)
    types = list(g.nodes) if node_types is None else [as_type(name) for name in _several(node_types, "node_types")]
    for name in types:
        if name not in g.nodes:
            raise unknown_name("node type", name, g.nodes)
    if node_types is None and wanted is not None:
        needed = {end for key in wanted for end in (key[0], key[2])}
        types = [name for name in types if name in needed]
    keys = [key for key in g.relations if key[0] in types and key[2] in types] if wanted is None else wanted
    loose = next((key for key in keys if key[0] not in types or key[2] not in types), None)
    if loose is not None:
        raise InvalidArgumentError(
            f"A relation needs the nodes of both its ends. The {place(loose)} is selected with the node types {types}. "
            "Select its two node types as well, or leave node_types out."
        )
    origin = None if g.origin is None else g.origin.select(types, keys)
    nodes = {name: g.nodes[name] for name in types}
    return _rebuilt(g, nodes, {key: g.relations[key] for key in keys}, g.globals, origin)


def chosen_relations(g: TypedGraph, relations: Iterable[RelationKey] | None) -> list[RelationKey]:
    """The relations that were asked for, all by default; every one must exist."""
    if relations is None:
        return list(g.relations)
    keys = [checked_ends(key, g.num_nodes) for key in _several(relations, "relations")]
    for key in keys:
        if key not in g.relations:
            raise unknown_name("relation", str(key), map(str, g.relations))
    return keys


def _several(names: Any, what: str) -> list[Any]:
    if isinstance(names, str) or (isinstance(names, tuple) and len(names) == 3 and what == "relations"):
        as_list = [names]
        if what == "node_types" or all(isinstance(part, str) for part in names):
            raise InvalidArgumentError(f"{what} must list several names. Got {names!r}. Write {what}={as_list!r}.")
    try:
        return list(names)
    except TypeError:
        raise InvalidArgumentError(f"{what} must be a list. Got {type(names).__name__}. Write {what}=[...].") from None
