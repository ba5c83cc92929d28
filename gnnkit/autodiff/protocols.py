"""Help for numpy's protocols: unwrapping, functions without a derivative, and what is said of unknown functions.

Imports the methods' mixin and the error tree.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from gnnkit.autodiff.methods import ArrayMethods
from gnnkit.errors import DTypeError, GradientError, InvalidArgumentError, ShapeError


def unwrap(value: Any) -> Any:
    """Replace Tensors by their arrays in a value or in nested lists, tuples and dicts of values."""
    if isinstance(value, ArrayMethods):
        return value.data
    if isinstance(value, list | tuple):
        return type(value)(unwrap(v) for v in value)
    if isinstance(value, dict):
        return {k: unwrap(v) for k, v in value.items()}
    return value


def array_like(value: Any) -> Any:
    """Return a Tensor as it is, anything else as an array."""
    return value if isinstance(value, ArrayMethods) else np.asarray(value)


def numbers(data: Any) -> np.ndarray:
    """Return what a Tensor may hold: an array of floating, integer or boolean numbers."""
    if isinstance(data, np.ma.MaskedArray):
        raise DTypeError(
            "A Tensor holds a plain array. Got a masked array, whose mask would be lost. "
            "Fill it with .filled(value), and keep the mask beside it."
        )
    array = np.asarray(data)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"A Tensor holds floating, integer or boolean numbers. Got dtype {array.dtype}. "
            f"Convert the data to numbers first."
        )
    return array


def call_plain(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call a function that has no derivative on the arrays behind its arguments."""
    outputs = kwargs.get("out")
    if outputs is not None:
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if any(isinstance(o, ArrayMethods) for o in outputs) or any(requires_grad(a) for a in args):
            raise GradientError(
                f"Tensors are not written into, and a Tensor that requires a gradient is not written into an array. "
                f"Got np.{function.__name__}(..., out=...). Use the returned value, or pass t.numpy()."
            )
    return function(*unwrap(args), **unwrap(kwargs))


def requires_grad(value: Any) -> bool:
    return isinstance(value, ArrayMethods) and value.requires_grad


def not_in_table(name: str) -> GradientError:
    """Return the error for a numpy function without a rule."""
    return GradientError(
        f"A numpy function called with a Tensor must be in the table of derivatives. np.{name} is not. "
        f"Use functions of the table, wrap it as a @primitive with its derivative rule, or pass t.numpy()."
    )


def wrong_arguments(function: Any, handler: Any, args: tuple, kwargs: dict, error: TypeError) -> Exception:
    """Return the error for arguments that our version of a numpy function does not take, else ``error`` itself."""
    try:
        inspect.signature(handler).bind(*args, **kwargs)
    except TypeError:
        return InvalidArgumentError(
            f"np.{function.__name__} on Tensors takes {', '.join(inspect.signature(handler).parameters)}. "
            f"Got other arguments: {error}. "
            f"Leave them out, or pass t.numpy()."
        )
    return error


def shapes_disagree(name: str, args: list[Any]) -> ShapeError:
    """Return the error for arguments whose shapes do not go together."""
    shapes = ", ".join(str(np.shape(a)) for a in args)
    advice = (
        "The last axis of the first must be as long as the last but one of the second"
        if name == "matmul"
        else "Axes, compared from the last, must be equal or 1"
    )
    return ShapeError(f"The shapes of the arguments of {name} must go together. Got {shapes}. {advice}.")
