"""Rules of picking values by index: `t[...]`, take, sort; the adjoint is a deterministic scatter-add.

Imports the tape, numpy, primitives and the kernels' scatter_add.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gnnkit import kernels as K
from gnnkit.autodiff.nodes import defvjp, implements
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.protocols import unwrap
from gnnkit.autodiff.tensors import as_array


@implements(operator.getitem)
def getitem(a: Any, index: Any) -> Any:
    """``a[index]`` for slices, integers, boolean masks and integer arrays, also mixed."""
    return pick(a, index if type(index) in (slice, int) else unwrap(index))


@primitive
def pick(a: Any, index: Any) -> Any:
    return a[index]


@primitive
def put_add(values: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Add ``values`` into zeros of ``shape`` at ``index``: the adjoint of ``a[index]``, in a fixed order."""
    values = np.asarray(values)
    parts = index if isinstance(index, tuple) else (index,)
    begin = _first_column(index, shape)
    if begin is not None:
        return K.pad_columns(values, shape[1], begin)
    if all(_once(part) for part in parts):
        out = np.zeros(shape, values.dtype)
        out[index] = values
        return out
    if len(parts) == 1 and isinstance(parts[0], np.ndarray) and parts[0].ndim == 1:
        rows = parts[0].astype(np.int64, copy=False)  # shape[0] may be beyond the range of a narrow dtype
        return K.scatter_add(np.ascontiguousarray(values), np.where(rows < 0, rows + shape[0], rows), shape[0])
    size = int(np.prod(shape))
    positions = np.arange(size).reshape(shape)[index]
    flat = np.ascontiguousarray(np.broadcast_to(values, positions.shape)).reshape(-1)
    return K.scatter_add(flat, positions.reshape(-1), size).reshape(shape)


def _once(part: Any) -> bool:
    """Whether an index picks no value twice, so that the adjoint may be assigned instead of added."""
    if part is None or part is Ellipsis or isinstance(part, slice | int | np.integer):
        return True
    part = np.asarray(part)  # lists, nested tuples, columns of a table: numpy picks by all of them
    return part.dtype == bool or part.ndim == 0


def _first_column(index: Any, shape: tuple[int, ...]) -> int | None:
    """Where neighbouring columns of a matrix begin that ``index`` picks in all rows; None for other indices."""
    if len(shape) != 2 or type(index) is not tuple or len(index) != 2 or type(index[1]) is not slice:
        return None
    if index[0] is not Ellipsis and not (type(index[0]) is slice and index[0] == slice(None)):
        return None
    begin, end, step = index[1].indices(shape[1])
    return begin if step == 1 and begin < end else None


def _add_picked(total: np.ndarray, g: np.ndarray, a: Any, index: Any) -> bool:
    """Add the adjoint ``g`` of ``a[index]`` to ``total`` where no value is picked twice: slices of ``a`` share it."""
    if total.dtype != g.dtype:
        return False
    begin = _first_column(index, total.shape)
    if begin is not None and total.flags.c_contiguous:
        K.add_columns(g, total, begin)
        return True
    if all(_once(part) for part in (index if isinstance(index, tuple) else (index,))):
        total[index] += g
        return True
    return False


pick.op.adds = _add_picked  # type: ignore[attr-defined]
pick.op.name = "getitem"  # type: ignore[attr-defined]
defvjp(pick, lambda g, y, a, index: put_add(g, index, a.shape), keep="1")
defvjp(put_add, lambda g, y, values, index, shape: g[index], keep="1")


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(a, -1)[np.asarray(unwrap(indices))]
    index: list[Any] = [slice(None)] * a.ndim
    index[normalize_axis_index(axis, a.ndim)] = np.asarray(unwrap(indices))
    return a[tuple(index)] if axis else a[index[0]]


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    indices = as_array(indices)
    if axis is None:
        return np.reshape(arr, -1)[indices]
    index = [np.arange(n).reshape(tuple(-1 if i == k else 1 for i in range(arr.ndim))) for k, n in enumerate(arr.shape)]
    index[axis] = indices
    return arr[tuple(index)]


@implements(np.sort)
def sort(a: Any, axis: int | None = -1) -> Any:
    """`np.sort` (stable): every value keeps its adjoint."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take_along_axis(a, np.argsort(as_array(a), axis=axis, kind="stable"), axis=axis)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return np.take(a, np.flatnonzero(as_array(condition)), axis=axis)
