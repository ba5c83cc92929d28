"""One case: the function on the left graphs and on the right one, values and gradients compared.

Knows elements, outcomes and comparisons; the loop over cases and the search for a small one are in other files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gnnkit.errors import GnnkitError, GroupError
from gnnkit.graph import Graph
from gnnkit.symmetry.compare import Difference, compare, largest
from gnnkit.symmetry.groups.base import LEVELS, Element, Key
from gnnkit.symmetry.outcome import Outcome
from gnnkit.symmetry.remarks import Blanks, blanks
from gnnkit.symmetry.subjects import Subject


@dataclass(frozen=True)
class Finding:
    """What went wrong in a case.

    Attributes
    ----------
    kind : "output", "gradient", "shape" or "raised"
    what : str
        The values that differ, such as "nodes x" or "gradient of parameter weight"; for "raised" the type of the error.
    level, row, channel
        Where; None if that means nothing.
    left, right
        The value that the symmetry demands, and the one found on the right graph.
    message : str
        The same in a sentence.
    """

    kind: str
    what: str
    message: str
    level: str | None = None
    row: int | None = None
    channel: tuple[int, ...] = ()
    left: Any = None
    right: Any = None


@dataclass
class CaseResult:
    """The comparisons of a case by what was compared, the values that say nothing, and the worst finding."""

    differences: dict[str, Difference] = field(default_factory=dict)
    blanks: dict[str, Blanks] = field(default_factory=dict)
    finding: Finding | None = None
    gradients_compared: bool = False
    reason: str = ""
    dtypes: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Settings:
    """What stays the same over the cases of a check."""

    subject: Subject
    expect: str
    gradients: bool
    tolerance: float | None
    dtype: str = "float64"


def run_case(element: Element, settings: Settings, seed: int) -> CaseResult:
    """Evaluate both sides and compare; stops at the first kind of value that differs."""
    result = CaseResult()
    lefts, right = _evaluate(element, settings, seed, settings.gradients, result)
    if lefts is None or right is None:
        return result
    for outcome in (*lefts, right):
        if outcome.problem:
            result.finding = Finding("shape", "output", outcome.problem)
            return result
    _compare_outputs(element, settings, lefts, right, result)
    if result.finding is None and settings.gradients:
        _compare_gradients(element, settings, lefts, right, seed, result)
    return result


def _evaluate(
    element: Element, settings: Settings, seed: int, gradients: bool, result: CaseResult
) -> tuple[list[Outcome] | None, Outcome | None]:
    subject = settings.subject
    sides: list[Outcome | Exception] = []
    for graph in (*element.lefts, element.right):
        try:
            sides.append(subject.evaluate(graph, seed=seed, gradients=gradients))
        except GroupError:
            raise
        except Exception as error:
            sides.append(error)
    errors = [side for side in sides if isinstance(side, Exception)]
    if errors and gradients:
        # Perhaps it only cannot take Tensors: plain arrays decide whether the function itself fails.
        lefts, right = _evaluate(element, settings, seed, False, result)
        if lefts is not None:
            result.reason = f"it cannot compute with Tensors ({type(errors[0]).__name__}: {errors[0]})"
        return lefts, right
    if not errors:
        outcomes = [side for side in sides if isinstance(side, Outcome)]
        return outcomes[:-1], outcomes[-1]
    left_errors = [side for side in sides[:-1] if isinstance(side, Exception)]
    if left_errors and isinstance(sides[-1], Exception):
        raise sides[-1]
    where, other = ("left", "right") if left_errors else ("right", "left")
    raised = (left_errors or errors)[0]
    text = f"{type(raised).__name__}: {raised}"
    result.finding = Finding(
        "raised",
        type(raised).__name__,
        f"the function raised on the {where} and not on the {other}: {text}",
        left=text if where == "left" else "no error",
        right=text if where == "right" else "no error",
    )
    return None, None


# ---------------------------------------------------------------------------------------------------- outputs
def _compare_outputs(
    element: Element, settings: Settings, lefts: list[Outcome], right: Outcome, result: CaseResult
) -> None:
    keys = _same_keys(lefts, right, result)
    if result.finding is not None:
        return
    problem = element.problem([left.frame for left in lefts], right.frame)
    if problem:
        result.finding = Finding("shape", "graph", problem)
        return
    order = _edge_alignment(element, lefts, right, result)
    if result.finding is not None:
        return
    if not keys:
        raise GroupError(
            "A result must have fields to be compared. The function returned a graph without any field. "
            "Return a graph with features, or an array with output=."
        )
    element.check_result(keys, right.bare, settings.expect)
    size = largest(*_inputs(element.right))
    for key in keys:
        values = [left.fields[key] for left in lefts]
        try:
            expected = moved(element, key, values, lefts, right, settings.expect, linear=False)
        except GnnkitError:
            raise
        except ValueError as error:  # rows of the left graphs that do not fit together
            result.finding = Finding("shape", " ".join(key), f"the values on the left do not fit together: {error}")
            return
        got = right.fields[key]
        valid = element.valid(key[0], right.frame)
        if valid is not None and len(valid) and not valid.any():
            raise GroupError(
                "Some of the result must be left to compare. Nothing lies far enough from the border. "
                "Pass larger images, or a smaller margin."
            )
        if key[0] == "edges" and order is not None and len(expected) == len(got):
            expected, got = expected[order[0]], got[order[1]]
        if got.dtype.kind in "fc":
            result.dtypes.add(str(got.dtype))
        result.blanks[" ".join(key)] = blanks(expected, got, valid)
        difference = compare(
            expected, got, tolerance=settings.tolerance, scale=size, valid=valid, dtypes=[settings.dtype]
        )
        if key[0] == "edges" and order is not None and difference.index is not None:
            row, *rest = difference.index  # back from the sorted order to the one of the right graph
            difference = replace(difference, index=(int(order[1][row]), *rest))
        _note(result, "output", " ".join(key), key[0], difference)


def moved(
    element: Element,
    key: Key,
    values: list[np.ndarray],
    lefts: list[Outcome],
    right: Outcome,
    expect: str,
    *,
    linear: bool,
) -> np.ndarray:
    """What the right side must be, given ``values`` on the left: outputs, or cotangents of them (``linear``)."""
    level, name = key
    literal = expect == "invariant" and right.bare and level == "nodes"
    if literal:
        array = values[0]
    else:
        array = element.rows(level, values, [left.frame for left in lefts], right.frame)
    carried = key in right.carried
    if expect == "equivariant" or carried:
        array = element.values(level, name, array, linear=linear, given=carried)
    return array


def _same_keys(lefts: list[Outcome], right: Outcome, result: CaseResult) -> list[Key]:
    keys = list(right.fields)
    for left in lefts:
        if left.bare != right.bare or set(left.fields) != set(keys):
            names = ", ".join(" ".join(key) for key in left.fields), ", ".join(" ".join(key) for key in keys)
            result.finding = Finding("shape", "output", f"fields {names[0]} on the left, {names[1]} on the right")
    return keys


def _edge_alignment(
    element: Element, lefts: list[Outcome], right: Outcome, result: CaseResult
) -> tuple[np.ndarray, np.ndarray] | None:
    """How to order the edges of both sides so that the same edge stands in the same place; None: they do already.

    A function may return other edges than it was given, in an order that depends on the numbers of the nodes.
    """
    if right.bare and not any(key[0] == "edges" for key in right.fields):
        return None
    edges = element.edges([left.frame for left in lefts], right.frame)
    if edges is None:
        return None
    senders, receivers, _ = right.frame.to_edges()
    if np.array_equal(edges[0], senders) and np.array_equal(edges[1], receivers):
        return None
    one, two = np.lexsort((edges[0], edges[1])), np.lexsort((senders, receivers))
    same = len(one) == len(two) and all(np.array_equal(a[one], b[two]) for a, b in zip(edges, (senders, receivers)))
    if not same:
        texts = [edge_text(s, r) for s, r in (edges, (senders, receivers))]
        result.finding = Finding(
            "shape", "edges", f"edges {texts[0]} expected, edges {texts[1]} found", left=texts[0], right=texts[1]
        )
        return None
    return one, two


def edge_text(senders: np.ndarray, receivers: np.ndarray, most: int = 12) -> str:
    """``0 -> 1, 2 -> 0`` of the first few edges."""
    pairs = [f"{s} -> {r}" for s, r in zip(senders[:most].tolist(), receivers[:most].tolist())]
    more = f" and {len(senders) - most} more" if len(senders) > most else ""
    return (", ".join(pairs) + more) or "none"


def _inputs(graph: Graph) -> Iterator[np.ndarray]:
    for level in LEVELS:
        yield from (value for value in getattr(graph, level).values() if isinstance(value, np.ndarray))


# -------------------------------------------------------------------------------------------------- gradients
def cotangent_source(seed: int) -> np.random.Generator:
    """Where the random combination of the outputs comes from whose gradients are compared."""
    return np.random.default_rng(seed)


def _compare_gradients(
    element: Element, settings: Settings, lefts: list[Outcome], right: Outcome, seed: int, result: CaseResult
) -> None:
    missing = next((side for side in (*lefts, right) if side.pullback is None), None)
    if missing is not None:
        result.reason = result.reason or missing.reason
        return
    rng = cotangent_source(seed)
    cotangents: list[dict[Key, np.ndarray]] = [{} for _ in lefts]
    on_right: dict[Key, np.ndarray] = {}
    order = _edge_alignment(element, lefts, right, result)
    for key, got in right.fields.items():
        if got.dtype.kind != "f":
            continue
        given = [rng.standard_normal(left.fields[key].shape) for left in lefts]
        on_right[key] = moved(element, key, given, lefts, right, settings.expect, linear=True)
        if key[0] == "edges" and order is not None:
            aligned = np.empty_like(on_right[key])
            aligned[order[1]] = on_right[key][order[0]]
            on_right[key] = aligned
        valid = element.valid(key[0], right.frame)
        if valid is not None:
            _restrict(element, key, given, lefts, right, settings.expect, valid, on_right)
        for chosen, cotangent in zip(cotangents, given):
            chosen[key] = cotangent
    found = [left.pullback(cotangent) for left, cotangent in zip(lefts, cotangents)]  # type: ignore[misc]
    last = right.pullback(on_right)  # type: ignore[misc]
    result.gradients_compared = True
    for key, got in last.items():
        expected = _moved_gradient(element, key, [gradients[key] for gradients in found])
        # A function that computes in float32 gives gradients that are no better, whatever the dtype of its inputs.
        dtypes = [settings.dtype, *sorted(result.dtypes)]
        difference = compare(expected, got, tolerance=settings.tolerance, dtypes=dtypes)
        result.blanks[f"gradient of {' '.join(key)}"] = blanks(expected, got)
        _note(result, "gradient", f"gradient of {' '.join(key)}", key[0], difference)


def _restrict(
    element: Element,
    key: Key,
    given: list[np.ndarray],
    lefts: list[Outcome],
    right: Outcome,
    expect: str,
    valid: np.ndarray,
    on_right: dict[Key, np.ndarray],
) -> None:
    """Let cotangents be zero where values are not compared: on the right, and at the same rows on the left."""
    on_right[key] = on_right[key] * valid.reshape(-1, *[1] * (on_right[key].ndim - 1))
    numbers = [np.arange(len(array)) for array in given]
    place = moved(element, (key[0], ""), numbers, lefts, right, expect, linear=True)
    for array in given:
        hidden = np.ones(len(array), bool)
        hidden[place[valid]] = False
        array[hidden] = 0


def _moved_gradient(element: Element, key: Key, gradients: list[Any]) -> np.ndarray:
    level, name = key
    if level == "parameter":
        return sum(gradients[1:], gradients[0])
    array = element.rows(level, gradients, element.lefts, element.right)
    return element.values(level, name, array, linear=True, given=True)


def _note(result: CaseResult, kind: str, what: str, level: str, difference: Difference) -> None:
    result.differences[what] = difference
    worst = result.finding
    if not difference.failed or worst is not None:
        return
    if difference.message:
        result.finding = Finding("shape", what, difference.message, level=level)
        return
    index = difference.index or ()
    row = index[0] if index and level != "parameter" else None
    channel = index[1:] if row is not None else index
    result.finding = Finding(
        kind,
        what,
        f"{difference.left} expected, {difference.right} found",
        level=level,
        row=row,
        channel=channel,
        left=difference.left,
        right=difference.right,
    )
