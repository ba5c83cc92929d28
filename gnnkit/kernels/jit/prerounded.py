"""Numba loops of the pre-rounded sums of kernels/prerounded.py: rows start..stop of a weighted neighbour sum.

Two sweeps over the edges of a row, for so many columns as a vector of float64 has lanes: the largest term of each, then
the rounded sum, which stays in registers; the features of the row are in the first-level cache by then. Nothing is
contracted, as results follow from single roundings (see kernels/rounding.py). Imports the preset and vectors.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gnnkit.kernels import rounding, simd
from gnnkit.kernels import vector_wide as wide
from gnnkit.kernels import vectors as v  # noqa: F401 - defines the operators of vectors
from gnnkit.kernels.backend import jit
from gnnkit.kernels.rounding import LARGEST, SMALLEST

exact = partial(jit, contract=False)

# by ceil(log2(number of terms))
FACTORS, SHRINKS = (f(2.0 ** np.arange(63)) for f in (rounding.factor, rounding.second))


@exact
def usual(top):
    """Whether roundings are right for every column whose largest term is given."""
    return wide.every((top == 0.0) | ((top >= SMALLEST) & (top < 2.0 * LARGEST)))


@exact
def sorted_sum(terms):
    """See :func:`gnnkit.kernels.rounding.sorted_sum`."""
    above = below = False
    for term in terms:
        if np.isnan(term):
            return np.nan
        above |= term == np.inf
        below |= term == -np.inf
    if above or below:
        return np.nan if above and below else np.inf if above else -np.inf
    total = 0.0
    for term in np.sort(terms):
        total += term
    return total


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
    return sorted_sum(terms)


@exact
def neighbour_sum(start, stop, indptr, indices, direct, weights, weighted, folds, x, out):
    """Rows start..stop; weights [E, H] (one head: H = 1), x and out [.., H * C]; ``direct``: edge k reads x[k]."""
    heads = weights.shape[1]
    channels = x.shape[1] // heads
    lanes = wide.lanes()
    for i in range(start, stop):
        begin, end = indptr[i], indptr[i + 1]
        length = 0  # ceil(log2(number of terms))
        while (np.int64(1) << length) < end - begin:
            length += 1
        factor, shrink = FACTORS[length], SHRINKS[length]
        whole = 0  # columns in whole vectors, each of one head
        if folds == 1 and (heads == 1 or channels % lanes == 0):
            whole = heads * channels // (2 * lanes) * 2 * lanes
            c = 0
            while c + 4 * lanes <= whole:
                four_vectors(i, begin, end, indices, direct, weights, weighted, channels, factor, x, c, out)
                c += 4 * lanes
            while c < whole:
                two_vectors(i, begin, end, indices, direct, weights, weighted, channels, factor, x, c, out)
                c += 2 * lanes
        for h in range(heads):
            c, last = max(whole, h * channels), (h + 1) * channels
            while c + lanes <= last:  # n is a constant here, so that reads need no mask
                one_vector(
                    i, begin, end, indices, direct, weights, weighted, h, factor, shrink, folds, x, c, lanes, out
                )
                c += lanes
            if c < last:
                n = last - c
                one_vector(i, begin, end, indices, direct, weights, weighted, h, factor, shrink, folds, x, c, n, out)


@exact
def one_vector(i, begin, end, indices, direct, weights, weighted, h, factor, shrink, folds, x, c, n, out):
    """Columns c..c + n of row i, which fit one vector."""
    top = wide.zeros()
    for k in range(begin, end):
        j = k if direct else simd.position(indices, k)
        term = wide.product(wide.splat(weights, k * weighted, h), wide.load(x, j, c, n))
        top = wide.larger_magnitude(top, term)
    centre = wide.power_below(top) * factor
    total, rest = wide.zeros(), wide.zeros()
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
    if not usual(top):
        for f in range(c, c + n):
            out[i, f] = mended(out[i, f], begin, end, indices, direct, f, weights, weighted, h, x)


@exact
def two_vectors(i, begin, end, indices, direct, weights, weighted, channels, factor, x, c, out):
    """Two vectors of columns from c on of row i, each of one head, in one fold: edges are read half as often."""
    lanes = wide.lanes()
    c1 = c + lanes
    h, h1 = c // channels, c1 // channels
    top, top1 = wide.zeros(), wide.zeros()
    for k in range(begin, end):
        j = k if direct else simd.position(indices, k)
        w = k * weighted
        top = wide.larger_magnitude(top, wide.product(wide.splat(weights, w, h), wide.load(x, j, c, lanes)))
        top1 = wide.larger_magnitude(top1, wide.product(wide.splat(weights, w, h1), wide.load(x, j, c1, lanes)))
    centre, centre1 = wide.power_below(top) * factor, wide.power_below(top1) * factor
    total, total1 = wide.zeros(), wide.zeros()
    for k in range(begin, end):
        j = k if direct else simd.position(indices, k)
        w = k * weighted
        total = total + ((wide.product(wide.splat(weights, w, h), wide.load(x, j, c, lanes)) + centre) - centre)
        total1 = total1 + ((wide.product(wide.splat(weights, w, h1), wide.load(x, j, c1, lanes)) + centre1) - centre1)
    wide.store(out, i, c, lanes, total)
    wide.store(out, i, c1, lanes, total1)
    if not (usual(top) and usual(top1)):
        for f in range(c, c + 2 * lanes):
            out[i, f] = mended(out[i, f], begin, end, indices, direct, f, weights, weighted, f // channels, x)


@exact
def four_vectors(i, begin, end, indices, direct, weights, weighted, channels, factor, x, c, out):
    """Four vectors in the same way."""
    lanes = wide.lanes()
    c1, c2, c3 = c + lanes, c + 2 * lanes, c + 3 * lanes
    h, h1, h2, h3 = c // channels, c1 // channels, c2 // channels, c3 // channels
    top, top1, top2, top3 = wide.zeros(), wide.zeros(), wide.zeros(), wide.zeros()
    for k in range(begin, end):
        j = k if direct else simd.position(indices, k)
        w = k * weighted
        top = wide.larger_magnitude(top, wide.product(wide.splat(weights, w, h), wide.load(x, j, c, lanes)))
        top1 = wide.larger_magnitude(top1, wide.product(wide.splat(weights, w, h1), wide.load(x, j, c1, lanes)))
        top2 = wide.larger_magnitude(top2, wide.product(wide.splat(weights, w, h2), wide.load(x, j, c2, lanes)))
        top3 = wide.larger_magnitude(top3, wide.product(wide.splat(weights, w, h3), wide.load(x, j, c3, lanes)))
    centre, centre1 = wide.power_below(top) * factor, wide.power_below(top1) * factor
    centre2, centre3 = wide.power_below(top2) * factor, wide.power_below(top3) * factor
    total, total1, total2, total3 = wide.zeros(), wide.zeros(), wide.zeros(), wide.zeros()
    for k in range(begin, end):
        j = k if direct else simd.position(indices, k)
        w = k * weighted
        total = total + ((wide.product(wide.splat(weights, w, h), wide.load(x, j, c, lanes)) + centre) - centre)
        total1 = total1 + ((wide.product(wide.splat(weights, w, h1), wide.load(x, j, c1, lanes)) + centre1) - centre1)
        total2 = total2 + ((wide.product(wide.splat(weights, w, h2), wide.load(x, j, c2, lanes)) + centre2) - centre2)
        total3 = total3 + ((wide.product(wide.splat(weights, w, h3), wide.load(x, j, c3, lanes)) + centre3) - centre3)
    wide.store(out, i, c, lanes, total)
    wide.store(out, i, c1, lanes, total1)
    wide.store(out, i, c2, lanes, total2)
    wide.store(out, i, c3, lanes, total3)
    if not (usual(top) and usual(top1) and usual(top2) and usual(top3)):
        for f in range(c, c + 4 * lanes):
            out[i, f] = mended(out[i, f], begin, end, indices, direct, f, weights, weighted, f // channels, x)


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
