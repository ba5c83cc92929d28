"""Boundaries of the graphs in a batch, and their check. Knows Topology and kernels."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import InvalidGraphError
from gnnkit.graph.checks import as_index
from gnnkit.graph.topology import Topology, frozen


class Bounds:
    """Where each graph of a batch begins: node_ptr, edge_ptr int64 [num_graphs + 1], and what follows from them.

    What concerns edges is computed when asked for: the edges of a grid are not listed before. The topology is held
    weakly (it may keep its own bounds); the graph that has these bounds keeps it alive.
    """

    __slots__ = ("__weakref__", "_edge_graph", "_edge_ptr", "_node_graph", "_topology", "node_ptr")

    def __init__(self, topology: Topology, node_ptr: np.ndarray) -> None:
        self.node_ptr = frozen(node_ptr)
        self._topology = weakref.ref(topology)
        self._edge_ptr: np.ndarray | None = None
        self._node_graph: np.ndarray | None = None
        self._edge_graph: np.ndarray | None = None

    @classmethod
    def of(cls, topology: Topology, node_ptr: np.ndarray) -> Bounds:
        """Bounds after a known ``node_ptr``; edges are sorted by receiver, so it gives those of the edges."""
        own = topology.graph_ptr
        if own is not None and (own is node_ptr or np.array_equal(own, node_ptr)):
            return cls.whole(topology)
        return cls(topology, node_ptr)

    @classmethod
    def whole(cls, topology: Topology) -> Bounds:
        """The graphs that the topology itself knows (the images of a grid), or else one graph."""
        own = topology.graph_ptr
        if own is None:
            return cls(topology, np.array([0, topology.num_nodes]))
        return topology.cached("bounds", lambda: cls(topology, own))

    @property
    def edge_ptr(self) -> np.ndarray:
        if self._edge_ptr is None:
            topology = self._topology()
            assert topology is not None
            self._edge_ptr = frozen(topology.edges_before(self.node_ptr))
        return self._edge_ptr

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
        return Bounds.whole(topology)
    if node_ptr is topology.graph_ptr and edge_ptr is None:
        return Bounds.whole(topology)
    node_ptr = as_node_ptr(node_ptr, topology.num_nodes)
    bounds = Bounds.of(topology, node_ptr)
    if edge_ptr is not None and not np.array_equal(as_index(edge_ptr, "edge_ptr", entry="graph"), bounds.edge_ptr):
        raise InvalidGraphError(
            f"edge_ptr must count the edges received by the nodes of each graph: {_short(bounds.edge_ptr)}. "
            f"Got {_short(np.asarray(edge_ptr))}. Leave edge_ptr out, it follows from node_ptr."
        )
    if len(node_ptr) > 2 and bounds.node_ptr is not topology.graph_ptr:  # edges of a grid stay in their image
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
