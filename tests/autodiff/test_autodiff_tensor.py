"""The Tensor as an array: protocols, dtypes, conversions, and what it refuses."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import errors
from gnnkit.autodiff import nodes


@pytest.fixture
def t() -> gk.Tensor:
    return gk.tensor([1.0, 2.0, 3.0], requires_grad=True)


def test_operators_in_both_directions(t) -> None:
    a, m = np.array([4.0, 5.0, 6.0]), np.arange(9.0).reshape(3, 3)
    for left, right, expected in [
        (a + t, t + a, [5, 7, 9]),
        (a * t, t * a, [4, 10, 18]),
        (2 - t, -(t - 2), [1, 0, -1]),
        (a / t, (t / a) ** -1, [4, 2.5, 2]),
        (m @ t, t @ m.T, [8, 26, 44]),
        (np.float64(2) * t, t * 2, [2, 4, 6]),
        (2**t, 2 ** (t + 0), [2, 4, 8]),
    ]:
        assert isinstance(left, gk.Tensor) and isinstance(right, gk.Tensor)
        assert left.requires_grad and right.requires_grad
        np.testing.assert_allclose(left.numpy(), expected)
        np.testing.assert_allclose(right.numpy(), expected)
    assert (+t) is t
    np.testing.assert_array_equal(abs(-t).numpy(), t.numpy())
    np.testing.assert_array_equal((t % 2).numpy(), [1, 0, 1])
    np.testing.assert_array_equal((7 % t).numpy(), [0, 1, 1])
    np.testing.assert_array_equal((t // 2).numpy(), [0, 1, 1])
    np.testing.assert_array_equal((7 // t).numpy(), [7, 3, 2])
    np.testing.assert_array_equal((m @ (m @ t).reshape(3, 1)).numpy()[:, 0], m @ (m @ t.numpy()))


def test_python_numbers_do_not_widen_float32() -> None:
    t = gk.tensor(np.ones(3, np.float32), requires_grad=True)
    results = [t + 1, 2.0 * t, 1 / t, t**2, t**0.5, 2**t, np.maximum(t, 0), np.clip(t, 0, 2.0)]
    results += [np.where(t > 0, t, 0.0)]
    results += [
        t.mean(),
        t.std(),
        t.sum(),
        gk.relu(t),
        gk.leaky_relu(t, 0.2),
        gk.elu(t, 0.5),
        gk.gelu(t),
        gk.sigmoid(t),
    ]
    results += [
        gk.softplus(t),
        gk.softmax(t),
        gk.log_softmax(t),
        gk.logsumexp(t),
        gk.silu(t),
        gk.dropout(t, 0.5, rng=0),
    ]
    results += [np.tanh(t), np.exp(t), np.logaddexp(t, 0), np.linalg.norm(t), np.average(t), np.pad(t, 1), t @ t]
    for result in results:
        assert result.dtype == np.float32
        t.grad = None
        result.sum().backward()
        assert t.grad.dtype == np.float32
    assert (t + np.ones(3)).dtype == np.float64  # as numpy: an array of another dtype does widen
    assert (t * np.float64(2)).dtype == np.float64


def test_gradient_has_the_dtype_of_its_argument() -> None:
    narrow, wide = gk.tensor(np.ones(2, np.float32), requires_grad=True), gk.tensor(np.ones(2), requires_grad=True)
    (narrow * wide).sum().backward()
    assert narrow.grad.dtype == np.float32 and wide.grad.dtype == np.float64


def test_integers_carry_no_gradient() -> None:
    with pytest.raises(errors.DTypeError, match=r"Only floating.*int64.*astype\('float32'\)"):
        gk.tensor([1, 2], requires_grad=True)
    t = gk.tensor([1, 2])
    with pytest.raises(errors.DTypeError, match="Only floating"):
        t.requires_grad = True
    assert not t.requires_grad and (t + 1).dtype == np.int64
    assert not gk.tensor([1.5], requires_grad=True).astype(int).requires_grad


@pytest.mark.parametrize("data", [[1j], ["a"], None, [object()]])
def test_only_numbers(data) -> None:
    with pytest.raises(errors.DTypeError, match="A Tensor holds floating, integer or boolean numbers"):
        gk.tensor(data)


def test_functions_without_a_derivative_return_arrays(t) -> None:
    for result in (t > 2, t == 2, t != 2, t <= 2, np.isnan(t), np.argsort(t), np.zeros_like(t), np.logical_not(t)):
        assert type(result) is np.ndarray
    assert np.argmax(t) == 2 == t.argmax() and t.argmin() == 0 and np.shape(t) == (3,)
    assert (t > 0).all() and not (t > 5).any() and t.all() and t.any()
    step = np.floor(t)
    assert isinstance(step, gk.Tensor) and not step.requires_grad


def test_function_outside_the_table_is_named(t) -> None:
    with pytest.raises(errors.GradientError, match=r"np\.fft\.fft is not.*@primitive"):
        np.fft.fft(t)
    with pytest.raises(errors.GradientError, match=r"np\.modf is not"):
        np.modf(t)
    with pytest.raises(errors.GradientError, match=r"np\.add\.outer is not"):
        np.add.outer(t, t)
    with pytest.raises(errors.InvalidArgumentError, match=r"np\.sum on Tensors takes a, axis, keepdims.*where"):
        np.sum(t, where=[True, False, True])
    with pytest.raises(errors.InvalidArgumentError, match=r"np\.add on Tensors .* keyword arguments. Got dtype"):
        np.add(t, 1, dtype=np.float32)
    with pytest.raises(errors.InvalidArgumentError, match="one term of different letters"):
        np.einsum("ii->i", gk.tensor(np.eye(2)))
    with pytest.raises(errors.InvalidArgumentError, match="pads with a constant"):
        np.pad(t, 1, mode="reflect")
    with pytest.raises(errors.InvalidArgumentError, match="Frobenius norm"):
        np.linalg.norm(gk.tensor(np.eye(2)), "nuc")


def test_ufunc_reduce_is_the_reduction(t) -> None:
    assert np.add.reduce(t).item() == 6 and np.maximum.reduce(t).item() == 3
    assert np.add.reduce(gk.tensor(np.ones((2, 3)))).shape == (3,)


def test_shapes_that_do_not_fit(t) -> None:
    with pytest.raises(errors.ShapeError, match=r"arguments of add must go together. Got \(3,\), \(4,\)"):
        t + np.ones(4)
    with pytest.raises(errors.ShapeError, match=r"matmul must go together.*\(3,\), \(4, 2\).*last axis of the first"):
        t @ np.ones((4, 2))


def test_no_silent_conversion_to_an_array(t) -> None:
    for convert in (np.asarray, np.array, lambda v: np.array([v, v])):
        with pytest.raises(errors.GradientError, match=r"not silently turned into an array.*\.numpy\(\)"):
            convert(t)
    assert t.numpy() is t.data
    assert type(np.asarray(t.detach())) is np.ndarray
    assert np.asarray(gk.tensor([1, 2]), dtype=np.float32).dtype == np.float32


def test_in_place_is_refused(t) -> None:
    with pytest.raises(errors.GradientError, match="not changed in place"):
        t += 1
    with pytest.raises(errors.GradientError, match=r"not changed in place.*np\.where"):
        t[0] = 1.0
    a = np.ones(3)
    with pytest.raises(errors.InvalidArgumentError, match="not written into"):
        a += t
    with pytest.raises(errors.GradientError, match="not written into"):
        np.add(a, 1, out=gk.tensor([0.0, 0.0, 0.0]))
    a += gk.tensor([1, 2, 3])  # no derivative is lost here
    np.testing.assert_array_equal(a, [2, 3, 4])


def test_conversions(t) -> None:
    assert float(t[1]) == 2.0 and int(t[2]) == 3 and bool(t[0]) and t[0].item() == 1.0 and t.tolist() == [1.0, 2.0, 3.0]
    assert f"{t.sum():.2f}" == "6.00"
    assert [10, 20, 30][gk.tensor(1)] == 20
    for what, convert in (("truth value", bool), ("float value", float), ("integer value", int)):
        with pytest.raises(errors.ShapeError, match=rf"one value has a {what}. Got shape \(3,\)"):
            convert(t)
    with pytest.raises(errors.ShapeError, match="one value has a single value"):
        t.item()


def test_container_behaviour(t) -> None:
    assert len(t) == 3 and [v.item() for v in t] == [1.0, 2.0, 3.0] and 2.0 in t
    assert sum(t).item() == 6.0 and max(t).item() == 3.0
    with pytest.raises(errors.ShapeError, match="at least one axis has a length"):
        len(t[0])
    with pytest.raises(IndexError):
        t[3]
    with pytest.raises(IndexError):
        t[1.5]
    assert len({t, t, t.detach()}) == 2


def test_repr(t) -> None:
    assert repr(t) == "Tensor([1., 2., 3.], requires_grad=True)"
    assert repr(t * 2) == "Tensor([2., 4., 6.], op=multiply)"
    assert repr(gk.Tensor(np.float32(1), name="a")) == "Tensor(1., dtype=float32, name='a')"
    assert repr(gk.tensor(np.zeros((0, 2)))) == "Tensor([], shape=(0, 2))"


def test_names() -> None:
    t = gk.Tensor([1.0], requires_grad=True, name="w")
    assert t.name == "w" and t.detach().name == "w"
    t.name = "v"
    assert t._node.name == "v"


def test_copies(t) -> None:
    t.name = "w"
    for new in (copy.copy(t), copy.deepcopy(t)):
        assert new.requires_grad and new.is_leaf and new.name == "w" and new.data is not t.data
        (new * 2).sum().backward()
        assert t.grad is None and new.grad is not None
    with pytest.raises(errors.GradientError, match=r"Only leaves can be copied. Got the result of multiply"):
        copy.deepcopy(t * 2)
    assert t.copy().requires_grad


def test_subclass_keeps_its_attributes_and_gives_tensors() -> None:
    class Weight(gk.Tensor):
        pass

    w = Weight([1.0], requires_grad=True)
    w.decay = 0.5
    new = copy.deepcopy(w)
    assert type(new) is Weight and new.decay == 0.5 and type(w * 2) is gk.Tensor
    assert repr(w).startswith("Weight(")


def test_pickle_is_refused(t) -> None:
    with pytest.raises(errors.GnnkitError, match="writes no pickles"):
        t.__reduce_ex__(2)  # what pickle asks for


def test_requires_grad_can_be_switched_on_leaves(t) -> None:
    t.requires_grad = False
    assert not (t * 2).requires_grad
    t.requires_grad = True
    result = t * 2
    with pytest.raises(errors.GradientError, match=r"leaves only. This Tensor is the result of multiply"):
        result.requires_grad = False


def test_tensor_copies_and_the_class_does_not() -> None:
    a = np.ones(2)
    assert gk.Tensor(a).data is a and gk.tensor(a).data is not a
    assert gk.tensor(gk.tensor(a, requires_grad=True)).requires_grad is False


def test_methods_are_the_functions_of_numpy() -> None:
    a = np.arange(1.0, 7.0).reshape(2, 3)
    t = gk.tensor(a, requires_grad=True)
    for name, args in [
        ("sum", (0,)), ("mean", (1,)), ("max", ()), ("min", (0,)), ("prod", ()), ("var", (0,)), ("std", (1,)),
        ("cumsum", (1,)), ("argmax", ()), ("argmin", ()), ("reshape", (3, 2)), ("reshape", ((6,),)), ("transpose", ()),
        ("transpose", (1, 0)), ("swapaxes", (0, 1)), ("ravel", ()), ("flatten", ()), ("repeat", (2,)),
        ("clip", (2.0, 4.0)), ("dot", (np.ones(3),)), ("copy", ()), ("tolist", ()), ("any", ()), ("all", (0,)),
    ]:  # fmt: skip
        expected, got = getattr(a, name)(*args), getattr(t, name)(*args)
        np.testing.assert_array_equal(got.numpy() if isinstance(got, gk.Tensor) else got, expected)
    assert t.T.shape == (3, 2) and t.mT.shape == (3, 2) and t.squeeze().shape == (2, 3) and t.nbytes == 48
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 3), 2, 6, np.float64)


def test_large_elementwise_operations_give_the_same_bits(monkeypatch) -> None:
    from gnnkit.autodiff import tensors

    monkeypatch.setattr(tensors, "BLOCKWISE", 10)
    a = np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32)
    np.testing.assert_array_equal(np.tanh(gk.tensor(a)).numpy(), np.tanh(a))
    np.testing.assert_array_equal((gk.tensor(a) * 2.0 + a).numpy(), a * 2.0 + a)
    assert (gk.tensor(a[:20, :20]) @ a[:20, :20]).shape == (20, 20)  # matmul is a ufunc, but not elementwise


def test_index_may_be_a_tensor() -> None:
    t = gk.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert t[gk.tensor([2, 0])].numpy().tolist() == [3.0, 1.0]
    assert t[t > 1].numpy().tolist() == [2.0, 3.0]
    assert np.arange(5)[gk.tensor([1, 1])].tolist() == [1, 1]


def test_values_that_no_rule_reads_are_not_kept() -> None:
    big = gk.tensor(np.ones(nodes.SMALL + 1), requires_grad=True)
    total = (big + 1.0).sum()
    assert isinstance(total._node.args[0], nodes.Stub)
    total.backward()
    assert big.grad.numpy().sum() == big.size


def test_a_masked_array_is_refused() -> None:
    for make in (gk.tensor, gk.Tensor):
        with pytest.raises(errors.DTypeError, match=r"Got a masked array, whose mask would be lost"):
            make(np.ma.array([1.0, 99.0], mask=[False, True]))
