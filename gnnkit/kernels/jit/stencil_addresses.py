"""Tables of addresses for the tiles of a convolution: what each slot reads at each row. Imports the preset and tiles.

Rows are counted through all repetitions of a part, so that a tile may begin in one image and end in the next.
Vectors read beyond the end of a row; behind the last row of an array lies foreign memory, so its last rows are read
from a copy instead, which the door makes (``last`` .. and ``shift``, see kernels/stencil_arrays.py).
"""

from __future__ import annotations

import numpy as np

from gnnkit.kernels.backend import jit


@jit
def fill_sources(table, sender_base, slot, num_slots, begin, end, memory, row_bytes, absent, last, shift, sources):
    """sources[i, j] = address of what slot ``slot + i`` reads at row ``begin + j``; ``absent`` where that is nothing.

    ``memory`` is where row 0 begins; rows from ``last`` on lie ``shift`` bytes further.
    """
    num_rows = table.shape[1]
    for i in range(num_slots):
        t = begin
        while t < end:
            b = t // num_rows
            j = t - b * num_rows
            count = min(num_rows - j, end - t)
            # slices, because an index that could be negative keeps LLVM from vectors
            senders = table[slot + i, j : j + count]
            there = sources[i, t - begin : t - begin + count]
            start, far = memory + sender_base[b] * row_bytes, last - sender_base[b]
            for q in range(count):
                sender = np.int64(senders[q])
                moved = start + sender * row_bytes + (shift if sender >= far else 0)
                there[q] = absent if sender < 0 else moved
            t += count


@jit
def fill_targets(rows, receiver_base, num_rows, begin, end, memory, row_bytes, last, shift, targets):
    """targets[j] = address of the receiver of row ``begin + j``; ``rows`` is empty where column j is receiver j."""
    t = begin
    while t < end:
        b = t // num_rows
        j = t - b * num_rows
        count = min(num_rows - j, end - t)
        there = targets[t - begin : t - begin + count]
        start, far = memory + receiver_base[b] * row_bytes, last - receiver_base[b]
        for q in range(count):
            receiver = np.int64(rows[j + q]) if len(rows) > 0 else j + q
            there[q] = start + receiver * row_bytes + (shift if receiver >= far else 0)
        t += count


@jit
def repeat_last(num_slots, count, full, sources, targets):
    """Fill rows ``count`` .. ``full`` with row ``count - 1``: a tile that is not full does its last row again."""
    for q in range(count, full):
        targets[q] = targets[count - 1]
        for i in range(num_slots):
            sources[i, q] = sources[i, count - 1]


@jit
def find_steps(table, tile_rows, steps):
    """steps[i, j] = how slot i + 1 follows slot i at the ``tile_rows`` columns from j on, 0 for the last slot.

    1 where it has at each of them what the other has one column further, -1: one column before; else 0.
    """
    slots, columns = table.shape
    places = columns - tile_rows + 1
    steps[:] = 0
    if places <= 0:
        return
    up, down = np.empty(columns, np.bool_), np.empty(columns, np.bool_)
    every_up, every_down = np.empty(places, np.bool_), np.empty(places, np.bool_)
    for i in range(slots - 1):
        before, here, found = table[i], table[i + 1], steps[i]
        # slices and short loops over all columns, which LLVM makes vectors of
        ahead, behind = before[1:], here[1:]
        for j in range(columns - 1):
            up[j] = here[j] == ahead[j]
            down[j] = behind[j] == before[j]
        every_up[:], every_down[:] = up[:places], down[:places]
        for q in range(1, tile_rows - 1):
            next_up, next_down = up[q : q + places], down[q : q + places]
            for j in range(places):
                every_up[j] &= next_up[j]
            for j in range(places):
                every_down[j] &= next_down[j]
        for j in range(places):
            found[j] = 1 if every_up[j] else (-1 if every_down[j] else 0)


@jit
def find_runs(slots, steps, column, lengths, which, runs):
    """Cut the slots into runs, at a tile of rows that begins in this column; runs[which, :] are theirs.

    A run has 1 or one of ``lengths`` slots, ascending, each following the one before it by the same step; minus that,
    if the step is -1. Returns the number of runs.
    """
    count = i = 0
    while i < slots:
        length, best, step = 1, 1, steps[i, column]
        while step != 0 and length < lengths[-1] and i + length < slots and steps[i + length - 1, column] == step:
            length += 1
        for known in lengths:
            if known <= length:
                best = known
        runs[which, count] = best * step if best > 1 else 1
        count += 1
        i += best
    return count
