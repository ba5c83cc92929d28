"""Numba loops that move columns of matrices: rows start..stop. Imports the preset and vectors."""

from __future__ import annotations

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit


@jit
def copy_columns(start, stop, source, begin, width, out, place):
    """``out[i, place:place + width] = source[i, begin:begin + width]`` for rows start..stop."""
    for i in range(start, stop):
        _copy(i, source, begin, width, out, place)


@jit
def join_columns(start, stop, first, second, third, fourth, out, place):
    """Rows start..stop of four matrices side by side in ``out``, from column ``place`` on; they may have no columns."""
    to_third = place + first.shape[1] + second.shape[1]
    for i in range(start, stop):
        _copy(i, first, 0, first.shape[1], out, place)
        _copy(i, second, 0, second.shape[1], out, place + first.shape[1])
        _copy(i, third, 0, third.shape[1], out, to_third)
        _copy(i, fourth, 0, fourth.shape[1], out, to_third + third.shape[1])


@jit
def _copy(i, source, begin, width, out, place):
    lanes = v.lanes(out)
    if width < lanes // 2:
        for c in range(width):
            v.put(out, i, place + c, v.lane(v.splat(source, i, begin + c)))
    else:
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            v.store(out, i, place + c, n, v.load(source, i, begin + c, n))


@jit
def add_columns(start, stop, source, out, place):
    """``out[i, place:place + source.shape[1]] += source[i]`` for rows start..stop."""
    lanes, width = v.lanes(out), source.shape[1]
    for i in range(start, stop):
        if width < lanes // 2:
            for c in range(width):
                v.put(out, i, place + c, v.lane(v.splat(out, i, place + c) + v.splat(source, i, c)))
            continue
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            v.store(out, i, place + c, n, v.load(out, i, place + c, n) + v.load(source, i, c, n))


@jit
def pad_columns(start, stop, source, out, place):
    """Rows start..stop: zeros, and ``source[i]`` in the columns from ``place`` on."""
    lanes, width, columns = v.lanes(out), source.shape[1], out.shape[1]
    none = v.lane(v.zeros(out))
    for i in range(start, stop):
        if columns < lanes // 2:
            for c in range(columns):
                v.put(out, i, c, v.lane(v.splat(source, i, c - place)) if place <= c < place + width else none)
            continue
        for c in range(0, columns, lanes):
            v.store(out, i, c, min(lanes, columns - c), v.zeros(out))
        for c in range(0, width, lanes):
            n = min(lanes, width - c)
            v.store(out, i, place + c, n, v.load(source, i, c, n))
