"""`Symbol`: one value of a message program, not a number yet but how it is computed. The nodes of the expression graph.

A symbol has a *level*, which says what it has one row of (``src``: senders, ``dst``: receivers, ``edge``, ``graph``, or
``const``: one for all), and a feature shape, without that row axis. Equal expressions are one object, so common
sub-expressions are merged as they are written. Imports the error tree and the function table only.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from gnnkit.errors import ImmutableError, ProgramError, ShapeError, UnknownFieldError

LEVELS = ("const", "graph", "src", "dst", "edge")
FLOAT, BOOL, INT = "f", "b", "i"


class Running(threading.local):
    """What this thread is tracing now: None, or the trace, and every symbol that it has made."""

    trace: Any = None
    made: set[Symbol] | None = None


running = Running()

_interned: weakref.WeakValueDictionary[Any, Symbol] = weakref.WeakValueDictionary()


class Symbol:
    """A value of a message program.

    Attributes
    ----------
    op : str
        What makes it: ``input``, ``number``, ``call`` (a function of the table), ``aggregate``, ...
    args : tuple of Symbol
    info
        What else the operation needs: a name, an axis, an index, a number.
    level : str
        What it has one value of: ``const``, ``graph``, ``src``, ``dst`` or ``edge``.
    shape : tuple of int
        Feature axes.
    kind : str
        ``f`` floating, ``b`` boolean, ``i`` integer.
    ndim, size : int
        Number of feature axes, and of features.
    """

    __slots__ = ("__weakref__", "args", "info", "kind", "level", "ndim", "op", "shape", "size")

    op: str
    args: tuple[Symbol, ...]
    info: Any
    level: str
    shape: tuple[int, ...]
    kind: str
    ndim: int
    size: int
    __array_priority__ = 2000

    def __repr__(self) -> str:
        return f"Symbol({describe(self)}, level={self.level}, shape={list(self.shape)})"

    # --- shape ------------------------------------------------------------------------------------------------

    @property
    def T(self) -> Symbol:
        return build.transpose(self, tuple(reversed(range(self.ndim))))

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError(
                f"Only a value with a feature axis has a length. Got {self!r}, one number. Use it as it is."
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Symbol]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Symbol:
        return build.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise ImmutableError(
            f"Values of a message program never change. Got an assignment to {self!r}[{index!r}]{caller_line()}. "
            "Make a new value, with np.where, np.concatenate or np.stack."
        )

    def reshape(self, *shape: Any) -> Symbol:
        return build.reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)

    def transpose(self, *axes: Any) -> Symbol:
        named = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return build.transpose(self, named or tuple(reversed(range(self.ndim))))

    def astype(self, dtype: Any) -> Symbol:
        return build.as_float(self) if np.dtype(dtype).kind == "f" else self._refuse(f"astype({dtype})")

    def sum(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return build.feature_sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        total = build.feature_sum(self, axis, keepdims)
        return total * (max(total.size, 1) / max(self.size, 1))

    def max(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return build.feature_max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return -build.feature_max(-self, axis, keepdims)

    # --- operators --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Symbol:
        return build.call("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return build.call("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return build.call("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return build.call("subtract", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return build.call("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return build.call("multiply", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return build.call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return build.call("divide", other, self)

    def __pow__(self, other: Any) -> Symbol:
        if isinstance(other, int | float) and other == 2:
            return build.call("square", self)
        return build.call("power", self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return build.call("power", other, self)

    def __matmul__(self, other: Any) -> Symbol:
        return build.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Symbol:
        return build.matmul(other, self)

    def __neg__(self) -> Symbol:
        return build.call("negative", self)

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return build.call("absolute", self)

    def __lt__(self, other: Any) -> Symbol:
        return build.call("less", self, other)

    def __le__(self, other: Any) -> Symbol:
        return build.call("less_equal", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return build.call("greater", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return build.call("greater_equal", self, other)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return build.call("equal", self, other)

    def __ne__(self, other: object) -> Symbol:  # type: ignore[override]
        return build.call("not_equal", self, other)

    def __and__(self, other: Any) -> Symbol:
        return build.of_masks("logical_and", self, other)

    def __rand__(self, other: Any) -> Symbol:
        return build.of_masks("logical_and", other, self)

    def __or__(self, other: Any) -> Symbol:
        return build.of_masks("logical_or", self, other)

    def __ror__(self, other: Any) -> Symbol:
        return build.of_masks("logical_or", other, self)

    def __invert__(self) -> Symbol:
        return build.of_masks("logical_not", self)

    def __mod__(self, other: Any) -> NoReturn:
        self._no_operator("%", "a - b * np.floor(a / b)")

    def __floordiv__(self, other: Any) -> NoReturn:
        self._no_operator("//", "np.floor(a / b)")

    def __xor__(self, other: Any) -> NoReturn:
        self._no_operator("^", "a != b for masks, a ** b for powers")

    __rmod__, __rfloordiv__, __rxor__ = __mod__, __floordiv__, __xor__
    __hash__ = object.__hash__

    # --- what a symbol is not ---------------------------------------------------------------------------------

    def _no_operator(self, sign: str, instead: str) -> NoReturn:
        raise ProgramError(
            f"Values of a message program take +, -, *, /, **, @, comparisons, &, | and ~. Got {sign} on {self!r}"
            f"{caller_line()}. Write {instead}."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what numpy and others ask to find out what this is
            raise AttributeError(name)
        from gnnkit.message.program import functions

        raise UnknownFieldError(
            "A value of a message program has shape, size, T, reshape, transpose, astype, sum, mean, max and min. "
            f"Got .{name} of {self!r}{caller_line()}. {functions.instead_of(name)}"
        )

    def _refuse(self, what: str) -> NoReturn:
        raise ProgramError(
            f"A message program is written once for all edges, so what it does cannot depend on the values of one. "
            f"Got {what} of {self!r}{caller_line()}. Use np.where(condition, a, b) for a choice, &, | and ~ "
            "between masks, np.maximum or np.clip for a bound, and pass numbers that steer the program from outside."
        )

    def __bool__(self) -> NoReturn:
        self._refuse("the truth value (if, and, or, not, max)")

    def __float__(self) -> NoReturn:
        self._refuse("the number")

    __int__ = __index__ = __complex__ = __float__

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("the array")

    def item(self) -> NoReturn:
        self._refuse("the number")

    # --- numpy's protocols and gnnkit's own functions -----------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Symbol:
        from gnnkit.message.program import functions

        return functions.apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from gnnkit.message.program import functions

        return functions.apply_function(function, args, kwargs)

    def __gnnkit_function__(self, name: str, args: Any, kwargs: Any) -> Symbol:
        from gnnkit.message.program import functions

        return functions.apply_named(name, args, kwargs)


def caller_line() -> str:
    """Where the user's code is: the innermost frame outside of gnnkit and numpy."""
    import sys

    frame: Any = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("gnnkit.message", "gnnkit.autodiff", "numpy")):
            return f" in {frame.f_code.co_name}, line {frame.f_lineno} of {frame.f_code.co_filename}"
        frame = frame.f_back
    return ""


