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
