"""`check`: is a function equivariant or invariant? A number first; the assertions wrap it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import GroupError, InvalidArgumentError, SymmetryError, unknown_name
from gnnkit.graph import Graph
from gnnkit.symmetry.case import CaseResult, Settings, run_case
from gnnkit.symmetry.compare import default_tolerance
from gnnkit.symmetry.groups import GROUPS
from gnnkit.symmetry.groups.base import Element, Group, as_group
from gnnkit.symmetry.remarks import Blanks, quiet, warned
from gnnkit.symmetry.report import Counterexample, Report
from gnnkit.symmetry.samples import generator_from
from gnnkit.symmetry.subjects import Subject, as_given, as_list, as_subject

EXPECTATIONS = ("equivariant", "invariant")
CHANCE = (
    "The function gives different values for the same graph twice, so this may be chance: "
    "seed it alike in every call, or switch its randomness off (model.eval())."
)
DRAWS_PER_CASE = 10  # a group may have nothing to do on a graph (a single node): look at others


def check(
    function: Any,
    graphs: Any,
    *,
    group: Any = "nodes",
    expect: str = "equivariant",
    output: str | None = None,
    gradients: bool = True,
    tolerance: float | None = None,
    cases: int = 20,
    dtype: DTypeLike = "float64",
    rng: int | np.random.Generator = 0,
    shrink: bool = True,
) -> Report:
    """Look for a graph and a group element for which a function breaks a symmetry.

    Parameters
    ----------
    function : module, message program, callable of a Graph, or what an adapter returned
        Its result is a Graph, whose fields are all compared, or an array, a Tensor, or a tuple or dict of these.
        A message program is given the node fields as ``src`` and ``dst``, the edge fields as ``edge`` and the global
        ones as ``globals``. A module is copied first. It keeps its mode; modules that draw random numbers (dropout) are
        checked in evaluation mode.
    graphs : Graph, list of Graph, or hypothesis strategy of Graphs
        Where to look; all with the features that the function needs.
    group : str, (str, dict) or Group
        A name in ``GROUPS``, with options if need be: ``("torus", {"step": 2})``.
    expect : {"equivariant", "invariant"}
        Whether f(g x) = g f(x) or f(g x) = f(x). The fields of a returned graph live on its nodes and edges, and go
        where these go in both cases.
    output : {"nodes", "edges", "globals"}, optional
        What the rows of a returned array are; of a message program they follow from it. Edges in canonical order, as
        in ``graph.edges``.
    gradients : bool
        Also compare the gradients of a fixed random combination of the outputs by all floating inputs and by all
        parameters. Left out, and said so, where the function cannot be differentiated.
    tolerance : float, optional
        Largest relative error that passes. Default ``eps ** 0.6`` of the least precise dtype that took part: 4e-10 in
        float64, 7e-5 in float32. An error is relative to the larger of 1 and the largest value compared, or given.
    cases : int
        Number of pairs of a graph and an element to try, at least one for every graph given; the first that fails
        ends the search.
    dtype : dtype
        In which inputs and parameters are given to the function; float64 tells a defect from rounding.
    rng : int or Generator
        The same seed tries the same cases.
    shrink : bool
        Make the counterexample as small as possible, with hypothesis.

    Returns
    -------
    Report

    Raises
    ------
    GroupError
        If the group cannot act on any of the graphs or on the result, so that nothing would be checked.
    InvalidArgumentError, UnknownNameError, DTypeError
        If an argument is wrong.
    Exception
        Whatever the function raises on both sides alike. Raising on one side only is a finding.

    Notes
    -----
    NaN equals NaN at the same place, infinity the same infinity; the report counts these places in its ``notes``.
    RuntimeWarnings that came while the function ran stand there too, and are not shown. Whole numbers and texts must be
    equal.
    Functions that draw random numbers of their own must be seeded by the caller, alike for every call. A function that
    calls a module uses it as it is: its dtype, its mode, its running statistics; pass the module itself to have a copy
    checked in ``dtype`` with the gradients of its parameters.
    Edges that a function adds or drops are matched by their ends; of parallel edges that were not given, the first
    with the first. Symmetry on what cannot be differentiated (labels, plain numpy) is checked by values alone.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.path(4).replace(x=[[1.0], [2.0], [4.0], [8.0]])
    >>> report = gk.symmetry.check(gk.nn.SAGEConv(1, 2, rng=0), g)
    >>> report.passed, report.max_error < report.tolerance
    (True, True)
    """
    chosen, settings = as_group(group, GROUPS), _settings(function, expect, output, gradients, tolerance, dtype)
    chosen.check_expectation(expect)
    if not isinstance(cases, int | np.integer) or cases < 1:
        raise InvalidArgumentError(f"cases is a whole number, at least 1. Got {cases!r}. Pass for example cases=20.")
    generator = generator_from(rng)
    given = [as_given(graph, np.dtype(dtype)) for graph in _listed(graphs, int(cases))]
    with quiet() as warnings:
        report = _searched(chosen, settings, given, max(int(cases), len(given)), generator, shrink)
    return dataclasses.replace(report, notes=(*report.notes, *warned(warnings)))


def _searched(
    chosen: Group, settings: Settings, given: list[Graph], cases: int, generator: np.random.Generator, shrink: bool
) -> Report:
    chosen = chosen.settled(given, lambda graph: settings.subject.evaluate(graph, seed=0, gradients=False))
    tally = _Tally()
    failed: tuple[Element, Graph, CaseResult, int] | None = None
    for number in range(DRAWS_PER_CASE * cases):
        if tally.cases == cases:
            break
        graph = chosen.draw(given, number, generator)
        element = chosen.sample(graph, generator)
        seed = int(generator.integers(2**31))
        if element is None:
            continue
        result = run_case(element, settings, seed)
        tally.add(result)
        if result.finding is not None:
            failed = element, graph, result, seed
            break
    if tally.cases == 0:
        raise GroupError(
            f"A check must try at least one case. The group {chosen.name!r} has nothing to change on the "
            f"{len(given)} graphs given. Give graphs with more nodes or edges."
        )
    example = None if failed is None else _counterexample(*failed, chosen, settings, shrink)
    return tally.report(chosen, settings, example)


def _settings(
    function: Any, expect: str, output: str | None, gradients: bool, tolerance: float | None, dtype: DTypeLike
) -> Settings:
    if expect not in EXPECTATIONS:
        raise unknown_name("expectation", expect, EXPECTATIONS)
    if tolerance is not None and not 0 <= tolerance < np.inf:
        raise InvalidArgumentError(
            f"A tolerance is a finite number, at least 0. Got {tolerance!r}. Leave it out for the default."
        )
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InvalidArgumentError(
            f"Checks run in float32 or float64. Got dtype={dtype!r}. Use float64, which tells a defect from rounding."
        )
    subject: Subject = as_subject(function).at(np.dtype(dtype), output)
    return Settings(subject, expect, bool(gradients), tolerance, str(np.dtype(dtype)))


def _listed(graphs: Any, cases: int) -> list[Any]:
    if hasattr(graphs, "example") and hasattr(graphs, "map"):  # a strategy of hypothesis
        from gnnkit.symmetry.shrink import drawn

        return drawn(graphs, cases)
    return as_list(graphs)


class _Tally:
    """The largest errors over all cases, and whether gradients took part."""

    def __init__(self) -> None:
        self.cases = 0
        self.with_gradients = 0
        self.errors: dict[str, tuple[float, float]] = {}
        self.blanks: dict[str, Blanks] = {}
        self.tolerance = 0.0
        self.reason = ""

    def add(self, result: CaseResult) -> None:
        self.cases += 1
        self.with_gradients += result.gradients_compared
        self.reason = self.reason or result.reason
        for what, difference in result.differences.items():
            absolute, relative = self.errors.get(what, (0.0, 0.0))
            self.errors[what] = max(absolute, difference.absolute), max(relative, difference.relative)
            self.tolerance = max(self.tolerance, difference.tolerance)
        for what, blank in result.blanks.items():
            self.blanks[what] = self.blanks.get(what, Blanks()) + blank

    def gradient_text(self, wanted: bool, failed: bool) -> str:
        if not wanted:
            return "gradients were not asked for"
        if self.with_gradients == self.cases:
            return "gradients were compared too"
        if self.reason:
            return f"gradients were NOT compared in {self.cases - self.with_gradients} cases: {self.reason}"
        return "gradients were not reached in the last case, which failed before" if failed else ""

    def report(self, group: Group, settings: Settings, example: Counterexample | None) -> Report:
        default = default_tolerance(np.dtype(settings.dtype)) if settings.tolerance is None else settings.tolerance
        top = max((relative for _, relative in self.errors.values()), default=0.0)
        return Report(
            passed=example is None,
            group=group.name,
            expect=settings.expect,
            errors=self.errors,
            max_error=np.inf if example is not None and example.finding.kind in ("raised", "shape") else top,
            tolerance=self.tolerance or default,
            dtype=settings.dtype,
            cases=self.cases,
            counterexample=example,
            gradients=self.gradient_text(settings.gradients, example is not None),
            function=settings.subject.name,
            notes=(
                *settings.subject.notes,
                *(note for what, blank in self.blanks.items() for note in blank.describe(what)),
            ),
        )


def _counterexample(
    element: Element, graph: Graph, result: CaseResult, seed: int, group: Group, settings: Settings, shrink: bool
) -> Counterexample:
    assert result.finding is not None
    found = Counterexample(graph, element, result.finding)
    if not _repeats(settings.subject, element.lefts[0], seed):
        return dataclasses.replace(found, note=CHANCE)
    if not shrink:
        return found
    from gnnkit.symmetry.shrink import shrunk

    return shrunk(found, group, settings, seed)


def _repeats(subject: Subject, graph: Graph, seed: int) -> bool:
    """Whether the function gives the same values for the same graph; what draws by chance is no counterexample."""
    try:
        one, two = (subject.evaluate(graph, seed=seed, gradients=False) for _ in range(2))
    except Exception:  # it raises, and that is what was found
        return True
    return one.fields.keys() == two.fields.keys() and all(
        np.array_equal(array, two.fields[key], equal_nan=array.dtype.kind == "f") for key, array in one.fields.items()
    )


def assert_equivariant(function: Any, graphs: Any, *, group: Any = "nodes", **options: Any) -> None:
    """Raise where :func:`check` finds that f(g x) is not g f(x); the options are the same.

    Raises
    ------
    SymmetryError
        With the whole report as its text.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.path(3).replace(x=[[1.0], [2.0], [4.0]])
    >>> gk.symmetry.assert_equivariant(gk.nn.GCNConv(1, 2, rng=0), g)
    """
    _raise(check(function, graphs, group=group, expect="equivariant", **options))


def assert_invariant(function: Any, graphs: Any, *, group: Any = "nodes", **options: Any) -> None:
    """Raise where :func:`check` finds that f(g x) is not f(x); the options are the same.

    Raises
    ------
    SymmetryError
        With the whole report as its text.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.path(3).replace(x=[[1.0], [2.0], [4.0]])
    >>> gk.symmetry.assert_invariant(lambda g: g.x.sum(axis=0), g, output="globals")
    """
    _raise(check(function, graphs, group=group, expect="invariant", **options))


def _raise(report: Report) -> None:
    if not report.passed:
        raise SymmetryError(str(report))
