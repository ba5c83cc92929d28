"""Boundaries of the graphs in a batch, and their check. Knows Topology and kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import InvalidGraphError
from gnnkit.graph.checks import as_index
from gnnkit.graph.topology import Topology, frozen


class Bounds:
    """Where each graph of a batch begins: node_ptr, edge_ptr int64 [num_graphs + 1], and what follows from them."""

    __slots__ = ("_edge_graph", "_node_graph", "edge_ptr", "node_ptr")

    def __init__(self, node_ptr: np.ndarray, edge_ptr: np.ndarray) -> None:
        self.node_ptr, self.edge_ptr = frozen(node_ptr), frozen(edge_ptr)
        self._node_graph: np.ndarray | None = None
        self._edge_graph: np.ndarray | None = None

    @classmethod
    def of(cls, topology: Topology, node_ptr: np.ndarray) -> Bounds:
        """Edges are sorted by receiver, so the nodes' boundaries give those of the edges."""
        return cls(node_ptr, topology.indptr[node_ptr])

    @classmethod
    def single(cls, topology: Topology) -> Bounds:
        """One graph."""
        return cls(np.array([0, topology.num_nodes]), np.array([0, topology.num_edges]))

    @property
    def node_graph(self) -> np.ndarray:
        if self._node_graph is None:
            self._node_graph = frozen(K.expand_indptr(self.node_ptr))
        return self._node_graph

    @property
    def edge_graph(self) -> np.ndarray:
        if self._edge_graph is None:
            self._edge_graph = frozen(K.expand_indptr(self.edge_ptr))
        return self._edge_graph


def checked_bounds(topology: Topology, node_ptr: Any, edge_ptr: Any) -> Bounds:
    if node_ptr is None:
        if edge_ptr is not None:
            raise InvalidGraphError("edge_ptr needs node_ptr. Got edge_ptr alone. Give node_ptr as well.")
        return Bounds.single(topology)
    node_ptr = as_node_ptr(node_ptr, topology.num_nodes)
    bounds = Bounds.of(topology, node_ptr)
    if edge_ptr is not None and not np.array_equal(as_index(edge_ptr, "edge_ptr", entry="graph"), bounds.edge_ptr):
        raise InvalidGraphError(
            f"edge_ptr must count the edges received by the nodes of each graph: {_short(bounds.edge_ptr)}. "
            f"Got {_short(np.asarray(edge_ptr))}. Leave edge_ptr out, it follows from node_ptr."
        )
    if len(node_ptr) > 2:
        check_crossing(topology, bounds.node_graph, bounds.edge_graph)
    return bounds


def as_node_ptr(node_ptr: Any, num_nodes: int) -> np.ndarray:
    """Return the first node of every graph, and at the end ``num_nodes``, as int64 [num_graphs + 1]."""
    node_ptr = as_index(node_ptr, "node_ptr", entry="graph").astype(np.int64)
    if len(node_ptr) == 0 or node_ptr[0] != 0 or node_ptr[-1] != num_nodes or (np.diff(node_ptr) < 0).any():
        raise InvalidGraphError(
            f"node_ptr must rise from 0 to num_nodes={num_nodes}. Got {_short(node_ptr)}. "
            "Give the first node of every graph and at the end num_nodes."
        )
    return node_ptr


def check_crossing(topology: Topology, sender_graph: np.ndarray, edge_graph: np.ndarray) -> None:
    """Raise naming the first edge whose sender is of another graph of the batch than its receiver."""
    crossing = sender_graph[topology.senders] != edge_graph
    if crossing.any():
        edge = int(np.argmax(crossing))
        sender, receiver = int(topology.senders[edge]), int(topology.receivers[edge])
        raise InvalidGraphError(
            "An edge must stay within one graph of a batch. "
            f"Edge {int(topology.edge_order[edge])} ({sender} -> {receiver}) leads from graph "
            f"{int(sender_graph[sender])} to graph {int(edge_graph[edge])}. "
            "Correct node_ptr or the edge."
        )


def _short(array: np.ndarray) -> str:
    return np.array2string(array, threshold=12, edgeitems=4)
