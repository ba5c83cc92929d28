"""Rules of elementwise functions: one line each where the derivative is easy. Imports the tape, numpy, primitives.

Conventions where a derivative is not unique: ``abs`` has 0 at 0, ``maximum`` and ``minimum`` give one half to each of
two equal arguments. `g` is the adjoint of the result `y`; `keep` says which values the rules read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.autodiff.nodes import STEPS, defvjp, implements
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.tensors import as_array

LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))

# --- arithmetic -------------------------------------------------------------------------------------------------
defvjp(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g, keep="")
defvjp(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g, keep="")
defvjp(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, keep="01")
defvjp(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, keep="1y")
defvjp(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b), keep="01")
defvjp(np.negative, lambda g, y, x: -g, keep="")
defvjp(np.positive, lambda g, y, x: g, keep="")
defvjp(np.absolute, lambda g, y, x: g * np.sign(x), keep="0")
defvjp(np.fabs, lambda g, y, x: g * np.sign(x), keep="0")
defvjp(np.reciprocal, lambda g, y, x: -g * y * y, keep="y")

# --- powers and roots -------------------------------------------------------------------------------------------
defvjp(np.square, lambda g, y, x: g * (2 * x), keep="0")
defvjp(np.sqrt, lambda g, y, x: g / (2 * y), keep="y")
defvjp(np.cbrt, lambda g, y, x: g / (3 * y * y), keep="y")


def _power_base(g: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(b, int | float):
        return g * b * np.power(a, b - 1) if b else g * np.zeros_like(a)
    # where b = 0 the derivative is 0, also at a = 0 where a ** (b - 1) is infinite
    zero = as_array(b) == 0
    return g * b * np.power(a, np.where(zero, 1.0, b - 1)) if zero.any() else g * b * np.power(a, b - 1)


def _power_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    zero = as_array(a) == 0  # 0 ** b stays 0 for every b > 0
    return g * y * np.log(np.where(zero, 1.0, a) if zero.any() else a)


defvjp(np.power, _power_base, _power_exponent, keep="01y")
defvjp(np.float_power, _power_base, _power_exponent, keep="01y")

# --- exponentials and logarithms --------------------------------------------------------------------------------
defvjp(np.exp, lambda g, y, x: g * y, keep="y")
defvjp(np.exp2, lambda g, y, x: g * y * LN2, keep="y")
defvjp(np.expm1, lambda g, y, x: g * (y + 1), keep="y")
defvjp(np.log, lambda g, y, x: g / x, keep="0")
defvjp(np.log2, lambda g, y, x: g / (x * LN2), keep="0")
defvjp(np.log10, lambda g, y, x: g / (x * LN10), keep="0")
defvjp(np.log1p, lambda g, y, x: g / (x + 1), keep="0")


def _log_weight(a: Any, y: Any) -> Any:
    """Share exp(a - y) of a in a log-sum-exp y, 0 where both are -inf."""
    return np.exp(a - np.where(np.isneginf(as_array(y)), 0.0, y))


defvjp(np.logaddexp, lambda g, y, a, b: g * _log_weight(a, y), lambda g, y, a, b: g * _log_weight(b, y), keep="01y")
defvjp(
    np.logaddexp2,
    lambda g, y, a, b: g * _log_weight(a * LN2, y * LN2),
    lambda g, y, a, b: g * _log_weight(b * LN2, y * LN2),
    keep="01y",
)

# --- trigonometry -----------------------------------------------------------------------------------------------
defvjp(np.sin, lambda g, y, x: g * np.cos(x), keep="0")
defvjp(np.cos, lambda g, y, x: -g * np.sin(x), keep="0")
defvjp(np.tan, lambda g, y, x: g * (1 + y * y), keep="y")
defvjp(np.arcsin, lambda g, y, x: g / np.sqrt(1 - x * x), keep="0")
defvjp(np.arccos, lambda g, y, x: -g / np.sqrt(1 - x * x), keep="0")
defvjp(np.arctan, lambda g, y, x: g / (1 + x * x), keep="0")
defvjp(
    np.arctan2,
    lambda g, y, a, b: g * b / (a * a + b * b),
    lambda g, y, a, b: -g * a / (a * a + b * b),
    keep="01",
)
defvjp(np.sinh, lambda g, y, x: g * np.cosh(x), keep="0")
defvjp(np.cosh, lambda g, y, x: g * np.sinh(x), keep="0")
defvjp(np.tanh, lambda g, y, x: g * ((1 - y) * (1 + y)), keep="y")
defvjp(np.arcsinh, lambda g, y, x: g / np.sqrt(x * x + 1), keep="0")
defvjp(np.arccosh, lambda g, y, x: g / np.sqrt(x * x - 1), keep="0")
defvjp(np.arctanh, lambda g, y, x: g / (1 - x * x), keep="0")
defvjp(np.deg2rad, lambda g, y, x: g * float(np.pi / 180), keep="")
defvjp(np.radians, lambda g, y, x: g * float(np.pi / 180), keep="")
defvjp(np.rad2deg, lambda g, y, x: g * float(180 / np.pi), keep="")
defvjp(np.degrees, lambda g, y, x: g * float(180 / np.pi), keep="")


def _hypot_share(g: Any, y: Any, x: Any) -> Any:
    return g * x / np.where(as_array(y) == 0, 1.0, y)  # 0 at the origin


defvjp(np.hypot, lambda g, y, a, b: _hypot_share(g, y, a), lambda g, y, a, b: _hypot_share(g, y, b), keep="01y")


# --- choices ----------------------------------------------------------------------------------------------------
def _winner(g: Any, winner: Any, loser: Any) -> Any:
    """The adjoint goes to the winner, one half of it where both are equal."""
    winner, loser = as_array(winner), as_array(loser)
    share = (winner >= loser).astype(g.dtype)  # arithmetic on masks is several times faster than np.where
    return g * (0.5 * (share + (winner > loser)))


defvjp(np.maximum, lambda g, y, a, b: _winner(g, a, b), lambda g, y, a, b: _winner(g, b, a), keep="01")
defvjp(np.minimum, lambda g, y, a, b: _winner(g, b, a), lambda g, y, a, b: _winner(g, a, b), keep="01")


@implements(np.where)
def where(condition: Any, *choices: Any) -> Any:
    """`np.where`; an adjoint is passed or dropped, never multiplied, so NaN in the other branch does no harm."""
    return choose(as_array(condition), *choices) if choices else np.nonzero(as_array(condition))


@primitive
def choose(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)


choose.op.name = "where"  # type: ignore[attr-defined]
defvjp(
    choose,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0.0),
    lambda g, y, condition, a, b: np.where(condition, 0.0, g),
    keep="0",
    broadcasts=True,
)


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`np.clip`: as maximum and minimum; at a bound the gradient of ``a`` is one half, strictly outside it is 0."""
    lower, upper = a_min if a_min is not None else min, a_max if a_max is not None else max
    if lower is not None:
        a = np.maximum(a, lower)
    return a if upper is None else np.minimum(a, upper)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """`np.nan_to_num`: replaced values are constants."""
    values = as_array(x)
    return np.where(np.isfinite(values), x, np.nan_to_num(values, nan=nan, posinf=posinf, neginf=neginf))


STEPS.update({np.sign, np.floor, np.ceil, np.rint, np.trunc, np.floor_divide, np.round, np.around, np.heaviside})
