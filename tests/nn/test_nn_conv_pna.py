"""PNAConv against loops over towers, nodes, scalers and aggregators, written from the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownNameError

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub at 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3])
NUM_NODES = 6

AGGREGATE = {
    "mean": lambda m: m.mean(0),
    "max": lambda m: m.max(0),
    "min": lambda m: m.min(0),
    "std": lambda m: np.sqrt(np.mean((m - m.mean(0)) ** 2, 0)),
    "var": lambda m: np.mean((m - m.mean(0)) ** 2, 0),
    "sum": lambda m: m.sum(0),
}


def make_graph(rng, channels=4, **fields):
    return gk.from_edges(SENDERS, RECEIVERS, x=rng.normal(size=(NUM_NODES, channels)), **fields)


def with_edges(rng, channels=4):
    return make_graph(rng, channels, e=rng.normal(size=(len(SENDERS), 2)))


def make_layer(rng, inside=4, outside=6, **options):
    layer = gk.nn.PNAConv(inside, outside, delta=0.9, **options).astype("float64")
    for parameter in layer.parameters():
        parameter.assign(rng.normal(size=parameter.shape))
    return layer


def scaled(name, degree, layer):
    if degree == 0:
        return 1.0  # times an aggregate of nothing, which is 0
    logarithm = math.log(degree + 1)
    return {
        "identity": 1.0,
        "amplification": logarithm / layer.delta,
        "attenuation": layer.delta / logarithm,
        "linear": degree / layer.mean_degree,
    }[name]


def by_hand(layer, graph, e=None):
    """Equation 8, one tower, node, scaler and aggregator after the other."""
    out = np.zeros((graph.num_nodes, layer.out_channels))
    for t in range(layer.towers):
        own = slice(t * layer.width, (t + 1) * layer.width)  # of what is side by side
        x = graph.x[:, own] if layer.divide_input else graph.x
        for i in range(graph.num_nodes):
            messages = []
            for k in np.flatnonzero(graph.receivers == i):
                parts = [x[i], x[graph.senders[k]]] + ([] if e is None else [e[k]])
                message = np.concatenate(parts) @ layer.message_weight.data[t] + layer.message_bias.data[0, own]
                for later in range(layer.message_layers - 1):
                    message = np.maximum(message, 0) @ layer.message_hidden.data[later, t]
                    message = message + layer.message_bias.data[later + 1, own]
                messages.append(message)
            read = [x[i]]
            for scaler in layer.scalers:
                for name in layer.aggregators:
                    value = AGGREGATE[name](np.array(messages)) if messages else np.zeros(layer.width)
                    read.append(value * scaled(scaler, len(messages), layer))
            place = slice(t * layer.tower_channels, (t + 1) * layer.tower_channels)
            value = np.concatenate(read) @ layer.update_weight.data[t] + layer.update_bias.data[0, place]
            for later in range(layer.update_layers - 1):
                value = np.maximum(value, 0) @ layer.update_hidden.data[later, t]
                value = value + layer.update_bias.data[later + 1, place]
            out[i, place] = value
    return out if layer.towers == 1 else out @ layer.mix_weight.data + layer.mix_bias.data


EVERYTHING = {"aggregators": tuple(AGGREGATE), "scalers": ("identity", "amplification", "attenuation", "linear")}
OPTIONS = [
    {},
    {"aggregators": ["sum"], "scalers": ["identity"]},
    {**EVERYTHING, "mean_degree": 1.5},
    {"towers": 2},
    {"towers": 2, "divide_input": True, **EVERYTHING},
    {"message_layers": 3, "update_layers": 2},
    {"message_layers": 2, "update_layers": 3, "towers": 3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("edges", [True, False])
def test_the_definition(options, edges, rng):
    graph = with_edges(rng) if edges else make_graph(rng)
    layer = make_layer(rng, edge_channels=2 if edges else None, **options)
    expected = by_hand(layer, graph, graph.e if edges else None)
    np.testing.assert_allclose(layer(graph).x.numpy(), expected, atol=1e-10)


def test_known_answer():
    graph = gk.from_edges([0, 1], [2, 2], num_nodes=3, x=np.array([[1.0], [3.0], [0.0]]))
    layer = gk.nn.PNAConv(
        1, 1, delta=math.log(3) / 2, aggregators=["mean", "max"], scalers=["identity", "amplification"]
    )
    layer.astype("float64").message_weight.assign([[[0.0], [1.0]]])  # the message is the sender's feature
    layer.update_weight.assign([[[1000.0], [1.0], [10.0], [100.0], [0.0]]])
    np.testing.assert_allclose(layer(graph).x.numpy().ravel(), [1000.0, 3000.0, 2.0 + 30.0 + 100 * 2 * 2.0])


@pytest.mark.parametrize("options", [{}, {"towers": 2}, {"towers": 2, "divide_input": True, "message_layers": 2}])
def test_sparse_features_stay_sparse(options, rng, monkeypatch):
    graph, layer = make_graph(rng), make_layer(rng, **options)
    dense = graph.x * (rng.random(graph.x.shape) < 0.5)
    expected = layer(graph.replace(x=dense)).x.numpy()
    monkeypatch.setattr(gk.SparseMatrix, "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(layer(graph.replace(x=sp.csr_array(dense))).x.numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("options", [{"aggregators": ["mean", "var", "sum"]}, {"towers": 2, "message_layers": 2}])
def test_derivatives(options, rng):
    graph, layer = with_edges(rng), make_layer(rng, edge_channels=2, **options)
    for parameter in layer.parameters():  # the sine of large values would be too steep for differences
        parameter.assign(parameter.data * 0.2)

    def function(x, e):
        return np.sum(np.sin(layer(graph.replace(x=x, e=e)).x))

    gk.assert_gradients(function, graph.x, graph.e, order=2)


def test_equal_messages_have_a_finite_gradient(rng):
    graph = gk.complete(4).replace(x=gk.tensor(np.ones((4, 3)), requires_grad=True))
    layer = make_layer(rng, 3, 3)
    layer(graph).x.sum().backward()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in layer.parameters())
    assert np.isfinite(graph.x.grad.numpy()).all()


@pytest.mark.parametrize("num_nodes", [0, 3])
def test_no_edges(num_nodes, rng):
    nothing = np.zeros(0, np.int64)
    graph = gk.from_edges(nothing, nothing, x=rng.normal(size=(num_nodes, 4)))
    layer = make_layer(rng)
    out = layer(graph).x
    np.testing.assert_allclose(out.numpy(), by_hand(layer, graph), atol=1e-12)
    out.sum().backward()


def test_statistics_of_the_training_graphs():
    graphs = [gk.star(4), gk.empty(2)]
    assert gk.nn.PNAConv.mean_log_degree(graphs) == pytest.approx((3 * math.log(2) + math.log(4)) / 6)
    assert gk.nn.PNAConv.mean_in_degree(graphs) == pytest.approx(1.0)
    assert gk.nn.PNAConv.mean_in_degree(gk.cycle(4)) == pytest.approx(2.0)
    with pytest.raises(InvalidArgumentError, match="needs a node"):
        gk.nn.PNAConv.mean_log_degree([])


def test_bad_arguments():
    for options, text in (
        ({"delta": 0.0}, "delta must be a positive number"),
        ({"delta": 1.0, "mean_degree": -1.0}, "mean_degree must be a positive number"),
        ({"delta": 1.0, "towers": 4}, "must divide"),
        ({"delta": 1.0, "towers": 0}, "at least 1"),
        ({"delta": 1.0, "aggregators": "mean"}, "sequence of names"),
    ):
        with pytest.raises(InvalidArgumentError, match=text):
            gk.nn.PNAConv(3, 6, **options)
    with pytest.raises(InvalidArgumentError, match="must divide"):
        gk.nn.PNAConv(3, 6, delta=1.0, towers=2, divide_input=True)
    with pytest.raises(UnknownNameError, match="'std'"):
        gk.nn.PNAConv(3, 6, delta=1.0, aggregators=["sdt"])
    with pytest.raises(UnknownNameError, match="'linear'"):
        gk.nn.PNAConv(3, 6, delta=1.0, scalers=["liner"])


def test_edge_features_are_checked(rng):
    graph = with_edges(rng)
    with pytest.raises(InvalidFeatureError, match=r"without\('e'\)"):
        make_layer(rng)(graph)
    with pytest.raises(ShapeError, match=r"\[num_edges, 3\]"):
        make_layer(rng, edge_channels=3)(graph)


def test_it_is_saved_and_loaded(rng, tmp_path):
    graph, layer = with_edges(rng), make_layer(rng, edge_channels=2, towers=2, aggregators=["max", "sum"])
    gk.nn.save_model(layer, tmp_path / "model.safetensors")
    again = gk.nn.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())
