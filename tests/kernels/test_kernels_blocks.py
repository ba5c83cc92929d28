"""Element-wise code in blocks: the same bits as in one piece, and everything that cannot be cut stays whole."""

from __future__ import annotations

import numpy as np
import pytest

from gnnkit import kernels as K
from gnnkit.kernels import blocks


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCKWISE", 16)
    monkeypatch.setattr(blocks, "BLOCK", 7)


def composite(x, y, factor):
    return np.maximum(x, 0) * factor + np.exp(-np.absolute(y))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_blocks_give_the_same_bits_as_one_piece(small_blocks, rng, threads):
    x, y = rng.normal(size=(2, 31, 3)).astype("float32")
    before = K.get_num_threads()
    K.set_num_threads(threads)
    try:
        out = K.blockwise(composite, x, y, 2.5)
    finally:
        K.set_num_threads(before)
    assert out.dtype == np.float32
    assert np.array_equal(out, composite(x, y, 2.5))


def test_a_comparison_keeps_its_dtype(small_blocks, rng):
    x = rng.normal(size=100)
    assert K.blockwise(lambda x: x > 0, x).dtype == bool


@pytest.mark.parametrize("other", [np.ones((100, 1)), np.ones((1, 4)), np.ones((4, 100)).T, np.float64(2.0), 3])
def test_what_cannot_be_cut_is_handed_on_whole(small_blocks, rng, other):
    x = rng.normal(size=(100, 4))
    assert np.array_equal(K.blockwise(np.multiply, x, other), x * other)


def test_empty_arrays_stay_empty(small_blocks):
    assert K.blockwise(np.exp, np.zeros((0, 3))).shape == (0, 3)


def test_threads_treat_overflow_as_the_caller_does(small_blocks):
    x = np.full(100, 1e30, np.float32)
    with np.errstate(over="ignore"):
        assert np.isinf(K.blockwise(lambda x: x * x, x)).all()
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        K.blockwise(lambda x: x * x, x)


@pytest.mark.parametrize("shape", [(50, 3), (100, 1), (0, 3), (5, 0), (1, 200)])
def test_column_sums_and_sums_in_place(small_blocks, rng, shape):
    rows = rng.normal(size=shape)
    np.testing.assert_allclose(K.column_sums(rows), rows.sum(axis=0), atol=1e-12)
    for other in (rng.normal(size=shape), rng.normal(size=shape[1])):
        target = rows.copy()
        K.add_in_place(target, other)
        assert np.array_equal(target, rows + other)


def test_column_sums_have_the_same_bits_for_every_number_of_threads(small_blocks, rng):
    rows, before = rng.normal(size=(500, 3)).astype("float32"), K.get_num_threads()
    results = set()
    try:
        for threads in (1, 2, 4):
            K.set_num_threads(threads)
            results.add(K.column_sums(rows).tobytes())
    finally:
        K.set_num_threads(before)
    assert len(results) == 1
