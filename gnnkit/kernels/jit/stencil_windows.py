"""Numba loops over windows: what all slots read at a row, as one long vector. Imports floor 0's engine.

With few channels, a vector that holds those of one slot would be mostly empty. But slots beside each other in the
kernel read pixels beside each other in memory: a line of slots is one copy (see kernels/stencil_lines.py).
"""

from __future__ import annotations

import numpy as np

from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.stencil_addresses import fill_targets
from gnnkit.kernels.jit.stencil_lines import copy_line
from gnnkit.kernels.jit.stencil_outers import VECTOR_BYTES, few_narrow, few_wide, many_narrow, many_wide
from gnnkit.kernels.jit.stencil_tiles import FEW_CHANNELS, address


@jit
def fill_windows(table, bounds, run_bounds, runs, sender_base, begin, end, x, inner, stride, windows):
    """windows[j * stride + slot * inner + c] = channel c of what the slot reads at row begin + j; 0 if absent.

    ``x`` and ``windows`` are flat; bounds, run_bounds and runs are those of Lines. Behind a line, windows has zeros up
    to the end of a vector, which the next line overwrites.
    """
    size = x.itemsize
    pixel = inner * size
    num_rows = table.shape[1]
    zero = x.dtype.type(0)
    for k in range(len(bounds) - 1):
        slot, count = bounds[k], bounds[k + 1] - bounds[k]
        t = begin
        while t < end:
            b = t // num_rows
            j = t - b * num_rows
            stop = min(num_rows, j + end - t)
            goal = (t - begin - j) * stride + slot * inner
            start = sender_base[b]
            # the run that column j is in
            r, beyond = run_bounds[k], run_bounds[k + 1]
            while beyond - r > 1:
                middle = (r + beyond) // 2
                if runs[middle, 0] <= j:
                    r = middle
                else:
                    beyond = middle
            while j < stop:
                column, base, step, first, last = runs[r]
                r += 1
                until = stop if r == run_bounds[k + 1] else min(runs[r, 0], stop)
                if last >= 0:
                    source = address(x) + (start + base + step * (j - column)) * pixel
                    copy_line(
                        source, step * pixel, first * inner, last * inner, count * inner, until - j, windows,
                        goal + j * stride, stride,
                    )  # fmt: skip
                else:
                    for q in range(j, until):
                        for i in range(count):
                            sender = table[slot + i, q]
                            for c in range(inner):
                                value = x[(start + sender) * inner + c] if sender >= 0 else zero
                                windows[goal + q * stride + i * inner + c] = value
                j = until
            t = b * num_rows + stop


@jit
def outer_windows(
    row_start, row_stop, item_start, item_stop, piece, table, bounds, run_bounds, runs, rows, sender_base,
    receiver_base, x, inner, y, columns, y_last, y_shift, tile_rows, stride, block, partial,
):  # fmt: skip
    """Rows row_start..row_stop of a part into partial[piece], tiles item_start..item_stop of the columns of y.

    partial[piece] is flat [tile of the window, tile of columns, column of the tile, number of the window], padded: the
    windows are the vectors, and the columns are what each of their tiles is multiplied with.
    """
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    slots, num_rows = table.shape
    vectors = -(-slots * inner // lanes)
    tiles = -(-columns // tile_rows)
    there = np.empty((1, block), np.int64)
    window = np.empty(block, np.int64)
    windows = np.zeros(block * stride, x.dtype)
    for q in range(block):
        window[q] = address(windows) + q * stride * size
    few = tile_rows == FEW_CHANNELS
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        fill_windows(table, bounds, run_bounds, runs, sender_base, begin, end, x, inner, stride, windows)
        fill_targets(rows, receiver_base, num_rows, begin, end, address(y), columns * size, y_last, y_shift, there[0])
        count, fresh = end - begin, int(begin == row_start)
        for v in range(0, vectors, 2):
            wide = vectors - v > 1
            width = lanes * (2 if wide else 1)
            for tile in range(item_start, item_stop):
                at, shift = size * tile * tile_rows, size * v * lanes
                position = piece * partial.shape[1] + (v * lanes * tiles + tile * width) * tile_rows
                if few:
                    if wide:
                        few_wide(there, 0, 0, count, at, window, shift, partial, position, fresh)
                    else:
                        few_narrow(there, 0, 0, count, at, window, shift, partial, position, fresh)
                elif wide:
                    many_wide(there, 0, 0, count, at, window, shift, partial, position, fresh)
                else:
                    many_narrow(there, 0, 0, count, at, window, shift, partial, position, fresh)


@jit
def collect_windows(partial, offsets, columns, tile_rows, lanes, out):
    """Add the partial sums, piece after piece, to out[offset, channel, column]."""
    inner = out.shape[1]
    vectors, tiles = -(-len(offsets) * inner // lanes), -(-columns // tile_rows)
    for i in range(len(offsets)):
        for c in range(inner):
            number = i * inner + c
            v = number // (2 * lanes) * 2
            width = min(2, vectors - v) * lanes
            place = v * lanes * tiles * tile_rows + number - v * lanes
            for f in range(columns):
                total = partial[0, place + f * width]
                for p in range(1, partial.shape[0]):
                    total += partial[p, place + f * width]
                out[offsets[i], c, f] += total
