"""Sequential, ModuleList, Residual, Lambda, Identity."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError


@pytest.fixture
def graph():
    return gk.from_edges([0, 1], [1, 2], num_nodes=3, x=np.arange(6.0).reshape(3, 2), nodes={"y": np.arange(3)})


def test_sequential_applies_in_order_to_graphs_and_arrays(graph):
    model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))
    by_hand = model[2](model[1](model[0](graph.x)))
    assert np.array_equal(model(graph).x.numpy(), by_hand.numpy())
    assert model(graph).topology is graph.topology
    assert np.array_equal(model(graph).nodes["y"], [0, 1, 2])


def test_sequential_is_a_list():
    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    model.append(nn.ELU())
    model[0] = nn.GELU()
    assert [type(m).__name__ for m in model] == ["GELU", "Tanh", "ELU"]
    assert isinstance(model[1:], nn.Sequential)
    assert len(model[1:]) == 2
    assert isinstance(model[-1], nn.ELU)
    with pytest.raises(IndexError):
        model[3]
    assert nn.Sequential()("same") == "same"


@pytest.mark.parametrize("wrong", [np.tanh, nn.ReLU])
def test_only_modules_are_held(wrong):
    with pytest.raises(InvalidArgumentError, match=r"Sequential holds modules.* at position 1.*Lambda"):
        nn.Sequential(nn.ReLU(), wrong)


class WithHead(nn.Sequential):
    def __init__(self, channels):
        self.head = nn.Linear(channels, 1, rng=0)
        super().__init__(nn.Linear(2, channels, rng=1), nn.Tanh())

    def forward(self, value):
        return self.head(super().forward(value))


def test_a_subclass_may_hold_modules_beside_its_layers(tmp_path):
    model, x = WithHead(3), np.ones((4, 2), np.float32)
    assert len(model) == 2
    assert [type(layer) for layer in model] == [nn.Linear, nn.Tanh]
    assert model[-1] is model[1]
    assert model(x).shape == (4, 1)
    nn.save_model(model, tmp_path / "model.safetensors")
    twin = nn.load_model(tmp_path / "model.safetensors", [WithHead])
    assert np.array_equal(twin(x).numpy(), model(x).numpy())


def test_module_list_is_not_callable():
    heads = nn.ModuleList([nn.Linear(2, 1)])
    assert isinstance(heads[:], nn.ModuleList)
    with pytest.raises(InvalidArgumentError, match="Loop over it"):
        heads(1)


def test_lambda_and_identity(graph):
    assert "y" not in nn.Lambda(lambda g: g.without("y"))(graph).nodes
    assert nn.Identity()(graph) is graph
    with pytest.raises(InvalidArgumentError, match="needs a function"):
        nn.Lambda(3)
    assert repr(nn.Lambda(abs)) == "Lambda(abs)"


def test_residual(graph):
    out = nn.Residual(nn.ReLU())(graph)
    assert np.array_equal(out.x.numpy(), 2 * graph.x)
    assert out.topology is graph.topology
    with pytest.raises(ShapeError, match=r"gave \[3, 5\] and the input has \[3, 2\].*=gk\.nn\.Linear\(2, 5\)"):
        nn.Residual(nn.Linear(2, 5))(graph)
    sparse = gk.SparseMatrix.from_scipy(sp.eye_array(3, dtype="float32", format="csr"))
    with pytest.raises(InvalidFeatureError, match=r"Residual changes zeros.*toarray"):
        nn.Residual(nn.GCNConv(3, 3))(graph.replace(x=sparse))
    projected = nn.Residual(nn.Linear(2, 5, rng=0), projection=nn.Linear(2, 5, rng=1))
    assert projected(graph).x.shape == (3, 5)
    assert projected.num_parameters == 30


def test_unrolled_and_shared_networks_differ_in_weights_only():
    # "MLP-like": own weights per layer. "RNN-like": one layer applied at each step.
    own = nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)))
    layer = nn.Linear(3, 3)
    shared = nn.Sequential(*([layer] * 4))
    assert own.num_parameters == 4 * shared.num_parameters
    x = np.ones((2, 3), dtype=np.float32)
    assert np.array_equal(shared(x).numpy(), layer(layer(layer(layer(x)))).numpy())


def test_a_list_made_from_a_generator_is_copied_and_built_again():
    heads = nn.ModuleList(nn.Linear(2, 2, rng=k) for k in range(2))
    again = copy.deepcopy(heads)
    assert again.config() == heads.config() and len(again) == 2 and again[0] is not heads[0]
    assert len(copy.deepcopy(nn.UNet(1, 2, widths=(2, 2))).down) == 2
