"""Graph: a topology plus features on nodes, edges and globals; frozen. One class for one graph and for a batch.

Everything is checked once, when a graph is made from outside; layers and kernels then trust it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gnnkit.errors import ImmutableError, InvalidGraphError, UnknownFieldError, unknown_name
from gnnkit.graph.bounds import Bounds, checked_bounds
from gnnkit.graph.fields import ENTRY, FieldMap, as_field, describe, edges_as_given
from gnnkit.graph.origin import BatchOrigin, Origin
from gnnkit.graph.topology import Topology
from gnnkit.graph.validate import checked_fields, checked_name, refuse_nan

if TYPE_CHECKING:
    from gnnkit.graph.report import GraphReport

_KEEP: Any = object()
_SHORT = {"x": "nodes", "e": "edges", "u": "globals"}


class Graph:
    """A topology with named features at three levels.

    Parameters
    ----------
    topology : Topology
        Who sends to whom; senders and receivers are the same nodes.
    nodes, edges, globals : mapping of name to array, optional
        Leading dimension num_nodes, num_edges, num_graphs. Arrays, Tensors, and on nodes SparseMatrix or
        scipy.sparse. Any numeric, boolean, string or date dtype. **Edge fields are in canonical order** here;
        the doors (:func:`from_edges` ...) take the caller's order and sort.
    node_ptr : integers [num_graphs + 1], optional
        First node of every graph of a batch, and at the end num_nodes. Default: one graph; on a grid one per image.
    edge_ptr : integers [num_graphs + 1], optional
        The same for edges; follows from ``node_ptr`` and is checked if given.
    origin : optional
        What a door remembers for the way out.
    allow_nan : bool
        Accept NaN in float features; by default the first node, edge or graph with one is named and refused.

    Raises
    ------
    ShapeError, InvalidFeatureError, InvalidGraphError
        When a leading dimension, a value or a boundary is wrong.

    Notes
    -----
    Frozen: use :meth:`replace` and :meth:`without`. Arrays are held as read-only views: the flags of the array
    you passed stay as they are, and writing into it afterwards would show here (pass a copy to avoid that).
    ``g.x``, ``g.e``, ``g.u`` are short for ``g.nodes["x"]``, ``g.edges["e"]``, ``g.globals["u"]``. Zero nodes, edges
    and features are legal; a graph without nodes in a batch stays.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], num_nodes=3, x=np.ones((3, 2), "float32"))
    >>> g
    Graph(num_nodes=3, num_edges=2, x=float32[3, 2])
    >>> g.replace(x=g.x * 2).x[0]
    array([2., 2.], dtype=float32)
    """

    __slots__ = ("_bounds", "edges", "globals", "nodes", "origin", "topology")

    topology: Topology
    nodes: FieldMap
    edges: FieldMap
    globals: FieldMap
    origin: Origin | BatchOrigin | None
    _bounds: Bounds

    def __init__(
        self,
        topology: Topology,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[str, Any] | None = None,
        globals: Mapping[str, Any] | None = None,
        *,
        node_ptr: Any = None,
        edge_ptr: Any = None,
        origin: Origin | BatchOrigin | None = None,
        allow_nan: bool = False,
    ) -> None:
        if not isinstance(topology, Topology):
            raise InvalidGraphError(
                f"A Graph must be built on a Topology. Got {type(topology).__name__}. "
                "Use gk.from_edges(senders, receivers, num_nodes=...)."
            )
        bounds = checked_bounds(topology, node_ptr, edge_ptr)
        maps = []
        for level, fields in (("nodes", nodes), ("edges", edges), ("globals", globals)):
            some = isinstance(fields, Mapping) and fields  # edges of a grid are counted if need be
            count = _count(level, topology, bounds) if some else 0
            maps.append(FieldMap(level, checked_fields(fields, level, count)))
        self._fill(topology, maps[0], maps[1], maps[2], bounds, origin)
        if not allow_nan:
            for fields in maps:
                refuse_nan(self, fields)

    def _fill(
        self,
        topology: Topology,
        nodes: FieldMap,
        edges: FieldMap,
        globals: FieldMap,
        bounds: Bounds,
        origin: Origin | BatchOrigin | None,
    ) -> None:
        put = object.__setattr__
        put(self, "topology", topology)
        put(self, "nodes", nodes)
        put(self, "edges", edges)
        put(self, "globals", globals)
        put(self, "_bounds", bounds)
        put(self, "origin", origin)

    @classmethod
    def trusted(
        cls,
        topology: Topology,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[str, Any] | None = None,
        globals: Mapping[str, Any] | None = None,
        *,
        node_ptr: np.ndarray | None = None,
        origin: Origin | BatchOrigin | None = None,
    ) -> Graph:
        """Build from parts of graphs that were checked before; only lengths are looked at, not values."""
        bounds = Bounds.whole(topology) if node_ptr is None else Bounds.of(topology, node_ptr)
        maps = []
        for level, fields in (("nodes", nodes), ("edges", edges), ("globals", globals)):
            count = _count(level, topology, bounds) if fields else 0
            maps.append(
                FieldMap(level, {key: as_field(item, level, key, count) for key, item in (fields or {}).items()})
            )
        self = object.__new__(cls)
        self._fill(topology, maps[0], maps[1], maps[2], bounds, origin)
        return self

    # ------------------------------------------------------------------ counts and short names
    @property
    def num_nodes(self) -> int:
        """Number of nodes, of all graphs of the batch together."""
        return self.topology.num_nodes

    @property
    def num_edges(self) -> int:
        """Number of directed edges, of all graphs together."""
        return self.topology.num_edges

    @property
    def num_graphs(self) -> int:
        """Number of graphs; 1 unless this is a batch."""
        return len(self._bounds.node_ptr) - 1

    @property
    def senders(self) -> np.ndarray:
        """Sender of every edge [num_edges], canonical order."""
        return self.topology.senders

    @property
    def receivers(self) -> np.ndarray:
        """Receiver of every edge [num_edges], canonical order."""
        return self.topology.receivers

    @property
    def x(self) -> Any:
        """Node state ``g.nodes["x"]``."""
        return self.nodes["x"]

    @property
    def e(self) -> Any:
        """Edge state ``g.edges["e"]``, canonical order."""
        return self.edges["e"]

    @property
    def u(self) -> Any:
        """Global state ``g.globals["u"]``, one row per graph."""
        return self.globals["u"]

    @property
    def node_ptr(self) -> np.ndarray:
        """int64 [num_graphs + 1]: graph i holds nodes node_ptr[i] <= n < node_ptr[i + 1]."""
        return self._bounds.node_ptr

    @property
    def edge_ptr(self) -> np.ndarray:
        """int64 [num_graphs + 1]: graph i holds canonical edges edge_ptr[i] <= k < edge_ptr[i + 1]."""
        return self._bounds.edge_ptr

    @property
    def node_graph(self) -> np.ndarray:
        """Graph of every node, integers [num_nodes]."""
        return self._bounds.node_graph

    @property
    def edge_graph(self) -> np.ndarray:
        """Graph of every edge, integers [num_edges], canonical order."""
        return self._bounds.edge_graph

    # ------------------------------------------------------------------ new graphs from this one
    def replace(
        self,
        *,
        x: Any = _KEEP,
        e: Any = _KEEP,
        u: Any = _KEEP,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[str, Any] | None = None,
        globals: Mapping[str, Any] | None = None,
        topology: Topology | None = None,
    ) -> Graph:
        """Return a graph with these fields added or overwritten; everything else is shared.

        Parameters
        ----------
        x, e, u : array, optional
            Short for the fields of that name. Edge values are in canonical order.
        nodes, edges, globals : mapping, optional
            Fields to add or overwrite; fields not named stay (drop them with :meth:`without`).
        topology : Topology, optional
            Other edges over the same nodes. Edge fields of the old edges must be given anew in the same call, or
            dropped before: they would belong to other edges.

        Raises
        ------
        ShapeError, InvalidFeatureError
            When lengths disagree or values are objects. NaN is not looked for: this is called by every layer.
        """
        bounds, origin = self._bounds, self.origin
        new_nodes, new_edges, new_globals = self.nodes, self.edges, self.globals
        if topology is not None and topology is not self.topology:
            new_edges = self._edges_for(topology, edges, e)
            bounds = checked_bounds(topology, bounds.node_ptr, None)
            origin = None if origin is None else origin.without_edges()
        else:
            topology = self.topology
        if x is not _KEEP or nodes:
            new_nodes = _merged(new_nodes, nodes, "x", x, topology.num_nodes)
        if e is not _KEEP or edges:
            new_edges = _merged(new_edges, edges, "e", e, topology.num_edges)
        if u is not _KEEP or globals:
            new_globals = _merged(new_globals, globals, "u", u, len(bounds.node_ptr) - 1)
        graph = object.__new__(Graph)
        graph._fill(topology, new_nodes, new_edges, new_globals, bounds, origin)
        return graph

    def _edges_for(self, topology: Topology, edges: Mapping[str, Any] | None, e: Any) -> FieldMap:
        if topology.num_nodes != self.num_nodes:
            raise InvalidGraphError(
                f"The new topology must have the same nodes, num_nodes={self.num_nodes}. "
                f"It has {topology.num_nodes}. Build a new Graph for other nodes."
            )
        given = {*(edges or {}), *(() if e is _KEEP else ("e",))}
        stale = [name for name in self.edges if name not in given]
        if stale:
            raise InvalidGraphError(
                "Edge fields must belong to the edges of the topology. Replacing the topology leaves "
                f"{', '.join(map(repr, stale))} from the old edges. "
                f"Give them anew in the same call, or drop them with g.without({', '.join(map(repr, stale))})."
            )
        return FieldMap("edges", {})

    def without(self, *names: str, level: str | None = None) -> Graph:
        """Return a graph without these fields, at every level that has them (or only at ``level``).

        Raises
        ------
        UnknownFieldError
            When no level has a field of that name.
        UnknownNameError
            When there is no such level.
        """
        if level is not None and level not in ENTRY:
            raise unknown_name("level", level, ENTRY)
        levels = tuple(ENTRY) if level is None else (level,)
        for name in names:
            if not any(name in getattr(self, each) for each in levels):
                raise UnknownFieldError(
                    f"A field must exist to be dropped. No field {name!r}; the graph has {self._field_names()}. "
                    "Check the name."
                )
        kept = {
            each: FieldMap(each, {key: value for key, value in getattr(self, each).items() if key not in names})
            if each in levels
            else getattr(self, each)
            for each in ("nodes", "edges", "globals")
        }
        graph = object.__new__(Graph)
        graph._fill(self.topology, kept["nodes"], kept["edges"], kept["globals"], self._bounds, self.origin)
        return graph

    # ------------------------------------------------------------------ looking at it
    def to_edges(self) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return ``(senders, receivers, edge fields)`` in the caller's order, the inverse of :func:`from_edges`."""
        return edges_as_given(self.topology, self.edges)

    def report(self) -> GraphReport:
        """Count isolated nodes, self-loops, duplicates, components; symmetry, dtypes, memory. Prints as a table."""
        from gnnkit.graph.report import build_report

        return build_report(self)

    def _field_names(self) -> str:
        names = [f"g.{level}[{name!r}]" for level in ENTRY for name in getattr(self, level)]
        return ", ".join(names) or "no fields"

    def __repr__(self) -> str:
        parts = [f"num_nodes={self.num_nodes}", f"num_edges={self.num_edges}"]
        if self.num_graphs != 1:
            parts.insert(0, f"num_graphs={self.num_graphs}")
        for level in ENTRY:
            parts += [f"{name}={describe(value)}" for name, value in getattr(self, level).items()]
        return f"Graph({', '.join(parts)})"

    def __getattr__(self, name: str) -> Any:
        if name in _SHORT:  # reached when the property x, e or u found no such field
            return getattr(self, _SHORT[name])[name]
        if name.startswith("__") or name in Graph.__slots__:  # protocol probes expect the plain answer
            raise AttributeError(f"'Graph' object has no attribute {name!r}")
        raise UnknownFieldError(
            f"A Graph has attributes such as x, e, u, nodes, edges, globals. It has no attribute {name!r}. "
            f"Fields are reached by level; this graph has {self._field_names()}."
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ImmutableError(
            f"A Graph never changes. Got an assignment to {name!r}. "
            f"Use g.replace({name}=...), which returns a new graph."
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise ImmutableError(f"A Graph never changes. Got a deletion of {name!r}. Use g.without({name!r}).")

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        levels = dict(self.nodes), dict(self.edges), dict(self.globals)
        return _rebuild, (self.topology, *levels, self.node_ptr, self.origin)


def _rebuild(topology: Topology, nodes: Any, edges: Any, globals: Any, node_ptr: Any, origin: Any) -> Graph:
    return Graph.trusted(topology, nodes, edges, globals, node_ptr=node_ptr, origin=origin)


def _count(level: str, topology: Topology, bounds: Bounds) -> int:
    if level == "globals":
        return len(bounds.node_ptr) - 1
    return topology.num_nodes if level == "nodes" else topology.num_edges


def _merged(old: FieldMap, new: Mapping[str, Any] | None, short: str, value: Any, count: int) -> FieldMap:
    fields = dict(old)
    for name, item in (new or {}).items():
        fields[checked_name(name, old.level)] = as_field(item, old.level, name, count)
    if value is not _KEEP:
        fields[short] = as_field(value, old.level, short, count)
    return FieldMap(old.level, fields)