def describe(symbol: Symbol) -> str:
    """One symbol in a few words, for error texts and plans."""
    if symbol.op == "input":
        return ".".join(str(part) for part in symbol.info[:2])
    if symbol.op == "number":
        return f"{symbol.info:g}"
    name = symbol.info if symbol.op == "call" else symbol.op
    if symbol.op == "aggregate":
        name = f"{symbol.info[0]} to {ROWS[symbol.info[1]]}"
    return f"{name}({', '.join(describe(a) if a.op in ('input', 'number') else '...' for a in symbol.args)})"


ROWS = {"const": "all", "graph": "graphs", "src": "senders", "dst": "receivers", "edge": "edges"}
ROWS["chunk"] = "the edges of a chunk"


def make(op: str, args: tuple[Symbol, ...], info: Any, level: str, shape: tuple[int, ...], kind: str = FLOAT) -> Symbol:
    """The one symbol of this description."""
    made = running.made
    if made is not None:
        for argument in args:
            check_own(argument)
    what = info.hex() if op == "number" else info  # 0.0 == -0.0, and NaN is not NaN
    key = (op, tuple(map(id, args)), what, level, shape, kind)
    found = _interned.get(key)
    if found is None:
        found = object.__new__(Symbol)
        found.op, found.args, found.info, found.level, found.shape, found.kind = op, args, info, level, shape, kind
        found.ndim, found.size = len(shape), math.prod(shape)
        _interned[key] = found
    if made is not None:
        made.add(found)
    return found


def check_own(symbol: Symbol) -> None:
    """A symbol that the user kept from another program stands for inputs of that program: refuse it."""
    if running.made is not None and symbol not in running.made:
        raise ProgramError(
            f"A value of a message program belongs to the one run of the function that made it. Got {symbol!r}, kept "
            f"from another one{caller_line()}. Do not store values of programs; return them, or compute them again."
        )


def join(levels: set[str]) -> str:
    """The level of what is computed from values of these levels."""
    if "edge" in levels or {"src", "dst"} <= levels:
        return "edge"
    for level in ("dst", "src", "graph"):
        if level in levels:
            return level
    return "const"


from gnnkit.message.program import build  # noqa: E402  (the operators above build symbols, which need the class)
