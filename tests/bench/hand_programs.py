"""What an expert would write by hand for ``bench_programs.py``: numba kernels with vectors, and derivatives on paper.

Each side is one sweep over the edges per direction. The forward sweep owns the rows of the receivers and, when a
gradient will be asked for, brings along the sums that are linear in it; the backward sweep owns the rows of the senders
on the transpose. Widths are constants of the compiled code, rows to come are fetched ahead, softmax goes online from
block to block, numbers per head of the other end lie side by side. The same thread pool as gnnkit's own kernels runs
them. Nothing is general here: that is the point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.graph import Topology
from gnnkit.kernels import simd
from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit

HEADS, CHANNELS = 8, 16
WIDTH = HEADS * CHANNELS
SLOPE = 0.2
BLOCK = 32  # edges of a row that wait in the first-level cache
AHEAD = 12  # edges from now whose rows are fetched
NARROW = 32  # score, log of the total and dot of a receiver, 8 heads each, on two cache lines

Arrays = dict[str, np.ndarray]


# --- attention with edge features and a gate ------------------------------------------------------------------------
# y_i = sum_k a_k g_k h_j;  a = softmax_k of s_k = leaky(src.score_j + dst.score_i + edge.score_k) [heads],
# g_k = sigmoid(src.gate_j + dst.gate_i) [heads, channels].  For an adjoint G of y:
# dh_j = sum_k a g G_i;  dsrc.gate_j = h_j * sum_k a g (1 - g) G_i;  ddst.gate_i = G_i * sum_k a g (1 - g) h_j;
# with D_i = G_i . y_i and slope_k = leaky'(s_k): ds_k = a_k (G_i . (g_k h_j) - D_i) slope_k, which is dedge.score,
# sums over the edges of j to dsrc.score, and over those of i to G_i . (sum_k a slope g h_j) - D_i sum_k a slope.


@jit
def _attention(
    start, stop, indptr, senders, s_src, s_dst, s_edge, g_src, g_dst, h, y, lse, learn, by_gate, by_slope, slopes
):
    lanes = v.lanes(y)
    weights, steep = np.empty((BLOCK, HEADS), y.dtype), np.empty((BLOCK, HEADS), y.dtype)
    state = np.empty((4, HEADS), y.dtype)  # maximum, total, total with slopes, factors
    last = len(senders) - 1
    for i in range(start, stop):
        _clear(y, i)
        if learn:
            _clear(by_gate, i)
            _clear(by_slope, i)
        for c in range(0, HEADS, lanes):
            n = min(lanes, HEADS - c)
            v.store(state, 0, c, n, v.constant(y, -np.inf))
            v.store(state, 1, c, n, v.zeros(y))
            v.store(state, 2, c, n, v.zeros(y))
        for first in range(indptr[i], indptr[i + 1], BLOCK):
            count = min(BLOCK, indptr[i + 1] - first)
            for c in range(0, HEADS, lanes):  # scores of the block, and their maximum
                n = min(lanes, HEADS - c)
                mine, old = v.load(s_dst, i, c, n), v.load(state, 0, c, n)
                top = old
                for b in range(count):
                    j, jj = simd.position(senders, first + b), simd.position(senders, min(first + b + AHEAD, last))
                    simd.prefetch_line(s_src, jj, c)
                    score = v.load(s_src, j, c, n) + mine + v.load(s_edge, first + b, c, n)
                    score = score * v.where(score > 0.0, v.constant(y, 1.0), v.constant(y, SLOPE))
                    top = v.maximum(top, score)
                    v.store(weights, b, c, n, score)
                change = v.exp(old - top)
                total, sloped = v.load(state, 1, c, n) * change, v.load(state, 2, c, n) * change
                for b in range(count):
                    score = v.load(weights, b, c, n)
                    weight = v.exp(score - top)
                    total = total + weight
                    v.store(weights, b, c, n, weight)
                    if learn:
                        weight = weight * v.where(score > 0.0, v.constant(y, 1.0), v.constant(y, SLOPE))
                        sloped = sloped + weight
                        v.store(steep, b, c, n, weight)
                v.store(state, 0, c, n, top)
                v.store(state, 1, c, n, total)
                v.store(state, 2, c, n, sloped)
                if first > indptr[i]:
                    _rescale(y, i, change, c, n, state)
                    if learn:
                        _rescale(by_gate, i, change, c, n, state)
                        _rescale(by_slope, i, change, c, n, state)
            for c in range(0, WIDTH, lanes):
                mine, head = v.load(g_dst, i, c, lanes), c // CHANNELS
                out = v.load(y, i, c, lanes)
                if learn:
                    gated, slope = v.load(by_gate, i, c, lanes), v.load(by_slope, i, c, lanes)
                    for b in range(count):
                        j, jj = simd.position(senders, first + b), simd.position(senders, min(first + b + AHEAD, last))
                        simd.prefetch_line(g_src, jj, c)
                        simd.prefetch_line(h, jj, c)
                        gate = v.sigmoid(v.load(g_src, j, c, lanes) + mine)
                        row = gate * v.load(h, j, c, lanes)
                        part = v.splat(weights, b, head) * row
                        out = out + part
                        gated = gated + part * (1.0 - gate)
                        slope = slope + v.splat(steep, b, head) * row
                    v.store(by_gate, i, c, lanes, gated)
                    v.store(by_slope, i, c, lanes, slope)
                else:
                    for b in range(count):
                        j, jj = simd.position(senders, first + b), simd.position(senders, min(first + b + AHEAD, last))
                        simd.prefetch_line(g_src, jj, c)
                        simd.prefetch_line(h, jj, c)
                        gate = v.sigmoid(v.load(g_src, j, c, lanes) + mine)
                        out = out + v.splat(weights, b, head) * gate * v.load(h, j, c, lanes)
                v.store(y, i, c, lanes, out)
        if indptr[i] == indptr[i + 1]:
            continue
        for c in range(0, HEADS, lanes):
            n = min(lanes, HEADS - c)
            total = v.load(state, 1, c, n)
            v.store(lse, i, c, n, v.load(state, 0, c, n) + v.log(total))
            _rescale(y, i, 1.0 / total, c, n, state)
            if learn:
                _rescale(by_gate, i, 1.0 / total, c, n, state)
                _rescale(by_slope, i, 1.0 / total, c, n, state)
                v.store(slopes, i, c, n, v.load(state, 2, c, n) / total)


@jit
def _clear(x, i):
    lanes = v.lanes(x)
    for c in range(0, WIDTH, lanes):
        v.store(x, i, c, lanes, v.zeros(x))


@jit
def _rescale(x, i, factors, column, n, scratch):
    """Multiply the heads from ``column`` on of row i."""
    lanes = v.lanes(x)
    v.store(scratch, 3, 0, n, factors)
    for a in range(n):
        scale = v.splat(scratch, 3, a)
        for c in range((column + a) * CHANNELS, (column + a + 1) * CHANNELS, lanes):
            m = min(lanes, (column + a + 1) * CHANNELS - c)
            v.store(x, i, c, m, v.load(x, i, c, m) * scale)


@jit
def _attention_prepare(start, stop, g, y, s_dst, lse, by_gate, by_slope, slopes, packed, d_gate, d_score):
    """What is left for the receivers, and what the senders need of them, in one pass over the rows."""
    for i in range(start, stop):
        for a in range(HEADS):
            dot, sloped = np.float32(0.0), np.float32(0.0)
            for c in range(a * CHANNELS, (a + 1) * CHANNELS):
                dot += g[i, c] * y[i, c]
                sloped += g[i, c] * by_slope[i, c]
                d_gate[i, c] = g[i, c] * by_gate[i, c]
            packed[i, a], packed[i, HEADS + a], packed[i, 2 * HEADS + a] = s_dst[i, a], lse[i, a], dot
            d_score[i, a] = sloped - dot * slopes[i, a]


@jit
def _attention_backward(
    start, stop, indptr, receivers, order, g, packed, g_dst, s_src, s_edge, g_src, h, d_h, d_gate, d_score, d_edge
):
    lanes = v.lanes(h)
    weights, steep = np.empty((BLOCK, HEADS), h.dtype), np.empty((BLOCK, HEADS), h.dtype)
    dots = np.empty((BLOCK, HEADS), h.dtype)
    last = len(receivers) - 1
    for j in range(start, stop):
        _clear(d_h, j)
        _clear(d_gate, j)
        for c in range(0, HEADS, lanes):
            v.store(d_score, j, c, min(lanes, HEADS - c), v.zeros(h))
        for first in range(indptr[j], indptr[j + 1], BLOCK):
            count = min(BLOCK, indptr[j + 1] - first)
            for b in range(count):
                i, ii = simd.position(receivers, first + b), simd.position(receivers, min(first + b + AHEAD, last))
                e, ee = simd.position(order, first + b), simd.position(order, min(first + b + AHEAD, last))
                simd.prefetch_row(packed, ii)
                simd.prefetch_line(s_edge, ee, 0)
                simd.prefetch_line(d_edge, ee, 0)
                for c in range(0, HEADS, lanes):
                    n = min(lanes, HEADS - c)
                    score = v.load(s_src, j, c, n) + v.load(packed, i, c, n) + v.load(s_edge, e, c, n)
                    slope = v.where(score > 0.0, v.constant(h, 1.0), v.constant(h, SLOPE))
                    weight = v.exp(score * slope - v.load(packed, i, HEADS + c, n))
                    v.store(weights, b, c, n, weight)
                    v.store(steep, b, c, n, weight * slope)
            for b in range(count):
                i, ii = simd.position(receivers, first + b), simd.position(receivers, min(first + b + AHEAD, last))
                for a in range(HEADS):
                    weight, dot = v.splat(weights, b, a), v.zeros(h)
                    for c in range(a * CHANNELS, (a + 1) * CHANNELS, lanes):
                        m = min(lanes, (a + 1) * CHANNELS - c)
                        simd.prefetch_line(g, ii, c)
                        simd.prefetch_line(g_dst, ii, c)
                        gate = v.sigmoid(v.load(g_src, j, c, m) + v.load(g_dst, i, c, m))
                        row = gate * v.load(g, i, c, m)
                        dot = dot + row * v.load(h, j, c, m)
                        row = weight * row
                        v.store(d_h, j, c, m, v.load(d_h, j, c, m) + row)
                        v.store(d_gate, j, c, m, v.load(d_gate, j, c, m) + row * (1.0 - gate))
                    v.put(dots, b, a, v.total(dot, lanes))
            for c in range(0, HEADS, lanes):
                n = min(lanes, HEADS - c)
                total = v.load(d_score, j, c, n)
                for b in range(count):
                    i, e = simd.position(receivers, first + b), simd.position(order, first + b)
                    dot = v.load(dots, b, c, n) - v.load(packed, i, 2 * HEADS + c, n)
                    change = v.load(steep, b, c, n) * dot
                    v.store(d_edge, e, c, n, change)
                    total = total + change
                v.store(d_score, j, c, n, total)
        for c in range(0, WIDTH, lanes):
            v.store(d_gate, j, c, lanes, v.load(d_gate, j, c, lanes) * v.load(h, j, c, lanes))


def attention(t: Topology, x: Arrays, g: np.ndarray | None = None) -> list[np.ndarray]:
    """The output; with an adjoint ``g`` of it also the gradients of all fields, in their order."""
    n, learn = t.num_receivers, g is not None
    y, lse = np.empty((n, WIDTH), np.float32), np.zeros((n, HEADS), np.float32)
    by_gate, by_slope = (np.empty((n if learn else 1, WIDTH), np.float32) for _ in range(2))
    slopes = np.zeros((n if learn else 1, HEADS), np.float32)
    args = (x["src.score"], x["dst.score"], x["edge.score"], x["src.gate"], x["dst.gate"], x["src.h"])
    tail = (y, lse, learn, by_gate, by_slope, slopes)
    K.parallel_rows(_attention, n, (t.indptr, t.indices, *args, *tail), indptr=t.indptr, width=2 * WIDTH)
    if g is None:
        return [y]
    packed = _lines(n, NARROW)
    d_dst_gate, d_dst_score = np.empty_like(y), np.empty_like(lse)
    rows = (g, y, x["dst.score"], lse, by_gate, by_slope, slopes, packed, d_dst_gate, d_dst_score)
    K.parallel_rows(_attention_prepare, n, rows, width=5 * WIDTH)
    r = t.transpose()
    d_h, d_gate = np.empty_like(x["src.h"]), np.empty_like(x["src.gate"])
    d_score, d_edge = np.empty_like(x["src.score"]), np.empty_like(x["edge.score"])
    read = (g, packed, x["dst.gate"], x["src.score"], x["edge.score"], x["src.gate"], x["src.h"])
    head = (r.indptr, r.indices, t.transpose_permutation)
    written = (d_h, d_gate, d_score, d_edge)
    K.parallel_rows(_attention_backward, len(d_h), (*head, *read, *written), indptr=r.indptr, width=2 * WIDTH)
    return [y, d_score, d_gate, d_h, d_dst_score, d_dst_gate, d_edge]


def _lines(rows: int, width: int) -> np.ndarray:
    """An array whose rows begin where cache lines do."""
    memory = np.empty(rows * width + 16, np.float32)
    skip = -memory.ctypes.data % 64 // 4
    return memory[skip : skip + rows * width].reshape(rows, width)


# --- gated sum ------------------------------------------------------------------------------------------------------
# y_i = sum_k g_k v_j, g_k = sigmoid(a_j + b_i).  dv_j = sum_k g G_i;  da_j = v_j * sum_k g (1 - g) G_i;
# db_i = G_i * sum_k g (1 - g) v_j.


@jit
def _gated(start, stop, indptr, other, own, far, rows, y, slope, learn):
    """y_i = sum of g * rows_j and slope_i = sum of g (1 - g) rows_j, for g = sigmoid(own_i + far_j): both sweeps."""
    lanes = v.lanes(y)
    last = len(other) - 1
    for i in range(start, stop):
        _clear(y, i)
        if learn:
            _clear(slope, i)
        for first in range(indptr[i], indptr[i + 1], BLOCK):
            count = min(BLOCK, indptr[i + 1] - first)
            for c in range(0, WIDTH, lanes):
                mine, out = v.load(own, i, c, lanes), v.load(y, i, c, lanes)
                if learn:
                    changes = v.load(slope, i, c, lanes)
                    for b in range(count):
                        j, jj = simd.position(other, first + b), simd.position(other, min(first + b + AHEAD, last))
                        simd.prefetch_line(far, jj, c)
                        simd.prefetch_line(rows, jj, c)
                        gate = v.sigmoid(v.load(far, j, c, lanes) + mine)
                        row = gate * v.load(rows, j, c, lanes)
                        out = out + row
                        changes = changes + row * (1.0 - gate)
                    v.store(slope, i, c, lanes, changes)
                else:
                    for b in range(count):
                        j, jj = simd.position(other, first + b), simd.position(other, min(first + b + AHEAD, last))
                        simd.prefetch_line(far, jj, c)
                        simd.prefetch_line(rows, jj, c)
                        gate = v.sigmoid(v.load(far, j, c, lanes) + mine)
                        out = out + gate * v.load(rows, j, c, lanes)
                v.store(y, i, c, lanes, out)


@jit
def _multiply(start, stop, a, b):
    """a *= b"""
    lanes = v.lanes(a)
    for i in range(start, stop):
        for c in range(0, WIDTH, lanes):
            v.store(a, i, c, lanes, v.load(a, i, c, lanes) * v.load(b, i, c, lanes))


def gated_sum(t: Topology, x: Arrays, g: np.ndarray | None = None) -> list[np.ndarray]:
    n, learn = t.num_receivers, g is not None
    y = np.empty((n, WIDTH), np.float32)
    d_b = np.empty((n if learn else 1, WIDTH), np.float32)
    args = (t.indptr, t.indices, x["dst.b"], x["src.a"], x["src.v"], y, d_b, learn)
    K.parallel_rows(_gated, n, args, indptr=t.indptr, width=2 * WIDTH)
    if g is None:
        return [y]
    r = t.transpose()
    d_v, d_a = np.empty_like(x["src.v"]), np.empty_like(x["src.a"])
    back = (r.indptr, r.indices, x["src.a"], x["dst.b"], g, d_v, d_a, True)
    K.parallel_rows(_gated, len(d_v), back, indptr=r.indptr, width=2 * WIDTH)
    K.parallel_rows(_multiply, len(d_a), (d_a, x["src.v"]), width=WIDTH)
    K.parallel_rows(_multiply, n, (d_b, g), width=WIDTH)
    return [y, d_a, d_v, d_b]


# --- weighted sum ---------------------------------------------------------------------------------------------------
# y_i = sum_k w_k x_j.  dx_j = sum_k w_k G_i;  dw_k = G_i . x_j: both from one gathered row of G.


@jit
def _weighted(start, stop, indptr, senders, weights, x, y):
    for i in range(start, stop):
        simd.row_sum(y, i, x, 0, WIDTH, senders, indptr[i], indptr[i + 1], weights, 0, 1, AHEAD)


@jit
def _weighted_backward(start, stop, indptr, receivers, order, weights, x, g, d_x, d_w):
    lanes = v.lanes(x)
    last = len(receivers) - 1
    for j in range(start, stop):
        _clear(d_x, j)
        for k in range(indptr[j], indptr[j + 1]):
            i, e = simd.position(receivers, k), simd.position(order, k)
            simd.prefetch_row(g, simd.position(receivers, min(k + AHEAD, last)))
            ee = simd.position(order, min(k + AHEAD, last))
            simd.prefetch_line(weights, ee, 0)
            simd.prefetch_line(d_w, ee, 0)
            weight, dot = v.splat(weights, e, 0), v.zeros(x)
            for c in range(0, WIDTH, lanes):
                row = v.load(g, i, c, lanes)
                dot = dot + row * v.load(x, j, c, lanes)
                v.store(d_x, j, c, lanes, v.load(d_x, j, c, lanes) + weight * row)
            d_w[e, 0] = v.total(dot, lanes)


def weighted_sum(t: Topology, x: Arrays, g: np.ndarray | None = None) -> list[np.ndarray]:
    n = t.num_receivers
    weights = x["edge.w"].reshape(-1, 1)
    y = np.empty((n, WIDTH), np.float32)
    K.parallel_rows(_weighted, n, (t.indptr, t.indices, weights, x["src.x"], y), indptr=t.indptr, width=WIDTH)
    if g is None:
        return [y]
    r = t.transpose()
    d_x, d_w = np.empty_like(x["src.x"]), np.empty_like(weights)
    args: tuple[Any, ...] = (r.indptr, r.indices, t.transpose_permutation, weights, x["src.x"], g, d_x, d_w)
    K.parallel_rows(_weighted_backward, len(d_x), args, indptr=r.indptr, width=WIDTH)
    return [y, d_x, d_w.reshape(-1)]
