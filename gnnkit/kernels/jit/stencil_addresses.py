"""Tables of addresses for the tiles of a convolution: what each slot reads at each row. Imports the preset and tiles.

Rows are counted through all repetitions of a part, so that a tile may begin in one image and end in the next.
Vectors read beyond the end of a row; behind the last row of an array lies foreign memory, so its last rows are read
from a copy instead, which the door makes (``last`` .. and ``shift``, see kernels/stencil_arrays.py).
"""

from __future__ import annotations

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
            first = sender_base[b]
            for q in range(count):
                sender = table[slot + i, j + q]
                row = first + sender
                there = memory + row * row_bytes
                if row >= last:
                    there += shift
                sources[i, t - begin + q] = absent if sender < 0 else there
            t += count


@jit
def fill_targets(rows, receiver_base, num_rows, begin, end, memory, row_bytes, last, shift, targets):
    """targets[j] = address of the receiver of row ``begin + j``; ``rows`` is empty where column j is receiver j."""
    t = begin
    while t < end:
        b = t // num_rows
        j = t - b * num_rows
        count = min(num_rows - j, end - t)
        for q in range(count):
            receiver = receiver_base[b] + (rows[j + q] if len(rows) > 0 else j + q)
            there = memory + receiver * row_bytes
            if receiver >= last:
                there += shift
            targets[t - begin + q] = there
        t += count


@jit
def repeat_last(num_slots, count, full, sources, targets):
    """Fill rows ``count`` .. ``full`` with row ``count - 1``: a tile that is not full does its last row again."""
    for q in range(count, full):
        targets[q] = targets[count - 1]
        for i in range(num_slots):
            sources[i, q] = sources[i, count - 1]
