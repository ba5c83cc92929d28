"""The checker is checked: right rules pass, each kind of wrong rule is caught."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import errors


def _cube(rule):
    @gk.primitive
    def cube(x):
        return x**3

    gk.defvjp(cube, rule)
    return cube


X = np.array([0.7, -1.2])


def test_right_rule_passes() -> None:
    report = gk.gradcheck(_cube(lambda g, y, x: g * 3 * x**2), X, order=2)
    assert report.passed and report.max_error < 1e-9
    assert {(o, i) for o, i, _ in report.errors} == {(1, 0), (2, 0)}
    assert "gradcheck passed" in str(report)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g * 2 * x**2,
        lambda g, y, x: -g * 3 * x**2,
        lambda g, y, x: g * 3 * x**2 * 1.0001,
        lambda g, y, x: np.sum(g) * 3 * x**2,  # mixes the elements
        lambda g, y, x: g * np.nan,
        lambda g, y, x: None,
    ],
    ids=["factor", "sign", "slightly", "mixed", "nan", "missing"],
)
def test_wrong_rule_is_caught(rule) -> None:
    report = gk.gradcheck(_cube(rule), X)
    assert not report.passed
    with pytest.raises(errors.GradientError, match=r"must agree with differences of values. gradcheck FAILED"):
        gk.assert_gradients(_cube(rule), X)


def test_rule_that_is_wrong_to_second_order_only_is_caught() -> None:
    wrong = _cube(lambda g, y, x: g * (3 * x**2).data if isinstance(x, gk.Tensor) else g * 3 * x**2)
    assert gk.gradcheck(wrong, X, order=1).passed
    assert not gk.gradcheck(wrong, X, order=2).passed


def test_undeclared_read_is_caught() -> None:
    @gk.primitive
    def square(x):
        return x * x

    gk.defvjp(square, lambda g, y, x: g * 2 * x, keep="")
    with pytest.raises(TypeError):
        gk.gradcheck(square, np.ones(5000))


def test_several_inputs_and_constants() -> None:
    report = gk.gradcheck(lambda a, n, b: a**n * b, X, 3, np.array(2.0), order=2)
    assert report.passed and {i for _, i, _ in report.errors} == {0, 2}
    assert gk.gradcheck(lambda a: np.ones(2), X, order=2).passed  # a constant has derivative zero


def test_arguments_are_checked() -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"order 1 and 2. Got order=3"):
        gk.gradcheck(np.tanh, X, order=3)
    with pytest.raises(errors.DTypeError, match="Got none"):
        gk.gradcheck(np.tanh, np.array([1, 2]))


def test_float32_inputs_are_checked_in_float64() -> None:
    assert gk.gradcheck(np.tanh, X.astype(np.float32), order=2).max_error < 1e-8
