"""Activations and dropout."""

from __future__ import annotations

import copy
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


# --- an activation and the Dropout behind it in one pass


def operations(result):
    return [node.operation for node in gk.autodiff.tape(result).nodes if node.operation != "input"]


def passes(model, x):
    """The result of a net, the gradient of its input, and the names of the operations."""
    x = gk.tensor(x, requires_grad=True)
    y = model(x)
    (y * y).sum().backward()
    return y.numpy(), x.grad.numpy(), operations(y)


def one_by_one(model):
    """The same layers, where Sequential sees one at a time."""
    return nn.Sequential(*(nn.Sequential(layer) for layer in model))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_elu_and_dropout_in_one_pass_are_the_two_layers(dtype, alpha, rng):
    layers = [nn.Dropout(0.3), nn.ELU(alpha), nn.Dropout(0.5), nn.ELU(), nn.Dropout(0.75), nn.Dropout(0.5)]
    joint, apart = nn.Sequential(*layers), one_by_one(copy.deepcopy(layers))
    joint.seed(3)
    apart.seed(3)
    x = rng.normal(size=(40, 9)).astype(dtype)
    for _ in range(2):  # each call draws new keys, the same in both
        (y, gradient, ops), (by_hand, by_hand_gradient, by_hand_ops) = passes(joint, x), passes(apart, x)
        assert y.dtype == dtype and y.tobytes() == by_hand.tobytes()
        assert gradient.tobytes() == by_hand_gradient.tobytes()
        assert ops == ["dropout", "elu_dropout", "elu_dropout", "dropout"]
        assert by_hand_ops == ["dropout", "elu", "dropout", "elu", "dropout", "dropout"]
    assert list(joint.rng_state().values()) == list(apart.rng_state().values())


def test_elu_and_dropout_in_one_pass_keep_the_graph_and_its_derivatives(rng):
    model = nn.Sequential(nn.ELU(), nn.Dropout(0.4))
    g = gk.path(3).replace(x=rng.normal(size=(3, 2)), nodes={"y": np.arange(3)})
    out = model.seed(0)(g)
    assert np.array_equal(out.x.numpy(), model.seed(0)(g.x).numpy())
    assert out.topology is g.topology and np.array_equal(out.nodes["y"], [0, 1, 2])
    for order in (1, 2):
        assert_gradients(lambda x: model.seed(0)(x), rng.normal(size=(4, 3)), order=order)
    with pytest.raises(DTypeError, match="ELU"):
        model(np.ones((2, 2), dtype=int))
    with pytest.raises(InvalidFeatureError, match=r"ELU.* needs dense features"):
        model(sp.eye_array(3, format="csr"))
    assert model(np.zeros((0, 2), np.float32)).shape == (0, 2)


class Doubled(nn.ELU):
    def function(self, x):
        return 2 * super().function(x)


class Loud(nn.Dropout):
    def features(self, x, graph):
        return super().features(x, graph) + 1


def replaced(module, name="forward"):
    usual = getattr(module, name)
    setattr(module, name, lambda *args: usual(*args) * 3)
    return module


KEPT_APART = {
    "evaluation": lambda: nn.Sequential(nn.ELU(), nn.Dropout(0.5)).eval(),
    "dropout at evaluation": lambda: nn.Sequential(nn.ELU(), nn.Dropout(0.5).eval()),
    "rate 0": lambda: nn.Sequential(nn.ELU(), nn.Dropout(0.0)),
    "another activation": lambda: nn.Sequential(nn.Tanh(), nn.Dropout(0.5)),
    "another order": lambda: nn.Sequential(nn.Dropout(0.5), nn.ELU()),
    "own activation": lambda: nn.Sequential(Doubled(), nn.Dropout(0.5)),
    "own dropout": lambda: nn.Sequential(nn.ELU(), Loud(0.5)),
    "replaced activation": lambda: nn.Sequential(replaced(nn.ELU()), nn.Dropout(0.5)),
    "replaced dropout": lambda: nn.Sequential(nn.ELU(), replaced(nn.Dropout(0.5))),
    "replaced function": lambda: nn.Sequential(replaced(nn.ELU(), "function"), nn.Dropout(0.5)),
    "replaced features": lambda: nn.Sequential(nn.ELU(), replaced(nn.Dropout(0.5), "features")),
}


@pytest.mark.parametrize("name", KEPT_APART)
def test_what_may_not_be_joined_runs_one_layer_after_the_other(name, rng):
    model, x = KEPT_APART[name](), rng.normal(size=(20, 5))
    y, gradient, ops = passes(model.seed(2), x)
    by_hand, by_hand_gradient, by_hand_ops = passes(one_by_one(model).seed(2), x)
    assert np.array_equal(y, by_hand) and np.array_equal(gradient, by_hand_gradient)
    assert ops == by_hand_ops and "elu_dropout" not in ops


def test_who_watches_sees_both_layers(monkeypatch):
    model, seen = nn.MLP([3, 4, 2], activation="elu", dropout=0.5, rng=0).seed(0), []
    x = np.ones((5, 3), np.float32)
    expected = model(x).numpy()
    watcher = (lambda module, inputs: None, lambda module, inputs, output: seen.append(type(module)))
    monkeypatch.setattr("gnnkit.nn.module._observers", [watcher])
    assert np.array_equal(model.seed(0)(x).numpy(), expected)
    assert seen == [nn.Linear, nn.ELU, nn.Dropout, nn.Linear, nn.MLP]
