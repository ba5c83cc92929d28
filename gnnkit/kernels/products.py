"""Dense matrix products with the same bits for every number of threads, ours and BLAS's. Imports only floor 0.

BLAS is the right tool for dense products, but how it cuts a product among its threads can change the last bits, and its
threads wait for each other by spinning, which ruins a busy machine. So large products are cut here, into pieces that
depend on the shapes alone; each piece is one single-threaded BLAS call, and our own pool shares them out.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import prerounded_products
from gnnkit.kernels.arrays import FAST_FLOATS, empty
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import run_chunks

# Multiplications from which BLAS may use several threads (OpenBLAS: 2**18): smaller products are left to it whole.
LARGE = 1 << 17
# Multiplications of a piece: some 0.7 ms, long beside waking a thread. A large product has at least 8 pieces if that
# leaves each 256 rows: BLAS packs the other factor anew for every piece, which shorter pieces would not pay back.
PIECE = 1 << 25
PIECES = 8
SHORTEST = 256
# Multiplications that one thread does in less time than waking another takes.
WHOLE = 1 << 22
# Largest result of which several partial ones are held at once: together they stay below the size of the factors.
PARTIAL = 1 << 18

_lock = threading.Lock()
_depth = 0
_before: list[int] = []


@functools.cache
def _blas() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _forget_blocks() -> None:
    """A forked child has one thread, perhaps in no block: a lock that another thread held would never open again."""
    global _lock, _depth
    _lock = threading.Lock()
    if _depth:
        _depth = 0
        _restore()


def _restore() -> None:
    for library, count in zip(_blas(), _before):
        library.set_num_threads(count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_blocks)


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let every BLAS call inside run on its caller's thread alone; the last of overlapping blocks restores.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> with K.single_threaded_blas():
    ...     product = np.eye(2) @ np.ones((2, 1))
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _before[:] = [library.get_num_threads() for library in _blas()]
            for library in _blas():
                library.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _restore()
            _depth = max(_depth, 0)  # the block was entered before a fork, which has restored already


def matmul(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``np.matmul``; large products of two matrices have the same bits for every number of threads.

    Parameters
    ----------
    a, b : array
        Any shapes that ``np.matmul`` takes. Cut are matrices [rows, inner] and [inner, columns] of one float dtype.

    Returns
    -------
    array

    Notes
    -----
    A product with many rows is cut by rows, which changes no sum. One whose inner axis is much longer than its rows
    (the gradient of a weight: features transposed times adjoints) is cut along that axis if the result is small, and
    the partial products are added in order: sums are then rounded differently from one BLAS call, and a little
    better. With a large result it is cut by columns or rows.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    if sums_are_exact() and np.result_type(a, b).kind == "f":
        return prerounded_products.matmul(a, b)
    return _matmul(a, b)


def rows_times(rows: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """``rows @ matrix`` with a matrix that all rows share; where sums are exact, every row has its bits anywhere.

    The sum runs over the channels, whose order is that of the matrix and no other; relabelling nodes moves the rows.
    So nothing is rounded beforehand, but BLAS, which may round a row differently by its position, does not do it.

    Parameters
    ----------
    rows : [num_rows, inner]
    matrix : [inner, columns]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.rows_times(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    fits = rows.ndim == matrix.ndim == 2 and rows.shape[1] == len(matrix)
    if fits and sums_are_exact() and np.result_type(rows, matrix).kind == "f":
        return prerounded_products.rows_times(rows, matrix)
    return _matmul(rows, matrix)


def _matmul(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if not (type(a) is type(b) is np.ndarray and a.ndim == b.ndim == 2 and a.dtype == b.dtype):
        return np.matmul(a, b)
    (rows, inner), columns = a.shape, b.shape[1]
    work = rows * inner * columns
    if work < LARGE or inner != len(b) or a.dtype not in FAST_FLOATS:
        return np.matmul(a, b)
    with single_threaded_blas():
        if work < WHOLE:
            return np.matmul(a, b)
        if inner > 4 * rows and rows * columns <= PARTIAL:
            return _cut_inner(a, b, _step(rows * columns, inner))
        if inner > 4 * rows and columns > rows:
            return _cut_columns(a, b, _step(inner * rows, columns))
        return _cut_rows(a, b, _step(inner * columns, rows))


def _step(work: int, length: int) -> int:
    """Length of a piece, of ``work`` multiplications per unit: a multiple of 64, so that BLAS's own tiles are full."""
    wanted = min(PIECE // work, length // PIECES) // 64 * 64
    return min(max(wanted, SHORTEST), length)


def _cut_rows(a: NDArray[Any], b: NDArray[Any], step: int) -> NDArray[Any]:
    out = empty((len(a), b.shape[1]), a.dtype)
    run_chunks(lambda i, j: np.matmul(a[i:j], b, out=out[i:j]), [*range(0, len(a), step), len(a)])
    return out


def _cut_columns(a: NDArray[Any], b: NDArray[Any], step: int) -> NDArray[Any]:
    out = empty((len(a), b.shape[1]), a.dtype)
    bounds = [*range(0, b.shape[1], step), b.shape[1]]
    run_chunks(lambda i, j: np.matmul(a, b[:, i:j], out=out[:, i:j]), bounds)
    return out


def _cut_inner(a: NDArray[Any], b: NDArray[Any], step: int) -> NDArray[Any]:
    parts = np.empty((-(-len(b) // step), len(a), b.shape[1]), a.dtype)
    bounds = [*range(0, len(b), step), len(b)]
    run_chunks(lambda i, j: np.matmul(a[:, i:j], b[i:j], out=parts[i // step]), bounds)
    return parts[0] if len(parts) == 1 else np.add.reduce(parts, axis=0)
