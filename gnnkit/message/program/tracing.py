"""Tracing: call the user's function once with symbols for its fields. Imports symbols and autodiff's Tensor.

What the function captures from its surroundings (parameters of a layer, constants) becomes an input of the program
too, found when it meets a symbol.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from gnnkit.autodiff import SparseMatrix, as_array, is_tensor
from gnnkit.errors import DTypeError, ImmutableError, InvalidArgumentError, ProgramError, UnknownFieldError
from gnnkit.message.program import build as s
from gnnkit.message.program.derive import topological
from gnnkit.message.program.symbols import Symbol, check_own, running

NAMESPACES = {"src": "src", "dst": "dst", "edge": "edge", "globals": "graph", "params": "const"}
Spec = tuple[tuple[int, ...], str]  # feature shape and kind of a field


@dataclass
class Trace:
    """What a function computes.

    Attributes
    ----------
    outputs : tuple of Symbol
    rebuild : callable
        Puts the values of the outputs into the structure that the function returned.
    captured : list
        Arrays and Tensors that it met.
    inputs : tuple of Symbol
        What the outputs depend on: fields, and what was captured.
    borrowed : tuple of bool
        Which outputs may share the memory of an input, or of something else that is kept.
    is_wide : bool
        Whether a captured array is of float64, so that the program is computed in it.
    """

    outputs: tuple[Symbol, ...] = ()
    rebuild: Callable[[list[Any]], Any] = lambda values: values[0]
    captured: list[Any] = field(default_factory=list)
    inputs: tuple[Symbol, ...] = ()
    borrowed: tuple[bool, ...] = ()
    is_wide: bool = False


def is_tracing() -> bool:
    return running.trace is not None


def capture(value: Any) -> Symbol:
    """An array or Tensor from the surroundings of the program, as an input that is the same for every edge."""
    if isinstance(value, SparseMatrix):
        raise DTypeError(
            f"A message program computes with dense arrays. Got {value!r}{s.caller_line()}. "
            "Multiply it by a weight matrix outside of the program, and pass the product."
        )
    if isinstance(value, Fields):
        value._no_value()
    array = as_array(value)
    if array.dtype.kind not in "fbiu":
        raise DTypeError(
            f"A message program computes with numbers. Got {type(value).__name__} of dtype {array.dtype}"
            f"{s.caller_line()}. Convert it, or keep it out of the program."
        )
    if array.ndim == 0 and not is_tensor(value):
        return s.number(float(array))
    value = value if is_tensor(value) else array
    trace = running.trace
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
            close = difflib.get_close_matches(str(name), list(self._specs), n=1)
            advice = (
                f"Did you mean {self._namespace}.{close[0]}?" if close else f"Pass {self._namespace}={{{name!r}: ...}}."
            )
            raise UnknownFieldError(
                f"A program reads fields that it is given. It asks for {self._namespace}.{name}{s.caller_line()}; "
                f"given are {sorted(self._specs) or 'none'}. {advice}"
            )
        return input_symbol(self._namespace, name, self._specs[name])

    def __getattr__(self, name: str) -> Symbol:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self[name] = value
        super().__setattr__(name, value)

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        raise ImmutableError(
            f"Fields are what a program is given. Got an assignment to {self._namespace}.{name}{s.caller_line()}. "
            "Give the value a name of its own."
        )

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def keys(self) -> Any:
        return self._specs.keys()

    def _no_value(self, *other: Any) -> NoReturn:
        raise ProgramError(
            f"A message program computes with fields. Got {self!r} itself{s.caller_line()}. Name one of its fields, as "
            f"in {self._namespace}.{next(iter(self._specs), 'x')}."
        )

    __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = __neg__ = _no_value
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __array__ = __array_ufunc__ = _no_value

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
            keys, values = list(result), list(result.values())
            found.rebuild = lambda values: dict(zip(keys, values))
        elif isinstance(result, tuple | list):
            values = list(result)
            found.rebuild = type(result) if type(result) in (tuple, list) else tuple
        else:
            values = [result]
        name = getattr(function, "__name__", "It")
        found.outputs = tuple(_output(name, value, len(values)) for value in values)
        order = topological(found.outputs)
        if not any(x.op in ("aggregate", "degree") or x.level == "edge" for x in order):
            raise ProgramError(
                f"A message program sends something along the edges. {name} neither aggregates with gk.agg nor "
                "returns a value per edge, only values of one side. Write return gk.agg.sum(...), or compute it "
                "without a program."
            )
        found.inputs = tuple(x for x in order if x.op == "input")
    seen: set[Symbol] = set()
    borrowed = []
    for x in found.outputs:  # two outputs that come to the same value are two arrays
        borrowed.append(_borrows(x) or x in seen)
        seen.add(x)
    found.borrowed = tuple(borrowed)
    found.is_wide = any(as_array(v).dtype.itemsize > 4 for v in found.captured if v.ndim and v.dtype.kind == "f")
    return found


def _output(name: str, value: Any, count: int) -> Symbol:
    """One value that a program returns; one that depends on no node at all has a row per receiver."""
    if value is None and count == 1:
        raise ProgramError(
            f"A message program returns what it computes. {name} returned nothing. "
            "End it with return gk.agg.sum(...), or another value."
        )
    if value is None or isinstance(value, dict | tuple | list | str | Fields):
        what = repr(value) if isinstance(value, Fields | str) else type(value).__name__
        raise ProgramError(
            f"A message program returns one value, or a tuple or dict of values. {name} returned {what} among them. "
            "Return values of fields, side by side in one tuple or dict, or joined with np.stack or np.concatenate."
        )
    output = s.as_symbol(value)
    check_own(output)
    if output.kind != s.FLOAT:
        raise ProgramError(
            f"A message program returns floating values. {name} returned {output!r}. "
            "Use np.where(mask, 1.0, 0.0) for a mask."
        )
    return s.rows_of(output, "dst") if output.level == "const" else output


VIEWS = ("broadcast_to", "custom", "getitem", "guard", "reshape", "rows", "stop", "transpose")  # of numpy, maybe


def _borrows(x: Symbol) -> bool:
    if x.op in ("rows", "broadcast_to"):
        return True  # all rows may be one piece of memory
    return _borrows(x.args[0]) if x.op in VIEWS else x.op in ("input", "number", "degree")


@contextlib.contextmanager
def _tracing(trace: Trace | None) -> Iterator[None]:
    previous = running.trace, running.made
    running.trace, running.made = trace, None if trace is None else set()
    try:
        yield
    finally:
        running.trace, running.made = previous


def not_tracing() -> contextlib.AbstractContextManager[None]:
    """A program that a program calls with numbers runs for itself."""
    return _tracing(None)
