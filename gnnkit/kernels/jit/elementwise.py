"""Numba loops of the element-wise kernels: elements (or rows) start..stop. Imports the preset and vectors."""

from __future__ import annotations

import math

import numpy as np

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
HASH_BLOCK = 512


@jit
def dropout(start, stop, state, threshold, scale, x, out):
    """Pairs start..stop: keep x[p] * scale where its half of output p // 2 of splitmix64 reaches the threshold."""
    hashes = np.empty(HASH_BLOCK, np.uint64)
    halves = hashes.view(np.uint32)
    zero = x.dtype.type(0)
    # in blocks: 64-bit hashes, then 32-bit comparisons; both loops become vector code, one loop over both does not
    for first in range(start, stop, HASH_BLOCK):
        count = min(HASH_BLOCK, stop - first)
        block_state = state + np.uint64(first + 1) * GOLDEN_GAMMA
        for q in range(count):
            z = block_state + np.uint64(q) * GOLDEN_GAMMA
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            hashes[q] = z ^ (z >> np.uint64(31))
        source, target = x[2 * first : 2 * (first + count)], out[2 * first : 2 * (first + count)]
        for p in range(source.shape[0]):
            target[p] = source[p] * scale if halves[p] >= threshold else zero


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
def subtract_row_top(start, stop, logits, labels, loss, shifted):
    """Rows start..stop less their largest logit (0 where that is infinite); overwrites shifted and loss."""
    for i in range(start, stop):
        top = logits[i, 0]
        for c in range(1, logits.shape[1]):
            if logits[i, c] > top or logits[i, c] != logits[i, c]:
                top = logits[i, c]
        if math.isinf(top):
            top = logits.dtype.type(0)
        for c in range(logits.shape[1]):
            shifted[i, c] = logits[i, c] - top
        loss[i] = -shifted[i, labels[i]]


@jit
def divide_by_row_sums(start, stop, loss, exponentials):
    """Make rows start..stop sum to 1 in place; adds the logarithm of the sums to loss."""
    for i in range(start, stop):
        total = exponentials.dtype.type(0)
        for c in range(exponentials.shape[1]):
            total += exponentials[i, c]
        loss[i] += math.log(total)
        for c in range(exponentials.shape[1]):
            exponentials[i, c] /= total


@jit
def elu(start, stop, alpha, x, out):
    """Elements start..stop of one row: x where it is positive, else alpha * (exp(x) - 1)."""
    lanes = v.lanes(out)
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        value = v.load(x, 0, c, n)
        v.store(out, 0, c, n, v.where(value > 0.0, value, alpha * v.expm1(value)))


@jit
def elu_adjoint(start, stop, alpha, g, y, out):
    """Elements start..stop of one row: g where the result y was positive, else g * (y + alpha)."""
    lanes = v.lanes(out)
    for c in range(start, stop, lanes):
        n = min(lanes, stop - c)
        adjoint, result = v.load(g, 0, c, n), v.load(y, 0, c, n)
        v.store(out, 0, c, n, v.where(result > 0.0, adjoint, adjoint * (result + alpha)))
