"""Checks of a typed graph at its door: counts, keys, topologies, boundaries, fields. Every error names the type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidGraphError, ShapeError, unknown_name
from gnnkit.graph.bounds import as_node_ptr, check_crossing
from gnnkit.graph.checks import as_count
from gnnkit.graph.edges import node_count
from gnnkit.graph.fields import FieldMap
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.keys import RelationKey, TypedFields, as_relation, as_type, within
from gnnkit.graph.validate import checked_fields, refuse_nan_rows


def as_mapping(value: Any, name: str, advice: str) -> Mapping[Any, Any]:
    """Return ``value`` if it is a mapping, an empty one for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DTypeError(f"{name} must be a mapping. Got {type(value).__name__}. Write {name}={advice}.")
    return value


def checked_counts(num_nodes: Any, nodes: Mapping[Any, Any]) -> dict[str, int]:
    """Number of nodes of every type: as given, or as many as its features have rows; never from the edges."""
    given = as_mapping(num_nodes, "num_nodes", "{'author': 3, 'paper': 5}")
    counts = {as_type(name): as_count(count, f"num_nodes[{name!r}]") for name, count in given.items()}
    for name, fields in nodes.items():
        with within(as_type(name)):
            if name not in counts:
                counts[name] = node_count(None, as_mapping(fields, "nodes", f"{{{name!r}: {{'x': values}}}}"))
    return counts


def checked_ends(key: Any, counts: Mapping[str, int]) -> RelationKey:
    """Return ``key`` if it is a relation between known node types."""
    sender, name, receiver = as_relation(key)
    with within((sender, name, receiver)):
        for end in (sender, receiver):
            if end not in counts:
                raise unknown_name("node type", end, counts)
    return sender, name, receiver


def checked_topologies(relations: Any, counts: Mapping[str, int]) -> dict[RelationKey, Topology]:
    """Relations whose topologies have as many senders and receivers as their types have nodes."""
    checked = {}
    for given, topology in as_mapping(relations, "relations", "{('author', 'writes', 'paper'): topology}").items():
        key = checked_ends(given, counts)
        with within(key):
            checked[key] = checked_topology(topology, key, counts)
    return checked


def checked_topology(topology: Any, key: RelationKey, counts: Mapping[str, int]) -> Topology:
    """Return ``topology`` if it has the right numbers of nodes."""
    if not isinstance(topology, Topology):
        raise InvalidGraphError(
            f"The edges of a relation must be a Topology. Got {type(topology).__name__}. "
            "Use gk.typed_graph(num_nodes=..., edges={relation: (senders, receivers)})."
        )
    want = counts[key[0]], counts[key[2]]
    if (topology.num_senders, topology.num_receivers) != want:
        raise InvalidGraphError(
            f"A topology must have the nodes of its types: {want[0]} senders ({key[0]!r}) and {want[1]} receivers "
            f"({key[2]!r}). Got {topology.num_senders} senders and {topology.num_receivers} receivers. "
            "Build it with Topology.from_edges(senders, receivers, num_senders=..., num_receivers=...)."
        )
    return topology


def checked_pointers(
    node_ptr: Any, counts: Mapping[str, int], topologies: Mapping[RelationKey, Topology]
) -> dict[str, np.ndarray] | None:
    """Boundaries of the graphs of a batch for every type; None for a single graph."""
    if node_ptr is None:
        return None
    given = as_mapping(node_ptr, "node_ptr", "{'author': [0, 1, 3], 'paper': [0, 2, 5]}")
    pointers: dict[str, np.ndarray] = {}
    for name in [*counts, *given]:
        if name not in given or name not in counts:
            raise InvalidGraphError(
                f"node_ptr must have one entry per node type: {sorted(counts)}. Got {sorted(map(str, given))}. "
                f"Correct {name!r}."
            )
        with within(name):
            pointers[name] = as_node_ptr(given[name], counts[name])
    lengths = {name: len(pointer) - 1 for name, pointer in pointers.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeError(
            f"node_ptr must have as many graphs for every type. Got {lengths}. "
            "A type without nodes in a graph repeats its boundary there."
        )
    for key, topology in topologies.items():
        with within(key):
            edge_ptr = topology.indptr[pointers[key[2]]]
            check_crossing(topology, K.expand_indptr(pointers[key[0]]), K.expand_indptr(edge_ptr))
    return pointers


def checked_node_fields(nodes: Any, counts: Mapping[str, int]) -> dict[str, TypedFields]:
    """The field maps of every type; types without fields have empty ones."""
    given = as_mapping(nodes, "nodes", "{'paper': {'x': values}}")
    for name in given:
        if name not in counts:
            raise unknown_name("node type", as_type(name), counts)
    return {name: fields_of(given.get(name), "nodes", name, count) for name, count in counts.items()}


def checked_edge_fields(edges: Any, topologies: Mapping[RelationKey, Topology]) -> dict[RelationKey, TypedFields]:
    """The field maps of every relation, in canonical order."""
    given = as_mapping(edges, "edges", "{('author', 'writes', 'paper'): {'e': values}}")
    for key in given:
        if key not in topologies:
            raise unknown_name("relation", str(as_relation(key)), map(str, topologies))
    return {key: fields_of(given.get(key), "edges", key, one.num_edges) for key, one in topologies.items()}


def fields_of(fields: Any, level: str, key: str | RelationKey | None, count: int) -> TypedFields:
    """One checked field map."""
    with within(key):
        return TypedFields(level, checked_fields(fields, level, count), key)


def refuse_nan_nodes(fields: FieldMap, names: tuple[Any, ...] | None) -> None:
    """Raise naming the first node with a NaN, by its name where it has one."""
    refuse_nan_rows(fields, lambda row: f"node {row}" if names is None else f"node {names[row]!r} (index {row})")


def refuse_nan_edges(fields: FieldMap, topology: Topology, senders: Any, receivers: Any) -> None:
    """Raise naming the first edge with a NaN, by the caller's position and its ends: by their names, if not None."""

    def label(row: int) -> str:
        position = int(topology.edge_order[row])
        s, r = int(topology.senders[row]), int(topology.receivers[row])
        named = senders is not None and receivers is not None
        return f"edge {position} ({senders[s]!r} -> {receivers[r]!r})" if named else f"edge {position} ({s} -> {r})"

    refuse_nan_rows(fields, label)
