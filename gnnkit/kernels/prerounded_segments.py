"""The segment reducers of the exact mode: no result depends on the order of the entries of a segment.

Sums are pre-rounded, products multiply in sorted order, and of zeros of both signs the positive one is the largest and
the smallest. Same signatures and same conventions for empty segments as in kernels/segments.py. Imports floor 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import FAST_FLOATS, as_rows, pointers, read_only
from gnnkit.kernels.csr import expand_indptr
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.prerounded import row_sums
from gnnkit.kernels.twins import segments as twins

Array = NDArray[Any]


def segment_sum(values: Array, indptr: Array) -> Array:
    return row_sums(indptr, None, values, None)


def segment_mean(values: Array, indptr: Array) -> Array:
    counts = np.maximum(np.diff(indptr), 1).astype(values.dtype)
    return segment_sum(values, indptr) / counts.reshape(-1, *(1,) * (values.ndim - 1))


def segment_max(values: Array, indptr: Array) -> Array:
    return _extreme("segment_max", values, indptr)


def segment_min(values: Array, indptr: Array) -> Array:
    return _extreme("segment_min", values, indptr)


def _extreme(name: str, values: Array, indptr: Array) -> Array:
    if values.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return getattr(twins, name)(values, indptr) + values.dtype.type(0)
    out = np.empty((len(indptr) - 1, *values.shape[1:]), values.dtype)
    if out.size:
        indptr, rows = pointers(indptr), as_rows(read_only(values))
        loop = getattr(backend.loops("segments"), name)
        parallel_rows(loop, len(out), (indptr, rows, as_rows(out)), indptr=indptr, width=rows.shape[1])
    return out + values.dtype.type(0)  # of both zeros, the one that came first would have won


def segment_prod(values: Array, indptr: Array) -> Array:
    rows, segment = as_rows(values), expand_indptr(indptr)
    ordered = np.empty_like(rows)
    for f in range(rows.shape[1]):
        ordered[:, f] = rows[np.lexsort((rows[:, f], segment)), f]
    return twins.segment_prod(ordered.reshape(values.shape), indptr)


def segment_std(values: Array, indptr: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        deviations = values - np.take(segment_mean(values, indptr), expand_indptr(indptr), axis=0)
        return np.sqrt(segment_mean(deviations * deviations, indptr))


def segment_logsumexp(values: Array, indptr: Array) -> Array:
    top = _finite_top(values, indptr)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponentials = np.exp(values - np.take(top, expand_indptr(indptr), axis=0))
        return top + np.log(segment_sum(exponentials, indptr))


def segment_softmax(values: Array, indptr: Array) -> Array:
    segment = expand_indptr(indptr)
    with np.errstate(invalid="ignore", over="ignore"):
        exponentials = np.exp(values - np.take(_finite_top(values, indptr), segment, axis=0))
        totals = segment_sum(exponentials, indptr)
        totals[totals == 0] = 1  # nothing but -inf: no mass, zeros
        return exponentials / np.take(totals, segment, axis=0)


def _finite_top(values: Array, indptr: Array) -> Array:
    """Largest value of each segment, with 0 in place of infinities: subtracting it never makes inf - inf."""
    top = segment_max(values, indptr)
    top[np.isinf(top)] = 0
    return top
