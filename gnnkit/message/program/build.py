"""Building symbols: every operation of a message program, its shape rules and the errors for what does not fit.

Imports symbols, the table and the rewriting of sums and products.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, ProgramError, ShapeError
from gnnkit.message.program.symbols import BOOL as BOOL
from gnnkit.message.program.symbols import FLOAT as FLOAT
from gnnkit.message.program.symbols import INT as INT
from gnnkit.message.program.symbols import Symbol as Symbol
from gnnkit.message.program.symbols import caller_line as caller_line
from gnnkit.message.program.symbols import describe as describe
from gnnkit.message.program.symbols import join as join
from gnnkit.message.program.symbols import make as make


def as_symbol(value: Any) -> Symbol:
    """A symbol as it is, a number as a constant, an array or Tensor as one that the running trace captures."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, bool | int | float | np.integer | np.floating | np.bool_):
        return number(float(value))
    if isinstance(value, list | tuple) and _holds_symbols(value):
        raise ProgramError(
            f"A value of a message program is one array of features. Got a {type(value).__name__} of values"
            f"{caller_line()}. Join them with np.stack or np.concatenate."
        )
    from gnnkit.message.program.tracing import capture

    return capture(value)


def _holds_symbols(value: Any) -> bool:
    return isinstance(value, Symbol) or (isinstance(value, list | tuple) and any(map(_holds_symbols, value)))


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
    if entry.gives == "truth" and any(a.kind == INT for a in args):
        _check_whole(name, args)
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


def _check_whole(name: str, args: tuple[Symbol, ...]) -> None:
    """Numbers in a program are floating: one that integers are compared with must be exact in float32."""
    for a in args:
        if a.op == "number" and abs(a.info) > 2**24:
            raise ProgramError(
                f"Integers are compared with numbers up to 2**24. Got {name} with {a.info:.0f}{caller_line()}. "
                "Compare with a field or a captured array of integers instead."
            )


def of_masks(name: str, *values: Any) -> Symbol:
    """``&``, ``|`` and ``~``, which are defined between masks; on integers numpy works bit by bit."""
    for value in values:
        if not (isinstance(value, Symbol) and value.kind == BOOL) and not isinstance(value, bool | np.bool_):
            raise ProgramError(
                f"&, | and ~ join masks in a message program. Got {value!r}{caller_line()}. Compare numbers first, as "
                "in (src.kind == 1) & (dst.kind == 2)."
            )
    return call(name, *values)


def _broadcast(name: str, args: tuple[Symbol, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(a.shape for a in args))
    except ValueError:
        raise ShapeError(
            f"The feature shapes of the arguments of {name} must go together. Got "
            f"{', '.join(f'{describe(a)} {list(a.shape)}' for a in args)}{caller_line()}. Axes, compared from the "
            "last, must be equal or 1; add one with x[..., None]."
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
        raise ShapeError(
            f"The largest of no features does not exist. Got axis {axes} of {x!r}{caller_line()}. Give it features."
        )
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
        raise ShapeError(
            f"A transpose names every feature axis once. Got axes {axes} of {x!r}{caller_line()}. Name them all; "
            "shapes have no row axis inside of a program."
        )
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
        plain = isinstance(item, int | slice | np.integer) and not isinstance(item, bool)
        if not (item is None or item is Ellipsis or plain):
            raise InvalidArgumentError(
                f"Feature axes are indexed by whole numbers, slices, None and .... Got {item!r}{caller_line()}. "
                "Take features by an array outside of the program."
            )
    items = tuple(int(i) if isinstance(i, np.integer) else i for i in items)
    try:
        picked = np.broadcast_to(np.empty(()), x.shape)[items]
    except IndexError as error:
        raise ShapeError(
            f"An index must fit the feature axes. Got {items} of {x!r}{caller_line()}: {error}. Shapes have no row "
            "axis inside of a program."
        ) from None
    if picked.size == x.size and all(i is None or i is Ellipsis or i == slice(None) for i in items):
        return reshape(x, picked.shape)
    full = _full_index(items, x.ndim)
    kept = tuple(i for i in full if i is not None)
    core = np.broadcast_to(np.empty(()), x.shape)[kept].shape
    found = make("getitem", (x,), _hashable(kept), x.level, core, x.kind)
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


def concatenate(values: Any, axis: int | None = 0) -> Symbol:
    parts = tuple(as_float(as_symbol(v)) for v in values)
    if not parts:
        raise InvalidArgumentError(
            f"concatenate joins at least one value. Got none{caller_line()}. Pass a list of them."
        )
    if axis is None:
        parts, axis = tuple(reshape(p, (p.size,)) for p in parts), 0
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
    if level == "edge" and x.ndim == 1 and _multiplies(x):
        # such edges go in chunks, which add up to one matrix whichever end they are ordered by
        return reshape(contract(broadcast_to(1.0, (1,)), x, "edge"), x.shape)
    if level == "edge":
        x, level = aggregate(x, "sum", "dst"), "dst"
    return make("total", (rows_of(x, level),), None, "const", x.shape)


def _multiplies(x: Symbol) -> bool:
    """Whether a value of the edges takes a matrix product for each of them."""
    seen, stack = set[Symbol](), [x]
    while stack:
        y = stack.pop()
        if y in seen or y.level != "edge":
            continue
        if y.op == "matmul":
            return True
        seen.add(y)
        stack.extend(y.args)
    return False


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
    if x.level == "const":
        if x.op == "number" and math.isfinite(x.info):
            return x
        x = rows_of(x, to)
    return x if x.level != to else make("guard", (x, degree(to)), (to, fill), x.level, x.shape)


def degree(level: str = "dst") -> Symbol:
    """Number of edges of each receiver (``dst``), sender (``src``) or graph, as a floating value."""
    return make("degree", (), level, level, ())
