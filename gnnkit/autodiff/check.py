"""`gradcheck`: compare derivatives with differences of values, in random directions, to first or second order.

Imports the reverse pass and numpy. The checker is tested itself: a wrong rule must be caught.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.autodiff.backward import reverse
from gnnkit.autodiff.nodes import recording
from gnnkit.autodiff.tensors import Tensor, as_array
from gnnkit.errors import DTypeError, GradientError, InvalidArgumentError

STEP = 1e-3  # of a five-point difference: truncation and rounding both stay near 1e-12


@dataclass(frozen=True)
class GradcheckReport:
    """Outcome of :func:`gradcheck`.

    Attributes
    ----------
    max_error : float
        Largest error found, relative to the larger of 1 and the derivative.
    errors : tuple of (order, input number, error)
        Largest error for every order and every differentiated input.
    tolerance : float
        What ``max_error`` must not exceed.
    passed : bool
    """

    max_error: float
    errors: tuple[tuple[int, int, float], ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.max_error <= self.tolerance  # false for NaN

    def __str__(self) -> str:
        lines = [
            f"gradcheck {'passed' if self.passed else 'FAILED'}: error {self.max_error:.1e}, allowed "
            f"{self.tolerance:.1e}"
        ]
        lines += [f"  order {order}, input {number}: {error:.1e}" for order, number, error in self.errors]
        return "\n".join(lines)


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    order: int = 1,
    rng: np.random.Generator | int | None = 0,
    tolerance: float = 1e-6,
    directions: int = 2,
) -> GradcheckReport:
    """Compare the derivative of a function with central differences in random directions.

    Parameters
    ----------
    function : callable
        Of the ``inputs``; returns a Tensor of any shape.
    *inputs : arrays, Tensors or other values
        Floating arrays and Tensors are differentiated, in float64; anything else is passed on as it is.
    order : 1 or 2
        2 checks the derivative of the derivative as well.
    rng : None, int or numpy.random.Generator
        Source of the directions.
    tolerance : float
        Largest relative error that passes.
    directions : int
        Number of random directions for every input.

    Returns
    -------
    GradcheckReport

    Raises
    ------
    DTypeError
        If no input is floating.

    Notes
    -----
    The function must be smooth near the inputs: keep away from ties of max, from relu at 0, and so on. It must not
    draw random numbers.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.gradcheck(np.tanh, np.array([0.5, -1.0]), order=2).passed
    True
    """
    if order not in (1, 2):
        raise InvalidArgumentError(f"gradcheck knows derivatives of order 1 and 2. Got order={order!r}. Choose one.")
    generator = np.random.default_rng(rng)
    values = [as_array(v).astype(np.float64) if _is_floating(v) else v for v in inputs]
    numbers = [i for i, v in enumerate(inputs) if _is_floating(v)]
    if not numbers:
        raise DTypeError("gradcheck differentiates floating inputs. Got none. Pass at least one floating array.")
    errors = [(1, i, e) for i, e in _compare(function, values, numbers, generator, directions)]
    if order == 2:
        with recording(True):
            result = function(*[Tensor(v, i in numbers) if i in numbers else v for i, v in enumerate(values)])
        weight = generator.standard_normal(as_array(result).shape)
        for first in numbers:
            slope = _derivative_of(function, first, numbers, weight)
            errors += [(2, i, e) for i, e in _compare(slope, values, numbers, generator, directions)]
    worst: dict[tuple[int, int], float] = {}
    for o, i, e in errors:
        worst[o, i] = float(np.maximum(worst.get((o, i), 0.0), e))  # NaN stays
    top = float(np.max(list(worst.values())))
    return GradcheckReport(top, tuple((o, i, e) for (o, i), e in worst.items()), tolerance)


def assert_gradients(function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """Raise GradientError where :func:`gradcheck` fails; the options are the same.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.assert_gradients(lambda x: x**3, np.array([1.0, 2.0]))
    """
    report = gradcheck(function, *inputs, **options)
    if not report.passed:
        raise GradientError(
            f"Derivatives must agree with differences of values. {report}\n"
            f"Correct the rule of the operation, or keep the inputs away from kinks."
        )


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray | float | np.floating) and as_array(value).dtype.kind == "f"


def _gradients(result: Any, variables: list[Tensor], weight: np.ndarray, create_graph: bool) -> list[Any]:
    """Return the derivatives of ``sum(result * weight)``, zeros where the result does not depend on a variable."""
    if not isinstance(result, Tensor) or result._node is None:
        return [np.zeros_like(v.data) for v in variables]
    targets = frozenset(v._node for v in variables if v._node is not None)
    seed = Tensor(weight) if create_graph else weight.copy()
    with recording(create_graph):
        found = reverse(result._node, seed, targets=targets, create_graph=create_graph)
    return [found.get(v._node, np.zeros_like(v.data)) for v in variables]  # type: ignore[arg-type]


def _derivative_of(function: Callable[..., Any], which: int, numbers: list[int], weight: np.ndarray) -> Any:
    """Return the function that computes the derivative of ``sum(function * weight)`` by one input."""

    def slope(*args: Any) -> Any:
        result = function(*args)
        variable = args[which] if isinstance(args[which], Tensor) else Tensor(args[which], True)
        (found,) = _gradients(result, [variable], weight, create_graph=True)
        return found

    return slope


def _compare(
    function: Callable[..., Any], values: list[Any], numbers: list[int], rng: np.random.Generator, directions: int
) -> list[tuple[int, float]]:
    variables = {i: Tensor(values[i], True) for i in numbers}
    with recording(True):
        result = function(*[variables.get(i, v) for i, v in enumerate(values)])
    weight = rng.standard_normal(as_array(result).shape)
    gradients = _gradients(result, list(variables.values()), weight, create_graph=False)

    def projected(i: int, direction: np.ndarray, step: float) -> float:
        moved = {k: Tensor(values[k] + (step * direction if k == i else 0.0), True) for k in numbers}
        return float(np.sum(weight * as_array(function(*[moved.get(k, v) for k, v in enumerate(values)]))))

    errors = []
    for i, gradient in zip(numbers, gradients):
        for _ in range(directions):
            direction = rng.standard_normal(values[i].shape)
            near = projected(i, direction, STEP) - projected(i, direction, -STEP)
            far = projected(i, direction, 2 * STEP) - projected(i, direction, -2 * STEP)
            difference = (8 * near - far) / (12 * STEP)
            derivative = float(np.sum(as_array(gradient) * direction))
            error = abs(difference - derivative) / max(1.0, abs(difference), abs(derivative))
            errors.append((i, error))
    return errors
