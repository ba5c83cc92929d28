"""Numba loops of the dense product of rows: the right factor packed into panels, then tiles over blocks of rows.

Every result is added up in the order of the inner axis, in stretches of ``STRETCH`` whose sums are added in order: what
a row gives depends on that row and the right factor alone, neither on the number of rows nor on its place among them.
"""

from __future__ import annotations

import numpy as np

from gnnkit.kernels import simd, vector_rows
from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.product_tiles import FEW_ROWS, WIDE_ROWS, product_tile
from gnnkit.kernels.jit.stencil_tiles import address

VECTOR_BYTES = vector_rows.VECTOR_BITS // 8
# Inner axis of one chain of additions. Longer chains would round more; a panel of it and two vectors fit a
# second-level cache beside the rows.
STRETCH = 512
ROWS = 8 * WIDE_ROWS  # rows of a block: a stretch of them stays in a second-level cache while all columns pass by
TILE = 2  # vectors of columns in a tile
# Rows below which columns are read where they stand instead of being packed first
UNPACKED = 64

wide_tile, narrow_tile = product_tile(WIDE_ROWS, 2), product_tile(WIDE_ROWS, 1)
few_wide_tile, few_narrow_tile = product_tile(FEW_ROWS, 2), product_tile(FEW_ROWS, 1)


@jit
def ceil_div(a, b):
    return -(-a // b)


@jit
def pack(start, stop, b, transposed, inner, columns, panels):
    """Lay out the columns start..stop, whole tiles but for the last: [tile, inner, columns of the tile].

    Zeros stand behind the last column. ``b`` is flat [inner, columns], or [columns, inner] if ``transposed``.
    """
    lanes = VECTOR_BYTES // b.itemsize
    position = 0
    for begin in range(start, stop, TILE * lanes):
        count = min(TILE * lanes, stop - begin)
        width = ceil_div(count, lanes) * lanes
        panel = panels[position : position + inner * width]
        position += inner * width
        if count < width:
            panel[:] = 0
        if transposed:
            for f in range(count):
                line = b[(begin + f) * inner : (begin + f + 1) * inner]
                for c in range(inner):
                    panel[c * width + f] = line[c]
        else:
            for c in range(inner):
                line = b[c * columns + begin : c * columns + begin + count]
                there = panel[c * width : c * width + count]
                for f in range(count):
                    there[f] = line[f]


@jit
def multiply(start, stop, left, right, x, inner, columns, b, panels, first_packed, past, out):
    """Rows start..stop, columns left..right of ``out`` [rows, columns] = ``x`` [rows, inner] times b; arrays are flat.

    Columns from ``first_packed`` on are in ``panels``, those before it are read from ``b`` [inner, columns]. Results go
    past the caches if ``past`` (0 or 1): then they are whole aligned vectors, of one stretch. While a block of rows is
    multiplied, all its tiles together fetch the next one: evenly, as few lines can be under way at a time.
    """
    lanes = VECTOR_BYTES // x.itemsize
    tiles = ceil_div(ROWS, WIDE_ROWS) * ceil_div(right - left, TILE * lanes) * ceil_div(inner, STRETCH)
    share = ceil_div(ROWS * inner * x.itemsize, tiles)  # bytes of the next block that every tile fetches
    for top in range(start, stop, ROWS):
        bottom = min(top + ROWS, stop)
        line = address(x) + bottom * inner * x.itemsize
        for k in range(0, inner, STRETCH):
            count = min(STRETCH, inner - k)
            pace = ceil_div(share, count)
            fresh = int(k == 0)
            packed = 0
            for column in range(left, right, TILE * lanes):
                width = min(TILE * lanes, right - column)
                wide = width > lanes
                step = 2 * lanes if wide else lanes
                source, at_b = panels, packed + k * step
                if column < first_packed:
                    step = columns
                    source, at_b = b, k * columns + column
                else:
                    packed += inner * step
                row = top
                while row < bottom:
                    last = bottom - row - 1
                    at, to = row * inner + k, row * columns + column
                    ends = to, columns, width, fresh, past, line, pace
                    if last >= FEW_ROWS and wide:
                        wide_tile(x, at, inner, count, last, source, at_b, step, out, *ends)
                    elif last >= FEW_ROWS:
                        narrow_tile(x, at, inner, count, last, source, at_b, step, out, *ends)
                    elif wide:
                        few_wide_tile(x, at, inner, count, last, source, at_b, step, out, *ends)
                    else:
                        few_narrow_tile(x, at, inner, count, last, source, at_b, step, out, *ends)
                    row += WIDE_ROWS if last >= FEW_ROWS else FEW_ROWS
                    line += share
    if past:
        v.settle()


@jit
def multiply_columns(start, stop, x, b, transposed, out):
    """All rows of ``out``, columns start..stop (a range of whole tiles): packs what it needs itself.

    ``b`` is [inner, columns], or [columns, inner] if ``transposed``.
    """
    rows, inner = x.shape
    columns = out.shape[1]
    lanes = VECTOR_BYTES // x.itemsize
    # what whole tiles read of each line of b is there; the last tile may end inside of a vector
    first_packed = min(columns // (TILE * lanes) * (TILE * lanes), stop)
    if transposed or rows >= UNPACKED:
        first_packed = start
    panels = np.empty(inner * (ceil_div(max(stop - first_packed, 0), lanes) * lanes), x.dtype)
    flat = b.reshape(-1)
    pack(first_packed, stop, flat, transposed, inner, columns, panels)
    multiply(0, rows, start, stop, x.reshape(-1), inner, columns, flat, panels, first_packed, 0, out.reshape(-1))


@jit
def multiply_stack(start, stop, x, b, transposed, out):
    """``out[i] = x[i] @ b[i]`` for start <= i < stop."""
    for i in range(start, stop):
        multiply_columns(0, out.shape[2], x[i], b[i], transposed, out[i])


@jit
def dots(start, stop, x, b, out):
    """Rows start..stop of ``out`` [rows, columns], few columns: dot products of the rows of x and of b."""
    inner = x.shape[1]
    for i in range(start, stop):
        for j in range(b.shape[0]):
            out[i, j] = simd.dot(x, i, b, j, 0, inner)
