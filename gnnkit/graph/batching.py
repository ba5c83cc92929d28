"""Many graphs as one (``batch``) and back (``unbatch``): disjoint union, no padding; empty graphs stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError, graph_advice, type_name
from gnnkit.graph.fields import ENTRY, concatenate, describe, is_sparse, slice_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.joining import join_grid_topologies
from gnnkit.graph.grids.topology import GridTopology
from gnnkit.graph.origin import BatchOrigin, Origin
from gnnkit.graph.topology import Topology

if TYPE_CHECKING:
    from gnnkit.graph.typed.graph import TypedGraph


@overload
def batch(graphs: Iterable[Graph]) -> Graph: ...
@overload
def batch(graphs: Iterable[TypedGraph]) -> TypedGraph: ...
def batch(graphs: Any) -> Any:
    """Join graphs into one graph of ``num_graphs`` disconnected parts.

    Parameters
    ----------
    graphs : iterable of Graph, or of TypedGraph
        With the same field names, row shapes and dtypes (and types). A batch among them counts as its graphs.

    Returns
    -------
    Graph or TypedGraph
        Nodes, edges and globals one after another; ``node_ptr`` and ``edge_ptr`` mark the boundaries. Tensors keep
        their gradient.

    Raises
    ------
    InvalidFeatureError, ShapeError, DTypeError
        When fields disagree; the text names the first graph that differs from graph 0, and the field.

    Notes
    -----
    Graphs without nodes or edges stay, also at the end. ``batch([])`` is a batch of no graphs. Images of any sizes,
    with or without masks, whose edges follow the same stencil stay a grid.

    Examples
    --------
    >>> import gnnkit as gk
    >>> both = gk.batch([gk.path(2), gk.empty(0), gk.path(3)])
    >>> both.num_graphs, both.node_ptr, both.edge_ptr
    (3, array([0, 2, 2, 5]), array([0, 2, 2, 6]))
    """
    from gnnkit.graph.typed.batching import batch_typed
    from gnnkit.graph.typed.graph import TypedGraph

    if isinstance(graphs, Graph | TypedGraph):
        kind = type(graphs).__name__
        raise DTypeError(f"batch must be given several graphs. Got a single {kind}. Write gk.batch([g, ...]).")
    parts = list(graphs)
    if parts and isinstance(parts[0], TypedGraph):
        return batch_typed(parts)
    for position, part in enumerate(parts):
        if not isinstance(part, Graph):
            raise DTypeError(
                f"Only graphs can be batched. Item {position} is {type_name(part)}. "
                + graph_advice(part, "Give a list of gk.Graph objects.")
            )
    parts = [part for part in parts if part.num_graphs] or parts[:1]  # a batch of no graphs adds none
    if len(parts) == 1:
        return parts[0]
    node_ptr = join_pointers([part.node_ptr for part in parts])
    fields = {level: _join_fields(parts, level) for level in ENTRY}
    return Graph.trusted(
        join_topologies([part.topology for part in parts]),
        fields["nodes"],
        fields["edges"],
        fields["globals"],
        node_ptr=node_ptr,
        origin=_join_origins(parts),
    )


@overload
def unbatch(graph: Graph) -> list[Graph]: ...
@overload
def unbatch(graph: TypedGraph) -> list[TypedGraph]: ...
def unbatch(graph: Any) -> Any:
    """Split a batch into its graphs, the inverse of :func:`batch`; a single graph gives a list of itself.

    Examples
    --------
    >>> import gnnkit as gk
    >>> [g.num_nodes for g in gk.unbatch(gk.batch([gk.path(2), gk.empty(0)]))]
    [2, 0]
    """
    from gnnkit.graph.typed.batching import unbatch_typed
    from gnnkit.graph.typed.graph import TypedGraph

    if isinstance(graph, TypedGraph):
        return unbatch_typed(graph)
    if not isinstance(graph, Graph):
        raise DTypeError(f"Only a Graph can be unbatched. Got {type_name(graph)}. Give what gk.batch returned.")
    if graph.num_graphs == 1:
        return [graph]
    parts = getattr(graph.origin, "parts", None) or (None,) * graph.num_graphs
    return [_part(graph, i, parts[i]) for i in range(graph.num_graphs)]


def join_pointers(pointers: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenate ``[0, ..., n]`` pointers into one, each shifted by the end of the one before."""
    sizes = [np.diff(pointer) for pointer in pointers]
    joined = np.zeros(1 + sum(len(size) for size in sizes), np.int64)
    if sizes:
        np.cumsum(np.concatenate(sizes), out=joined[1:])
    return joined


