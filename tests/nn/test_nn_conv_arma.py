"""ARMAConv against its recursion, written out for every stack."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from conv_cases import randomised

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, UnknownNameError

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub at 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3])
NUM_NODES = 6


def make_graph(rng, channels=3):
    return gk.from_edges(
        SENDERS,
        RECEIVERS,
        x=rng.normal(size=(NUM_NODES, channels)),
        edges={"w": rng.uniform(0.5, 2.0, len(SENDERS))},
    )


def normalised(graph, weights):
    w = np.ones(graph.num_edges) if weights is None else weights
    s, degree = np.zeros((NUM_NODES, NUM_NODES)), np.zeros(NUM_NODES)
    for k in range(graph.num_edges):
        degree[graph.receivers[k]] += w[k]
    for k in range(graph.num_edges):
        i, j = graph.receivers[k], graph.senders[k]
        if degree[i] > 0 and degree[j] > 0:
            s[i, j] += w[k] / np.sqrt(degree[i] * degree[j])
    return s


@pytest.mark.parametrize(("inside", "outside"), [(3, 2), (2, 7)])  # the first product before and after the sum
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("stacks", "layers"), [(1, 1), (2, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("activation", ["relu", None])
def test_the_recursion(inside, outside, weight, shared, stacks, layers, activation, rng):
    graph = make_graph(rng, inside)
    options = {"edge_weight": weight, "shared_weights": shared, "activation": activation}
    layer = randomised(gk.nn.ARMAConv(inside, outside, stacks=stacks, layers=layers, **options), rng)
    s = normalised(graph, graph.edges["w"] if weight else None)
    expected = np.zeros((NUM_NODES, outside))
    for k in range(stacks):
        state = graph.x
        for t in range(layers):
            own = 0 if shared else t
            w = layer.initial_weight.data[k] if t == 0 else layer.weight.data[0 if shared else t - 1, k]
            state = s @ state @ w + graph.x @ layer.skip_weight.data[own, k] + layer.bias.data[own, k]
            state = np.maximum(state, 0) if activation else state
        expected += state / stacks
    for _ in range(3):  # from the second time on the sum over constant features is remembered
        np.testing.assert_allclose(layer(graph).x.numpy(), expected, atol=1e-10)


def test_dropout_of_the_skip_connection_is_seeded_and_only_in_training(rng):
    graph = make_graph(rng)
    layer = gk.nn.ARMAConv(3, 2, stacks=2, layers=2, dropout=0.5, activation="tanh", rng=0)
    first = layer.seed(1)(graph).x.numpy()
    np.testing.assert_array_equal(layer.seed(1)(graph).x.numpy(), first)
    assert not np.array_equal(layer(graph).x.numpy(), first)
    plain = gk.nn.ARMAConv(3, 2, stacks=2, layers=2, activation="tanh", rng=0)
    np.testing.assert_array_equal(layer.eval()(graph).x.numpy(), plain(graph).x.numpy())


def test_sparse_features_stay_sparse(rng, monkeypatch):
    graph, layer = make_graph(rng), randomised(gk.nn.ARMAConv(3, 2, stacks=2, layers=2), rng)
    dense = graph.x * (rng.random(graph.x.shape) < 0.5)
    expected = layer(graph.replace(x=dense)).x.numpy()
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(layer(graph.replace(x=sp.csr_array(dense))).x.numpy(), expected, atol=1e-12)


def test_derivatives(rng):
    graph = make_graph(rng)
    layer = randomised(gk.nn.ARMAConv(3, 2, stacks=2, layers=2, activation="tanh", edge_weight="w"), rng)

    def function(x, w):
        return np.sum(np.sin(layer(graph.replace(x=x, edges={"w": w})).x))

    gk.assert_gradients(function, graph.x, graph.edges["w"], order=2)


def test_bad_arguments():
    for options in ({"stacks": 0}, {"layers": 0}):
        with pytest.raises(InvalidArgumentError, match="at least 1"):
            gk.nn.ARMAConv(2, 3, **options)
    with pytest.raises(UnknownNameError, match="'relu'"):
        gk.nn.ARMAConv(2, 3, activation="rellu")
    with pytest.raises(InvalidArgumentError, match="by name"):
        gk.nn.ARMAConv(2, 3, activation=gk.nn.ReLU())


def test_it_is_saved_and_loaded(rng, tmp_path):
    graph, layer = make_graph(rng), randomised(gk.nn.ARMAConv(3, 2, stacks=2, layers=3, activation=None), rng)
    gk.nn.save_model(layer, tmp_path / "model.safetensors")
    again = gk.nn.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
