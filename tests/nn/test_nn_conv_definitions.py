"""Every convolution against a loop over nodes and edges, written from the equation of its paper."""

from __future__ import annotations

import numpy as np
import pytest
from conv_cases import randomised

import gnnkit as gk

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3])
NUM_NODES = 6


def make_graph(rng, channels=3, **fields):
    x = rng.normal(size=(NUM_NODES, channels))
    return gk.from_edges(SENDERS, RECEIVERS, num_nodes=NUM_NODES, x=x, edges=fields)


def weighted_graph(rng, channels=3):
    return make_graph(rng, channels, w=rng.uniform(0.5, 2.0, len(SENDERS)))


def incoming(graph, weights=None, loops=False):
    """For every node the list of (sender, weight) of the edges it receives."""
    w = np.ones(graph.num_edges) if weights is None else weights
    lists = [[] for _ in range(graph.num_nodes)]
    for k in range(graph.num_edges):
        lists[graph.receivers[k]].append((int(graph.senders[k]), float(w[k])))
    if loops:
        for i, found in enumerate(lists):
            if not any(j == i for j, _ in found):
                found.append((i, 1.0))
    return lists


def normalised_adjacency(graph, weights=None, loops=True):
    lists = incoming(graph, weights, loops)
    degree = np.array([sum(w for _, w in found) for found in lists])
    scale = np.array([1 / np.sqrt(d) if d > 0 else 0.0 for d in degree])
    s = np.zeros((graph.num_nodes, graph.num_nodes))
    for i, found in enumerate(lists):
        for j, w in found:
            s[i, j] += w * scale[i] * scale[j]
    return s


def output(layer, graph):
    return layer(graph).x.numpy()


SIZES = [(3, 2), (3, 5), (2, 7), (4, 1)]  # products before and after the neighbour sum


@pytest.mark.parametrize(("inside", "outside"), SIZES)
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("loops", [True, False])
def test_gcn(inside, outside, weight, loops, rng):
    graph = weighted_graph(rng, inside)
    layer = randomised(gk.nn.GCNConv(inside, outside, edge_weight=weight, self_loops=loops), rng)
    s = normalised_adjacency(graph, graph.edges["w"] if weight else None, loops)
    np.testing.assert_allclose(output(layer, graph), s @ graph.x @ layer.weight.data + layer.bias.data, atol=1e-12)


def test_gcn_known_answer():
    graph = gk.path(3).replace(x=np.eye(3))
    layer = gk.nn.GCNConv(3, 3, bias=False).astype("float64")
    layer.weight.assign(np.eye(3))
    a, b, c = 1 / np.sqrt(6), 1 / 2, 1 / 3
    np.testing.assert_allclose(output(layer, graph), [[b, a, 0], [a, c, a], [0, a, b]])


@pytest.mark.parametrize(("inside", "outside"), SIZES)
@pytest.mark.parametrize(
    ("reducer", "weight"), [("mean", None), ("mean", "w"), ("max", None), ("sum", None), ("sum", "w")]
)
def test_sage(inside, outside, reducer, weight, rng):
    graph = weighted_graph(rng, inside)
    layer = randomised(gk.nn.SAGEConv(inside, outside, reducer=reducer, edge_weight=weight), rng)
    expected = np.empty((NUM_NODES, outside))
    for i, found in enumerate(incoming(graph, graph.edges["w"] if weight else None)):
        messages = np.array([w * graph.x[j] for j, w in found]).reshape(-1, inside)
        total = sum(w for _, w in found)
        reduced = np.zeros(inside)
        if len(found):
            reduced = messages.max(0) if reducer == "max" else messages.sum(0) / (total if reducer == "mean" else 1)
        expected[i] = graph.x[i] @ layer.own_weight.data + reduced @ layer.neighbour_weight.data + layer.bias.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-12)


