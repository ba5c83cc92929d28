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
    given : bool [num_edges] or None
        For an undirected graph, by caller's position: True for an edge as it was given, False for the reverse that
        was added. The j-th reverse belongs to the j-th given edge that is not a self-loop. None: directed.
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
    given: np.ndarray | None = None
    multigraph: bool | None = None
    edge_keys: tuple[Hashable, ...] | None = None
    columns: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    extra: Mapping[Hashable, Any] = field(default_factory=dict)

    def without_edges(self) -> Origin:
        """The memory of the nodes alone, for a graph whose edges are others: directed, no keys."""
        columns = {level: fields for level, fields in self.columns.items() if level != "edges"}
        return replace(self, given=None, multigraph=None, edge_keys=None, columns=columns)

    def select_nodes(self, index: np.ndarray) -> Origin:
        """Keep the names of the nodes in ``index``, in that order; indices become names where there were none."""
        if self.node_names is None:
            return self
        return replace(self, node_names=tuple(self.node_names[i] for i in index))

    def select_edges(self, positions: np.ndarray) -> Origin:
        """Keep the edges at these caller's positions (ascending; both directions of an undirected edge or none)."""
        keys = self.edge_keys
        if keys is not None:
            kept = positions
            if self.given is not None:
                rank = np.cumsum(self.given) - 1
                kept = rank[positions[self.given[positions]]]
            keys = tuple(keys[i] for i in kept)
        given = None if self.given is None else self.given[positions]
        return replace(self, given=given, edge_keys=keys)

    def append_edges(self, count: int) -> Origin:
        """Remember ``count`` more edges given at the end (self-loops: they have no reverse)."""
        keys = None if self.edge_keys is None else self.edge_keys + (None,) * count
        given = None if self.given is None else np.concatenate([self.given, np.ones(count, bool)])
        return replace(self, given=given, edge_keys=keys)


@dataclass(frozen=True, eq=False)
class BatchOrigin:
    """The origins of the graphs of a batch, in order."""

    parts: tuple[Origin | None, ...]

    def without_edges(self) -> BatchOrigin:
        """See :meth:`Origin.without_edges`."""
        return BatchOrigin(tuple(part and part.without_edges() for part in self.parts))


def undirected_origin(num_given: int, num_edges: int) -> Origin:
    """Origin of an undirected graph whose first ``num_given`` edges were given and the others are reverses."""
    return Origin(given=np.arange(num_edges) < num_given)


def mirror(senders: np.ndarray, receivers: np.ndarray) -> np.ndarray:
    """Caller's positions of the edges to append so that every given edge has its reverse, loops excepted."""
    return np.flatnonzero(np.asarray(senders) != np.asarray(receivers))


def node_label(origin: Any, node: int) -> str:
    """How an error speaks of a node: its index, and its name where it has one."""
    names: Sequence[Hashable] | None = getattr(origin, "node_names", None)
    return f"node {node}" if names is None or names[node] == node else f"node {names[node]!r} (index {node})"
