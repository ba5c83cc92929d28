"""Rules of functions that move or repeat values: reshape, transpose, flip, pad. Imports the tape, numpy, primitives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from gnnkit.autodiff.backward import unbroadcast
from gnnkit.autodiff.nodes import defvjp, implements
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.protocols import array_like
from gnnkit.autodiff.tensors import as_array
from gnnkit.errors import InvalidArgumentError


@implements(np.reshape)
@primitive
def reshape(a: Any, shape: Any) -> Any:
    return np.reshape(a, shape)


defvjp(reshape, lambda g, y, a, shape: np.reshape(g, a.shape), keep="")


@implements(np.ravel)
def ravel(a: Any) -> Any:
    return np.reshape(a, -1)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    return np.reshape(a, np.expand_dims(as_array(a), axis).shape)


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    return np.reshape(a, np.squeeze(as_array(a), axis=axis).shape)


@implements(np.atleast_1d)
def atleast_1d(a: Any) -> Any:
    return np.reshape(a, np.atleast_1d(as_array(a)).shape)


@implements(np.atleast_2d)
def atleast_2d(a: Any) -> Any:
    return np.reshape(a, np.atleast_2d(as_array(a)).shape)


@implements(np.transpose, np.permute_dims)
@primitive
def transpose(a: Any, axes: Any = None) -> Any:
    return np.transpose(a, axes)


def _transpose_rule(g: Any, y: Any, a: Any, axes: Any = None) -> Any:
    return np.transpose(g) if axes is None else np.transpose(g, np.argsort(normalize_axis_tuple(axes, a.ndim)))


defvjp(transpose, _transpose_rule, keep="")


@implements(np.swapaxes)
@primitive
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return np.swapaxes(a, axis1, axis2)


defvjp(swapaxes, lambda g, y, a, axis1, axis2: np.swapaxes(g, axis1, axis2), keep="")


@implements(np.matrix_transpose)
def matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@implements(np.moveaxis)
@primitive
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return np.moveaxis(a, source, destination)


defvjp(moveaxis, lambda g, y, a, source, destination: np.moveaxis(g, destination, source), keep="")


@implements(np.broadcast_to)
@primitive
def broadcast_to(array: Any, shape: Any) -> Any:
    return np.broadcast_to(array, shape)


defvjp(broadcast_to, lambda g, y, a, shape: unbroadcast(g, a.shape), keep="")


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> Any:
    args = tuple(map(array_like, args))
    shape = np.broadcast_shapes(*(a.shape for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


@implements(np.flip)
@primitive
def flip(m: Any, axis: Any = None) -> Any:
    return np.flip(m, axis)


defvjp(flip, lambda g, y, m, axis=None: np.flip(g, axis), keep="")


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return np.flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return np.flip(m, 1)


@implements(np.roll)
@primitive
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return np.roll(a, shift, axis)


defvjp(roll, lambda g, y, a, shift, axis=None: np.roll(g, (-np.asarray(shift)).tolist(), axis), keep="")


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    """`np.pad` in mode "constant"."""
    if mode != "constant":
        raise InvalidArgumentError(
            f"np.pad on Tensors pads with a constant. Got mode={mode!r}. Build other paddings with indices: t[index]."
        )
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    return pad_constant(array, widths, constant_values)


@primitive
def pad_constant(array: Any, widths: Any, value: float = 0) -> Any:
    return np.pad(array, widths, constant_values=value)


pad_constant.op.name = "pad"  # type: ignore[attr-defined]
defvjp(
    pad_constant,
    lambda g, y, a, widths, value=0: g[tuple(slice(w[0], w[0] + n) for w, n in zip(widths, a.shape))],
    keep="",
)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    reps = tuple(np.atleast_1d(reps).tolist())
    reps = (1,) * (A.ndim - len(reps)) + reps
    shape = (1,) * (len(reps) - A.ndim) + A.shape
    split = np.reshape(A, tuple(n for s in shape for n in (1, s)))  # every axis as (copies, values)
    wide = np.broadcast_to(split, tuple(n for r, s in zip(reps, shape) for n in (r, s)))
    return np.reshape(wide, tuple(r * s for r, s in zip(reps, shape)))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take(a, np.repeat(np.arange(a.shape[axis]), as_array(repeats)), axis=axis)


@primitive
def astype(x: Any, dtype: Any) -> Any:
    return np.asarray(x).astype(dtype)


defvjp(astype, lambda g, y, x, dtype: g.astype(x.dtype), keep="")
implements(np.astype)(lambda x, dtype, /, *, copy=True: astype(x, dtype))


@implements(np.copy)
@primitive
def copy(a: Any) -> Any:
    return np.copy(a)


defvjp(copy, lambda g, y, a: g, keep="")


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    rows, columns = a.shape[axis1], a.shape[axis2]
    i = np.arange(max(0, min(rows + min(offset, 0), columns - max(offset, 0))))
    return np.moveaxis(a, (axis1, axis2), (-2, -1))[..., i - min(offset, 0), i + max(offset, 0)]


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return np.diagonal(v, k)
    n = v.shape[0] + abs(k)
    i = np.arange(v.shape[0])
    from gnnkit.autodiff.rules.indexing import put_add

    return put_add(v, (i - min(k, 0), i + max(k, 0)), (n, n))


def _lower(m: Any, k: int) -> np.ndarray:
    return np.tri(m.shape[-2], m.shape[-1], k, dtype=bool)


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m, k), m, 0.0)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m, k - 1), 0.0, m)
