"""Numba loops of pooling: columns start..stop of a part, counted over all its copies. Imports the preset and vectors.

The columns of one part write different rows, so they can be shared among threads; a row is folded in the order of the
slots, and from what earlier parts have left there.
"""

from __future__ import annotations

import numpy as np

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit


@jit
def stencil_max(start, stop, table, rows, offsets, sender_base, receiver_base, x, y, ties, first):
    """Raise rows of y to their senders where these are larger, and count in ``ties`` who attains them.

    No ties yet (or ``first``, which does not read the rows) means that nothing came so far.
    """
    slots, columns = table.shape
    lanes, width = v.lanes(x), x.shape[1]
    lowest = -np.inf
    unit = start
    while unit < stop:
        copy = unit // columns
        begin = unit - copy * columns
        end = min(columns, begin + stop - unit)
        sender = sender_base[copy]
        for j in range(begin, end):
            receiver = receiver_base[copy] + (rows[j] if rows.shape[0] else j)
            for c in range(0, width, lanes):
                n = min(lanes, width - c)
                before, count = v.zeros(x), v.zeros(x)
                if not first:
                    before, count = v.load(y, receiver, c, n), v.load(ties, receiver, c, n)
                top = v.where(count > 0.0, before, lowest)
                for i in range(slots):
                    if table[i, j] >= 0:
                        top = v.maximum(top, v.load(x, sender + table[i, j], c, n))
                # a second look, when the maximum is known, waits for nothing; the numbers are at hand
                count = v.where((before == top) | v.is_nan(before), count, 0.0)
                for i in range(slots):
                    if table[i, j] >= 0:
                        value = v.load(x, sender + table[i, j], c, n)
                        count = v.where((value == top) | v.is_nan(value), count + 1.0, count)
                top = v.where(count > 0.0, top, 0.0)
                v.store(y, receiver, c, n, top)
                v.store(ties, receiver, c, n, count)
        unit += end - begin


@jit
def stencil_max_adjoint(start, stop, table, rows, offsets, sender_base, receiver_base, x, y, shared, out):
    """Add to rows of ``out`` what is shared by the y that equal their x; the roles are those of the transpose."""
    slots, columns = table.shape
    lanes, width = v.lanes(x), x.shape[1]
    unit = start
    while unit < stop:
        copy = unit // columns
        begin = unit - copy * columns
        end = min(columns, begin + stop - unit)
        sender = sender_base[copy]
        for j in range(begin, end):
            receiver = receiver_base[copy] + (rows[j] if rows.shape[0] else j)
            for c in range(0, width, lanes):
                n = min(lanes, width - c)
                mine, total = v.load(x, receiver, c, n), v.load(out, receiver, c, n)
                for i in range(slots):
                    s = table[i, j]
                    if s >= 0:
                        top = v.load(y, sender + s, c, n)
                        same = (mine == top) | ~((mine == mine) | (top == top))
                        total = total + v.where(same, v.load(shared, sender + s, c, n), 0.0)
                v.store(out, receiver, c, n, total)
        unit += end - begin


@jit
def stencil_max_spread(start, stop, table, rows, offsets, sender_base, receiver_base, x, y, shared, out):
    """Give the shares of rows of y to the senders that equal them, and 0 to the other senders; none is met twice."""
    slots, columns = table.shape
    lanes, width = v.lanes(x), x.shape[1]
    unit = start
    while unit < stop:
        copy = unit // columns
        begin = unit - copy * columns
        end = min(columns, begin + stop - unit)
        sender = sender_base[copy]
        for j in range(begin, end):
            receiver = receiver_base[copy] + (rows[j] if rows.shape[0] else j)
            for c in range(0, width, lanes):
                n = min(lanes, width - c)
                top, share = v.load(y, receiver, c, n), v.load(shared, receiver, c, n)
                unknown = v.is_nan(top)
                for i in range(slots):
                    if table[i, j] >= 0:
                        value = v.load(x, sender + table[i, j], c, n)
                        same = (value == top) | (v.is_nan(value) & unknown)
                        v.store(out, sender + table[i, j], c, n, v.where(same, share, 0.0))
        unit += end - begin


@jit
def stencil_spread(start, stop, table, rows, offsets, sender_base, receiver_base, y, out, factor):
    """Give rows of y, times ``factor``, to all their senders; none is met twice."""
    slots, columns = table.shape
    lanes, width = v.lanes(y), y.shape[1]
    unit = start
    while unit < stop:
        copy = unit // columns
        begin = unit - copy * columns
        end = min(columns, begin + stop - unit)
        sender = sender_base[copy]
        for j in range(begin, end):
            receiver = receiver_base[copy] + (rows[j] if rows.shape[0] else j)
            for c in range(0, width, lanes):
                n = min(lanes, width - c)
                value = v.load(y, receiver, c, n) * factor
                for i in range(slots):
                    if table[i, j] >= 0:
                        v.store(out, sender + table[i, j], c, n, value)
        unit += end - begin


@jit
def stencil_argmax(start, stop, table, rows, offsets, sender_base, receiver_base, x, y, out):
    """Lower rows of ``out`` (-1: none) to the offsets of the senders that equal y."""
    slots, columns = table.shape
    unit = start
    while unit < stop:
        copy = unit // columns
        begin = unit - copy * columns
        end = min(columns, begin + stop - unit)
        sender = sender_base[copy]
        for j in range(begin, end):
            receiver = receiver_base[copy] + (rows[j] if rows.shape[0] else j)
            for i in range(slots):
                s = table[i, j]
                if s >= 0:
                    for c in range(out.shape[1]):
                        value, top, best = x[sender + s, c], y[receiver, c], out[receiver, c]
                        same = value == top or (value != value and top != top)
                        if same and (best < 0 or offsets[i] < best):
                            out[receiver, c] = offsets[i]
        unit += end - begin
