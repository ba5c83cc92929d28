"""Reading a typed graph: its types, counts, fields and boundaries, its text, equality. TypedGraph adds the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit.graph.fields import FieldMap
from gnnkit.graph.topology import frozen
from gnnkit.graph.typed.equality import same_fields
from gnnkit.graph.typed.keys import Frozen, RelationKey, TypeMap
from gnnkit.graph.typed.origin import TypedBatchOrigin, TypedOrigin
from gnnkit.graph.typed.schema import FieldSpec, Schema
from gnnkit.graph.typed.views import Relation, describe_edges, describe_nodes, find

if TYPE_CHECKING:
    pass


class Reading(Frozen):
    """What a typed graph holds and how one looks at it."""

    __slots__ = ("_node_ptr", "globals", "nodes", "num_graphs", "num_nodes", "origin", "relations")

    nodes: TypeMap[str, FieldMap]
    num_nodes: TypeMap[str, int]
    relations: TypeMap[RelationKey, Relation]
    globals: FieldMap
    num_graphs: int
    origin: TypedOrigin | TypedBatchOrigin | None
    _node_ptr: dict[str, np.ndarray] | None

    # ------------------------------------------------------------------ types, counts and short names
    @property
    def node_types(self) -> tuple[str, ...]:
        """Names of the node types, in order."""
        return tuple(self.nodes)

    @property
    def edge_types(self) -> tuple[RelationKey, ...]:
        """Keys (sender type, name, receiver type) of the relations, in order."""
        return tuple(self.relations)

    def metadata(self) -> tuple[list[str], list[RelationKey]]:
        """``(node types, edge types)`` as lists, as ``HeteroData.metadata()`` of PyTorch Geometric gives them."""
        return list(self.node_types), list(self.edge_types)

    @property
    def schema(self) -> Schema:
        """Types, counts, fields, widths and dtypes; prints as a table."""
        return Schema(
            nodes={name: _specs(fields) for name, fields in self.nodes.items()},
            relations={key: _specs(one.edges) for key, one in self.relations.items()},
            globals=_specs(self.globals),
            num_nodes=dict(self.num_nodes),
            num_edges=dict(self.num_edges),
        )

    @property
    def edges(self) -> TypeMap[RelationKey, FieldMap]:
        """Edge fields of every relation, canonical order."""
        return TypeMap("relation", {key: one.edges for key, one in self.relations.items()})

    @property
    def num_edges(self) -> TypeMap[RelationKey, int]:
        """Number of directed edges of every relation, of all graphs of the batch together."""
        return TypeMap("relation", {key: one.num_edges for key, one in self.relations.items()})

    @property
    def x(self) -> TypeMap[str, Any]:
        """Node state of every type that has one: ``{type: g.nodes[type]["x"]}``."""
        return TypeMap("node type with x", {name: one["x"] for name, one in self.nodes.items() if "x" in one})

    @property
    def e(self) -> TypeMap[RelationKey, Any]:
        """Edge state of every relation that has one, canonical order."""
        edges = {key: one.edges["e"] for key, one in self.relations.items() if "e" in one.edges}
        return TypeMap("relation with e", edges)

    @property
    def u(self) -> Any:
        """Global state ``g.globals["u"]``, one row per graph."""
        return self.globals["u"]

    @property
    def node_ptr(self) -> TypeMap[str, np.ndarray]:
        """int64 [num_graphs + 1] for every node type: where each graph of the batch begins."""
        pointers = self._node_ptr or {name: np.array([0, count]) for name, count in self.num_nodes.items()}
        return TypeMap("node type", {name: frozen(pointer) for name, pointer in pointers.items()})

    @property
    def edge_ptr(self) -> TypeMap[RelationKey, np.ndarray]:
        """int64 [num_graphs + 1] for every relation, in canonical order."""
        pointers = self.node_ptr
        edges = {key: one.topology.indptr[pointers[one.receiver_type]] for key, one in self.relations.items()}
        return TypeMap("relation", edges)

    def __getitem__(self, key: str | RelationKey) -> Any:
        return find(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self.nodes or key in self.relations

    # ------------------------------------------------------------------ looking at it
    def __repr__(self) -> str:
        parts = [f"num_graphs={self.num_graphs}"] if self.num_graphs != 1 else []
        parts += [f"{key!r}: {', '.join(describe_nodes(self.num_nodes[key], one))}" for key, one in self.nodes.items()]
        parts += [
            f"{key!r}: {', '.join(describe_edges(one.num_edges, one.edges))}" for key, one in self.relations.items()
        ]
        if self.globals:
            parts.append(f"globals: {', '.join(describe_nodes(0, self.globals)[1:])}")
        return "\n  ".join(["TypedGraph(", *parts]) + "\n)" if parts else "TypedGraph()"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reading):
            return NotImplemented
        return self is other or _same(self, other)

    def __hash__(self) -> int:
        return hash((self.num_graphs, frozenset(self.num_nodes.items()), frozenset(self.num_edges.items())))


def _specs(fields: FieldMap) -> dict[str, FieldSpec]:
    return {name: FieldSpec.of(value) for name, value in fields.items()}


def _same(one: Reading, other: Reading) -> bool:
    if one.num_graphs != other.num_graphs or dict(one.num_nodes) != dict(other.num_nodes):
        return False
    if one.relations.keys() != other.relations.keys():
        return False
    mine, theirs = one.node_ptr, other.node_ptr
    return (
        all(np.array_equal(mine[name], theirs[name]) for name in mine)
        and all(same_fields(fields, other.nodes[name]) for name, fields in one.nodes.items())
        and all(relation.topology == other.relations[key].topology for key, relation in one.relations.items())
        and all(same_fields(relation.edges, other.relations[key].edges) for key, relation in one.relations.items())
        and same_fields(one.globals, other.globals)
    )
