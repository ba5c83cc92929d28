"""The first door: lists of senders and receivers in, a Graph out. ``Graph.to_edges`` is the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidGraphError
from gnnkit.graph.checks import as_count, as_index, check_endpoints, check_lengths
from gnnkit.graph.fields import as_field, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin
from gnnkit.graph.parallel import canonical_edges


def from_edges(
    senders: Any,
    receivers: Any,
    *,
    num_nodes: int | None = None,
    x: Any = None,
    e: Any = None,
    u: Any = None,
    nodes: Mapping[str, Any] | None = None,
    edges: Mapping[str, Any] | None = None,
    globals: Mapping[str, Any] | None = None,
    undirected: bool = False,
    allow_nan: bool = False,
) -> Graph:
    """Build a graph from lists of edges.

    Parameters
    ----------
    senders, receivers : integers [num_edges]
        Edge k goes from ``senders[k]`` to ``receivers[k]``, both node indices 0 <= i < num_nodes.
    num_nodes : int, optional
        Number of nodes. May be left out only if a node field is given; it is never guessed from the indices.
    x, nodes : array [num_nodes, ...] / mapping of such, optional
        Node fields; ``x`` is short for ``nodes={"x": ...}``. ``scipy.sparse`` matrices stay sparse.
    e, edges : array [num_edges, ...] / mapping of such, optional
        Edge fields in the order of ``senders``.
    u, globals : array [1, ...] / mapping of such, optional
        Fields of the graph itself.
    undirected : bool
        Also add the reverse of every edge that is no self-loop, with a copy of its fields. The reverses follow the
        given edges, in the same order.
    allow_nan : bool
        Accept NaN in features.

    Returns
    -------
    Graph
        ``g.to_edges()`` gives the edges back in the order given here.

    Raises
    ------
    InvalidGraphError, DTypeError, ShapeError, InvalidFeatureError, InvalidArgumentError
        The text names the first offending edge or node and the field.

    Notes
    -----
    Self-loops and parallel edges are kept (``gk.transforms`` removes or merges them): with ``undirected=True`` a list
    that already holds both directions yields every edge twice. Parallel edges are stored in the order of what they
    carry, so that no sum depends on the order of the lists. Empty lists are a graph without edges.
    Cost: one counting sort, O(num_edges + num_nodes).

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([2, 0], [0, 1], num_nodes=3, e=[0.5, 0.25], undirected=True)
    >>> senders, receivers, fields = g.to_edges()
    >>> senders, receivers, fields["e"]
    (array([2, 0, 0, 1], dtype=int32), array([0, 1, 2, 0], dtype=int32), array([0.5 , 0.25, 0.5 , 0.25]))
    """
    nodes = with_short("nodes", nodes, "x", x)
    edges = with_short("edges", edges, "e", e)
    globals = with_short("globals", globals, "u", u)
    num_nodes = node_count(num_nodes, nodes)
    senders, receivers = as_index(senders, "senders"), as_index(receivers, "receivers")
    check_lengths(senders, receivers)
    check_endpoints(senders, receivers, num_senders=num_nodes, num_receivers=num_nodes)
    edges = {name: as_field(value, "edges", name, len(senders)) for name, value in edges.items()}
    origin = None
    if undirected:
        senders, receivers, edges, partner = add_reverses(senders, receivers, edges)
        origin = Origin(partner=partner)
    return graph_from_arrays(
        senders, receivers, num_nodes, nodes=nodes, edges=edges, globals=globals, origin=origin, allow_nan=allow_nan
    )


def graph_from_arrays(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    nodes: Mapping[str, Any] | None = None,
    edges: Mapping[str, Any] | None = None,
    globals: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
    allow_nan: bool = False,
) -> Graph:
    """Sort checked edges, put the edge fields in canonical order, and check the fields."""
    fields = {name: as_field(value, "edges", name, len(senders)) for name, value in (edges or {}).items()}
    topology, fields = canonical_edges(senders, receivers, fields, num_senders=num_nodes, num_receivers=num_nodes)
    return Graph(topology, nodes, fields, globals, origin=origin, allow_nan=allow_nan)


def add_reverses(
    senders: np.ndarray, receivers: np.ndarray, fields: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any], np.ndarray]:
    """Append the reverse of every edge that is no self-loop, with copies of its fields; also says who is whose."""
    count = len(senders)
    extra = np.flatnonzero(senders != receivers)
    source = np.concatenate([np.arange(count), extra])
    partner = np.concatenate([np.arange(count), extra])
    partner[extra] = np.arange(count, count + len(extra))
    both = np.concatenate([senders, receivers[extra]]), np.concatenate([receivers, senders[extra]])
    return both[0], both[1], {name: take_rows(value, source) for name, value in fields.items()}, partner


def with_short(level: str, fields: Mapping[str, Any] | None, short: str, value: Any) -> dict[str, Any]:
    """The mapping ``fields`` with ``value`` under its short name; both at once is an error."""
    merged = dict(fields or {})
    if value is None:
        return merged
    if short in merged:
        raise InvalidArgumentError(
            f"A field must be given once. Got {short}= and {level}={{{short!r}: ...}}. Drop one of them."
        )
    return {short: value, **merged}


def node_count(num_nodes: int | None, nodes: Mapping[str, Any]) -> int:
    """The given number of nodes, or the length of the first node field; neither is an error."""
    if num_nodes is not None:
        return as_count(num_nodes, "num_nodes")
    for value in nodes.values():
        shape = value.shape if hasattr(value, "shape") else np.shape(value)
        if len(shape):
            return int(shape[0])
    raise InvalidGraphError(
        "The number of nodes must be given, by num_nodes= or by node features; it is never guessed from the largest "
        "index, which would lose isolated nodes. Got neither. Pass num_nodes=."
    )
