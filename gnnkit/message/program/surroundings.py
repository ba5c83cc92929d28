"""What a function reads besides its arguments: if that can be told, and is the same, one trace serves for many calls.

A name that a function takes from its surroundings (a global, a variable of the function around it) is followed if it
is a plain value, something of numpy or gnnkit, or a function of which the same holds. All of these together are the
*key* of the function. Anything else (an array, an object, a list) may be another thing at the next call: then there
is no key. Imports nothing of gnnkit.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import math
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

PACKAGES = ("builtins", "gnnkit", "math", "numpy")  # the same at every call, but for these attributes and functions:
CHANGING = frozenset({
    "random", "default_rng", "dropout", "nn", "learn", "datasets", "load", "fromfile", "loadtxt", "genfromtxt",
    "memmap", "empty", "empty_like",
})  # fmt: skip
UNTRUSTED = CHANGING | {"open", "input", "globals", "locals", "vars", "eval", "exec", "__import__"}
PLAIN = (str, bytes, int, bool, type(None), type(Ellipsis), np.dtype)
CHANGES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "LOAD_BUILD_CLASS")
CHANGES_VARIABLE = ("STORE_DEREF", "DELETE_DEREF")  # of an enclosing function
MISSING: Any = object()


class Unknown(Exception):
    """Raised where a function reads something that may change."""


class Surroundings:
    """What one function reads besides its arguments, looked at again at every call."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._last: tuple[_Seen, Any] | None = None

    def key(self) -> Any:
        """Equal keys mean that the function does the same with the same arguments; None that it cannot be told."""
        last = self._last
        if last is None or not last[0].is_same():
            seen = _Seen()
            try:
                last = seen, seen.key_of_function(self._function)
            except Unknown:
                last = seen, None
            self._last = last
        return last[1]


class _Seen:
    """Where each value was found. While the same objects stand there, and these cannot change, neither can the key."""

    def __init__(self) -> None:
        self.names: list[tuple[Any, str, Any]] = []  # (dict, name, value)
        self.cells: list[tuple[Any, Any]] = []  # (variable of an enclosing function, value)
        self.functions: dict[FunctionType, tuple[Any, ...]] = {}

    def is_same(self) -> bool:
        for found, name, value in self.names:
            if found.get(name, MISSING) is not value:
                return False
        for cell, value in self.cells:
            if _content(cell) is not value:
                return False
        for function, (code, defaults) in self.functions.items():
            if function.__code__ is not code or function.__defaults__ is not defaults or function.__dict__:
                return False
        return True

    def key_of_function(self, function: Any) -> Any:
        if type(function) is not FunctionType:
            raise Unknown
        if function in self.functions:
            return ("again", list(self.functions).index(function))  # it calls itself
        self.functions[function] = (function.__code__, function.__defaults__)
        if function.__dict__ or function.__kwdefaults__:
            raise Unknown
        code = function.__code__
        names = _global_names(code)
        if names is None:
            raise Unknown
        return (
            code,
            tuple(self.key_of_global(function.__globals__, name) for name in names),
            tuple(self.key_of_cell(cell) for cell in function.__closure__ or ()),
            tuple(self.key_of(value) for value in function.__defaults__ or ()),
        )

    def key_of_global(self, found: dict[str, Any], name: str) -> Any:
        value = found.get(name, MISSING)
        self.names.append((found, name, value))
        if value is MISSING:
            value = vars(builtins).get(name, MISSING)
            self.names.append((vars(builtins), name, value))
        return self.key_of(value)

    def key_of_cell(self, cell: Any) -> Any:
        value = _content(cell)
        self.cells.append((cell, value))
        return self.key_of(value)

    def key_of(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN or isinstance(value, np.dtype):
            return kind, value
        if kind is float:  # 0.0 is not -0.0, and NaN is itself
            return kind, value, math.copysign(1.0, value) if value == value else "nan"
        if isinstance(value, np.generic) and not isinstance(value, np.object_):
            return kind, value.tobytes()
        if kind is tuple:
            return kind, tuple(self.key_of(v) for v in value)
        if _never_changes(value):
            return kind, value
        return self.key_of_function(value)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def _never_changes(value: Any) -> bool:
    """Whether this is a module, function or class of a package that we know, found there under its own name."""
    if isinstance(value, np.ufunc):
        return True
    if inspect.ismodule(value):
        parts = value.__name__.split(".")
        return parts[0] in PACKAGES and CHANGING.isdisjoint(parts)
    package, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not callable(value) or not isinstance(package, str) or not isinstance(name, str) or name in UNTRUSTED:
        return False
    return package.partition(".")[0] in PACKAGES and getattr(sys.modules.get(package), name, None) is value


@lru_cache(maxsize=1024)
def _global_names(code: CodeType) -> tuple[str, ...] | None:
    """The names that code, and the code inside of it, takes from the globals; None if it also changes something."""
    names: dict[str, None] = {}
    for inner in _codes(code):
        if not CHANGING.isdisjoint(inner.co_names):
            return None
        for instruction in dis.get_instructions(inner):
            operation, name = instruction.opname, instruction.argval
            if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
                names[name] = None
            elif operation == "IMPORT_NAME":
                if name.partition(".")[0] not in PACKAGES:
                    return None
            elif operation in CHANGES or (operation in CHANGES_VARIABLE and name in inner.co_freevars):
                return None
    return tuple(names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)
