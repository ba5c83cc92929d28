"""Products with a matrix for every edge type: the three derivatives of one trilinear form. Imports kernels, autodiff.

Edges that leave one node with one type carry the same product ``x_j W_r``, so it is computed once for each pair (type,
sender) that occurs. With p over those pairs, T(x, W, y) = sum_p x[sender_p] W[type_p] y[p]' is linear in each of its
arguments, and its derivatives are :func:`project` (by y), :func:`collect` (by x) and :func:`outer` (by W). They are
each other's derivatives again; no copy of the rows of ``x`` is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import SparseMatrix, as_array, defvjp, primitive
from gnnkit.graph import Topology


@dataclass(frozen=True, eq=False)
class TypedEdges:
    """The edges of a topology seen from the pairs (type, sender) that occur, which are sorted in that order.

    Attributes
    ----------
    topology : Topology
        From the pairs to the receivers: one edge for every edge of the graph.
    senders : int array [num_pairs]
        The node of every pair.
    ptr : int array [num_types + 1]
        Where the pairs of each type start.
    share : float array [num_edges]
        For every edge of the graph 1 over the number of edges of its type that its receiver has.
    """

    topology: Topology
    senders: np.ndarray
    ptr: np.ndarray
    share: np.ndarray

    @classmethod
    def build(cls, topology: Topology, types: np.ndarray, num_types: int) -> TypedEdges:
        """Sort the edges of ``topology`` by ``types`` [num_edges], integers in [0, num_types)."""
        types, senders, receivers = types.astype(np.int64), topology.senders, topology.receivers
        pairs, pair = np.unique(types * topology.num_senders + senders, return_inverse=True)
        _, group, count = np.unique(receivers * np.int64(num_types) + types, return_inverse=True, return_counts=True)
        pair_types, pair_senders = np.divmod(pairs, max(topology.num_senders, 1))
        seen = Topology.sort(pair.reshape(-1), receivers, num_senders=len(pairs), num_receivers=topology.num_receivers)
        share = (1.0 / count)[group.reshape(-1)]
        ptr = np.searchsorted(pair_types, np.arange(num_types + 1))
        for array in (pair_senders, ptr, share):
            array.flags.writeable = False  # owned and read-only: what is computed from them may be kept
        return cls(seen, pair_senders, ptr, share)

    @property
    def num_pairs(self) -> int:
        """Number of pairs (type, sender) that occur."""
        return len(self.senders)

    def scale(self, dtype: Any) -> np.ndarray:
        """``share`` for the edges of ``topology``, read-only; the same array every time."""

        def build() -> np.ndarray:
            scale = self.share[self.topology.edge_order].astype(dtype)
            scale.flags.writeable = False
            return scale

        return self.topology.cached(("scale", np.dtype(dtype).str), build)

    def parts(self) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Yield (type, its pairs, their senders) of the types that occur."""
        for kind in np.flatnonzero(np.diff(self.ptr)):
            pairs = slice(int(self.ptr[kind]), int(self.ptr[kind + 1]))
            yield int(kind), pairs, self.senders[pairs]


@primitive
def project(x: Any, weight: Any, *, edges: TypedEdges) -> Any:
    """``x_j W_r`` for every pair: [num_nodes, blocks * i], [num_types, blocks, i, o] -> [num_pairs, blocks * o]."""
    _, blocks, inside, outside = weight.shape
    out = np.empty((edges.num_pairs, blocks, outside), weight.dtype)
    for kind, pairs, nodes in edges.parts():
        rows = _rows(x, nodes, blocks, inside)
        for block in range(blocks):
            out[pairs, block] = _product(rows[block], weight[kind, block])
    return out.reshape(edges.num_pairs, blocks * outside)


@primitive
def collect(y: Any, weight: Any, *, edges: TypedEdges, num_nodes: int) -> Any:
    """``sum_p y_p W_r'`` at the sender of p: [num_pairs, blocks * o] -> [num_nodes, blocks * i]."""
    _, blocks, inside, outside = weight.shape
    out = np.zeros((num_nodes, blocks, inside), weight.dtype)
    y = y.reshape(edges.num_pairs, blocks, outside)
    for kind, pairs, nodes in edges.parts():
        for block in range(blocks):
            out[nodes, block] += K.matmul(y[pairs, block], weight[kind, block].T)  # no node twice within one type
    return out.reshape(num_nodes, blocks * inside)


@primitive
def outer(x: Any, y: Any, *, edges: TypedEdges, shape: tuple[int, int, int, int]) -> Any:
    """``sum_p x_j' y_p`` over the pairs of each type, within blocks: [num_types, blocks, i, o], which is ``shape``."""
    _, blocks, inside, outside = shape
    out = np.zeros(shape, y.dtype)
    y = y.reshape(edges.num_pairs, blocks, outside)
    for kind, pairs, nodes in edges.parts():
        rows = _rows(x, nodes, blocks, inside)
        for block in range(blocks):
            left, right = rows[block], y[pairs, block]
            is_sparse = isinstance(left, SparseMatrix)
            out[kind, block] = as_array(left.T @ right) if is_sparse else K.contract_rows(left, right)
    return out


def _rows(x: Any, nodes: np.ndarray, blocks: int, inside: int) -> list[Any]:
    """The rows ``nodes`` of ``x``, cut in blocks of columns."""
    if isinstance(x, SparseMatrix):
        rows = x.take_rows(nodes)
        if blocks == 1:
            return [rows]
        columns = rows.to_scipy().tocsc()
        return [
            SparseMatrix.from_scipy(columns[:, block * inside : (block + 1) * inside].tocsr())
            for block in range(blocks)
        ]
    picked = (x if len(nodes) == len(x) else x[nodes]).reshape(len(nodes), blocks, inside)
    return [picked[:, block] for block in range(blocks)]


def _product(left: Any, right: np.ndarray) -> np.ndarray:
    return as_array(left @ right) if isinstance(left, SparseMatrix) else K.matmul(left, right)


def _project_x(g: Any, y: Any, x: Any, weight: Any, *, edges: TypedEdges) -> Any:
    return collect(g, weight, edges=edges, num_nodes=x.shape[0])


def _project_weight(g: Any, y: Any, x: Any, weight: Any, *, edges: TypedEdges) -> Any:
    return outer(x, g, edges=edges, shape=weight.shape)


def _collect_y(g: Any, out: Any, y: Any, weight: Any, *, edges: TypedEdges, num_nodes: int) -> Any:
    return project(g, weight, edges=edges)


def _collect_weight(g: Any, out: Any, y: Any, weight: Any, *, edges: TypedEdges, num_nodes: int) -> Any:
    return outer(g, y, edges=edges, shape=weight.shape)


def _outer_x(g: Any, out: Any, x: Any, y: Any, *, edges: TypedEdges, shape: Any) -> Any:
    return collect(y, g, edges=edges, num_nodes=x.shape[0])


def _outer_y(g: Any, out: Any, x: Any, y: Any, *, edges: TypedEdges, shape: Any) -> Any:
    return project(x, g, edges=edges)


defvjp(project, _project_x, _project_weight, keep="01")
defvjp(collect, _collect_y, _collect_weight, keep="01")
defvjp(outer, _outer_x, _outer_y, keep="01")
