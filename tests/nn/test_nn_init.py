"""Initialisers: ranges, moments, blocks, empties, same seed same bits."""

from __future__ import annotations

import numpy as np
import pytest

from gnnkit.errors import ShapeError
from gnnkit.nn import init


@pytest.mark.parametrize(
    ("draw", "std"),
    [
        (init.glorot_uniform, np.sqrt(2 / 300)),
        (init.glorot_normal, np.sqrt(2 / 300)),
        (init.kaiming_uniform, np.sqrt(2 / 100)),
        (init.kaiming_normal, np.sqrt(2 / 100)),
        (init.normal, 1.0),
        (init.uniform, np.sqrt(1 / 3)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_moments_and_seed(draw, std):
    w = draw((100, 200), np.random.default_rng(0))
    assert w.dtype == np.float64
    assert abs(w.mean()) < 0.03 * std + 1e-3
    assert abs(w.std() / std - 1) < 0.03
    assert np.array_equal(w, draw((100, 200), np.random.default_rng(0)))
    assert draw((0, 5), np.random.default_rng(0)).shape == (0, 5)
    assert draw((4, 0, 0), np.random.default_rng(0)).shape == (4, 0, 0)


def test_bounds():
    w = init.glorot_uniform((8, 50, 100), np.random.default_rng(0))
    assert abs(w).max() <= np.sqrt(6 / 150), "leading axes are blocks of their own"
    assert abs(init.kaiming_uniform((25, 3), np.random.default_rng(0), slope=5**0.5)).max() <= 1 / 5
    assert np.array_equal(init.zeros((2, 1)), [[0], [0]])
    assert np.array_equal(init.ones((2, 1)), [[1], [1]])


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal(shape):
    w = init.orthogonal(shape, np.random.default_rng(0))
    product = w.T @ w if shape[0] >= shape[1] else w @ w.T
    assert np.allclose(product, np.eye(min(shape)))


def test_errors():
    with pytest.raises(ShapeError, match="matrix"):
        init.orthogonal((2, 2, 2), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="fan-in"):
        init.glorot_uniform((), np.random.default_rng(0))
    assert init.orthogonal((0, 3), np.random.default_rng(0)).shape == (0, 3)
