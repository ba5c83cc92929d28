"""What is said about a rule over neighbours: findings with their counterexamples, and what to do. Imports numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ADVICE = {
    "order": "Reduce the neighbours by a function that has no order: sum, mean, max, or a softmax-weighted sum, with "
    "the same weights for every neighbour (weights may depend on the values of both ends or on the edge).",
    "gradient": "Share the gradient among neighbours that tie, as gk.agg.max does, instead of picking the first one.",
    "number": "Make the rule take any number of neighbours, also none: weights must not be counted per neighbour, and "
    "a mean of nobody is 0 (divide the sum by max(1, number)).",
    "finite": "Guard the formula: a mean divides by max(1, number), a softmax subtracts its maximum, a maximum over "
    "nobody is 0.",
    "repeat": "Make the rule a function of its arguments alone: no state, and random numbers from outside only.",
}
TITLE = {
    "order": "the value depends on the order of the neighbours",
    "gradient": "the gradient depends on the order of the neighbours",
    "number": "not defined for every number of neighbours",
    "finite": "not finite",
    "repeat": "the same arguments give different results",
}


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is wrong with a rule, with the smallest example found.

    Attributes
    ----------
    problem : str
        "order", "gradient", "number", "finite" or "repeat".
    own : float64 [channels]
        State of the node.
    neighbours : float64 [num_neighbours, channels]
        States of its neighbours.
    permutation : tuple of int or None
        Another order of the same neighbours: row ``i`` becomes row ``permutation[i]``.
    left, right : array or None
        What the rule gave in the first and in the other order (of a gradient: in the order of the first).
    text : str
        What happened, in words.
    """

    problem: str
    own: Array
    neighbours: Array
    permutation: tuple[int, ...] | None
    left: Any
    right: Any
    text: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE[self.problem]

    def __str__(self) -> str:
        lines = [f"{TITLE[self.problem]}: {self.text}", f"  own state   {short_text(self.own)}"]
        lines.append(f"  neighbours  {short_text(self.neighbours)}" + (" (none)" if not len(self.neighbours) else ""))
        if self.permutation is not None:
            lines += [f"  gives       {short_text(self.left)}"]
            lines += [
                f"  reordered   {short_text(self.neighbours[list(self.permutation)])}",
                f"  gives       {short_text(self.right)}",
            ]
        elif self.left is not None:
            lines += [f"  gives       {short_text(self.left)}"]
        return "\n".join([*lines, f"  {self.advice}"])


@dataclass(frozen=True)
class RuleReport:
    """The answer of :func:`check_rule`; true in an ``if`` where the rule is legal.

    Attributes
    ----------
    legal : bool
        Whether nothing was found.
    findings : tuple of Finding
        At most one for each problem, worst first.
    gradients : bool
        Whether gradients were compared too.
    cases : int
        Evaluations of the rule on one list of neighbours in two orders.
    name : str
        What the rule is called.
    """

    legal: bool
    findings: tuple[Finding, ...]
    gradients: bool
    cases: int
    name: str

    def __bool__(self) -> bool:
        return self.legal

    @property
    def counterexample(self) -> Finding | None:
        """The first finding."""
        return self.findings[0] if self.findings else None

    def __str__(self) -> str:
        which = "values and gradients" if self.gradients else "values; gradients not, as the rule takes no Tensors"
        if self.legal:
            return f"{self.name} is a legal message function: {self.cases} cases tried ({which}), nothing found."
        found = "\n".join(f"{i}. {finding}" for i, finding in enumerate(self.findings, start=1))
        return f"{self.name} is NO legal message function.\n{found}"

    def __repr__(self) -> str:
        problems = ", ".join(finding.problem for finding in self.findings)
        return f"RuleReport(legal={self.legal}{f', problems: {problems}' if problems else ''}, cases={self.cases})"


def count_text(neighbours: Array) -> str:
    """How many neighbours, in words."""
    return {0: "no neighbours", 1: "1 neighbour"}.get(len(neighbours), f"{len(neighbours)} neighbours")


def short_text(value: Any) -> str:
    """An array on one line."""
    array = np.asarray(value)
    if not array.size:
        return "[]"
    return np.array2string(array + 0.0, separator=", ", formatter={"float_kind": lambda v: f"{v:.6g}"}).replace(
        "\n", ""
    )
