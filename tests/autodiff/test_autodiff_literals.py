"""Derivatives as literal numbers, with no helper of ours: if the checker were wrong, these would still be right."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gnnkit as gk


def test_product_and_sum() -> None:
    x = gk.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0, 6.0])


def test_exercise_17_by_hand() -> None:
    """f = sin(t x1 + x2) + t x2^2 at t=2, x1=0.5, x2=3."""
    t, x1, x2 = (gk.tensor(v, requires_grad=True) for v in (2.0, 0.5, 3.0))
    f = np.sin(t * x1 + x2) + t * x2**2
    f.backward()
    assert f.item() == pytest.approx(math.sin(4.0) + 18.0)
    assert t.grad.item() == pytest.approx(0.5 * math.cos(4.0) + 9.0)  # x1 cos(t x1 + x2) + x2^2
    assert x1.grad.item() == pytest.approx(2.0 * math.cos(4.0))
    assert x2.grad.item() == pytest.approx(math.cos(4.0) + 12.0)  # cos(t x1 + x2) + 2 t x2


def test_exercise_16_one_hidden_layer() -> None:
    """y = C s(Ax + b) + d with squared loss: every derivative written out."""
    rng = np.random.default_rng(1)
    hidden, inputs, target = 4, 3, 0.7
    values = {
        "A": rng.normal(size=(hidden, inputs)),
        "b": rng.normal(size=hidden),
        "C": rng.normal(size=hidden),
        "d": 0.2,
    }
    x = rng.normal(size=inputs)

    def loss(p):
        return (np.dot(p["C"], gk.sigmoid(p["A"] @ x + p["b"])) + p["d"] - target) ** 2

    got = gk.grad(loss)(values)
    s = 1 / (1 + np.exp(-(values["A"] @ x + values["b"])))
    error = values["C"] @ s + values["d"] - target
    np.testing.assert_allclose(got["d"], 2 * error)
    np.testing.assert_allclose(got["C"], 2 * s * error)
    np.testing.assert_allclose(got["b"], 2 * error * values["C"] * s * (1 - s))
    np.testing.assert_allclose(got["A"], (2 * error * values["C"] * s * (1 - s))[:, None] * x[None, :])


def test_exercise_16_ridge_regression() -> None:
    """Gradient descent with weight decay reaches (A'A + lambda I)^-1 A'b."""
    rng = np.random.default_rng(2)
    a, b, decay = rng.normal(size=(20, 3)), rng.normal(size=20), 0.3
    exact = np.linalg.solve(a.T @ a + decay * np.eye(3), a.T @ b)
    slope = gk.grad(lambda w: np.sum((a @ w - b) ** 2) + decay * np.sum(w**2))
    w = np.zeros(3)
    for _ in range(2000):
        w = w - 0.005 * slope(w)
    np.testing.assert_allclose(w, exact, atol=1e-10)
    np.testing.assert_allclose(slope(exact), 0, atol=1e-10)


def test_ridge_solution_is_differentiable_in_lambda() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(6, 2)), rng.normal(size=6)

    def size_of_solution(decay):
        return np.sum(np.linalg.solve(a.T @ a + decay * np.eye(2), a.T @ b) ** 2)

    inverse = np.linalg.inv(a.T @ a + 0.5 * np.eye(2))
    w = inverse @ a.T @ b
    assert gk.grad(size_of_solution)(0.5) == pytest.approx(-2 * w @ inverse @ w)


def test_higher_derivatives_of_a_polynomial() -> None:
    f = lambda x: 2 * x**4 - x**3  # noqa: E731
    assert gk.grad(f)(3.0) == 8 * 27 - 3 * 9
    assert gk.grad(gk.grad(f))(3.0) == 24 * 9 - 6 * 3
    assert gk.grad(gk.grad(gk.grad(f)))(3.0) == 48 * 3 - 6
    assert gk.grad(gk.grad(gk.grad(gk.grad(gk.grad(f)))))(3.0) == 0


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (np.max, [3.0, 1.0, 3.0, 3.0], [1 / 3, 0, 1 / 3, 1 / 3]),
        (np.min, [1.0, 1.0, 2.0], [0.5, 0.5, 0]),
        (lambda x: np.maximum(x, 0.0).sum(), [-1.0, 0.0, 2.0], [0, 0.5, 1]),
        (lambda x: np.minimum(x, 0.0).sum(), [-1.0, 0.0, 2.0], [1, 0.5, 0]),
        (lambda x: np.abs(x).sum(), [-1.0, 0.0, 2.0], [-1, 0, 1]),
        (lambda x: gk.relu(x).sum(), [-1.0, 0.0, 2.0], [0, 0, 1]),
        (lambda x: gk.leaky_relu(x, 0.2).sum(), [-1.0, 0.0, 2.0], [0.2, 0.2, 1]),
        (lambda x: gk.elu(x, 2.0).sum(), [0.0, 2.0], [2, 1]),
        (lambda x: np.clip(x, 0.0, 1.0).sum(), [-1.0, 0.5, 1.0, 2.0], [0, 1, 0.5, 0]),
        (np.std, [2.0, 2.0, 2.0], [0, 0, 0]),
        (np.std, [1.0, 7.0, 7.0, 9.0], [-5 / 12, 1 / 12, 1 / 12, 1 / 4]),  # (x - 6) / (4 * 3)
        (np.prod, [2.0, 0.0, 3.0], [0, 6, 0]),
        (np.prod, [0.0, 0.0, 3.0], [0, 0, 0]),
        (np.linalg.norm, [3.0, 4.0], [0.6, 0.8]),
        (np.linalg.norm, [0.0, 0.0], [0, 0]),
        (lambda x: np.hypot(x[0], x[1]), [0.0, 0.0], [0, 0]),
        (lambda x: (x**0).sum(), [0.0, 2.0], [0, 0]),
        (lambda x: (x**1).sum(), [0.0, 2.0], [1, 1]),
        (lambda x: (x**2).sum(), [0.0, 2.0], [0, 4]),
        (lambda x: (x ** np.array([0.0, 1.0, 2.0])).sum(), [0.0, 0.0, 0.0], [0, 1, 0]),
        (lambda b: (np.array([0.0, math.e]) ** b).sum(), [2.0, 1.0], [0, math.e]),
        (lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0).sum(), [4.0, -1.0], [0.25, 0]),
        (lambda x: gk.logsumexp(x), [-np.inf, -np.inf], [0, 0]),
        (lambda x: gk.logsumexp(x), [0.0, -np.inf], [1, 0]),
        (lambda x: gk.softmax(x)[0], [0.0, 0.0], [0.25, -0.25]),
        (lambda x: x[np.array([0, 0, 1])].sum(), [1.0, 1.0], [2, 1]),
    ],
)
def test_known_derivative(function, x, expected) -> None:
    np.testing.assert_allclose(gk.grad(function)(np.array(x)), expected, atol=1e-15)


def test_second_derivative_of_std_at_equal_values_is_finite() -> None:
    curvature = gk.grad(lambda x: gk.grad(np.std)(x)[0])(np.array([2.0, 2.0]))
    assert np.isfinite(curvature).all()


def test_where_keeps_nan_of_the_other_branch_out() -> None:
    x = gk.tensor([1.0, 2.0], requires_grad=True)
    np.where([True, False], x, np.nan).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 0.0])
    x.grad = None
    np.where([True, False], x, 0.0).backward(np.array([1.0, np.inf]))
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 0.0])  # an infinite adjoint is dropped, not multiplied by 0


def test_cross_entropy_by_hand() -> None:
    logits = gk.tensor([[0.0, 0.0], [0.0, math.log(3.0)]], requires_grad=True)
    losses = gk.cross_entropy_rows(logits, np.array([0, 1]))
    np.testing.assert_allclose(losses.numpy(), [math.log(2.0), math.log(4 / 3)])
    losses.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [[-0.5, 0.5], [0.25, -0.25]])


@pytest.mark.parametrize("value", [-1000.0, -30.0, 0.0, 30.0, 1000.0])
def test_activations_are_finite_far_out(value) -> None:
    x = np.array([value])
    for f in (gk.sigmoid, gk.softplus, gk.gelu, gk.silu, gk.tanh, gk.elu, gk.relu):
        assert np.isfinite(f(x)).all()
        assert np.isfinite(gk.grad(lambda v, f=f: f(v).sum())(x)).all()
    assert gk.sigmoid(np.array(-30.0)) == pytest.approx(9.357622968839299e-14, rel=1e-12)
    assert gk.softplus(np.array(-30.0)) == pytest.approx(9.357622968839299e-14, rel=1e-12)
    assert gk.gelu(np.array(1.0)) == pytest.approx(0.8413447460685429, rel=1e-12)
