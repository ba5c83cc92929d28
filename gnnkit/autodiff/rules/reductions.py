"""Rules of reductions and cumulative sums. Imports the tape, numpy, primitives.

Ties of ``max`` and ``min`` share the adjoint evenly; ``std`` has derivative 0 where all values are equal; ``prod`` is
right with any number of zeros. Reducing no values gives what numpy gives.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from gnnkit import kernels as K
from gnnkit.autodiff.nodes import defvjp, implements
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.protocols import array_like
from gnnkit.autodiff.tensors import as_array

Axis = Any


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the axes that ``axis`` (None, int or tuple) stands for, as a tuple of non-negative integers."""
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return ``shape`` with reduced axes of length 1, as ``keepdims`` leaves it."""
    axes = axes_of(axis, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(r: Any, x: Any, axis: Axis) -> Any:
    """Broadcast a reduced value back over the shape of ``x`` (a view)."""
    return np.broadcast_to(np.reshape(r, kept_shape(x.shape, axis)), x.shape)


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many values are reduced into one."""
    return math.prod(shape[i] for i in axes_of(axis, len(shape)))


def _is_exact(a: Any) -> bool:
    return K.sums_are_exact() and np.asarray(a).dtype.kind == "f"


@implements(np.sum)
@primitive
def sum(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if _is_exact(a):
        return K.axis_sum(a, axis, keepdims)
    return np.add.reduce(a, axis, None, None, keepdims)  # type: ignore[call-overload]  # np.sum without its detours


defvjp(sum, lambda g, y, a, axis=None, keepdims=False: spread(g, a, axis), keep="")


def _inverse(number: float) -> float:
    """1 / number, NaN for a mean of no values, as numpy has it."""
    return 1.0 / number if number > 0 else math.nan


def _divisor(number: float) -> float:
    return number if number > 0 else math.nan


@implements(np.mean)
@primitive
def mean(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if _is_exact(a):
        return K.axis_sum(a, axis, keepdims, divisor=_divisor(count(a.shape, axis)))
    return np.mean(a, axis=axis, keepdims=keepdims)


defvjp(mean, lambda g, y, a, axis=None, keepdims=False: spread(g * _inverse(count(a.shape, axis)), a, axis), keep="")


@implements(np.average)
def average(a: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """`np.average`; weights have the shape of ``a`` (or lie along one ``axis``) and may be differentiated."""
    a, weights = array_like(a), None if weights is None else array_like(weights)
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    if weights.ndim == 1 and a.ndim > 1:
        (only,) = axes_of(axis, a.ndim)
        weights = np.reshape(weights, tuple(-1 if i == only else 1 for i in range(a.ndim)))
        weights = np.broadcast_to(weights, a.shape)
    return sum(a * weights, axis, keepdims) / sum(weights, axis, keepdims)


@implements(np.var)
@primitive
def var(a: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    if _is_exact(a):
        centred = a - mean(a, axis, True)
        return K.axis_sum(centred * centred, axis, keepdims, divisor=_divisor(count(a.shape, axis) - ddof))
    return np.var(a, axis=axis, ddof=ddof, keepdims=keepdims)


def _var_rule(g: Any, y: Any, a: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    centred = a - mean(a, axis, True)
    return spread(g * (2.0 * _inverse(count(a.shape, axis) - ddof)), a, axis) * centred


defvjp(var, _var_rule, keep="0")


@implements(np.std)
@primitive
def std(a: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    if _is_exact(a):
        return np.sqrt(var(a, axis, ddof, keepdims))
    return np.std(a, axis=axis, ddof=ddof, keepdims=keepdims)


def _std_rule(g: Any, y: Any, a: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    flat = as_array(y) == 0  # a kink: any value between the slopes is a subgradient, 0 is the symmetric one
    scale = np.where(flat, 0.0, g / np.where(flat, 1.0, y))
    return _var_rule(scale * 0.5, y, a, axis, ddof)


defvjp(std, _std_rule, keep="0y")


@implements(np.max, np.amax)
@primitive
def max(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    largest = np.max(a, axis=axis, keepdims=keepdims)
    return largest + largest.dtype.type(0) if _is_exact(a) else largest  # of both zeros, the first would win


@implements(np.min, np.amin)
@primitive
def min(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    smallest = np.min(a, axis=axis, keepdims=keepdims)
    return smallest + smallest.dtype.type(0) if _is_exact(a) else smallest


def _extremum_rule(g: Any, y: Any, a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    winners = as_array(a) == spread(as_array(y), a, axis)
    ties = np.maximum(winners.sum(axis=axes_of(axis, a.ndim), keepdims=True), 1).astype(a.dtype)
    return np.reshape(g, ties.shape) / ties * winners


defvjp(max, _extremum_rule, keep="0y")
defvjp(min, _extremum_rule, keep="0y")


def running_product(a: Any, axis: int, *, exclusive: bool) -> Any:
    """Cumulative product along an axis in log2(n) multiplications, so that its derivatives hold at zeros too."""
    n = a.shape[axis]

    def shifted(x: Any, by: int) -> Any:
        head = [slice(None)] * a.ndim
        head[axis] = slice(0, n - by)
        ones = np.ones(tuple(by if i == axis else s for i, s in enumerate(a.shape)), a.dtype)
        return np.concatenate([ones, x[tuple(head)]], axis=axis)

    if exclusive and n:
        a = shifted(a, 1)
    step = 1
    while step < n:
        a = a * shifted(a, step)
        step *= 2
    return a


@implements(np.prod)
@primitive
def prod(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if _is_exact(a):  # products round too: the factors are multiplied in sorted order
        axes = axes_of(axis, a.ndim)
        rest = tuple(i for i in range(a.ndim) if i not in axes)
        rows = np.transpose(a, rest + axes).reshape(*(a.shape[i] for i in rest), count(a.shape, axis))
        product = np.prod(np.sort(rows, axis=-1), axis=-1)
        return np.reshape(product, kept_shape(a.shape, axis)) if keepdims else product
    return np.prod(a, axis=axis, keepdims=keepdims)


def _prod_rule(g: Any, y: Any, a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The derivative is the product of all others, which is not y / a where a is zero."""
    axes = axes_of(axis, a.ndim)
    rest = tuple(i for i in range(a.ndim) if i not in axes)
    lead = tuple(a.shape[i] for i in rest)
    rows = np.reshape(np.transpose(a, rest + axes), (*lead, count(a.shape, axis)))  # reduced axes last, as one
    before = running_product(rows, rows.ndim - 1, exclusive=True)
    after = np.flip(running_product(np.flip(rows, -1), rows.ndim - 1, exclusive=True), -1)
    others = np.reshape(before * after, tuple(a.shape[i] for i in rest + axes))
    return np.transpose(others, np.argsort(rest + axes)) * spread(g, a, axis)


defvjp(prod, _prod_rule, keep="0")


@implements(np.cumsum)
@primitive
def cumsum(a: Any, axis: int | None = None) -> Any:
    return np.cumsum(a, axis=axis)


def _cumsum_rule(g: Any, y: Any, a: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g, 0), 0), 0), a.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


defvjp(cumsum, _cumsum_rule, keep="")


@implements(np.cumprod)
def cumprod(a: Any, axis: int | None = None) -> Any:
    """`np.cumprod`, computed in log2(n) passes."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return running_product(a, normalize_axis_tuple(axis, a.ndim)[0], exclusive=False)


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """`np.ptp`: largest minus smallest value."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@implements(np.median)
def median(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """`np.median` over one axis or all."""
    flat = np.reshape(a, -1) if axis is None else a
    along = 0 if axis is None else axis
    ordered = np.sort(flat, axis=along)
    n = flat.shape[along]
    middle = np.mean(np.take(ordered, [(n - 1) // 2, n // 2], axis=along), axis=along, keepdims=keepdims)
    return np.reshape(middle, (1,) * a.ndim) if keepdims and axis is None else middle


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """`np.diff` without ``prepend`` and ``append``."""
    for _ in range(n):
        later, earlier = [slice(None)] * a.ndim, [slice(None)] * a.ndim
        later[axis], earlier[axis] = slice(1, None), slice(None, -1)
        a = a[tuple(later)] - a[tuple(earlier)]
    return a
