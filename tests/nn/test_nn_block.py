"""GraphNetwork and its configurations: they are the functional block with learnt updates, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownFieldError, UnknownNameError
from gnnkit.message import graph_network


@pytest.fixture
def graph(rng):
    one = gk.from_edges(
        [0, 1, 2, 2], [1, 1, 0, 3], x=rng.normal(size=(5, 3)), e=rng.normal(size=(4, 2)), u=rng.normal(size=(1, 4))
    )
    two = gk.cycle(3).replace(x=rng.normal(size=(3, 3)), e=rng.normal(size=(6, 2)), u=rng.normal(size=(1, 4)))
    return gk.batch([one, two])


def linear(inside, outside, seed=0):
    return gk.nn.Linear(inside, outside, rng=seed).astype("float64")


def join(*parts):
    return np.concatenate(parts, axis=1)


def test_full_block_is_the_functional_block(graph):
    edge, node, top = linear(12, 5, 0), linear(17, 6, 1), linear(15, 2, 2)
    block = gk.nn.GraphNetwork(
        edge_model=edge,
        node_model=node,
        global_model=top,
        node_inputs=("x", "received", "sent", "u"),
        aggregate_edges_to_nodes="max",
        aggregate_sent="mean",
        aggregate_edges_to_globals="std",
    )
    expected = graph_network(
        graph,
        update_edge=lambda e, sender_x, receiver_x, u: edge(join(e, sender_x, receiver_x, u)),
        update_node=lambda x, received, sent, u: node(join(x, received, sent, u)),
        update_global=lambda u, nodes, edges: top(join(u, nodes, edges)),
        aggregate_edges_to_nodes="max",
        aggregate_sent="mean",
        aggregate_edges_to_globals="std",
    )
    out = block(graph)
    for name in ("x", "e", "u"):  # the edge model is taken apart, so that its sums run in another order
        np.testing.assert_allclose(getattr(out, name).numpy(), getattr(expected, name).numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("parts", "changed"),
    [
        ({"edge_model": (12, 5)}, "e"),
        ({"node_model": (9, 5)}, "x"),
        ({"global_model": (9, 5)}, "u"),
        ({"edge_model": (12, 2), "global_model": (9, 5)}, "eu"),
    ],
)
def test_any_part_may_be_absent(parts, changed, graph):
    out = gk.nn.GraphNetwork(**{name: linear(*sizes) for name, sizes in parts.items()})(graph)
    for name in "xeu":
        assert (getattr(out, name) is getattr(graph, name)) == (name not in changed)


def test_at_least_one_part():
    with pytest.raises(InvalidArgumentError, match="at least one part"):
        gk.nn.GraphNetwork()


def test_deep_sets_is_a_sum_of_parts(graph):
    phi, rho = linear(3, 4, 0), linear(4, 2, 1)
    sets = graph.without("e", "u")
    out = gk.nn.DeepSets(phi, rho)(sets)
    for index, single in enumerate(gk.unbatch(sets)):
        np.testing.assert_allclose(out.u.numpy()[index], rho(phi(single.x).numpy().sum(0)[None]).numpy()[0])
    edgeless = gk.Graph(gk.Topology.from_edges([], [], num_nodes=8), {"x": sets.x}, node_ptr=sets.node_ptr)
    np.testing.assert_array_equal(gk.nn.DeepSets(phi, rho)(edgeless).u.numpy(), out.u.numpy())


def test_interaction_network(graph):
    relation, update = linear(6, 4, 0), linear(7, 3, 1)
    bare = graph.without("e", "u")
    out = gk.nn.InteractionNetwork(relation, update)(bare)
    effects = relation(join(bare.x[bare.senders], bare.x[bare.receivers])).numpy()
    received = np.zeros((8, 4))
    np.add.at(received, bare.receivers, effects)
    np.testing.assert_allclose(out.e.numpy(), effects)
    np.testing.assert_allclose(out.x.numpy(), update(join(bare.x, received)).numpy())


def test_mpnn_repeats_with_shared_weights_and_keeps_e(graph):
    message, update, readout = linear(8, 4, 0), linear(7, 3, 1), linear(3, 2, 2)
    given = graph.without("u")
    out = gk.nn.MPNN(message, update, readout, steps=3)(given)
    x = given.x
    for _ in range(3):
        messages = message(join(given.e, x[given.senders], x[given.receivers])).numpy()
        received = np.zeros((8, 4))
        np.add.at(received, given.receivers, messages)
        x = update(join(x, received)).numpy()
    np.testing.assert_allclose(out.x.numpy(), x, atol=1e-10)
    np.testing.assert_allclose(out.u.numpy(), readout(np.stack([x[:5].sum(0), x[5:].sum(0)])).numpy(), atol=1e-10)
    assert out.e is given.e
    once = gk.nn.MPNN(message, update)(given)
    assert "u" not in once.globals


def test_state_that_nothing_reads_is_refused(graph):
    with pytest.raises(InvalidFeatureError, match="u"):
        gk.nn.GraphNetwork(node_model=linear(5, 3), node_inputs=("x", "received"))(graph)
    with pytest.raises(InvalidFeatureError, match="e"):
        gk.nn.InteractionNetwork(linear(6, 4), linear(7, 3))(graph.without("u"))
    with pytest.raises(UnknownFieldError, match="'e'"):
        gk.nn.InteractionNetwork(linear(8, 4), linear(7, 3), edge_features=True)(graph.without("e", "u"))
    with pytest.raises(InvalidFeatureError, match="already"):
        gk.nn.GlobalPool()(graph)


def test_errors(graph):
    with pytest.raises(InvalidArgumentError, match="edge_inputs must be"):
        gk.nn.GraphNetwork(edge_model=linear(3, 2), edge_inputs=("x",))
    with pytest.raises(InvalidArgumentError, match="node_inputs must be"):
        gk.nn.GraphNetwork(node_model=linear(3, 2), node_inputs="x")
    with pytest.raises(InvalidArgumentError, match="aggregate_sent=None"):
        gk.nn.GraphNetwork(node_model=linear(5, 2), node_inputs=("x", "sent"))(graph.without("u"))
    with pytest.raises(ShapeError, match=r"\[num_nodes, 4\]"):
        gk.nn.GraphNetwork(node_model=linear(4, 2), node_inputs=("x", "received"))(graph.without("u"))
    flat = graph.without("e").replace(e=np.ones(graph.num_edges))
    with pytest.raises(ShapeError, match=r"\[n, channels\]\. Got 'e' of shape \[10\]\. .*value\[:, None\]"):
        gk.nn.InteractionNetwork(linear(7, 4), linear(7, 3), edge_features=True)(flat.without("u"))
    with pytest.raises(UnknownNameError, match="'sum'"):
        gk.nn.GlobalPool("summ")


@pytest.mark.parametrize("reducer", ["sum", "mean", "max", "min", "std"])
def test_global_pool(reducer, graph):
    nothing = gk.empty(0).replace(x=np.zeros((0, 3)), e=np.zeros((0, 2)))
    out = gk.nn.GlobalPool(reducer)(gk.batch([graph.without("u"), nothing]))
    expected = [getattr(np, reducer)(graph.x[rows], axis=0) for rows in (slice(0, 5), slice(5, 8))]
    np.testing.assert_allclose(out.u.numpy(), [*expected, np.zeros(3)], atol=1e-12)
    assert out.x is not None and out.num_nodes == 8


def test_shared_and_own_weights():
    # RNN-like: one layer applied repeatedly; MLP-like: a layer of its own for every step.
    step = gk.nn.GCNConv(4, 4, rng=0)
    shared = gk.nn.Sequential(step, step, step)
    own = gk.nn.Sequential(*(gk.nn.GCNConv(4, 4, rng=i) for i in range(3)))
    assert own.num_parameters == 3 * shared.num_parameters


def test_different_weights_for_incoming_and_outgoing_edges():
    graph = gk.from_edges([0, 1], [1, 2], x=np.eye(3))
    block = gk.nn.GraphNetwork(
        edge_model=gk.nn.Lambda(lambda ends: ends),
        edge_inputs=("sender_x", "receiver_x"),
        node_model=linear(12, 1),
        node_inputs=("received", "sent"),
        aggregate_sent="sum",
    )
    # received holds (sender, receiver) of the incoming edges, sent those of the outgoing ones: weights of their own
    weight = np.zeros((12, 1))
    weight[:3] = 1.0  # senders of incoming edges
    weight[9:] = 10.0  # receivers of outgoing edges
    block.node_model.weight.assign(weight)
    np.testing.assert_allclose(block(graph).x.numpy().ravel(), [10, 11, 1])


def test_work_grows_with_the_graph_and_weights_do_not():
    layer = gk.nn.GCNConv(4, 4, rng=0)

    def work(graph):
        return layer.summary(graph.replace(x=np.ones((graph.num_nodes, 4), "float32"))).flops

    assert work(gk.cycle(20)) == 2 * work(gk.cycle(10))  # twice the nodes at equal degree
    assert work(gk.complete(80)) / work(gk.complete(40)) == pytest.approx(4, rel=0.1)  # a complete graph