def join_topologies(parts: Sequence[Topology]) -> Topology:
    """One topology of disconnected parts, each with its own senders and receivers (bipartite or not).

    Grids under the same stencil stay a grid; together with anything else their edges are listed.
    """
    if not parts:
        return Topology.trusted(np.zeros(1, np.int64), np.zeros(0, np.int32), 0)
    grids = join_grid_topologies(parts)
    if grids is not None:
        return grids
    nodes = np.cumsum([0] + [part.num_senders for part in parts])
    edges = np.cumsum([0] + [part.num_edges for part in parts])
    index_type = np.int32 if nodes[-1] < 2**31 else np.int64
    indices = np.concatenate([part.indices.astype(index_type) for part in parts])
    indices += np.repeat(nodes[:-1].astype(index_type), np.diff(edges))
    order = None
    if not all(part.is_caller_ordered for part in parts):
        order = np.concatenate([part.edge_order for part in parts]) + np.repeat(edges[:-1], np.diff(edges))
    return Topology.trusted(join_pointers([part.indptr for part in parts]), indices, int(nodes[-1]), order)


def _join_fields(parts: Sequence[Graph], level: str) -> dict[str, Any]:
    if not parts:
        return {}
    return join_maps([getattr(part, level) for part in parts], level)


def join_maps(maps: Sequence[dict[str, Any]], level: str) -> dict[str, Any]:
    """The fields of one level in all graphs of a batch, joined; names, shapes and dtypes must agree."""
    first = maps[0]
    for position, other in enumerate(maps):
        if other.keys() != first.keys():
            raise InvalidFeatureError(
                f"Graphs of a batch must have the same {ENTRY[level]} fields. Graph 0 has {sorted(first)}, graph "
                f"{position} has {sorted(other)}. Add the missing fields with replace, or drop others with without."
            )
    return {name: _join_values([each[name] for each in maps], level, name) for name in first}


def _join_values(values: Sequence[Any], level: str, name: str) -> Any:
    first = values[0]
    shape, dtype, sparse = first.shape[1:], first.dtype, is_sparse(first)
    for position, value in enumerate(values):
        if value.shape[1:] != shape:
            raise ShapeError(
                f"Rows of the {ENTRY[level]} field {name!r} must have the same shape in all graphs of a batch. "
                f"Graph 0 has {describe(first)}, graph {position} has {describe(value)}. Bring them to one shape."
            )
        same_text = value.dtype.kind == dtype.kind and dtype.kind in "US"
        if (value.dtype != dtype and not same_text) or is_sparse(value) != sparse:
            raise DTypeError(
                f"The {ENTRY[level]} field {name!r} must have one dtype, dense or sparse, in all graphs of a batch. "
                f"Graph 0 has {describe(first)}, graph {position} has {describe(value)}. Convert with .astype."
            )
    return concatenate(values)


def _join_origins(parts: Sequence[Graph]) -> BatchOrigin | None:
    origins: list[Origin | None] = []
    for part in parts:
        if isinstance(part.origin, BatchOrigin):
            origins.extend(part.origin.parts)
        else:
            origins.extend([part.origin] * (part.num_graphs if part.origin is None else 1))
    return BatchOrigin(tuple(origins)) if any(origin is not None for origin in origins) else None


def _part(graph: Graph, i: int, origin: Origin | None) -> Graph:
    (first, last), (start, stop) = graph.node_ptr[i : i + 2].tolist(), graph.edge_ptr[i : i + 2].tolist()
    topology = _topology_of(graph, i, first, last)
    spans = {"nodes": (first, last), "edges": (start, stop), "globals": (i, i + 1)}
    fields = {
        level: {name: slice_rows(value, *span) for name, value in getattr(graph, level).items()}
        for level, span in spans.items()
    }
    return Graph.trusted(topology, fields["nodes"], fields["edges"], fields["globals"], origin=origin)


def _topology_of(graph: Graph, i: int, first: int, last: int) -> Topology:
    whole = graph.topology
    if isinstance(whole, GridTopology) and np.array_equal(graph.node_ptr, whole.grid.node_ptr):
        return whole.part(i)
    return part_topology(whole, (first, last), (first, last))


def part_topology(whole: Topology, senders: tuple[int, int], receivers: tuple[int, int]) -> Topology:
    """The edges received by the nodes ``receivers``, which all come from the nodes ``senders`` (half-open ranges)."""
    (first, last), (low, high) = receivers, senders
    start, stop = int(whole.indptr[first]), int(whole.indptr[last])
    order = None if whole.is_caller_ordered else _local_order(whole.edge_order[start:stop], start)
    indices = whole.indices[start:stop] - whole.indices.dtype.type(low)
    return Topology.trusted(whole.indptr[first : last + 1] - start, indices, high - low, order)


def _local_order(order: np.ndarray, start: int) -> np.ndarray | None:
    local = order - start
    if len(local) and (local.min() < 0 or local.max() >= len(local)):  # edges of several graphs were interleaved
        local = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    return None if np.array_equal(local, np.arange(len(local))) else local
