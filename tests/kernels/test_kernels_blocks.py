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


def test_column_sums_by_hand():
    rows = np.tile(np.array([[1.0, 2.0, 0.5]], np.float32), (20_001, 1))
    rows[-1] = [0.0, 100.0, -1.0]
    assert K.column_sums(rows).tolist() == [20_000.0, 40_100.0, 9_999.0]


SIZES = [(40_001, 1), (20_003, 3), (5_000, 8), (3_001, 40), (700, 128), (517, 129), (129, 300), (2, 40_000)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
def test_large_column_sums_equal_those_of_long_doubles_for_every_number_of_threads(rng, threads, shape, dtype):
    rows = (rng.normal(1, 1, shape) * (1 if dtype[0] == "f" else 100)).astype(dtype)
    expected, found = rows.sum(axis=0, dtype=np.longdouble), set()
    for count in (1, 2, 4):
        threads(count)
        result = K.column_sums(rows)
        assert result.dtype == dtype and result.shape == shape[1:]
        found.add(result.tobytes())
    assert len(found) == 1
    bound = np.abs(rows).sum(axis=0, dtype=np.longdouble)
    if dtype in ("float32", "float64"):
        # a block adds at most a few hundred lines of four rows in the dtype of the rows
        assert (np.abs(result - expected) <= 200 * np.finfo(dtype).eps * bound).all()
    elif dtype == "int64":
        assert np.array_equal(result, expected)
    for other in (np.asfortranarray(rows), rows[::-1][::-1], np.repeat(rows, 2, axis=0)[::2]):
        scale = np.finfo(dtype).eps * bound if dtype[0] == "f" else 0.5
        assert (np.abs(K.column_sums(other).astype(np.longdouble) - result) <= 2_000 * scale).all()


def test_single_precision_columns_are_summed_to_their_last_digits(rng):
    rows = rng.random((300_000, 24)).astype("float32")
    expected = rows.sum(axis=0, dtype="float64")
    np.testing.assert_allclose(K.column_sums(rows), expected, rtol=3e-7)
    with K.use_backend("numpy"):
        np.testing.assert_allclose(K.column_sums(rows), expected, rtol=1e-3)


def test_column_sums_keep_nan_and_infinity_in_their_columns():
    rows = np.zeros((5_000, 8), np.float32)
    rows[17, 2], rows[4_999, 3], rows[0, 5] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(K.column_sums(rows), [0, 0, np.nan, np.inf, 0, -np.inf, 0, 0])
