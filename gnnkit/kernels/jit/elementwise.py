"""Numba loops of the element-wise kernels: elements (or rows) start..stop. Imports the preset and vectors."""

from __future__ import annotations

import math

import numpy as np

from gnnkit.kernels import vectors as v
from gnnkit.kernels.arrays import PAST_BYTES
from gnnkit.kernels.backend import jit

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
HASH_BLOCK = 512


@jit
def dropout(start, stop, state, threshold, scale, x, out):
    """Pairs start..stop of one row: x[p] * scale where its half of output p // 2 of splitmix64 reaches threshold."""
    hashes = np.empty(HASH_BLOCK, np.uint64)
    halves = hashes.view(np.uint32)
    kept = np.empty((1, 2 * HASH_BLOCK), x.dtype)
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    # in blocks: 64-bit hashes, then 32-bit comparisons; both loops become vector code, one loop over both does not
    for first in range(start, stop, HASH_BLOCK):
        count = min(HASH_BLOCK, stop - first)
        block_state = state + np.uint64(first + 1) * GOLDEN_GAMMA
        for q in range(count):
            z = block_state + np.uint64(q) * GOLDEN_GAMMA
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            hashes[q] = z ^ (z >> np.uint64(31))
        begin = 2 * first
        numbers = min(2 * count, x.shape[1] - begin)
        for p in range(numbers):
            kept[0, p] = halves[p] >= threshold
        for c in range(0, numbers, lanes):
            n = min(lanes, numbers - c)
            value = v.where(v.load(kept, 0, c, n) > 0.0, v.load(x, 0, begin + c, n) * scale, v.zeros(out))
            v.stream(out, 0, begin + c, n, value, past)
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
        value = v.load(x, 0, c, n)
        v.stream(out, 0, c, n, v.where(value > 0.0, value, alpha * v.expm1(value)), past)
    v.settle()


@jit
def elu_adjoint(start, stop, alpha, g, y, out):
    """Elements start..stop of one row: g where the result y was positive, else g * (y + alpha)."""
    lanes, past = v.lanes(out), out.size * out.itemsize >= PAST_BYTES
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        adjoint, result = v.load(g, 0, c, n), v.load(y, 0, c, n)
        v.stream(out, 0, c, n, v.where(result > 0.0, adjoint, adjoint * (result + alpha)), past)
    v.settle()


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
