"""Edge models inside of message programs: the same numbers as with gathered features, and no array of them."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.message import aggregate
from gnnkit.nn import edge_models
from gnnkit.nn.conv.networks import edge_product
from gnnkit.nn.edge_models import edge_values, runs_inside


@pytest.fixture
def graph(rng):
    one = gk.from_edges(
        [0, 1, 2, 2, 2],
        [1, 1, 0, 3, 3],
        x=rng.normal(size=(5, 3)),
        e=rng.normal(size=(5, 2)),
        u=rng.normal(size=(1, 4)),
    )
    two = gk.cycle(3).replace(x=rng.normal(size=(3, 3)), e=rng.normal(size=(6, 2)), u=rng.normal(size=(1, 4)))
    return gk.batch([one, two])


WIDTHS = {"e": 2, "sender_x": 3, "receiver_x": 3, "u": 4}
READS = [("e", "sender_x", "receiver_x", "u"), ("sender_x",), ("u", "e"), ("receiver_x", "sender_x")]


def gathered(graph, reads):
    parts = {
        "e": graph.e,
        "sender_x": graph.x[graph.senders],
        "receiver_x": graph.x[graph.receivers],
        "u": graph.u[graph.edge_graph],
    }
    return np.concatenate([parts[name] for name in reads], axis=1)


@pytest.mark.parametrize("reads", READS, ids="+".join)
@pytest.mark.parametrize("reducer", [None, "sum", "mean", "max", "std"])
@pytest.mark.parametrize("activation", [None, "leaky_relu"])
def test_values_are_those_of_gathered_features(reads, reducer, activation, graph):
    width = sum(WIDTHS[name] for name in reads)
    sizes = [width, 4] if activation is None else [width, 5, 4]
    model = gk.nn.MLP(sizes, activation=activation or "relu", rng=0).astype("float64")
    expected = model(gathered(graph, reads))
    expected = expected if reducer is None else aggregate(graph.topology, expected, reducer)
    out = edge_values(model, reads, graph, reducer)
    if reads == ("sender_x",) and reducer is None:  # one value per node: nothing to be saved
        assert out is None
        out = gk.nn.GraphNetwork(edge_model=model, edge_inputs=reads)(graph.without("e", "u")).e
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-12)


def test_models_that_run_inside():
    for model in (gk.nn.Linear(2, 3), gk.nn.MLP([2, 3, 4], activation="gelu", dropout=0.5).eval()):
        assert runs_inside(model)
    normed, dropping = gk.nn.MLP([2, 3, 4], norm="batch"), gk.nn.MLP([2, 3, 4], dropout=0.5)
    for model in (None, gk.nn.Identity(), normed, dropping, gk.nn.Lambda(np.tanh)):
        assert not runs_inside(model)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"dropout": 0.5}])
def test_other_models_are_called_with_gathered_features(options, graph):
    bare = graph.without("u")
    model = gk.nn.MPNN(gk.nn.MLP([8, 4, 4], rng=0, **options), gk.nn.Linear(7, 3, rng=1), steps=2).astype("float64")
    x = bare.x
    model.seed(3)
    out = model(bare).x.numpy()
    model.seed(3)
    for _ in range(2):
        messages = model.edge_model(np.concatenate([bare.e, x[bare.senders], x[bare.receivers]], axis=1))
        received = aggregate(bare.topology, messages, "sum").numpy()
        x = model.node_model(np.concatenate([x, received], axis=1)).numpy()
    np.testing.assert_allclose(out, x, atol=1e-12)


def test_a_message_model_is_not_called_with_gathered_features(graph, monkeypatch):
    bare, model = graph.without("u"), gk.nn.MPNN(gk.nn.MLP([8, 4, 4], rng=0), gk.nn.Linear(7, 3, rng=1))
    expected = model(bare).x.numpy()
    monkeypatch.setattr(gk.nn.MLP, "forward", lambda *inputs: pytest.fail("called with gathered features"))
    np.testing.assert_array_equal(model(bare).x.numpy(), expected)
    monkeypatch.undo()
    monkeypatch.setattr(edge_models, "runs_inside", lambda model: False)
    np.testing.assert_allclose(model(bare).x.numpy(), expected, atol=1e-6)


def test_the_summary_lists_a_model_that_runs_inside(graph):
    bare = graph.without("u")
    model = gk.nn.MPNN(gk.nn.Linear(8, 4, rng=0), gk.nn.Linear(7, 3, rng=1), steps=2)
    rows = model.summary(bare).rows
    assert [row.flops for row in rows if row.name == "edge_model"] == [11 * (2 * 8 * 4 + 4)] * 2
    assert sum(row.parameters for row in rows) == model.num_parameters


def test_the_summary_counts_the_map_of_edge_features(graph):
    layer = gk.nn.GINEConv(gk.nn.Linear(3, 3, rng=0), in_channels=3, edge_channels=2, rng=1)
    rows = layer.summary(graph.without("u")).rows
    assert sum(row.parameters for row in rows) == layer.num_parameters
    assert [row.flops for row in rows] == [8 * (2 * 3 * 3 + 3), 11 * 3 * (2 * 2 + 1 + 3) + 2 * 8 * 3]


@pytest.mark.parametrize("channels", [0, 1, 16, 17, 30])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_product_on_the_edges_narrow_and_wide(channels, shape, rng):
    topology = gk.Topology.from_edges([0, 1, 2, 2], [1, 1, 0, 0], num_nodes=4)
    e, weight = rng.normal(size=(4, channels)), rng.normal(size=(channels, *shape))

    def mapped(e, weight):
        def program(edge, params):
            return gk.agg.sum(edge_product(edge.e, params.weight))

        return gk.message_passing(topology, program, edge={"e": e}, params={"weight": weight})

    expected = aggregate(topology, np.tensordot(e, weight, axes=1), "sum").numpy()
    np.testing.assert_allclose(mapped(e, weight).numpy(), expected, atol=1e-12)
    if channels:
        gk.assert_gradients(lambda e, w: np.sum(np.sin(mapped(e, w))), e, weight, order=2)
