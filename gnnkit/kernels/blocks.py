"""Plain numpy code over large arrays, block by block: each block stays in cache and threads share the blocks.

A composite such as ``np.maximum(x, np.expm1(np.minimum(x, 0)))`` passes over memory once per operation; over blocks
it passes once. numpy releases the GIL, so plain Python threads help. Imports only floor 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.kernels import backend, prerounded
from gnnkit.kernels.arrays import FAST_FLOATS, read_only
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import parallel_rows, run_chunks

# Arrays from this size on are cut; one block with the temporaries of a composite fits a second-level cache.
BLOCKWISE = 1 << 18
BLOCK = 1 << 15
# Values along which numpy adds one row to many without losing time between them.
WIDE = 512
LINE = 128  # numbers of a line of narrow rows that are summed together, or a multiple: whole vectors of every width
LEAST_ROWS = 64  # of a block that is summed: its sums are then few beside what they are sums of
SHORT = 1 << 15  # numbers that numpy has summed before a kernel is loaded


def blockwise(function: Callable[..., Any], *arrays: Any) -> Any:
    """Apply an element-wise ``function`` to arrays of one shape, in blocks on several threads where they are large.

    Parameters
    ----------
    function : callable
        Element-wise: value p of its result depends on value p of every array only. Its result has their shape. A
        ufunc writes its blocks into the result; what another function returns is copied there.
    *arrays : ndarray or scalar
        C-contiguous arrays of one shape are cut; anything else (small, strided, broadcast, no arrays at all) is
        handed to ``function`` as it is.

    Returns
    -------
    ndarray
        What ``function(*arrays)`` returns, bit for bit.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.blockwise(lambda x, y: np.maximum(x, 0) * y, np.array([-1.0, 2.0]), np.array([5.0, 5.0]))
    array([ 0., 10.])
    """
    first = next((a for a in arrays if type(a) is np.ndarray and a.ndim), arrays[0])
    if type(first) is not np.ndarray or first.size < BLOCKWISE or backend.current_backend() == "numpy":
        return function(*arrays)
    cut = [type(a) is np.ndarray and a.ndim > 0 for a in arrays]
    if any(c and (a.shape != first.shape or not a.flags.c_contiguous) for a, c in zip(arrays, cut)):
        return function(*arrays)
    if any(not c and not isinstance(a, int | float | np.generic) for a, c in zip(arrays, cut)):
        return function(*arrays)
    if isinstance(function, np.ufunc) and function.nout != 1:
        return function(*arrays)
    flat = [a.reshape(-1) if c else a for a, c in zip(arrays, cut)]

    def part(start: int, stop: int) -> list[Any]:
        return [a[start:stop] if c else a for a, c in zip(flat, cut)]

    head = function(*part(0, BLOCK))  # tells the dtype of the result
    out = np.empty(first.shape, head.dtype)
    target = out.reshape(-1)
    target[:BLOCK] = head

    def fill(start: int, stop: int) -> None:
        if isinstance(function, np.ufunc):
            function(*part(start, stop), out=target[start:stop])
        else:
            target[start:stop] = function(*part(start, stop))

    run_chunks(fill, [*range(BLOCK, first.size, BLOCK), first.size])
    return out


def add_in_place(rows: np.ndarray, other: np.ndarray) -> None:
    """Write ``rows + other`` into ``rows`` [num_rows, ...]; ``other`` has its shape, or is one row [...].

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> rows = np.zeros((2, 2))
    >>> K.add_in_place(rows, np.array([1.0, 2.0]))
    >>> rows
    array([[1., 2.],
           [1., 2.]])
    """
    whole = other.ndim == rows.ndim
    if not whole and rows.ndim == 2 and rows.size >= BLOCK and rows.flags.c_contiguous:
        times = WIDE // rows.shape[1]
        if times > 1:  # numpy runs along one row at a time: narrow rows are taken several at once
            together = len(rows) // times * times
            rows[together:] += other
            rows, other = rows[:together].reshape(-1, times * rows.shape[1]), np.tile(other, times)

    def add(start: int, stop: int) -> None:
        rows[start:stop] += other[start:stop] if whole else other

    _row_blocks(add, rows)


def column_sums(rows: np.ndarray) -> np.ndarray:
    """Sum of each column of ``rows`` [num_rows, columns], in their dtype: sums of blocks of rows, added up.

    The blocks depend on the shape alone, so the bits do not depend on the number of threads. Of rows in C order, the
    sums of blocks are added in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.column_sums(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    if sums_are_exact() and rows.dtype.kind == "f":
        return prerounded.axis_sum(rows, 0)
    if backend.current_backend() == "numpy" or rows.size < SHORT:
        return np.add.reduce(rows, axis=0)
    if rows.dtype in FAST_FLOATS and rows.ndim == 2 and rows.flags.c_contiguous:
        return _sums_of_lines(rows)
    return _sums_of_blocks(rows)


def _sums_of_lines(rows: np.ndarray) -> np.ndarray:
    """Narrow rows are added several at once, as lines of so many numbers that vectors are full, then to each other."""
    width = rows.shape[1]
    times = min(LINE // math.gcd(LINE, width) if width < LINE else 1, len(rows))
    together = len(rows) // times * times
    lines = read_only(rows[:together]).reshape(-1, times * width)
    step = max(_rows_of_block(lines), LEAST_ROWS)
    parts = np.empty((-(-len(lines) // step), lines.shape[1]), rows.dtype)
    parallel_rows(backend.loops("columns").block_sums, len(parts), (step, lines, parts), width=step * lines.shape[1])
    total = np.add.reduce(parts, axis=0, dtype=np.float64).reshape(times, width)
    return np.add.reduce(np.concatenate([total, rows[together:]]), axis=0).astype(rows.dtype)


def _sums_of_blocks(rows: np.ndarray) -> np.ndarray:
    if rows.size < BLOCKWISE:
        return np.add.reduce(rows, axis=0)
    step = _rows_of_block(rows)
    parts = np.empty((-(-len(rows) // step), rows.shape[1]), rows.dtype)

    def add(start: int, stop: int) -> None:
        np.add.reduce(rows[start:stop], axis=0, out=parts[start // step])

    _row_blocks(add, rows)
    return np.add.reduce(parts, axis=0)


def _rows_of_block(rows: np.ndarray) -> int:
    return max(1, BLOCK * len(rows) // rows.size)


def _row_blocks(fn: Callable[[int, int], Any], rows: np.ndarray) -> None:
    if rows.size < BLOCKWISE:
        fn(0, len(rows))
    else:
        run_chunks(fn, [*range(0, len(rows), _rows_of_block(rows)), len(rows)])
