"""`Symbol`: one value of a message program, not a number yet but how it is computed. The nodes of the expression graph.

A symbol has a *level*, which says what it has one row of (``src``: senders, ``dst``: receivers, ``edge``, ``graph``, or
``const``: one for all), and a feature shape, without that row axis. Equal expressions are one object, so common
sub-expressions are merged as they are written. Imports the error tree and the function table only.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from gnnkit.errors import InvalidArgumentError, ProgramError, ShapeError

LEVELS = ("const", "graph", "src", "dst", "edge")
FLOAT, BOOL, INT = "f", "b", "i"

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
    """

    __slots__ = ("__weakref__", "args", "info", "kind", "level", "op", "shape")

    op: str
    args: tuple[Symbol, ...]
    info: Any
    level: str
    shape: tuple[int, ...]
    kind: str
    __array_priority__ = 2000

    def __repr__(self) -> str:
        return f"Symbol({describe(self)}, level={self.level}, shape={list(self.shape)})"

    # --- shape ------------------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def T(self) -> Symbol:
        return transpose(self, tuple(reversed(range(self.ndim))))

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError(
                f"Only a value with a feature axis has a length. Got {self!r}, one number. Use it as it is."
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Symbol]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Symbol:
        return getitem(self, index)

    def reshape(self, *shape: Any) -> Symbol:
        return reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)

    def transpose(self, *axes: Any) -> Symbol:
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return transpose(self, axes or tuple(reversed(range(self.ndim))))

    def astype(self, dtype: Any) -> Symbol:
        return as_float(self) if np.dtype(dtype).kind == "f" else self._refuse(f"astype({dtype})")

    def sum(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return feature_sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        total = feature_sum(self, axis, keepdims)
        return total * (max(total.size, 1) / max(self.size, 1))

    def max(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return feature_max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Symbol:
        return -feature_max(-self, axis, keepdims)

    # --- operators --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Symbol:
        return call("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return call("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return call("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return call("subtract", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return call("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return call("multiply", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return call("divide", other, self)

    def __pow__(self, other: Any) -> Symbol:
        if isinstance(other, int | float) and other == 2:
            return call("square", self)
        return call("power", self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return call("power", other, self)

    def __matmul__(self, other: Any) -> Symbol:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Symbol:
        return matmul(other, self)

    def __neg__(self) -> Symbol:
        return call("negative", self)

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return call("absolute", self)

    def __lt__(self, other: Any) -> Symbol:
        return call("less", self, other)

    def __le__(self, other: Any) -> Symbol:
        return call("less_equal", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return call("greater", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return call("greater_equal", self, other)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return call("equal", self, other)

    def __ne__(self, other: object) -> Symbol:  # type: ignore[override]
        return call("not_equal", self, other)

    def __and__(self, other: Any) -> Symbol:
        return call("logical_and", self, other)

    def __rand__(self, other: Any) -> Symbol:
        return call("logical_and", other, self)

    def __or__(self, other: Any) -> Symbol:
        return call("logical_or", self, other)

    def __ror__(self, other: Any) -> Symbol:
        return call("logical_or", other, self)

    def __invert__(self) -> Symbol:
        return call("logical_not", self)

    __hash__ = object.__hash__

    # --- what a symbol is not ---------------------------------------------------------------------------------

    def _refuse(self, what: str) -> NoReturn:
        raise ProgramError(
            f"A message program is written once for all edges, so what it does cannot depend on the values of one. "
            f"Got {what} of {self!r}{caller_line()}. Use np.where(condition, a, b) for a choice, np.maximum or np.clip "
            "for a bound, and pass numbers that steer the program from outside."
        )

    def __bool__(self) -> NoReturn:
        self._refuse("the truth value")

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


# --- building -----------------------------------------------------------------------------------------------------


def make(op: str, args: tuple[Symbol, ...], info: Any, level: str, shape: tuple[int, ...], kind: str = FLOAT) -> Symbol:
    """The one symbol of this description."""
    key = (op, tuple(map(id, args)), info, level, shape, kind)
    found = _interned.get(key)
    if found is not None:
        return found
    new = object.__new__(Symbol)
    new.op, new.args, new.info, new.level, new.shape, new.kind = op, args, info, level, shape, kind
    _interned[key] = new
    return new


def join(levels: set[str]) -> str:
    """The level of what is computed from values of these levels."""
    if "edge" in levels or {"src", "dst"} <= levels:
        return "edge"
    for level in ("dst", "src", "graph"):
        if level in levels:
            return level
    return "const"


def as_symbol(value: Any) -> Symbol:
    """A symbol as it is, a number as a constant, an array or Tensor as one that the running trace captures."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, bool | int | float | np.integer | np.floating | np.bool_):
        return number(float(value))
    from gnnkit.message.program.tracing import capture

    return capture(value)


def number(value: float) -> Symbol:
    return make("number", (), float(value), "const", ())


def as_float(x: Symbol) -> Symbol:
    return x if x.kind == FLOAT else make("cast", (x,), None, x.level, x.shape)


def lift(x: Symbol, level: str) -> Symbol:
    """A value of the graphs, once for every node of that level (``edge``: for every receiver)."""
    if x.level != "graph" or level in ("const", "graph"):
        return x
    side = "src" if level == "src" else "dst"
    return make("lift", (x,), side, side, x.shape, x.kind)


def _together(args: tuple[Symbol, ...]) -> tuple[tuple[Symbol, ...], str]:
    level = join({a.level for a in args})
    return tuple(lift(a, level) for a in args), level


def call(name: str, *values: Any) -> Symbol:
    """Apply an element-wise function of the table."""
    from gnnkit.message.program.table import TABLE

    entry = TABLE[name]
    args = tuple(as_symbol(v) for v in values)
    if entry.takes == "numbers":
        args = tuple(as_float(a) for a in args)
    args, level = _together(args)
    shape = _broadcast(name, args)
    kind = BOOL if entry.gives == "truth" else FLOAT
    if all(a.op == "number" for a in args) and kind == FLOAT:
        with np.errstate(all="ignore"):
            return number(float(entry.forward(*(np.float64(a.info) for a in args))))
    simpler = entry.simplify(args)
    return make("call", args, name, level, shape, kind) if simpler is None else simpler


def _broadcast(name: str, args: tuple[Symbol, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(a.shape for a in args))
    except ValueError:
        raise ShapeError(
            f"The feature shapes of the arguments of {name} must go together. Got "
            f"{', '.join(f'{describe(a)} {list(a.shape)}' for a in args)}{caller_line()}. Axes, compared from the last, "
            "must be equal or 1; add one with x[..., None]."
        ) from None


# --- feature axes ---------------------------------------------------------------------------------------------------


def _axes(x: Symbol, axis: Any) -> tuple[int, ...]:
    """Axes as sorted negative numbers, which mean the same with and without a row axis in front."""
    given = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    found = []
    for a in given:
        a = operator.index(a)
        if not -x.ndim <= a < x.ndim:
            raise ShapeError(
                f"A feature axis lies in [-{x.ndim}, {x.ndim}). Got axis {a} of {x!r}{caller_line()}. Axes count the "
                "features of one edge; reduce over edges with gk.agg."
            )
        found.append(a if a < 0 else a - x.ndim)
    return tuple(sorted(set(found)))


def _without(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    kept = [1 if i - len(shape) in axes else n for i, n in enumerate(shape)]
    return tuple(n for i, n in enumerate(kept) if keepdims or i - len(shape) not in axes)


def feature_sum(x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
    x = as_float(as_symbol(x))
    axes = _axes(x, axis)
    if not axes:
        return x
    total = make("feature_sum", (x,), axes, x.level, _without(x.shape, axes, True))
    return total if keepdims else reshape(total, _without(x.shape, axes, False))


def feature_max(x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
    x = as_float(as_symbol(x))
    axes = _axes(x, axis)
    if not axes:
        return x
    if any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"The largest of no features does not exist. Got axis {axes} of {x!r}. Give it features.")
    best = make("feature_max", (x,), axes, x.level, _without(x.shape, axes, True))
    return best if keepdims else reshape(best, _without(x.shape, axes, False))


def reshape(x: Any, shape: Any) -> Symbol:
    x = as_symbol(x)
    wanted = tuple(operator.index(n) for n in ((shape,) if isinstance(shape, int | np.integer) else shape))
    try:
        wanted = np.broadcast_to(np.empty(()), x.shape).reshape(wanted).shape
    except ValueError:
        raise ShapeError(
            f"A reshape keeps the number of features. Got {x!r} to {list(wanted)}{caller_line()}. Shapes have no row "
            "axis inside of a program."
        ) from None
    if wanted == x.shape:
        return x
    if x.op == "reshape":
        return reshape(x.args[0], wanted)
    return make("reshape", (x,), wanted, x.level, wanted, x.kind)


def transpose(x: Any, axes: Any) -> Symbol:
    x = as_symbol(x)
    axes = tuple(operator.index(a) % max(x.ndim, 1) for a in axes)
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"A transpose names every feature axis once. Got axes {axes} of {x!r}. Name them all.")
    if axes == tuple(range(x.ndim)):
        return x
    return make("transpose", (x,), axes, x.level, tuple(x.shape[a] for a in axes), x.kind)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Symbol:
    x = as_symbol(x)
    if x.shape == shape:
        return x
    return make("broadcast_to", (x,), tuple(shape), x.level, tuple(shape), x.kind)


def getitem(x: Symbol, index: Any) -> Symbol:
    items = index if isinstance(index, tuple) else (index,)
    for item in items:
        if isinstance(item, Symbol):
            item._refuse("an index that is a value")
        if not (item is None or item is Ellipsis or isinstance(item, int | slice | np.integer)):
            raise InvalidArgumentError(
                f"Feature axes are indexed by whole numbers, slices, None and .... Got {item!r}{caller_line()}. "
                "Take features by an array outside of the program."
            )
    items = tuple(int(i) if isinstance(i, np.integer) else i for i in items)
    try:
        picked = np.broadcast_to(np.empty(()), x.shape)[items]
    except IndexError as error:
        raise ShapeError(
            f"An index must fit the feature axes. Got {items} of {x!r}{caller_line()}: {error}. Shapes have no row axis "
            "inside of a program."
        ) from None
    if picked.size == x.size and all(i is None or i is Ellipsis or i == slice(None) for i in items):
        return reshape(x, picked.shape)
    full = _full_index(items, x.ndim)
    plain = tuple(i for i in full if i is not None)
    core = np.broadcast_to(np.empty(()), x.shape)[plain].shape
    found = make("getitem", (x,), _hashable(plain), x.level, core, x.kind)
    return reshape(found, picked.shape)


def _full_index(items: tuple[Any, ...], ndim: int) -> list[Any]:
    used = sum(i is not None and i is not Ellipsis for i in items)
    fill = [slice(None)] * (ndim - used)
    if not any(i is Ellipsis for i in items):
        return [*items, *fill]
    at = next(k for k, i in enumerate(items) if i is Ellipsis)
    return [*items[:at], *fill, *items[at + 1 :]]


def _hashable(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(("slice", i.start, i.stop, i.step) if isinstance(i, slice) else i for i in index)


def index_of(info: tuple[Any, ...]) -> tuple[Any, ...]:
    """The numpy index behind the description that ``getitem`` and ``put`` keep."""
    return tuple(slice(*i[1:]) if isinstance(i, tuple) else i for i in info)


def put(g: Symbol, info: tuple[Any, ...], shape: tuple[int, ...]) -> Symbol:
    """Zeros of ``shape`` with ``g`` at an index: the adjoint of ``getitem``."""
    return make("put", (g,), (info, shape), g.level, shape)


def concatenate(values: Any, axis: int = 0) -> Symbol:
    parts = tuple(as_float(as_symbol(v)) for v in values)
    if not parts:
        raise InvalidArgumentError("concatenate joins at least one value. Got none. Pass a list of them.")
    (axis,) = _axes(parts[0], axis)
    args, level = _together(parts)
    shapes = [a.shape for a in args]
    try:
        shape = np.concatenate([np.broadcast_to(np.empty(()), s) for s in shapes], axis=axis).shape
    except ValueError as error:
        raise ShapeError(
            f"Values are joined along a feature axis if the others agree. Got feature shapes "
            f"{[list(s) for s in shapes]}, axis {axis}{caller_line()}: {error}. Reshape them first."
        ) from None
    return args[0] if len(args) == 1 else make("concatenate", args, axis, level, shape)


def matmul(a: Any, b: Any) -> Symbol:
    a, b = as_float(as_symbol(a)), as_float(as_symbol(b))
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(
            f"The last feature axis of the first factor must be as long as the last but one of the second. Got "
            f"{describe(a)} {list(a.shape)} @ {describe(b)} {list(b.shape)}{caller_line()}. Check the channels."
        )
    if a.ndim == 1:
        left = matmul(reshape(a, (1, *a.shape)), b)
        return reshape(left, (*left.shape[:-2], left.shape[-1]) if b.ndim > 1 else left.shape[:-1])
    if b.ndim == 1:
        right = matmul(a, reshape(b, (*b.shape, 1)))
        return reshape(right, right.shape[:-1])
    args, level = _together((a, b))
    from gnnkit.message.program import rewrite

    found = rewrite.matmul(*args)
    if found is not None:
        return found
    batch = _broadcast("matmul", tuple(make("number", (), 0.0, "const", x.shape[:-2]) for x in args))
    return make("matmul", args, None, level, (*batch, a.shape[-2], b.shape[-1]))


def stop_gradient(x: Symbol) -> Symbol:
    return make("stop", (x,), None, x.level, x.shape, x.kind)


def rows_of(x: Symbol, level: str) -> Symbol:
    """A value of a lower level, with one row for everything of ``level``."""
    return x if x.level == level else make("rows", (lift(x, level),), None, level, x.shape, x.kind)


def aggregate(x: Symbol, reducer: str, to: str) -> Symbol:
    """Sum or maximum over the edges of every receiver (``dst``), sender (``src``) or graph."""
    from gnnkit.message.program import rewrite

    return rewrite.aggregate(lift(as_float(x), "edge"), reducer, to)


def total(x: Symbol, level: str) -> Symbol:
    """Sum over all rows of ``level``."""
    if level == "const":
        return x
    if level == "edge":
        x, level = aggregate(x, "sum", "dst"), "dst"
    return make("total", (rows_of(x, level),), None, "const", x.shape)


def pool(x: Symbol) -> Symbol:
    """Sum over the nodes of every graph."""
    return make("pool", (x,), None, "graph", x.shape)


def contract(a: Symbol, g: Symbol, level: str) -> Symbol:
    """``sum of outer(a[..., i, :], g[..., i, :])`` over rows and leading axes: the gradient of a shared matrix."""
    from gnnkit.message.program import rewrite

    found = rewrite.contract(a, g, level)
    if found is not None:
        return found
    return make("contract", (rows_of(a, level), rows_of(g, level)), level, "const", (a.shape[-1], g.shape[-1]))


def guard(x: Symbol, to: str, fill: float = 1.0) -> Symbol:
    """A factor taken out of a sum at ``to``, with 1 where the sum has no terms: infinity times nothing is nothing."""
    return x if x.level != to else make("guard", (x,), (to, fill), x.level, x.shape)


def degree(level: str = "dst") -> Symbol:
    """Number of edges of each receiver (``dst``), sender (``src``) or graph, as a floating value."""
    return make("degree", (), level, level, ())
