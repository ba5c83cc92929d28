"""TAGConv against the polynomial of the adjacency, written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from conv_cases import randomised

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import InvalidArgumentError

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


def adjacency(graph, weights, normalise):
    w = np.ones(graph.num_edges) if weights is None else weights
    a, degree = np.zeros((NUM_NODES, NUM_NODES)), np.zeros(NUM_NODES)
    for k in range(graph.num_edges):
        degree[graph.receivers[k]] += w[k]
    for k in range(graph.num_edges):
        i, j = graph.receivers[k], graph.senders[k]
        if not normalise:
            a[i, j] += w[k]
        elif degree[i] > 0 and degree[j] > 0:
            a[i, j] += w[k] / np.sqrt(degree[i] * degree[j])
    return a


@pytest.mark.parametrize("learnt", [False, True])  # learnt features of 5 channels go through Horner's rule
@pytest.mark.parametrize("hops", [0, 1, 3])
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("normalise", [True, False])
def test_the_polynomial(hops, weight, normalise, learnt, rng):
    graph = make_graph(rng, 5)
    layer = randomised(gk.nn.TAGConv(5, 2, K=hops, edge_weight=weight, normalise=normalise), rng)
    a = adjacency(graph, graph.edges["w"] if weight else None, normalise)
    power, expected = graph.x, layer.bias.data + np.zeros((NUM_NODES, 2))
    for k in range(hops + 1):
        expected = expected + power @ layer.weight.data[k]
        power = a @ power
    x = gk.tensor(graph.x, requires_grad=learnt)
    np.testing.assert_allclose(layer(graph.replace(x=x)).x.numpy(), expected, atol=1e-10)
    np.testing.assert_allclose(layer(graph).x.numpy(), expected, atol=1e-10)


def test_sparse_features_stay_sparse(rng, monkeypatch):
    graph, layer = make_graph(rng), randomised(gk.nn.TAGConv(3, 2), rng)
    dense = graph.x * (rng.random(graph.x.shape) < 0.5)
    expected = layer(graph.replace(x=dense)).x.numpy()
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(layer(graph.replace(x=sp.csr_array(dense))).x.numpy(), expected, atol=1e-12)


def test_powers_of_constant_features_are_computed_once(rng, monkeypatch):
    graph, layer = make_graph(rng), gk.nn.TAGConv(3, 2, rng=0)
    first = [layer(graph).x.numpy() for _ in range(2)][-1]
    monkeypatch.setattr(K, "neighbour_sum", lambda *arguments: pytest.fail("summed again"))
    np.testing.assert_array_equal(layer(graph).x.numpy(), first)


def test_it_remembers_each_setting_for_itself(rng):
    graph = make_graph(rng)
    for _ in range(3):
        for options in ({"K": 1}, {"K": 2}, {"K": 2, "normalise": False}):
            fresh = gk.from_edges(SENDERS, RECEIVERS, x=graph.x.copy())
            out = [gk.nn.TAGConv(3, 2, rng=0, **options)(g).x.numpy() for g in (graph, fresh)]
            np.testing.assert_array_equal(*out)


def test_derivatives(rng):
    graph, layer = make_graph(rng), randomised(gk.nn.TAGConv(3, 2, edge_weight="w"), rng)

    def function(x, w):
        return np.sum(np.sin(layer(graph.replace(x=x, edges={"w": w})).x))

    gk.assert_gradients(function, graph.x, graph.edges["w"], order=2)


def test_bad_arguments():
    with pytest.raises(InvalidArgumentError, match="K must be an integer"):
        gk.nn.TAGConv(2, 3, K=-1)


def test_it_is_saved_and_loaded(rng, tmp_path):
    graph, layer = make_graph(rng), randomised(gk.nn.TAGConv(3, 2, K=2, normalise=False), rng)
    gk.nn.save_model(layer, tmp_path / "model.safetensors")
    again = gk.nn.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
