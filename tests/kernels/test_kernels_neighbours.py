"""Kernels along edges: loops against twins at every width, adjoint pairs, thread counts, special values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.kernels import neighbours
from gnnkit.kernels.twins import neighbours as twins

WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 47, 64, 100, 128, 255, 256, 257, 300, 513, 1433]


def random_csr(rng, num_receivers=30, num_senders=20, num_edges=150):
    """Random edges with a hub (receiver 3), empty rows at both ends, and int32 senders."""
    receivers = rng.integers(2, max(num_receivers - 2, 3), num_edges)
    receivers[: num_edges // 3] = 3
    indptr, indices, _ = K.build_csr(
        rng.integers(0, num_senders, num_edges), receivers, num_receivers=num_receivers, num_senders=num_senders
    )
    return indptr, indices


def tolerance(dtype):
    return 3e-5 if dtype == np.float32 else 1e-12


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_neighbour_sum_by_hand(backend):
    indptr, senders = np.array([0, 2, 2, 3]), np.array([0, 1, 1], np.int32)
    x = np.array([[1, 2, 3], [10, 20, 30]], np.float32)
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.neighbour_sum(indptr, senders, x), [[11, 22, 33], [0, 0, 0], [10, 20, 30]])
        weighted = K.neighbour_sum(indptr, senders, x, np.array([1, 0.5, 2], np.float32))
        np.testing.assert_array_equal(weighted, [[6, 12, 18], [0, 0, 0], [20, 40, 60]])
        np.testing.assert_array_equal(K.neighbour_sum(indptr, senders, x[:, 0]), [11, 0, 10])
        assert weighted.dtype == np.float32
        heads = K.neighbour_sum(indptr, senders, x[:, :2, None], np.array([[1, 0], [0, 1], [2, 2]], np.float32))
        np.testing.assert_array_equal(heads[:, :, 0], [[1, 20], [0, 0], [20, 40]])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_neighbour_sum_at_every_width(width, dtype, weighted, rng):
    indptr, indices = random_csr(rng)
    x = rng.normal(size=(20, width)).astype(dtype)
    weights = rng.normal(size=len(indices)).astype(dtype) if weighted else None
    result = K.neighbour_sum(indptr, indices, x, weights)
    expected = twins.neighbour_sum(indptr, indices, x, weights)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=tolerance(dtype), atol=tolerance(dtype))
    if not weighted:  # only additions, in the same order: the same bits
        np.testing.assert_array_equal(result, expected)


HEADS = [(1, 8), (2, 3), (8, 8), (4, 16), (3, 40), (2, 256), (1, 1), (6, 1), (1, 300)]


@pytest.mark.parametrize("heads, channels", HEADS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbour_sum_with_heads(heads, channels, dtype, rng):
    indptr, indices = random_csr(rng)
    x = rng.normal(size=(20, heads, channels)).astype(dtype)
    weights = rng.normal(size=(len(indices), heads)).astype(dtype)
    result = K.neighbour_sum(indptr, indices, x, weights)
    expected = twins.neighbour_sum(indptr, indices, x, weights)
    np.testing.assert_allclose(result, expected, rtol=tolerance(dtype), atol=tolerance(dtype))
    single = K.neighbour_sum(indptr, indices, np.ascontiguousarray(x[:, 0]), weights[:, 0])
    np.testing.assert_array_equal(result[:, 0], single)


def test_neighbour_sum_is_a_sparse_product(rng):
    indptr, indices = random_csr(rng)
    x, weights = rng.normal(size=(20, 33)), rng.normal(size=len(indices))
    matrix = sp.csr_matrix((weights, indices, indptr), shape=(30, 20))
    np.testing.assert_allclose(K.neighbour_sum(indptr, indices, x, weights), matrix @ x, atol=1e-12)


@st.composite
def problems(draw):
    """A small bipartite CSR with features, sometimes with NaN and infinities in one sender."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_receivers, num_senders = draw(st.integers(0, 6)), draw(st.integers(1, 6))
    num_edges = draw(st.integers(0, 30)) if num_receivers else 0
    indptr, indices, _ = K.build_csr(
        rng.integers(0, num_senders, num_edges), rng.integers(0, max(num_receivers, 1), num_edges),
        num_receivers=num_receivers, num_senders=num_senders,
    )  # fmt: skip
    features = draw(st.sampled_from([(), (1,), (3,), (7,), (40,), (2, 3), (0,), (2, 0)]))
    x = rng.normal(size=(num_senders, *features)).astype(draw(st.sampled_from([np.float32, np.float64])))
    if draw(st.booleans()):
        x[rng.integers(num_senders)] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    if draw(st.booleans()):
        indices = indices.astype(np.int64)
    return indptr, indices, x, rng


@settings(max_examples=80, deadline=None)
@given(case=problems(), weighted=st.booleans())
def test_neighbour_sum_equals_twin(case, weighted):
    indptr, indices, x, rng = case
    weights = rng.normal(size=len(indices)).astype(x.dtype) if weighted else None
    before = x.copy()
    with np.errstate(invalid="ignore"):
        result = K.neighbour_sum(indptr, indices, x, weights)
        expected = twins.neighbour_sum(indptr, indices, x, weights)
    assert result.shape == expected.shape and result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=tolerance(x.dtype), atol=tolerance(x.dtype))
    np.testing.assert_array_equal(x, before)


