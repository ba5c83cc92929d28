"""Views of one node type and of one relation of a typed graph: what ``g[key]`` returns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import InvalidArgumentError, UnknownFieldError, unknown_name
from gnnkit.graph.fields import FieldMap, describe, edges_as_given
from gnnkit.graph.topology import Topology
from gnnkit.graph.typed.keys import Frozen, RelationKey, as_relation

if TYPE_CHECKING:
    from gnnkit.graph.typed.reading import Reading


class NodeSet(Frozen):
    """The nodes of one type: what ``g["paper"]`` returns. A view; nothing is copied.

    Attributes
    ----------
    type : str
    num_nodes : int
    fields : mapping of name to array [num_nodes, ...]
    node_ptr : int64 [num_graphs + 1]
        Graph i of the batch holds nodes node_ptr[i] <= n < node_ptr[i + 1] of this type.
    names : tuple or None
        The names that the nodes had in networkx.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.typed_graph(nodes={"paper": {"x": [[1.0], [2.0]], "y": [0, 1]}})
    >>> g["paper"]
    NodeSet('paper', num_nodes=2, x=float64[2, 1], y=int64[2])
    >>> g["paper"]["y"]
    array([0, 1])
    """

    __slots__ = ("fields", "names", "node_ptr", "num_nodes", "type")

    type: str
    num_nodes: int
    fields: FieldMap
    node_ptr: np.ndarray
    names: tuple[Hashable, ...] | None

    def __init__(self, type: str, fields: FieldMap, node_ptr: np.ndarray, names: tuple[Hashable, ...] | None) -> None:
        put = object.__setattr__
        put(self, "type", type)
        put(self, "num_nodes", int(node_ptr[-1]))
        put(self, "fields", fields)
        put(self, "node_ptr", node_ptr)
        put(self, "names", names)

    @property
    def x(self) -> Any:
        """Node state ``fields["x"]``."""
        return self.fields["x"]

    @property
    def node_graph(self) -> np.ndarray:
        """Graph of every node, integers [num_nodes]."""
        return K.expand_indptr(self.node_ptr)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __repr__(self) -> str:
        return f"NodeSet({', '.join([repr(self.type), *describe_nodes(self.num_nodes, self.fields)])})"


class Relation(Frozen):
    """The edges of one kind: what ``g["author", "writes", "paper"]`` returns.

    Attributes
    ----------
    key : tuple of three str
        (sender type, name, receiver type).
    topology : Topology
        From the nodes of the sender type to those of the receiver type, each counted from 0.
    edges : mapping of name to array [num_edges, ...]
        Edge fields in canonical order.

    Examples
    --------
    >>> import gnnkit as gk
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph(num_nodes={"author": 2, "paper": 3}, edges={writes: ([1, 0], [2, 0])})
    >>> g[writes]
    Relation('author', 'writes', 'paper', num_edges=2)
    >>> g["writes"].topology
    Topology(num_senders=2, num_receivers=3, num_edges=2)
    >>> g["writes"].to_edges()
    (array([1, 0], dtype=int32), array([2, 0], dtype=int32), {})
    """

    __slots__ = ("edges", "key", "topology")

    key: RelationKey
    topology: Topology
    edges: FieldMap

    def __init__(self, key: RelationKey, topology: Topology, edges: FieldMap) -> None:
        put = object.__setattr__
        put(self, "key", key)
        put(self, "topology", topology)
        put(self, "edges", edges)

    @property
    def sender_type(self) -> str:
        """Node type of the senders."""
        return self.key[0]

    @property
    def name(self) -> str:
        """The middle of the key."""
        return self.key[1]

    @property
    def receiver_type(self) -> str:
        """Node type of the receivers."""
        return self.key[2]

    @property
    def num_edges(self) -> int:
        """Number of directed edges, parallel ones counted each."""
        return self.topology.num_edges

    @property
    def senders(self) -> np.ndarray:
        """Sender of every edge among the nodes of the sender type, canonical order."""
        return self.topology.senders

    @property
    def receivers(self) -> np.ndarray:
        """Receiver of every edge among the nodes of the receiver type, canonical order."""
        return self.topology.receivers

    @property
    def e(self) -> Any:
        """Edge state ``edges["e"]``, canonical order."""
        return self.edges["e"]

    def to_edges(self) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return ``(senders, receivers, edge fields)`` in the caller's order; :func:`gk.typed_graph` takes it back."""
        return edges_as_given(self.topology, self.edges)

    def __getitem__(self, name: str) -> Any:
        return self.edges[name]

    def __contains__(self, name: object) -> bool:
        return name in self.edges

    def __iter__(self) -> Iterator[str]:
        return iter(self.edges)

    def __repr__(self) -> str:
        return f"Relation({', '.join([*map(repr, self.key), *describe_edges(self.num_edges, self.edges)])})"


def find(g: Reading, key: Any) -> NodeSet | Relation:
    """The node set or relation that ``g[key]`` means; a bare string only where it can mean one thing."""
    if not isinstance(key, str):
        return g.relations[as_relation(key)]
    called = [relation for relation in g.relations if relation[1] == key]
    if key in g.nodes and not called:
        names = getattr(g.origin, "node_names", {})
        return NodeSet(key, g.nodes[key], g.node_ptr[key], names.get(key))
    if len(called) == 1 and key not in g.nodes:
        return g.relations[called[0]]
    if not called:
        known = [*g.nodes, *(name for _, name, _ in g.relations)]
        raise UnknownFieldError(str(unknown_name("node type or relation", key, known)))
    meanings = [f"g.nodes[{key!r}]"] * (key in g.nodes) + [f"g[{', '.join(map(repr, one))}]" for one in called]
    raise InvalidArgumentError(
        f"A bare name must mean one thing. {key!r} may be {' or '.join(meanings)}. Write one of these."
    )


def describe_nodes(num_nodes: int, fields: FieldMap) -> list[str]:
    """Count and fields for a repr."""
    return [f"num_nodes={num_nodes}", *(f"{name}={describe(value)}" for name, value in fields.items())]


def describe_edges(num_edges: int, fields: FieldMap) -> list[str]:
    """Count and fields for a repr."""
    return [f"num_edges={num_edges}", *(f"{name}={describe(value)}" for name, value in fields.items())]
