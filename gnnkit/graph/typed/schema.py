"""The schema of a typed graph: which node types, relations and fields there are, how wide, of which dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnnkit.graph.fields import is_sparse
from gnnkit.graph.typed.keys import RelationKey


@dataclass(frozen=True)
class FieldSpec:
    """What one row of a field is.

    Examples
    --------
    >>> import numpy as np
    >>> FieldSpec(np.dtype("float32"), (16,)), FieldSpec(np.dtype("int64"), ())
    (float32[16], int64)
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    sparse: bool = False

    @classmethod
    def of(cls, value: Any) -> FieldSpec:
        """The specification of a field value."""
        return cls(np.dtype(value.dtype), tuple(value.shape[1:]), is_sparse(value))

    def __repr__(self) -> str:
        width = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        return f"{'sparse ' if self.sparse else ''}{self.dtype}{width}"


Specs = Mapping[str, FieldSpec]


@dataclass(frozen=True, repr=False)
class Schema:
    """The types of a typed graph; prints as a table.

    Attributes
    ----------
    nodes : mapping of node type to mapping of field to FieldSpec
    relations : mapping of (sender type, name, receiver type) to mapping of field to FieldSpec
    globals : mapping of field to FieldSpec
    num_nodes, num_edges : mapping of node type / relation to int
        Not compared: two graphs of different sizes may have the same schema.

    Examples
    --------
    >>> import gnnkit as gk
    >>> writes = ("author", "writes", "paper")
    >>> g = gk.typed_graph(num_nodes={"author": 2}, nodes={"paper": {"y": [0, 1, 1]}}, edges={writes: ([0], [2])})
    >>> g.schema
    author                      2 nodes
    paper                       3 nodes  y int64
    author -> writes -> paper   1 edge
    """

    nodes: Mapping[str, Specs]
    relations: Mapping[RelationKey, Specs]
    globals: Specs = field(default_factory=dict)
    num_nodes: Mapping[str, int] = field(default_factory=dict, compare=False)
    num_edges: Mapping[RelationKey, int] = field(default_factory=dict, compare=False)

    __hash__ = None  # type: ignore[assignment]

    @property
    def node_types(self) -> tuple[str, ...]:
        """Names of the node types."""
        return tuple(self.nodes)

    @property
    def edge_types(self) -> tuple[RelationKey, ...]:
        """Keys of the relations."""
        return tuple(self.relations)

    def __str__(self) -> str:
        rows = [(key, _counted(self.num_nodes.get(key), "node"), specs) for key, specs in self.nodes.items()]
        rows += [
            (" -> ".join(key), _counted(self.num_edges.get(key), "edge"), specs)
            for key, specs in self.relations.items()
        ]
        if self.globals:
            rows.append(("globals", "", self.globals))
        names = max((len(name) for name, _, _ in rows), default=0)
        counts = max((len(count) for _, count, _ in rows), default=0)
        lines = [f"{name:<{names}}  {count:>{counts}}  {_fields(specs)}".rstrip() for name, count, specs in rows]
        return "\n".join(lines) or "no node types"

    __repr__ = __str__


def _counted(count: int | None, what: str) -> str:
    return "" if count is None else f"{count:,} {what}{' ' if count == 1 else 's'}"


def _fields(specs: Specs) -> str:
    return ", ".join(f"{name} {spec!r}" for name, spec in specs.items())