@pytest.mark.parametrize(("inside", "outside"), SIZES)
@pytest.mark.parametrize("weight", [None, "w"])
def test_graph_conv(inside, outside, weight, rng):
    graph = weighted_graph(rng, inside)
    layer = randomised(gk.nn.GraphConv(inside, outside, edge_weight=weight), rng)
    expected = graph.x @ layer.own_weight.data + layer.bias.data
    for i, found in enumerate(incoming(graph, graph.edges["w"] if weight else None)):
        for j, w in found:
            expected[i] += w * graph.x[j] @ layer.neighbour_weight.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-12)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("train_eps", [True, False])
def test_gin(weight, train_eps, rng):
    graph = weighted_graph(rng)
    layer = gk.nn.GINConv(gk.nn.MLP([3, 4, 2]), eps=0.3, train_eps=train_eps, edge_weight=weight).astype("float64")
    eps = float(layer.eps.data) if train_eps else 0.3
    summed = (1 + eps) * graph.x
    for i, found in enumerate(incoming(graph, graph.edges["w"] if weight else None)):
        for j, w in found:
            summed[i] += w * graph.x[j]
    np.testing.assert_allclose(output(layer, graph), layer.mlp(summed).numpy(), atol=1e-12)


@pytest.mark.parametrize("mapped", [True, False])
def test_gine(mapped, rng):
    width = 2 if mapped else 3
    graph = make_graph(rng, e=rng.normal(size=(len(SENDERS), width)))
    options = {"in_channels": 3, "edge_channels": 2} if mapped else {}
    layer = randomised(gk.nn.GINEConv(gk.nn.MLP([3, 4, 2]), eps=-0.2, **options), rng)
    e = graph.e @ layer.edge_map.weight.data + layer.edge_map.bias.data if mapped else graph.e
    summed = 0.8 * graph.x
    for k in range(graph.num_edges):
        summed[graph.receivers[k]] += np.maximum(graph.x[graph.senders[k]] + e[k], 0)
    np.testing.assert_allclose(output(layer, graph), layer.mlp(summed).numpy(), atol=1e-12)


def attention_by_hand(graph, h, score, heads, loops, concat):
    """``score(i, j, k, head)`` of every edge k (None: an added loop), softmax, weighted sum of ``h`` [n, heads, c]."""
    lists = [[] for _ in range(graph.num_nodes)]
    for k in range(graph.num_edges):
        lists[graph.receivers[k]].append((int(graph.senders[k]), k))
    out = np.zeros_like(h)
    for i, found in enumerate(lists):
        entries = list(found)
        if loops and not any(j == i for j, _ in found):
            entries.append((i, None))
        for head in range(heads):
            if entries:
                scores = np.array([score(i, j, k, head) for j, k in entries])
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                out[i, head] = sum(a * h[j, head] for a, (j, _) in zip(weights, entries, strict=True))
    return out.reshape(graph.num_nodes, -1) if concat else out.mean(1)


def loop_mean(graph, values):
    """Mean over the edges that every node receives, 0 where there are none: the value of an added self-loop."""
    means = np.zeros((graph.num_nodes, values.shape[1]))
    for i in range(graph.num_nodes):
        own = values[graph.receivers == i]
        means[i] = own.mean(0) if len(own) else 0
    return means


def leaky(values, slope=0.2):
    return np.where(values > 0, values, slope * values)


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("with_edges", [True, False])
def test_gat(concat, loops, with_edges, rng):
    fields = {"e": rng.normal(size=(len(SENDERS), 2))} if with_edges else {}
    graph = make_graph(rng, **fields)
    options = {"edge_channels": 2} if with_edges else {}
    layer = randomised(gk.nn.GATConv(3, 4, heads=2, concat=concat, self_loops=loops, **options), rng)
    h = (graph.x @ layer.weight.data).reshape(NUM_NODES, 2, 4)

    def score(i, j, k, head):
        value = h[i, head] @ layer.receiver_score.data[head] + h[j, head] @ layer.sender_score.data[head]
        if with_edges:
            value += (loop_mean(graph, graph.e)[i] if k is None else graph.e[k]) @ layer.edge_score.data[:, head]
        return leaky(value)

    expected = attention_by_hand(graph, h, score, 2, loops, concat) + layer.bias.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-12)


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("with_edges", [True, False])
def test_gatv2(concat, shared, with_edges, rng):
    fields = {"e": rng.normal(size=(len(SENDERS), 2))} if with_edges else {}
    graph = make_graph(rng, **fields)
    options = {"edge_channels": 2} if with_edges else {}
    layer = randomised(gk.nn.GATv2Conv(3, 4, heads=2, concat=concat, share_weights=shared, **options), rng)
    h = (graph.x @ layer.sender_weight.data).reshape(NUM_NODES, 2, 4)
    own = h if shared else (graph.x @ layer.receiver_weight.data).reshape(NUM_NODES, 2, 4)

    def score(i, j, k, head):
        hidden = own[i, head] + h[j, head]
        if with_edges:
            e = loop_mean(graph, graph.e)[i] if k is None else graph.e[k]
            hidden = hidden + (e @ layer.edge_map.data).reshape(2, 4)[head]
        return leaky(hidden) @ layer.score.data[head]

    expected = attention_by_hand(graph, h, score, 2, True, concat) + layer.bias.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("weight", [None, "w"])
