"""Numba loops of stencil_outer: tiles of outer products over blocks of rows, then their sum. Imports floor 0's engine.

A chunk has some of the rows (a piece, with partial sums of its own) and some of the items; an item is the weights of
a slot, a group and a tile of channels. The partial sums of a piece lie as the tiles write them:
[group, tile of columns, slot, tile of channels, channel of the tile, column of the tile], padded.
"""

from __future__ import annotations

import numpy as np

from gnnkit.kernels import vector_rows
from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.stencil_addresses import fill_sources, fill_targets
from gnnkit.kernels.jit.stencil_tiles import FEW_CHANNELS, MANY_CHANNELS, WIDE_ROWS, address, outer_tile

VECTOR_BYTES = vector_rows.VECTOR_BITS // 8

few_narrow, few_wide = outer_tile(FEW_CHANNELS, 1), outer_tile(FEW_CHANNELS, 2)
many_narrow, many_wide = outer_tile(MANY_CHANNELS, 1), outer_tile(MANY_CHANNELS, 2)
depthwise_narrow, depthwise_wide = outer_tile(WIDE_ROWS, 1, depthwise=True), outer_tile(WIDE_ROWS, 2, depthwise=True)


@jit
def fill_windows(table, sender_base, begin, end, x, inner, groups, windows):
    """windows[j] = features of all slots at row begin + j, flat [group, slot, channel of the group]; zeros if absent.

    ``x`` is flat too; windows is [block, width] and begins with these numbers.
    """
    slots, num_rows = table.shape
    row_size = inner * groups
    zero = x.dtype.type(0)
    for i in range(slots):
        t = begin
        while t < end:
            b = t // num_rows
            j = t - b * num_rows
            count = min(num_rows - j, end - t)
            senders, start = table[i, j : j + count], sender_base[b] * row_size
            for g in range(groups):
                for c in range(inner):
                    there = windows[t - begin : t - begin + count, (g * slots + i) * inner + c]
                    # one long loop over rows for each channel: there are few, and a loop over them costs more
                    first = start + g * inner + c
                    for q in range(count):
                        sender = np.int64(senders[q])
                        there[q] = x[first + sender * row_size] if sender >= 0 else zero
            t += count


