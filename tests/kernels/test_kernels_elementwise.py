"""Element-wise kernels: dropout's bits and statistics, Adam and cross-entropy against their twins, big ufuncs."""

from __future__ import annotations

import numpy as np
import pytest

from gnnkit import kernels as K
from gnnkit.kernels.arrays import PAST_BYTES
from gnnkit.kernels.twins import elementwise as twins

FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.6, 0.9])
def test_dropout_keeps_the_right_share(rate):
    kept = K.dropout(np.ones(200_000, np.float32), 3, rate)
    share = np.count_nonzero(kept) / kept.size
    assert abs(share - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / kept.size)
    np.testing.assert_allclose(np.unique(kept), [0, 1 / (1 - rate)], rtol=1e-6)


def test_dropout_patterns_are_independent():
    one = np.ones(100_000)
    # neighbouring keys, and neighbouring positions under one key: correlations of fair coins
    masks = [K.dropout(one, key, 0.5) > 0 for key in (0, 1, 2)]
    one, two, three = masks
    for a, b in [(one, two), (two, three), (one[1:], one[:-1]), (one[1:], two[:-1])]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(a))
    columns = masks[0].reshape(1000, 100)
    assert abs(columns.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(1000)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("key", [0, 1, 2**63, 2**64 - 1, -5, 2**70])
def test_dropout_has_the_same_bits_everywhere(dtype, key, rng, threads):
    x = rng.normal(size=(700, 301)).astype(dtype)
    x[3, 3] = np.nan
    bits = set()
    for count in (1, 2, 4):
        threads(count)
        bits.add(K.dropout(x, key, 0.4).tobytes())
    with K.use_backend("numpy"):
        bits.add(K.dropout(x, key, 0.4).tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_dropout_at_its_ends(backend):
    x = np.array([[1.0, -2.0], [3.0, np.inf]])
    with K.use_backend(backend):
        np.testing.assert_array_equal(K.dropout(x, 1, 0.0), x)
        np.testing.assert_array_equal(K.dropout(x, 1, 1.0), np.zeros((2, 2)))
        assert K.dropout(np.zeros((0, 3), np.float32), 1, 0.5).shape == (0, 3)
        assert K.dropout(np.zeros((), np.float32), 1, 0.5).shape == ()
        np.testing.assert_array_equal(K.dropout(x.T, 9, 0.5), K.dropout(x.T.copy(), 9, 0.5))


def test_dropout_is_its_own_adjoint(rng):
    x, y = rng.normal(size=(30, 7)), rng.normal(size=(30, 7))
    np.testing.assert_allclose(np.sum(K.dropout(x, 5, 0.3) * y), np.sum(x * K.dropout(y, 5, 0.3)), rtol=1e-12)


ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def test_adam_by_hand():
    # the first step of Adam moves every parameter by lr against the sign of its gradient
    param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    K.adam_update(param, np.array([0.5, -4.0]), m, v, step=1, **ADAM)
    np.testing.assert_allclose(param, [0.99, 2.01], rtol=1e-7)
    np.testing.assert_allclose(m, [0.05, -0.4])
    np.testing.assert_allclose(v, [0.00025, 0.016])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("extra", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True}])
@pytest.mark.parametrize("shape", [(0,), (), (5,), (33, 7)])
def test_adam_equals_twin(dtype, extra, shape, rng):
    ours = [rng.normal(size=shape).astype(dtype) if i == 0 else np.zeros(shape, dtype) for i in range(3)]
    theirs = [np.array(a) for a in ours]
    ours = [np.array(a) for a in ours]
    for step in range(1, 6):
        grad = np.asarray(rng.normal(size=shape), dtype)
        K.adam_update(ours[0], grad, ours[1], ours[2], step=step, **ADAM, **extra)
        twins.adam_update(theirs[0], grad, theirs[1], theirs[2], step=step, **ADAM, **extra)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-7)


