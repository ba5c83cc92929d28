"""The element-wise functions of message programs: what numpy computes, the derivative, and what simplifies.

One line each; derivatives are written with symbols, so that they can be differentiated and compiled like what a user
writes. Where a derivative is not unique the choice is that of ``gnnkit.autodiff``. Imports symbols and numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.message.program.build import as_float, call, number
from gnnkit.message.program.symbols import Symbol

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """One element-wise function."""

    forward: Callable[..., Any]  # of arrays
    rules: tuple[Rule | None, ...] = ()  # rule(g, y, *args) -> adjoint of one argument, all symbols
    simplify: Callable[[tuple[Symbol, ...]], Symbol | None] = lambda args: None
    takes: str = "numbers"  # or "anything": masks stay masks
    gives: str = "numbers"  # or "truth"
    flops: float = 1.0  # per element, for plans


def is_number(x: Symbol, value: float) -> bool:
    return x.op == "number" and x.info == value


def _add(args: tuple[Symbol, ...]) -> Symbol | None:
    a, b = args
    if is_number(a, 0.0):
        return b
    return a if is_number(b, 0.0) else None


def _multiply(args: tuple[Symbol, ...]) -> Symbol | None:
    a, b = args
    if is_number(a, 1.0):
        return b
    return a if is_number(b, 1.0) else None


def _divide(args: tuple[Symbol, ...]) -> Symbol | None:
    return args[0] if is_number(args[1], 1.0) else None


def _negative(args: tuple[Symbol, ...]) -> Symbol | None:
    (a,) = args
    return a.args[0] if a.op == "call" and a.info == "negative" else None


def where(condition: Any, a: Any, b: Any) -> Symbol:
    return call("where", condition, a, b)


def truth(mask: Symbol) -> Symbol:
    """1 where the mask is true, else 0."""
    return as_float(mask)


def _winner(g: Symbol, winner: Symbol, loser: Symbol) -> Symbol:
    """The adjoint goes to the winner, one half of it where both are equal."""
    return g * (0.5 * (truth(winner >= loser) + truth(winner > loser)))


def _power_base(g: Symbol, y: Symbol, a: Symbol, b: Symbol) -> Symbol:
    if b.op == "number":
        return g * b.info * call("power", a, b.info - 1) if b.info else g * 0.0
    return g * b * call("power", a, where(b == 0, 1.0, b - 1))


def _power_exponent(g: Symbol, y: Symbol, a: Symbol, b: Symbol) -> Symbol:
    return g * y * call("log", where(a == 0, 1.0, a))


def _sigmoid(x: Any) -> Any:
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.absolute(x)))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.absolute(x)))


def _erf(x: Any) -> Any:
    from scipy.special import erf

    return erf(x)


TABLE: dict[str, Function] = {
    "add": Function(np.add, (lambda g, y, a, b: g, lambda g, y, a, b: g), _add),
    "subtract": Function(
        np.subtract,
        (lambda g, y, a, b: g, lambda g, y, a, b: -g),
        lambda args: args[0] if is_number(args[1], 0.0) else None,
    ),
    "multiply": Function(np.multiply, (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a), _multiply),
    "divide": Function(np.divide, (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b), _divide, flops=4),
    "negative": Function(np.negative, (lambda g, y, x: -g,), _negative),
    "absolute": Function(np.absolute, (lambda g, y, x: g * call("sign", x),)),
    "reciprocal": Function(np.reciprocal, (lambda g, y, x: -g * y * y,), flops=4),
    "square": Function(np.square, (lambda g, y, x: g * (2.0 * x),)),
    "sqrt": Function(np.sqrt, (lambda g, y, x: g / (2.0 * y),), flops=4),
    "power": Function(np.power, (_power_base, _power_exponent), flops=30),
    "exp": Function(np.exp, (lambda g, y, x: g * y,), flops=10),
    "expm1": Function(np.expm1, (lambda g, y, x: g * (y + 1.0),), flops=12),
    "log": Function(np.log, (lambda g, y, x: g / x,), flops=12),
    "log1p": Function(np.log1p, (lambda g, y, x: g / (x + 1.0),), flops=12),
    "sin": Function(np.sin, (lambda g, y, x: g * call("cos", x),), flops=20),
    "cos": Function(np.cos, (lambda g, y, x: -g * call("sin", x),), flops=20),
    "tanh": Function(np.tanh, (lambda g, y, x: g * (1.0 - y * y),), flops=15),
    "sigmoid": Function(_sigmoid, (lambda g, y, x: g * (y * (1.0 - y)),), flops=14),
    "softplus": Function(_softplus, (lambda g, y, x: g * call("sigmoid", x),), flops=20),
    "erf": Function(_erf, (lambda g, y, x: g * (2 / math.sqrt(math.pi)) * call("exp", -(x * x)),), flops=25),
    "arctan2": Function(
        np.arctan2,
        (lambda g, y, a, b: g * b / (a * a + b * b), lambda g, y, a, b: -g * a / (a * a + b * b)),
        flops=30,
    ),
    "relu": Function(lambda x: np.maximum(x, 0), (lambda g, y, x: g * truth(y > 0),)),
    "maximum": Function(np.maximum, (lambda g, y, a, b: _winner(g, a, b), lambda g, y, a, b: _winner(g, b, a))),
    "minimum": Function(np.minimum, (lambda g, y, a, b: _winner(g, b, a), lambda g, y, a, b: _winner(g, a, b))),
    "sign": Function(np.sign, (None,)),
    "floor": Function(np.floor, (None,)),
    "where": Function(
        np.where,
        (None, lambda g, y, c, a, b: where(c, g, 0.0), lambda g, y, c, a, b: where(c, 0.0, g)),
        takes="anything",
    ),
}
for _name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"):
    TABLE[_name] = Function(getattr(np, _name), (None, None), takes="anything", gives="truth")
for _name in ("logical_and", "logical_or", "logical_not"):
    TABLE[_name] = Function(getattr(np, _name), (None, None), takes="anything", gives="truth")
for _name in ("isnan", "isfinite"):
    TABLE[_name] = Function(getattr(np, _name), (None,), gives="truth")


# --- functions made of those above ------------------------------------------------------------------------------------


def leaky_relu(x: Any, slope: float = 0.01) -> Symbol:
    """x where it is positive, ``slope * x`` elsewhere; the derivative at 0 is ``slope``."""
    return x * where(x > 0, 1.0, float(slope)) if slope else call("relu", x)


def elu(x: Any, alpha: float = 1.0) -> Symbol:
    return where(x > 0, x, float(alpha) * call("expm1", call("minimum", where(x > 0, 0.0, x), 0.0)))


def gelu(x: Any) -> Symbol:
    return x * (0.5 + 0.5 * call("erf", x * math.sqrt(0.5)))


def softmax(x: Any, axis: Any = -1) -> Symbol:
    """Softmax over a feature axis."""
    from gnnkit.message.program.build import feature_sum

    e = call("exp", x - _top(x, axis))
    return e / feature_sum(e, axis, True)


def log_softmax(x: Any, axis: Any = -1) -> Symbol:
    from gnnkit.message.program.build import feature_sum

    shifted = x - _top(x, axis)
    return shifted - call("log", feature_sum(call("exp", shifted), axis, True))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
    from gnnkit.message.program.build import feature_sum, reshape

    top = _top(x, axis)
    total = call("log", feature_sum(call("exp", x - top), axis, True)) + top
    return total if keepdims else reshape(total, feature_sum(x, axis, False).shape)


def _top(x: Symbol, axis: Any) -> Symbol:
    from gnnkit.message.program.build import feature_max, stop_gradient

    top = feature_max(x, axis, True)
    return stop_gradient(where(call("isfinite", top), top, 0.0))


COMPOSED: dict[str, Callable[..., Symbol]] = {
    "leaky_relu": leaky_relu,
    "elu": elu,
    "gelu": gelu,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
}
__all__: list[str] = ["COMPOSED", "TABLE", "Function", "is_number", "number", "truth", "where"]
