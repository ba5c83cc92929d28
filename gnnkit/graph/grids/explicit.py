"""The edges of a plan, counted and listed: for everything that wants an ordinary topology. Arrays only."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from gnnkit import kernels as K
from gnnkit.graph.grids.axes import tap_map
from gnnkit.graph.grids.parts import Plan, image_parts
from gnnkit.graph.grids.stencil import Stencil


@lru_cache(maxsize=1024)
def image_num_edges(size: tuple[int, ...], stencil: Stencil) -> int:
    """Number of edges on one image without a mask: a product over the axes, unless the lattice is hexagonal."""
    if stencil.lattice == "square":
        return math.prod(int((taps >= 0).sum()) for taps in tap_map(size, stencil))
    parts = image_parts(size, stencil, False)
    return sum(int((part.table >= 0).sum()) * len(part.sender_base) for part in parts)


def degrees(parts: Plan, num_receivers: int) -> np.ndarray:
    """Number of edges of every receiver, int64 [num_receivers]."""
    counts = np.zeros(num_receivers, np.int64)
    for part in parts:
        rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
        # within a part no receiver comes twice
        counts[part.receiver_base[:, None] + rows] += (part.table >= 0).sum(axis=0)
    return counts


def list_edges(parts: Plan, indptr: np.ndarray, num_senders: int) -> tuple[np.ndarray, np.ndarray]:
    """Sender and offset id (int32) of every edge, by receiver, sender and offset."""
    index_type = np.int32 if num_senders < 2**31 else np.int64
    senders, offset = np.empty(int(indptr[-1]), index_type), np.empty(int(indptr[-1]), np.int32)
    filled = indptr[:-1].copy()
    for part in parts:
        columns, slots = np.nonzero(part.table.T >= 0)  # by receiver, then by slot
        relative, ids = part.table.T[columns, slots], part.offsets[slots]
        counts = (part.table >= 0).sum(axis=0)
        rank = np.arange(len(columns)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
        for sender_base, receiver_base in zip(part.sender_base.tolist(), part.receiver_base.tolist()):
            place = filled[receiver_base + rows[columns]] + rank
            senders[place] = relative + sender_base
            offset[place] = ids
            filled[receiver_base + rows] += counts
    return _in_order(senders, offset, indptr, num_senders)


def _in_order(
    senders: np.ndarray, offset: np.ndarray, indptr: np.ndarray, num_senders: int
) -> tuple[np.ndarray, np.ndarray]:
    receivers = K.expand_indptr(indptr)
    falls = (senders[1:] < senders[:-1]) | ((senders[1:] == senders[:-1]) & (offset[1:] < offset[:-1]))
    if not (falls & (receivers[1:] == receivers[:-1])).any():
        return senders, offset
    order = np.lexsort((offset, senders, receivers))
    return senders[order], offset[order]
