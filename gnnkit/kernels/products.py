"""Dense matrix products with the same bits for every number of threads, ours and BLAS's. Imports only floor 0.

There are two kinds. A product of rows gives each row of its result alone (see row_products). A sum over rows, such as
the gradient of a weight, has loops of our own where many rows give a small result, and is left to BLAS elsewhere. But
how BLAS cuts a product among its threads can change the last bits, and its threads wait for each other by spinning,
which ruins a busy machine. So large ones are cut here, into pieces that depend on the shapes alone; each piece is one
single-threaded call, and our own pool shares them out.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend, prerounded_products
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import run_chunks
from gnnkit.kernels.row_products import row_product, row_products

# Multiplications from which BLAS may use several threads (OpenBLAS: 9216 if the result is a vector): smaller products
# are left to it whole.
SMALL = 1 << 13
# Multiplications of a piece: some 0.7 ms, long beside waking a thread. A large product has at least 8 pieces if that
# leaves each 256 rows: BLAS packs the other factor anew for every piece, which shorter pieces would not pay back.
PIECE = 1 << 25
PIECES = 8
SHORTEST = 256
# Multiplications that one thread does in less time than waking another takes.
WHOLE = 1 << 22
# Largest result of which several partial ones are held at once: together they stay below the size of the factors.
PARTIAL = 1 << 18
# Pieces of a sum by our own loops: their rows, and numbers of all their results. A row of a result counts as at least
# so many columns, which is the widest vector: what is cut must not depend on the machine.
SHORTEST_PIECE, MOST_HELD, LEAST_COLUMNS = 256, 1 << 16, 16

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
    """``np.matmul`` whose rows are alone: each row of the result has the same bits whatever other rows there are.

    Parameters
    ----------
    a, b : array
        Any shapes that ``np.matmul`` takes.

    Returns
    -------
    array

    Notes
    -----
    So a graph gives the same bits alone and in a batch, at any place of it, and for any number of threads. That holds
    for arrays of one dtype, float32 or float64, whose leading axes agree (or one of which has none); others are left to
    ``np.matmul``. A sum over all rows, such as the gradient of a weight, is :func:`contract_rows`.

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
    """The usual :func:`matmul` also where sums are exact: for sums over channels, which have an order of their own.

    Relabelling the nodes moves the rows of the result and nothing else, as each row is alone. Where our own loops do
    not run, nobody vouches for BLAS: then these sums are exact too, if sums are.

    Parameters
    ----------
    rows, matrix : array
        As :func:`matmul` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.rows_times(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    ours = rows.dtype == matrix.dtype and rows.dtype in FAST_FLOATS and backend.current_backend() != "numpy"
    stacked = rows.ndim == matrix.ndim and rows.shape[:-2] == matrix.shape[:-2]
    return _matmul(rows, matrix) if ours and (matrix.ndim == 2 or stacked) else matmul(rows, matrix)


def _matmul(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if not (type(a) is type(b) is np.ndarray and a.dtype == b.dtype and a.dtype in FAST_FLOATS):
        return np.matmul(a, b)
    if not (a.size and b.size) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        return np.matmul(a, b)
    if a.ndim == b.ndim == 2:
        return row_product(a, b)
    if a.ndim == 1:
        return np.matmul(a, b) if b.ndim != 2 else row_product(a[None], b)[0]
    if b.ndim <= 2:
        columns = b if b.ndim == 2 else b[:, None]
        return row_product(a.reshape(-1, a.shape[-1]), columns).reshape(*a.shape[:-1], *b.shape[1:])
    if a.shape[:-2] == b.shape[:-2]:
        count = math.prod(a.shape[:-2])
        out = row_products(a.reshape(count, *a.shape[-2:]), b.reshape(count, *b.shape[-2:]))
        return out.reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


def contract_rows(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``a.T @ b``, a sum over all rows, with the same bits for every number of threads.

    Parameters
    ----------
    a : array [rows, first]
    b : array [rows, second]
        Of one dtype; float32 and float64 are cut.

    Returns
    -------
    array [first, second]

    Notes
    -----
    The gradient of a weight: features transposed times adjoints. Many rows are cut into ranges that depend on the
    shapes alone if the result is small, and the partial products are added in order: sums are then rounded differently
    from one BLAS call, and better. Loops of our own do that for factors in C order and results of more than one row and
    column, and 16 of one of them; BLAS does for others, and on the numpy backend. With a large result it is cut by
    columns or rows.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.contract_rows(np.array([[1.0], [2.0]]), np.array([[3.0, 1.0], [4.0, 1.0]]))
    array([[11.,  3.]])
    """
    if sums_are_exact() and np.result_type(a, b).kind == "f":
        return prerounded_products.matmul(a.T, b)
    (inner, rows), columns = a.shape, b.shape[1]
    work = rows * inner * columns
    if work < SMALL or inner != len(b) or a.dtype != b.dtype or a.dtype not in FAST_FLOATS:
        return np.matmul(a.T, b)
    is_small = inner > 4 * rows and rows * columns <= PARTIAL
    # the smallest results would leave most lanes of a vector idle, and BLAS reads a transposed factor as it lies
    is_ours = min(rows, columns) > 1 and max(rows, columns) >= LEAST_COLUMNS
    is_ours = is_ours and a.flags.c_contiguous and b.flags.c_contiguous
    if is_small and is_ours and work >= WHOLE and backend.current_backend() != "numpy":
        return _sum_of_pieces(a, b)
    with single_threaded_blas():
        if work < WHOLE:
            return np.matmul(a.T, b)
        if is_small:
            return _cut_inner(a.T, b, _step(rows * columns, inner))
        if inner > 4 * rows and columns > rows:
            return _cut_columns(a.T, b, _step(inner * rows, columns))
        return _cut_rows(a.T, b, _step(inner * columns, rows))


def _sum_of_pieces(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``a.T @ b``: ranges of rows, each summed by one thread, and what they gave added in order, in float64."""
    loops = backend.loops("contractions")
    (inner, rows), columns = a.shape, b.shape[1]
    lanes = loops.VECTOR_BYTES // a.itemsize
    wide = -(-columns // lanes) * lanes
    result = rows * -(-columns // LEAST_COLUMNS) * LEAST_COLUMNS
    held = min((a.size + b.size) // (2 * result), max(MOST_HELD // result, 16))
    pieces = max(1, min(inner * result // WHOLE, inner // SHORTEST_PIECE, held))
    step = -(-inner // pieces)
    bounds = [*range(0, inner, step), inner]
    parts = empty((len(bounds) - 1, rows * wide), a.dtype)
    flat_a, flat_b = read_only(a).reshape(-1), read_only(b).reshape(-1)
    run_chunks(lambda i, j: loops.contract(i, j, flat_a, rows, flat_b, columns, parts[i // step]), bounds)
    total = parts[0] if len(parts) == 1 else np.add.reduce(parts, axis=0, dtype=np.float64)
    return total.reshape(rows, wide)[:, :columns].astype(a.dtype, order="C")


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