def test_sgc(steps, weight, rng):
    graph = weighted_graph(rng)
    layer = randomised(gk.nn.SGConv(3, 2, K=steps, edge_weight=weight), rng)
    s = normalised_adjacency(graph, graph.edges["w"] if weight else None)
    expected = np.linalg.matrix_power(s, steps) @ graph.x @ layer.weight.data + layer.bias.data
    np.testing.assert_allclose(output(layer, graph), expected, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 10])
@pytest.mark.parametrize("weight", [None, "w"])
def test_appnp(steps, weight, rng):
    graph = weighted_graph(rng)
    s = normalised_adjacency(graph, graph.edges["w"] if weight else None)
    z = graph.x
    for _ in range(steps):
        z = 0.7 * s @ z + 0.3 * graph.x
    layer = gk.nn.APPNP(K=steps, alpha=0.3, edge_weight=weight)
    np.testing.assert_allclose(output(layer, graph), z, atol=1e-12)


@pytest.mark.parametrize("terms", [1, 2, 3, 5])
@pytest.mark.parametrize(("inside", "outside"), SIZES)
@pytest.mark.parametrize("lambda_max", [2.0, 1.5])
@pytest.mark.parametrize("weight", [None, "w"])
def test_cheb(terms, inside, outside, lambda_max, weight, rng):
    graph = weighted_graph(rng, inside)
    layer = randomised(gk.nn.ChebConv(inside, outside, K=terms, lambda_max=lambda_max, edge_weight=weight), rng)
    s = normalised_adjacency(graph, graph.edges["w"] if weight else None, loops=False)
    scaled = 2 / lambda_max * (np.eye(NUM_NODES) - s) - np.eye(NUM_NODES)
    polynomials = [np.eye(NUM_NODES), scaled]
    while len(polynomials) < terms:
        polynomials.append(2 * scaled @ polynomials[-1] - polynomials[-2])
    expected = sum(p @ graph.x @ w for p, w in zip(polynomials[:terms], layer.weight.data, strict=True))
    np.testing.assert_allclose(output(layer, graph), expected + layer.bias.data, atol=1e-10)


def test_appnp_dropout_drops_entries_of_the_propagation(rng):
    graph = gk.complete(40).replace(x=np.ones((40, 1)))
    layer = gk.nn.APPNP(K=1, alpha=0.0, dropout=0.5).seed(0)
    dropped = output(layer, graph)
    assert dropped.std() > 0.01 and dropped.mean() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(output(layer.eval(), graph), 1.0)


def test_attention_dropout_is_seeded_and_only_in_training(rng):
    graph = gk.complete(10).replace(x=rng.normal(size=(10, 3)).astype("float32"))
    layer = gk.nn.GATConv(3, 2, dropout=0.5, rng=0)
    first = output(layer.seed(1), graph)
    np.testing.assert_array_equal(output(layer.seed(1), graph), first)
    assert not np.array_equal(output(layer, graph), first)
    np.testing.assert_array_equal(output(layer.eval(), graph), output(layer, graph))
