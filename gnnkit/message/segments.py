"""Differentiable reductions over segments: consecutive rows cut by an ``indptr``, one result row per segment.

The edges of a graph in canonical order are segments (one per receiver), and so are the nodes of a batch (one per
graph); every aggregation of gnnkit ends here. Each rule of the derivative table below is written with the operations
of this file, so that it can be differentiated again. Imports kernels and autodiff; knows neither Topology nor Graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, defvjp, is_tensor, primitive, take_rows
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, unknown_name

Reducer = str | Callable[[Any, np.ndarray], Any]


LONG = 1 << 14  # up to as many entries are summed one after the other,
BLOCK = 512  # more in blocks of so many

# --- the linear pair -----------------------------------------------------------------------------------------------


@primitive
def segment_sum(values: Any, *, indptr: np.ndarray) -> Any:
    """Sum of each segment; 0 where it is empty."""
    return _summed(values, indptr)


@primitive
def segment_repeat(rows: Any, *, indptr: np.ndarray) -> Any:
    """Row ``i`` once for every entry of segment ``i``: the adjoint of :func:`segment_sum`."""
    return K.segment_repeat(rows, indptr)


def _summed(values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Sum of each segment; a long one (the nodes of a large graph) in blocks, and these again.

    A float32 sum of a million entries one after the other is wrong in the second digit, and one thread owns a segment.
    The blocks depend on the segment alone: not on threads, nor on what else is in the batch.
    """
    if not _has_long(values, indptr):
        return K.segment_sum(values, indptr)
    lengths = np.diff(indptr)
    counts = np.where(lengths > LONG, -(-lengths // BLOCK), 1)
    pointer = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(pointer[-1]) - np.repeat(pointer[:-1], counts)
    starts = np.repeat(indptr[:-1], counts) + within * BLOCK
    return _summed(K.segment_sum(values, np.append(starts, indptr[-1])), pointer)


def _has_long(values: np.ndarray, indptr: np.ndarray) -> bool:
    if K.sums_are_exact():  # a block is rounded, and which entries share one depends on their order
        return False
    return len(values) > LONG and values.dtype.kind == "f" and bool(np.diff(indptr).max() > LONG)


defvjp(segment_sum, lambda g, y, values, *, indptr: segment_repeat(g, indptr=indptr), keep="")
defvjp(segment_repeat, lambda g, y, rows, *, indptr: segment_sum(g, indptr=indptr), keep="")


# --- mean, max, min ------------------------------------------------------------------------------------------------


@primitive
def segment_mean(values: Any, *, indptr: np.ndarray) -> Any:
    """Mean of each segment; 0 where it is empty."""
    if not _has_long(values, indptr):
        return K.segment_mean(values, indptr)
    return _summed(values, indptr) / _per_row(np.maximum(np.diff(indptr), 1), values)


@primitive
def segment_max(values: Any, *, indptr: np.ndarray) -> Any:
    """Largest value of each segment; 0 where it is empty."""
    return K.segment_max(values, indptr)


@primitive
def segment_min(values: Any, *, indptr: np.ndarray) -> Any:
    """Smallest value of each segment; 0 where it is empty."""
    return K.segment_min(values, indptr)


def _per_row(numbers: np.ndarray, like: Any) -> np.ndarray:
    """``numbers`` [n] in the dtype of ``like``, shaped to broadcast over its trailing axes."""
    return numbers.astype(like.dtype, copy=False).reshape((-1,) + (1,) * (like.ndim - 1))


def _inverse_counts(indptr: np.ndarray, like: Any) -> np.ndarray:
    """1 / size of each segment (1 where it is empty, whose gradient is sent to nobody)."""
    return _per_row(1.0 / np.maximum(np.diff(indptr), 1), like)


def _tie_shares(values: Any, extreme: Any, indptr: np.ndarray) -> np.ndarray:
    """The part of each segment's gradient that each entry receives: 1 / number of tied winners, 0 for the others.

    It is constant wherever the maximum is differentiable, hence a plain array: the rule stays linear in the gradient.
    """
    values, winner = as_array(values), K.segment_repeat(as_array(extreme), indptr)
    wins = ((values == winner) | ((values != values) & (winner != winner))).astype(values.dtype)
    ties = np.maximum(K.segment_sum(wins, indptr), 1)
    return wins / K.segment_repeat(ties, indptr)


def _extreme_rule(g: Any, y: Any, values: Any, *, indptr: np.ndarray) -> Any:
    return segment_repeat(g, indptr=indptr) * _tie_shares(values, y, indptr)


def _mean_rule(g: Any, y: Any, values: Any, *, indptr: np.ndarray) -> Any:
    return segment_repeat(g * _inverse_counts(indptr, g), indptr=indptr)


defvjp(segment_mean, _mean_rule, keep="")
defvjp(segment_max, _extreme_rule, keep="0y")
defvjp(segment_min, _extreme_rule, keep="0y")


# --- standard deviation --------------------------------------------------------------------------------------------


@primitive
def segment_std(values: Any, *, indptr: np.ndarray) -> Any:
    """Population standard deviation of each segment; 0 where it is empty or constant."""
    if not _has_long(values, indptr):
        return K.segment_std(values, indptr)
    counts = _per_row(np.maximum(np.diff(indptr), 1), values)
    centred = values - K.segment_repeat(_summed(values, indptr) / counts, indptr)
    return np.sqrt(_summed(centred * centred, indptr) / counts)


def _std_rule(g: Any, y: Any, values: Any, *, indptr: np.ndarray) -> Any:
    # d std / d v_k = (v_k - mean) / (n std). A constant segment is a kink: it takes the subgradient 0, not 0/0, also
    # where rounding of the mean has left a spread of a few units in the last place.
    mean = segment_mean(values, indptr=indptr)
    spread = as_array(y) > 4 * np.finfo(y.dtype).eps * np.abs(as_array(mean))
    scale = g * (_inverse_counts(indptr, g) * spread) / np.where(spread, y, 1.0)
    return segment_repeat(scale, indptr=indptr) * (values - segment_repeat(mean, indptr=indptr))


defvjp(segment_std, _std_rule, keep="0y")


# --- softmax and logsumexp -----------------------------------------------------------------------------------------


@primitive
def segment_softmax(values: Any, *, indptr: np.ndarray) -> Any:
    """Softmax within each segment: positive, sums to 1."""
    return K.segment_softmax(values, indptr)


@primitive
def segment_logsumexp(values: Any, *, indptr: np.ndarray) -> Any:
    """``log(sum(exp(values)))`` of each segment without overflow; -inf where it is empty."""
    return K.segment_logsumexp(values, indptr)


def _softmax_rule(g: Any, y: Any, values: Any, *, indptr: np.ndarray) -> Any:
    weighted = g * y
    return weighted - y * segment_repeat(segment_sum(weighted, indptr=indptr), indptr=indptr)


defvjp(segment_softmax, _softmax_rule, keep="y")
defvjp(
    segment_logsumexp,
    lambda g, y, values, *, indptr: segment_repeat(g, indptr=indptr) * segment_softmax(values, indptr=indptr),
    keep="0",
)


# --- product -------------------------------------------------------------------------------------------------------


@primitive
def segment_prod(values: Any, *, indptr: np.ndarray) -> Any:
    """Product of each segment; 1 where it is empty."""
    return K.segment_prod(values, indptr)


def _other_pairs(segments: np.ndarray, indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each entry k of the given segments, the other entries of its segment: (entries, others, pointer)."""
    entries, others, counts = [], [], []
    for segment in segments:
        span = np.arange(indptr[segment], indptr[segment + 1])
        square = np.broadcast_to(span, (len(span), len(span)))
        entries.append(span)
        others.append(square[~np.eye(len(span), dtype=bool)])
        counts.append(np.full(len(span), len(span) - 1))
    pointer = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(indptr.dtype)
    return np.concatenate(entries), np.concatenate(others), pointer


def _product_of_others(values: Any, product: Any, indptr: np.ndarray) -> Any:
    """Product of all entries of a segment except k, for every k; right also where some entries are 0."""
    zero = as_array(values) == 0
    if not zero.any():
        return segment_repeat(product, indptr=indptr) / values
    # Dividing by zero is no way to leave a zero out.
    if not is_tensor(values):
        factors = np.where(zero, np.ones((), values.dtype), values)
        others = K.segment_repeat(K.segment_prod(factors, indptr), indptr) / factors
        zeros = zero.astype(np.int64)
        return np.where(K.segment_repeat(K.segment_sum(zeros, indptr), indptr) > zeros, 0, others)
    # To be differentiated again, segments that contain a zero multiply their other entries out, pair by pair:
    # quadratic in the size of those segments only, and differentiable any number of times.
    by_segment = K.segment_max(zero.reshape(len(zero), -1).astype(np.int64), indptr)
    entries, others, pointer = _other_pairs(np.flatnonzero(by_segment.any(axis=1)), indptr)
    exact = segment_prod(take_rows(values, others), indptr=pointer)
    divided = segment_repeat(product, indptr=indptr) / np.where(zero, 1.0, values)
    row = np.arange(len(zero))
    row[entries] = len(zero) + np.arange(len(entries))
    return take_rows(np.concatenate([divided, exact]), row)


defvjp(
    segment_prod,
    lambda g, y, values, *, indptr: segment_repeat(g, indptr=indptr) * _product_of_others(values, y, indptr),
    keep="0y",
)


# --- the registry and its door -------------------------------------------------------------------------------------


def softmax_weighted_sum(values: Any, *, indptr: np.ndarray) -> Any:
    """Sum of the entries weighted by their own softmax, a smooth maximum (Li et al. 2020); 0 where it is empty."""
    return segment_sum(segment_softmax(values, indptr=indptr) * values, indptr=indptr)


REDUCERS: dict[str, Callable[..., Any]] = {
    "sum": segment_sum,
    "mean": segment_mean,
    "max": segment_max,
    "min": segment_min,
    "prod": segment_prod,
    "std": segment_std,
    "logsumexp": segment_logsumexp,
    "softmax": softmax_weighted_sum,
}
EXACT_ON_INTEGERS = ("sum", "max", "min", "prod")


def resolve_reducer(reducer: Reducer) -> Callable[[Any, np.ndarray], Any]:
    """Return ``f(values, indptr)`` for the name of a reducer, or for a callable with these two arguments itself."""
    if callable(reducer):
        return reducer
    if reducer not in REDUCERS:
        raise unknown_name("reducer", reducer, REDUCERS)
    operation = REDUCERS[reducer]
    return lambda values, indptr: operation(_reducible(values, reducer), indptr=indptr)


def _reducible(values: Any, reducer: str) -> Any:
    values = values if is_tensor(values) else np.asarray(values)
    if values.dtype.kind != "f" and not (values.dtype.kind in "iu" and reducer in EXACT_ON_INTEGERS):
        raise DTypeError(
            f"The reducer {reducer!r} takes floating values"
            + (" or integers." if reducer in EXACT_ON_INTEGERS else ".")
            + f" Got dtype {values.dtype}. Convert the values with .astype('float32') first."
        )
    return values


def segment_reduce(values: Any, indptr: np.ndarray, reducer: Reducer = "sum") -> Tensor:
    """Reduce consecutive rows to one row per segment.

    Parameters
    ----------
    values : array or Tensor [num_entries, ...]
        Rows; segment ``i`` owns the half-open range ``indptr[i] .. indptr[i + 1]``.
    indptr : int array [num_segments + 1]
        Pointer to the segments: starts at 0, never decreases, ends at ``num_entries``. The ``node_ptr`` or
        ``edge_ptr`` of a batch of graphs, or the ``indptr`` of a topology.
    reducer : str or callable
        ``"sum"``, ``"mean"``, ``"max"``, ``"min"``, ``"prod"``, ``"std"`` (population), ``"logsumexp"``,
        ``"softmax"`` (sum weighted by the softmax of the values), or a callable ``f(values, indptr)``.

    Returns
    -------
    Tensor [num_segments, ...]

    Raises
    ------
    ShapeError
        If ``indptr`` does not describe ``num_entries`` rows.
    UnknownNameError
        If no reducer has that name.

    Notes
    -----
    An empty segment gives the identity of the reducer: 0 for sum, mean, max, min and softmax, 1 for prod, 0 for std,
    -inf for logsumexp; its gradient is sent to nobody. Ties of max and min share the gradient evenly. A constant
    segment has a standard deviation of 0 and the gradient 0. NaN stays in its own segment.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> gk.message.segment_reduce(np.array([1.0, 3.0, 2.0]), np.array([0, 2, 2, 3]), "max").numpy()
    array([3., 0., 2.])
    """
    pointer = np.asarray(indptr)
    rows = np.shape(values)[0] if np.ndim(values) else -1
    if pointer.ndim != 1 or pointer.dtype.kind not in "iu" or len(pointer) == 0:
        raise InvalidArgumentError(
            f"indptr must be a 1-D integer array of num_segments + 1 entries. Got shape {pointer.shape} and dtype "
            f"{pointer.dtype}. Pass for instance graph.node_ptr, graph.edge_ptr or topology.indptr."
        )
    if pointer[0] != 0 or pointer[-1] != rows or (np.diff(pointer) < 0).any():
        raise ShapeError(
            f"indptr must start at 0, never decrease and end at the number of rows. Got indptr from {pointer[0]} to "
            f"{pointer[-1]} for values of shape {np.shape(values)}. Use the pointer that belongs to these rows."
        )
    return as_tensor(resolve_reducer(reducer)(values, pointer.astype(np.int64, copy=False)))


def as_tensor(value: Any) -> Tensor:
    """``value`` itself if it is a Tensor, else a constant Tensor around it (no copy)."""
    return value if is_tensor(value) else Tensor(value)
