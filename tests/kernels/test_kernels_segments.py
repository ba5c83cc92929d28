"""Segment reducers: known answers, twin against loop, adjoints, NaN and infinity, empty everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.kernels.twins import segments as twins

BACKENDS = ["numba", "numpy"]
REDUCERS = ["sum", "mean", "max", "min", "prod", "logsumexp", "std"]


def by_index(values, index, n):
    """Sort the values of an unsorted index into rows, as a topology would."""
    indptr, order = K.stable_order(np.array(index), n)
    return np.asarray(values)[order], indptr, order


def reduce(name, values, indptr):
    return getattr(K, f"segment_{name}")(values, indptr)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_known_answers_of_a_vector(backend, dtype):
    values, indptr, _ = by_index(np.array([1, 3, 2, 4, 5, 6], dtype), [0, 1, 0, 1, 1, 3], 4)
    with K.use_backend(backend):
        expected = {"sum": [3, 12, 0, 6], "prod": [2, 60, 1, 6], "min": [1, 3, 0, 6], "max": [2, 5, 0, 6]}
        for name, answer in expected.items():
            result = reduce(name, values, indptr)
            np.testing.assert_array_equal(result, answer)
            assert result.dtype == dtype
        np.testing.assert_array_equal(K.segment_mean(values, indptr), [1.5, 4, 0, 6])


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_answers_of_rows(backend):
    rows = np.array([[1, 2], [5, 6], [3, 4], [7, 8], [9, 10], [11, 12]], np.float32)
    values, indptr, _ = by_index(rows, [0, 1, 0, 1, 1, 3], 4)
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.segment_sum(values, indptr), [[4, 6], [21, 24], [0, 0], [11, 12]])
        np.testing.assert_array_equal(K.segment_max(values, indptr), [[3, 4], [9, 10], [0, 0], [11, 12]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_answers_of_pointers(backend):
    values, indptr = np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6])
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.segment_sum(values, indptr), [3, 12, 0, 6])
        np.testing.assert_array_equal(K.segment_mean(values, indptr), [1.5, 4, 0, 6])
        np.testing.assert_array_equal(K.segment_max(values, indptr), [2, 5, 0, 6])


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_answers_of_softmax(backend):
    values, indptr, order = by_index(np.arange(9.0), [0, 1, 2, 0, 4, 0, 1, 1, 0], 6)
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.segment_sum(values, indptr), [16, 14, 2, 0, 4, 0])
        np.testing.assert_allclose(K.segment_mean(values, indptr), [4, 14 / 3, 2, 0, 4, 0])
        softmax = np.empty(9)
        softmax[order] = K.segment_softmax(values, indptr)
    answer = [3.1741429e-4, 1.8088353e-3, 1, 6.3754367e-3, 1, 4.710846e-2, 0.26845494, 0.72973621, 0.9461987]
    np.testing.assert_allclose(softmax, answer, rtol=2e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_answers_of_max_or_zero(backend):
    rows = np.arange(1, 11).reshape(-1, 1) / 10 * np.array([[1.0, -1.0]])
    values, indptr, _ = by_index(rows, [1, 2, 2, 3, 3, 3, 4, 4, 5, 4], 7)
    with K.use_backend(backend):
        result = K.segment_max(values, indptr)
    np.testing.assert_allclose(result, [[0, 0], [0.1, -0.1], [0.3, -0.2], [0.6, -0.4], [1, -0.7], [0.9, -0.9], [0, 0]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_answers_of_softmax_of_logarithms(backend):
    log2 = np.log(2)
    values, indptr, order = by_index([log2, log2, log2, 0, 0, 0], [1, 5, 6, 6, 6, 5], 7)
    with K.use_backend(backend):
        softmax = np.empty(6)
        softmax[order] = K.segment_softmax(values, indptr)
    np.testing.assert_allclose(softmax, [1, 2 / 3, 1 / 2, 1 / 4, 1 / 4, 1 / 3])


@pytest.mark.parametrize("backend", BACKENDS)
def test_softmax_with_minus_infinity(backend):
    logits = [0.2, 0, 0.2, -2.1, 3.2, 7, -1, -np.inf]
    values, indptr, order = by_index(logits, [0, 1, 0, 1, 1, 2, 4, 4], 5)
    with K.use_backend(backend):
        softmax = np.empty(8)
        softmax[order] = K.segment_softmax(values, indptr)
        np.testing.assert_array_equal(softmax[-2:], [1, 0])
        assert np.isfinite(softmax).all()
        # nothing but -inf: no mass anywhere, zeros and not NaN
        np.testing.assert_array_equal(K.segment_softmax(np.full(2, -np.inf), np.array([0, 2])), [0, 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_logsumexp_of_infinities(backend):
    values = np.array([-np.inf, -np.inf, np.inf, 1.0, 1000.0, 1000.0])
    with K.use_backend(backend):
        result = K.segment_logsumexp(values, np.array([0, 2, 4, 6, 6]))
    np.testing.assert_allclose(result, [-np.inf, np.inf, 1000 + np.log(2), -np.inf])


@pytest.mark.parametrize("backend", BACKENDS)
def test_std_does_not_cancel(backend):
    values = np.array([1e8 + 1, 1e8 - 1, 1e8 + 1, 1e8 - 1])
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.segment_std(values, np.array([0, 4])), [1.0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*REDUCERS, "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_stays_in_its_segment(backend, name, dtype):
    values = np.array([[1, 2], [np.nan, 3], [4, 5], [6, 7]], dtype)
    indptr = np.array([0, 1, 3, 4])
    with K.use_backend(backend):
        result = reduce(name, values, indptr)
        clean = reduce(name, np.nan_to_num(values), indptr)
    touched = [1, 2] if name == "softmax" else [1]
    expected = np.zeros(result.shape, bool)
    expected[touched, 0] = True
    np.testing.assert_array_equal(np.isnan(result), expected)
    np.testing.assert_array_equal(result[~expected], clean[~expected])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", REDUCERS)
def test_identity_of_an_empty_segment(backend, name):
    identity = {"prod": 1.0, "logsumexp": -np.inf}.get(name, 0.0)
    with K.use_backend(backend):
        np.testing.assert_array_equal(reduce(name, np.zeros((0, 2)), np.zeros(4, np.int64)), np.full((3, 2), identity))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*REDUCERS, "softmax"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (4, 2, 0), (0, 0)])
def test_nothing_to_reduce(backend, name, shape):
    values = np.zeros(shape, np.float32)
    indptr = np.array([0, shape[0]])
    with K.use_backend(backend):
        result = reduce(name, values, indptr)
        assert result.shape == ((shape[0] if name == "softmax" else 1), *shape[1:])
        assert result.dtype == np.float32
        empty = np.zeros((0, *shape[1:]), np.float32)
        assert reduce(name, empty, np.array([0])).shape == (0, *shape[1:])


@st.composite
def segmented(draw):
    """Values of rank 1 to 3 cut in segments: empty ones, a hub, special values."""
    lengths = draw(st.lists(st.sampled_from([0, 0, 1, 2, 3, 40]), max_size=8))
    features = draw(st.sampled_from([(), (1,), (3,), (7,), (16,), (2, 5)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.normal(size=(sum(lengths), *features)).astype(dtype)
    if draw(st.booleans()) and values.size:
        special = generator.choice(values.size, size=max(1, values.size // 10))
        values.reshape(-1)[special] = generator.choice([np.nan, np.inf, -np.inf, 0.0], size=len(special))
    return values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(case=segmented(), name=st.sampled_from([*REDUCERS, "softmax"]))
def test_loop_equals_twin(case, name):
    values, indptr = case
    before = values.copy()
    with np.errstate(invalid="ignore"):
        expected = getattr(twins, f"segment_{name}")(values, indptr)
        result = reduce(name, values, indptr)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    exact = name in ("max", "min")
    tolerance = 0 if exact else (2e-5 if values.dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(values, before)


@settings(max_examples=30, deadline=None)
@given(case=segmented(), seed=st.integers(0, 1000))
def test_sum_and_repeat_are_adjoint(case, seed):
    values, indptr = case
    x = np.nan_to_num(values.astype(np.float64), posinf=1, neginf=-1)
    y = np.random.default_rng(seed).normal(size=(len(indptr) - 1, *x.shape[1:]))
    np.testing.assert_allclose(
        np.sum(K.segment_sum(x, indptr) * y), np.sum(x * K.segment_repeat(y, indptr)), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("name", [*REDUCERS, "softmax", "repeat"])
def test_same_bits_for_any_number_of_threads(name, rng, threads):
    lengths = np.append(rng.integers(0, 9, size=30_000), 20_000)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    values = rng.normal(size=(indptr[-1], 5)).astype(np.float32)
    if name == "repeat":
        values = values[: len(lengths)]
    results = []
    for count in (1, 2, 4):
        threads(count)
        results.append(reduce(name, values, indptr).tobytes())
    assert results[0] == results[1] == results[2]


def test_booleans_and_integers_keep_their_dtype():
    indptr = np.array([0, 2, 2])
    assert K.segment_max(np.array([-5, -7], np.int8), indptr).tolist() == [-5, 0]
    assert K.segment_min(np.array([5, 7], np.uint8), indptr).tolist() == [5, 0]
    assert K.segment_max(np.array([False, True]), indptr).tolist() == [True, False]
    assert K.segment_logsumexp(np.array([0, 0]), indptr).dtype == np.float64


def test_strided_and_read_only_input():
    values = np.arange(24.0).reshape(6, 4)[::2, ::2]
    values.setflags(write=False)
    np.testing.assert_array_equal(K.segment_sum(values, np.array([0, 1, 3])), [[0, 2], [24, 28]])
