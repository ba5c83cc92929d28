"""What happens when a numpy function, or one of gnnkit's, is called with a symbol. Imports symbols and the table."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.errors import GnnkitError, ProgramError, ShapeError
from gnnkit.message.program import build as s
from gnnkit.message.program.build import as_symbol, call
from gnnkit.message.program.symbols import Symbol, caller_line
from gnnkit.message.program.table import COMPOSED, TABLE, truth, where

# ufuncs that go by another name in the table, or are made of its functions
UFUNCS: dict[str, Callable[..., Symbol]] = {
    "true_divide": lambda a, b: call("divide", a, b),
    "abs": lambda x: call("absolute", x),
    "fabs": lambda x: call("absolute", x),
    "positive": lambda x: as_symbol(x),
    "matmul": s.matmul,
    "float_power": lambda a, b: call("power", a, b),
    "tan": lambda x: call("sin", x) / call("cos", x),
    "sinh": lambda x: 0.5 * (call("exp", x) - call("exp", -as_symbol(x))),
    "cosh": lambda x: 0.5 * (call("exp", x) + call("exp", -as_symbol(x))),
    "exp2": lambda x: call("exp", as_symbol(x) * math.log(2.0)),
    "log2": lambda x: call("log", x) * (1 / math.log(2.0)),
    "log10": lambda x: call("log", x) * (1 / math.log(10.0)),
    "hypot": lambda a, b: call("sqrt", call("square", a) + call("square", b)),
    "bitwise_and": lambda a, b: s.of_masks("logical_and", a, b),
    "bitwise_or": lambda a, b: s.of_masks("logical_or", a, b),
    "invert": lambda a: s.of_masks("logical_not", a),
    "isinf": lambda x: call("equal", call("absolute", x), math.inf),
}


def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Symbol:
    lower, upper = a_min if a_min is not None else min, a_max if a_max is not None else max
    x = as_symbol(x) if lower is None else call("maximum", x, lower)
    return x if upper is None else call("minimum", x, upper)


def _stack(values: Any, axis: int = 0) -> Symbol:
    parts = [as_symbol(v) for v in values]
    ndim = parts[0].ndim + 1 if parts else 1
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"The new axis of np.stack lies in [-{ndim}, {ndim}). Got axis {axis}{caller_line()}. Axes count the "
            "features of one edge."
        )
    axis = axis % ndim
    return s.concatenate([s.reshape(p, (*p.shape[:axis], 1, *p.shape[axis:])) for p in parts], axis)


def _expand_dims(x: Symbol, axis: Any) -> Symbol:
    return s.reshape(x, np.expand_dims(np.broadcast_to(np.empty(()), x.shape), axis).shape)


def _squeeze(x: Symbol, axis: Any = None) -> Symbol:
    return s.reshape(x, np.squeeze(np.broadcast_to(np.empty(()), x.shape), axis).shape)


def _swapaxes(x: Symbol, axis1: int, axis2: int) -> Symbol:
    axes = list(range(x.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return s.transpose(x, axes)


def _broadcast_to(x: Any, shape: Any) -> Symbol:
    x, shape = as_symbol(x), (shape,) if isinstance(shape, int) else tuple(shape)
    try:
        np.broadcast_to(np.broadcast_to(np.empty(()), x.shape), shape)
    except ValueError:
        raise ShapeError(
            f"Features are broadcast along axes of length 1 and along new first axes. Got {x!r} to {list(shape)}"
            f"{caller_line()}. Shapes have no row axis inside of a program."
        ) from None
    return s.broadcast_to(x, shape)


def _dot(a: Any, b: Any) -> Symbol:
    if not (np.ndim(a) and np.ndim(b)):
        return as_symbol(a) * b
    _at_most("np.dot", 2, a, b)
    return s.matmul(a, b)


def _inner(a: Any, b: Any) -> Symbol:
    _at_most("np.inner", 1, a, b)
    return (as_symbol(a) * b).sum(-1) if np.ndim(a) and np.ndim(b) else as_symbol(a) * b


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Symbol:
    if ord not in (None, 2) or (ord == 2 and x.ndim != 1 and not isinstance(axis, int)):
        raise ProgramError(
            f"np.linalg.norm is the Euclidean norm in a message program. Got ord={ord!r}{caller_line()}. Name the axis "
            "with axis=, and write other norms out, as in abs(x).sum(-1)."
        )
    return call("sqrt", s.feature_sum(call("square", x), axis, keepdims))


def _at_most(name: str, ndim: int, *values: Any) -> None:
    if any(np.ndim(v) > ndim for v in values):
        raise ProgramError(
            f"{name} takes values of at most {ndim} feature axes in a message program. Got "
            f"{', '.join(str(list(np.shape(v))) for v in values)}{caller_line()}. Use @, or (a * b).sum(-1)."
        )


def _like(value: float) -> Callable[..., Symbol]:
    return lambda x, **kw: s.broadcast_to(s.number(value), x.shape)


def _variance(x: Symbol, axis: Any = None, keepdims: bool = False) -> Symbol:
    return call("square", x - x.mean(axis, keepdims=True)).mean(axis, keepdims=keepdims)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: where,
    np.sum: s.feature_sum,
    np.mean: lambda x, axis=None, keepdims=False: x.mean(axis, keepdims),
    np.max: s.feature_max,
    np.amax: s.feature_max,
    np.min: lambda x, axis=None, keepdims=False: x.min(axis, keepdims),
    np.amin: lambda x, axis=None, keepdims=False: x.min(axis, keepdims),
    np.var: _variance,
    np.std: lambda x, axis=None, keepdims=False: call("sqrt", _variance(x, axis, keepdims)),
    np.clip: _clip,
    np.concatenate: s.concatenate,
    np.stack: _stack,
    np.reshape: lambda x, shape: s.reshape(x, shape),
    np.ravel: lambda x: s.reshape(x, (x.size,)),
    np.transpose: lambda x, axes=None: x.transpose(*(() if axes is None else axes)),
    np.swapaxes: _swapaxes,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.broadcast_to: _broadcast_to,
    np.dot: _dot,
    np.inner: _inner,
    np.zeros_like: _like(0.0),
    np.ones_like: _like(1.0),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.linalg.norm: _norm,
}


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: Any, kwargs: Any) -> Symbol:
    name = ufunc.__name__
    if method == "reduce" and name in ("add", "maximum", "minimum"):
        reduction = {"add": np.sum, "maximum": np.max, "minimum": np.min}[name]
        return apply_function(reduction, inputs, {"axis": 0, **kwargs})
    if method != "__call__" or kwargs:
        raise _unknown(f"np.{name}{'' if method == '__call__' else '.' + method} with {', '.join(kwargs) or 'that'}")
    if name not in TABLE and name not in UFUNCS:
        raise _unknown(f"np.{name}")
    return _element_wise(name, inputs)


def _element_wise(name: str, args: Any) -> Symbol:
    return call(name, *args) if name in TABLE else UFUNCS[name](*args)


def apply_function(function: Any, args: Any, kwargs: Any) -> Any:
    name = f"{function.__module__}.{function.__name__}".replace("numpy.", "np.")
    handler = FUNCTIONS.get(function)
    if handler is None:
        raise _unknown(name)
    try:
        return handler(*args, **kwargs)
    except GnnkitError:
        raise
    except (TypeError, ValueError, IndexError) as error:
        raise ProgramError(
            f"Inside of a message program, {name} takes ({_arguments(handler)}), axes being feature axes. Got "
            f"({', '.join([*map(_brief, args), *(f'{k}={_brief(v)}' for k, v in kwargs.items())])}){caller_line()}: "
            f"{error}. Leave out or change what it does not take."
        ) from error


def _arguments(handler: Callable[..., Any]) -> str:
    """The arguments that a handler takes, as they are written."""
    return ", ".join(str(p.replace(annotation=p.empty)) for p in inspect.signature(handler).parameters.values())


def _brief(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value) if isinstance(value, Symbol | int | float | str | type | None) else type(value).__name__


def apply_named(name: str, args: Any, kwargs: Any) -> Symbol:
    """One of gnnkit's own functions, by the name of its operation."""
    if name in COMPOSED:
        return COMPOSED[name](*args, **kwargs)
    if name in TABLE or name in UFUNCS:
        return _element_wise(name, args)
    if name == "dropout":
        raise ProgramError(
            f"A message program computes the same at every call: no random numbers. Got gk.dropout{caller_line()}. "
            "Drop outside: pass gk.dropout(x, rate), or gk.dropout of ones [num_edges, ...] as a field of the edges to "
            "multiply with."
        )
    raise _unknown(f"{'np' if hasattr(np, name) else 'gk'}.{name}")


