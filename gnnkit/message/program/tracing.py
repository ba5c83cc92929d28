"""Tracing: call the user's function once with symbols for its fields. Imports symbols and autodiff's Tensor.

What the function captures from its surroundings (parameters of a layer, constants) becomes an input of the program
too, found when it meets a symbol.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnnkit.autodiff import SparseMatrix, as_array, is_tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, ProgramError, UnknownFieldError
from gnnkit.message.program import build as s
from gnnkit.message.program.symbols import Symbol

NAMESPACES = {"src": "src", "dst": "dst", "edge": "edge", "globals": "graph", "params": "const"}
Spec = tuple[tuple[int, ...], str]  # feature shape and kind of a field


@dataclass
class Trace:
    """What a function computes: its outputs, in the structure it returned, and what it captured."""

    outputs: list[Symbol] = field(default_factory=list)
    rebuild: Callable[[list[Any]], Any] = lambda values: values[0]
    captured: list[Any] = field(default_factory=list)


class _Running(threading.local):
    trace: Trace | None = None


_running = _Running()


def is_tracing() -> bool:
    return _running.trace is not None


def capture(value: Any) -> Symbol:
    """An array or Tensor from the surroundings of the program, as an input that is the same for every edge."""
    if isinstance(value, SparseMatrix):
        raise DTypeError(
            f"A message program computes with dense arrays. Got {value!r}{s.caller_line()}. "
            "Multiply it by a weight matrix outside of the program, and pass the product."
        )
    array = as_array(value)
    if array.dtype.kind not in "fbiu":
        raise DTypeError(
            f"A message program computes with numbers. Got {type(value).__name__} of dtype {array.dtype}"
            f"{s.caller_line()}. Convert it, or keep it out of the program."
        )
    if array.ndim == 0 and not is_tensor(value):
        return s.number(float(array))
    trace = _running.trace
    if trace is None:
        raise ProgramError(
            "Symbols live inside of a message program only. One met an array outside of it. Do not keep symbols; "
            "return them, and use the Tensors that the program returns."
        )
    place = next((i for i, known in enumerate(trace.captured) if known is value), len(trace.captured))
    if place == len(trace.captured):
        trace.captured.append(value)
    return input_symbol("captured", place, (array.shape, kind_of(array.dtype)))


def kind_of(dtype: np.dtype[Any]) -> str:
    return {"f": s.FLOAT, "b": s.BOOL}.get(dtype.kind, s.INT)


def input_symbol(namespace: str, name: Any, spec: Spec) -> Symbol:
    level = NAMESPACES.get(namespace, "const")
    return s.make("input", (), (namespace, name), level, spec[0], spec[1])


class Fields:
    """The fields of one end of an edge, as the traced function sees them: ``src.x`` or ``src["x"]``."""

    def __init__(self, namespace: str, specs: Mapping[str, Spec]) -> None:
        self._namespace, self._specs = namespace, specs

    def __getitem__(self, name: str) -> Symbol:
        if name not in self._specs:
            raise UnknownFieldError(
                f"A program reads fields that it is given. It asks for {self._namespace}.{name}{s.caller_line()}; "
                f"given are {sorted(self._specs) or 'none'}. Pass {self._namespace}={{{name!r}: ...}}."
            )
        return input_symbol(self._namespace, name, self._specs[name])

    def __getattr__(self, name: str) -> Symbol:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def keys(self) -> Any:
        return self._specs.keys()

    def __repr__(self) -> str:
        return f"Fields({self._namespace}: {', '.join(self._specs)})"


def arguments_of(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments of a program, which say what it reads."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"A message program is made of a Python function. Got {function!r}. Define one with def."
        ) from error
    unknown = [n for n in names if n not in NAMESPACES]
    if unknown or not names:
        raise InvalidArgumentError(
            f"The arguments of a message program are some of {', '.join(NAMESPACES)}. "
            f"{getattr(function, '__name__', 'It')} has {', '.join(names) or 'none'}. "
            "Rename them; pass parameters through params, or capture them."
        )
    return names


def trace(function: Callable[..., Any], names: list[str], specs: Mapping[str, Mapping[str, Spec]]) -> Trace:
    """Call ``function`` with symbols for the fields of ``specs``, and return what it computes."""
    found = Trace()
    with _tracing(found):
        result = function(**{name: Fields(name, specs.get(name, {})) for name in names})
        if isinstance(result, dict):
            keys = list(result)
            found.outputs = [s.as_symbol(v) for v in result.values()]
            found.rebuild = lambda values: dict(zip(keys, values))
        elif isinstance(result, tuple | list):
            kind = type(result) if type(result) in (tuple, list) else tuple
            found.outputs = [s.as_symbol(v) for v in result]
            found.rebuild = kind
        elif result is None:
            raise ProgramError(
                f"A message program returns what it computes. {getattr(function, '__name__', 'It')} returned nothing. "
                "End it with return gk.agg.sum(...), or another value."
            )
        else:
            found.outputs = [s.as_symbol(result)]
    for output in found.outputs:
        if output.kind != s.FLOAT:
            raise ProgramError(
                f"A message program returns floating values. Got {output!r}. Use np.where(mask, 1.0, 0.0) for a mask."
            )
    return found


@contextlib.contextmanager
def _tracing(trace: Trace) -> Iterator[None]:
    previous, _running.trace = _running.trace, trace
    try:
        yield
    finally:
        _running.trace = previous


def is_closed(function: Callable[..., Any]) -> bool:
    """Whether what the function computes depends on its fields alone: then one trace serves for ever.

    Anything else that it names (a variable of its surroundings, a global that is no module, function or class) may
    be another thing at the next call.
    """
    code = getattr(function, "__code__", None)
    if code is None or function.__closure__ or function.__defaults__ or function.__kwdefaults__:  # type: ignore[attr-defined]
        return False
    return _names_are_fixed(code, function.__globals__)  # type: ignore[attr-defined]


def _names_are_fixed(code: Any, surroundings: Mapping[str, Any]) -> bool:
    for name in code.co_names:
        value = surroundings.get(name)
        fixed = value is None or inspect.ismodule(value) or inspect.isclass(value) or inspect.isbuiltin(value)
        if inspect.isfunction(value) and not value.__module__.startswith(("gnnkit", "numpy")):
            fixed = False  # a helper of the user, which may read anything
        if not (fixed or inspect.isfunction(value) or isinstance(value, np.ufunc)):
            return False
    return not any(inspect.iscode(c) for c in code.co_consts)
