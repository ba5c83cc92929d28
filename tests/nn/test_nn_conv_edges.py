"""EdgeConv, NNConv, GMMConv and CGConv against loops over the edges, written from the equations of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from conv_cases import randomised

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownNameError

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0, 2])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3, 1])
NUM_NODES, NUM_EDGES = 6, 10


def make_graph(rng, channels=3, edge_channels=None):
    e = None if edge_channels is None else rng.normal(size=(NUM_EDGES, edge_channels))
    return gk.from_edges(SENDERS, RECEIVERS, num_nodes=NUM_NODES, x=rng.normal(size=(NUM_NODES, channels)), e=e)


def output(layer, graph):
    return layer(graph).x.numpy()


def reduced(graph, message, width, reducer):
    """Reduce ``message(i, j, k)`` over the edges k: j -> i of every i, one edge after the other."""
    found = [[] for _ in range(graph.num_nodes)]
    for k in range(graph.num_edges):
        i, j = int(graph.receivers[k]), int(graph.senders[k])
        found[i].append(message(i, j, k))
    out = np.zeros((graph.num_nodes, width))
    for i, messages in enumerate(found):
        if messages:
            out[i] = getattr(np, reducer)(messages, axis=0)
    return out


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# --- EdgeConv -------------------------------------------------------------------------------------------------------

NETWORKS = {
    "linear": lambda: gk.nn.Linear(6, 4),
    "no bias": lambda: gk.nn.Linear(6, 4, bias=False),
    "mlp": lambda: gk.nn.MLP([6, 5, 4]),
    "three layers": lambda: gk.nn.MLP([6, 5, 3, 4], activation=gk.nn.LeakyReLU(0.1), bias=False),
    "ends in relu": lambda: gk.nn.Sequential(gk.nn.MLP([6, 5, 4], activation="elu"), gk.nn.Identity(), gk.nn.ReLU()),
    "starts in tanh": lambda: gk.nn.Sequential(gk.nn.Tanh(), gk.nn.Linear(6, 4)),
    "layer norm": lambda: gk.nn.MLP([6, 5, 4], norm="layer"),
    "passive dropout": lambda: gk.nn.MLP([6, 5, 4], dropout=0.5).eval(),
}


@pytest.mark.parametrize(
    ("network", "reducer"),
    [*((network, "max") for network in NETWORKS), ("mlp", "mean"), ("mlp", "sum"), ("mlp", "min")],
)
def test_edge_conv(network, reducer, rng):
    graph = make_graph(rng)
    mlp = NETWORKS[network]()
    layer = randomised(gk.nn.EdgeConv(mlp, reducer=reducer), rng)

    def message(i, j, k):
        return mlp(np.concatenate([graph.x[i], graph.x[j] - graph.x[i]])[None]).numpy()[0]

    np.testing.assert_allclose(output(layer, graph), reduced(graph, message, 4, reducer), atol=1e-10)


def test_edge_conv_of_two_settings_do_not_share_a_program(rng):
    graph = make_graph(rng)
    steep, flat = (gk.nn.MLP([6, 5, 4], activation=gk.nn.LeakyReLU(slope), rng=0) for slope in (0.9, 0.1))
    for mlp in (steep, flat, steep):
        layer = gk.nn.EdgeConv(mlp, reducer="sum").astype("float64")

        def message(i, j, k, mlp=mlp):
            return mlp(np.concatenate([graph.x[i], graph.x[j] - graph.x[i]])[None]).numpy()[0]

        np.testing.assert_allclose(output(layer, graph), reduced(graph, message, 4, "sum"), atol=1e-10)


def test_edge_conv_with_active_dropout_and_batch_norm_trains(rng):
    graph = make_graph(rng).replace(x=rng.normal(size=(NUM_NODES, 3)).astype("float32"))
    for mlp in (gk.nn.MLP([6, 8, 4], dropout=0.5, rng=0), gk.nn.MLP([6, 8, 4], norm="batch", rng=0)):
        layer = gk.nn.EdgeConv(mlp).seed(0)
        layer(graph).x.sum().backward()
        assert all(parameter.grad is not None for parameter in layer.parameters())


def test_edge_conv_refuses_networks_that_do_not_take_pairs(rng):
    with pytest.raises(ShapeError, match="twice the channels"):
        gk.nn.EdgeConv(gk.nn.Linear(5, 2))
    with pytest.raises(UnknownNameError, match="'max'"):
        gk.nn.EdgeConv(gk.nn.Linear(4, 2), reducer="mx")
    with pytest.raises(ShapeError, match=r"\[num_nodes, 2\]"):
        gk.nn.EdgeConv(gk.nn.Linear(4, 2))(make_graph(rng))


# --- NNConv ---------------------------------------------------------------------------------------------------------

CONDITIONERS = {
    "linear": lambda: gk.nn.Linear(2, 12),
    "no bias": lambda: gk.nn.MLP([2, 5, 12], bias=False),
    "mlp": lambda: gk.nn.MLP([2, 5, 12], activation="elu"),
    "layer norm": lambda: gk.nn.MLP([2, 5, 12], norm="layer"),
    "ends in tanh": lambda: gk.nn.Sequential(gk.nn.Linear(2, 12), gk.nn.Tanh()),
}


@pytest.mark.parametrize("network", CONDITIONERS)
@pytest.mark.parametrize("reducer", ["sum", "mean", "max"])
def test_nn_conv(network, reducer, rng):
    graph = make_graph(rng, edge_channels=2)
    network = CONDITIONERS[network]()
    layer = randomised(gk.nn.NNConv(3, 4, network, reducer=reducer), rng)
    matrices = network(graph.e).numpy().reshape(NUM_EDGES, 3, 4)
    expected = reduced(graph, lambda i, j, k: graph.x[j] @ matrices[k], 4, reducer)
    expected += graph.x @ layer.own_weight.data + layer.bias.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-10)


def test_nn_conv_without_own_part(rng):
    graph = make_graph(rng, edge_channels=2)
    layer = gk.nn.NNConv(3, 4, gk.nn.Linear(2, 12, rng=0), own_weight=False, bias=False).astype("float64")
    assert [name for name, _ in layer.named_parameters()] == ["network.weight", "network.bias"]
    assert not output(layer, graph)[4:].any()


def test_nn_conv_names_what_does_not_fit(rng):
    with pytest.raises(ShapeError, match=r"\[3, 4\].*12 channels.*gives 10"):
        gk.nn.NNConv(3, 4, gk.nn.MLP([2, 10]))
    graph = make_graph(rng, edge_channels=2)
    with pytest.raises(ShapeError, match="gives 10"):
        gk.nn.NNConv(3, 4, gk.nn.Sequential(gk.nn.Linear(2, 10), gk.nn.Tanh()))(graph)
    with pytest.raises(ShapeError, match=r"network\.in_channels=2"):
        gk.nn.NNConv(3, 4, gk.nn.Linear(5, 12))(graph)
    with pytest.raises(UnknownNameError, match="'sum'"):
        gk.nn.NNConv(3, 4, gk.nn.Linear(2, 12), reducer="summ")


# --- GMMConv --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reducer", ["sum", "mean"])
@pytest.mark.parametrize("own", [True, False])
def test_gmm_conv(reducer, own, rng):
    graph = make_graph(rng, edge_channels=2)
    layer = randomised(gk.nn.GMMConv(3, 4, edge_channels=2, kernels=5, reducer=reducer, own_weight=own), rng)

    def message(i, j, k):
        total = np.zeros(4)
        for mu, inverse_sigma, weight in zip(layer.mu.data, layer.inverse_sigma.data, layer.weight.data, strict=True):
            apart = graph.e[k] - mu
            window = np.exp(-0.5 * apart @ np.diag(inverse_sigma**2) @ apart)
            total += window * graph.x[j] @ weight
        return total

    expected = reduced(graph, message, 4, reducer) + layer.bias.data
    expected += graph.x @ layer.own_weight.data if own else 0
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-10)


def test_gmm_conv_refuses_what_it_cannot_be(rng):
    with pytest.raises(InvalidArgumentError, match="at least 1 Gaussian"):
        gk.nn.GMMConv(3, 4, edge_channels=2, kernels=0)
    with pytest.raises(UnknownNameError, match="'mean'"):
        gk.nn.GMMConv(3, 4, edge_channels=2, reducer="maen")
    with pytest.raises(ShapeError, match="edge_channels=3"):
        gk.nn.GMMConv(3, 4, edge_channels=2)(make_graph(rng, edge_channels=3))


# --- CGConv ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_channels", [None, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_cg_conv(edge_channels, bias, rng):
    graph = make_graph(rng, edge_channels=edge_channels)
    layer = randomised(gk.nn.CGConv(3, edge_channels=edge_channels, bias=bias), rng)

    def message(i, j, k):
        z = np.concatenate([graph.x[i], graph.x[j]] + ([graph.e[k]] if edge_channels else []))
        gate, core = z @ layer.gate.data, z @ layer.core.data
        if bias:
            gate, core = gate + layer.gate_bias.data, core + layer.core_bias.data
        return sigmoid(gate) * np.log1p(np.exp(core))

    np.testing.assert_allclose(output(layer, graph), graph.x + reduced(graph, message, 3, "sum"), atol=1e-10)


# --- all of them ----------------------------------------------------------------------------------------------------

LAYERS = {
    "edge conv": (lambda rng: gk.nn.EdgeConv(gk.nn.MLP([6, 4, 2], activation="tanh", rng=rng)), False),
    "nn conv": (lambda rng: gk.nn.NNConv(3, 2, gk.nn.MLP([2, 4, 6], activation="tanh", rng=rng), rng=rng), True),
    "gmm conv": (lambda rng: gk.nn.GMMConv(3, 2, edge_channels=2, rng=rng), True),
    "cg conv": (lambda rng: gk.nn.CGConv(3, edge_channels=2, rng=rng), True),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_sparse_features_stay_sparse_or_are_refused(name, rng, monkeypatch):
    make, with_edges = LAYERS[name]
    layer = make(0).astype("float64")
    graph = make_graph(rng, edge_channels=2 if with_edges else None)
    dense = graph.x * (rng.random(graph.x.shape) < 0.4)
    sparse = graph.replace(x=sp.csr_array(dense))
    if name == "cg conv":
        with pytest.raises(InvalidFeatureError, match="Linear"):
            layer(sparse)
        return
    expected = output(layer, graph.replace(x=dense))
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(output(layer, sparse), expected, atol=1e-12)


@every_layer
def test_a_saved_layer_is_the_same(name, rng, tmp_path):
    make, with_edges = LAYERS[name]
    layer = make(0)
    graph = make_graph(rng, edge_channels=2 if with_edges else None)
    gk.nn.save_model(layer, tmp_path / "layer.safetensors")
    again = gk.nn.load_model(tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(output(again, graph), output(layer, graph))


@every_layer
def test_integer_edges_are_refused(name, rng):
    make, with_edges = LAYERS[name]
    if with_edges:
        graph = make_graph(rng).replace(e=np.ones((NUM_EDGES, 2), int))
        with pytest.raises(DTypeError, match="Got e of dtype int"):
            make(0)(graph)


def test_networks_without_a_first_linear_refuse_sparse_features(rng):
    graph = make_graph(rng).replace(x=sp.csr_array(np.eye(NUM_NODES, 3)))
    with pytest.raises(InvalidFeatureError, match="Linear"):
        gk.nn.EdgeConv(gk.nn.Sequential(gk.nn.Tanh(), gk.nn.Linear(6, 2)))(graph)
    with pytest.raises(InvalidFeatureError, match="Linear"):
        network = gk.nn.Sequential(gk.nn.Linear(2, 6), gk.nn.Tanh())
        gk.nn.NNConv(3, 2, network)(graph.replace(e=np.ones((NUM_EDGES, 2))))


@pytest.mark.parametrize(("inside", "outside"), [(0, 3), (3, 0)])
def test_zero_channels(inside, outside, rng):
    graph = make_graph(rng, inside, 2)
    layers = [
        gk.nn.NNConv(inside, outside, gk.nn.MLP([2, 4, 0])),
        gk.nn.GMMConv(inside, outside, edge_channels=2),
    ]
    for layer in layers:
        out = layer(graph)
        assert out.x.shape == (NUM_NODES, outside)
        out.x.sum().backward()
    assert gk.nn.EdgeConv(gk.nn.Linear(2 * inside, outside))(graph.without("e")).x.shape == (NUM_NODES, outside)
    assert gk.nn.CGConv(inside, edge_channels=2)(graph).x.shape == (NUM_NODES, inside)
