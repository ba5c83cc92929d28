"""Numba loops along edges: vector versions, and plain ones for machines without. Imports the preset and simd."""

from __future__ import annotations

from gnnkit.kernels import simd
from gnnkit.kernels.backend import jit

# With features larger than this (a typical second-level cache) the rows to come are fetched ahead of their use.
PREFETCH_BYTES = 1 << 20
PREFETCH_EDGES = 12
PREFETCH_NARROW_EDGES = 20  # for rows of one or two cache lines: more of them are on their way at a time


@jit
def vector_neighbour_sum(start, stop, indptr, indices, weights, weighted, block, x, out):
    """Rows start..stop of the weighted neighbour sum; weights [E, H] (one head: H = 1), x and out [.., H * C]."""
    heads = weights.shape[1]
    channels = x.shape[1] // heads
    ahead = PREFETCH_EDGES if block * x.itemsize > 128 else PREFETCH_NARROW_EDGES
    if x.size * x.itemsize <= PREFETCH_BYTES:
        ahead = 0
    for first in range(0, channels, block):
        width = min(block, channels - first)
        for i in range(start, stop):
            for h in range(heads):
                column = h * channels + first
                begin, end = indptr[i], indptr[i + 1]
                simd.row_sum(out, i, x, column, width, indices, begin, end, weights, h, weighted, ahead)


@jit
def plain_neighbour_sum(start, stop, indptr, indices, weights, weighted, block, x, out):
    """The same without vectors (block is not used)."""
    heads = weights.shape[1]
    channels = x.shape[1] // heads
    for i in range(start, stop):
        for f in range(out.shape[1]):
            out[i, f] = 0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            for h in range(heads):
                w = weights[k * weighted, h]
                for c in range(h * channels, (h + 1) * channels):
                    out[i, c] += w * x[j, c]


@jit
def vector_edge_dot(start, stop, indptr, indices, receiver_x, sender_x, out):
    """Rows start..stop of the edge dot product; features [.., H * C], out [E, H]."""
    heads = out.shape[1]
    channels = sender_x.shape[1] // heads
    last = indices.shape[0] - 1
    large = sender_x.size * sender_x.itemsize > PREFETCH_BYTES
    for i in range(start, stop):
        for k in range(indptr[i], indptr[i + 1]):
            if large:
                simd.prefetch_row(sender_x, indices[min(k + PREFETCH_EDGES, last)])
            for h in range(heads):
                out[k, h] = simd.dot(receiver_x, i, sender_x, indices[k], h * channels, channels)


@jit
def plain_edge_dot(start, stop, indptr, indices, receiver_x, sender_x, out):
    """The same without vectors."""
    heads = out.shape[1]
    channels = sender_x.shape[1] // heads
    for i in range(start, stop):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            for h in range(heads):
                total = sender_x.dtype.type(0)
                for c in range(h * channels, (h + 1) * channels):
                    total += receiver_x[i, c] * sender_x[j, c]
                out[k, h] = total


neighbour_sum = vector_neighbour_sum if simd.VECTOR_BITS else plain_neighbour_sum
edge_dot = vector_edge_dot if simd.VECTOR_BITS else plain_edge_dot


def block_width(channels, itemsize):
    """Columns per pass of :func:`neighbour_sum`."""
    return simd.block_width(channels, itemsize) if simd.VECTOR_BITS else channels
