"""SparseMatrix: doors, products, transposes, rows; and the operations that have a kernel of their own."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit import errors
from gnnkit.autodiff import sparse


@pytest.fixture
def dense(rng) -> np.ndarray:
    a = rng.normal(size=(5, 4))
    a[rng.random(size=a.shape) < 0.5] = 0
    a[2] = 0
    return a


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.lil_array])
def test_scipy_round_trip(dense, kind) -> None:
    m = gk.SparseMatrix.from_scipy(kind(dense))
    np.testing.assert_array_equal(m.toarray(), dense)
    np.testing.assert_array_equal(m.to_scipy().toarray(), dense)
    assert m.shape == (5, 4) and m.ndim == 2 and len(m) == 5 and m.nnz == np.count_nonzero(dense) and m.size == 20


def test_doors_keep_what_they_are_given() -> None:
    counts = sp.coo_array((np.array([1, 2, 3]), ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    m = gk.SparseMatrix.from_scipy(counts)
    assert m.dtype == np.float32 and m.nnz == 2  # repeated entries are added up
    np.testing.assert_array_equal(m.toarray(), [[0, 3], [3, 0]])
    assert gk.SparseMatrix.from_scipy(counts, dtype=np.float64).dtype == np.float64
    zero = sp.csr_array((np.array([0.0]), np.array([1]), np.array([0, 1])), shape=(1, 2))
    assert gk.SparseMatrix.from_scipy(zero).nnz == 1  # explicit zeros are kept
    assert gk.SparseMatrix.from_scipy(m) is m
    with pytest.raises(errors.InvalidArgumentError, match=r"takes a scipy.sparse array or matrix. Got ndarray"):
        gk.SparseMatrix.from_scipy(np.eye(2))


def test_wrong_parts() -> None:
    with pytest.raises(errors.ShapeError, match="3 row pointers and one index per value"):
        gk.SparseMatrix([0, 1], [0], [1.0], (2, 2))
    with pytest.raises(errors.DTypeError, match=r"floating values. Got dtype int64"):
        gk.SparseMatrix([0, 1], [0], [1], (1, 2))


def test_products_agree_with_dense(dense, rng) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    x, v, left = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(2, 5))
    np.testing.assert_allclose(m @ x, dense @ x)
    np.testing.assert_allclose(m @ v, dense @ v)
    np.testing.assert_allclose(left @ m, left @ dense)
    np.testing.assert_allclose(m.T.toarray(), dense.T)
    np.testing.assert_allclose((2.0 * m).toarray(), 2 * dense)
    np.testing.assert_allclose((m * 2).toarray(), 2 * dense)
    assert type(m @ x) is np.ndarray
    t = gk.tensor(x, requires_grad=True)
    adjoint = rng.normal(size=(5, 3))
    (m @ t).backward(adjoint)
    np.testing.assert_allclose(t.grad.numpy(), dense.T @ adjoint)
    np.testing.assert_allclose(np.vdot(m @ x, adjoint), np.vdot(x, m.T @ adjoint))  # <Ax, y> = <x, A'y>
    row = gk.tensor(left, requires_grad=True)
    (row @ m).sum().backward()
    np.testing.assert_allclose(row.grad.numpy(), np.ones((2, 4)) @ dense.T)


def test_shapes_are_checked(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    with pytest.raises(errors.ShapeError, match=r"shape \(5, 4\) multiplies a dense one of 4 rows. Got shape \(5, 2\)"):
        m @ np.ones((5, 2))
    with pytest.raises(errors.InvalidArgumentError, match=r"multiplies a SparseMatrix from the left. Got ndarray"):
        gk.sparse_matmul(dense, np.ones(4))
    with pytest.raises(TypeError):
        m * np.ones(4)
    with pytest.raises(errors.InvalidArgumentError, match=r"axes 0 and 1. Got axis=2"):
        m.sum(2)


def test_dtypes(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense), dtype=np.float32)
    assert (m @ np.ones((4, 2), np.float32)).dtype == np.float32
    assert (m @ np.ones((4, 2))).dtype == np.float64
    assert m.astype(np.float32) is m and m.astype("float64").dtype == np.float64
    x = gk.tensor(np.ones((4, 2), np.float32), requires_grad=True)
    (m @ x).sum().backward()
    assert x.grad.dtype == np.float32


def test_transpose_is_kept_and_follows_new_values(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    assert m.T is m.T
    doubled = m.with_data(m.data * 2)
    np.testing.assert_allclose(doubled.T.toarray(), 2 * dense.T)
    np.testing.assert_allclose(m.astype(np.float32).T.toarray(), dense.T.astype(np.float32))
    np.testing.assert_allclose(m.T.T.toarray(), dense)


def test_rows_and_sums(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    for index in ([3, 0, 3], slice(1, 4), dense[:, 0] != 0, np.zeros(0, int), [-1]):
        np.testing.assert_array_equal(m.take_rows(index).toarray(), dense[index])
    np.testing.assert_allclose(m.sum(), dense.sum())
    np.testing.assert_allclose(m.sum(0), dense.sum(0))
    np.testing.assert_allclose(m.sum(1), dense.sum(1))


def test_immutable_and_shared(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    with pytest.raises(ValueError, match="read-only"):
        m.data[0] = 1
    assert copy.deepcopy(m) is m and m.nbytes > 0
    assert repr(gk.SparseMatrix.from_scipy(sp.eye_array(4, dtype=np.float32))) == (
        "SparseMatrix(4 x 4, 4 stored values (25.00 %), float32)"
    )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty(shape) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(shape))
    x = gk.tensor(np.ones((shape[1], 2)), requires_grad=True)
    out = m @ x
    assert out.shape == (shape[0], 2)
    out.sum().backward()
    assert x.grad.shape == x.shape and m.T.shape == shape[::-1] and "stored values" in repr(m)


# --- dropout, cross entropy, rows -----------------------------------------------------------------------------------
def test_dropout_is_its_own_adjoint(rng) -> None:
    x = gk.tensor(np.ones((50, 20), np.float32), requires_grad=True)
    y = gk.dropout(x, 0.25, rng=5)
    assert set(np.unique(y.numpy()).tolist()) == {0.0, np.float32(1 / 0.75).item()}
    assert abs((y.numpy() == 0).mean() - 0.25) < 0.05
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())  # the same values are dropped
    np.testing.assert_array_equal(gk.dropout(x, 0.25, rng=5).numpy(), y.numpy())
    generator = np.random.default_rng(5)
    first, second = gk.dropout(x, 0.25, rng=generator), gk.dropout(x, 0.25, rng=generator)
    assert not np.array_equal(first.numpy(), second.numpy())


def test_dropout_follows_positions_not_memory() -> None:
    a = np.arange(1.0, 13.0).reshape(3, 4)
    np.testing.assert_array_equal(gk.dropout(a.T, 0.5, rng=1), gk.dropout(np.ascontiguousarray(a.T), 0.5, rng=1))
    x = gk.tensor(a, requires_grad=True)
    y = gk.dropout(x.T, 0.5, rng=1)
    y.backward(np.asfortranarray(np.ones((4, 3))))
    np.testing.assert_array_equal(x.grad.numpy().T != 0, y.numpy() != 0)


def test_dropout_of_sparse_and_limits(dense) -> None:
    m = gk.SparseMatrix.from_scipy(sp.csr_array(dense))
    dropped = gk.dropout(m, 0.5, rng=0)
    assert dropped.nnz == m.nnz and 0 < np.count_nonzero(dropped.data) < m.nnz
    assert gk.dropout(m, 0.0) is m
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(errors.InvalidArgumentError, match=r"must lie in \[0, 1\)"):
            gk.dropout(dense, rate)
    with pytest.raises(errors.DTypeError, match="scales floating values"):
        gk.dropout(np.arange(3), 0.5)


def test_cross_entropy_checks_its_labels() -> None:
    logits = np.zeros((3, 2))
    for labels, error, text in [
        (np.zeros(2, int), errors.ShapeError, r"logits \(3, 2\) and labels \(2,\)"),
        (np.zeros(3), errors.DTypeError, "Labels are integers. Got dtype float64"),
        (np.array([0, 2, 5]), errors.InvalidArgumentError, r"Label 2 of row 1 does not"),
        (np.array([0, -1, 0]), errors.InvalidArgumentError, r"Label -1 of row 1 does not"),
    ]:
        with pytest.raises(error, match=text):
            gk.cross_entropy_rows(logits, labels)


def test_cross_entropy_is_that_of_log_softmax(rng) -> None:
    logits, labels = rng.normal(size=(6, 4)) * 30, rng.integers(0, 4, 6)
    expected = -gk.log_softmax(logits)[np.arange(6), labels]
    np.testing.assert_allclose(gk.cross_entropy_rows(logits, labels), expected, atol=1e-12)
    a, b = gk.tensor(logits, requires_grad=True), gk.tensor(logits, requires_grad=True)
    gk.cross_entropy_rows(a, labels).mean().backward()
    (-gk.log_softmax(b)[np.arange(6), labels]).mean().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-12)


def test_rows_and_scatter_are_adjoint(rng) -> None:
    index = np.array([2, 0, 2, 1])
    x, y = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    np.testing.assert_allclose(np.vdot(gk.take_rows(x, index), y), np.vdot(x, gk.scatter_add(y, index, 3)))


def test_options_of_activations() -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"slope of leaky_relu must be at least 0. Got -1"):
        gk.leaky_relu(np.ones(2), -1)
    with pytest.raises(errors.InvalidArgumentError, match=r"alpha of elu must be at least 0. Got nan"):
        gk.elu(np.ones(2), float("nan"))


def test_leaky_relu_of_infinity_with_slope_0() -> None:
    assert gk.leaky_relu(np.array([np.inf, -np.inf, np.nan, -1.0]), 0).tolist()[:2] == [np.inf, 0.0]


def test_softmax_of_unusual_rows() -> None:
    np.testing.assert_array_equal(gk.softmax(np.array([[-np.inf, -np.inf], [-np.inf, 0.0]])), [[0, 0], [0, 1]])
    assert np.isnan(gk.softmax(np.array([np.nan, 0.0]))).all()
    assert (
        gk.softmax(np.zeros((2, 0))).shape == (2, 0)
        and gk.logsumexp(np.zeros((2, 0)), axis=1).tolist() == [-np.inf] * 2
    )
    assert gk.log_softmax(np.zeros((2, 0))).shape == (2, 0)
    np.testing.assert_array_equal(gk.log_softmax(np.full((1, 2), -np.inf)), [[-np.inf, -np.inf]])
    assert type(gk.relu(np.ones(2))) is np.ndarray
    assert np.isnan(gk.relu(np.array([np.nan]))).all()


def test_rows_that_kernels_could_not_trust_are_refused() -> None:
    ones = np.ones(1)
    with pytest.raises(errors.InvalidArgumentError, match=r"lie in \[0, 2\). Column 99 of value 0 does not"):
        gk.SparseMatrix([0, 1], [99], ones, (1, 2))
    with pytest.raises(errors.InvalidArgumentError, match=r"Column -1 of value 0 does not"):
        gk.SparseMatrix([0, 1], [-1], ones, (1, 2))
    with pytest.raises(errors.InvalidArgumentError, match=r"number of values, 1. They run from 0 to 5"):
        gk.SparseMatrix([0, 5], [0], ones, (1, 2))
    with pytest.raises(errors.InvalidArgumentError, match="or fall"):
        gk.SparseMatrix([0, 2, 1], [0], ones, (2, 2))
    with pytest.raises(errors.DTypeError, match="Got indices of dtype float64"):
        gk.SparseMatrix([0, 1], [0.5], ones, (1, 2))
    with pytest.raises(errors.InvalidArgumentError, match="Column 99"):  # scipy does not look at columns
        gk.SparseMatrix.from_scipy(sp.csr_array((ones, np.array([99]), np.array([0, 1])), shape=(1, 2)))
    with pytest.raises(errors.ShapeError, match=r"two axes. Got a sparse array of shape \(3,\)"):
        gk.SparseMatrix.from_scipy(sp.coo_array(np.ones(3)))
    with pytest.raises(errors.ShapeError, match=r"one per stored value, shape \(1,\). Got shape \(2,\)"):
        gk.SparseMatrix([0, 1], [0], ones, (1, 2)).with_data(np.ones(2))


def test_a_sparse_matrix_does_not_follow_the_arrays_of_its_pattern() -> None:
    indices = np.array([0], np.int32)
    m = gk.SparseMatrix(np.array([0, 1]), indices, np.ones(1), (1, 2))
    indices[0] = 99
    assert m.indices.tolist() == [0]


def test_a_list_is_multiplied() -> None:
    m = gk.SparseMatrix([0, 1], [1], [2.0], (1, 2))
    assert (m @ [1.0, 3.0]).tolist() == [6.0]


def test_matrices_of_one_pattern_are_transposed_in_several_threads(monkeypatch) -> None:
    m = gk.SparseMatrix([0, 1, 2], [1, 0], [2.0, 3.0], (2, 2))
    others = [m.with_data(np.full(2, float(k))) for k in range(2)]
    both = threading.Barrier(2, timeout=10)
    transpose = sparse.K.transpose_csr

    def together(*args, **kwargs):
        both.wait()  # neither thread has stored its answer when the other starts
        return transpose(*args, **kwargs)

    monkeypatch.setattr(sparse.K, "transpose_csr", together)
    with ThreadPoolExecutor(2) as pool:
        for k, transposed in enumerate(pool.map(lambda each: each.T, others)):
            np.testing.assert_array_equal(transposed.toarray(), [[0, k], [k, 0]])
    np.testing.assert_array_equal(m.T.toarray(), [[0, 3], [2, 0]])


@pytest.mark.parametrize("count", [3, 10_000])  # numpy's way and the kernel's
def test_row_indices_are_checked(count) -> None:
    values, index = np.ones(count), np.zeros(count, np.int64)
    index[2] = 7
    for operation in (lambda i: gk.take_rows(np.ones(5), i), lambda i: gk.scatter_add(values, i, 5)):
        with pytest.raises(errors.InvalidArgumentError, match=r"lie in \[0, 5\). Index 7 at position 2 does not"):
            operation(index)
        with pytest.raises(errors.InvalidArgumentError, match="Index -7 at position 2 does not"):
            operation(-index)
        with pytest.raises(errors.DTypeError, match=r"dtype bool. Turn a mask into indices with np.flatnonzero"):
            operation(index == 0)
        with pytest.raises(errors.DTypeError, match="Got dtype float64"):
            operation(index * 0.5)
    with pytest.raises(errors.ShapeError, match=rf"values of shape \({count},\) and \(2,\) indices"):
        gk.scatter_add(values, np.zeros(2, int), 5)
    assert gk.take_rows(np.ones(5), []).shape == (0,) and gk.scatter_add(np.ones(0), [], 2).tolist() == [0, 0]
