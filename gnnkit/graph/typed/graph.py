"""TypedGraph: several types of nodes, relations between them, each with features of its own; frozen.

Everything is checked once, when a graph is made from outside; layers and kernels then trust it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit.graph.fields import FieldMap
from gnnkit.graph.graph import Graph
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.checks import (
    as_mapping,
    checked_counts,
    checked_edge_fields,
    checked_node_fields,
    checked_pointers,
    checked_topologies,
    fields_of,
    refuse_nan_edges,
    refuse_nan_nodes,
)
from gnnkit.graph.typed.keys import RelationKey, TypeMap, within
from gnnkit.graph.typed.origin import TypedBatchOrigin, TypedOrigin
from gnnkit.graph.typed.reading import Reading
from gnnkit.graph.typed.views import Relation
from gnnkit.graph.validate import refuse_nan_rows

if TYPE_CHECKING:
    from gnnkit.graph.typed.report import TypedReport


class TypedGraph(Reading):
    """Nodes of several types and relations between them, each with named features of its own.

    Parameters
    ----------
    num_nodes : mapping of node type to int
        How many nodes of every type. May leave out types with features in ``nodes``; never guessed from the edges.
    relations : mapping of (sender type, name, receiver type) to Topology
        Edges from the nodes of one type to those of another (or the same), each type counted from 0.
    nodes : mapping of node type to mapping of field to array [num_nodes of the type, ...]
        Arrays, Tensors, SparseMatrix or scipy.sparse; widths and dtypes may differ from type to type.
    edges : mapping of relation to mapping of field to array [num_edges of the relation, ...]
        **In canonical order** here; :func:`gk.typed_graph` takes the caller's order and sorts.
    globals : mapping of field to array [num_graphs, ...]
    node_ptr : mapping of node type to integers [num_graphs + 1], optional
        First node of every graph of a batch, and at the end the number of nodes. Default: one graph.
    origin : optional
        What a door remembers for the way out.
    allow_nan : bool
        Accept NaN in float features; by default the first node, edge or graph with one is named and refused.

    Raises
    ------
    DTypeError, InvalidGraphError, InvalidFeatureError, ShapeError, UnknownNameError
        The text names the node type or relation, the field, and the first bad index.

    Notes
    -----
    Usually made by :func:`gk.typed_graph` or :func:`gk.from_networkx_typed`. Frozen: :meth:`replace`, :meth:`without`
    and :meth:`select` return new graphs. Types without nodes and relations without edges stay. Within a relation
    self-loops and parallel edges are kept; two relations may join the same nodes. Two graphs are equal if types,
    topologies, fields and boundaries are; where they came from does not matter.

    ``g["paper"]`` is a :class:`NodeSet`, ``g["author", "writes", "paper"]`` a :class:`Relation`; ``g["writes"]`` finds
    the relation as long as no other relation and no node type is called so.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph(
    ...     num_nodes={"author": 2, "paper": 3},
    ...     nodes={"paper": {"x": np.ones((3, 4), "float32")}},
    ...     edges={writes: ([0, 1, 1], [0, 0, 2])},
    ... )
    >>> g
    TypedGraph(
      'author': num_nodes=2
      'paper': num_nodes=3, x=float32[3, 4]
      ('author', 'writes', 'paper'): num_edges=3
    )
    >>> g["paper"].x.shape, g[writes].topology.in_degree()
    ((3, 4), array([2, 0, 1]))
    """

    def __init__(
        self,
        num_nodes: Mapping[str, int] | None = None,
        relations: Mapping[RelationKey, Topology] | None = None,
        *,
        nodes: Mapping[str, Mapping[str, Any]] | None = None,
        edges: Mapping[RelationKey, Mapping[str, Any]] | None = None,
        globals: Mapping[str, Any] | None = None,
        node_ptr: Mapping[str, Any] | None = None,
        origin: TypedOrigin | TypedBatchOrigin | None = None,
        allow_nan: bool = False,
    ) -> None:
        counts = checked_counts(num_nodes, as_mapping(nodes, "nodes", "{'paper': {'x': values}}"))
        topologies = checked_topologies(relations, counts)
        pointers = checked_pointers(node_ptr, counts, topologies)
        num_graphs = 1 if not pointers else len(next(iter(pointers.values()))) - 1
        self._fill(
            checked_node_fields(nodes, counts),
            _relations(topologies, checked_edge_fields(edges, topologies)),
            fields_of(globals, "globals", None, num_graphs),
            counts=counts,
            node_ptr=pointers or None,
            num_graphs=num_graphs,
            origin=origin,
        )
        if not allow_nan:
            self._refuse_nan()

    def _fill(
        self,
        nodes: Mapping[str, FieldMap],
        relations: Mapping[RelationKey, Relation],
        globals: FieldMap,
        *,
        counts: Mapping[str, int],
        node_ptr: dict[str, np.ndarray] | None,
        num_graphs: int,
        origin: TypedOrigin | TypedBatchOrigin | None,
    ) -> None:
        put = object.__setattr__
        put(self, "nodes", TypeMap("node type", nodes))
        put(self, "num_nodes", TypeMap("node type", counts))
        put(self, "relations", TypeMap("relation", relations))
        put(self, "globals", globals)
        put(self, "num_graphs", num_graphs)
        put(self, "origin", origin)
        put(self, "_node_ptr", node_ptr)

    def _refuse_nan(self) -> None:
        names = getattr(self.origin, "node_names", {})
        for name, fields in self.nodes.items():
            with within(name):
                refuse_nan_nodes(fields, names.get(name))
        for key, relation in self.relations.items():
            with within(key):
                refuse_nan_edges(relation.edges, relation.topology, names.get(key[0]), names.get(key[2]))
        refuse_nan_rows(self.globals, "graph {}".format)

    @classmethod
    def trusted(
        cls,
        num_nodes: Mapping[str, int],
        relations: Mapping[RelationKey, Topology],
        *,
        nodes: Mapping[str, Mapping[str, Any]] | None = None,
        edges: Mapping[RelationKey, Mapping[str, Any]] | None = None,
        globals: Mapping[str, Any] | None = None,
        node_ptr: dict[str, np.ndarray] | None = None,
        num_graphs: int = 1,
        origin: TypedOrigin | TypedBatchOrigin | None = None,
    ) -> TypedGraph:
        """Build from parts of graphs that were checked before; only lengths are looked at, not values."""
        self = object.__new__(cls)
        self._fill(
            checked_node_fields(nodes, num_nodes),
            _relations(relations, checked_edge_fields(edges, relations)),
            fields_of(globals, "globals", None, num_graphs),
            counts=num_nodes,
            node_ptr=node_ptr,
            num_graphs=num_graphs,
            origin=origin,
        )
        return self

    # ------------------------------------------------------------------ new graphs from this one
    def replace(
        self,
        *,
        x: Mapping[str, Any] | None = None,
        e: Mapping[RelationKey, Any] | None = None,
        u: Any = None,
        nodes: Mapping[str, Mapping[str, Any]] | None = None,
        edges: Mapping[RelationKey, Mapping[str, Any]] | None = None,
        globals: Mapping[str, Any] | None = None,
        relations: Mapping[RelationKey, Topology] | None = None,
    ) -> TypedGraph:
        """Return a graph with these fields added or overwritten; everything else is shared.

        Parameters
        ----------
        x, e, u : optional
            Short for the fields of that name: ``x={"paper": values}``, ``e={relation: values}`` in canonical order.
        nodes, edges, globals : mapping, optional
            Fields to add or overwrite; types, relations and fields not named stay.
        relations : mapping of relation to Topology, optional
            New relations, or other edges for old ones, whose edge fields must then be given anew or dropped before.

        Raises
        ------
        ShapeError, InvalidFeatureError, UnknownNameError
            When lengths disagree or a type is not known. NaN is not looked for: this is called by every layer.

        Examples
        --------
        >>> import gnnkit as gk
        >>> g = gk.typed_graph(num_nodes={"a": 2, "b": 1})
        >>> g.replace(x={"a": [[1.0], [2.0]]}).schema
        a   2 nodes  x float64[1]
        b   1 node
        """
        from gnnkit.graph.typed.change import replaced

        return replaced(self, x, e, u, nodes, edges, globals, relations)

    def without(self, *names: str, at: str | RelationKey | None = None) -> TypedGraph:
        """Return a graph without these fields, wherever they are, or only at one node type or relation.

        Raises
        ------
        UnknownFieldError
            When there is no field of that name.
        """
        from gnnkit.graph.typed.change import stripped

        return stripped(self, names, at)

    def select(
        self, node_types: Iterable[str] | None = None, relations: Iterable[RelationKey] | None = None
    ) -> TypedGraph:
        """Return the graph of these node types and relations only.

        Parameters
        ----------
        node_types : iterable of str, optional
            Default: all, or those that ``relations`` need.
        relations : iterable of (sender type, name, receiver type), optional
            Default: all whose two ends are kept.

        Examples
        --------
        >>> import gnnkit as gk
        >>> likes = ("user", "likes", "user")
        >>> g = gk.typed_graph(num_nodes={"user": 2, "item": 1}, edges={likes: ([0], [1])})
        >>> g.select(["user"]).metadata()
        (['user'], [('user', 'likes', 'user')])
        """
        from gnnkit.graph.typed.change import selected

        return selected(self, node_types, relations)

    def add_reverse(self, relations: Iterable[RelationKey] | None = None, *, prefix: str = "rev_") -> TypedGraph:
        """Add the reverse of relations under new names. See :func:`gnnkit.graph.typed.add_reverse`."""
        from gnnkit.graph.typed.directions import add_reverse

        return add_reverse(self, relations, prefix=prefix)

    def to_undirected(self, relations: Iterable[RelationKey] | None = None, *, reduce: Any = None) -> TypedGraph:
        """Give every edge of relations its reverse. See :func:`gnnkit.graph.typed.to_undirected`."""
        from gnnkit.graph.typed.directions import to_undirected

        return to_undirected(self, relations, reduce=reduce)

    def to_homogeneous(self, *, fields: Sequence[str] | None = None, edge_fields: Sequence[str] | None = None) -> Graph:
        """One plain graph of all nodes and edges. See :func:`gnnkit.graph.typed.to_homogeneous`."""
        from gnnkit.graph.typed.homogeneous import to_homogeneous

        return to_homogeneous(self, fields=fields, edge_fields=edge_fields)

    def report(self) -> TypedReport:
        """Count isolated nodes, self-loops, duplicates, degrees, memory, type by type. Prints as a table."""
        from gnnkit.graph.typed.report import build_report

        return build_report(self)

    def __copy__(self) -> TypedGraph:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TypedGraph:
        return self

    def __reduce__(self) -> tuple[Any, ...]:  # worker processes receive graphs
        topologies = {key: one.topology for key, one in self.relations.items()}
        nodes = {name: dict(fields) for name, fields in self.nodes.items()}
        edges = {key: dict(one.edges) for key, one in self.relations.items()}
        parts = dict(self.num_nodes), topologies, nodes, edges, dict(self.globals)
        return _rebuild, (*parts, self._node_ptr, self.num_graphs, self.origin)


def _rebuild(
    counts: Any, topologies: Any, nodes: Any, edges: Any, globals: Any, node_ptr: Any, num_graphs: int, origin: Any
) -> TypedGraph:
    return TypedGraph.trusted(
        counts,
        topologies,
        nodes=nodes,
        edges=edges,
        globals=globals,
        node_ptr=node_ptr,
        num_graphs=num_graphs,
        origin=origin,
    )


def _relations(
    topologies: Mapping[RelationKey, Topology], edges: Mapping[RelationKey, FieldMap]
) -> dict[RelationKey, Relation]:
    return {key: Relation(key, topology, edges[key]) for key, topology in topologies.items()}