def instead_of(method: str) -> str:
    """What to write for a method of arrays that symbols lack."""
    if any(f.__name__ == method for f in FUNCTIONS):
        return f"Write np.{method}(value, ...)."
    if method in ("dtype", "data", "grad", "requires_grad"):
        return "All values are of one floating dtype, the widest among the fields; leave it out."
    return "Use functions of numpy or gnnkit, or compute it outside and pass it as a field."


INSTEAD = {
    "np.remainder": "Write a - b * np.floor(a / b), or another of those that are known",
    "np.fmod": "Write a - b * np.floor(a / b), or another of those that are known",
    "np.floor_divide": "Write np.floor(a / b), or another of those that are known",
    "np.einsum": "Write it with @, or with products and .sum(axis), of those that are known",
}


def _unknown(name: str) -> ProgramError:
    known = sorted({*TABLE, *UFUNCS, *COMPOSED, *(f.__name__ for f in FUNCTIONS)})
    return ProgramError(
        f"Inside of a message program, functions must be known to its compiler. Got {name}{caller_line()}. "
        f"{INSTEAD.get(name, 'Compute it outside and pass it as a field, or make it of those that are known')}: "
        f"{', '.join(known)}."
    )


__all__ = ["apply_function", "apply_named", "apply_ufunc", "truth"]
