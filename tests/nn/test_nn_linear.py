"""Linear, MLP, Embedding, and the door that all layers share."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit import nn
from gnnkit.autodiff import assert_gradients
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.nn.inputs import check_state, input_features


def test_linear_by_hand_and_start():
    layer = nn.Linear(2, 2, rng=0).astype("float64")
    assert np.array_equal(layer.bias.numpy(), [0.0, 0.0])
    assert abs(layer.weight.numpy()).max() <= np.sqrt(6 / 4)
    layer.weight.assign([[3.0, 4.0], [5.0, 1.0]])  # x @ weight: [[3, 5], [4, 1]] applied from the left
    layer.bias.assign([0.5, 0.0])
    assert layer(np.array([[1.0, 2.0]])).numpy().tolist() == [[13.5, 6.0]]
    assert layer.weight.decay == 1.0
    assert layer.bias.decay == 0.0
    assert nn.Linear(2, 2, bias=False).bias is None


def test_linear_gradients_to_second_order(rng):
    layer = nn.Linear(3, 2, rng=0, dtype="float64")

    def apply(x, weight, bias):
        vars(layer).update(weight=weight, bias=bias)
        return layer(x) ** 2

    for order in (1, 2):
        assert_gradients(apply, rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=2), order=order)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 4, 3)])
def test_linear_shapes(shape):
    assert nn.Linear(3, 5)(np.zeros(shape)).shape == (*shape[:-1], 5)
    assert nn.Linear(3, 0)(np.zeros(shape)).shape == (*shape[:-1], 0)


def test_no_input_channels_give_the_bias():
    layer = nn.Linear(0, 2, rng=0)
    layer.bias.assign([1.0, 2.0])
    assert layer(np.zeros((3, 0))).numpy().tolist() == [[1.0, 2.0]] * 3


@pytest.mark.parametrize("given", ["float16", "float32", "float64"])
@pytest.mark.parametrize("own", ["float32", "float64"])
def test_linear_computes_in_the_dtype_of_its_parameters(given, own):
    layer = nn.Linear(2, 2, dtype=own)
    x = gk.tensor(np.ones((3, 2), dtype=given), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.dtype == own
    assert layer.weight.grad.dtype == own
    assert x.grad.dtype == given


@pytest.mark.parametrize("convert", [sp.csr_array, sp.csc_matrix, gk.SparseMatrix.from_scipy])
def test_sparse_features_stay_sparse_and_agree(rng, convert):
    dense = rng.normal(size=(6, 4)) * (rng.random((6, 4)) < 0.3)
    layer = nn.Linear(4, 3, rng=0, dtype="float64")
    sparse = convert(sp.csr_array(dense))
    y, z = layer(sparse), layer(dense)
    assert np.allclose(y.numpy(), z.numpy())
    g = rng.normal(size=(6, 3))
    y.backward(g)
    by_sparse = layer.weight.grad.numpy().copy()
    layer.zero_grad()
    z.backward(g)
    assert np.allclose(by_sparse, layer.weight.grad.numpy())
    assert isinstance(input_features(sparse, 4, "float32"), gk.SparseMatrix)


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integer_features_are_refused_with_advice(dtype):
    with pytest.raises(DTypeError, match=rf"floating, as Linear\(2, 3\) computes .* {dtype} .*one-hot.*Embedding"):
        nn.Linear(2, 3)(np.ones((1, 2), dtype=dtype))


def test_wrong_channels_are_refused():
    with pytest.raises(ShapeError, match=r"\[num_nodes, 2\]\. Got x of shape \[5, 4\] .*in_channels=4"):
        nn.Linear(2, 3)(np.ones((5, 4)))
    with pytest.raises(ShapeError, match=r"Got x of shape \[2\] .*x\[:, None\]"):
        nn.Linear(2, 3)(np.ones(2))
    with pytest.raises(InvalidArgumentError, match="in_channels must be an integer"):
        nn.Linear(2.5, 3)
    with pytest.raises(InvalidArgumentError, match=r"out_channels must be an integer of at least 0\. Got -1"):
        nn.Linear(2, -1)


def test_a_graph_without_x_says_what_it_has():
    with pytest.raises(UnknownFieldError, match="x"):
        nn.Linear(1, 1)(gk.path(2))


def test_work_counts_stored_values_only():
    layer = nn.Linear(4, 3)
    dense = np.eye(4, dtype="float32")
    assert layer.work(dense, layer(dense)) == 2 * 16 * 3 + 4 * 3
    assert layer.work(sp.csr_array(dense), None) == 2 * 4 * 3 + 4 * 3


def test_mlp():
    model = nn.MLP([4, 8, 8, 2], activation="gelu", norm="layer", dropout=0.1, rng=0)
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["Linear", "LayerNorm", "GELU", "Dropout"] * 2 + ["Linear"]
    assert model(np.ones((3, 4))).shape == (3, 2)
    assert nn.MLP([4, 2]).num_parameters == 10
    same = nn.MLP([4, 8, 8, 2], rng=0).state_dict()
    assert all(np.array_equal(a, same[name]) for name, a in nn.MLP([4, 8, 8, 2], rng=0).state_dict().items())
    with pytest.raises(InvalidArgumentError, match="at least"):
        nn.MLP([4])
    with pytest.raises(UnknownNameError, match="Did you mean 'relu'"):
        nn.MLP([1, 1, 1], activation="rleu")
    with pytest.raises(UnknownNameError, match="Did you mean 'batch'"):
        nn.MLP([1, 1, 1], norm="bach")


def test_embedding_looks_up_and_adds_gradients_of_repeats():
    layer = nn.Embedding(4, 2, rng=0)
    codes = np.array([3, 1, 3])
    out = layer(codes)
    assert np.array_equal(out.numpy(), layer.weight.numpy()[codes])
    out.sum().backward()
    assert layer.weight.grad.numpy().tolist() == [[0, 0], [1, 1], [0, 0], [2, 2]]
    assert layer(np.array([[0, 1]], dtype=np.int8)).shape == (1, 2, 2)
    assert layer(np.zeros(0, dtype=int)).shape == (0, 2)
    g = gk.path(3).replace(x=codes)
    assert layer(g).x.shape == (3, 2)


def test_embedding_refuses_what_is_no_category():
    layer = nn.Embedding(4, 2)
    with pytest.raises(InvalidFeatureError, match=r"0 \.\. 3\. Node 1 has 4 \(2 such values\)"):
        layer(np.array([0, 4, -1]))
    with pytest.raises(DTypeError, match=r"Embedding\(4, 2\) looks up integer"):
        layer(np.array([0.0]))


def test_check_state():
    g = gk.path(3).replace(x=np.ones((3, 1)), e=np.ones((4, 2)))
    with pytest.raises(InvalidFeatureError, match=r"Conv reads only x\. Got .* e of shape \[4, 2\].*edge_weight="):
        check_state(g, layer="Conv")
    check_state(g, ("x", "e"))
    with pytest.raises(InvalidFeatureError, match=r"u of shape \[1, 3\].*g\.without\('u'\)"):
        check_state(g.without("e").replace(u=np.ones((1, 3))))
    check_state(g.without("e").replace(edges={"weight": np.ones(4)}))
    with pytest.raises(InvalidArgumentError, match=r"needs a gk\.Graph\. Got numpy.ndarray"):
        check_state(np.ones((3, 1)))


def test_embedding_and_linear_train_together():
    model = nn.Sequential(nn.Embedding(3, 4, rng=0), nn.Linear(4, 3, rng=1))
    optimizer = nn.Adam(model, lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(np.arange(3)), np.arange(3))
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
