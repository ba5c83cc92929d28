"""The segment reducers in plain numpy: the specification of kernels/segments.py. Imports only numpy and twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.twins.csr import expand_indptr
from gnnkit.kernels.twins.neighbours import gather, scatter_add


def _counts(values: NDArray[Any], indptr: ArrayLike) -> NDArray[Any]:
    """Segment lengths, shaped to broadcast against the reduced values."""
    return np.diff(np.asarray(indptr)).reshape((-1,) + (1,) * (values.ndim - 1))


def _fold(ufunc: np.ufunc, values: NDArray[Any], indptr: ArrayLike, identity: Any) -> NDArray[Any]:
    """Apply ``out[segment] = ufunc(out[segment], value)`` entry by entry, starting from ``identity``."""
    out = np.full((len(np.asarray(indptr)) - 1, *values.shape[1:]), identity, values.dtype)
    if values.size:
        with np.errstate(invalid="ignore"):  # NaN is a value like others; ufunc.at would warn of it
            ufunc.at(out, expand_indptr(indptr), values)
    return out


def segment_sum(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    return scatter_add(values, expand_indptr(indptr), len(np.asarray(indptr)) - 1)


def segment_mean(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values = _floating(values)
    counts = np.maximum(_counts(values, indptr), 1).astype(values.dtype)
    return segment_sum(values, indptr) / counts


def segment_max(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values = np.asarray(values)
    largest = _fold(np.maximum, values, indptr, _lowest(values.dtype))
    return np.where(_counts(values, indptr) > 0, largest, _zero(values))


def segment_min(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values = np.asarray(values)
    smallest = _fold(np.minimum, values, indptr, _highest(values.dtype))
    return np.where(_counts(values, indptr) > 0, smallest, _zero(values))


def segment_prod(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    return _fold(np.multiply, np.asarray(values), indptr, 1)


def segment_logsumexp(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values = _floating(values)
    top = _finite_top(values, indptr)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return top + np.log(segment_sum(np.exp(values - gather(top, expand_indptr(indptr))), indptr))


def segment_std(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values = _floating(values)
    with np.errstate(invalid="ignore", over="ignore"):
        deviations = values - gather(segment_mean(values, indptr), expand_indptr(indptr))
        return np.sqrt(segment_mean(deviations * deviations, indptr))


def segment_softmax(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    values, rows = _floating(values), expand_indptr(indptr)
    with np.errstate(invalid="ignore", over="ignore"):
        exponentials = np.exp(values - gather(_finite_top(values, indptr), rows))
        totals = segment_sum(exponentials, indptr)
        totals = np.where(totals == 0, 1, totals).astype(values.dtype)  # nothing but -inf: no mass, zeros
        return exponentials / gather(totals, rows)


def segment_repeat(rows: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    return gather(rows, expand_indptr(indptr))


def _finite_top(values: NDArray[Any], indptr: ArrayLike) -> NDArray[Any]:
    """Largest value of each segment, with 0 in place of infinities: subtracting it never makes inf - inf."""
    top = segment_max(values, indptr)
    return np.where(np.isinf(top), 0, top).astype(values.dtype)


def _floating(values: ArrayLike) -> NDArray[Any]:
    values = np.asarray(values)
    return values if values.dtype.kind in "fc" else values.astype(np.float64)


def _zero(values: NDArray[Any]) -> NDArray[Any]:
    return np.zeros((), values.dtype)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else (False if dtype.kind == "b" else np.iinfo(dtype).min)


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else (True if dtype.kind == "b" else np.iinfo(dtype).max)
