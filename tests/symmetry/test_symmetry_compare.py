"""The comparison of two arrays, by literal numbers."""

from __future__ import annotations

import numpy as np
import pytest

from gnnkit.symmetry.compare import compare, default_tolerance, largest

inf, nan = np.inf, np.nan


def difference(left, right, **options):
    return compare(np.array(left), np.array(right), tolerance=options.pop("tolerance", 1e-9), **options)


@pytest.mark.parametrize(
    ("left", "right", "absolute"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, nan], [1.0, nan], 0.0),
        ([inf, -inf, 3.0], [inf, -inf, 3.0], 0.0),
        ([nan], [1.0], inf),
        ([1.0], [nan], inf),
        ([inf], [-inf], inf),
        ([inf], [nan], inf),
        ([1e308], [inf], inf),
        ([], [], 0.0),
        ([1, 2], [1, 3], 1.0),
        ([True, False], [True, False], 0.0),
        (["a"], ["b"], 1.0),
    ],
)
def test_absolute_errors(left, right, absolute):
    found = difference(left, right)
    assert found.absolute == absolute
    assert found.failed == (absolute > 0)


def test_where_it_is_largest():
    found = difference([[1.0, 2.0], [3.0, 4.0]], [[1.1, 2.0], [3.0, 5.0]])
    assert (found.index, found.left, found.right) == ((1, 1), 4.0, 5.0)


def test_relative_to_the_largest_value_and_at_least_1():
    assert difference([100.0, 0.0], [100.0, 1.0]).relative == 0.01
    assert difference([0.1], [0.2]).relative == pytest.approx(0.1)
    assert difference([0.0], [1.0], scale=10.0).relative == 0.1


def test_shapes_that_differ_fail():
    found = difference([[1.0, 2.0]], [1.0, 2.0])
    assert found.failed and found.message == "shape [1, 2] expected, shape [2] found"


def test_rows_that_are_not_valid_are_left_out():
    assert not difference([[1.0], [2.0]], [[1.0], [9.0]], valid=np.array([True, False])).failed
    assert difference([[1.0], [2.0]], [[1.0], [9.0]], valid=np.array([False, True])).failed


def test_the_default_tolerance_follows_the_least_precise_dtype():
    double, single = np.dtype("float64"), np.dtype("float32")
    assert default_tolerance(double) == pytest.approx(4.05e-10, rel=0.01)
    assert default_tolerance(double, single) == pytest.approx(7.05e-5, rel=0.01)
    assert difference([1.0], [1.0 + 1e-6], tolerance=None).failed
    assert not difference([1.0], [1.0 + 1e-6], tolerance=None, dtypes=["float32"]).failed


def test_whole_numbers_have_no_tolerance():
    assert difference([10**9], [10**9 + 1], tolerance=0.5).failed


def test_largest_looks_at_finite_values_only():
    assert largest(np.array([3.0, -7.0, inf, nan])) == 7.0
    assert largest(np.zeros(0), np.array([nan]), np.array(["a"])) == 1.0
