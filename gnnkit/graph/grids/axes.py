"""One axis of a stencil: which position every tap of the kernel reads, forwards and backwards. Arrays only.

A square stencil is the product of its axes, so everything about borders, strides and dilations is settled here in
one dimension; ``parts`` multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnnkit.graph.grids.stencil import Stencil


@dataclass(frozen=True, eq=False)
class AxisPart:
    """Some taps of an axis at some of its receivers: ``table[i, j]`` is the sender of tap ``taps[i]`` at ``rows[j]``.

    Attributes
    ----------
    taps : int64 [slots]
        Position in the kernel; may repeat.
    rows : int64 [columns], ascending
    table : int64 [slots, columns]
        -1 where there is none.
    """

    taps: np.ndarray
    rows: np.ndarray
    table: np.ndarray


def fold(positions: np.ndarray, size: int, border: str) -> np.ndarray:
    """The cell found at each position of an axis of ``size`` cells, -1 for none; as ``numpy.pad`` continues it."""
    if size == 0:
        return np.full_like(positions, -1)
    if border == "wrap":
        return positions % size
    if border == "edge":
        return np.clip(positions, 0, size - 1)
    if border == "reflect":
        period = max(2 * (size - 1), 1)
        folded = positions % period
        return np.minimum(folded, period - folded) if size > 1 else folded * 0
    return np.where((positions >= 0) & (positions < size), positions, -1)


def tap_map(size: tuple[int, ...], stencil: Stencil) -> list[np.ndarray]:
    """For every axis int64 [kernel_size, output_size]: the cell each tap reads at each receiver, -1 for none."""
    positions = _unfolded(size, stencil)
    return [fold(each, n, stencil.border) for each, n in zip(positions, size)]


def _unfolded(size: tuple[int, ...], stencil: Stencil) -> list[np.ndarray]:
    out = stencil.output_size(size)
    return [
        np.arange(n) * s + np.arange(k)[:, None] * d - before
        for n, k, s, d, (before, _) in zip(
            out, stencil.kernel_size, stencil.stride, stencil.dilation, stencil.pads(size)
        )
    ]


def forward_axes(size: tuple[int, ...], stencil: Stencil) -> list[list[AxisPart]]:
    """Every axis as one part: all taps at all receivers."""
    return [[AxisPart(np.arange(len(table)), np.arange(table.shape[1]), table)] for table in tap_map(size, stencil)]


def reversed_axes(size: tuple[int, ...], stencil: Stencil) -> list[list[AxisPart]]:
    """Every axis with its arrows turned round: the rows are cells of the image, the table holds receivers.

    Tap k leads from cell c to receiver (c + before - k dilation) / stride, which must be whole: the cells fall into
    ``stride`` phases, each with taps of its own. What a border folds back goes into the free places of these tables
    or, where a tap leads from one cell to several receivers, into a part of the few cells concerned.
    """
    axes = []
    for axis, (positions, n) in enumerate(zip(_unfolded(size, stencil), size)):
        stride, dilation = stencil.stride[axis], stencil.dilation[axis]
        before = stencil.pads(size)[axis][0]
        axes.append(_reversed_axis(positions, n, stencil.border, stride, dilation, before))
    return axes


def _reversed_axis(
    positions: np.ndarray, size: int, border: str, stride: int, dilation: int, before: int
) -> list[AxisPart]:
    cells = fold(positions, size, border)
    num_taps = len(positions)
    phase_of_tap = np.arange(num_taps) * dilation % stride
    phase_of_cell = (np.arange(size) + before) % stride
    table = np.full((num_taps, size), -1, np.int64)
    inside = (cells >= 0) & (cells == positions)
    tap, receiver = np.nonzero(inside)
    table[tap, cells[inside]] = receiver
    # Folded edges, ordered by tap, cell and receiver; the first takes a free place of its phase.
    folded = (cells >= 0) & ~inside
    tap, receiver = np.nonzero(folded)
    cell = cells[folded]
    order = np.lexsort((receiver, cell, tap))
    tap, cell, receiver = tap[order], cell[order], receiver[order]
    free = (table[tap, cell] < 0) & (phase_of_tap[tap] == phase_of_cell[cell]) & _first_of_runs(tap, cell)
    table[tap[free], cell[free]] = receiver[free]
    parts = []
    for phase in range(stride):
        taps, rows = np.flatnonzero(phase_of_tap == phase), np.flatnonzero(phase_of_cell == phase)
        if len(taps) and len(rows):
            parts.append(AxisPart(taps, rows, table[np.ix_(taps, rows)]))
    left = ~free
    if left.any():
        parts.append(_repeated(tap[left], cell[left], receiver[left]))
    return parts


def _first_of_runs(tap: np.ndarray, cell: np.ndarray) -> np.ndarray:
    first = np.ones(len(tap), bool)
    first[1:] = (tap[1:] != tap[:-1]) | (cell[1:] != cell[:-1])
    return first


def _repeated(tap: np.ndarray, cell: np.ndarray, receiver: np.ndarray) -> AxisPart:
    """A part of the cells concerned, with as many slots for a tap as it has receivers from one cell."""
    starts = np.flatnonzero(_first_of_runs(tap, cell))
    copy = np.arange(len(tap)) - np.repeat(starts, np.diff([*starts, len(tap)]))
    width = int(copy.max()) + 1
    slots, slot = np.unique(tap * width + copy, return_inverse=True)
    rows, column = np.unique(cell, return_inverse=True)
    table = np.full((len(slots), len(rows)), -1, np.int64)
    table[slot, column] = receiver
    return AxisPart(slots // width, rows, table)