@jit
def outer_blocks(
    row_start, row_stop, item_start, item_stop, piece, table, rows, sender_base, receiver_base, x, inner, x_last,
    x_shift, y, columns, y_last, y_shift, groups, tile_rows, windowed, block, partial,
):  # fmt: skip
    """Rows row_start..row_stop of a part into partial[piece], items item_start..item_stop.

    Windowed, the windows of all slots are gathered first and taken for the channels of a single slot: good for few
    channels, which would leave most of a tile empty.
    """
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    vectors = -(-columns // lanes)
    slots, num_rows = table.shape
    channels = slots * inner if windowed else inner
    ranks = 1 if windowed else slots
    channel_tiles = -(-channels // tile_rows)
    per_slot = groups * channel_tiles
    first_slot, stop_slot = item_start // per_slot, -(-item_stop // per_slot)
    sources = np.empty((1 if windowed else stop_slot - first_slot, block), np.int64)
    targets = np.empty(block, np.int64)
    windows = np.empty((block + 1 if windowed else 1, channels * groups + tile_rows), x.dtype)
    few = tile_rows == FEW_CHANNELS
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        count = end - begin
        if windowed:
            fill_windows(table, sender_base, begin, end, x, inner, groups, windows)
            for q in range(count):
                sources[0, q] = address(windows) + q * windows.shape[1] * size
        else:
            fill_sources(
                table, sender_base, first_slot, stop_slot - first_slot, begin, end, address(x), inner * groups * size,
                0, x_last, x_shift, sources,
            )  # fmt: skip
        fill_targets(
            rows, receiver_base, num_rows, begin, end, address(y), columns * groups * size, y_last, y_shift, targets
        )
        fresh = int(begin == row_start)
        for v in range(0, vectors, 2):
            wide = vectors - v > 1
            width = lanes * (2 if wide else 1)
            for item in range(item_start, item_stop):
                slot = item // per_slot
                group = (item - slot * per_slot) // channel_tiles
                tile = item - slot * per_slot - group * channel_tiles
                at = size * (group * channels + tile * tile_rows)
                there = size * (group * columns + v * lanes)
                first = (group * vectors + v) * lanes * ranks * channel_tiles * tile_rows
                position = piece * partial.shape[1] + first + (slot * channel_tiles + tile) * tile_rows * width
                i = slot - first_slot
                if few:
                    if wide:
                        few_wide(sources, i, 0, count, at, targets, there, partial, position, fresh)
                    else:
                        few_narrow(sources, i, 0, count, at, targets, there, partial, position, fresh)
                elif wide:
                    many_wide(sources, i, 0, count, at, targets, there, partial, position, fresh)
                else:
                    many_narrow(sources, i, 0, count, at, targets, there, partial, position, fresh)


@jit
def depthwise_outer_blocks(
    row_start, row_stop, item_start, item_stop, piece, table, rows, sender_base, receiver_base, x, channels, x_last,
    x_shift, y, y_last, y_shift, absent, block, partial,
):  # fmt: skip
    """The same where every channel has its own weights; an item is a tile of slots: [tile of columns, slot, column]."""
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    vectors = -(-channels // lanes)
    slots, num_rows = table.shape
    padded = -(-slots // WIDE_ROWS) * WIDE_ROWS
    first_slot, stop_slot = item_start * WIDE_ROWS, min(item_stop * WIDE_ROWS, slots)
    sources = np.full(((item_stop - item_start) * WIDE_ROWS, block), address(absent))
    targets = np.empty(block, np.int64)
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        count = end - begin
        fill_sources(
            table, sender_base, first_slot, stop_slot - first_slot, begin, end, address(x), channels * size,
            address(absent), x_last, x_shift, sources,
        )  # fmt: skip
        fill_targets(rows, receiver_base, num_rows, begin, end, address(y), channels * size, y_last, y_shift, targets)
        fresh = int(begin == row_start)
        for v in range(0, vectors, 2):
            wide = vectors - v > 1
            width = lanes * (2 if wide else 1)
            for item in range(item_start, item_stop):
                at = size * v * lanes
                position = piece * partial.shape[1] + v * lanes * padded + item * WIDE_ROWS * width
                i = (item - item_start) * WIDE_ROWS
                if wide:
                    depthwise_wide(sources, i, 0, count, at, targets, at, partial, position, fresh)
                else:
                    depthwise_narrow(sources, i, 0, count, at, targets, at, partial, position, fresh)


@jit
def collect(start, stop, partial, offsets, ranks, per_rank, groups, columns, channel_rows, lanes, out):
    """Add the partial sums, piece after piece, to channels start..stop of out[offset, channel, group * columns + f].

    partial[piece] is flat [group, tile of columns, rank, channel_rows, column of the tile]; slot i has its channels
    (windowed: as many as ``per_rank`` slots in a rank) in the rows from (i % per_rank) * channels on.
    """
    vectors = -(-columns // lanes)
    channels = out.shape[1]
    for i in range(offsets.shape[0]):
        rank = i // per_rank
        for c in range(start, stop):
            row = (i - rank * per_rank) * channels + c
            for g in range(groups):
                for v in range(0, vectors, 2):
                    width = min(2, vectors - v) * lanes
                    place = (g * vectors + v) * lanes * ranks * channel_rows + (rank * channel_rows + row) * width
                    for f in range(min(width, columns - v * lanes)):
                        total = partial[0, place + f]
                        for p in range(1, partial.shape[0]):
                            total += partial[p, place + f]
                        out[offsets[i], c, g * columns + v * lanes + f] += total


@jit
def careful_outer(start, stop, table, rows, offsets, sender_base, receiver_base, x, inner, y, columns, groups, out):
    """Slots' weights one edge at a time, channels start..stop; x and y flat, out [offset, channel, group, column]."""
    num_rows = table.shape[1]
    for i in range(table.shape[0]):
        for b in range(len(sender_base)):
            for j in range(num_rows):
                if table[i, j] >= 0:
                    source = (sender_base[b] + table[i, j]) * inner * groups
                    target = (receiver_base[b] + (rows[j] if len(rows) > 0 else j)) * columns * groups
                    for c in range(start, stop):
                        for g in range(groups):
                            value = x[source + g * inner + c]
                            for f in range(columns):
                                out[offsets[i], c, g, f] += value * y[target + g * columns + f]
