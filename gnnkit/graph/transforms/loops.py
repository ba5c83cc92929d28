"""Self-loops: add to every node, add where there are none, remove. Edges keep the caller's order; loops follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidFeatureError
from gnnkit.graph.fields import concatenate, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin, appended
from gnnkit.graph.transforms.rebuild import with_edges


def add_self_loops(g: Graph, *, fill: Any = 1.0) -> Graph:
    """Add the edge ``i -> i`` to every node, also where there is one already.

    Parameters
    ----------
    g : Graph
    fill : number, or mapping from field name to value or row
        What the edge fields hold on the new loops. A number must be exact in each field's dtype.

    Raises
    ------
    InvalidFeatureError, DTypeError
        When ``fill`` lacks a field, or does not fit one.

    Notes
    -----
    The loops follow the other edges in the caller's order. Existing loops become parallel ones;
    :func:`add_remaining_self_loops` leaves those nodes alone.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([0], [1], num_nodes=2, e=[0.5])
    >>> gk.transforms.add_self_loops(g, fill=2).to_edges()
    (array([0, 0, 1], dtype=int32), array([1, 0, 1], dtype=int32), {'e': array([0.5, 2. , 2. ])})
    """
    return _append_loops(g, np.arange(g.num_nodes), fill)


def add_remaining_self_loops(g: Graph, *, fill: Any = 1.0) -> Graph:
    """Add the edge ``i -> i`` to every node that has none; existing loops keep their fields.

    Parameters
    ----------
    g : Graph
    fill : number, or mapping from field name to value or row
        See :func:`add_self_loops`.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([0], [0], num_nodes=2, e=[0.5])
    >>> gk.transforms.add_remaining_self_loops(g).to_edges()
    (array([0, 1], dtype=int32), array([0, 1], dtype=int32), {'e': array([0.5, 1. ])})
    """
    return _append_loops(g, nodes_without_loop(g), fill)


def remove_self_loops(g: Graph) -> Graph:
    """Drop every edge from a node to itself.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.remove_self_loops(gk.complete(3, self_loops=True))
    Graph(num_nodes=3, num_edges=6)
    """
    if not g.topology.has_self_loops():
        return g
    senders, receivers, fields = g.to_edges()
    kept = np.flatnonzero(senders != receivers)
    origin = g.origin.select_edges(kept) if isinstance(g.origin, Origin) else g.origin and g.origin.without_edges()
    fields = {name: take_rows(value, kept) for name, value in fields.items()}
    return with_edges(g, senders[kept], receivers[kept], fields, origin=origin)


def nodes_without_loop(g: Graph) -> np.ndarray:
    """Nodes that have no edge to themselves, ascending."""
    missing = np.ones(g.num_nodes, bool)
    missing[g.receivers[g.topology.self_loops()]] = False
    return np.flatnonzero(missing)


def _append_loops(g: Graph, nodes: np.ndarray, fill: Any) -> Graph:
    senders, receivers, fields = g.to_edges()
    unknown = [name for name in fill if name not in fields] if isinstance(fill, Mapping) else []
    if unknown:
        raise InvalidFeatureError(
            f"fill must name edge fields. Got {unknown[0]!r}; the edge fields are {list(fields)}. Correct the name."
        )
    fields = {name: concatenate([value, filled(name, value, fill, len(nodes))]) for name, value in fields.items()}
    origin = appended(g.origin, len(nodes))
    both = np.concatenate([senders, nodes]), np.concatenate([receivers, nodes])
    return with_edges(g, both[0], both[1], fields, origin=origin)


def filled(name: str, value: Any, fill: Any, count: int) -> np.ndarray:
    """``count`` rows like those of ``value`` that hold ``fill``."""
    if isinstance(fill, Mapping):
        if name not in fill:
            raise InvalidFeatureError(
                f"fill must give a value for every edge field. It gives {list(fill)}, and not {name!r}. "
                f"Add {name!r} to fill, or drop the field with g.without({name!r})."
            )
        fill = fill[name]
    array, item = raw(value), np.asarray(raw(fill))
    if (array.dtype.kind in "US") != (item.dtype.kind in "US") or array.dtype.kind in "mM" or item.dtype.kind in "OmM":
        raise DTypeError(
            f"fill must fit the dtype of each edge field. The field {name!r} is {array.dtype}, fill is {fill!r}. "
            f"Pass fill={{{name!r}: value}} with one that fits, or drop the field."
        )
    dtype = np.result_type(array.dtype, item.dtype) if array.dtype.kind in "US" else array.dtype
    try:
        row = np.broadcast_to(item.astype(dtype), array.shape[1:])
    except ValueError:
        raise InvalidFeatureError(
            f"fill must fit a row of each edge field. The field {name!r} has rows of shape {array.shape[1:]}, "
            f"fill has {item.shape}. Give one number or one row."
        ) from None
    if dtype.kind in "biu" and not np.array_equal(item.astype(dtype), item):
        raise DTypeError(
            f"fill must be exact in the dtype of each edge field. The field {name!r} is {array.dtype}, "
            f"fill is {fill!r}. "
            f"Pass fill={{{name!r}: value}} with one that fits, or convert the field."
        )
    return np.broadcast_to(row, (count, *array.shape[1:]))
