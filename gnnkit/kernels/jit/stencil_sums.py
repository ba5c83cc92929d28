"""Numba loops of stencil_sum: weights packed into panels, then tiles over blocks of rows. Imports floor 0's engine."""

from __future__ import annotations

import numpy as np

from gnnkit.kernels import vector_rows
from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.stencil_addresses import fill_sources, fill_targets, find_runs, repeat_last
from gnnkit.kernels.jit.stencil_addresses import find_steps as find_steps
from gnnkit.kernels.jit.stencil_tiles import ROWS, RUN_ROWS, RUNS, WIDE_ROWS, address, fetch, run_tile, sum_tile

VECTOR_BYTES = vector_rows.VECTOR_BITS // 8

narrow_tile, wide_tile = sum_tile(ROWS, 1), sum_tile(WIDE_ROWS, 2)
# With features larger than this, a typical second-level cache, rows of a block are fetched before they are used.
FETCH_BYTES = 1 << 19
CACHE_LINE = 64

depthwise_tile = run_tile(RUN_ROWS, RUNS)


@jit
def pack(start, stop, weight, transposed, offsets, inner, columns, groups, lanes, tile_vectors, panels):
    """Lay out the panels of tiles start..stop: [tile, slot, channel, columns of the tile], zeros behind the columns.

    A tile has ``tile_vectors`` vectors of columns, the last of a group perhaps fewer. ``weight`` is flat [offset,
    channel, column], or [offset, column, channel] if ``transposed``. Returns whether all weights are finite.
    """
    vectors = -(-columns // lanes)
    tiles = -(-vectors // tile_vectors)
    slots = offsets.shape[0]
    out_size = columns * groups
    infinite = False
    for tile in range(start, stop):
        group = tile // tiles
        v = tile_vectors * (tile - group * tiles)
        width = min(tile_vectors, vectors - v) * lanes
        count = min(width, columns - v * lanes)
        column = group * columns + v * lanes
        size = inner * width
        first = (group * vectors + v) * lanes * slots * inner
        for i in range(slots):
            panel = panels[first + i * size : first + (i + 1) * size]
            if count < width:
                panel[:] = 0
            begin = offsets[i] * inner * out_size
            if transposed:
                for f in range(count):
                    line = weight[begin + (column + f) * inner : begin + (column + f + 1) * inner]
                    for c in range(inner):
                        infinite |= not abs(line[c]) < np.inf
                        panel[c * width + f] = line[c]
            else:
                for c in range(inner):
                    line = weight[begin + c * out_size + column : begin + c * out_size + column + count]
                    there = panel[c * width : c * width + count]
                    for f in range(count):
                        infinite |= not abs(line[f]) < np.inf
                        there[f] = line[f]
    return not infinite


@jit
def sum_blocks(
    row_start, row_stop, tile_start, tile_stop, table, rows, sender_base, receiver_base, x, row_size, panels,
    inner, columns, groups, absent, block, slab, fresh, starts, out,
):  # fmt: skip
    """Rows row_start..row_stop of a part, counted through its repetitions, and tiles of columns.

    If ``fresh``, rows begin with ``starts``, which is as long as a row and two vectors.
    """
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    vectors = -(-columns // lanes)
    tiles = (vectors + 1) // 2
    slots, num_rows = table.shape
    out_size = columns * groups
    sources = np.empty((slots, block), np.int64)
    targets = np.empty(block, np.int64)
    far = np.iinfo(np.int64).max
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        full = -(-(end - begin) // ROWS) * ROWS
        fill_sources(
            table, sender_base, 0, slots, begin, end, address(x), row_size * size, address(absent), far, 0, sources
        )
        fill_targets(rows, receiver_base, num_rows, begin, end, address(out), out_size * size, far, 0, targets)
        repeat_last(slots, end - begin, full, sources, targets)
        for tile in range(tile_start, tile_stop):
            group = tile // tiles
            v = 2 * (tile - group * tiles)
            width = min(2 * lanes, columns - v * lanes)
            there = size * (group * columns + v * lanes)
            wide = vectors - v > 1
            step = inner * lanes * (2 if wide else 1)
            panel = (group * vectors + v) * lanes * slots * inner
            for i in range(0, max(slots, 1), slab):
                j = min(i + slab, slots)
                new = int(fresh and i == 0)
                at, position = size * group * inner, panel + i * step
                if wide:
                    for r in range(0, end - begin, WIDE_ROWS):
                        wide_tile(sources, r, i, j, at, inner, panels, position, targets, there, width, new, starts)
                else:
                    for r in range(0, end - begin, ROWS):
                        narrow_tile(sources, r, i, j, at, inner, panels, position, targets, there, width, new, starts)


@jit
def depthwise_sum_blocks(
    row_start, row_stop, vector_start, vector_stop, table, steps, rows, sender_base, receiver_base, x, channels, panels,
    absent, last, shift, block, fresh, starts, out,
):  # fmt: skip
    """The same where every channel has its own weights and no other; panels [vector of channels, slot, lane].

    ``steps`` [slots, columns] is that of find_steps.
    """
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    slots, num_rows = table.shape
    sources = np.empty((slots, block), np.int64)
    targets = np.empty(block, np.int64)
    runs = np.empty((block // RUN_ROWS, slots), np.int64)
    counts = np.empty(block // RUN_ROWS, np.int64)
    row_bytes, new = channels * size, int(fresh)
    far = np.iinfo(np.int64).max
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        tiles = -(-(end - begin) // RUN_ROWS)
        fill_sources(
            table, sender_base, 0, slots, begin, end, address(x), row_bytes, address(absent), last, shift, sources
        )
        fill_targets(rows, receiver_base, num_rows, begin, end, address(out), row_bytes, far, 0, targets)
        repeat_last(slots, end - begin, tiles * RUN_ROWS, sources, targets)
        if slots > 0 and x.size * size > FETCH_BYTES:
            # one vector of each row after another is no pattern that a processor foresees: fetch whole rows before
            for i in (0, slots - 1):
                for j in range(end - begin):
                    for line in range(0, row_bytes, CACHE_LINE):
                        fetch(sources[i, j] + line)
        for t in range(tiles):
            j = (begin + t * RUN_ROWS) % num_rows
            if j + RUN_ROWS <= num_rows and (t + 1) * RUN_ROWS <= end - begin:
                counts[t] = find_runs(slots, steps, j, RUNS, t, runs)
            else:  # rows of two repetitions, or some repeated to fill the tile
                counts[t] = slots
                runs[t, :] = 1
        for v in range(vector_start, vector_stop):
            width = min(lanes, channels - v * lanes)
            at, position = size * v * lanes, v * lanes * slots
            for t in range(tiles):
                depthwise_tile(
                    sources, t * RUN_ROWS, runs, t, counts[t], at, panels, position, targets, at, width, new, starts
                )  # fmt: skip


@jit
def careful_sum(row_start, row_stop, table, rows, offsets, sender_base, receiver_base, x, row_size, weight, out):
    """Rows row_start..row_stop one edge at a time, x and out flat, weight [offsets, inner, groups, columns].

    For weights that are not finite: the tiles multiply them by zeros where a slot has no sender.
    """
    _, inner, groups, columns = weight.shape
    num_rows = table.shape[1]
    for t in range(row_start, row_stop):
        b = t // num_rows
        j = t - b * num_rows
        receiver = receiver_base[b] + (rows[j] if len(rows) > 0 else j)
        for i in range(table.shape[0]):
            if table[i, j] >= 0:
                source = (sender_base[b] + table[i, j]) * row_size
                for g in range(groups):
                    target = (receiver * groups + g) * columns
                    for c in range(inner):
                        value = x[source + g * inner + c]
                        for f in range(columns):
                            out[target + f] += value * weight[offsets[i], c, g, f]
