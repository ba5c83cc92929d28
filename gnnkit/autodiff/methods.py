"""What a Tensor can do with its values alone: conversions, comparisons, methods named as numpy functions.

A mixin: the functions it calls are registered by `gnnkit.autodiff.rules`. Imports the registry and the error tree.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff.nodes import HANDLERS
from gnnkit.errors import GradientError, ShapeError


def _plain(value: Any) -> Any:
    return value.data if isinstance(value, ArrayMethods) else value


class ArrayMethods:
    """Methods of an array for a class that holds its values in ``data``."""

    __slots__ = ()

    data: np.ndarray
    requires_grad: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    @property
    def T(self) -> Any:
        return HANDLERS[np.transpose](self)

    @property
    def mT(self) -> Any:
        return HANDLERS[np.swapaxes](self, -1, -2)

    def __getitem__(self, index: Any) -> Any:
        return HANDLERS[operator.getitem](self, index)

    # --- conversions ------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """Return the single value as a Python number."""
        return self._single("single value")

    def tolist(self) -> Any:
        """Return the values as nested lists."""
        return self.data.tolist()

    def __format__(self, spec: str) -> str:
        return format(self.data[()], spec) if self.data.ndim == 0 else format(str(self), spec)

    def __len__(self) -> int:
        if not self.data.ndim:
            raise ShapeError("Only a Tensor with at least one axis has a length. Got a scalar. Use .size or .item().")
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return _plain(value) in self.data

    def _single(self, what: str) -> Any:
        if self.data.size != 1:
            raise ShapeError(
                f"Only a Tensor with one value has a {what}. Got shape {self.shape}. Use a reduction such as .any(), "
                f".all() or .sum() first."
            )
        return self.data.item()

    def __bool__(self) -> bool:
        return bool(self._single("truth value"))

    def __float__(self) -> float:
        return float(self._single("float value"))

    def __int__(self) -> int:
        return int(self._single("integer value"))

    def __index__(self) -> int:
        return self.data.__index__()

    # --- comparisons and logic give plain arrays --------------------------------------------------------------

    def __invert__(self) -> Any:
        return np.invert(self.data)

    def __and__(self, other: Any) -> Any:
        return self.data & _plain(other)

    def __or__(self, other: Any) -> Any:
        return self.data | _plain(other)

    def __eq__(self, other: object) -> Any:
        return self.data == _plain(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _plain(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _plain(other)

    # --- methods of an array: each is the numpy function of that name -----------------------------------------

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return HANDLERS[np.sum](self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return HANDLERS[np.mean](self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        return HANDLERS[np.max](self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        return HANDLERS[np.min](self, axis, keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Any:
        return HANDLERS[np.prod](self, axis, keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return HANDLERS[np.var](self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return HANDLERS[np.std](self, axis, ddof, keepdims)

    def cumsum(self, axis: int | None = None) -> Any:
        return HANDLERS[np.cumsum](self, axis)

    def argmax(self, axis: int | None = None) -> Any:
        return np.argmax(self.data, axis=axis)

    def argmin(self, axis: int | None = None) -> Any:
        return np.argmin(self.data, axis=axis)

    def any(self, axis: Any = None) -> Any:
        return np.any(self.data, axis=axis)

    def all(self, axis: Any = None) -> Any:
        return np.all(self.data, axis=axis)

    def reshape(self, *shape: Any) -> Any:
        return HANDLERS[np.reshape](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        order = None if not axes or axes[0] is None else axes[0] if isinstance(axes[0], tuple | list) else axes
        return HANDLERS[np.transpose](self, order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return HANDLERS[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        return HANDLERS[np.squeeze](self, axis)

    def ravel(self) -> Any:
        return HANDLERS[np.reshape](self, -1)

    flatten = ravel

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        return HANDLERS[np.repeat](self, repeats, axis)

    def clip(self, min: Any = None, max: Any = None) -> Any:
        return HANDLERS[np.clip](self, min, max)

    def dot(self, other: Any) -> Any:
        return HANDLERS[np.dot](self, other)

    def copy(self) -> Any:
        """Return a copy of the values that stays on the tape."""
        return HANDLERS[np.copy](self)

    def astype(self, dtype: DTypeLike) -> Any:
        """Return the Tensor in another dtype; the gradient comes back in the old one."""
        return self if np.dtype(dtype) == self.data.dtype else HANDLERS[np.astype](self, dtype)

    # --- what a Tensor refuses --------------------------------------------------------------------------------

    def _refuse_in_place(self, *_: Any) -> Any:
        raise GradientError(
            f"Tensors are not changed in place. Got an assignment to a {type(self).__name__} of shape {self.shape}. "
            f"Write t = t + s instead of t += s, and np.where(mask, s, t) instead of t[mask] = s; "
            f"t.data may be written outside of a recorded computation."
        )

    __setitem__ = __delitem__ = _refuse_in_place
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __ipow__ = __imatmul__ = __imod__ = _refuse_in_place
    __iand__ = __ior__ = __ixor__ = __ilshift__ = __irshift__ = _refuse_in_place
