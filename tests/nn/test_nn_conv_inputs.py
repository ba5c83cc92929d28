"""What convolutions take and refuse: sparse features, edge weights, learnt weights, bipartite graphs, constants."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)

GRAPH = gk.from_edges([0, 1, 2, 3, 3, 1], [1, 0, 1, 2, 0, 1], num_nodes=5)
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0, 0.25, 1.5])

SPARSE_FIRST = {
    "gcn": lambda: gk.nn.GCNConv(8, 16, rng=0),
    "sage": lambda: gk.nn.SAGEConv(8, 16, rng=0),
    "graph conv": lambda: gk.nn.GraphConv(8, 16, rng=0),
    "gin": lambda: gk.nn.GINConv(gk.nn.MLP([8, 5, 4], rng=0), eps=0.5),
    "gin weighted": lambda: gk.nn.GINConv(gk.nn.MLP([8, 5, 4], rng=0), edge_weight="w"),
    "gat": lambda: gk.nn.GATConv(8, 4, heads=2, rng=0),
    "gatv2": lambda: gk.nn.GATv2Conv(8, 4, heads=2, rng=0),
    "sgc": lambda: gk.nn.SGConv(8, 16, rng=0),
    "cheb": lambda: gk.nn.ChebConv(8, 16, rng=0),
}


def sparse_features(rng, dtype="float32"):
    return (rng.random((5, 8)) * (rng.random((5, 8)) < 0.3)).astype(dtype)


@pytest.mark.parametrize("name", SPARSE_FIRST)
def test_sparse_features_give_what_dense_ones_give(name, rng):
    layer, dense = SPARSE_FIRST[name]().astype("float64"), sparse_features(rng, "float64")
    outputs, gradients = [], []
    for x in (dense, sp.csr_array(dense)):
        layer.zero_grad()
        out = layer(GRAPH.replace(x=x, edges={"w": WEIGHTS})).x
        np.sum(out**2).backward()
        outputs.append(out.numpy())
        gradients.append([parameter.grad.numpy() for parameter in layer.parameters()])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-12)
    for left, right in zip(*gradients, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-11)


@pytest.mark.parametrize("name", SPARSE_FIRST)
def test_sparse_features_are_never_made_dense(name, rng, monkeypatch):
    layer = SPARSE_FIRST[name]()

    def refuse(self):
        raise AssertionError("made dense")

    monkeypatch.setattr(gk.SparseMatrix, "toarray", refuse)
    graph = GRAPH.replace(x=sp.csr_array(sparse_features(rng)), edges={"w": WEIGHTS})
    assert layer(graph).x.shape[0] == 5


@pytest.mark.parametrize(
    "layer",
    [
        gk.nn.SAGEConv(8, 4, reducer="max"),
        gk.nn.APPNP(),
        gk.nn.GINConv(gk.nn.Linear(8, 2), train_eps=True),
        gk.nn.GlobalPool(),
        gk.nn.DeepSets(gk.nn.Linear(8, 2), gk.nn.Linear(2, 1)),
    ],
)
def test_layers_that_would_fill_sparse_features_refuse_them(layer, rng):
    with pytest.raises(InvalidFeatureError, match="Linear"):
        layer(GRAPH.replace(x=sp.csr_array(sparse_features(rng))))


# --- edge weights --------------------------------------------------------------------------------------------------

WEIGHTED = {
    "gcn": lambda name: gk.nn.GCNConv(2, 3, edge_weight=name, rng=0),
    "sage": lambda name: gk.nn.SAGEConv(2, 3, edge_weight=name, rng=0),
    "sage sum": lambda name: gk.nn.SAGEConv(2, 3, reducer="sum", edge_weight=name, rng=0),
    "graph conv": lambda name: gk.nn.GraphConv(2, 3, edge_weight=name, rng=0),
    "gin": lambda name: gk.nn.GINConv(gk.nn.Linear(2, 3, rng=0), edge_weight=name),
    "sgc": lambda name: gk.nn.SGConv(2, 3, edge_weight=name, rng=0),
    "appnp": lambda name: gk.nn.APPNP(edge_weight=name),
    "cheb": lambda name: gk.nn.ChebConv(2, 3, edge_weight=name, rng=0),
}

every_weighted = pytest.mark.parametrize("name", WEIGHTED)


@every_weighted
def test_weights_of_one_are_no_weights(name, rng):
    graph = GRAPH.replace(x=rng.normal(size=(5, 2)), edges={"w": np.ones(6)})
    with_weights, without = WEIGHTED[name]("w").astype("float64"), WEIGHTED[name](None).astype("float64")
    np.testing.assert_allclose(
        gk.autodiff.as_array(with_weights(graph).x), gk.autodiff.as_array(without(graph).x), atol=1e-12
    )


@every_weighted
def test_a_weight_of_two_is_an_edge_twice(name, rng):
    x = rng.normal(size=(3, 2))
    once = gk.from_edges([0, 1], [1, 2], x=x, edges={"w": np.array([2.0, 1.0])})
    twice = gk.from_edges([0, 0, 1], [1, 1, 2], x=x)
    out = [
        gk.autodiff.as_array(WEIGHTED[name](weight).astype("float64")(graph).x)
        for weight, graph in (("w", once), (None, twice))
    ]
    np.testing.assert_allclose(*out, atol=1e-12)


@every_weighted
def test_weights_may_be_integers_columns_named_e_or_learnt(name, rng):
    x, weights = rng.normal(size=(5, 2)), np.array([1, 2, 1, 3, 1, 2])
    expected = gk.autodiff.as_array(WEIGHTED[name]("w")(GRAPH.replace(x=x, edges={"w": weights * 1.0})).x)
    learnt = gk.tensor(weights * 1.0, requires_grad=True)
    for field, values in (("w", weights), ("w", weights[:, None] * 1.0), ("e", weights * 1.0), ("w", learnt)):
        out = WEIGHTED[name](field)(GRAPH.replace(x=x, edges={field: values})).x
        np.testing.assert_allclose(gk.autodiff.as_array(out), expected, atol=1e-6)
    out.sum().backward()
    assert np.isfinite(learnt.grad.numpy()).all() and learnt.grad.numpy().any()


@every_weighted
def test_weights_that_are_none(name):
    graph = GRAPH.replace(x=np.ones((5, 2)))
    with pytest.raises(UnknownFieldError, match="'w'"):
        WEIGHTED[name]("w")(graph)
    with pytest.raises(ShapeError, match=r"\[num_edges\]"):
        WEIGHTED[name]("w")(graph.replace(edges={"w": np.ones((6, 2))}))
    with pytest.raises(DTypeError, match="numbers"):
        WEIGHTED[name]("w")(graph.replace(edges={"w": np.ones(6, bool)}))


def test_changing_weights_are_seen(rng):
    weights = WEIGHTS.copy()
    graph = GRAPH.replace(x=rng.normal(size=(5, 2)), edges={"w": weights})
    layer = gk.nn.GCNConv(2, 3, edge_weight="w", rng=0)
    before = [layer(graph).x.numpy() for _ in range(3)][-1]
    weights *= np.arange(1, 7)
    assert not np.allclose(layer(graph).x.numpy(), before)


# --- memory of constant features ------------------------------------------------------------------------------------

REMEMBERING = {
    "gcn": lambda: gk.nn.GCNConv(4, 8, rng=0),
    "sage": lambda: gk.nn.SAGEConv(4, 8, rng=0),
    "sage max": lambda: gk.nn.SAGEConv(4, 8, reducer="max", rng=0),
    "graph conv": lambda: gk.nn.GraphConv(4, 8, rng=0),
    "gin": lambda: gk.nn.GINConv(gk.nn.Linear(4, 8, rng=0)),
    "sgc": lambda: gk.nn.SGConv(4, 2, K=2, rng=0),
    "cheb": lambda: gk.nn.ChebConv(4, 8, K=3, rng=0),
}


@pytest.mark.parametrize("name", REMEMBERING)
def test_constant_features_are_aggregated_once(name, rng, monkeypatch):
    layer = REMEMBERING[name]()
    topology = gk.Topology.from_edges(GRAPH.senders, GRAPH.receivers, num_nodes=5)
    graph = gk.Graph(topology, {"x": rng.normal(size=(5, 4)).astype("float32")})
    first = [layer(graph).x.numpy() for _ in range(2)][-1]
    calls = []
    for kernel in ("neighbour_sum", "segment_max"):
        monkeypatch.setattr(K, kernel, lambda *arguments, kernel=kernel: calls.append(kernel))
    np.testing.assert_array_equal(layer(graph).x.numpy(), first)
    assert not calls


@pytest.mark.parametrize("name", REMEMBERING)
@pytest.mark.parametrize("write", ["one value", "two rows swapped", "two columns swapped", "one bit"])
def test_writing_into_the_features_is_noticed(name, write, rng):
    layer, x = REMEMBERING[name](), rng.normal(size=(5, 4)).astype("float32")
    graph = GRAPH.replace(x=x)
    for _ in range(3):
        layer(graph)
    if write == "one value":
        x[2, 1] += 1
    elif write == "two rows swapped":
        x[[0, 2]] = x[[2, 0]]
    elif write == "two columns swapped":
        x[:, [0, 1]] = x[:, [1, 0]]
    else:
        x[3, 3] = np.nextafter(x[3, 3], np.float32(9))
    fresh = REMEMBERING[name]()(gk.from_edges(GRAPH.senders, GRAPH.receivers, x=x.copy()))
    np.testing.assert_array_equal(layer(graph).x.numpy(), fresh.x.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shuffling_a_small_column_beside_a_large_one_is_noticed(dtype, rng):
    # No sum of rounded floats sees 0 and 1 change places beside 1e20, and a shuffle keeps the sum of all bits.
    x = np.zeros((64, 8), dtype)
    x[:, 0], x[:32, 3] = 1e20, 1
    graph = gk.from_edges(np.arange(64), np.arange(64)[::-1], x=x)
    layer = gk.nn.SAGEConv(8, 16, rng=0)
    for _ in range(3):
        layer(graph)
    x[:, 3] = rng.permutation(x[:, 3])
    layer.neighbour_weight.assign(np.eye(8, 16))
    layer.own_weight.assign(np.zeros((8, 16)))
    np.testing.assert_array_equal(layer(graph).x.numpy()[:, 3], x[::-1, 3])


def test_layers_of_different_settings_do_not_share_memory(rng):
    graph = GRAPH.replace(x=rng.normal(size=(5, 2)))
    makers = [
        lambda: gk.nn.GCNConv(2, 8, rng=0),
        lambda: gk.nn.GCNConv(2, 8, self_loops=False, rng=0),
        lambda: gk.nn.SGConv(2, 2, K=1, rng=0),
        lambda: gk.nn.SGConv(2, 2, K=2, rng=0),
        lambda: gk.nn.SAGEConv(2, 8, rng=0),
        lambda: gk.nn.SAGEConv(2, 8, reducer="sum", rng=0),
        lambda: gk.nn.SAGEConv(2, 8, reducer="max", rng=0),
        lambda: gk.nn.GCNConv(2, 8, rng=0).astype("float64"),
        lambda: gk.nn.GINConv(gk.nn.Identity()),
        lambda: gk.nn.ChebConv(2, 8, lambda_max=1.5, rng=0),
        lambda: gk.nn.ChebConv(2, 8, rng=0),
    ]
    for make in makers * 3:
        fresh = gk.from_edges(GRAPH.senders, GRAPH.receivers, x=graph.x.copy())
        np.testing.assert_array_equal(make()(graph).x.numpy(), make()(fresh).x.numpy())


def test_memory_is_bounded_and_follows_the_features(rng):
    topology = gk.Topology.from_edges(GRAPH.senders, GRAPH.receivers, num_nodes=5)
    layer = gk.nn.GCNConv(4, 8, rng=0)
    graphs = [gk.Graph(topology, {"x": rng.normal(size=(5, 4))}) for _ in range(10)]
    for graph in graphs * 2:
        layer(graph)
    store = topology.cached("remembered_constants", dict)
    assert 0 < len(store) <= 4
    del graph, graphs
    assert not store


def test_features_on_the_tape_keep_their_gradient(rng):
    layer = gk.nn.GCNConv(4, 8, rng=0)
    x = gk.tensor(rng.normal(size=(5, 4)).astype("float32"), requires_grad=True)
    for _ in range(3):
        layer(GRAPH.replace(x=x)).x.sum().backward()
    assert x.grad.numpy().any()


# --- refusals -------------------------------------------------------------------------------------------------------


def test_bipartite_and_arrays_and_ranks_are_refused(rng):
    layer = gk.nn.GCNConv(2, 3)
    with pytest.raises(InvalidArgumentError, match=r"needs a gk\.Graph"):
        layer(np.ones((5, 2)))
    with pytest.raises(ShapeError, match=r"\[num_nodes, channels\]"):
        layer(GRAPH.replace(x=np.ones((5, 4, 2))))
    with pytest.raises(ShapeError, match=r"\[num_nodes, 2\]"):
        layer(GRAPH.replace(x=np.ones((5, 3))))
    with pytest.raises(InvalidGraphError, match="bipartite"):
        bipartite = gk.Topology.from_edges([0, 2], [0, 1], num_senders=3, num_receivers=2)
        layer(gk.Graph(bipartite, {"x": np.ones((3, 2))}))


def test_sparse_features_see_the_eps_that_dense_ones_see(rng):
    layer, x = gk.nn.GINConv(gk.nn.Linear(8, 2, rng=0)), sparse_features(rng)
    dense, sparse = GRAPH.replace(x=x), GRAPH.replace(x=gk.SparseMatrix.from_scipy(sp.csr_array(x)))
    for eps in (0.0, 3.0):
        layer.eps = eps
        np.testing.assert_allclose(layer(sparse).x.numpy(), layer(dense).x.numpy(), rtol=1e-5, atol=1e-6)


def test_bad_arguments():
    with pytest.raises(UnknownNameError, match="'mean'"):
        gk.nn.SAGEConv(2, 3, reducer="maen")
    with pytest.raises(InvalidArgumentError, match="no place for edge weights"):
        gk.nn.SAGEConv(2, 3, reducer="max", edge_weight="w")
    with pytest.raises(InvalidArgumentError, match=r"\[0, 1\]"):
        gk.nn.APPNP(alpha=1.5)
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        gk.nn.ChebConv(2, 3, K=0)
    with pytest.raises(InvalidArgumentError, match="dropout"):
        gk.nn.GATConv(2, 3, dropout=1.0)
    with pytest.raises(ShapeError, match="in_channels"):
        gk.nn.GINEConv(gk.nn.Linear(2, 3), edge_channels=2)
    with pytest.raises(InvalidArgumentError, match="at least 0"):
        gk.nn.GCNConv(-1, 3)


@pytest.mark.parametrize("layer", [gk.nn.GATConv, gk.nn.GATv2Conv])
def test_bad_sizes_of_attention(layer):
    for sizes in ({"in_channels": 2.5, "out_channels": 3}, {"in_channels": 2, "out_channels": -3}):
        with pytest.raises(InvalidArgumentError, match="must be an integer of at least 0"):
            layer(**sizes)
    with pytest.raises(InvalidArgumentError, match="heads must be an integer"):
        layer(2, 3, heads="two")
    with pytest.raises(InvalidArgumentError, match="edge_channels must be an integer"):
        layer(2, 3, edge_channels=-1)
    with pytest.raises(InvalidArgumentError, match="at least 1 head"):
        layer(2, 3, heads=0)


def test_edge_features_of_the_wrong_width():
    graph = GRAPH.replace(x=np.ones((5, 2)), e=np.ones((6, 3)))
    with pytest.raises(ShapeError, match="edge_channels=3"):
        gk.nn.GINEConv(gk.nn.Linear(2, 3))(graph)
    with pytest.raises(ShapeError, match=r"\[num_nodes, 2\]|2"):
        gk.nn.GATConv(2, 3, edge_channels=2)(graph)
    layers = (gk.nn.GINEConv(gk.nn.Linear(2, 3)), gk.nn.GATConv(2, 3, edge_channels=1))
    for layer in (*layers, gk.nn.GATv2Conv(2, 3, edge_channels=1)):
        with pytest.raises(ShapeError, match=r"edge features of shape .* Got e of shape \[6\]\. Use e\[:, None\]"):
            layer(graph.replace(e=np.ones(6)))
        with pytest.raises(DTypeError, match="Got e of dtype int"):
            layer(graph.replace(e=np.ones((6, 1), int)))


def test_negative_degrees_are_refused():
    graph = gk.from_edges([0], [1], x=np.ones((2, 2)), edges={"w": np.array([-3.0])})
    with pytest.raises(InvalidFeatureError, match="node 1"):
        gk.nn.GCNConv(2, 3, edge_weight="w")(graph)


@pytest.mark.parametrize(("inside", "outside"), [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("layer", ["GCNConv", "SAGEConv", "GraphConv", "GATConv", "GATv2Conv", "SGConv", "ChebConv"])
def test_zero_channels(layer, inside, outside):
    out = getattr(gk.nn, layer)(inside, outside)(GRAPH.replace(x=np.ones((5, inside), "float32")))
    assert out.x.shape == (5, outside)
    out.x.sum().backward()
