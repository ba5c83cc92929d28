"""GCN2Conv against equation 5 of its paper, and KeepFeatures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from conv_cases import randomised

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownFieldError

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub at 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3])
NUM_NODES = 6


def make_graph(rng, channels=3):
    return gk.from_edges(
        SENDERS,
        RECEIVERS,
        nodes={name: rng.normal(size=(NUM_NODES, channels)) for name in ("x", "x_0")},
        edges={"w": rng.uniform(0.5, 2.0, len(SENDERS))},
    )


def smoothed(graph, x, weights, loops):
    """sum_j w_ij / sqrt(d_i d_j) x_j, a node without a self-loop having one of weight 1 if ``loops``."""
    w = np.ones(graph.num_edges) if weights is None else weights
    edges = [(int(graph.senders[k]), int(graph.receivers[k]), w[k]) for k in range(graph.num_edges)]
    if loops:
        edges += [(i, i, 1.0) for i in range(NUM_NODES) if not any(j == r == i for j, r, _ in edges)]
    degree = [sum(value for _, r, value in edges if r == i) for i in range(NUM_NODES)]
    out = np.zeros_like(x)
    for j, i, value in edges:
        if degree[i] > 0 and degree[j] > 0:
            out[i] += value / math.sqrt(degree[i] * degree[j]) * x[j]
    return out


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("layer_number", "alpha", "lam"), [(1, 0.1, 0.5), (7, 0.5, 1.5), (2, 0.0, 0.0), (3, 1.0, 0.5)])
def test_equation_5(weight, loops, shared, layer_number, alpha, lam, rng):
    graph = make_graph(rng)
    options = {"edge_weight": weight, "self_loops": loops, "shared_weights": shared}
    layer = randomised(gk.nn.GCN2Conv(3, layer=layer_number, alpha=alpha, lam=lam, **options), rng)
    beta, identity = math.log(lam / layer_number + 1), np.eye(3)
    own = (1 - alpha) * smoothed(graph, graph.x, graph.edges["w"] if weight else None, loops)
    start = alpha * graph.nodes["x_0"]
    mapped = (1 - beta) * identity + beta * layer.weight.data
    if shared:
        expected = (own + start) @ mapped
    else:
        expected = own @ mapped + start @ ((1 - beta) * identity + beta * layer.initial_weight.data)
    for _ in range(3):  # from the second time on the sum over constant features is remembered
        np.testing.assert_allclose(layer(graph).x.numpy(), expected, atol=1e-10)


def test_derivatives_reach_the_features_set_aside(rng):
    graph = make_graph(rng)
    layer = randomised(gk.nn.GCN2Conv(3, layer=1, shared_weights=False, edge_weight="w"), rng)

    def function(x, start, w):
        return np.sum(np.sin(layer(graph.replace(nodes={"x": x, "x_0": start}, edges={"w": w})).x))

    gk.assert_gradients(function, graph.x, graph.nodes["x_0"], graph.edges["w"], order=2)


def test_a_deep_model_keeps_the_first_features(rng):
    layers = [gk.nn.Linear(3, 4, rng=0), gk.nn.KeepFeatures("start")]
    layers += [gk.nn.GCN2Conv(4, layer=depth, initial="start", rng=depth) for depth in (1, 2)]
    model = gk.nn.Sequential(*layers).astype("float64")
    graph = make_graph(rng)
    first = gk.nn.Sequential(*layers[:2])(graph)
    np.testing.assert_array_equal(model(graph).nodes["start"].numpy(), first.x.numpy())
    model(graph).x.sum().backward()
    assert layers[0].weight.grad is not None and model.summary(graph)
    again = gk.nn.build(model.config()).astype("float64")
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(graph).x.numpy(), model(graph).x.numpy())


def test_float32_is_computed_in_float32(rng):
    out = gk.nn.GCN2Conv(3, layer=1, rng=0)(make_graph(rng)).x
    assert out.dtype == np.float32


def test_refusals(rng):
    graph, layer = make_graph(rng), gk.nn.GCN2Conv(3, layer=1)
    with pytest.raises(UnknownFieldError, match=r"'x_0'.*KeepFeatures\('x_0'\)"):
        layer(graph.without("x_0"))
    with pytest.raises(ShapeError, match=r"\[num_nodes, 3\]"):
        layer(graph.replace(nodes={"x_0": np.ones((NUM_NODES, 2))}))
    for field in ("x", "x_0"):
        with pytest.raises(InvalidFeatureError, match="Linear"):
            layer(graph.replace(nodes={field: sp.csr_array(graph.x)}))
    with pytest.raises(InvalidArgumentError, match="from 1"):
        gk.nn.GCN2Conv(3, layer=0)
    with pytest.raises(InvalidArgumentError, match=r"alpha must lie in \[0, 1\]"):
        gk.nn.GCN2Conv(3, layer=1, alpha=2.0)
    for build in (gk.nn.KeepFeatures, lambda name: gk.nn.GCN2Conv(3, layer=1, initial=name)):
        with pytest.raises(InvalidArgumentError, match="beside 'x'"):
            build("x")


def test_it_is_saved_and_loaded(rng, tmp_path):
    graph, layer = make_graph(rng), randomised(gk.nn.GCN2Conv(3, layer=4, shared_weights=False), rng)
    gk.nn.save_model(layer, tmp_path / "model.safetensors")
    again = gk.nn.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