def test_adam_against_the_paper(rng):
    grads, x = rng.normal(size=(4, 3)), rng.normal(size=3)
    expected, m, v = x.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(grads, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    state = [np.zeros(3), np.zeros(3)]
    for t, g in enumerate(grads, start=1):
        K.adam_update(x, g, *state, step=t, **ADAM)
    np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_adam_on_a_view_that_is_not_contiguous(rng):
    whole = [rng.random((6, 4)) for _ in range(3)]
    copies = [a[:, ::2].copy() for a in whole]
    grad = rng.normal(size=(6, 2))
    K.adam_update(whole[0][:, ::2], grad, whole[1][:, ::2], whole[2][:, ::2], step=1, **ADAM)
    K.adam_update(*copies[:1], grad, *copies[1:], step=1, **ADAM)
    np.testing.assert_allclose(whole[0][:, ::2], copies[0], rtol=1e-12)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_cross_entropy_by_hand(backend):
    with K.use_backend(backend):
        loss, p = K.softmax_cross_entropy(np.log([[1.0, 3.0], [1.0, 1.0]]), np.array([1, 0]))
        np.testing.assert_allclose(loss, [np.log(4 / 3), np.log(2)])
        np.testing.assert_allclose(p, [[0.25, 0.75], [0.5, 0.5]])
        loss, p = K.softmax_cross_entropy(np.array([[-1e4, 1e4, -np.inf]], np.float32), np.array([0]))
        assert loss.dtype == p.dtype == np.float32
        np.testing.assert_array_equal(loss, [2e4])
        np.testing.assert_array_equal(p, [[0, 1, 0]])
        for shape in [(0, 3), (0, 0)]:
            loss, p = K.softmax_cross_entropy(np.zeros(shape), np.zeros(0, np.int64))
            assert loss.shape == (0,) and p.shape == shape


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [1, 2, 7, 40, 100])
def test_cross_entropy_equals_twin(dtype, classes, rng):
    logits = (10 * rng.normal(size=(57, classes))).astype(dtype)
    logits[5] = np.nan
    labels = rng.integers(0, classes, 57)
    with np.errstate(invalid="ignore"):
        expected = twins.softmax_cross_entropy(logits, labels)
    for ours, theirs in zip(K.softmax_cross_entropy(logits, labels), expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5 if dtype == np.float32 else 1e-11, atol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_for_any_number_of_threads(dtype, rng, threads):
    n = 300_007  # odd, so that chunks end in the middle of a vector
    logits, labels = rng.normal(size=(20_001, 7)).astype(dtype), rng.integers(0, 7, 20_001)
    start = [rng.random(n).astype(dtype) for _ in range(4)]
    results = []
    for count in (1, 2, 4):
        threads(count)
        param, grad, m, v = (a.copy() for a in start)
        K.adam_update(param, grad, m, v, step=3, **ADAM)
        results.append([a.tobytes() for a in (param, m, v, *K.softmax_cross_entropy(logits, labels))])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("size", [10, 300_001])
def test_blockwise_ufunc_is_the_ufunc(size, rng, threads):
    threads(2)
    a, b = rng.normal(size=size).astype(np.float32), rng.normal(size=size)
    cases = [
        (np.exp, a), (np.add, a, b), (np.multiply, a, 2.0), (np.maximum, 0, a), (np.greater, a, b), (np.negative, b),
        (np.multiply, a, np.float64(2)), (np.add, a.reshape(1, -1), a.reshape(1, -1)),
        (np.add, a[::2], b[::2]), (np.add, a.reshape(-1, 1), np.ones(2)),
    ]  # fmt: skip
    for ufunc, *arrays in cases:
        expected = ufunc(*arrays)
        result = K.blockwise(ufunc, *arrays)
        assert result.dtype == expected.dtype and result.shape == expected.shape
        np.testing.assert_array_equal(result, expected)
    assert K.blockwise(np.add, 1.0, 2.0) == 3.0


def test_blockwise_ufunc_leaves_subclasses_to_numpy(threads):
    threads(2)
    a = np.ones((600, 600))
    masked = np.ma.masked_array(a, mask=np.eye(600, dtype=bool))
    assert type(K.blockwise(np.add, a, a.view(np.matrix))) is np.matrix
    assert K.blockwise(np.add, a, masked).mask.sum() == 600


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_results_that_go_past_the_caches_equal_their_twins(dtype, rng, threads):
    threads(2)
    x = rng.normal(size=(PAST_BYTES // np.dtype(dtype).itemsize // 1000 + 1, 1003)).astype(dtype)
    assert x.nbytes > PAST_BYTES
    for name, arrays in (("elu", (x,)), ("elu_adjoint", (x, x[::-1])), ("relu_adjoint", (x, x[::-1]))):
        near = 4 * np.finfo(dtype).eps if name == "elu" else 0
        np.testing.assert_allclose(getattr(K, name)(*arrays), getattr(twins, name)(*arrays), rtol=near, atol=near)
    np.testing.assert_array_equal(K.dropout(x, 11, 0.3), twins.dropout(x, 11, 0.3))


@pytest.mark.parametrize("name", ["relu_adjoint", "tanh_adjoint"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adjoints_by_the_result_equal_their_twins(name, dtype, rng):
    for shape in ((0, 3), (7,), (33, 31), (211, 23)):
        g, y = rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
        for array, values in ((g, [np.nan, np.inf, -np.inf]), (y, [1.0, 2.0, np.nan, 0.0])):
            array.reshape(-1)[: len(values)] = values[: array.size]
        with np.errstate(invalid="ignore"):
            result, expected = getattr(K, name)(g, y), getattr(twins, name)(g, y)
        assert result.dtype == dtype and result.shape == shape
        np.testing.assert_allclose(result, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
