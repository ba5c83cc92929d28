"""Lines of slots: those that read neighbouring pixels, which lie beside each other in memory. Imports only floor 0."""

from __future__ import annotations

import itertools
import weakref
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels.arrays import read_only

_known: dict[int, tuple[weakref.ref[NDArray[Any]], Lines]] = {}


class Lines(NamedTuple):
    """The slots of a table [slots, columns], cut into lines: in a line each slot mostly reads one pixel further.

    Slots are counted from the last one on if ``backwards``, as in the plan of a gradient, whose slots go back through
    the image; then ``turned`` is the table with its slots counted so, else it is empty. Line l is slots ``bounds[l]``
    .. ``bounds[l + 1]``, and the columns are cut into runs for it, runs ``run_bounds[l]`` .. ``run_bounds[l + 1]``. A
    run is (column, base, step, first, last): the q-th slot of the line reads pixel ``base + q + step * n`` at the n-th
    column of the run, for ``first <= q < last``, and nothing for other q. ``last`` is -1 where it is not so regular (at
    borders that wrap, at holes).
    """

    backwards: bool
    turned: NDArray[Any]
    bounds: NDArray[np.int64]
    run_bounds: NDArray[np.int64]
    runs: NDArray[np.int64]

    @property
    def lengths(self) -> list[int]:
        return np.diff(self.bounds).tolist()  # type: ignore[no-any-return]

    @property
    def regular(self) -> bool:
        """Whether nothing must be looked up in the table."""
        return bool((self.runs[:, 4] >= 0).all())

    def stride(self, inner: int, lanes: int) -> int:
        """Numbers from one window to the next, if a line may be written in whole vectors of ``lanes``."""
        begins = zip(self.bounds[:-1].tolist(), self.lengths)
        return max(begin * inner + -(-length * inner // lanes) * lanes for begin, length in begins)


def lines_of(table: NDArray[Any]) -> Lines:
    """The lines of a table, worked out once for as long as the table lives."""
    key = id(table)
    known = _known.get(key)
    if known is None or known[0]() is not table:
        # a table that is not of a topology may be a view made for this call: it is forgotten with it
        known = weakref.ref(table, lambda _: _known.pop(key, None)), find_lines(table)
        _known[key] = known
    return known[1]


def find_lines(table: NDArray[Any]) -> Lines:
    """The lines of a table.

    Examples
    --------
    >>> import numpy as np
    >>> find_lines(np.array([[-1, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, -1]], np.int32)).runs
    array([[ 0, -1,  0,  1,  3],
           [ 1,  0,  1,  0,  3],
           [ 3,  2,  0,  0,  2]])
    """
    there = table >= 0
    pairs = there[1:] & there[:-1]
    step = table[1:] - table[:-1]
    forward, back = ((pairs & (step == by)).sum(axis=1) for by in (1, -1))
    backwards = bool(back.sum() > forward.sum())
    followed = 2 * (back if backwards else forward) > pairs.sum(axis=1)
    if backwards:
        table, there, followed = np.ascontiguousarray(table[::-1]), there[::-1], followed[::-1]
    bounds = np.array([0, *(np.flatnonzero(~followed) + 1), len(table)] if len(table) else [0], np.int64)
    runs = [_runs(table[i:j], there[i:j]) for i, j in itertools.pairwise(bounds)]
    run_bounds = np.cumsum([0, *map(len, runs)])
    turned = table if backwards else np.empty((0, 0), table.dtype)
    every = np.concatenate(runs) if runs else np.empty((0, 5), np.int64)
    return Lines(backwards, *map(read_only, (turned, bounds, run_bounds, every)))


def _runs(line: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The runs of a line, from its part [slots, columns] of the table."""
    used = np.logical_or.reduce(there, axis=0)
    columns = np.arange(line.shape[1])
    first = np.where(used, there.argmax(axis=0), 0)
    last = np.where(used, len(line) - there[::-1].argmax(axis=0), 0)
    base = np.where(used, line[first, columns].astype(np.int64) - first, 0)
    slots = np.arange(len(line))[:, None]
    inside = (slots >= first) & (slots < last)
    last[(inside & (line != base + slots)).any(axis=0)] = -1
    # a run goes on where slots are the same ones, and the pixel moves as it did in its first step
    same: NDArray[np.bool_] = np.logical_and(np.diff(first) == 0, np.diff(last) == 0)
    moves = np.where(same & used[1:], base[1:] - base[:-1], 0)
    changes = np.flatnonzero((np.diff(moves) != 0) | np.logical_not(same[1:])) + 1
    ends = np.append(changes, len(same))[np.searchsorted(changes, np.arange(len(same)), side="right")]
    starts, steps, j = [], [], 0
    while j < len(columns):
        goes_on = j < len(same) and bool(same[j])
        starts.append(j)
        steps.append(int(moves[j]) if goes_on else 0)
        j = int(ends[j]) + 1 if goes_on else j + 1
    return np.column_stack([starts, base[starts], steps, first[starts], last[starts]]).astype(np.int64)
