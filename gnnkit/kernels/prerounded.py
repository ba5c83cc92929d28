"""Doors of the sums whose order does not matter: along axes, over segments, over edges. Imports only floor 0.

The doors of the usual sums come here while :func:`gnnkit.kernels.exactness.exact_sums` is on. Terms and sums are
float64 inside; the result has the dtype of the values. One fold of rounding for float32 and narrower, two for float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import NDArray

from gnnkit.kernels import backend, rounding
from gnnkit.kernels.arrays import FAST_FLOATS, as_rows, pointers, positions, read_only
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.twins import prerounded as twins

BLOCK = 1 << 16  # numbers of a block of rows: with its float64 copies it fits a second-level cache


def folds_of(dtype: Any) -> int:
    """How often terms of this dtype are rounded: what is left after the first rounding matters to float64 alone."""
    return 2 if np.dtype(dtype) == np.float64 else 1


def row_sums(
    indptr: NDArray[Any], indices: NDArray[Any] | None, x: NDArray[Any], weights: NDArray[Any] | None
) -> NDArray[Any]:
    """``sum_k weights[k] * x[indices[k]]`` for every row of a CSR structure, in the dtype of ``x``.

    Parameters
    ----------
    indptr : int64 [num_rows + 1]
    indices : int [num_entries] or None
        None: entry ``k`` reads row ``k`` of ``x``.
    x : floating [num_senders, ...]
    weights : None, floating [num_entries] or [num_entries, heads] with x [num_senders, heads, channels]
    """
    out_shape = (len(indptr) - 1, *x.shape[1:])
    rows = as_rows(x)
    if rows.shape[1] == 0 or out_shape[0] == 0:
        return np.zeros(out_shape, x.dtype)
    weight_rows = None if weights is None else as_rows(weights)
    folds = folds_of(x.dtype)
    if x.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        total = twins.neighbour_sum(np.asarray(indptr, np.int64), indices, weight_rows, folds, rows)
        with np.errstate(over="ignore"):
            return total.astype(x.dtype).reshape(out_shape)
    out = np.empty(out_shape, x.dtype)
    direct = indices is None
    where = positions(np.empty(0, np.int32) if indices is None else indices)
    weighted = read_only(np.ones((1, 1), x.dtype) if weight_rows is None else weight_rows, x.dtype)
    indptr = pointers(indptr)
    args = (indptr, where, int(direct), weighted, int(weights is not None), folds, read_only(rows), as_rows(out))
    parallel_rows(backend.loops("prerounded").neighbour_sum, len(out), args, indptr=indptr, width=3 * rows.shape[1])
    return out


def column_sums(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Sum of each column of floating ``rows`` [num_rows, columns], float64."""
    count, width = rows.shape
    if count == 0 or width == 0:
        return np.zeros(width)
    loops: Any = twins
    if rows.dtype in FAST_FLOATS and backend.current_backend() != "numpy":
        loops = backend.loops("prerounded")
    rows, step = read_only(rows), max(1, BLOCK // width)
    blocks = -(-count // step)
    tops = np.empty((blocks, width))
    parallel_rows(loops.column_tops, blocks, (step, rows, tops), width=2 * BLOCK)
    top = tops.max(axis=0)
    usual = rounding.is_usual(top)
    centre = np.where(usual, rounding.power_below(top), 0.0) * rounding.factor(count)
    totals = np.empty((folds_of(rows.dtype), blocks, width))
    shrink = float(rounding.second(count))
    parallel_rows(loops.column_totals, blocks, (step, rows, centre[None], shrink, totals), width=2 * BLOCK)
    with np.errstate(all="ignore"):
        total = totals.sum(axis=1).sum(axis=0)  # within a fold no addition rounds; the folds meet in one that does
    for f in np.flatnonzero(~usual):
        total[f] = rounding.sorted_sum(rows[:, f].astype(np.float64))
    return total


def axis_sum(
    values: NDArray[Any], axis: Any = None, keepdims: bool = False, *, divisor: float | None = None
) -> NDArray[Any]:
    """``np.sum`` of floating values over one or more axes (None: all), whatever the order along them.

    With a ``divisor`` the sum is divided by it before it is rounded: the mean of equal numbers is that number, and a
    sum too large for the dtype does not make its mean infinite.
    """
    values = np.asarray(values)
    axes = tuple(range(values.ndim)) if axis is None else normalize_axis_tuple(axis, values.ndim)
    left = [i for i in range(values.ndim) if i not in axes]
    shape = tuple(values.shape[i] for i in left)
    count = int(np.prod([values.shape[i] for i in axes]))
    moved = np.transpose(values, (*axes, *left)).reshape(count, int(np.prod(shape)))
    with np.errstate(all="ignore"):
        total = column_sums(moved)
        total = (total if divisor is None else total / divisor).astype(values.dtype)
    if keepdims:
        shape = tuple(1 if i in axes else n for i, n in enumerate(values.shape))
    return total.reshape(shape)[()]
