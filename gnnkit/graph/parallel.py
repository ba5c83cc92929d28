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


def same_as_before(topology: Topology) -> np.ndarray:
    """Boolean [num_edges], canonical order: whether the edge before has the same sender and receiver."""
    senders, count = topology.indices, topology.num_edges
    same = np.zeros(count, bool)
    np.equal(senders[1:], senders[:-1], out=same[1:])
    begins = topology.indptr[:-1]
    same[begins[begins < count]] = False
    return same


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
    same = same_as_before(topology)
    if not same.any():
        return topology
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
    keys = [_ranks(raw(fields[name])[rows]) for name in sorted(fields) if raw(fields[name]).size]
    if not keys:
        return order
    sorted_ = np.lexsort((*reversed(keys), groups))  # stable; the last key is the first
    if (sorted_[1:] > sorted_[:-1]).all():
        return order
    result = order.copy()
    result[places] = rows[sorted_]
    return result


def _ranks(rows: np.ndarray) -> np.ndarray:
    """One integer per row that orders rows by their bits."""
    if rows.dtype.kind in "iufcmM":
        rows = rows.astype(rows.dtype.newbyteorder(">"), copy=False)  # on every machine the same order
    count = len(rows)
    content = np.ascontiguousarray(rows).reshape(count, -1).view(np.uint8).reshape(count, -1)
    width = content.shape[1]
    if width <= 8:
        padded = np.zeros((count, 8), np.uint8)
        padded[:, :width] = content
        return padded.view(">u8").reshape(count).astype(np.uint64)
    return np.unique(content.view(f"V{width}").reshape(count), return_inverse=True)[1].reshape(count)
