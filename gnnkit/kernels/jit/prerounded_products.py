"""The numba loop of the pre-rounded matrix product of kernels/prerounded_products.py. Imports the preset and vectors.

Four rows of the result by one vector of its columns stay in registers while the inner axis passes by, in pieces that
leave the other factor in the second-level cache; between pieces the sums wait in memory. No addition rounds.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gnnkit.kernels import vector_wide as wide
from gnnkit.kernels import vectors as v  # noqa: F401 - defines the operators of vectors
from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.prerounded import sorted_sum
from gnnkit.kernels.rounding import LARGEST, SMALLEST

PIECE = 512  # of the inner axis


@partial(jit, contract=False)
def products(start, stop, a, b, factor, shrink, folds, out):
    """Rows start..stop of ``out`` [M, N] = the sums of a[k, i] * b[k, j] over k; a [K, M], b [K, N].

    First the largest term of every sum, then the sums: a bound from the largest numbers of a row and of a column would
    save the first sweep, but may lie far above every term (a loud node that no gradient reaches), and digits are lost.
    """
    lanes = wide.lanes()
    inner, columns = b.shape
    tops = np.zeros((stop - start, columns))
    totals = np.zeros((stop - start, columns))
    rests = np.zeros((stop - start if folds == 2 else 1, columns))
    for first in range(0, inner, PIECE):
        last = min(inner, first + PIECE)
        for i in range(start, stop, 4):  # rows beyond the end are the last one again, and give the same numbers
            i1, i2, i3 = min(i + 1, stop - 1), min(i + 2, stop - 1), min(i + 3, stop - 1)
            for c in range(0, columns, lanes):
                n = min(lanes, columns - c)
                t0, t1 = wide.load(tops, i - start, c, n), wide.load(tops, i1 - start, c, n)
                t2, t3 = wide.load(tops, i2 - start, c, n), wide.load(tops, i3 - start, c, n)
                for k in range(first, last):
                    y = wide.load(b, k, c, n)
                    t0 = wide.larger_magnitude(t0, wide.product(wide.splat(a, k, i), y))
                    t1 = wide.larger_magnitude(t1, wide.product(wide.splat(a, k, i1), y))
                    t2 = wide.larger_magnitude(t2, wide.product(wide.splat(a, k, i2), y))
                    t3 = wide.larger_magnitude(t3, wide.product(wide.splat(a, k, i3), y))
                wide.store(tops, i - start, c, n, t0)
                wide.store(tops, i1 - start, c, n, t1)
                wide.store(tops, i2 - start, c, n, t2)
                wide.store(tops, i3 - start, c, n, t3)
    for first in range(0, inner, PIECE):
        last = min(inner, first + PIECE)
        for i in range(start, stop, 4):
            i1, i2, i3 = min(i + 1, stop - 1), min(i + 2, stop - 1), min(i + 3, stop - 1)
            for c in range(0, columns, lanes):
                n = min(lanes, columns - c)
                c0 = wide.power_below(wide.load(tops, i - start, c, n)) * factor
                c1 = wide.power_below(wide.load(tops, i1 - start, c, n)) * factor
                c2 = wide.power_below(wide.load(tops, i2 - start, c, n)) * factor
                c3 = wide.power_below(wide.load(tops, i3 - start, c, n)) * factor
                t0, t1 = wide.load(totals, i - start, c, n), wide.load(totals, i1 - start, c, n)
                t2, t3 = wide.load(totals, i2 - start, c, n), wide.load(totals, i3 - start, c, n)
                if folds == 1:
                    for k in range(first, last):
                        y = wide.load(b, k, c, n)
                        t0 = t0 + ((wide.product(wide.splat(a, k, i), y) + c0) - c0)
                        t1 = t1 + ((wide.product(wide.splat(a, k, i1), y) + c1) - c1)
                        t2 = t2 + ((wide.product(wide.splat(a, k, i2), y) + c2) - c2)
                        t3 = t3 + ((wide.product(wide.splat(a, k, i3), y) + c3) - c3)
                else:
                    r0, r1 = wide.load(rests, i - start, c, n), wide.load(rests, i1 - start, c, n)
                    r2, r3 = wide.load(rests, i2 - start, c, n), wide.load(rests, i3 - start, c, n)
                    d0, d1, d2, d3 = c0 * shrink, c1 * shrink, c2 * shrink, c3 * shrink
                    for k in range(first, last):
                        y = wide.load(b, k, c, n)
                        p0, p1 = wide.product(wide.splat(a, k, i), y), wide.product(wide.splat(a, k, i1), y)
                        p2, p3 = wide.product(wide.splat(a, k, i2), y), wide.product(wide.splat(a, k, i3), y)
                        f0, f1, f2, f3 = (p0 + c0) - c0, (p1 + c1) - c1, (p2 + c2) - c2, (p3 + c3) - c3
                        t0, t1, t2, t3 = t0 + f0, t1 + f1, t2 + f2, t3 + f3
                        r0, r1 = r0 + (((p0 - f0) + d0) - d0), r1 + (((p1 - f1) + d1) - d1)
                        r2, r3 = r2 + (((p2 - f2) + d2) - d2), r3 + (((p3 - f3) + d3) - d3)
                    wide.store(rests, i - start, c, n, r0)
                    wide.store(rests, i1 - start, c, n, r1)
                    wide.store(rests, i2 - start, c, n, r2)
                    wide.store(rests, i3 - start, c, n, r3)
                wide.store(totals, i - start, c, n, t0)
                wide.store(totals, i1 - start, c, n, t1)
                wide.store(totals, i2 - start, c, n, t2)
                wide.store(totals, i3 - start, c, n, t3)
    for i in range(start, stop):
        for j in range(columns):
            top = tops[i - start, j]
            if top == 0.0 or SMALLEST <= top < 2 * LARGEST:
                out[i, j] = totals[i - start, j] + (rests[i - start, j] if folds == 2 else 0.0)
            else:
                terms = np.empty(inner)
                for k in range(inner):
                    terms[k] = np.float64(a[k, i]) * np.float64(b[k, j])
                out[i, j] = sorted_sum(terms)
