"""The segment reducers of the exact mode: no result depends on the order of the entries of a segment.

Sums are pre-rounded and products multiply in sorted order, with the conventions of kernels/segments.py for empty
segments; the largest and the smallest value are found there. Imports floor 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels.arrays import as_rows
from gnnkit.kernels.csr import expand_indptr
from gnnkit.kernels.prerounded import row_sums
from gnnkit.kernels.twins import segments as twins

Array = NDArray[Any]


def segment_sum(values: Array, indptr: Array) -> Array:
    return row_sums(indptr, None, values, None)


def segment_mean(values: Array, indptr: Array) -> Array:
    counts = np.maximum(np.diff(indptr), 1).astype(values.dtype)
    return segment_sum(values, indptr) / counts.reshape(-1, *(1,) * (values.ndim - 1))


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


def segment_logsumexp(values: Array, indptr: Array, top: Array) -> Array:
    """``top``: the largest value of every segment."""
    top = _finite(top)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponentials = np.exp(values - np.take(top, expand_indptr(indptr), axis=0))
        return top + np.log(segment_sum(exponentials, indptr))


def segment_softmax(values: Array, indptr: Array, top: Array) -> Array:
    """``top``: the largest value of every segment."""
    segment = expand_indptr(indptr)
    with np.errstate(invalid="ignore", over="ignore"):
        exponentials = np.exp(values - np.take(_finite(top), segment, axis=0))
        totals = segment_sum(exponentials, indptr)
        totals[totals == 0] = 1  # nothing but -inf: no mass, zeros
        return exponentials / np.take(totals, segment, axis=0)


def _finite(top: Array) -> Array:
    """``top`` with 0 in place of infinities: subtracting it never makes inf - inf."""
    return np.where(np.isinf(top), top.dtype.type(0), top)
