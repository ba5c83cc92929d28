"""Columns normalised by their own mean and spread in one operation, as batch norm does. Imports kernels, primitives."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff.nodes import defvjp
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.rules.reductions import mean
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.autodiff.tensors import is_tensor


@primitive
def standardise_columns(x: Any, scale: Any, shift: Any, *, eps: float, memo: dict[str, Any]) -> Any:
    """``(x - mean) / sqrt(variance + eps) * scale + shift`` of rows ``x`` [num_rows, columns]; at least one row.

    ``memo`` belongs to this call alone: it tells the ``mean`` and the (biased) ``variance`` of the columns, which the
    adjoint finds there. Where variance + eps is 0, columns are divided by 1.
    """
    mean, variance = K.column_moments(x)
    inverse = 1.0 / _spread(variance, eps)
    memo.update(mean=mean, variance=variance, inverse=inverse)
    return K.column_scale(x, mean, inverse * scale, shift)


def _spread(variance: Any, eps: float) -> Any:
    total = variance + eps if eps else variance
    values = total.data if is_tensor(total) else total
    return np.sqrt(total if eps else np.where(values > 0, total, np.ones((), values.dtype)))


def _sums(g: np.ndarray, x: np.ndarray, memo: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of g and of g times the standardised x; the three rules are asked one after another for the same g."""
    known = memo.get("sums")
    if known is None or known[0]() is not g:
        total, product = K.column_products(g, x, memo["mean"])
        known = memo["sums"] = weakref.ref(g), total.astype(x.dtype), (product * memo["inverse"]).astype(x.dtype)
    return known[1], known[2]


def _plain(*values: Any) -> bool:
    return not any(map(is_tensor, values))


def _standard(x: Any, eps: float) -> tuple[Any, Any]:
    """The standardised columns and 1 / spread, with operations that can be differentiated again."""
    centred = x - mean(x, 0)
    inverse = 1.0 / _spread(mean(centred**2, 0), eps)
    return centred * inverse, inverse


def _rule_x(g: Any, y: Any, x: Any, scale: Any, shift: Any, *, eps: float, memo: dict[str, Any]) -> Any:
    count = x.shape[0]
    if _plain(g, x, scale):
        total, product = _sums(g, x, memo)
        inverse = memo["inverse"]
        return K.column_scale_adjoint(g, x, memo["mean"], inverse * scale, total / count, product * inverse / count)
    standard, inverse = _standard(x, eps)
    return (g - mean(g, 0) - standard * mean(g * standard, 0)) * (inverse * scale)


def _rule_scale(g: Any, y: Any, x: Any, scale: Any, shift: Any, *, eps: float, memo: dict[str, Any]) -> Any:
    return _sums(g, x, memo)[1] if _plain(g, x) else axis_sum(g * _standard(x, eps)[0], 0)


def _rule_shift(g: Any, y: Any, x: Any, scale: Any, shift: Any, *, eps: float, memo: dict[str, Any]) -> Any:
    return _sums(g, x, memo)[0] if _plain(g, x) else axis_sum(g, 0)


defvjp(standardise_columns, _rule_x, _rule_scale, _rule_shift, keep="01")
