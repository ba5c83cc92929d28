"""Where a program runs: a topology, the graphs its nodes belong to, and the dtype to compute in.

Imports kernels and Topology.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.graph import Graph, Topology


@dataclass(frozen=True)
class Setting:
    """Everything about a run that is not an input of the program."""

    topology: Topology
    bounds: Graph | None  # knows where each graph of a batch begins
    dtype: np.dtype[Any]

    def count(self, level: str) -> int:
        """Number of rows of a level."""
        if level == "graph":
            return 1 if self.bounds is None else self.bounds.num_graphs
        t = self.topology
        return {"src": t.num_senders, "dst": t.num_receivers, "edge": t.num_edges, "const": 1}[level]

    def pointer(self, level: str) -> np.ndarray:
        """Where the rows of each graph begin, int64 [num_graphs + 1]."""
        if self.bounds is None:
            return np.array([0, self.count(level)], np.int64)
        return self.bounds.edge_ptr if level == "edge" else self.bounds.node_ptr

    def degree(self, level: str) -> np.ndarray:
        """Number of edges of every receiver, sender or graph, in the dtype of the run."""
        if level == "graph":
            return np.diff(self.pointer("edge")).astype(self.dtype)
        t = self.topology if level == "dst" else self.topology.transpose()
        return t.cached(("degree", self.dtype.str), lambda: np.diff(t.indptr).astype(self.dtype))

    def has_empty(self, level: str) -> bool:
        """Whether some receiver, sender or graph has no edge."""
        if level == "graph":
            return bool((self.degree("graph") == 0).any())
        t = self.topology if level == "dst" else self.topology.transpose()
        return t.cached("has_empty", lambda: bool((np.diff(t.indptr) == 0).any()))
