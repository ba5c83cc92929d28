"""The pandas door: a table of edges (and one of nodes) in, two tables out. pandas is imported when it is used."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidGraphError,
    require_package,
    unknown_name,
)
from gnnkit.graph.attributes import Selection, added, pack, read_fields, unpack_field
from gnnkit.graph.checks import as_count, as_index, check_endpoints
from gnnkit.graph.edges import add_reverses, graph_from_arrays
from gnnkit.graph.graph import Graph
from gnnkit.graph.networkx_door import undo_reverses
from gnnkit.graph.origin import Attribute, Origin

if TYPE_CHECKING:
    import pandas as pd


class Tables(NamedTuple):
    """The edges and the nodes of a graph as pandas tables."""

    edges: pd.DataFrame
    nodes: pd.DataFrame


def from_pandas(
    edges: pd.DataFrame,
    *,
    source: str,
    target: str,
    edge_attrs: Selection = None,
    nodes: pd.DataFrame | None = None,
    node_id: str | None = None,
    node_attrs: Selection = None,
    num_nodes: int | None = None,
    directed: bool = True,
    dtype: DTypeLike | None = None,
    allow_nan: bool = False,
) -> Graph:
    """Build a graph from a table of edges, one row per edge.

    Parameters
    ----------
    edges : DataFrame
        Row k is the edge from the node named in column ``source`` to that in column ``target``; the caller's order is
        that of the rows.
    source, target : str
        Column names.
    edge_attrs, node_attrs : None, list of names, or mapping, optional
        As in :func:`from_networkx`: every other column (None), those listed, or ``{field: column(s)}``.
    nodes : DataFrame, optional
        One row per node, in node order, isolated ones included. Names are the index, or the column ``node_id``.
    num_nodes : int, optional
        Instead of ``nodes``: source and target are then node indices 0 <= i < num_nodes. Without both, the nodes are
        the names that occur, in order of first appearance (row by row, source before target).
    directed : bool
        False makes each row an undirected edge (two directed ones; a self-loop one).
    dtype : dtype, optional
        Of floating and stacked fields; default: as given.
    allow_nan : bool
        Accept NaN in attributes.

    Raises
    ------
    UnknownNameError
        For a column that does not exist.
    InvalidGraphError
        When a name is missing, absent from ``nodes``, or given twice there; the text names the row.
    InvalidFeatureError
        When a column mixes kinds; the text names the first offending row.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import pandas as pd
    >>> table = pd.DataFrame({"from": ["a", "c"], "to": ["b", "a"], "km": [3.0, 4.0]})
    >>> g = gk.from_pandas(table, source="from", target="to")
    >>> g, g.origin.node_names
    (Graph(num_nodes=3, num_edges=2, km=float64[2]), ('a', 'b', 'c'))
    """
    for column in (source, target):
        if column not in edges.columns:
            raise unknown_name("column of the edge table", column, map(str, edges.columns))
    names, count, senders, receivers = _node_names(edges, source, target, nodes, node_id, num_nodes)
    edge_fields, edge_columns = _read(edges, edge_attrs, {source, target}, "edges", dtype)
    node_fields, node_columns = ({}, {}) if nodes is None else _read(nodes, node_attrs, {node_id}, "nodes", dtype)
    partner = None
    if not directed:
        senders, receivers, edge_fields, partner = add_reverses(senders, receivers, edge_fields)
    origin = Origin(node_names=names, partner=partner, columns={"nodes": node_columns, "edges": edge_columns})
    return graph_from_arrays(
        senders,
        receivers,
        count,
        nodes=node_fields,
        edges=edge_fields,
        origin=origin,
        allow_nan=allow_nan,
    )


def to_pandas(g: Graph, *, source: str = "source", target: str = "target") -> Tables:
    """Give a graph back as ``(edges, nodes)`` tables, edges in the caller's order, nodes indexed by name.

    Parameters
    ----------
    g : Graph
        One graph or a batch (then a column ``graph`` tells the graph of each node).
    source, target : str
        Names of the end columns.

    Notes
    -----
    A field that was read from columns returns under their names. Rows of other fields of several numbers are spread
    over columns ``name_0``, ``name_1`` ...; sparse ones densely. Two columns of one name (a field called as ``source``
    is) are refused. An undirected graph gives one row per edge. Globals
    have no place in the two tables.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.to_pandas(gk.path(3)).edges
       source  target
    0       0       1
    1       1       2
    """
    pd = _pandas()
    origin = g.origin if isinstance(g.origin, Origin) else Origin()
    senders, receivers, fields = g.to_edges()
    if origin.partner is not None:
        senders, receivers, fields = undo_reverses(senders, receivers, fields, origin)
    names = origin.node_names
    ends: dict[Hashable, Any] = {source: _named(senders, names), target: _named(receivers, names)}
    index = None if names is None else pd.Index(_object_array(names), tupleize_cols=False)
    graphs: dict[Hashable, Any] = {"graph": g.node_graph} if g.num_graphs != 1 else {}
    node_columns = _columns(dict(g.nodes), origin, "nodes", graphs)
    node_table = pd.DataFrame(node_columns, index=pd.RangeIndex(g.num_nodes) if index is None else index)
    edge_table = pd.DataFrame(_columns(fields, origin, "edges", ends), index=pd.RangeIndex(len(senders)))
    return Tables(edge_table, node_table)


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise require_package("pandas", "pandas", "Reading or writing tables") from None
    return pd


def _node_names(
    edges: pd.DataFrame,
    source: str,
    target: str,
    nodes: pd.DataFrame | None,
    node_id: str | None,
    num_nodes: int | None,
) -> tuple[tuple[Hashable, ...] | None, int, np.ndarray, np.ndarray]:
    """Names of the nodes (None: their indices), how many, and the ends of every edge as indices."""
    if nodes is not None and num_nodes is not None:
        raise InvalidArgumentError("Give nodes= or num_nodes=, not both. Got both. Drop num_nodes.")
    if num_nodes is not None:
        senders, receivers = as_index(edges[source], source), as_index(edges[target], target)
        limit = as_count(num_nodes, "num_nodes")
        check_endpoints(senders, receivers, num_senders=limit, num_receivers=limit)
        return None, limit, senders, receivers
    _refuse_missing(edges, source, target)
    codes, occurring = _distinct(edges[source], edges[target])
    if nodes is None:
        names = occurring
    else:
        names = _table_names(nodes, node_id)
        index = {name: i for i, name in enumerate(names)}
        codes = np.array([index.get(name, -1) for name in occurring], np.int64)[codes]
    unknown = (codes < 0).any(axis=1)
    if unknown.any():
        row = int(np.argmax(unknown))
        column = source if codes[row, 0] < 0 else target
        named = "its index" if node_id is None else f"its column {node_id!r}"
        advice = "Name the column of the names with node_id=, add" if node_id is None else "Add"
        raise InvalidGraphError(
            f"Every end of an edge must be a row of the node table, named by {named}. "
            f"Edge {row} has {column}={edges[column].tolist()[row]!r}, which is not among "
            f"its {len(names)} names. {advice} the node, or correct the edge."
        )
    plain = all(type(name) is int and name == i for i, name in enumerate(names))
    return None if plain else names, len(names), codes[:, 0], codes[:, 1]


def _distinct(sources: pd.Series, targets: pd.Series) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Names in order of first appearance, and for both ends of every edge which of them it is [num_edges, 2]."""
    if sources.dtype == targets.dtype and isinstance(sources.dtype, np.dtype) and sources.dtype.kind in "iu":
        flat = np.stack([sources.to_numpy(), targets.to_numpy()], axis=1).ravel()
    else:
        flat = _object_array([name for pair in zip(sources.tolist(), targets.tolist()) for name in pair])
    codes, occurring = _pandas().factorize(flat)
    return codes.astype(np.int64).reshape(-1, 2), tuple(occurring.tolist())


