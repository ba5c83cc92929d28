"""What a graph remembers of where it came from: node names, edge keys, kind, and how attributes were held.

Kept beside the arrays so that a door out can give back what a door in was given. Imports nothing of gnnkit
but the errors' vocabulary; transforms call the methods here to keep the memory true to the new edges.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Attribute:
    """How one attribute of the outside was held: ``shape`` of one value, ``dtype``, and its container.

    ``container`` is "python" (a scalar of Python), "numpy" (a numpy scalar), "ndarray", or the nested sequence
    kinds, outermost first, such as "list" or "tuple/list".
    """

    name: Hashable
    shape: tuple[int, ...]
    dtype: np.dtype
    container: str


@dataclass(frozen=True)
class Column:
    """Which attributes made one field; several if they were stacked in columns."""

    attributes: tuple[Attribute, ...]
    stacked: bool
    shape: tuple[int, ...]
    dtype: np.dtype

    def fits(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether a field of this row shape and dtype can still be given back as it came."""
        return shape == self.shape and dtype == self.dtype


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a single graph came from.

    Attributes
    ----------
    node_names : tuple or None
        Name of every node, in node order; None when names are the indices.
    partner : int64 [num_edges] or None
        For an undirected graph, by caller's position: the position of the edge in the other direction (a self-loop:
        its own). The earlier of the two is the edge as it was given. None: directed.
    multigraph : bool or None
        Whether parallel edges are allowed outside; None: decide by whether there are any.
    edge_keys : tuple or None
        Key of every given edge of a multigraph, in the caller's order.
    columns : mapping
        Level ("nodes", "edges", "globals") -> field -> :class:`Column`.
    extra : mapping
        Graph attributes that no array can hold, carried unchanged.
    """

    node_names: tuple[Hashable, ...] | None = None
    partner: np.ndarray | None = None
    multigraph: bool | None = None
    edge_keys: tuple[Hashable, ...] | None = None
    columns: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    extra: Mapping[Hashable, Any] = field(default_factory=dict)

    def without_edges(self) -> Origin:
        """The memory of the nodes alone, for a graph whose edges are others: directed, no keys."""
        columns = {level: fields for level, fields in self.columns.items() if level != "edges"}
        return replace(self, partner=None, multigraph=None, edge_keys=None, columns=columns)

    def select_nodes(self, index: np.ndarray) -> Origin:
        """Keep the names of the nodes in ``index``, in that order; indices become names where there were none."""
        if self.node_names is None:
            return self
        return replace(self, node_names=tuple(self.node_names[i] for i in index))

    def given(self) -> np.ndarray:
        """Caller's positions of the edges as they were given, without the reverses of an undirected graph."""
        assert self.partner is not None
        return np.flatnonzero(self.partner >= np.arange(len(self.partner)))

    def select_edges(self, positions: np.ndarray) -> Origin:
        """Keep the edges at these caller's positions (ascending; both directions of an undirected edge or none)."""
        keys, partner = self.edge_keys, self.partner
        if partner is None:
            kept = positions
        else:
            kept = np.searchsorted(self.given(), positions[partner[positions] >= positions])
            partner = np.searchsorted(positions, partner[positions])
        return replace(self, partner=partner, edge_keys=None if keys is None else tuple(keys[i] for i in kept))

    def append_loops(self, count: int) -> Origin:
        """Remember ``count`` more self-loops after the other edges."""
        keys = None if self.edge_keys is None else self.edge_keys + (None,) * count
        partner = self.partner
        if partner is not None:
            partner = np.concatenate([partner, np.arange(len(partner), len(partner) + count)])
        return replace(self, partner=partner, edge_keys=keys)


@dataclass(frozen=True, eq=False)
class BatchOrigin:
    """The origins of the graphs of a batch, in order."""

    parts: tuple[Origin | None, ...]

    def without_edges(self) -> BatchOrigin:
        """See :meth:`Origin.without_edges`."""
        return BatchOrigin(tuple(part and part.without_edges() for part in self.parts))


def appended(origin: Origin | BatchOrigin | None, loops: int) -> Origin | BatchOrigin | None:
    """The memory of a graph to which ``loops`` self-loops were added; a batch forgets its edges."""
    if isinstance(origin, Origin):
        return origin.append_loops(loops)
    return None if origin is None else origin.without_edges()


def node_label(origin: Any, node: int) -> str:
    """How an error speaks of a node: its index, and its name where it has one."""
    names: Sequence[Hashable] | None = getattr(origin, "node_names", None)
    return f"node {node}" if names is None or names[node] == node else f"node {names[node]!r} (index {node})"
