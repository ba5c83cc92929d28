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
