"""Is a per-node rule over a list of neighbours a legal message function? Tried, with the smallest counterexample.

A list has an order, neighbours have none: a rule is legal if no order, of values and of gradients, shows in its result,
and if every number of neighbours has one. Imports autodiff, the error tree and the report.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from itertools import permutations, product
from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor, as_array
from gnnkit.errors import InvalidArgumentError, type_name
from gnnkit.symmetry.models import is_module
from gnnkit.symmetry.rule_report import ADVICE, Array, Finding, RuleReport, count_text, short_text

Rule = Callable[[Any, Any], Any]

SIMPLE = (0.0, 1.0, 2.0, -1.0)  # what is tried first: a counterexample of small whole numbers is checked by hand
_SYSTEMATIC = 100  # most cases of simple values for each number of neighbours


def check_rule(
    rule: Rule,
    *,
    channels: int = 1,
    max_neighbours: int = 4,
    trials: int = 50,
    tolerance: float = 1e-9,
    rng: int | np.random.Generator | None = 0,
) -> RuleReport:
    """Tell whether a rule for the new state of a node is a legal message function, by trying to refute it.

    Parameters
    ----------
    rule : callable
        ``rule(own, neighbours)``: the node's state [channels] and its neighbours' states [num_neighbours, channels],
        float64, to the new state: an array or number. Written with numpy functions it takes Tensors too, and gradients
        are checked.
    channels : int
        Channels of the states.
    max_neighbours : int
        Every number from 0 to this one is tried systematically; at most 5.
    trials : int
        Random cases, with up to twice as many neighbours.
    tolerance : float
        Largest difference, relative to the larger value and at least 1, that counts as rounding.
    rng : int or Generator, optional

    Returns
    -------
    RuleReport
        Prints as a text with the smallest counterexamples and what to do; true in an ``if`` where the rule is legal.

    Raises
    ------
    InvalidArgumentError
        If the rule cannot be called with two arguments, is a layer, or a number is out of range.

    Notes
    -----
    Legal means: for every number of neighbours, none included, the result exists, is finite, has the same shape, and
    does not depend on their order; and reordering the neighbours reorders the gradients by their states and leaves the
    one by the own state alone. Equal neighbours count: a maximum that hands the gradient to the first of two that tie
    has an order. Numbers of neighbours ascending, small whole numbers before random ones, so that what is found first
    is small. "Legal" means that nothing was found.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> bool(gk.symmetry.check_rule(lambda own, neighbours: 2 * own + 3 * neighbours.sum(axis=0)))
    True
    >>> print(gk.symmetry.check_rule(lambda own, neighbours: own + sum((k + 1) * m for k, m in enumerate(neighbours))))
    <lambda> is NO legal message function.
    1. the value depends on the order of the neighbours: 2 neighbours, exchanged, give 1 in place of 2.
      own state   [0]
      neighbours  [[0], [1]]
      gives       [2]
      reordered   [[1], [0]]
      gives       [1]
      Reduce the neighbours by a function that has no order: sum, mean, max, or a softmax-weighted sum, with the same
    weights for every neighbour (weights may depend on the values of both ends or on the edge).
    """
    if not callable(rule):
        raise InvalidArgumentError(
            f"A rule must be callable as rule(own, neighbours). Got {type_name(rule)}. Pass a function."
        )
    _check_takes_two(rule)
    for name, value, low, high in (
        ("channels", channels, 1, None),
        ("max_neighbours", max_neighbours, 2, 5),
        ("trials", trials, 0, None),
    ):
        if not isinstance(value, int | np.integer) or value < low or (high is not None and value > high):
            upto = "" if high is None else f", at most {high}"
            raise InvalidArgumentError(
                f"{name} must be a whole number of at least {low}{upto}. Got {value!r}. Pass {name}={low}."
            )
    trial = _Trial(rule, tolerance)
    for own, neighbours in _cases(channels, max_neighbours, trials, np.random.default_rng(rng)):
        trial.run(own, neighbours)
        if {"order", "number"} <= trial.found.keys():
            break  # what else is wrong follows from it
    if "order" in trial.found:
        trial.found.pop("gradient", None)  # it follows
    findings = tuple(trial.found[problem] for problem in ADVICE if problem in trial.found)
    return RuleReport(not findings, findings, trial.gradients, trial.cases, getattr(rule, "__name__", type_name(rule)))


def _check_takes_two(rule: Any) -> None:
    if is_module(rule):
        raise InvalidArgumentError(
            f"A rule takes one node's state and its neighbours'. Got the layer {type_name(rule)}, which takes a graph. "
            "Check a layer with gk.symmetry.check(layer, graphs)."
        )
    try:
        signature = inspect.signature(rule)
    except (TypeError, ValueError):  # some functions of C have none
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        name = getattr(rule, "__name__", type_name(rule))
        raise InvalidArgumentError(
            f"A rule is called as rule(own, neighbours), with two arguments. Got {name}{signature}: {error}. "
            "Give it these two; a function of a graph is checked by gk.symmetry.check(function, graphs)."
        ) from None


def _cases(channels: int, most: int, trials: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """States to try: ascending in the number of neighbours, systematic and simple first, then random ones."""
    for count in range(most + 1):
        values = product(SIMPLE[:3], repeat=(count + 1) * channels)
        for _, entries in zip(range(_SYSTEMATIC), values):
            table = np.array(entries).reshape(count + 1, channels)
            yield table[0], table[1:]
        for _ in range(20):
            table = rng.choice(SIMPLE, size=(count + 1, channels))
            yield table[0], table[1:]
    for _ in range(trials):
        table = rng.normal(size=(1 + int(rng.integers(0, 2 * most + 1)), channels))
        yield table[0], table[1:]


class _Trial:
    """Runs a rule on cases and keeps the first finding of each kind."""

    def __init__(self, rule: Rule, tolerance: float) -> None:
        self.rule, self.tolerance = rule, tolerance
        self.found: dict[str, Finding] = {}
        self.shape: tuple[int, ...] | None = None
        self.gradients, self.cases = True, 0

    def run(self, own: Array, neighbours: Array) -> None:
        """Try one case in several orders."""
        left = self._value(own, neighbours)
        if left is None:
            return
        again = self._value(own, neighbours)
        if not self._same(left, again):
            text = f"a second call with {count_text(neighbours)} gives {short_text(again)}."
            self._report("repeat", own, neighbours, None, left, None, text)
            return
        slope = self._slopes(own, neighbours)
        for order in _orders(len(neighbours)):
            self.cases += 1
            right = self._value(own, neighbours[list(order)])
            if right is None or self._differs(own, neighbours, order, left, right, slope):
                return

    def _differs(self, own: Array, neighbours: Array, order: Any, left: Array, right: Array, slope: Any) -> bool:
        if not self._same(left, right):
            where = np.flatnonzero(~np.isclose(left, right, rtol=self.tolerance, atol=self.tolerance).reshape(-1))[0]
            words = f"give {right.reshape(-1)[where]:.6g} in place of {left.reshape(-1)[where]:.6g}."
            self._report("order", own, neighbours, order, left, right, f"{count_text(neighbours)}, exchanged, {words}")
            return True
        other = None if slope is None else self._slopes(own, neighbours[list(order)])
        if slope is None or other is None:
            return False
        back = np.argsort(order)
        right_slope = other[0], other[1][back]
        if all(self._same(a, b) for a, b in zip(slope, right_slope)):
            return False
        which = 0 if not self._same(slope[0], right_slope[0]) else 1
        of = "own state" if which == 0 else "neighbours"
        text = f"{count_text(neighbours)}, exchanged, change the gradient by the {of}."
        self._report("gradient", own, neighbours, order, slope[which], right_slope[which], text)
        return True

    def _value(self, own: Array, neighbours: Array) -> Array | None:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # a mean of nobody warns; its NaN is what is reported
                result = np.array(as_array(self.rule(own.copy(), neighbours.copy())), np.float64)
        except Exception as error:
            text = f"{count_text(neighbours)}: {type(error).__name__}: {error}".rstrip(".") + "."
            self._report("number", own, neighbours, None, None, None, text)
            return None
        if not np.isfinite(result).all():
            problem = "number" if not len(neighbours) else "finite"
            text = f"the result for {count_text(neighbours)} is {'NaN' if np.isnan(result).any() else 'infinity'}."
            self._report(problem, own, neighbours, None, result, None, text)
            return None
        if self.shape is not None and result.shape != self.shape:
            text = f"the result for {count_text(neighbours)} has shape {list(result.shape)}, before {list(self.shape)}."
            self._report("number", own, neighbours, None, result, None, text)
            return None
        self.shape = result.shape
        return result

    def _slopes(self, own: Array, neighbours: Array) -> tuple[Array, Array] | None:
        """Gradients of the sum of the result, weighted so that its channels do not cancel, or None without them."""
        if not self.gradients:
            return None
        variables = Tensor(own.copy(), requires_grad=True), Tensor(neighbours.copy(), requires_grad=True)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                result = self.rule(*variables)
                if isinstance(result, Tensor) and result.requires_grad:
                    result.backward(1.0 + 0.1 * np.arange(result.size, dtype=np.float64).reshape(result.shape))
        except Exception:  # it computes with something that has no derivative here
            self.gradients = False
            return None
        if not isinstance(result, Tensor):
            self.gradients = False
            return None
        slopes = [np.zeros(v.shape) if v.grad is None else np.array(as_array(v.grad)) for v in variables]
        if not all(np.isfinite(slope).all() for slope in slopes):
            text = f"the gradient for {count_text(neighbours)} is not finite."
            self._report("finite", own, neighbours, None, None, None, text)
            return None
        return slopes[0], slopes[1]

    def _same(self, left: Any, right: Any) -> bool:
        return right is not None and np.allclose(left, right, rtol=self.tolerance, atol=self.tolerance)

    def _report(self, problem: str, own: Any, neighbours: Any, order: Any, left: Any, right: Any, text: str) -> None:
        found = Finding(problem, own, neighbours, None if order is None else tuple(order), left, right, text)
        self.found.setdefault(problem, found)


def _orders(count: int) -> list[tuple[int, ...]]:
    """All other orders of up to three; of more, two neighbours in the list exchanged (these make up all orders), the
    list reversed, and turned by one."""
    if count <= 3:
        return list(permutations(range(count)))[1:]
    places = list(range(count))
    swaps = [(*places[:i], i + 1, i, *places[i + 2 :]) for i in range(count - 1)]
    return [*swaps, tuple(places[::-1]), tuple(places[1:] + places[:1])]
