"""The networkx door, both ways and lossless. networkx is imported when it is used.

What arrays can hold becomes fields; what they cannot (names, edge keys, kind of graph, containers) is kept in
``Graph.origin`` for the way back.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import DTypeError, InvalidFeatureError, InvalidGraphError
from gnnkit.graph.attributes import Selection, added, pack, read_fields, unpack_field
from gnnkit.graph.edges import add_reverses, graph_from_arrays
from gnnkit.graph.fields import first_unequal, raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Attribute, Column, Origin

if TYPE_CHECKING:
    import networkx as nx

    from gnnkit.graph.typed.graph import TypedGraph


def from_networkx(
    G: nx.Graph,
    *,
    node_attrs: Selection = None,
    edge_attrs: Selection = None,
    graph_attrs: Sequence[str] | None = None,
    dtype: DTypeLike | None = None,
    allow_nan: bool = False,
) -> Graph:
    """Build a graph from a networkx Graph, DiGraph, MultiGraph or MultiDiGraph.

    Parameters
    ----------
    G : networkx graph
        Node i is the i-th of ``G.nodes``; the caller's edge order is that of ``G.edges``.
    node_attrs, edge_attrs : None, list of names, or mapping, optional
        None reads every attribute into a field of its name. A list reads those. A mapping ``{field: attribute}``
        renames, ``{field: [attribute, ...]}`` stacks numeric attributes in columns:
        ``node_attrs={"x": ["age", "income"], "y": "club"}``.
    graph_attrs : list of names, optional
        Attributes of ``G.graph`` to read into globals. None reads those that an array can hold and carries the
        others along.
    dtype : dtype, optional
        Of fields with floating values and of stacked fields; default: as given.
    allow_nan : bool
        Accept NaN in attributes.

    Returns
    -------
    Graph
        Each undirected edge becomes two directed edges with the same fields (a self-loop one);
        :func:`to_networkx` gives back one.

    Raises
    ------
    InvalidFeatureError
        When an attribute is absent on a node or edge, or of another kind or shape there; the text names the first.

    Notes
    -----
    Node names may be any hashable. An attribute may hold booleans, integers, floats, complex numbers, strings, bytes,
    numpy scalars and dates, arrays, or (nested) lists and tuples of these, the same everywhere; integers among floats
    become floats. Cost O(nodes + edges) Python steps.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import networkx as nx
    >>> G = nx.Graph()
    >>> G.add_node("ann", age=31.0)
    >>> G.add_node("bob", age=35.0)
    >>> G.add_edge("ann", "bob", years=4)
    >>> g = gk.from_networkx(G)
    >>> g
    Graph(num_nodes=2, num_edges=2, age=float64[2], years=int64[2])
    >>> gk.to_networkx(g).edges(data=True)
    EdgeDataView([('ann', 'bob', {'years': 4})])
    """
    require_networkx_graph(G, "from_networkx")
    names = list(G.nodes)
    index = {name: i for i, name in enumerate(names)}
    multigraph = G.is_multigraph()
    ends, keys, edge_data = edge_lists(G, multigraph)
    nodes, node_columns = read_rows(
        [G.nodes[name] for name in names], node_attrs, "nodes", lambda i: f"node {names[i]!r}", dtype
    )
    edges, edge_columns = read_rows(
        edge_data, edge_attrs, "edges", lambda k: f"edge {k} ({ends[k][0]!r} -> {ends[k][1]!r})", dtype
    )
    globals, global_columns, extra = read_graph_attributes(G.graph, graph_attrs, dtype)
    senders = np.fromiter((index[u] for u, _ in ends), np.int64, len(ends))
    receivers = np.fromiter((index[v] for _, v in ends), np.int64, len(ends))
    partner = None
    if not G.is_directed():
        senders, receivers, edges, partner = add_reverses(senders, receivers, edges)
    plain = all(type(name) is int and name == i for i, name in enumerate(names))
    origin = Origin(
        node_names=None if plain else tuple(names),
        partner=partner,
        multigraph=multigraph,
        edge_keys=tuple(keys) if multigraph else None,
        columns={"nodes": node_columns, "edges": edge_columns, "globals": global_columns},
        extra=extra,
    )
    return graph_from_arrays(
        senders, receivers, len(names), nodes=nodes, edges=edges, globals=globals, origin=origin, allow_nan=allow_nan
    )


def to_networkx(g: Graph | TypedGraph) -> nx.Graph:
    """Give a graph back to networkx.

    Parameters
    ----------
    g : Graph or TypedGraph
        A single graph. One that came from networkx returns as the same class, with the same node names, node and
        edge order, edge keys and attributes; changed or new fields are written under their own names. The types of a
        typed graph are written as they were read, by default as attribute ``type``; nodes without names of their own
        are called (type, index).

    Returns
    -------
    networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Undirected if the graph was given as undirected (``from_networkx``, ``from_edges(undirected=True)``,
        ``gk.path`` ...); otherwise directed; a multigraph if it was one or has parallel edges.

    Raises
    ------
    InvalidGraphError
        For a batch of several graphs.
    InvalidFeatureError
        When an undirected edge has different values in its two directions; the text names the edge.

    Notes
    -----
    Fields become Python scalars where the dtype is that of one (int64, float64, bool, complex, strings), numpy scalars
    otherwise, arrays for rows. Sparse rows are written dense. Gradients of Tensors are not kept.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.to_networkx(gk.path(3)).edges
    EdgeView([(0, 1), (1, 2)])
    """
    from gnnkit.graph.typed.graph import TypedGraph
    from gnnkit.graph.typed.networkx_out import to_networkx_typed

    if isinstance(g, TypedGraph):
        return to_networkx_typed(g)
    if g.num_graphs != 1:
        raise InvalidGraphError(
            f"to_networkx must be given one graph. Got a batch of {g.num_graphs}. "
            "Use [gk.to_networkx(part) for part in gk.unbatch(g)]."
        )
    origin = g.origin if isinstance(g.origin, Origin) else Origin()
    senders, receivers, edges = g.to_edges()
    if origin.partner is not None:
        senders, receivers, edges = undo_reverses(senders, receivers, edges, origin)
    names: Sequence[Hashable] = origin.node_names if origin.node_names is not None else range(g.num_nodes)
    directed = origin.partner is None
    multigraph = bool(origin.multigraph) or has_parallel(senders, receivers, directed)
    columns = origin.columns
    G = empty_networkx(directed=directed, multigraph=multigraph)
    G.graph.update({**write_rows(g.globals, columns.get("globals", {}), "globals", 1)[0], **origin.extra})
    G.add_nodes_from(zip(names, write_rows(g.nodes, columns.get("nodes", {}), "nodes", g.num_nodes)))
    rows = write_rows(edges, columns.get("edges", {}), "edges", len(senders))
    ends = [(names[s], names[r]) for s, r in zip(senders.tolist(), receivers.tolist())]
    put_edges(G, ends, origin.edge_keys or (None,) * len(ends), rows)
    return G


def empty_networkx(*, directed: bool, multigraph: bool) -> Any:
    """A graph of networkx without nodes, of one of its four classes."""
    import networkx as nx

    return {
        (True, True): nx.MultiDiGraph,
        (True, False): nx.DiGraph,
        (False, True): nx.MultiGraph,
        (False, False): nx.Graph,
    }[directed, multigraph]()


def put_edges(G: Any, ends: Sequence[tuple[Any, Any]], keys: Sequence[Any], rows: Sequence[dict[Any, Any]]) -> None:
    """Add edges with their attributes, and with their keys (None: the next free number) to a multigraph."""
    if G.is_multigraph():
        G.add_edges_from((u, v, key, row) for (u, v), key, row in zip(ends, keys, rows))
    else:
        G.add_edges_from((u, v, row) for (u, v), row in zip(ends, rows))


def require_networkx_graph(G: Any, door: str) -> None:
    """Raise unless ``G`` is a graph of networkx."""
    import networkx as nx

    if not isinstance(G, nx.Graph):
        raise DTypeError(
            f"{door} must be given a networkx graph. Got {type(G).__name__}. "
            "Use gk.from_edges, gk.from_scipy or gk.from_pandas for other data."
        )


def edge_lists(G: Any, multigraph: bool) -> tuple[list[tuple[Any, Any]], list[Any], list[dict[str, Any]]]:
    """Ends, keys (none unless a multigraph) and attributes of every edge, in the order of ``G.edges``."""
    if multigraph:
        rows = list(G.edges(keys=True, data=True))
        return [(u, v) for u, v, _, _ in rows], [key for _, _, key, _ in rows], [data for *_, data in rows]
    rows = list(G.edges(data=True))
    return [(u, v) for u, v, _ in rows], [], [data for *_, data in rows]


def read_rows(
    data: list[dict[str, Any]], selection: Selection, level: str, label: Any, dtype: DTypeLike | None
) -> tuple[dict[str, np.ndarray], dict[str, Column]]:
    """Fields [len(data), ...] from one dictionary of attributes per node (edge)."""
    available = dict.fromkeys(key for row in data for key in row)

    def get(name: str) -> tuple[np.ndarray, Attribute]:
        try:
            values = [row[name] for row in data]
        except KeyError:
            first = next(i for i, row in enumerate(data) if name not in row)
            entry = "node" if level == "nodes" else "edge"
            raise InvalidFeatureError(
                f"Every {entry} must have the attribute {name!r}. The first without it is {label(first)}. "
                f"Set it there, or choose the attributes to read with {entry}_attrs=."
            ) from None
        return pack(values, name=name, level=level, label=label)

    return read_fields(available, selection, get, level=level, dtype=dtype)


def read_graph_attributes(
    data: dict[Any, Any], selection: Sequence[str] | None, dtype: DTypeLike | None
) -> tuple[dict[str, np.ndarray], dict[str, Column], dict[Any, Any]]:
    """Globals from the attributes of the graph, and what is carried along."""

    def get(name: str) -> tuple[np.ndarray, Attribute]:
        return pack([data[name]], name=name, level="globals", label=lambda _: "the graph")

    if selection is None:  # free-form notes of the graph are no features: carry along what no array can hold
        selection = [name for name in data if isinstance(name, str) and name and _holdable(data[name])]
    fields, columns = read_fields(data, selection, get, level="globals", dtype=dtype)
    used = {attribute.name for column in columns.values() for attribute in column.attributes}
    return fields, columns, {name: value for name, value in data.items() if name not in used}


def _holdable(value: Any) -> bool:
    try:
        pack([value], name="", level="globals", label=str)
    except InvalidFeatureError:
        return False
    return True


def write_rows(
    fields: Mapping[str, Any], columns: Mapping[str, Column], level: str, count: int
) -> list[dict[Hashable, Any]]:
    """One dictionary of attributes per node (edge) from its fields; the inverse of :func:`read_rows`."""
    lists: dict[Hashable, list[Any]] = {}
    for name, value in fields.items():
        for key, values in unpack_field(name, value, columns.get(name)).items():
            added(lists, key, values, level)
    return [dict(zip(lists, row)) for row in zip(*lists.values())] if lists else [{} for _ in range(count)]


def undo_reverses(
    senders: np.ndarray, receivers: np.ndarray, edges: dict[str, Any], origin: Origin
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    given = origin.given()
    assert origin.partner is not None
    for name, value in edges.items():
        first = first_unequal(raw(value), given, origin.partner[given])
        if first is not None:
            s, r = int(senders[given[first]]), int(receivers[given[first]])
            raise InvalidFeatureError(
                f"An undirected edge must have the same values in both directions. The edge field {name!r} differs "
                f"between {s} -> {r} and {r} -> {s}. "
                "Make them equal, drop the field, or make the graph directed with gk.transforms.to_directed(g)."
            )
    return senders[given], receivers[given], {name: raw(value)[given] for name, value in edges.items()}


def has_parallel(senders: np.ndarray, receivers: np.ndarray, directed: bool) -> bool:
    """Whether two edges have the same ends (undirected: in any direction)."""
    pairs = np.stack([senders, receivers], axis=1) if len(senders) else np.zeros((0, 2), int)
    if not directed:
        pairs = np.sort(pairs, axis=1)
    return len(np.unique(pairs, axis=0)) < len(pairs)
