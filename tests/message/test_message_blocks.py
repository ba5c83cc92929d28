"""The GraphNetwork block: published known answers, every part optional, and message passing by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, ShapeError, UnknownFieldError, UnknownNameError
from gnnkit.message import gather_receivers, gather_senders, graph_network, neighbour_sum, pool_edges, pool_nodes

X = np.array([[10.1, 10.2], [20.1, 20.2], [30.1, 30.2]])
E = np.array([[101.0, 102.0, 103.0, 104.0], [201.0, 202.0, 203.0, 204.0]])
U = np.array([[1.1, 1.2, 1.3, 1.4]])
G1 = gk.from_edges([0, 1], [1, 2], x=X, e=E, u=U)
G2 = gk.from_edges([1], [2], x=-X, e=-E[:1], u=-U)
G3 = gk.from_edges([1, 1], [0, 2], x=X, e=E, u=U)
G4 = gk.from_edges([0, 2], [1, 1], x=X, e=E, u=U)


def received_or_sent(graph, name):
    update = (lambda received: received) if name == "received" else (lambda sent: sent)
    return graph_network(graph, update_node=update, aggregate_sent="sum").x.numpy()


# --- known answers -------------------------------------------------------------------------------------------------


def test_pooling_edges_and_nodes():
    for graph in (G1, G3, G4):
        np.testing.assert_allclose(pool_edges(graph).numpy(), [[302, 304, 306, 308]])
    np.testing.assert_allclose(pool_edges(G2).numpy(), [[-101, -102, -103, -104]])
    np.testing.assert_allclose(pool_nodes(G1).numpy(), [[60.3, 60.6]])
    np.testing.assert_allclose(pool_nodes(G2).numpy(), [[-60.3, -60.6]])
    np.testing.assert_allclose(pool_nodes(gk.batch([G1, G2])).numpy(), [[60.3, 60.6], [-60.3, -60.6]])


def test_received_and_sent_edges():
    np.testing.assert_array_equal(received_or_sent(G1, "received"), [[0] * 4, E[0], E[1]])
    np.testing.assert_array_equal(received_or_sent(G4, "received"), [[0] * 4, [302, 304, 306, 308], [0] * 4])
    np.testing.assert_array_equal(received_or_sent(G3, "sent"), [[0] * 4, [302, 304, 306, 308], [0] * 4])


def test_ends_of_the_edges_of_a_batch():
    both = gk.batch([G1, G2])
    expected = [[10.1, 10.2], [20.1, 20.2], [-20.1, -20.2]]
    np.testing.assert_array_equal(gather_senders(both.topology, both.x).numpy(), expected)
    expected = [[20.1, 20.2], [30.1, 30.2], [-30.1, -30.2]]
    np.testing.assert_array_equal(gather_receivers(both.topology, both.x).numpy(), expected)


@pytest.mark.parametrize("graph", [G1, gk.batch([G1, G2, G3, G4])])
def test_identities_return_the_input(graph):
    out = graph_network(graph, update_edge=lambda e: e, update_node=lambda x: x, update_global=lambda u: u)
    assert out.topology is graph.topology
    for name in ("x", "e", "u"):
        np.testing.assert_array_equal(gk.autodiff.as_array(getattr(out, name)), getattr(graph, name))


def test_features_of_any_rank(rng):
    shape = (4, 5, 11)
    graph = gk.from_edges(
        [0, 1], [1, 2], x=rng.normal(size=(3, *shape)), e=rng.normal(size=(2, *shape)), u=rng.normal(size=(1, *shape))
    )
    out = graph_network(
        graph,
        update_edge=lambda e, sender_x, receiver_x, u: e + sender_x + receiver_x + u,
        update_node=lambda x, received, sent, u: x + received + sent + u,
        update_global=lambda u, nodes, edges: u + nodes + edges,
        aggregate_sent="mean",
    )
    e = graph.e + graph.x[[0, 1]] + graph.x[[1, 2]] + graph.u
    x = graph.x + graph.u
    x[1:] += e
    x[:2] += e
    np.testing.assert_allclose(out.e.numpy(), e)
    np.testing.assert_allclose(out.x.numpy(), x)
    np.testing.assert_allclose(out.u.numpy(), graph.u + x.sum(0) + e.sum(0))


# --- parts, inputs, errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "update"),
    [
        ("e", {"update_edge": lambda e: e}),
        ("x", {"update_edge": lambda sender_x: sender_x}),
        ("u", {"update_edge": lambda u: u}),
        ("x", {"update_node": lambda x: x}),
        ("e", {"update_node": lambda received: received}),
        ("u", {"update_node": lambda u: u}),
        ("u", {"update_global": lambda u: u}),
        ("x", {"update_global": lambda nodes: nodes}),
        ("e", {"update_global": lambda edges: edges}),
    ],
)
def test_a_missing_needed_field_raises(missing, update):
    with pytest.raises(UnknownFieldError, match=rf"reads the \w+ field '{missing}'"):
        graph_network(G1.without(missing), **update)


def test_what_is_not_read_may_be_absent():
    bare = gk.path(3)
    out = graph_network(bare.replace(x=X), update_edge=lambda sender_x: sender_x, update_node=lambda received: received)
    np.testing.assert_allclose(out.x.numpy(), [X[1], X[0] + X[2], X[1]])
    assert graph_network(bare) is bare


def test_keyword_inputs_take_whatever_is_there():
    seen = {}

    def update(**inputs):
        seen.update(inputs)
        return inputs["x"]

    graph_network(G1.without("u"), update_node=update, aggregate_sent="max")
    assert sorted(seen) == ["received", "sent", "x"]


def test_every_aggregation_can_be_chosen():
    out = graph_network(
        G4,
        update_node=lambda received: received,
        update_global=lambda nodes, edges: np.concatenate([nodes, edges], axis=1),
        aggregate_edges_to_nodes="max",
        aggregate_nodes_to_globals="mean",
        aggregate_edges_to_globals="min",
    )
    np.testing.assert_allclose(out.x.numpy()[1], E[1])
    np.testing.assert_allclose(out.u.numpy(), [[*(E[1] / 3), *E[0]]])


def test_errors():
    with pytest.raises(InvalidArgumentError, match="Got the parameter 'edges'"):
        graph_network(G1, update_edge=lambda edges: edges)
    with pytest.raises(InvalidArgumentError, match="aggregate_sent=None, which switches it off"):
        graph_network(G1, update_node=lambda sent: sent)
    with pytest.raises(InvalidArgumentError, match="aggregate_nodes_to_globals=None"):
        graph_network(G1, update_global=lambda nodes: nodes, aggregate_nodes_to_globals=None)
    with pytest.raises(UnknownNameError, match="Did you mean 'mean'"):
        graph_network(G1, update_node=lambda received: received, aggregate_edges_to_nodes="meen")
    with pytest.raises(InvalidArgumentError, match=r"parameters cannot be read|Got the parameter"):
        graph_network(G1, update_edge=np.tanh)
    with pytest.raises(ShapeError, match="one row per node"):
        graph_network(G1, update_node=lambda x: x[:2])


def test_empty_graphs_in_a_batch():
    nothing = gk.empty(0).replace(x=X[:0], e=E[:0], u=U)
    lonely = gk.empty(1).replace(x=X[:1], e=E[:0], u=U)
    graph = gk.batch([nothing, G1, lonely, nothing])
    out = graph_network(
        graph,
        update_edge=lambda e, u: e + u,
        update_node=lambda received, u: received + u,
        update_global=lambda nodes, edges: nodes + edges,
    )
    np.testing.assert_allclose(out.u.numpy()[[0, 2, 3]], [[0] * 4, U[0], [0] * 4])


def test_gradients_of_the_whole_block(rng):
    graph = gk.batch([gk.cycle(3), gk.empty(2), gk.star(3)])

    def block(x, e, u, w):
        out = graph_network(
            graph.replace(x=x, e=e, u=u),
            update_edge=lambda e, sender_x, receiver_x, u: np.tanh(e * sender_x + receiver_x * u),
            update_node=lambda x, received, sent, u: np.tanh(x + received @ w + sent * u),
            update_global=lambda u, nodes, edges: np.tanh(u + nodes * edges),
            aggregate_sent="mean",
            aggregate_edges_to_nodes="softmax",
        )
        return np.sum(out.x**2) + np.sum(out.e**3) + np.sum(out.u)

    shapes = (graph.num_nodes, 2), (graph.num_edges, 2), (graph.num_graphs, 2), (2, 2)
    for order in (1, 2):
        gk.assert_gradients(block, *(rng.normal(size=shape) for shape in shapes), order=order)


# --- exercises: message passing by hand ----------------------------------------------------------------------------

F = np.array([[3.0, 5.0], [4.0, 1.0]])
STATES = np.array([[1.0, 2.0], [-1.0, 2.0], [2.0, 2.0], [-3.0, 2.0]])
PATH = gk.path(4).replace(x=STATES)


def test_steps_without_messages():
    step = {"update_node": lambda x: x @ F.T}
    once = graph_network(PATH, **step)
    np.testing.assert_array_equal(once.x, [[13, 6], [7, -2], [16, 10], [1, -10]])
    np.testing.assert_array_equal(graph_network(once, **step).x, [[69, 58], [11, 26], [98, 74], [-47, -6]])


def test_step_with_messages():
    out = graph_network(
        PATH, update_edge=lambda sender_x: sender_x @ F.T, update_node=lambda x, received: x @ F.T + received
    )
    np.testing.assert_array_equal(out.x.numpy()[0], [20, 4])
    np.testing.assert_array_equal(out.x.numpy(), (STATES + neighbour_sum(PATH.topology, STATES).numpy()) @ F.T)


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_information_travels_one_edge_a_layer(distance):
    source = np.zeros((4, 1))
    source[0] = 1
    graph = gk.path(4).replace(x=source)
    for step in range(1, 5):
        graph = graph_network(
            graph, update_edge=lambda sender_x: sender_x, update_node=lambda x, received: x + received
        )
        assert (graph.x.numpy()[distance, 0] > 0) == (step >= distance)


def test_a_global_state_or_a_dummy_node_reaches_every_pair_in_two():
    source = np.zeros((6, 1))
    source[0] = 1
    graph = gk.path(6).replace(x=source, u=np.zeros((1, 1)))
    for _ in range(2):
        graph = graph_network(graph, update_node=lambda x, u: x + u, update_global=lambda u, nodes: u + nodes)
    assert (gk.autodiff.as_array(graph.x) > 0).all()
    dummy = gk.star(7)  # its centre is joined to all others
    reached = np.zeros((7, 1))
    reached[1] = 1
    for _ in range(2):
        reached = reached + neighbour_sum(dummy.topology, reached).numpy()
    assert (reached > 0).all()


def test_four_forms_of_the_global_update():
    # sum of the states (-1, 8); of f of them (37, 4); f_U multiplies by 10
    graph = PATH.replace(u=np.array([[1.0, 2.0]]))

    def after(update, **others):
        return gk.autodiff.as_array(graph_network(graph, update_global=update, **others).u).tolist()

    mapped = {"update_node": lambda x: x @ F.T}
    assert after(lambda u, nodes: 10 * u + nodes, **mapped) == [[47, 24]]  # f_U(U) + sum f_v(v)
    assert after(lambda u, nodes: 10 * u + nodes @ F.T) == [[47, 24]]  # f_U(U) + f_v(sum v): equal, as f_v is linear
    assert after(lambda u, nodes: 10 * u + nodes) == [[9, 28]]  # f_U(U) + sum v
    assert after(lambda u, nodes: 10 * (u + nodes)) == [[0, 100]]  # f_U(U + sum v)


def test_the_global_state_may_have_a_dimension_of_its_own():
    graph = PATH.replace(u=np.ones((1, 3)))
    out = graph_network(graph, update_global=lambda u, nodes: u @ np.ones((3, 5)) + nodes @ np.ones((2, 5)))
    assert out.u.shape == (1, 5) and out.u.numpy()[0, 0] == 3 + 7


def symmetric(update):
    """Whether permuting the nodes of a graph permutes the outputs of ``update(topology, x)``."""
    rng = np.random.default_rng(1)
    senders, receivers = np.array([1, 2, 3, 0, 2]), np.array([0, 0, 0, 1, 1])
    x, order = rng.normal(size=(4, 2)), np.array([2, 0, 3, 1])  # node i becomes order[i]
    moved = np.empty_like(x)
    moved[order] = x
    straight = update(gk.Topology.from_edges(senders, receivers, num_nodes=4), x)
    permuted = update(gk.Topology.from_edges(order[senders], order[receivers], num_nodes=4), moved)
    return np.allclose(permuted[order], straight)


def test_valid_and_invalid_layers():
    w1, w2 = 0.7, -1.3

    def mean_layer(topology, x):
        messages = gk.message.gather_senders(topology, x)
        return (w1 * x + w2 * gk.message.aggregate(topology, messages, "mean")).numpy()

    def one_weight_per_neighbour(topology, x):
        position = np.arange(topology.num_edges) - topology.indptr[topology.receivers]  # first, second, third neighbour
        weights = np.array([1.0, -2.0, 3.0])[position]
        messages = x[topology.senders] * weights[:, None]
        return np.maximum(w1 * x, gk.message.aggregate(topology, messages, "max").numpy())

    def one_weight(topology, x):
        return np.maximum(w1 * x, gk.message.aggregate(topology, w2 * x[topology.senders], "max").numpy())

    assert symmetric(mean_layer) and symmetric(one_weight)
    assert not symmetric(one_weight_per_neighbour)


def test_layer_written_out_for_two_nodes(rng):
    # s_i' = s_i + W1 mean_j tanh(W2 s_j); undirected edges 1-2, 2-4, 2-5, 3-5, node 0 unused
    d, k = 3, 2
    w1, w2, s = rng.normal(size=(d, k)), rng.normal(size=(k, d)), rng.normal(size=(6, d))
    graph = gk.from_edges([1, 2, 2, 3], [2, 4, 5, 5], x=s, undirected=True)
    layer = {
        "update_edge": lambda sender_x: np.tanh(sender_x @ w2.T),
        "update_node": lambda x, received: x + received @ w1.T,
        "aggregate_edges_to_nodes": "mean",
    }
    out = graph_network(graph, **layer).x.numpy()
    np.testing.assert_allclose(out[2], s[2] + w1 @ (np.tanh(w2 @ s[1]) + np.tanh(w2 @ s[4]) + np.tanh(w2 @ s[5])) / 3)
    np.testing.assert_allclose(out[3], s[3] + w1 @ np.tanh(w2 @ s[5]))
    np.testing.assert_allclose(out[0], s[0])
    layer["update_node"] = lambda x, received: x + received @ w2
    assert graph_network(graph, **layer).x.shape == (6, d)  # w2 is k x d: the transpose of W1's shape
    layer["update_node"] = lambda x, received: x + received @ w1
    with pytest.raises(ValueError, match=r"shape|dimension|mismatch"):
        graph_network(graph, **layer)
