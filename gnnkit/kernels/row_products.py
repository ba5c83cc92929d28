"""Door of the dense product of rows: what a row gives depends on that row and the right factor alone. Floor 0 only.

A library product rounds a row by how many rows there are and by its place among them, so that a graph alone and in a
batch differ in the last bits. Here every result is one chain of additions in the order of the inner axis.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import CACHE_LINE, PAST_BYTES, empty, read_only
from gnnkit.kernels.parallel import get_num_threads, run_chunks
from gnnkit.kernels.twins import products as twins

# Multiplications that one thread does in less time than waking another takes.
WHOLE = 1 << 22
# Chunks of a large product for every thread, and rows of the shortest.
CHUNKS, SHORTEST = 8, 48
# Numbers of the right factor that are packed at once: some megabytes, small beside the factors.
PACKED = 1 << 21
# Columns up to which a result is a dot product of two rows: lanes along the inner axis, not along the columns.
FEW = 2


def row_product(x: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``x @ b`` for matrices [rows, inner] and [inner, columns] of one dtype, float32 or float64.

    Row i of the result has the same bits whatever the other rows are, how many there are, and how many threads run.
    Nothing may be empty.
    """
    if backend.current_backend() == "numpy":
        return _in_rows(x, b)
    loops = backend.loops("products")
    x, out = read_only(x), empty((len(x), b.shape[1]), x.dtype)
    (rows, inner), columns = x.shape, b.shape[1]
    args: tuple[Any, ...]
    if columns <= FEW:
        args = (x, read_only(b.T), out)
        return _shared(loops.dots, rows, inner * columns, args, out)
    transposed = b.flags.f_contiguous and not b.flags.c_contiguous
    b = read_only(b.T if transposed else b)
    lanes = loops.VECTOR_BYTES // x.itemsize
    if rows * inner * columns < WHOLE:
        loops.multiply_columns(0, columns, x, b, transposed, out)
    elif rows < 2 * SHORTEST:
        width = loops.TILE * lanes
        step = max(1, columns // (CHUNKS * width)) * width
        args = (x, b, transposed, out)
        run_chunks(lambda i, j: loops.multiply_columns(i, j, *args), [*range(0, columns, step), columns])
    else:
        width = loops.TILE * lanes
        wide = max(1, PACKED // (inner * width)) * width
        panels = np.empty(inner * min(wide, -(-columns // lanes) * lanes), x.dtype)
        flat_x, flat_b, flat_out = x.reshape(-1), b.reshape(-1), out.reshape(-1)
        step = max(SHORTEST, -(-rows // (CHUNKS * get_num_threads())))
        bounds = [*range(0, rows, step), rows]
        is_aligned = columns % lanes == 0 and out.ctypes.data % CACHE_LINE == 0
        past = int(is_aligned and inner <= loops.STRETCH and out.nbytes >= PAST_BYTES)
        for left in range(0, columns, wide):
            right = min(left + wide, columns)
            loops.pack(left, right, flat_b, transposed, inner, columns, panels)
            args = (left, right, flat_x, inner, columns, flat_b, panels, left, past, flat_out)
            run_chunks(functools.partial(_multiply, loops.multiply, args), bounds)
    return out


def _multiply(loop: Any, args: tuple[Any, ...], start: int, stop: int) -> None:
    loop(start, stop, *args)


def row_products(x: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``x[i] @ b[i]`` for stacks of matrices [count, rows, inner] and [count, inner, columns], in the same way."""
    if backend.current_backend() == "numpy":
        return np.stack([_in_rows(one, other) for one, other in zip(x, b)])
    loops = backend.loops("products")
    transposed = b.strides[-1] != b.itemsize and b.strides[-2] == b.itemsize
    b = read_only(b.transpose(0, 2, 1) if transposed else b)
    out = empty((len(x), x.shape[1], b.shape[1 if transposed else 2]), x.dtype)
    return _shared(loops.multiply_stack, len(x), x[0].size * out.shape[2], (read_only(x), b, transposed, out), out)


def _shared(loop: Any, count: int, work: int, args: tuple[Any, ...], out: NDArray[Any]) -> NDArray[Any]:
    """Run ``loop(start, stop, *args)`` over ``count`` things of ``work`` multiplications, on threads if it pays."""
    chunks = min(count, CHUNKS * get_num_threads()) if count * work >= WHOLE and get_num_threads() > 1 else 1
    step = -(-count // chunks)
    run_chunks(functools.partial(_multiply, loop, args), [*range(0, count, step), count])
    return out


def _in_rows(x: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    from gnnkit.kernels.products import single_threaded_blas

    step = max(1, WHOLE // (twins.ROWS * b.size)) * twins.ROWS
    if x.size * b.shape[1] < 1 << 13:  # OpenBLAS would not use threads of its own
        return twins.row_product(x, b)
    with single_threaded_blas():
        if len(x) <= step:
            return twins.row_product(x, b)
        out = empty((len(x), b.shape[1]), x.dtype)

        def run(i: int, j: int) -> None:
            out[i:j] = twins.row_product(x[i:j], b)

        run_chunks(run, [*range(0, len(x), step), len(x)])
        return out
