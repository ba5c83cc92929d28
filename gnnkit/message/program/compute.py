"""One operation of a program on arrays: the same code for the rows of nodes and for the rows of a chunk of edges.

An array of a level other than ``const`` has one row axis in front of its feature axes. Imports kernels, symbols and
the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.message.program import build as s
from gnnkit.message.program.symbols import Symbol
from gnnkit.message.program.table import TABLE

Array = Any


def aligned(value: Array, symbol: Symbol, ndim: int) -> Array:
    """``value`` with feature axes added behind the row axis, so that it broadcasts against ``ndim`` of them."""
    missing = ndim - symbol.ndim
    if symbol.level == "const" or missing <= 0:
        return value
    return value.reshape(value.shape[0], *(1,) * missing, *symbol.shape)


def spread(value: Array, symbol: Symbol, rows: int, shape: tuple[int, ...]) -> Array:
    """``value`` as [rows, *shape], without a copy."""
    return np.broadcast_to(aligned(value, symbol, len(shape)), (rows, *shape))


def compute(y: Symbol, values: Sequence[Array], rows: int, dtype: np.dtype[Any]) -> Array:
    """The value of ``y`` [rows, *features] (without rows for a constant), given those of its arguments."""
    if y.op == "call":
        operands = [aligned(v, a, y.ndim) for v, a in zip(values, y.args)]
        return _call(y, operands)
    return OPERATIONS[y.op](y, values, rows, dtype)


def _call(y: Symbol, operands: list[Array]) -> Array:
    forward = TABLE[y.info].forward
    return forward(*operands) if y.level == "edge" else K.blockwise(forward, *operands)


def _reshape(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    return values[0].reshape(y.shape if y.level == "const" else (rows, *y.shape))


def _transpose(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    axes = y.info if y.level == "const" else (0, *(a + 1 for a in y.info))
    return values[0].transpose(axes)


def _broadcast(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    if y.level == "const":
        return np.broadcast_to(values[0], y.shape)
    return spread(values[0], y.args[0], rows, y.shape)


def _index(y: Symbol, info: Any) -> Any:
    return s.index_of(info) if y.level == "const" else (slice(None), *s.index_of(info))


def _put(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    info, shape = y.info
    out = np.zeros(shape if y.level == "const" else (rows, *shape), dtype)
    index = _index(y, info)
    out[index] = values[0].reshape(out[index].shape)
    return out


def _concatenate(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    if y.level == "const":
        return np.concatenate(values, axis=y.info)
    parts = [spread(v, a, rows, a.shape) if a.level == "const" else v for v, a in zip(values, y.args)]
    return np.concatenate(parts, axis=y.info)


def _matmul(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    (a, b), (a_symbol, b_symbol) = values, y.args
    if b_symbol.level == "const" and b_symbol.ndim == 2 and y.level != "const":
        flat = np.ascontiguousarray(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])
        product = (
            np.matmul(flat, b)
            if y.level == "edge" and not K.sums_are_exact()
            else K.rows_times(flat, np.ascontiguousarray(b))
        )
        return product.reshape(rows, *y.shape)
    ndim = max(a_symbol.ndim, b_symbol.ndim)
    return K.matmul(aligned(a, a_symbol, ndim), aligned(b, b_symbol, ndim))


def outer_sum(a: Array, b: Array) -> Array:
    """``sum of outer(a[..., i, :], b[..., i, :])`` over all axes but the last."""
    a, b = (np.ascontiguousarray(v).reshape(math.prod(v.shape[:-1]), v.shape[-1]) for v in (a, b))
    return K.matmul(a.T, b)


def _total(y: Symbol, values: Sequence[Array], rows: int, dtype: Any) -> Array:
    flat = np.ascontiguousarray(values[0]).reshape(len(values[0]), y.size)
    return K.column_sums(flat).reshape(y.shape)


OPERATIONS: dict[str, Callable[[Symbol, Sequence[Array], int, Any], Array]] = {
    "cast": lambda y, v, rows, dtype: np.asarray(v[0]).astype(dtype),
    "custom": lambda y, v, rows, dtype: v[0],
    "stop": lambda y, v, rows, dtype: v[0],
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast,
    "getitem": lambda y, v, rows, dtype: v[0][_index(y, y.info)],
    "put": _put,
    "concatenate": _concatenate,
    "matmul": _matmul,
    "feature_sum": lambda y, v, rows, dtype: np.sum(v[0], axis=y.info, keepdims=True),
    "feature_max": lambda y, v, rows, dtype: np.max(v[0], axis=y.info, keepdims=True),
    "rows": lambda y, v, rows, dtype: spread(v[0], y.args[0], rows, y.shape),
    "contract": lambda y, v, rows, dtype: outer_sum(v[0], v[1]),
    "total": _total,
}
