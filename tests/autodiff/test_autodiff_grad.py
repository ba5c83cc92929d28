"""grad and value_and_grad: structures, nesting, what comes back, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import errors


def test_structures_of_arguments() -> None:
    params = {"w": [np.array([1.0, 2.0]), np.array(3.0)], "b": (np.array([0.5]),)}
    got = gk.grad(lambda p: np.sum(p["w"][0] ** 2) + p["w"][1] * 2 + 4 * p["b"][0].sum())(params)
    np.testing.assert_array_equal(got["w"][0], [2.0, 4.0])
    assert got["w"][1] == 2.0 and isinstance(got["b"], tuple)
    np.testing.assert_array_equal(got["b"][0], [4.0])


def test_argnums() -> None:
    f = lambda a, b, scale=1.0: (a * b).sum() * scale  # noqa: E731
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(gk.grad(f)(a, b), b)
    np.testing.assert_array_equal(gk.grad(f, 1)(a, b, scale=2.0), 2 * a)
    da, db = gk.grad(f, (0, 1))(a, b)
    np.testing.assert_array_equal(da, b)
    np.testing.assert_array_equal(db, a)
    value, last = gk.value_and_grad(f, -1)(a, b)
    assert value == 11.0 and np.array_equal(last, a)
    with pytest.raises(errors.InvalidArgumentError, match="argnums=2 and 2 arguments"):
        gk.grad(f, 2)(a, b)


def test_arrays_in_arrays_out_tensors_in_tensors_out() -> None:
    f = lambda x: (x * x).sum()  # noqa: E731
    value, slope = gk.value_and_grad(f)(np.ones(2))
    assert type(slope) is np.ndarray and type(value) is np.float64
    value, slope = gk.value_and_grad(f)(gk.tensor([1.0, 1.0]))
    assert isinstance(slope, gk.Tensor) and isinstance(value, gk.Tensor) and not slope.requires_grad
    x = gk.tensor([1.0, 1.0], requires_grad=True)
    slope = gk.grad(f)(x)
    assert slope.requires_grad and x.grad is None
    (slope * slope).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [8.0, 8.0])


def test_other_tensors_stay_differentiable() -> None:
    w = gk.tensor([2.0], requires_grad=True)
    slope = gk.grad(lambda x: (w * x * x).sum())(np.array([3.0]))
    assert isinstance(slope, gk.Tensor) and slope.requires_grad
    slope.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [6.0])
    with gk.no_grad():
        slope = gk.grad(lambda x: (w * x * x).sum())(np.array([3.0]))
    assert not slope.requires_grad
    np.testing.assert_array_equal(slope.numpy(), [12.0])


def test_nested_variables_are_kept_apart() -> None:
    assert gk.grad(lambda x: x * gk.grad(lambda y: x + y)(2.0))(1.0) == 1.0
    assert gk.grad(lambda x: gk.grad(lambda y: x * y * y)(x))(3.0) == 4 * 3.0  # d/dx 2 x x
    assert gk.grad(lambda x: gk.grad(lambda y: y * y)(x) * x)(3.0) == 12.0


def test_hessian_by_rows() -> None:
    f = lambda x: x[0] ** 2 * x[1] + np.sin(x[1])  # noqa: E731
    x = np.array([1.5, 0.5])
    rows = [gk.grad(lambda v, i=i: gk.grad(f)(v)[i])(x) for i in range(2)]
    np.testing.assert_allclose(rows, [[1.0, 3.0], [3.0, -np.sin(0.5)]])


def test_constant_functions_have_zero_derivative() -> None:
    assert gk.grad(lambda x: 3.0)(1.0) == 0.0
    np.testing.assert_array_equal(gk.grad(lambda x: np.floor(x).sum())(np.ones(2)), [0.0, 0.0])
    _, db = gk.grad(lambda a, b: (a * 2).sum(), (0, 1))(np.ones(2), np.ones(3))
    np.testing.assert_array_equal(db, np.zeros(3))


def test_result_may_be_the_variable_itself() -> None:
    assert gk.grad(lambda x: x)(5.0) == 1.0


def test_errors() -> None:
    with pytest.raises(errors.GradientError, match=r"returns one value. Got shape \(2,\)"):
        gk.grad(lambda x: x * 2)(np.ones(2))
    with pytest.raises(errors.GradientError, match=r"returns one value. Got shape \(2,\)"):
        gk.grad(lambda x: np.ones(2))(np.ones(2))
    with pytest.raises(errors.DTypeError, match=r"floating values only. Got 3 of dtype int64"):
        gk.grad(lambda x: x * 2)(3)


def test_derivative_keeps_name_and_grad_attributes_untouched() -> None:
    def loss(x):
        """Half of a square."""
        return 0.5 * x**2

    assert gk.grad(loss).__name__ == "loss" and gk.grad(loss).__doc__ == "Half of a square."
    w = gk.tensor(2.0, requires_grad=True)
    assert gk.grad(loss)(w).item() == 2.0 and w.grad is None
    assert gk.grad(loss)(np.float32(2)).dtype == np.float32


def test_argnums_may_be_an_integer_of_numpy() -> None:
    assert float(gk.grad(lambda x, y: x * y, np.int64(1))(3.0, 2.0)) == 3.0
