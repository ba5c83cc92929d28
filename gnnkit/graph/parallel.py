"""Parallel edges (same sender, same receiver): which they are, and their order by what they carry.

The canonical order sorts edges by receiver and sender, which leaves parallel ones open. Their fields decide: so the
order, and with it every bit of a sum over edges, does not depend on the order in which edges were given. Parallel edges
with equal fields are interchangeable and keep the caller's order. Knows Topology and fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.graph.fields import raw, take_rows
from gnnkit.graph.topology import Topology

MANY_BYTES = 64  # of a row, from which ranking the rows first is quicker than sorting by every eight bytes


def same_as_before(topology: Topology) -> np.ndarray:
    """Boolean [num_edges], canonical order: whether the edge before has the same sender and receiver."""
    same = np.zeros(topology.num_edges, bool)
    same[_repeats(topology)] = True
    return same


def _repeats(topology: Topology) -> np.ndarray:
    """Positions of the edges that have the ends of the edge before."""
    senders, indptr = topology.indices, topology.indptr
    found = np.flatnonzero(senders[1:] == senders[:-1]) + 1
    # the first edge of a row has another receiver than the edge before, whatever its sender
    return found[indptr[np.searchsorted(indptr, found)] != found] if len(found) else found


def canonical_edges(
    senders: np.ndarray, receivers: np.ndarray, fields: Mapping[str, Any], *, num_senders: int, num_receivers: int
) -> tuple[Topology, dict[str, Any]]:
    """Sort checked edges with their fields: by receiver, then sender, then content of the fields."""
    topology = Topology.sort(senders, receivers, num_senders=num_senders, num_receivers=num_receivers)
    topology = ordered_by_content(topology, fields)
    if topology.is_caller_ordered:
        return topology, dict(fields)
    return topology, {name: take_rows(value, topology.edge_order) for name, value in fields.items()}


def ordered_by_content(topology: Topology, fields: Mapping[str, Any]) -> Topology:
    """The topology with parallel edges ordered by ``fields`` (in the caller's order); itself if there are none."""
    if not fields:
        return topology
    repeats = _repeats(topology)
    if not len(repeats):
        return topology
    same = np.zeros(topology.num_edges, bool)
    same[repeats] = True
    order = content_order(same, fields, topology.edge_order)
    if order is topology.edge_order:
        return topology
    is_identity = bool((order == np.arange(len(order))).all())
    return Topology.trusted(topology.indptr, topology.indices, topology.num_senders, None if is_identity else order)


def content_order(same: np.ndarray, fields: Mapping[str, Any], order: np.ndarray) -> np.ndarray:
    """``order``, positions of rows, with the members of each group brought in the order of what the fields hold there.

    Parameters
    ----------
    same : bool [n]
        Whether row k belongs to the group of row k - 1.
    fields : mapping of name to array or Tensor
        All of them count, by ascending name, value by value, by their bits: a total order, with NaN and -0.0 in it.
    order : int64 [n]
        ``fields[name][order]`` are the rows. Equal rows keep their order; ``order`` itself is returned if all do.
    """
    member = same.copy()
    member[:-1] |= same[1:]
    places = np.flatnonzero(member)
    if not len(places):
        return order
    groups = np.cumsum(~same)[places]
    rows = order[places]
    keys = [key for name in sorted(fields) for key in _keys(raw(fields[name])[rows])]
    if not keys:
        return order
    sorted_ = np.lexsort((*reversed(keys), groups))  # stable; the last key is the first
    if (sorted_[1:] > sorted_[:-1]).all():
        return order
    result = order.copy()
    result[places] = rows[sorted_]
    return result


def _keys(rows: np.ndarray) -> list[np.ndarray]:
    """Integers [num_rows] that order rows by their bits: the first array, then the second, ..."""
    if rows.dtype.kind in "iufcmM":
        rows = rows.astype(rows.dtype.newbyteorder(">"), copy=False)  # on every machine the same order
    if rows.size == 0:
        return []
    count = len(rows)
    content = np.ascontiguousarray(rows).reshape(count, -1).view(np.uint8)
    width = content.shape[1]
    if width > MANY_BYTES:
        return [np.unique(content.view(f"V{width}").reshape(count), return_inverse=True)[1].reshape(count)]
    padded = np.zeros((count, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = content
    return list(padded.view(">u8").astype(np.uint64).T)
