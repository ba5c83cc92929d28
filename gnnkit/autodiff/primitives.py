"""`primitive`: turn a function of arrays into an operation that the tape records. Imports the tape and the Tensor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gnnkit.autodiff.nodes import OPS, Op
from gnnkit.autodiff.tensors import NO_KEYWORDS, Tensor, record
from gnnkit.errors import GradientError


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function of arrays into an operation that is recorded when one of its arguments is a Tensor.

    Parameters
    ----------
    function
        Takes arrays (and anything else, as constants) and returns one array. Positional arguments may be Tensors;
        keyword arguments are static.

    Returns
    -------
    callable
        Arrays in, array out; with a Tensor among the positional arguments, a Tensor out. Give it derivative rules
        with :func:`defvjp`; without a rule an argument counts as a constant.

    Examples
    --------
    See :func:`defvjp`.
    """
    op = Op(function.__name__, function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for value in kwargs.values():
            if isinstance(value, Tensor):
                args, kwargs = _positional(function, args, kwargs)
                break
        for value in args:
            if isinstance(value, Tensor):
                return record(op, args, kwargs or NO_KEYWORDS)
        for value in args:
            if hasattr(value, "__gnnkit_function__"):  # a value of a message program, which is traced
                return value.__gnnkit_function__(op.name, args, kwargs)
        return function(*args, **kwargs)

    call.op = op  # type: ignore[attr-defined]
    OPS[call] = op
    return call


def _positional(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """Move a Tensor that was passed by keyword to its position, where the rules expect it."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    for name, value in bound.kwargs.items():
        if isinstance(value, Tensor) and value.requires_grad:
            raise GradientError(
                f"Keyword arguments of an operation are constants. {function.__name__} got a Tensor that requires a "
                f"gradient as {name}=. Pass it by position, or pass {name}.detach()."
            )
    static = {k: v.data if isinstance(v, Tensor) else v for k, v in bound.kwargs.items()}
    return bound.args, static
