"""What a typed graph remembers of the networkx graph it came from: names, order, keys, containers of attributes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gnnkit.graph.origin import Column
from gnnkit.graph.typed.keys import RelationKey


@dataclass(frozen=True, eq=False)
class TypedOrigin:
    """Where a single typed graph came from.

    Attributes
    ----------
    node_names, node_positions : mapping of node type to tuple / int64 [num_nodes]
        Name of every node of the type, and its position among all nodes.
    node_attribute, edge_attribute : str or None
        Attributes that held the types; None when functions gave them, so that nothing has to be written back.
    edge_positions : mapping of relation to int64 [num_edges], or None
        By caller's position: the position among all edges; those that were given come first, then the reverses of
        undirected ones.
    partner : int64 or None
        For an undirected graph, by position among all edges: that of the edge in the other direction (a self-loop:
        its own). None: directed.
    multigraph : bool or None
        Whether parallel edges are allowed outside; None: decide by whether there are any.
    edge_keys : tuple or None
        Key of every given edge of a multigraph.
    node_columns, edge_columns : mapping of node type / relation to field to Column
    global_columns : mapping of field to Column
    extra : mapping
        Graph attributes that no array can hold, carried unchanged.
    """

    node_names: Mapping[str, tuple[Hashable, ...]]
    node_positions: Mapping[str, np.ndarray]
    node_attribute: str | None = "type"
    edge_attribute: str | None = "type"
    edge_positions: Mapping[RelationKey, np.ndarray] | None = None
    partner: np.ndarray | None = None
    multigraph: bool | None = None
    edge_keys: tuple[Hashable, ...] | None = None
    node_columns: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    edge_columns: Mapping[RelationKey, Mapping[str, Column]] = field(default_factory=dict)
    global_columns: Mapping[str, Column] = field(default_factory=dict)
    extra: Mapping[Hashable, Any] = field(default_factory=dict)

    def without_edges(self) -> TypedOrigin:
        """The memory of the nodes alone, for a graph whose edges are others: directed, no keys."""
        return replace(self, edge_positions=None, partner=None, multigraph=None, edge_keys=None, edge_columns={})

    def select(self, types: Iterable[str], relations: Iterable[RelationKey]) -> TypedOrigin:
        """Keep these node types and relations; an undirected graph of which one direction is left is directed."""
        types, relations = set(types), set(relations)
        kept = replace(self, node_names=_kept(self.node_names, types), node_positions=_kept(self.node_positions, types))
        if self.edge_positions is None or not relations <= self.edge_positions.keys():
            return kept.without_edges()
        if self.partner is not None and any((d, name, s) not in relations for s, name, d in relations):
            return kept.without_edges()
        return replace(kept, edge_positions=_kept(self.edge_positions, relations))


@dataclass(frozen=True, eq=False)
class TypedBatchOrigin:
    """The origins of the typed graphs of a batch, in order."""

    parts: tuple[TypedOrigin | None, ...]

    def without_edges(self) -> TypedBatchOrigin:
        """See :meth:`TypedOrigin.without_edges`."""
        return TypedBatchOrigin(tuple(part and part.without_edges() for part in self.parts))

    def select(self, types: Iterable[str], relations: Iterable[RelationKey]) -> TypedBatchOrigin:
        """See :meth:`TypedOrigin.select`."""
        types, relations = tuple(types), tuple(relations)
        return TypedBatchOrigin(tuple(part and part.select(types, relations) for part in self.parts))


def _kept(mapping: Mapping[Any, Any], keys: set[Any]) -> dict[Any, Any]:
    return {key: value for key, value in mapping.items() if key in keys}
