"""`Tensor`: an array that remembers how it was computed, following numpy's protocols.

`record` applies an operation and writes its node; every operator and every numpy function on a Tensor ends there.
Imports the tape, the error tree and, for very large arrays only, the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gnnkit import kernels
from gnnkit.autodiff import nodes
from gnnkit.autodiff.methods import ArrayMethods
from gnnkit.autodiff.nodes import HANDLERS, OPS, PLAIN, STEPS, Leaf, Node, Op, Stub, creation_counter, mode, op_of
from gnnkit.autodiff.protocols import call_plain, not_in_table, numbers, requires_grad, shapes_disagree, wrong_arguments
from gnnkit.errors import DTypeError, GnnkitError, GradientError, InvalidArgumentError
from gnnkit.kernels.blocks import BLOCKWISE

NO_KEYWORDS: Mapping[str, Any] = {}
_ndarray = np.ndarray


def _leaf_node(tensor: Tensor) -> Leaf:
    data = tensor.data
    if data.dtype.kind != "f":
        raise DTypeError(
            f"Only floating Tensors can require a gradient. Got dtype {data.dtype} and shape {data.shape}. "
            f"Convert it first, for example with .astype('float32')."
        )
    return Leaf(tensor, tensor._name)


class Tensor(ArrayMethods):
    """A numpy array that can be differentiated.

    Parameters
    ----------
    data : array_like
        The values. Arrays are not copied; a floating dtype is kept as it is.
    requires_grad : bool
        Whether derivatives with respect to this Tensor may be asked for. Needs a floating dtype.
    name : str, optional
        Shown by ``repr`` and on the tape.

    Attributes
    ----------
    data : numpy.ndarray
        The values. Writing into it is not recorded; do so between steps only (optimisers do), never between
        computing a result and calling ``backward`` on it.
    grad : Tensor or None
        Sum of the gradients of all ``backward`` calls so far; on leaves only.

    Notes
    -----
    numpy functions and operators take Tensors and return Tensors. What has no derivative because it is not floating
    (comparisons, ``argmax``, ``isnan``, ``shape``) returns plain arrays; step functions (``sign``, ``floor``) return
    a Tensor that requires no gradient. A numpy function outside the table raises an error that names it.
    Tensors are never changed in place. ``np.asarray(t)`` is refused where ``t`` requires a gradient: the
    derivative would silently be lost; use ``t.numpy()``.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> x = gk.tensor([1.0, 2.0], requires_grad=True)
    >>> y = np.sum(np.square(x) * 3)
    >>> y.backward()
    >>> x.grad
    Tensor([ 6., 12.])
    """

    __slots__ = ("__weakref__", "_name", "_node", "data", "grad")

    data: np.ndarray
    grad: Tensor | None
    _node: Node | None
    _name: str | None

    def __init__(self, data: ArrayLike | Tensor, requires_grad: bool = False, name: str | None = None) -> None:
        self.data = data.data if isinstance(data, Tensor) else numbers(data)
        self.grad = None
        self._name = name
        self._node = None
        if requires_grad:
            self._node = _leaf_node(self)

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if bool(flag) == (self._node is not None):
            return
        if self._node is not None and self._node.op is not None:
            raise GradientError(
                f"requires_grad can be switched off on leaves only. This Tensor is the result of "
                f"{self._node.op.name}. Use .detach() to get its values without the tape."
            )
        self._node = _leaf_node(self) if flag else None

    @property
    def is_leaf(self) -> bool:
        """Whether it is not the recorded result of an operation."""
        return self._node is None or self._node.op is None

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name
        if self._node is not None:
            self._node.name = name

    def numpy(self) -> np.ndarray:
        """Return the values as the plain array that the Tensor holds (no copy)."""
        return self.data

    def detach(self) -> Tensor:
        """Return a Tensor of the same values (no copy) without the tape."""
        return Tensor(self.data, name=self._name)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if self._node is not None:
            raise GradientError(
                f"A Tensor that requires a gradient is not silently turned into an array. Got one of shape "
                f"{self.shape}{f' named {self._name!r}' if self._name else ''}. Use .numpy() for its values, or a "
                f"numpy function of the table to go on differentiating."
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        end = f", shape={self.shape}" if self.size == 0 and self.ndim > 1 else ""
        end += f", dtype={self.dtype}" if self.dtype not in (np.float64, np.int64, np.bool_) else ""
        if self._name:
            end += f", name={self._name!r}"
        if self._node is not None:
            end += f", op={self._node.op.name}" if self._node.op else ", requires_grad=True"
        return f"{type(self).__name__}({np.array2string(self.data, separator=', ', prefix='Tensor(')}{end})"

    __hash__ = object.__hash__

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GradientError(
                f"Only leaves can be copied. Got the result of {self._node.op.name}. "  # type: ignore[union-attr]
                f"Use np.copy(t) to stay on the tape, or copy t.detach()."
            )
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.data, new._name, new._node = self.data.copy(), self._name, None
        new.grad = None if self.grad is None else Tensor(self.grad.data.copy())
        if self._node is not None:
            new._node = _leaf_node(new)
        for key, value in getattr(self, "__dict__", {}).items():
            setattr(new, key, value)
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise GnnkitError(
            f"gnnkit writes no pickles. Got a {type(self).__name__} of shape {self.shape}. "
            "Pass its array (t.numpy()) instead; save a model with gnnkit.nn.save_model, and a fitted estimator with "
            "clf.save(path), which NodeClassifier.load(path) reads."
        )

    # --- derivatives ------------------------------------------------------------------------------------------

    def backward(self, gradient: ArrayLike | Tensor | None = None, *, create_graph: bool = False) -> None:
        """Add the derivative of this value to ``.grad`` of every leaf that it depends on.

        Parameters
        ----------
        gradient : array_like, optional
            Adjoint of this Tensor, of its shape. May be left out where there is one value only.
        create_graph : bool
            Record the backward pass too, so that the gradients can be differentiated again.

        Raises
        ------
        GradientError
            If this Tensor requires no gradient, or has several values and no ``gradient`` is given.

        Notes
        -----
        May be called any number of times; gradients add up until ``.grad`` is set to None.
        """
        from gnnkit.autodiff.backward import backward

        backward(self, gradient, create_graph=create_graph)

    # --- numpy's protocols ------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__":
            op = OPS.get(ufunc)
            if op is not None and not kwargs:
                return record(op, inputs, NO_KEYWORDS)
            if any(hasattr(type(a), "__gnnkit_function__") for a in inputs):
                return NotImplemented  # a value of a message program, which traces what happens to it
            if ufunc in PLAIN or ufunc in STEPS or (kwargs and not any(requires_grad(a) for a in inputs)):
                result = call_plain(ufunc, inputs, kwargs)
                return result if ufunc in PLAIN or "out" in kwargs else Tensor(result)
            if op is not None:
                raise InvalidArgumentError(
                    f"np.{ufunc.__name__} on Tensors that require a gradient takes no keyword arguments. "
                    f"Got {', '.join(kwargs)}. Tensors are not written into: use the returned value, "
                    f"np.where for masks and .astype for another dtype."
                )
        elif method == "reduce" and ufunc in REDUCTIONS:
            return getattr(np, REDUCTIONS[ufunc])(*inputs, **{"axis": 0, **kwargs})
        raise not_in_table(f"{ufunc.__name__}{'' if method == '__call__' else '.' + method}")

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        handler = HANDLERS.get(function)
        if any(hasattr(kind, "__gnnkit_function__") for kind in types):
            return NotImplemented  # as above
        if handler is not None:
            try:
                return handler(*args, **kwargs)
            except TypeError as error:
                raise wrong_arguments(function, handler, args, kwargs, error) from error
        if function in PLAIN or function in STEPS:
            result = call_plain(function, args, kwargs)
            return result if function in PLAIN else Tensor(result)
        raise not_in_table(f"{function.__module__}.{function.__name__}".removeprefix("numpy."))

    # --- operators --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return record(_ADD, (self, other), NO_KEYWORDS)

    def __radd__(self, other: Any) -> Any:
        return record(_ADD, (other, self), NO_KEYWORDS)

    def __sub__(self, other: Any) -> Any:
        return record(_SUBTRACT, (self, other), NO_KEYWORDS)

    def __rsub__(self, other: Any) -> Any:
        return record(_SUBTRACT, (other, self), NO_KEYWORDS)

    def __mul__(self, other: Any) -> Any:
        return record(_MULTIPLY, (self, other), NO_KEYWORDS)

    def __rmul__(self, other: Any) -> Any:
        return record(_MULTIPLY, (other, self), NO_KEYWORDS)

    def __truediv__(self, other: Any) -> Any:
        return record(_DIVIDE, (self, other), NO_KEYWORDS)

    def __rtruediv__(self, other: Any) -> Any:
        return record(_DIVIDE, (other, self), NO_KEYWORDS)

    def __pow__(self, other: Any) -> Any:
        if type(other) in (int, float) and other == 2:  # the usual case, and far cheaper than a general power
            return record(_SQUARE, (self,), NO_KEYWORDS)
        return record(_POWER, (self, other), NO_KEYWORDS)

    def __rpow__(self, other: Any) -> Any:
        return record(_POWER, (other, self), NO_KEYWORDS)

    def __matmul__(self, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", True) is None:  # a SparseMatrix knows how to be multiplied
            return NotImplemented
        return record(_MATMUL, (self, other), NO_KEYWORDS)

    def __rmatmul__(self, other: Any) -> Any:
        return record(_MATMUL, (other, self), NO_KEYWORDS)

    def __neg__(self) -> Any:
        return record(_NEGATIVE, (self,), NO_KEYWORDS)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return np.absolute(self)

    def __mod__(self, other: Any) -> Any:
        return np.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return np.remainder(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)


REDUCTIONS = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min"}

_ADD, _SUBTRACT, _MULTIPLY, _DIVIDE = (op_of(f) for f in (np.add, np.subtract, np.multiply, np.divide))
_POWER, _SQUARE, _MATMUL, _NEGATIVE = (op_of(f) for f in (np.power, np.square, np.matmul, np.negative))
_new = Tensor.__new__


def record(op: Op, args: Any, kwargs: Mapping[str, Any]) -> Tensor:
    """Apply an operation to arguments some of which are Tensors; write its node if one requires a gradient."""
    raw = [a.data if isinstance(a, Tensor) else a for a in args]
    if op.broadcasts:
        for i, value in enumerate(raw):
            kind = type(value)
            if kind is _ndarray:
                continue
            if kind is list or kind is tuple:  # rules compute with the arguments, so lists must be arrays
                raw[i] = np.asarray(value)
            elif hasattr(kind, "__gnnkit_function__"):  # a value of a message program, which is traced
                return value.__gnnkit_function__(op.name, args, kwargs)  # type: ignore[union-attr]
    first = raw[0]
    try:
        if op.elementwise and type(first) is _ndarray and first.size >= BLOCKWISE:
            y = kernels.blockwise(op.forward, *raw)  # same bits, several threads
        else:
            y = op.forward(*raw, **kwargs)
    except ValueError as error:
        if op.broadcasts and type(error) is ValueError:
            raise shapes_disagree(op.name, raw) from error
        raise
    if type(y) is not _ndarray:
        y = np.asarray(y)
    out = _new(Tensor)
    out.data = y
    out.grad = out._name = out._node = None
    if not mode.recording:
        return out
    rules = op.rules
    parents = []
    for i, a in enumerate(args):
        if isinstance(a, Tensor):
            parent = a._node
            if parent is not None and (op.each is not None or (i < len(rules) and rules[i] is not None)):
                parents.append((i, parent, a.data.shape, a.data.dtype))
    if not parents or y.dtype.kind != "f":
        return out
    node = Node()
    node.op, node.kwargs, node.parents = op, kwargs, parents
    node.order, node.name = next(creation_counter), None
    for i in range(len(raw)) if op.drops is None else op.drops:
        if i < len(raw) and type(raw[i]) is _ndarray and raw[i].size > nodes.SMALL:
            raw[i] = Stub(raw[i])
    node.output = y if op.keep_output or y.size <= nodes.SMALL else Stub(y)
    node.args = raw
    out._node = node
    return out


def recorded(array: np.ndarray, node: Node | None) -> Tensor:
    """Return a Tensor for a value that is already on the tape."""
    out = _new(Tensor)
    out.data, out._node, out.grad, out._name = array, node, None, None
    return out


def tensor(data: ArrayLike | Tensor, requires_grad: bool = False, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return a new leaf Tensor with a copy of ``data``.

    Parameters
    ----------
    data : array_like
        Numbers; a Tensor is detached.
    requires_grad : bool
        Whether derivatives with respect to it may be asked for.
    dtype : dtype, optional
        Default: that of ``data``, so Python floats give float64.

    Raises
    ------
    DTypeError
        If ``requires_grad`` is asked of integers or booleans, or if ``data`` is not numeric.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.tensor([1, 2], dtype="float32", requires_grad=True)
    Tensor([1., 2.], dtype=float32, requires_grad=True)
    """
    return Tensor(np.array(Tensor(data).data, dtype=dtype), requires_grad)


def as_array(value: Any) -> np.ndarray:
    """Return the plain array behind a Tensor (no copy), or ``np.asarray`` of anything else."""
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def is_tensor(value: Any) -> bool:
    """Return whether ``value`` is a Tensor."""
    return isinstance(value, Tensor)