@settings(max_examples=60, deadline=None)
@given(case=problems())
def test_edge_dot_equals_twin(case):
    indptr, indices, x, rng = case
    if x.ndim == 1:
        x = x[:, None]
    receiver_x = rng.normal(size=(len(indptr) - 1, *x.shape[1:])).astype(x.dtype)
    with np.errstate(invalid="ignore"):
        result = K.edge_dot(indptr, indices, receiver_x, x)
        expected = twins.edge_dot(indptr, indices, receiver_x, x)
    assert result.shape == expected.shape and result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=tolerance(x.dtype), atol=tolerance(x.dtype))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edge_dot_at_every_width(width, dtype, rng):
    indptr, indices = random_csr(rng)
    receiver_x, sender_x = rng.normal(size=(30, width)).astype(dtype), rng.normal(size=(20, width)).astype(dtype)
    result = K.edge_dot(indptr, indices, receiver_x, sender_x)
    expected = twins.edge_dot(indptr, indices, receiver_x.astype(np.float64), sender_x.astype(np.float64))
    np.testing.assert_allclose(result, expected, rtol=tolerance(dtype), atol=tolerance(dtype) * width)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_neighbour_sum_and_its_transpose_are_adjoint(backend, rng):
    indptr, indices = random_csr(rng)
    indptr_t, indices_t, perm = K.transpose_csr(indptr, indices, num_senders=20)
    x, y, weights = rng.normal(size=(20, 2, 5)), rng.normal(size=(30, 2, 5)), rng.normal(size=(len(indices), 2))
    with K.use_backend(backend):
        forward = np.sum(K.neighbour_sum(indptr, indices, x, weights) * y)
        backward = np.sum(x * K.neighbour_sum(indptr_t, indices_t, y, weights[perm]))
        by_weights = np.sum(weights * K.edge_dot(indptr, indices, y, x))  # linear in the weights too
    np.testing.assert_allclose([backward, by_weights], forward, rtol=1e-12)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("count, width", [(50, 3), (5000, 4), (60_000, 4)])
def test_gather_and_scatter_add_are_adjoint(backend, count, width, rng):
    index = rng.integers(0, 40, count)
    x, y = rng.normal(size=(40, width)), rng.normal(size=(count, width))
    with K.use_backend(backend):
        gathered, scattered = K.gather(x, index), K.scatter_add(y, index, 40)
    np.testing.assert_array_equal(gathered, x[index])
    np.testing.assert_array_equal(scattered, twins.scatter_add(y, index, 40))
    np.testing.assert_allclose(np.sum(gathered * y), np.sum(x * scattered), rtol=1e-9)


def test_gather_takes_any_dtype_and_shape(rng):
    index = np.array([2, 0, -1])
    assert K.gather(np.array(["a", "b", "c"]), index).tolist() == ["c", "a", "c"]
    x = rng.normal(size=(50, 3, 4))
    many = rng.integers(-50, 50, 20_000)
    np.testing.assert_array_equal(K.gather(x, many), x[many])
    assert K.gather(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0, 3)
    assert K.gather(np.zeros((4, 0)), index).shape == (3, 0)


def test_scatter_add_of_nothing_and_of_integers():
    assert K.scatter_add(np.zeros((0, 2)), np.zeros(0, np.int64), 3).tolist() == [[0, 0]] * 3
    assert K.scatter_add(np.zeros((3, 0)), np.array([0, 1, 1]), 2).shape == (2, 0)
    assert K.scatter_add(np.array([1, 2, 4]), np.array([0, 0, 1]), 2).tolist() == [3, 4]


def test_integer_weights_take_the_dtype_of_the_features():
    indptr, indices = np.array([0, 2]), np.array([0, 1], np.int32)
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            result = K.neighbour_sum(indptr, indices, np.ones((2, 3), np.float32), np.array([2, 3]))
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result, [[5, 5, 5]])
            assert K.neighbour_sum(indptr, indices, np.array([1, 2])).tolist() == [3]


@pytest.mark.parametrize("width", [1, 7, 40, 128])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(width, dtype, rng, threads):
    indptr, indices = random_csr(rng, 3000, 2000, 60_000)
    x, weights = rng.normal(size=(2000, width)).astype(dtype), rng.normal(size=len(indices)).astype(dtype)
    receiver_x = rng.normal(size=(3000, width)).astype(dtype)
    index = rng.integers(0, 3000, len(indices))
    results = []
    for count in (1, 2, 4):
        threads(count)
        results.append([
            K.neighbour_sum(indptr, indices, x, weights).tobytes(),
            K.neighbour_sum(indptr, indices, x).tobytes(),
            K.edge_dot(indptr, indices, receiver_x, x).tobytes(),
            K.gather(x, indices).tobytes(),
            K.scatter_add(K.gather(x, indices), index, 3000).tobytes(),
        ])  # fmt: skip
    assert results[0] == results[1] == results[2]


def test_strided_and_read_only_input(rng):
    indptr, indices = random_csr(rng)
    x = rng.normal(size=(40, 10))[::2, ::2]
    for array in (x, indptr, indices):
        array.setflags(write=False)
    np.testing.assert_array_equal(K.neighbour_sum(indptr, indices, x), twins.neighbour_sum(indptr, indices, x))
    assert neighbours.SMALL_SCATTER > 0
