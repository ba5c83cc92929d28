"""The derivative of a message program is a message program: symbols in, symbols out. Imports symbols and the table.

Adjoints flow from the outputs to the inputs. What reaches a value of the senders from the level of the edges is a sum
over the edges that leave it, which runs on the transposed topology; for receivers, over those that enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gnnkit.errors import GradientError
from gnnkit.message.program import build as s
from gnnkit.message.program.build import call
from gnnkit.message.program.symbols import Symbol
from gnnkit.message.program.table import TABLE, truth, where

# (where it comes from, adjoint): an adjoint from the level of the edges counts once for every edge
Contribution = tuple[str, Symbol]


def topological(
    outputs: Sequence[Symbol],
    stop: Callable[[Symbol], bool] = lambda x: False,
    reads: Callable[[Symbol], tuple[Symbol, ...]] = lambda x: x.args,
) -> list[Symbol]:
    """All symbols that ``outputs`` are made of, each after what it reads; nothing behind those that ``stop``."""
    order: list[Symbol] = []
    seen: set[Symbol] = set()
    stack = [(o, False) for o in reversed(outputs)]
    while stack:
        symbol, ready = stack.pop()
        if ready:
            order.append(symbol)
        elif symbol not in seen:
            seen.add(symbol)
            stack.append((symbol, True))
            if not stop(symbol):
                stack.extend((a, False) for a in reversed(reads(symbol)) if a not in seen)
    return order


def adjoints(outputs: Sequence[Symbol], seeds: Sequence[Symbol], wrt: Sequence[Symbol]) -> list[Symbol | None]:
    """Adjoints of ``wrt``, given those of ``outputs``; None where an output does not depend on it."""
    order = topological(outputs)
    asked = set(wrt)
    wanted = set(wrt)
    for symbol in order:
        if symbol.op != "stop" and any(a in wanted for a in symbol.args):
            wanted.add(symbol)
    found: dict[Symbol, list[Contribution]] = {}
    for output, seed in zip(outputs, seeds):
        found.setdefault(output, []).append((output.level, seed))
    results: dict[Symbol, Symbol] = {}
    for symbol in reversed(order):
        if symbol not in wanted or symbol not in found:
            continue
        g = _collect(symbol, found.pop(symbol))
        if symbol in asked:
            results[symbol] = s.rows_of(g, symbol.level)
        for argument, contributions in _propagate(symbol, g, wanted):
            found.setdefault(argument, []).extend(contributions)
    return [results.get(symbol) for symbol in wrt]


def _collect(symbol: Symbol, contributions: list[Contribution]) -> Symbol:
    """One adjoint, of the level and shape of ``symbol``."""
    by_level: dict[str, Symbol] = {}
    for level, g in contributions:
        g = s.broadcast_to(unbroadcast(g, symbol.shape), symbol.shape)
        by_level[level] = by_level[level] + g if level in by_level else g
    result: Symbol | None = None
    for level, g in by_level.items():
        if level == symbol.level:
            part = g
        elif symbol.level == "const":
            part = s.total(g, level)
        elif level == "edge":
            part = s.aggregate(g, "sum", symbol.level)
        else:  # of the nodes, for a value of the graphs: lift is an operation of its own
            part = s.pool(s.rows_of(g, level))
        result = part if result is None else result + part
    assert result is not None
    return result


def unbroadcast(g: Symbol, shape: tuple[int, ...]) -> Symbol:
    """Sum an adjoint over the axes along which its argument of ``shape`` was broadcast."""
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1)
    if extra < 0 or not axes:
        return g
    return s.reshape(s.feature_sum(g, axes, True), shape)


def _propagate(y: Symbol, g: Symbol, wanted: set[Symbol]) -> list[tuple[Symbol, list[Contribution]]]:
    if y.op in LINEAR:
        (x,) = y.args[:1]
        return [(x, LINEAR[y.op](g, y, x))] if x in wanted else []
    if y.op == "custom":
        return [(y.args[1], CUSTOM[y.info[0]](g, y, y.args[1], y.info[1]))] if y.args[1] in wanted else []
    if y.op in RULES:
        return [(a, RULES[y.op](i, g, y)) for i, a in enumerate(y.args) if a in wanted]
    if y.op == "call":
        rules = TABLE[y.info].rules
        return [
            (a, [(y.level, rule(g, y, *y.args))])
            for a, rule in zip(y.args, rules)
            if rule is not None and a in wanted and a.kind == s.FLOAT
        ]
    if y.op in ("input", "number", "degree", "eps", "cast", "stop"):
        return []
    raise GradientError(f"A program operation must have a derivative. {y.op} has none. Keep it out of what is learnt.")


# --- operations of one argument: rule(g, y, x) -> contributions -----------------------------------------------------


def _aggregate(g: Symbol, y: Symbol, x: Symbol) -> list[Contribution]:
    reducer, to = y.info
    g = s.lift(g, "edge")
    if reducer == "sum":
        return [("edge", g)]
    if reducer == "prod":
        return [("edge", g * product_of_others(x, to))]
    wins = _ties(x, y)
    shares = g / call("maximum", s.aggregate(wins, "sum", to), 1.0)
    return [("edge", shares * wins)]


def _ties(x: Symbol, y: Symbol) -> Symbol:
    """1 where x is the maximum y, NaN being equal to NaN."""
    return truth((x == y) | (call("isnan", x) & call("isnan", y)))


def _feature_max(g: Symbol, y: Symbol, x: Symbol) -> list[Contribution]:
    wins = _ties(x, y)
    return [(y.level, g / s.feature_sum(wins, y.info, True) * wins)]


LINEAR: dict[str, Callable[[Symbol, Symbol, Symbol], list[Contribution]]] = {
    "aggregate": _aggregate,
    "feature_max": _feature_max,
    "feature_sum": lambda g, y, x: [(y.level, s.broadcast_to(g, x.shape))],
    "reshape": lambda g, y, x: [(y.level, s.reshape(g, x.shape))],
    "transpose": lambda g, y, x: [(y.level, s.transpose(g, tuple(np.argsort(y.info))))],
    "broadcast_to": lambda g, y, x: [(y.level, unbroadcast(g, x.shape))],
    "getitem": lambda g, y, x: [(y.level, s.put(g, y.info, x.shape))],
    "put": lambda g, y, x: [(y.level, s.reshape(s.getitem(g, s.index_of(y.info[0])), x.shape))],
    "rows": lambda g, y, x: [(y.level, g)],
    "guard": lambda g, y, x: [(y.level, s.guard(s.rows_of(g, y.level), y.info[0], 0.0))],
    "total": lambda g, y, x: [(x.level, g)],
    "lift": lambda g, y, x: [(y.level, g)],
    "pool": lambda g, y, x: [(x.level, s.lift(g, x.level))],
}


# --- operations of several ------------------------------------------------------------------------------------------


def _concatenate(i: int, g: Symbol, y: Symbol) -> list[Contribution]:
    start = sum(a.shape[y.info] for a in y.args[:i])
    index = (..., slice(start, start + y.args[i].shape[y.info]), *[slice(None)] * (-y.info - 1))
    return [(y.level, s.getitem(g, index))]


def _matmul(i: int, g: Symbol, y: Symbol) -> list[Contribution]:
    a, b = y.args
    if i == 0:
        return [(y.level, s.matmul(g, swap_last(b)))]
    if b.level == "const" and b.ndim == 2 and y.level != "const":
        return [("const", s.contract(a, g, y.level))]
    return [(y.level, s.matmul(swap_last(a), g))]


def _contract(i: int, g: Symbol, y: Symbol) -> list[Contribution]:
    a, b = y.args
    return [(y.info, s.matmul(b, swap_last(g)) if i == 0 else s.matmul(a, g))]


def swap_last(x: Symbol) -> Symbol:
    return s.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


RULES: dict[str, Callable[[int, Symbol, Symbol], list[Contribution]]] = {
    "concatenate": _concatenate,
    "matmul": _matmul,
    "contract": _contract,
}


# --- values with a derivative of their own: rule(g, y, x, to) -> contributions at the level of the edges -------------


def _mean(x: Symbol, to: str) -> Symbol:
    return s.aggregate(x, "sum", to) / call("maximum", s.degree(to), 1.0)


def _variance(g: Symbol, y: Symbol, x: Symbol, to: str) -> list[Contribution]:
    scale = g * (2.0 / call("maximum", s.degree(to), 1.0))
    return [("edge", scale * (x - _mean(x, to)))]


def _deviation(g: Symbol, y: Symbol, x: Symbol, to: str) -> list[Contribution]:
    # A constant segment is a kink with the subgradient 0, also where rounding has left a spread of a few units.
    mean = _mean(x, to)
    spread = y > 4.0 * s.make("eps", (), None, "const", ()) * call("absolute", mean)
    scale = where(spread, g, 0.0) / (call("maximum", s.degree(to), 1.0) * where(spread, y, 1.0))
    return [("edge", scale * (x - mean))]


def _zeros(x: Symbol, to: str) -> tuple[Symbol, Symbol, Symbol, Symbol]:
    """Which entries are zero, how many of the segment, the product of the others, and safe divisors."""
    zero = x == 0
    factors = where(zero, 1.0, x)
    return zero, s.aggregate(truth(zero), "sum", to), s.aggregate(factors, "prod", to), factors


def product_of_others(x: Symbol, to: str) -> Symbol:
    """Product of all messages of a segment but one's own."""
    zero, zeros, product, factors = _zeros(x, to)
    others = where(zero, where(zeros == 1, product, 0.0), where(zeros == 0, product / factors, 0.0))
    return s.make("custom", (others, x), ("others", to), "edge", x.shape)


def _others(g: Symbol, y: Symbol, x: Symbol, to: str) -> list[Contribution]:
    zero, zeros, product, factors = _zeros(x, to)
    ratio = where(zero, 0.0, g / factors)
    ratios, at_zeros = s.aggregate(ratio, "sum", to), s.aggregate(where(zero, g, 0.0), "sum", to)
    none = product / factors * (ratios - ratio)
    one = where(zero, product * ratios, at_zeros * product / factors)
    two = where(zero, product * (at_zeros - g), 0.0)
    return [("edge", where(zeros == 0, none, where(zeros == 1, one, where(zeros == 2, two, 0.0))))]


CUSTOM: dict[str, Callable[[Symbol, Symbol, Symbol, str], list[Contribution]]] = {
    "var": _variance,
    "std": _deviation,
    "others": _others,
}
