"""Numba loops of the pre-rounded sums of kernels/prerounded.py: rows start..stop of a weighted neighbour sum.

Two sweeps over the edges of a row, for so many columns as a vector of float64 has lanes: the largest term of each, then
the rounded sum, which stays in registers; the features of the row are in the first-level cache by then. Nothing is
contracted, as results follow from single roundings (see kernels/rounding.py). Imports the preset and vectors.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gnnkit.kernels import simd
from gnnkit.kernels import vector_wide as wide
from gnnkit.kernels import vectors as v  # noqa: F401 - defines the operators of vectors
from gnnkit.kernels.backend import jit
from gnnkit.kernels.rounding import LARGEST, SMALLEST

exact = partial(jit, contract=False)


@exact
def mended(found, begin, end, indices, direct, column, weights, weighted, head, x):
    """The sum of one column of a row: ``found`` where roundings were right, else by sorted terms."""
    terms = np.empty(end - begin)
    top = 0.0
    for k in range(begin, end):
        row = k if direct else indices[k]
        term = np.float64(weights[k * weighted, head]) * np.float64(x[row, column])
        if np.isnan(term):
            return np.nan
        top = max(top, abs(term))
        terms[k - begin] = term
    if SMALLEST <= top < 2 * LARGEST:  # as for the largest power of two below it
        return found
    total = 0.0
    for term in np.sort(terms):
        total += term
    return total


@exact
def neighbour_sum(start, stop, indptr, indices, direct, weights, weighted, folds, x, out):
    """Rows start..stop; weights [E, H] (one head: H = 1), x and out [.., H * C]; ``direct``: edge k reads row k of x."""
    heads = weights.shape[1]
    channels = x.shape[1] // heads
    lanes = wide.lanes()
    for i in range(start, stop):
        begin, end = indptr[i], indptr[i + 1]
        length = 0  # ceil(log2(number of terms))
        while (np.int64(1) << length) < end - begin:
            length += 1
        spare = max(1, length - 1)
        factor, shrink = 1.5 * 2.0 ** (1 + spare), 2.0 ** (spare - 53)
        for h in range(heads):
            for c in range(h * channels, (h + 1) * channels, lanes):
                n = min(lanes, (h + 1) * channels - c)
                top = wide.zeros()
                for k in range(begin, end):
                    j = k if direct else simd.position(indices, k)
                    term = wide.product(wide.splat(weights, k * weighted, h), wide.load(x, j, c, n))
                    top = wide.larger_magnitude(top, term)
                power = wide.power_below(top)
                centre = power * factor
                total = wide.zeros()
                rest = wide.zeros()
                if folds == 1:
                    for k in range(begin, end):
                        j = k if direct else simd.position(indices, k)
                        term = wide.product(wide.splat(weights, k * weighted, h), wide.load(x, j, c, n))
                        total = total + ((term + centre) - centre)
                else:
                    second = centre * shrink
                    for k in range(begin, end):
                        j = k if direct else simd.position(indices, k)
                        term = wide.product(wide.splat(weights, k * weighted, h), wide.load(x, j, c, n))
                        first = (term + centre) - centre
                        total = total + first
                        rest = rest + (((term - first) + second) - second)
                wide.store(out, i, c, n, total + rest)
                if wide.every((top == 0.0) | ((power >= SMALLEST) & (power <= LARGEST))):
                    continue
                for f in range(c, c + n):
                    out[i, f] = mended(out[i, f], begin, end, indices, direct, f, weights, weighted, h, x)


@exact
def column_tops(start, stop, step, x, tops):
    """Largest magnitude of every column in blocks start..stop of ``step`` rows; NaN above all."""
    lanes = wide.lanes()
    for b in range(start, stop):
        for c in range(0, x.shape[1], lanes):
            n = min(lanes, x.shape[1] - c)
            top = wide.zeros()
            for i in range(b * step, min((b + 1) * step, x.shape[0])):
                top = wide.larger_magnitude(top, wide.load(x, i, c, n))
            wide.store(tops, b, c, n, top)


@exact
def column_totals(start, stop, step, x, centre, shrink, totals):
    """Sums of the rounded terms of every column in blocks start..stop; totals [folds, num_blocks, columns]."""
    lanes = wide.lanes()
    for b in range(start, stop):
        for c in range(0, x.shape[1], lanes):
            n = min(lanes, x.shape[1] - c)
            middle = wide.load(centre, 0, c, n)
            second = middle * shrink
            total, rest = wide.zeros(), wide.zeros()
            for i in range(b * step, min((b + 1) * step, x.shape[0])):
                term = wide.load(x, i, c, n)
                first = (term + middle) - middle
                total = total + first
                rest = rest + (((term - first) + second) - second)
            wide.store(totals[0], b, c, n, total)
            if totals.shape[0] == 2:
                wide.store(totals[1], b, c, n, rest)
