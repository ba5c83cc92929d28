"""What transforms share: a graph with other edges, made from the old graph's parts. Not public."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import InvalidFeatureError, UnknownFieldError
from gnnkit.graph.fields import raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import BatchOrigin, Origin
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.topology import Topology


def with_edges(
    g: Graph,
    senders: np.ndarray,
    receivers: np.ndarray,
    fields: Mapping[str, Any],
    *,
    origin: Origin | BatchOrigin | None,
) -> Graph:
    """The nodes and globals of ``g`` with these edges, everything in the caller's order."""
    size = {"num_senders": g.num_nodes, "num_receivers": g.num_nodes}
    topology, canonical = canonical_edges(senders, receivers, fields, **size)
    return with_topology(g, topology, canonical, origin=origin)


def with_topology(
    g: Graph, topology: Topology, fields: Mapping[str, Any], *, origin: Origin | BatchOrigin | None
) -> Graph:
    """The nodes and globals of ``g`` on another topology, fields in canonical order."""
    node_ptr = None if g.num_graphs == 1 else g.node_ptr
    return Graph.trusted(topology, g.nodes, fields, g.globals, node_ptr=node_ptr, origin=origin)


def edge_weights(g: Graph, weight: str | None) -> Any:
    """One number per edge, canonical order: the named edge field, or ones (float64) for None."""
    if weight is None:
        return np.ones(g.num_edges)
    if weight not in g.edges:
        raise UnknownFieldError(
            f"weight must be an edge field. Got {weight!r}; the edge fields are {list(g.edges)}. "
            "Choose one of these, or None for weights of 1."
        )
    values = g.edges[weight]
    if values.ndim != 1 or raw(values).dtype.kind not in "iuf":
        raise InvalidFeatureError(
            f"A weight must be one number per edge. The edge field {weight!r} is {values.dtype}{tuple(values.shape)}. "
            "Make a numeric field of shape [num_edges]."
        )
    return values if raw(values).dtype.kind == "f" else values.astype(np.float64)
