"""What every door does to its arguments: contiguous, of a width the loops know, and read-only. Imports only numpy.

Inputs are handed on as read-only views. Topologies keep their arrays read-only anyway and numba compiles a separate
version for each, so one form halves the compilations; and a loop that writes into an input does not compile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FAST_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def read_only(array: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    """A C-contiguous, read-only array (a view where possible) of ``dtype`` (None: its own)."""
    result = np.ascontiguousarray(array, dtype=dtype)
    if result.flags.writeable:
        result = result.view()
        result.setflags(write=False)
    return result


def pointers(indptr: ArrayLike) -> NDArray[np.int64]:
    """Row pointers as the loops take them: int64."""
    return read_only(indptr, np.int64)


def positions(indices: ArrayLike) -> NDArray[Any]:
    """Indices as the loops take them: int32 stays, everything else becomes int64."""
    array = np.asarray(indices)
    return read_only(array, np.int32 if array.dtype == np.int32 else np.int64)


def as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """[n, ...] seen as [n, width]; a vector gets width 1. Works for zero rows and zero widths."""
    return values.reshape(values.shape[0], math.prod(values.shape[1:]))


def index_dtype(count: int) -> Any:
    """int32 where ``count`` different positions fit, else int64."""
    return np.int32 if count < 2**31 else np.int64


CACHE_LINE = 64
LARGE = 1 << 16  # bytes from which the place of an array in memory matters
# Results of more bytes than this will have left the caches when they are read: they are written past them.
PAST_BYTES = 1 << 25


def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Like ``np.empty``, but a large array begins with a cache line: numpy's begin 16 bytes behind one.

    Rows of whole lines then take as few of them as possible, and vectors do not straddle two.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    memory = np.empty(size + CACHE_LINE, np.uint8)
    skip = -memory.__array_interface__["data"][0] % CACHE_LINE
    return memory[skip : skip + size].view(dtype).reshape(shape)
