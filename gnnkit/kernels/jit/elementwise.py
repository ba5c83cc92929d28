"""Numba loops of the element-wise kernels: elements (or rows) start..stop. Imports only the preset."""

from __future__ import annotations

import math

import numpy as np

from gnnkit.kernels.backend import jit


@jit
def dropout(start, stop, state, threshold, scale, x, out):
    """Keep x[p] * scale where output p of splitmix64 reaches the threshold."""
    for p in range(start, stop):
        z = state + np.uint64(p + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        out[p] = x[p] * scale if (z >= threshold and scale > 0) else x.dtype.type(0)


@jit
def adam_update(start, stop, constants, grad, param, m, v):
    b1, one_minus_b1, b2, one_minus_b2 = constants[0], constants[1], constants[2], constants[3]
    step_size, root, eps, shrink, added = constants[4], constants[5], constants[6], constants[7], constants[8]
    for p in range(start, stop):
        gradient = grad[p] + added * param[p]
        m[p] = b1 * m[p] + one_minus_b1 * gradient
        v[p] = b2 * v[p] + one_minus_b2 * gradient * gradient
        param[p] = shrink * param[p] - step_size * m[p] / (math.sqrt(v[p]) / root + eps)


@jit
def softmax_cross_entropy(start, stop, logits, labels, loss, probabilities):
    """Rows start..stop; overwrites loss and probabilities."""
    for i in range(start, stop):
        top = logits[i, 0]
        for c in range(1, logits.shape[1]):
            if logits[i, c] > top or logits[i, c] != logits[i, c]:
                top = logits[i, c]
        if math.isinf(top):
            top = logits.dtype.type(0)
        total = logits.dtype.type(0)
        for c in range(logits.shape[1]):
            probabilities[i, c] = math.exp(logits[i, c] - top)
            total += probabilities[i, c]
        loss[i] = math.log(total) + (top - logits[i, labels[i]])
        for c in range(logits.shape[1]):
            probabilities[i, c] /= total
