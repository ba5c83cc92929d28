"""Numba loops that normalise columns: sums over blocks start..stop of rows, and maps of rows start..stop."""

from __future__ import annotations

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit


@jit
def block_sums(start, stop, block, x, out):
    """out[b] = sum of the rows of block b: four rows at a time, read from left to right, added to what is in out[b].

    A column is summed in the same order whatever the width of a vector.
    """
    lanes, width = v.lanes(x), x.shape[1]
    whole = width // lanes * lanes
    for b in range(start, stop):
        first, last = b * block, min(x.shape[0], (b + 1) * block)
        for c in range(0, width, lanes):
            v.store(out, b, c, min(lanes, width - c), v.zeros(x))
        fours = first + (last - first) // 4 * 4
        for i in range(first, fours, 4):
            for c in range(0, whole, lanes):
                v.store(out, b, c, lanes, v.load(out, b, c, lanes) + _four(x, i, c, lanes))
            if whole < width:
                n = width - whole
                v.store(out, b, whole, n, v.load(out, b, whole, n) + _four(x, i, whole, n))
        for i in range(fours, last):
            for c in range(0, width, lanes):
                n = min(lanes, width - c)
                v.store(out, b, c, n, v.load(out, b, c, n) + v.load(x, i, c, n))


@jit
def _four(x, i, c, n):
    return (v.load(x, i, c, n) + v.load(x, i + 1, c, n)) + (v.load(x, i + 2, c, n) + v.load(x, i + 3, c, n))


@jit
def block_squares(start, stop, block, x, mean, out):
    """out[b] = sum of (x - mean)^2 over the rows of block b."""
    lanes, width = v.lanes(x), x.shape[1]
    for b in range(start, stop):
        first, last = b * block, min(x.shape[0], (b + 1) * block)
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            centre = v.load(mean, 0, c, n)
            s0, s1 = v.zeros(x), v.zeros(x)
            whole = first + (last - first) // 2 * 2
            for i in range(first, whole, 2):
                d0, d1 = v.load(x, i, c, n) - centre, v.load(x, i + 1, c, n) - centre
                s0, s1 = s0 + d0 * d0, s1 + d1 * d1
            for i in range(whole, last):
                d0 = v.load(x, i, c, n) - centre
                s0 = s0 + d0 * d0
            v.store(out, b, c, n, s0 + s1)


@jit
def block_products(start, stop, block, x, mean, g, sums, products):
    """sums[b] = sum of g and products[b] = sum of g * (x - mean) over the rows of block b."""
    lanes, width = v.lanes(x), x.shape[1]
    for b in range(start, stop):
        first, last = b * block, min(x.shape[0], (b + 1) * block)
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            centre = v.load(mean, 0, c, n)
            total, product = v.zeros(x), v.zeros(x)
            for i in range(first, last):
                adjoint = v.load(g, i, c, n)
                total = total + adjoint
                product = product + adjoint * (v.load(x, i, c, n) - centre)
            v.store(sums, b, c, n, total)
            v.store(products, b, c, n, product)


@jit
def scale(start, stop, x, mean, factor, shift, out):
    """(x - mean) * factor + shift."""
    lanes, width = v.lanes(x), x.shape[1]
    for i in range(start, stop):
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            centred = v.load(x, i, c, n) - v.load(mean, 0, c, n)
            v.store(out, i, c, n, centred * v.load(factor, 0, c, n) + v.load(shift, 0, c, n))


@jit
def scale_adjoint(start, stop, g, x, mean, factor, offset, slope, out):
    """(g - offset - (x - mean) * slope) * factor."""
    lanes, width = v.lanes(x), x.shape[1]
    for i in range(start, stop):
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            centred = v.load(x, i, c, n) - v.load(mean, 0, c, n)
            rest = v.load(g, i, c, n) - v.load(offset, 0, c, n) - centred * v.load(slope, 0, c, n)
            v.store(out, i, c, n, rest * v.load(factor, 0, c, n))
