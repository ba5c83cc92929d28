"""Numba loops along edges. Imports only the preset."""

from __future__ import annotations

from gnnkit.kernels.backend import jit


@jit
def neighbour_sum(start, stop, indptr, indices, weights, weighted, x, out):
    """Rows start..stop of the weighted neighbour sum; weights [E, H] (one head: H = 1), x and out [.., H * C]."""
    heads = weights.shape[1]
    channels = x.shape[1] // heads
    for i in range(start, stop):
        for f in range(out.shape[1]):
            out[i, f] = 0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            for h in range(heads):
                w = weights[k, h] if weighted else weights[0, 0]
                for c in range(h * channels, (h + 1) * channels):
                    out[i, c] += w * x[j, c]


@jit
def edge_dot(start, stop, indptr, indices, receiver_x, sender_x, out):
    """Rows start..stop of the edge dot product; features [.., H * C], out [E, H]."""
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
