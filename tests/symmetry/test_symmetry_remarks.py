"""NaN and infinity are counted in the report, and warnings stand there once in place of being printed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.symmetry.remarks import Blanks, blanks, quiet, warned

check = gk.symmetry.check


def four():
    return gk.path(4).replace(x=[[1.0, 2.0], [4.0, 8.0], [3.0, 5.0], [7.0, 6.0]])


def test_places_that_say_nothing_are_counted():
    nan, inf = np.nan, np.inf
    one = np.array([[nan, inf, 1.0], [nan, -inf, 2.0]])
    two = np.array([[nan, inf, 1.0], [0.0, inf, nan]])
    assert blanks(one, two) == Blanks(1, 1, 6)
    assert blanks(one, two, np.array([False, True])) == Blanks(0, 0, 3)
    assert blanks(one, two[:1]) == blanks(np.array([1]), np.array([1])) + Blanks(places=-1) == Blanks()
    assert Blanks(1, 0, 3) + Blanks(2, 4, 8) == Blanks(3, 4, 11)
    assert Blanks(places=3).describe("x") == []


def test_a_report_says_where_nothing_was_compared():
    report = check(lambda g: g.replace(x=g.x * np.nan), four(), cases=3)
    assert report.passed
    text = "nodes x holds NaN at 24 of 24 places on both sides; nothing is compared there"
    assert text in report.notes and f"\n  {text}\n" in str(report)
    assert "gradient of nodes x holds NaN at 24 of 24 places on both sides; nothing is compared there" in report.notes

    some = check(lambda g: np.where(g.x > 4.0, np.inf, g.x), four(), output="nodes", cases=2, gradients=False)
    assert some.notes == (
        "nodes output holds infinity at 8 of 16 places on both sides; only its sign is compared there",
    )
    assert check(lambda g: g.x, four(), output="nodes").notes == ()


def test_warnings_of_numpy_stand_in_the_report_once(recwarn):
    def logarithm(g):
        return np.log(np.asarray(g.x) - 4.0)

    report = check(logarithm, four(), output="nodes", gradients=False)
    assert report.passed and not recwarn.list
    (note,) = [
        note for note in report.notes if note.startswith("warnings came while it ran, and are not shown again: ")
    ]
    assert note.endswith("encountered in log") and "invalid value" in note and "divide by zero" in note
    assert note in str(report)

    def numbered(g):
        return logarithm(g) + np.arange(g.num_nodes)[:, None]

    failed = check(numbered, four(), output="nodes", gradients=False)
    assert not failed.passed and not recwarn.list and "encountered in log" in str(failed)


def test_other_warnings_come_as_ever():
    with pytest.warns(DeprecationWarning, match="old"), quiet() as found:
        warnings.warn("empty mean", RuntimeWarning, stacklevel=1)
        warnings.warn("empty mean", RuntimeWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert found == ["empty mean"]
    assert warned(list("abcdef")) == ["warnings came while it ran, and are not shown again: a; b; c; d and 2 more"]
