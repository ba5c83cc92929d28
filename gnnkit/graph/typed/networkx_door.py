"""The networkx door of typed graphs, both ways and lossless. networkx is imported when it is used.

An attribute (or a function) says of which type a node or an edge is; the other attributes become fields of that type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import SparseMatrix
from gnnkit.errors import InvalidFeatureError, unknown_name
from gnnkit.graph.edges import add_reverses
from gnnkit.graph.networkx_door import edge_lists, read_graph_attributes, read_rows, require_networkx_graph
from gnnkit.graph.origin import Column
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.checks import as_mapping
from gnnkit.graph.typed.graph import TypedGraph
from gnnkit.graph.typed.keys import RelationKey, within
from gnnkit.graph.typed.origin import TypedOrigin
from gnnkit.graph.typed.schema import FieldSpec, Schema

if TYPE_CHECKING:
    import networkx as nx

Kind = str | Callable[..., str]


def from_networkx_typed(
    G: nx.Graph,
    *,
    node_type: Kind = "type",
    edge_type: Kind = "type",
    schema: Schema | None = None,
    node_attrs: Mapping[str, Any] | None = None,
    edge_attrs: Mapping[RelationKey, Any] | None = None,
    graph_attrs: Sequence[str] | None = None,
    dtype: DTypeLike | None = None,
    allow_nan: bool = False,
) -> TypedGraph:
    """Build a typed graph from a networkx Graph, DiGraph, MultiGraph or MultiDiGraph.

    Parameters
    ----------
    G : networkx graph
        Nodes and edges of one type keep the order that they have in ``G``.
    node_type : str or callable
        Attribute that holds the type of every node, a string; or a function of (node, attributes) that returns it.
    edge_type : str or callable
        Attribute that holds the name of every edge's relation; or a function of (u, v, attributes), for a multigraph
        of (u, v, key, attributes). An edge u -> v is of the relation (type of u, name, type of v).
    schema : Schema, optional
        Types and relations that must exist even if ``G`` has none of them, first and in this order, with the fields
        of what is empty; a type or relation that it does not know is then an error. For example the ``schema`` of
        another graph.
    node_attrs, edge_attrs : mapping of node type / relation to selection, optional
        Which attributes to read, as in :func:`gk.from_networkx`: None (all), a list, or a mapping. Types that are not
        named: all. Nodes of one type must have the same attributes; those of different types need not.
    graph_attrs : list of names, optional
        Attributes of ``G.graph`` to read into globals. None reads those that an array can hold and carries the
        others along.
    dtype : dtype, optional
        Of fields with floating values and of stacked fields; default: as given.
    allow_nan : bool
        Accept NaN in attributes.

    Returns
    -------
    TypedGraph
        :func:`gk.to_networkx` gives back an equal networkx graph: class, names, order, keys and attributes.

    Raises
    ------
    InvalidFeatureError
        When a type or an attribute is absent or of another kind on a node or edge; the text names the first.

    Notes
    -----
    Node names may be any hashable. An undirected edge u - v of name r becomes two directed edges, u -> v of
    (type of u, r, type of v) and v -> u of (type of v, r, type of u), with the same fields; between nodes of one type
    both are in the same relation, and a self-loop is one edge. :func:`gk.to_networkx` makes one of the two again, and
    refuses if their fields have become different. Parallel edges are kept.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import networkx as nx
    >>> G = nx.DiGraph()
    >>> G.add_node("ann", type="author", age=31)
    >>> G.add_node("p1", type="paper", words=[0.5, 1.0])
    >>> G.add_edge("ann", "p1", type="writes")
    >>> g = gk.from_networkx_typed(G)
    >>> g.schema
    author                      1 node  age int64
    paper                       1 node  words float64[2]
    author -> writes -> paper   1 edge
    >>> gk.to_networkx(g).nodes["p1"]
    {'type': 'paper', 'words': [0.5, 1.0]}
    """
    require_networkx_graph(G, "from_networkx_typed")
    names = list(G.nodes)
    rows = [G.nodes[name] for name in names]
    kinds = _checked_kinds(
        [_kind_of(node_type, row, name) for name, row in zip(names, rows)], lambda i: f"node {names[i]!r}"
    )
    types = _listed("node type", None if schema is None else schema.node_types, kinds, node_attrs)
    numbers = np.fromiter(map({name: k for k, name in enumerate(types)}.__getitem__, kinds), np.int64, len(kinds))
    positions = {name: np.flatnonzero(numbers == k) for k, name in enumerate(types)}
    nodes: dict[str, dict[str, Any]] = {}
    node_columns: dict[str, dict[str, Column]] = {}
    for name, mine in positions.items():
        read = _Reading("nodes", [_others(rows[i], node_type) for i in mine], mine, lambda i: f"node {names[i]!r}")
        specs = {} if schema is None else schema.nodes.get(name, {})
        with within(name):
            nodes[name], node_columns[name] = read.fields((node_attrs or {}).get(name), dtype, specs)
    counts = {name: len(mine) for name, mine in positions.items()}
    edges = _EdgeTable(G, names, kinds, edge_type)
    relations = _listed("relation", None if schema is None else schema.edge_types, edges.groups, edge_attrs)
    local = np.zeros(len(names), np.int64)
    for mine in positions.values():
        local[mine] = np.arange(len(mine))
    topologies: dict[RelationKey, Topology] = {}
    fields: dict[RelationKey, dict[str, Any]] = {}
    edge_columns: dict[RelationKey, dict[str, Column]] = {}
    for key in relations:
        senders, receivers, read = edges.of(key)
        specs = {} if schema is None else schema.relations.get(key, {})
        with within(key):
            values, edge_columns[key] = read.fields((edge_attrs or {}).get(key), dtype, specs)
        size = {"num_senders": counts[key[0]], "num_receivers": counts[key[2]]}
        topologies[key], fields[key] = canonical_edges(local[senders], local[receivers], values, **size)
    globals, global_columns, extra = read_graph_attributes(G.graph, graph_attrs, dtype)
    origin = TypedOrigin(
        node_names={name: tuple(names[i] for i in mine) for name, mine in positions.items()},
        node_positions=positions,
        node_attribute=node_type if isinstance(node_type, str) else None,
        edge_attribute=edge_type if isinstance(edge_type, str) else None,
        edge_positions={key: edges.positions(key) for key in relations},
        partner=edges.partner,
        multigraph=G.is_multigraph(),
        edge_keys=tuple(edges.keys) if G.is_multigraph() else None,
        node_columns=node_columns,
        edge_columns=edge_columns,
        global_columns=global_columns,
        extra=extra,
    )
    return TypedGraph(
        counts, topologies, nodes=nodes, edges=fields, globals=globals, origin=origin, allow_nan=allow_nan
    )


class _EdgeTable:
    """All edges of ``G`` with reverses of undirected ones after them, and which of them are of which relation."""

    def __init__(self, G: Any, names: list[Any], kinds: list[str], edge_type: Kind) -> None:
        self.edge_type = edge_type
        self.ends, self.keys, self.rows = edge_lists(G, G.is_multigraph())
        called = [(u, v, key) for (u, v), key in zip(self.ends, self.keys)] if G.is_multigraph() else self.ends
        given = [_kind_of(edge_type, row, *entry) for entry, row in zip(called, self.rows)]
        relations = _checked_kinds(given, self.label)
        index = {name: i for i, name in enumerate(names)}
        count = len(self.ends)
        self.senders = np.fromiter((index[u] for u, _ in self.ends), np.int64, count)
        self.receivers = np.fromiter((index[v] for _, v in self.ends), np.int64, count)
        self.source = np.arange(count)
        self.partner: np.ndarray | None = None
        if not G.is_directed():
            copied = {"source": self.source}
            self.senders, self.receivers, copied, self.partner = add_reverses(self.senders, self.receivers, copied)
            self.source = copied["source"]
        self.groups: dict[RelationKey, list[int]] = {}
        triples = zip(self.senders.tolist(), self.source.tolist(), self.receivers.tolist())
        for position, (sender, k, receiver) in enumerate(triples):
            self.groups.setdefault((kinds[sender], relations[k], kinds[receiver]), []).append(position)

    def label(self, k: int) -> str:
        return f"edge {k} ({self.ends[k][0]!r} -> {self.ends[k][1]!r})"

    def positions(self, key: RelationKey) -> np.ndarray:
        return np.array(self.groups.get(key, []), np.int64)

    def of(self, key: RelationKey) -> tuple[np.ndarray, np.ndarray, _Reading]:
        """Ends (positions among all nodes) and attributes of the edges of one relation."""
        mine = self.positions(key)
        given = self.source[mine]
        rows = [_others(self.rows[k], self.edge_type) for k in given.tolist()]
        return self.senders[mine], self.receivers[mine], _Reading("edges", rows, given, self.label)


class _Reading(NamedTuple):
    """The attributes of the nodes of one type (the edges of one relation), and how errors speak of them."""

    level: str
    rows: list[dict[str, Any]]
    which: np.ndarray  # row i is the node (edge) which[i] of the whole graph
    label: Callable[[int], str]

    def fields(
        self, selection: Any, dtype: DTypeLike | None, specs: Mapping[str, FieldSpec]
    ) -> tuple[dict[str, Any], dict[str, Column]]:
        if not self.rows and specs:
            return {name: _no_rows(spec) for name, spec in specs.items()}, {}
        return read_rows(self.rows, selection, self.level, lambda i: self.label(int(self.which[i])), dtype)


def _no_rows(spec: FieldSpec) -> Any:
    if not spec.sparse:
        return np.zeros((0, *spec.shape), spec.dtype)
    pointer, indices, data = np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, spec.dtype)
    return SparseMatrix.trusted(pointer, indices, data, (0, spec.shape[0]))


def _kind_of(kind: Kind, row: Mapping[str, Any], *entry: Any) -> Any:
    return kind(*entry, row) if callable(kind) else row.get(kind)


def _checked_kinds(kinds: list[Any], label: Callable[[int], str]) -> list[str]:
    wrong = next((i for i, kind in enumerate(kinds) if not isinstance(kind, str) or not kind), None)
    if wrong is not None:
        entry = label(wrong)
        what = entry.partition(" ")[0]
        raise InvalidFeatureError(
            f"Every {what} must have a type, a non-empty string. {entry[0].upper()}{entry[1:]} has {kinds[wrong]!r}. "
            f"Set the attribute there, name another with {what}_type=, or pass a function that returns the type."
        )
    return list(map(str, kinds))


def _others(row: dict[str, Any], kind: Kind) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != kind}


def _listed(kind: str, known: Sequence[Any] | None, found: Iterable[Any], selections: Any) -> list[Any]:
    """The types of the schema, else those found in order of first appearance; all others are unknown."""
    listed = list(dict.fromkeys(found)) if known is None else list(known)
    option = "node_attrs" if kind == "node type" else "edge_attrs"
    for name in (*found, *as_mapping(selections, option, "{...: [attribute, ...]}")):
        if name not in listed:
            raise unknown_name(kind, name, map(str, listed))
    return listed
