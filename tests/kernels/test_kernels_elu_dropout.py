"""ELU and dropout in one pass: by definition the two kernels one after the other, to the bit."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gnnkit
from gnnkit import kernels as K
from gnnkit.kernels.arrays import PAST_BYTES
from gnnkit.kernels.twins import elementwise as twins

FLOATS = [np.float32, np.float64]
SHAPES = [(0, 3), (), (1,), (7,), (33, 31), (700, 301)]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, -1e4, 1e-30, -1e-30]
DROPS_NOTHING, DROPS_NEARLY_ALL = 0.0, 1 - 2.0**-20
KEY = 2**63 + 5


def numbers(rng, shape, dtype, special=True):
    x = np.asarray(3 * rng.normal(size=shape), dtype)
    if special:
        x.reshape(-1)[: len(SPECIAL)] = SPECIAL[: x.size]
    return x


def same(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [1.0, 0.0, 0.3, 2.5])
@pytest.mark.parametrize("rate", [DROPS_NOTHING, 0.3, 0.5, DROPS_NEARLY_ALL, 1.0])
def test_it_is_dropout_of_elu(dtype, alpha, rate, rng):
    for shape in SHAPES:
        x = numbers(rng, shape, dtype)
        same(K.elu_dropout(x, alpha, KEY, rate), K.dropout(K.elu(x, alpha), KEY, rate))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [1.0, 0.0, 0.3, 2.5])
@pytest.mark.parametrize("rate", [DROPS_NOTHING, 0.5, 0.75, DROPS_NEARLY_ALL])
def test_its_adjoint_is_those_of_both_where_the_scale_is_a_power_of_two(dtype, alpha, rate, rng):
    for shape in SHAPES:
        x = numbers(rng, shape, dtype)
        x = np.where(np.isnan(x), dtype(0.5), x)  # see the next test
        g, y = numbers(rng, shape, dtype), K.elu(x, alpha)
        expected = K.elu_adjoint(K.dropout(g, KEY, rate), y, alpha)
        same(K.elu_dropout_adjoint(g, K.dropout(y, KEY, rate), alpha, KEY, rate), expected)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_what_is_dropped_has_no_derivative_whatever_it_was(backend):
    x = np.array([np.nan, np.nan, -1.0, 2.0])
    with K.use_backend(backend):
        y = K.elu_dropout(x, 1.0, 7, 0.5)  # keeps the odd positions
        np.testing.assert_array_equal(y, [0, np.nan, 0, 4])
        np.testing.assert_array_equal(K.elu_dropout_adjoint(np.ones(4), y, 1.0, 7, 0.5), [0, np.nan, 0, 2])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_its_adjoint_rounds_once_more_for_other_scales(dtype, rate, rng):
    g, x = numbers(rng, (300, 301), dtype, special=False), numbers(rng, (300, 301), dtype, special=False)
    y = K.elu(x, 1.5)
    expected = K.elu_adjoint(K.dropout(g, KEY, rate), y, 1.5)
    result = K.elu_dropout_adjoint(g, K.dropout(y, KEY, rate), 1.5, KEY, rate)
    assert np.abs(result - expected).max() <= 4 * np.finfo(dtype).eps * np.abs(g).max() / (1 - rate)
    np.testing.assert_array_equal((result != 0) | (g == 0), K.dropout(np.ones_like(x), KEY, rate) > 0)


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("rate", [0.0, 0.4, 0.5, 1.0])
def test_they_equal_their_twins(dtype, rate, rng):
    near = {"rtol": 8 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps}
    for shape in SHAPES:
        x, g = numbers(rng, shape, dtype), numbers(rng, shape, dtype, special=False)
        with np.errstate(invalid="ignore"):
            y = twins.elu_dropout(x, 0.7, KEY, rate)
            adjoint = twins.elu_dropout_adjoint(g, y, 0.7, KEY, rate)
        with np.errstate(invalid="ignore" if dtype == np.float16 else "raise"):
            result = [K.elu_dropout(x, 0.7, KEY, rate), K.elu_dropout_adjoint(g, y, 0.7, KEY, rate)]
        for ours, theirs in zip(result, (y, adjoint), strict=True):
            assert ours.dtype == dtype and ours.shape == shape
            np.testing.assert_allclose(ours, theirs, **near)


@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_for_any_number_of_threads_and_any_layout(dtype, rng, threads):
    x, g = numbers(rng, (1501, 1001), dtype), numbers(rng, (1501, 1001), dtype)
    bits = set()
    for count in (1, 2, 4):
        threads(count)
        y = K.elu_dropout(x, 1.0, KEY, 0.4)
        bits.add((y.tobytes(), K.elu_dropout_adjoint(g, y, 1.0, KEY, 0.4).tobytes()))
    assert len(bits) == 1
    same(K.elu_dropout(x.T, 1.0, KEY, 0.4), K.elu_dropout(x.T.copy(), 1.0, KEY, 0.4))
    same(K.elu_dropout(x[::2, ::3], 1.0, KEY, 0.4), K.elu_dropout(x[::2, ::3].copy(), 1.0, KEY, 0.4))
    expected = K.elu_dropout_adjoint(g.T.copy(), y.T.copy(), 1.0, KEY, 0.4)
    same(K.elu_dropout_adjoint(g.T, y.T, 1.0, KEY, 0.4), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_results_go_past_the_caches(dtype, rng, threads):
    threads(2)
    x = rng.normal(size=(PAST_BYTES // np.dtype(dtype).itemsize // 1000 + 1, 1003)).astype(dtype)
    y = K.dropout(K.elu(x), KEY, 0.5)
    same(K.elu_dropout(x, 1.0, KEY, 0.5), y)
    same(K.elu_dropout_adjoint(x[::-1], y, 1.0, KEY, 0.5), K.elu_adjoint(K.dropout(x[::-1], KEY, 0.5), K.elu(x)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_elu_is_right_to_two_units_in_the_last_place(dtype, rng):
    smallest = np.log10(np.finfo(dtype).tiny) - 3  # subnormal
    small = -(10 ** np.linspace(smallest, 2, 100_001, dtype=np.float64)).astype(dtype)
    x = np.concatenate([small, -small, rng.uniform(-50, 5, 100_000).astype(dtype)])
    exact = np.where(x > 0, x, np.expm1(np.minimum(x, 0).astype(np.longdouble)))
    assert (np.abs(K.elu(x) - exact) <= 2 * np.spacing(np.abs(exact).astype(dtype))).all()
    special = np.array([-0.0, 0.0, np.inf, -np.inf, -1e30, 1e30], dtype)
    same(K.elu(special, 2.0), np.array([-0.0, 0.0, np.inf, -2.0, -2.0, 1e30], dtype))
    assert np.isnan(K.elu(np.full(3, np.nan, dtype))).all()


def fingerprint():
    """Of masks, and of what follows from them, for lengths that end anywhere in a vector."""
    digest = hashlib.sha256()
    for dtype in FLOATS:
        for size in range(67):
            x = np.linspace(-3, 3, size, dtype=dtype)
            y = K.elu_dropout(x, 1.0, KEY, 0.4)
            for array in (K.dropout(x, KEY, 0.4), y, K.elu_dropout_adjoint(x, y, 1.0, KEY, 0.4)):
                digest.update(array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("bits", ["0", "128", "256"])
def test_every_vector_width_has_the_same_bits(bits):
    settings = {**os.environ, "PYTHONPATH": str(Path(gnnkit.__file__).parents[1]), "GNNKIT_SIMD": bits}
    command = [sys.executable, __file__]
    result = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [fingerprint()]


if __name__ == "__main__":
    sys.stdout.write(fingerprint())
