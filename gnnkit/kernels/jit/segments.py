"""Numba loops of the segment reducers: rows start..stop, values [E, F], out [n, F]. Imports only the preset.

Feature loops are innermost: consecutive in memory, and each output element is folded in the order of its entries.
"""

from __future__ import annotations

import math

import numpy as np

from gnnkit.kernels.backend import jit


@jit
def segment_sum(start, stop, indptr, values, out):
    for i in range(start, stop):
        out[i] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[i, f] += values[k, f]


@jit
def segment_mean(start, stop, indptr, values, out):
    for i in range(start, stop):
        out[i] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[i, f] += values[k, f]
        count = out.dtype.type(max(indptr[i + 1] - indptr[i], 1))
        for f in range(out.shape[1]):
            out[i, f] /= count


@jit
def segment_max(start, stop, indptr, values, out):
    for i in range(start, stop):
        if indptr[i] == indptr[i + 1]:
            out[i] = 0
            continue
        for f in range(out.shape[1]):
            out[i, f] = values[indptr[i], f]
        for k in range(indptr[i] + 1, indptr[i + 1]):
            for f in range(out.shape[1]):
                value = values[k, f]
                # value != value: NaN wins, and stays, since nothing compares greater than it
                if value > out[i, f] or value != value:
                    out[i, f] = value


@jit
def segment_min(start, stop, indptr, values, out):
    for i in range(start, stop):
        if indptr[i] == indptr[i + 1]:
            out[i] = 0
            continue
        for f in range(out.shape[1]):
            out[i, f] = values[indptr[i], f]
        for k in range(indptr[i] + 1, indptr[i + 1]):
            for f in range(out.shape[1]):
                value = values[k, f]
                if value < out[i, f] or value != value:
                    out[i, f] = value


@jit
def segment_prod(start, stop, indptr, values, out):
    for i in range(start, stop):
        out[i] = 1
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[i, f] *= values[k, f]


@jit
def segment_std(start, stop, indptr, values, out):
    mean = np.empty(out.shape[1], out.dtype)
    for i in range(start, stop):
        count = out.dtype.type(max(indptr[i + 1] - indptr[i], 1))
        mean[:] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                mean[f] += values[k, f]
        mean /= count
        out[i] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                deviation = values[k, f] - mean[f]
                out[i, f] += deviation * deviation
        for f in range(out.shape[1]):
            out[i, f] = math.sqrt(out[i, f] / count)


@jit
def finite_top(i, indptr, values, top):
    """Largest value of segment i per feature, 0 where that is infinite: subtracting it never makes inf - inf."""
    top[:] = -np.inf
    for k in range(indptr[i], indptr[i + 1]):
        for f in range(top.shape[0]):
            value = values[k, f]
            if value > top[f] or value != value:
                top[f] = value
    for f in range(top.shape[0]):
        if math.isinf(top[f]):
            top[f] = 0


@jit
def segment_logsumexp(start, stop, indptr, values, out):
    top = np.empty(out.shape[1], out.dtype)
    for i in range(start, stop):
        finite_top(i, indptr, values, top)
        out[i] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[i, f] += math.exp(values[k, f] - top[f])
        for f in range(out.shape[1]):
            out[i, f] = top[f] + math.log(out[i, f])


@jit
def segment_softmax(start, stop, indptr, values, out):
    top = np.empty(out.shape[1], out.dtype)
    total = np.empty(out.shape[1], out.dtype)
    for i in range(start, stop):
        finite_top(i, indptr, values, top)
        total[:] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[k, f] = math.exp(values[k, f] - top[f])
                total[f] += out[k, f]
        for f in range(out.shape[1]):
            if total[f] == 0:  # nothing but -inf: no mass, zeros
                total[f] = 1
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(out.shape[1]):
                out[k, f] /= total[f]
