"""GatedGraphConv, ResGatedGraphConv and TransformerConv against loops written from the equations of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from conv_cases import randomised

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0, 2])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3, 1])
NUM_NODES, NUM_EDGES = 6, 10


def make_graph(rng, channels=3, edge_channels=None, **edges):
    if edge_channels is not None:
        edges["e"] = rng.normal(size=(NUM_EDGES, edge_channels))
    return gk.from_edges(SENDERS, RECEIVERS, num_nodes=NUM_NODES, x=rng.normal(size=(NUM_NODES, channels)), edges=edges)


def output(layer, graph):
    return layer(graph).x.numpy()


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# --- GatedGraphConv -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("width", [3, 5])
def test_gated_graph_conv(num_layers, weight, width, rng):
    graph = make_graph(rng, w=rng.uniform(0.5, 2.0, NUM_EDGES))
    layer = randomised(gk.nn.GatedGraphConv(3, width, num_layers=num_layers, edge_weight=weight), rng)
    (w_z, w_r, w_c), (u_z, u_r, u_c) = layer.input_weight.data, layer.state_weight.data
    h = np.concatenate([graph.x, np.zeros((NUM_NODES, width - 3))], axis=1)
    for _ in range(num_layers):
        a = np.tile(layer.bias.data, (NUM_NODES, 1))
        for k in range(NUM_EDGES):
            scale = graph.edges["w"][k] if weight else 1.0
            a[graph.receivers[k]] += scale * h[graph.senders[k]] @ layer.weight.data
        new = np.empty_like(h)
        for i in range(NUM_NODES):
            z = sigmoid(a[i] @ w_z + h[i] @ u_z)
            r = sigmoid(a[i] @ w_r + h[i] @ u_r)
            c = np.tanh(a[i] @ w_c + (r * h[i]) @ u_c)
            new[i] = (1 - z) * h[i] + z * c
        h = new
    np.testing.assert_allclose(output(layer, graph), h, atol=1e-10)


def test_gated_graph_conv_does_not_narrow(rng):
    with pytest.raises(ShapeError, match="Put a Linear first"):
        gk.nn.GatedGraphConv(5, 3)
    with pytest.raises(InvalidFeatureError, match="Linear"):
        gk.nn.GatedGraphConv(3, 4)(make_graph(rng).replace(x=sp.csr_array(np.eye(NUM_NODES, 3))))


# --- ResGatedGraphConv ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_channels", [None, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_residual_gated_graph_conv(edge_channels, bias, rng):
    graph = make_graph(rng, edge_channels=edge_channels)
    layer = randomised(gk.nn.ResGatedGraphConv(3, 4, edge_channels=edge_channels, bias=bias), rng)
    expected = graph.x @ layer.own_weight.data + (layer.bias.data if bias else 0)
    for k in range(NUM_EDGES):
        i, j = graph.receivers[k], graph.senders[k]
        gate = graph.x[i] @ layer.receiver_gate.data + graph.x[j] @ layer.sender_gate.data
        gate = gate + graph.e[k] @ layer.edge_gate.data if edge_channels else gate
        expected[i] += sigmoid(gate) * (graph.x[j] @ layer.value_weight.data)
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-10)


# --- TransformerConv ------------------------------------------------------------------------------------------------


def attention_by_hand(layer, graph, heads, width):
    def heads_of(name):
        bias = getattr(layer, f"{name}_bias")
        rows = graph.x @ getattr(layer, f"{name}_weight").data + (0 if bias is None else bias.data)
        return rows.reshape(NUM_NODES, heads, width)

    query, key, value = heads_of("query"), heads_of("key"), heads_of("value")
    e = np.zeros((NUM_EDGES, heads, width))
    if layer.edge_map is not None:
        e = (graph.e @ layer.edge_map.data).reshape(NUM_EDGES, heads, width)
    h = np.zeros((NUM_NODES, heads, width))
    for i in range(NUM_NODES):
        edges = [k for k in range(NUM_EDGES) if graph.receivers[k] == i]
        for head in range(heads):
            scores = [query[i, head] @ (key[graph.senders[k], head] + e[k, head]) / np.sqrt(width) for k in edges]
            total = sum(np.exp(score) for score in scores)
            for k, score in zip(edges, scores, strict=True):
                h[i, head] += np.exp(score) / total * (value[graph.senders[k], head] + e[k, head])
    return h


@pytest.mark.parametrize("edge_channels", [None, 2])
@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("beta", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_transformer_conv(edge_channels, concat, beta, bias, rng):
    graph = make_graph(rng, edge_channels=edge_channels)
    options = {"concat": concat, "beta": beta, "bias": bias, "edge_channels": edge_channels}
    layer = randomised(gk.nn.TransformerConv(3, 4, heads=2, **options), rng)
    h = attention_by_hand(layer, graph, 2, 4)
    h = h.reshape(NUM_NODES, 8) if concat else h.mean(axis=1)
    own = graph.x @ layer.own_weight.data + (layer.own_bias.data if bias else 0)
    if beta:
        gate = sigmoid(np.concatenate([h, own, h - own], axis=1) @ layer.gate.data)
        expected = (1 - gate) * h + gate * own
    else:
        expected = h + own
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-10)


@pytest.mark.parametrize("edge_channels", [None, 2])
def test_attention_dropout_is_seeded_and_only_in_training(edge_channels, rng):
    graph = make_graph(rng, edge_channels=edge_channels)
    layer = gk.nn.TransformerConv(3, 2, heads=2, dropout=0.5, edge_channels=edge_channels, rng=0)
    first = output(layer.seed(1), graph)
    np.testing.assert_array_equal(output(layer.seed(1), graph), first)
    assert not np.array_equal(output(layer, graph), first)
    np.testing.assert_array_equal(output(layer.eval(), graph), output(layer, graph))


def test_dropout_keeps_the_mean_of_what_is_attended_to():
    graph = gk.complete(60).replace(x=np.ones((60, 1)))
    layer = gk.nn.TransformerConv(1, 1, dropout=0.5, beta=False, rng=0).astype("float64").seed(0)
    passive = output(layer.eval(), graph)[0, 0]
    own = float(layer.own_weight.data[0, 0])
    dropped = output(layer.train(), graph) - own
    assert dropped.std() > 0 and dropped.mean() == pytest.approx(passive - own, rel=0.1)


def test_large_scores_do_not_overflow(rng):
    graph = make_graph(rng)
    layer = gk.nn.TransformerConv(3, 4, rng=0)
    assert np.isfinite(output(layer, graph.replace(x=1e4 * graph.x.astype("float32")))).all()


def test_transformer_conv_refuses_what_it_cannot_be():
    with pytest.raises(InvalidArgumentError, match="at least 1 head"):
        gk.nn.TransformerConv(3, 4, heads=0)
    with pytest.raises(InvalidArgumentError, match="dropout"):
        gk.nn.TransformerConv(3, 4, dropout=1.0)


# --- all of them ----------------------------------------------------------------------------------------------------

LAYERS = {
    "gated": lambda: gk.nn.GatedGraphConv(3, 4, num_layers=2, rng=0),
    "res gated": lambda: gk.nn.ResGatedGraphConv(3, 4, rng=0),
    "transformer": lambda: gk.nn.TransformerConv(3, 4, heads=2, rng=0),
    "transformer mean": lambda: gk.nn.TransformerConv(3, 4, heads=2, concat=False, beta=False, rng=0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_saved_layer_is_the_same(name, rng, tmp_path):
    layer, graph = LAYERS[name](), make_graph(rng)
    gk.nn.save_model(layer, tmp_path / "layer.safetensors")
    again = gk.nn.load_model(tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(output(again, graph), output(layer, graph))


@pytest.mark.parametrize("name", ["res gated", "transformer"])
def test_sparse_features_stay_sparse(name, rng, monkeypatch):
    layer, graph = LAYERS[name]().astype("float64"), make_graph(rng)
    dense = graph.x * (rng.random(graph.x.shape) < 0.4)
    expected = output(layer, graph.replace(x=dense))
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(output(layer, graph.replace(x=sp.csr_array(dense))), expected, atol=1e-12)


@pytest.mark.parametrize(("inside", "outside"), [(0, 3), (3, 0)])
def test_zero_channels(inside, outside, rng):
    graph = make_graph(rng, inside)
    for layer in (gk.nn.ResGatedGraphConv(inside, outside), gk.nn.TransformerConv(inside, outside, heads=2)):
        out = layer(graph)
        assert len(out.x) == NUM_NODES
        out.x.sum().backward()
