"""Normalising columns: kernel == twin == formula, exact sums, threads."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.autodiff.columns import standardise_columns

SHAPES = [(1, 1), (5, 3), (1023, 16), (1025, 17), (129, 4), (3000, 10), (7, 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_and_twins_equal_the_formulas(shape, dtype):
    rng = np.random.default_rng(0)
    x, g = (rng.normal(2, 3, shape).astype(dtype) for _ in range(2))
    a, b, c, d = (rng.normal(size=shape[1]).astype(dtype) for _ in range(4))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            mean, variance = K.column_moments(x)
            sums, products = K.column_products(g, x, a)
            scaled, adjoint = K.column_scale(x, a, b, c), K.column_scale_adjoint(g, x, a, b, c, d)
        assert mean.dtype == variance.dtype == scaled.dtype == adjoint.dtype == x.dtype
        wide, other = x.astype(float), g.astype(float)
        np.testing.assert_allclose(mean, wide.mean(axis=0), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(variance, wide.var(axis=0), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(sums, other.sum(axis=0), rtol=tolerance, atol=shape[0] * tolerance)
        np.testing.assert_allclose(products, (other * (wide - a)).sum(axis=0), atol=10 * shape[0] * tolerance)
        np.testing.assert_allclose(scaled, (x - a) * b + c, atol=30 * tolerance)
        np.testing.assert_allclose(adjoint, (g - c - (x - a) * d) * b, atol=100 * tolerance)


def test_moments_of_millions_of_single_precision_rows_keep_their_digits():
    x = np.full((3_000_000, 1), 0.1, np.float32) + np.float32(1000)
    mean, variance = K.column_moments(x)
    assert abs(float(mean[0]) - float(x[0, 0])) < 1e-3
    assert variance[0] < 1e-6


@pytest.mark.parametrize("columns", [1, 16, 33])
def test_bits_do_not_depend_on_threads(threads, columns):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 20_000, columns)).astype("float32")
    found = []
    for number in (1, 2, 3):
        threads(number)
        mean, variance = K.column_moments(x)
        found.append((mean, variance, *K.column_products(g, x, mean), K.column_scale(x, mean, mean, mean)))
    for other in found[1:]:
        for left, right in zip(found[0], other):
            np.testing.assert_array_equal(left, right)


def standardised(x, scale, shift, eps):
    centred = x - np.mean(x, axis=0)
    return centred / np.sqrt(np.mean(centred**2, axis=0) + eps) * scale + shift


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_derivatives_of_standardised_columns(backend):
    rng = np.random.default_rng(0)
    x, scale, shift = rng.normal(size=(7, 3)), rng.normal(size=3), rng.normal(size=3)

    def loss(operation):
        return lambda *values: np.sum(np.sin(operation(*values)))

    with K.use_backend(backend):
        fused = loss(lambda *values: standardise_columns(*values, eps=0.1, memo={}))
        gk.assert_gradients(fused, x, scale, shift, order=2)
        want = gk.grad(loss(lambda *values: standardised(*values, 0.1)), argnums=(0, 1, 2))(x, scale, shift)
        for left, right in zip(gk.grad(fused, argnums=(0, 1, 2))(x, scale, shift), want):
            np.testing.assert_allclose(left, right, atol=1e-12)


def test_constant_columns_without_eps_become_the_shift():
    x, one = np.full((4, 2), 3.0), np.ones(2)
    y = standardise_columns(x, one, 5 * one, eps=0.0, memo={})
    np.testing.assert_array_equal(y, np.full((4, 2), 5.0))
    g = gk.grad(lambda v: np.sum(standardise_columns(v, one, one, eps=0.0, memo={}) * np.arange(8.0).reshape(4, 2)))(x)
    np.testing.assert_allclose(g, np.arange(8.0).reshape(4, 2) - [3, 4])
