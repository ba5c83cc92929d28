"""Activations and dropout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit import nn
from gnnkit.autodiff import assert_gradients
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, UnknownNameError
from gnnkit.nn.activations import activation_named

X = np.array([[-2.0, 0.5, 1.0]])

# Computed with PyTorch 2 in float64.
KNOWN = [
    (nn.ReLU(), [0.0, 0.5, 1.0]),
    (nn.LeakyReLU(0.2), [-0.4, 0.5, 1.0]),
    (nn.ELU(), [math.exp(-2) - 1, 0.5, 1.0]),
    (nn.ELU(2.0), [2 * (math.exp(-2) - 1), 0.5, 1.0]),
    (nn.GELU(), [-0.04550026, 0.34573123, 0.84134475]),
    (nn.SiLU(), [-0.23840584, 0.31122967, 0.73105858]),
    (nn.Sigmoid(), [0.11920292, 0.62245933, 0.73105858]),
    (nn.Tanh(), [-0.96402758, 0.46211716, 0.76159416]),
    (nn.Softplus(), [0.12692801, 0.97407698, 1.31326169]),
    (nn.Softmax(), [0.03006665, 0.36628598, 0.60364737]),
    (nn.LogSoftmax(), [-3.50433835, -1.00434085, -0.50476505]),
]


@pytest.mark.parametrize(("layer", "expected"), KNOWN, ids=lambda v: repr(v) if isinstance(v, nn.Module) else "")
def test_known_values_and_gradients(layer, expected):
    if isinstance(layer, nn.Softmax | nn.LogSoftmax):
        logits = np.exp(X) / np.exp(X).sum()
        expected = logits[0] if isinstance(layer, nn.Softmax) else np.log(logits[0])
    assert np.allclose(layer(X).numpy()[0], expected, atol=1e-7)
    for order in (1, 2):
        assert_gradients(layer, X, order=order)


@pytest.mark.parametrize("layer", [layer for layer, _ in KNOWN], ids=repr)
def test_graphs_empties_and_dtypes(layer):
    g = gk.path(3).replace(x=np.ones((3, 2), dtype=np.float32), nodes={"y": np.arange(3)})
    out = layer(g)
    assert out.x.dtype == np.float32
    assert out.x.shape == (3, 2)
    assert np.array_equal(out.nodes["y"], [0, 1, 2])
    assert layer(np.zeros((0, 2))).shape == (0, 2)
    assert layer.symmetry == gk.nn.POINTWISE | {"channels": "equivariant"}
    with pytest.raises(DTypeError, match="floating"):
        layer(np.ones((2, 2), dtype=int))
    with pytest.raises(InvalidFeatureError, match="needs dense features"):
        layer(sp.eye_array(3, format="csr"))


@pytest.mark.parametrize("layer", [layer for layer, _ in KNOWN], ids=repr)
def test_no_overflow(layer):
    y = layer(np.array([[-1e4, 0.0, 1e4]])).numpy()
    assert np.isfinite(y).all()


def test_named():
    assert isinstance(activation_named("silu"), nn.SiLU)
    tanh = nn.Tanh()
    assert activation_named(tanh) is tanh
    with pytest.raises(UnknownNameError, match="Did you mean 'gelu'"):
        activation_named("geluu")


def test_dropout_keeps_the_mean_and_is_off_at_evaluation():
    x = np.ones((200, 50), dtype=np.float32)
    layer = nn.Dropout(0.25).seed(0)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.03
    assert layer.eval()(x).numpy() is not None
    assert np.array_equal(layer(x).numpy(), x)
    assert np.array_equal(nn.Dropout(0.0)(x).numpy(), x)


def test_dropout_same_seed_same_bits_and_gradient_is_the_mask():
    x = gk.tensor(np.ones((30, 3)), requires_grad=True)
    one, two = (nn.Dropout(0.5).seed(7)(x) for _ in range(2))
    assert np.array_equal(one.numpy(), two.numpy())
    one.sum().backward()
    assert np.array_equal(x.grad.numpy(), one.numpy())


def test_dropout_of_sparse_features_drops_stored_values():
    x = gk.SparseMatrix.from_scipy(sp.csr_array(np.eye(50)))
    y = nn.Dropout(0.5).seed(0)(x)
    assert isinstance(y, gk.SparseMatrix)
    values = y.toarray()
    assert set(np.unique(np.diag(values))) == {0.0, 2.0}
    assert not (values - np.diag(np.diag(values))).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_dropout_rate(rate):
    with pytest.raises(InvalidArgumentError, match=r"must lie in \[0, 1\)"):
        nn.Dropout(rate)
