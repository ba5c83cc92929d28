"""Every planted defect is caught with a counterexample of at most 5 nodes, and a checker that is broken is noticed."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import planted_defects
import pytest

import gnnkit as gk
from gnnkit.symmetry import case, checking, compare, shrink
from gnnkit.symmetry.groups import union
from gnnkit.symmetry.groups.base import Element

DEFECTS = planted_defects.DEFECTS
every_defect = pytest.mark.parametrize("name", DEFECTS)


@functools.cache
def found(name):
    """The report of an unbroken checker; searched for once, as two tests look at it."""
    return DEFECTS[name].check()


def problems(name, report=None, **options):
    """What a test of a planted defect would complain about; empty if the defect is caught as it must be."""
    try:
        report = DEFECTS[name].check(**options) if report is None else report
    except gk.errors.GroupError as error:
        return [f"nothing was checked: {error}"]
    if report.passed:
        return ["not caught"]
    complaints = []
    if report.counterexample.finding.kind != DEFECTS[name].kind:
        complaints.append(f"caught for another reason: {report.counterexample.finding.kind}")
    if options.get("shrink", True) and report.counterexample.num_nodes > 5:
        complaints.append(f"{report.counterexample.num_nodes} nodes")
    return complaints


@every_defect
def test_a_planted_defect_is_caught_in_at_most_5_nodes(name):
    assert problems(name, found(name)) == []


@every_defect
def test_the_counterexample_stands_on_its_own(name):
    defect = DEFECTS[name]
    example = found(name).counterexample
    again = gk.symmetry.check(
        defect.function,
        example.graph,
        group=defect.group,
        output=defect.output,
        cases=200,
        shrink=False,
        **defect.options,
    )
    assert not again.passed, str(example)


@pytest.mark.parametrize("name", ["per-neighbour weights", "batch statistics by hand", "reflect padding on a torus"])
def test_the_same_counterexample_every_time(name):
    assert str(found(name)) == str(DEFECTS[name].check())


# --------------------------------------------------------------------------------- the checker itself is broken
def suite():
    """The names of the planted defects that a broken checker lets through."""
    return {name for name in DEFECTS if problems(name, shrink=False, cases=10)}


def test_the_unbroken_checker_lets_nothing_through():
    assert suite() == set()


def test_a_comparison_that_always_agrees_is_noticed(monkeypatch):
    monkeypatch.setattr(case, "compare", lambda expected, got, **options: compare.Difference(0.0, 0.0, 0.0))
    assert suite() == {name for name, defect in DEFECTS.items() if defect.kind != "shape"}


def test_an_infinite_tolerance_is_noticed(monkeypatch):
    monkeypatch.setattr(compare, "default_tolerance", lambda *dtypes: np.inf)
    assert suite() == {name for name, defect in DEFECTS.items() if defect.kind != "shape"}


class Identity(Element):
    def describe(self):
        return "nothing"


def every_group_class():
    return {type(group) for group in gk.symmetry.GROUPS.values()}


def test_a_group_that_acts_as_the_identity_is_noticed(monkeypatch):
    for group in every_group_class():
        monkeypatch.setattr(group, "sample", lambda self, graph, rng: Identity([graph], graph))
    # a wrong number of rows is a defect without any group
    assert suite() == {name for name, defect in DEFECTS.items() if defect.kind != "shape"}


def test_elements_that_are_never_drawn_are_noticed(monkeypatch):
    for group in every_group_class():
        monkeypatch.setattr(group, "sample", lambda self, graph, rng: None)
    assert suite() == set(DEFECTS)


def test_gradients_that_are_not_compared_are_noticed(monkeypatch):
    monkeypatch.setattr(case, "_compare_gradients", lambda *arguments: None)
    assert suite() == {"gradient to the first maximum"}


def test_cotangents_of_zero_are_noticed(monkeypatch):
    class Zeros:
        def standard_normal(self, shape):
            return np.zeros(shape)

    monkeypatch.setattr(case, "cotangent_source", lambda seed: Zeros())
    assert suite() == {"gradient to the first maximum"}


def test_batches_without_empty_graphs_are_noticed(monkeypatch):
    monkeypatch.setattr(union, "emptied", lambda graph: graph)
    assert suite() == {"readout without trailing graphs"}


def test_a_search_that_does_not_shrink_is_noticed(monkeypatch):
    monkeypatch.setattr(shrink, "shrunk", lambda found, group, settings, seed: found)
    assert problems("per-neighbour weights") == ["9 nodes"]


def test_a_report_that_always_passes_is_noticed(monkeypatch):
    real = checking._Tally.report

    def passing(self, *arguments):
        return dataclasses.replace(real(self, *arguments), passed=True)

    monkeypatch.setattr(checking._Tally, "report", passing)
    assert suite() == set(DEFECTS)
