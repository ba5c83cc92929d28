"""The first door of typed graphs: lists of senders and receivers per relation in, a TypedGraph out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError
from gnnkit.graph.checks import as_index, check_endpoints, check_lengths
from gnnkit.graph.fields import as_field
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.checks import as_mapping, checked_counts, checked_ends
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, within
from gnnkit.graph.validate import checked_name


def typed_graph(
    num_nodes: Mapping[str, int] | None = None,
    *,
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
    edges: Mapping[RelationKey, Any] | None = None,
    globals: Mapping[str, Any] | None = None,
    allow_nan: bool = False,
) -> TypedGraph:
    """Build a graph with several types of nodes and of edges.

    Parameters
    ----------
    num_nodes : mapping of node type to int
        Number of nodes of every type. May leave out types that have features; it is never guessed from the edges.
    nodes : mapping of node type to mapping of field to array [num_nodes of that type, ...], optional
        Node features; widths and dtypes may differ from type to type.
    edges : mapping of (sender type, name, receiver type) to edges, optional
        Edges are a tuple ``(senders, receivers)``, an integer array [2, num_edges], a tuple
        ``(senders, receivers, {field: values})``, or a mapping ``{"senders": ..., "receivers": ..., field: values}``.
        Senders and receivers are indices within their types; fields [num_edges, ...] are in the order of the edges.
    globals : mapping of field to array [1, ...], optional
        Fields of the graph itself.
    allow_nan : bool
        Accept NaN in features.

    Returns
    -------
    TypedGraph
        ``g[relation].to_edges()`` gives the edges back in the order given here.

    Raises
    ------
    DTypeError, InvalidGraphError, InvalidFeatureError, ShapeError, UnknownNameError
        The text names the node type or relation, the field and the first offending edge or node.

    Notes
    -----
    Types without nodes and relations without edges are kept: they belong to the schema. Self-loops (within a type)
    and parallel edges are kept.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> writes, cites = ("author", "writes", "paper"), ("paper", "cites", "paper")
    >>> g = gk.typed_graph(
    ...     num_nodes={"author": 2},
    ...     nodes={"paper": {"x": np.eye(3), "y": [0, 1, 1]}},
    ...     edges={writes: ([0, 1, 1], [0, 0, 2]), cites: {"senders": [2], "receivers": [0], "e": [0.5]}},
    ... )
    >>> g.schema
    author                     2 nodes
    paper                      3 nodes  x float64[3], y int64
    author -> writes -> paper  3 edges
    paper -> cites -> paper     1 edge  e float64
    """
    counts = checked_counts(num_nodes, as_mapping(nodes, "nodes", "{'paper': {'x': values}}"))
    topologies: dict[RelationKey, Topology] = {}
    fields: dict[RelationKey, dict[str, Any]] = {}
    given = as_mapping(edges, "edges", "{('author', 'writes', 'paper'): (senders, receivers)}")
    for name, one in given.items():
        key = checked_ends(name, counts)
        with within(key):
            senders, receivers, values = _split(one)
            topologies[key], fields[key] = _sorted(key, senders, receivers, values, counts)
    return TypedGraph(counts, topologies, nodes=nodes, edges=fields, globals=globals, allow_nan=allow_nan)


def _split(edges: Any) -> tuple[Any, Any, Mapping[Any, Any]]:
    if isinstance(edges, Mapping):
        absent = [name for name in ("senders", "receivers") if name not in edges]
        if absent:
            raise InvalidArgumentError(
                "A mapping of edges must have senders and receivers. "
                f"Got the keys {list(edges)}, without {' and '.join(absent)}. "
                "Write {'senders': [...], 'receivers': [...], 'e': values}."
            )
        fields = {name: value for name, value in edges.items() if name not in ("senders", "receivers")}
        return edges["senders"], edges["receivers"], fields
    if isinstance(edges, np.ndarray) and edges.ndim == 2 and len(edges) == 2:
        return edges[0], edges[1], {}
    if isinstance(edges, tuple) and len(edges) == 2:
        return edges[0], edges[1], {}
    if isinstance(edges, tuple) and len(edges) == 3:
        return edges[0], edges[1], as_mapping(edges[2], "edge fields", "{'e': values}")
    shape = f" of shape {edges.shape}" if isinstance(edges, np.ndarray) else ""
    raise DTypeError(
        "The edges of a relation must be a tuple (senders, receivers), an array [2, num_edges], or a mapping. "
        f"Got {type(edges).__name__}{shape}. Write ([0, 1], [2, 0]) for the edges 0 -> 2 and 1 -> 0."
    )


def _sorted(
    key: RelationKey, senders: Any, receivers: Any, fields: Mapping[Any, Any], counts: Mapping[str, int]
) -> tuple[Topology, dict[str, Any]]:
    senders, receivers = as_index(senders, "senders"), as_index(receivers, "receivers")
    check_lengths(senders, receivers)
    num_senders, num_receivers = counts[key[0]], counts[key[2]]
    names = f"num_nodes[{key[0]!r}]", f"num_nodes[{key[2]!r}]"
    check_endpoints(senders, receivers, num_senders=num_senders, num_receivers=num_receivers, counts=names)
    values = {checked_name(name, "edges"): as_field(one, "edges", name, len(senders)) for name, one in fields.items()}
    return canonical_edges(senders, receivers, values, num_senders=num_senders, num_receivers=num_receivers)
