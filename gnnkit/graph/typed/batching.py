"""Many typed graphs as one, and back: type by type, relation by relation; empty graphs stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidGraphError, type_name
from gnnkit.graph.batching import join_maps, join_pointers, join_topologies, part_topology
from gnnkit.graph.fields import slice_rows
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, within
from gnnkit.graph.typed.origin import TypedBatchOrigin, TypedOrigin


def batch_typed(graphs: Sequence[TypedGraph]) -> TypedGraph:
    """Join typed graphs of the same types, relations and fields. Behind :func:`gk.batch`."""
    for position, graph in enumerate(graphs):
        if not isinstance(graph, TypedGraph):
            raise DTypeError(
                f"Graphs of a batch must all be typed or all be plain. Item 0 is a TypedGraph, item {position} is "
                f"{type_name(graph)}. Convert one kind: g.to_homogeneous() or gk.from_homogeneous(...)."
            )
    parts = [part for part in graphs if part.num_graphs] or list(graphs[:1])
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for position, part in enumerate(parts):
        _check_types(first, part, position)
    nodes, edges, topologies = {}, {}, {}
    for name in first.node_types:
        with within(name):
            nodes[name] = join_maps([part.nodes[name] for part in parts], "nodes")
    for key in first.edge_types:
        topologies[key] = join_topologies([part.relations[key].topology for part in parts])
        with within(key):
            edges[key] = join_maps([part.relations[key].edges for part in parts], "edges")
    with within(None):
        globals = join_maps([part.globals for part in parts], "globals")
    pointers = {name: join_pointers([part.node_ptr[name] for part in parts]) for name in first.node_types}
    return TypedGraph.trusted(
        {name: int(pointer[-1]) for name, pointer in pointers.items()},
        topologies,
        nodes=nodes,
        edges=edges,
        globals=globals,
        node_ptr=pointers,
        num_graphs=sum(part.num_graphs for part in parts),
        origin=_join_origins(parts),
    )


def _check_types(first: TypedGraph, part: TypedGraph, position: int) -> None:
    for what, mine, theirs in (
        ("node types", first.node_types, part.node_types),
        ("relations", first.edge_types, part.edge_types),
    ):
        if set(mine) != set(theirs):
            raise InvalidGraphError(
                f"Graphs of a batch must have the same {what}. Graph 0 has {list(mine)}, graph {position} has "
                f"{list(theirs)}. Add those that are missing without nodes or edges, or drop others with g.select(...)."
            )


def _join_origins(parts: Sequence[TypedGraph]) -> TypedBatchOrigin | None:
    origins: list[TypedOrigin | None] = []
    for part in parts:
        if isinstance(part.origin, TypedBatchOrigin):
            origins.extend(part.origin.parts)
        else:
            origins.extend([part.origin] * (part.num_graphs if part.origin is None else 1))
    return TypedBatchOrigin(tuple(origins)) if any(origin is not None for origin in origins) else None


def unbatch_typed(graph: TypedGraph) -> list[TypedGraph]:
    """Split a batch of typed graphs. Behind :func:`gk.unbatch`."""
    if graph.num_graphs == 1:
        return [graph]
    origins = getattr(graph.origin, "parts", None) or (None,) * graph.num_graphs
    node_ptr, edge_ptr = graph.node_ptr, graph.edge_ptr
    return [_part(graph, i, node_ptr, edge_ptr, origins[i]) for i in range(graph.num_graphs)]


def _part(graph: TypedGraph, i: int, node_ptr: Any, edge_ptr: Any, origin: TypedOrigin | None) -> TypedGraph:
    spans = {name: _span(pointer, i) for name, pointer in node_ptr.items()}
    topologies: dict[RelationKey, Topology] = {}
    edges: dict[RelationKey, dict[str, Any]] = {}
    for key, relation in graph.relations.items():
        topologies[key] = part_topology(relation.topology, spans[key[0]], spans[key[2]])
        edges[key] = _rows(relation.edges, _span(edge_ptr[key], i))
    return TypedGraph.trusted(
        {name: stop - start for name, (start, stop) in spans.items()},
        topologies,
        nodes={name: _rows(graph.nodes[name], span) for name, span in spans.items()},
        edges=edges,
        globals=_rows(graph.globals, (i, i + 1)),
        origin=origin,
    )


def _span(pointer: np.ndarray, i: int) -> tuple[int, int]:
    return int(pointer[i]), int(pointer[i + 1])


def _rows(fields: Any, span: tuple[int, int]) -> dict[str, Any]:
    return {name: slice_rows(value, *span) for name, value in fields.items()}
