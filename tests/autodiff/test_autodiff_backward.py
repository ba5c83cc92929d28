"""The reverse pass: accumulation, adjoints given, repeated calls, deep tapes, broadcasting, user rules."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gnnkit as gk
from gnnkit import errors
from gnnkit import kernels as K


def test_gradients_add_up_over_calls_and_uses() -> None:
    x = gk.tensor([2.0], requires_grad=True)
    y = x * x + x
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0])
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [10.0])
    x.grad = None
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0])


def test_a_value_used_many_times() -> None:
    x = gk.tensor([1.0, 2.0], requires_grad=True)
    (x + x + x + x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 7.0])
    middle = gk.tensor([1.0], requires_grad=True)
    h = middle * 2
    (h + h + h + h).sum().backward()
    np.testing.assert_array_equal(middle.grad.numpy(), [8.0])


def test_leaves_own_their_gradients() -> None:
    a, b = gk.tensor([1.0, 2.0], requires_grad=True), gk.tensor([3.0, 4.0], requires_grad=True)
    given_adjoint = np.array([1.0, 1.0])
    (a + b).backward(given_adjoint)
    a.grad.data *= 10  # as an optimiser that clips may do
    np.testing.assert_array_equal(b.grad.numpy(), [1.0, 1.0])
    np.testing.assert_array_equal(given_adjoint, [1.0, 1.0])
    c = gk.tensor(np.ones((2, 3)), requires_grad=True)
    c.sum().backward()
    assert c.grad.data.flags.writeable and c.grad.data.flags.owndata


def test_adjoint_argument_is_checked() -> None:
    x = gk.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(errors.GradientError, match=r"result with one value. Got shape \(2,\).*\.sum\(\)"):
        (x * 2).backward()
    with pytest.raises(errors.ShapeError, match=r"has its shape, \(2,\). Got shape \(3,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(errors.GradientError, match="depends on a Tensor with requires_grad=True"):
        gk.tensor([1.0]).backward()
    (x * 2).backward(gk.tensor([1, 10]))
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 20.0])


def test_leaf_is_its_own_result() -> None:
    x = gk.tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_no_grad_as_block_and_decorator() -> None:
    x = gk.tensor([1.0], requires_grad=True)
    with gk.no_grad():
        assert not gk.is_grad_enabled() and not (x * 2).requires_grad
        with gk.no_grad():
            pass
        assert not gk.is_grad_enabled()
    assert gk.is_grad_enabled() and (x * 2).requires_grad

    @gk.no_grad()
    def predict(n):
        return x * 2 if n == 0 else predict(n - 1)

    assert not predict(3).requires_grad and gk.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), gk.no_grad():
        _ = 1 / 0
    assert gk.is_grad_enabled()


def test_no_grad_is_of_its_thread() -> None:
    seen = []
    with gk.no_grad():
        worker = threading.Thread(target=lambda: seen.append(gk.is_grad_enabled()))
        worker.start()
        worker.join()
    assert seen == [True]


def test_create_graph_gives_second_derivatives() -> None:
    x = gk.tensor([2.0, 3.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    np.testing.assert_array_equal(first.numpy(), [12.0, 27.0])
    x.grad = None
    first.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [12.0, 18.0])


def test_gradient_penalty_reaches_the_weights() -> None:
    w, x = gk.tensor([3.0], requires_grad=True), gk.tensor([2.0], requires_grad=True)
    (w * x * x).sum().backward(create_graph=True)
    slope = x.grad  # 2 w x
    w.grad = x.grad = None
    (slope**2).sum().backward()  # d/dw 4 w^2 x^2 = 8 w x^2
    np.testing.assert_array_equal(w.grad.numpy(), [96.0])


def test_deep_tape() -> None:
    x = gk.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 0.001
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0])
    del y  # freeing a long chain must not recurse either
    gc.collect()
    x.grad, z = None, x
    for _ in range(4_999):
        z = z * x
    z.sum().backward(create_graph=True)
    slope, x.grad = x.grad, None
    assert slope.item() == 5_000.0
    slope.sum().backward()
    assert x.grad.item() == 5_000.0 * 4_999.0
    del z, slope
    gc.collect()


def test_tape_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        x = gk.tensor(np.ones(3), requires_grad=True)
        y = np.tanh(x) * x
        node = weakref.ref(y._node)
        y.sum().backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_dead_leaves_do_not_matter() -> None:
    x = gk.tensor([1.0], requires_grad=True)
    y = x * gk.tensor([2.0], requires_grad=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0])


def test_data_may_be_replaced_after_the_forward_pass() -> None:
    w = gk.tensor([3.0], requires_grad=True)
    y = w * w
    w.data = np.array([100.0])
    y.backward()
    np.testing.assert_array_equal(w.grad.numpy(), [6.0])
    w.data = w.data.astype(np.float32)
    w.grad = None
    (w * 2).backward()
    assert w.grad.dtype == np.float32


def test_wrong_shape_of_a_rule_is_named() -> None:
    @gk.primitive
    def double(x):
        return x * 2

    gk.defvjp(double, lambda g, y, x: np.sum(g))
    x = gk.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(errors.GradientError, match=r"Rule 0 of double returned \(\) for an argument of shape \(2,\)"):
        double(x).sum().backward()


def test_primitive_with_constants_and_missing_rules() -> None:
    @gk.primitive
    def scaled(x, factor, *, offset=0.0):
        return x * factor + offset

    gk.defvjp(scaled, lambda g, y, x, factor, offset=0.0: g * factor)
    x, factor = gk.tensor([1.0, 2.0], requires_grad=True), gk.tensor([5.0, 6.0], requires_grad=True)
    assert type(scaled(np.ones(2), 2.0)) is np.ndarray
    y = scaled(x, factor, offset=1.0)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 6.0])
    assert factor.grad is None  # no rule: a constant
    np.testing.assert_array_equal(scaled(x=x, factor=3.0).numpy(), [3.0, 6.0])  # by keyword, too
    with pytest.raises(errors.GradientError, match=r"Keyword arguments of an operation are constants.*offset="):
        scaled(x, 2.0, offset=factor)
    with pytest.raises(errors.GradientError, match="decorated with @primitive"):
        gk.defvjp(len, None)


def test_rule_may_return_none() -> None:
    @gk.primitive
    def blocked(x):
        return x + 0

    gk.defvjp(blocked, lambda g, y, x: None)
    x = gk.tensor([1.0], requires_grad=True)
    (blocked(x) + x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0])


def test_empty_arrays() -> None:
    for shape in ((0,), (0, 3), (3, 0)):
        x = gk.tensor(np.ones(shape), requires_grad=True)
        outcome = (np.tanh(x) * 2 + x @ np.ones((shape[-1], 2)).sum(1) if shape == (0,) else np.tanh(x) * 2).sum()
        total = (
            outcome + gk.softmax(x).sum() + gk.relu(x).sum() + np.concatenate([x, x]).sum() + gk.logsumexp(x, 0).sum()
        )
        if np.isfinite(total.item()):
            total.backward()
            assert x.grad.shape == shape
    x = gk.tensor(np.ones((0, 3)), requires_grad=True)
    (x.sum(0) + x.prod(0) + np.linalg.norm(x, axis=0)).sum().backward()
    assert x.grad.shape == (0, 3)
    logits = gk.tensor(np.ones((0, 3)), requires_grad=True)
    gk.cross_entropy_rows(logits, np.zeros(0, int)).sum().backward()
    assert logits.grad.shape == (0, 3)


shapes_that_fit = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0)


@settings(deadline=None, max_examples=60)
@given(shapes_that_fit, st.sampled_from([np.add, np.subtract, np.multiply, np.maximum]), st.booleans())
def test_broadcasting_is_undone(shapes, ufunc, create_graph) -> None:
    """The derivative of sum(f(a, b)) equals that with both arguments broadcast by hand."""
    (left, right), shape = shapes.input_shapes, shapes.result_shape
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=left), rng.normal(size=right)
    ta, tb = gk.tensor(a, requires_grad=True), gk.tensor(b, requires_grad=True)
    ufunc(ta, tb).sum().backward(create_graph=create_graph)
    wide_a, wide_b = (gk.tensor(np.broadcast_to(v, shape), requires_grad=True) for v in (a, b))
    ufunc(wide_a, wide_b).sum().backward()
    for narrow, wide in ((ta, wide_a), (tb, wide_b)):
        assert narrow.grad.shape == narrow.shape
        back = wide.grad.numpy()
        extra = back.ndim - narrow.ndim
        back = back.sum(axis=tuple(range(extra)))
        for axis, n in enumerate(narrow.shape):
            if n == 1:
                back = back.sum(axis=axis, keepdims=True)
        np.testing.assert_allclose(narrow.grad.numpy(), back)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.int64, st.integers(0, 12), elements=st.integers(-4, 3)),
    st.integers(0, 3),
)
def test_adjoint_of_indexing_is_scatter_add(index, channels) -> None:
    x = gk.tensor(np.ones((4, channels)), requires_grad=True)
    adjoint = np.random.default_rng(0).normal(size=(index.size, channels))
    x[index].backward(adjoint)
    expected = np.zeros((4, channels))
    np.add.at(expected, index, adjoint)
    np.testing.assert_allclose(x.grad.numpy(), expected)


@pytest.mark.parametrize(
    "index",
    [
        (slice(None), (0, 0, 1)),
        ((0, 0, 1),),
        range(2),
        pytest.param("series", id="column of a table"),
        [[0, 0], [1, 0]],
        (np.int8(1), [0, 0]),
        (None, ..., [1, 1]),
    ],
)
def test_every_kind_of_repeating_index_adds_up(index) -> None:
    if index == "series":
        index = pytest.importorskip("pandas").Series([0, 0, 1])
    x = gk.tensor(np.zeros((3, 2)), requires_grad=True)
    picked = x[index]
    adjoint = np.random.default_rng(0).normal(size=picked.shape)
    picked.backward(adjoint)
    expected = np.zeros((3, 2))
    np.add.at(expected, index, adjoint)
    np.testing.assert_allclose(x.grad.numpy(), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_narrow_indices_pick_from_long_arrays(dtype) -> None:
    x = gk.tensor(np.zeros(1000), requires_grad=True)
    x[np.array([0, 100, 100], dtype)].sum().backward()
    assert x.grad.numpy()[[0, 100]].tolist() == [1, 2] and x.grad.numpy().sum() == 3


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_statistics_of_too_few_values_have_no_gradient_but_do_not_fail() -> None:
    none = gk.tensor(np.zeros((0, 2)), requires_grad=True)
    none.mean(axis=0).sum().backward()
    assert none.grad.shape == (0, 2)
    for statistic in (np.std, np.var):
        one = gk.tensor([3.0], requires_grad=True)
        statistic(one, ddof=1).backward()
        assert np.isnan(one.grad.numpy()).all()


def test_recorded_gradients_belong_to_their_leaf() -> None:
    x, y = gk.tensor([1.0, 2.0], requires_grad=True), gk.tensor([3.0, 4.0], requires_grad=True)
    (x + y).sum().backward(create_graph=True)
    x.grad.data *= 0.5  # as clipping does
    assert x.grad.tolist() == [0.5, 0.5] and y.grad.tolist() == [1.0, 1.0]
    z = gk.tensor([3.0], requires_grad=True)
    (z**3).sum().backward(create_graph=True)
    first, z.grad = z.grad, None
    first.sum().backward()
    assert z.grad.tolist() == [18.0]


VECTOR, MATRIX = [1.0, 2.0], [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "function",
    [
        lambda t, m: np.average(t, weights=VECTOR),
        lambda t, m: np.average(VECTOR, weights=t),
        lambda t, m: np.broadcast_arrays(t, 1.0)[0],
        lambda t, m: np.tensordot(MATRIX, m, axes=1),
        lambda t, m: np.kron(MATRIX, m),
        lambda t, m: np.inner(VECTOR, t),
        lambda t, m: np.dot(MATRIX, m),
        lambda t, m: np.matmul(MATRIX, t),
        lambda t, m: t**VECTOR,
        lambda t, m: np.float_power(t, VECTOR),
        lambda t, m: np.arctan2(VECTOR, t),
        lambda t, m: np.maximum(VECTOR, t),
    ],
)
def test_lists_beside_tensors_are_arrays(function) -> None:
    gk.assert_gradients(function, np.array([0.5, 1.5]), np.array(MATRIX) + 0.1, order=2)


@pytest.mark.parametrize(
    ("subscripts", "left", "right"),
    [
        ("ij,ij->i", (3, 1), (3, 4)),
        ("ij,ij->ij", (3, 4), (3, 1)),
        ("ij,ij->", (3, 1), (3, 4)),
        ("ij,j->i", (3, 4), (1,)),
        ("ij,kj->i", (1, 4), (3, 4)),
    ],
)
def test_einsum_broadcasts_axes_of_length_one(subscripts, left, right) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=left), rng.normal(size=right)
    gk.assert_gradients(lambda a, b: np.einsum(subscripts, a, b) ** 2, *values, order=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("leaf", [True, False])
def test_slices_of_one_array_share_its_adjoint(dtype, leaf, rng, threads) -> None:
    data, parts = rng.integers(-9, 9, (4_001, 16)).astype(dtype), [np.s_[:, :8], np.s_[:, 8:], np.s_[..., 5:12], 3]
    adjoints = [rng.integers(-9, 9, data[part].shape).astype(dtype) for part in parts]
    expected = data * (1 if leaf else 3)  # of the sum of squares
    for part, adjoint in zip(parts, adjoints):
        expected[part] += adjoint
    for count in (1, 2, 4):
        threads(count)
        for order in (slice(None), slice(None, None, -1)):
            x = gk.tensor(data, requires_grad=True)
            h = x if leaf else x * 1
            total = (h * h / 2).sum() * (1 if leaf else 3)
            for part, adjoint in list(zip(parts, adjoints))[order]:
                total = total + (h[part] * adjoint).sum()
            total.backward()
            np.testing.assert_array_equal(x.grad.numpy(), expected)
    assert x.grad.dtype == dtype


def test_slices_add_into_one_array_that_nobody_else_holds(monkeypatch) -> None:
    calls = []
    for name in ("pad_columns", "add_columns"):
        usual = getattr(K, name)
        monkeypatch.setattr(K, name, lambda *args, name=name, usual=usual: calls.append(name) or usual(*args))
    x = gk.tensor(np.ones((9_000, 16), np.float32), requires_grad=True)
    total = x[:, :8].sum() + 2 * x[:, 8:].sum() + 3 * x[:, 4:12].sum()
    total.backward()
    first = x.grad.numpy()
    kept = first.copy()
    total.backward()
    assert calls == 2 * ["pad_columns", "add_columns", "add_columns"]
    np.testing.assert_array_equal(x.grad.numpy(), 2 * kept)
    np.testing.assert_array_equal(first, kept)
