"""Numba loops of the element-wise kernels: elements (or rows) start..stop. Imports the preset and vectors."""

from __future__ import annotations

import math

import numpy as np

from gnnkit.kernels import vectors as v
from gnnkit.kernels.arrays import PAST_BYTES
from gnnkit.kernels.backend import jit
from gnnkit.kernels.simd import prefetch_line

# Bytes ahead of which a loop that computes much asks for its input: its own loads are too far apart to keep the
# memory busy, and the processor's guesses end at every page.
AHEAD = 4096


@jit
def dropout(start, stop, state, threshold, scale, x, out):
    """Pairs start..stop of one row: x[p] * scale where its half of output p // 2 of splitmix64 reaches threshold."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    end = min(2 * stop, x.shape[1])
    for c in range(2 * start, end, lanes):
        n = min(lanes, end - c)
        prefetch_line(x, 0, c + AHEAD // x.itemsize)
        value = v.where(v.kept(x, state, c, threshold), v.load(x, 0, c, n) * scale, v.zeros(out))
        v.stream(out, 0, c, n, value, past)
    v.settle()


@jit
def adam_update(start, stop, constants, grad, param, m, second):
    b1, one_minus_b1, b2, one_minus_b2 = constants[0], constants[1], constants[2], constants[3]
    step_size, root, eps, shrink, added = constants[4], constants[5], constants[6], constants[7], constants[8]
    for p in range(start, stop):
        gradient = grad[p] + added * param[p]
        m[p] = b1 * m[p] + one_minus_b1 * gradient
        second[p] = b2 * second[p] + one_minus_b2 * gradient * gradient
        param[p] = shrink * param[p] - step_size * m[p] / (math.sqrt(second[p]) / root + eps)


@jit
def softmax_cross_entropy(start, stop, logits, labels, loss, probabilities):
    """Rows start..stop: their softmax, and minus the logarithm of what it gives to the label."""
    lanes, width = v.lanes(logits), logits.shape[1]
    for i in range(start, stop):
        top = _row_top(logits, i)
        sums = v.zeros(logits)
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            exponentials = v.exp(v.load(logits, i, c, n) - top)
            sums = sums + v.first(exponentials, n)
            v.store(probabilities, i, c, n, exponentials)
        total = v.total(sums, lanes)
        loss[i] = math.log(total) - (logits[i, labels[i]] - top)
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            v.store(probabilities, i, c, n, v.load(probabilities, i, c, n) / total)


@jit
def _row_top(logits, i):
    """The largest logit of a row, 0 where it is infinite, NaN where one is."""
    lanes, width = v.lanes(logits), logits.shape[1]
    tops = v.constant(logits, -np.inf)
    for c in range(0, width // lanes * lanes, lanes):
        tops = v.maximum(tops, v.load(logits, i, c, lanes))
    top, rest = v.highest(tops, lanes), width % lanes
    if rest:
        last = v.highest(v.load(logits, i, width - rest, rest), rest)
        top = top if top > last or top != top else last
    return logits.dtype.type(0) if math.isinf(top) else top


@jit
def cross_entropy_adjoint(start, stop, g, labels, probabilities, out):
    """Rows start..stop of ``g * (probabilities - one-hot labels)``."""
    lanes, width = v.lanes(out), out.shape[1]
    for i in range(start, stop):
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            v.store(out, i, c, n, v.load(probabilities, i, c, n) * g[i])
        out[i, labels[i]] = (probabilities[i, labels[i]] - out.dtype.type(1)) * g[i]


@jit
def elu(start, stop, alpha, x, out):
    """Elements start..stop of one row: x where it is positive, else alpha * (exp(x) - 1)."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        prefetch_line(x, 0, c + AHEAD // x.itemsize)
        v.stream(out, 0, c, n, v.elu(v.load(x, 0, c, n), alpha), past)
    v.settle()


@jit
def elu_adjoint(start, stop, alpha, g, y, out):
    """Elements start..stop of one row: g where the result y was positive, else g * (y + alpha)."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        v.stream(out, 0, c, n, _elu_adjoint(v.load(g, 0, c, n), v.load(y, 0, c, n), alpha), past)
    v.settle()


@jit
def _elu_adjoint(g, y, alpha):
    return v.where(y > 0.0, g, g * (y + alpha))


@jit
def elu_dropout(start, stop, state, threshold, scale, alpha, x, out):
    """Pairs start..stop of one row: what ``dropout`` makes of what ``elu`` makes of x."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    begin, end = 2 * start, min(2 * stop, x.shape[1])
    whole = end - (end - begin) % lanes  # a loop that knows its vectors to be whole has no branches to wait for
    for c in range(begin, whole, lanes):
        _elu_dropout(c, lanes, state, threshold, scale, alpha, x, out, past)
    if whole < end:
        _elu_dropout(whole, end - whole, state, threshold, scale, alpha, x, out, past)
    v.settle()


@jit
def _elu_dropout(c, n, state, threshold, scale, alpha, x, out, past):
    prefetch_line(x, 0, c + AHEAD // x.itemsize)
    value = v.elu(v.load(x, 0, c, n), alpha) * scale
    dropped = v.where(v.kept(x, state, c, threshold), value, v.zeros(out))
    v.stream(out, 0, c, n, dropped, past)


@jit
def elu_dropout_adjoint(start, stop, state, threshold, scale, alpha, g, y, out):
    """Pairs start..stop of one row: what ``elu_adjoint`` makes of ``dropout`` of g, where y is scaled back."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    begin, end = 2 * start, min(2 * stop, y.shape[1])
    whole = end - (end - begin) % lanes
    for c in range(begin, whole, lanes):
        _elu_dropout_adjoint(c, lanes, state, threshold, scale, alpha, g, y, out, past)
    if whole < end:
        _elu_dropout_adjoint(whole, end - whole, state, threshold, scale, alpha, g, y, out, past)
    v.settle()


@jit
def _elu_dropout_adjoint(c, n, state, threshold, scale, alpha, g, y, out, past):
    prefetch_line(g, 0, c + AHEAD // g.itemsize)
    prefetch_line(y, 0, c + AHEAD // y.itemsize)
    value = _elu_adjoint(v.load(g, 0, c, n) * scale, v.load(y, 0, c, n) / scale, alpha)
    dropped = v.where(v.kept(y, state, c, threshold), value, v.zeros(out))
    v.stream(out, 0, c, n, dropped, past)


@jit
def relu_adjoint(start, stop, g, y, out):
    """Elements start..stop of one row: g times 1 where the result y was positive, else times 0."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    one, none = v.constant(out, 1.0), v.zeros(out)
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        v.stream(out, 0, c, n, v.load(g, 0, c, n) * v.where(v.load(y, 0, c, n) > 0.0, one, none), past)
    v.settle()


@jit
def tanh_adjoint(start, stop, g, y, out):
    """Elements start..stop of one row: g * (1 - y) (1 + y), where nothing can fuse: short arrays are left to numpy."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        result = v.load(y, 0, c, n)
        v.stream(out, 0, c, n, v.load(g, 0, c, n) * ((1.0 - result) * (1.0 + result)), past)
    v.settle()
