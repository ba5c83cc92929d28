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
def subtract_top(start, stop, indptr, values, shifted, top):
    """Values of segments start..stop less the largest of their segment, entry indptr[start] first in ``shifted``.

    Infinite tops count as 0: subtracting them would make inf - inf. Overwrites shifted and top (from segment start).
    """
    first = indptr[start]
    for i in range(start, stop):
        largest = top[i - start]
        largest[:] = -np.inf
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(values.shape[1]):
                value = values[k, f]
                if value > largest[f] or value != value:
                    largest[f] = value
        for f in range(values.shape[1]):
            if math.isinf(largest[f]):
                largest[f] = 0
        for k in range(indptr[i], indptr[i + 1]):
            for f in range(values.shape[1]):
                shifted[k - first, f] = values[k, f] - largest[f]


@jit
def divide_by_sums(start, stop, indptr, exponentials):
    """Make each segment sum to 1, in place; entry indptr[start] comes first."""
    first = indptr[start]
    total = np.empty(exponentials.shape[1], exponentials.dtype)
    for i in range(start, stop):
        total[:] = 0
        for k in range(indptr[i] - first, indptr[i + 1] - first):
            for f in range(total.shape[0]):
                total[f] += exponentials[k, f]
        for f in range(total.shape[0]):
            if total[f] == 0:  # nothing but -inf: no mass, zeros
                total[f] = 1
        for k in range(indptr[i] - first, indptr[i + 1] - first):
            for f in range(total.shape[0]):
                exponentials[k, f] /= total[f]


@jit
def add_log_sums(start, stop, indptr, exponentials, out):
    """Add the logarithm of each segment's sum to ``out`` (from segment start); entry indptr[start] comes first."""
    first = indptr[start]
    total = np.empty(exponentials.shape[1], exponentials.dtype)
    for i in range(start, stop):
        total[:] = 0
        for k in range(indptr[i] - first, indptr[i + 1] - first):
            for f in range(total.shape[0]):
                total[f] += exponentials[k, f]
        for f in range(total.shape[0]):
            out[i - start, f] += math.log(total[f])