def _refuse_missing(edges: pd.DataFrame, source: str, target: str) -> None:
    for column in (source, target):
        missing = edges[column].isna().to_numpy()
        if missing.any():
            raise InvalidGraphError(
                f"Every edge must name its two ends. Edge {int(np.argmax(missing))} has no {column}. "
                f"Drop such rows with edges.dropna(subset=[{column!r}])."
            )


def _table_names(nodes: pd.DataFrame, node_id: str | None) -> tuple[Hashable, ...]:
    if node_id is not None and node_id not in nodes.columns:
        raise unknown_name("column of the node table", node_id, map(str, nodes.columns))
    names = tuple((nodes.index if node_id is None else nodes[node_id]).tolist())
    first: dict[Hashable, int] = {}
    for row, name in enumerate(names):
        if first.setdefault(name, row) != row:
            raise InvalidGraphError(
                f"Node names must be unique. {name!r} names rows {first[name]} and {row} of the node table. "
                "Drop or rename one of them."
            )
    return names


def _read(
    table: pd.DataFrame, selection: Selection, ends: set[Any], level: str, dtype: DTypeLike | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    available = [column for column in table.columns if column not in ends]
    entry = "node" if level == "nodes" else "edge"

    def get(name: str) -> tuple[np.ndarray, Attribute]:
        series = table[name] if name in table.columns else None
        if series is None:
            raise unknown_name(f"column of the {entry} table", name, map(str, table.columns))
        if series.ndim != 1:
            raise DTypeError(
                f"Column names must be unique to be read. The {entry} table has several columns {name!r}. Rename them."
            )
        if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufcmM":
            array = np.array(series)
            return array, Attribute(name, (), array.dtype, "numpy")
        return pack(series.tolist(), name=name, level=level, label=lambda i: f"{entry} {i} (row {table.index[i]!r})")

    return read_fields(available, selection, get, level=level, dtype=dtype)


def _columns(fields: dict[str, Any], origin: Origin, level: str, first: dict[Hashable, Any]) -> dict[Hashable, Any]:
    """Columns of the table: those that are given, then the fields."""
    out = dict(first)
    columns = origin.columns.get(level, {})
    for name, value in fields.items():
        for key, values in unpack_field(name, value, columns.get(name)).items():
            if len(values) and isinstance(values[0], np.ndarray):
                flat = np.stack(values).reshape(len(values), -1)
                for j in range(flat.shape[1]):
                    added(out, f"{key}_{j}", flat[:, j], level)
            elif len(values) and isinstance(values[0], (list, tuple)):
                added(out, key, _object_array(values), level)
            else:
                added(out, key, np.array(values, dtype=None if len(values) else value.dtype), level)
    return out


def _named(index: np.ndarray, names: tuple[Hashable, ...] | None) -> Any:
    return index if names is None else [names[i] for i in index.tolist()]


def _object_array(values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
