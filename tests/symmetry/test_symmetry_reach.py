"""Receptive fields equal to hops, influence equal to powers of a matrix, and what a virtual node changes."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidGraphError, ShapeError
from gnnkit.symmetry import influence, receptive_field

LAYERS = {
    "gcn": lambda: gk.nn.GCNConv(2, 2),
    "gin": lambda: gk.nn.GINConv(gk.nn.MLP([2, 2, 2])),
    "max": lambda: gk.nn.SAGEConv(2, 2, reducer="max"),
    "gat": lambda: gk.nn.GATConv(2, 2),
}


def some_graph(rng, nodes=12):
    edges = rng.integers(0, nodes, size=(2, 14))
    return gk.from_edges(*edges, num_nodes=nodes, x=rng.normal(size=(nodes, 2)))


def hops(graph, node, count):
    distance = K.khop(graph.topology.indptr, graph.topology.indices, np.array([node]), count)
    return distance >= 0


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_field_of_layers_is_that_of_as_many_hops(kind, depth, rng):
    graph = some_graph(rng)
    model = gk.nn.Sequential(*(part for _ in range(depth) for part in (LAYERS[kind](), gk.nn.ReLU())))
    for node in range(0, 12, 3):
        np.testing.assert_array_equal(receptive_field(model, graph, node), hops(graph, node, depth))


def test_what_is_read_counts_not_what_has_an_effect():
    path = gk.path(3).replace(x=np.array([[5.0], [0.0], [1.0]]))

    def largest(graph):
        return graph.replace(x=gk.message.neighbour_max(graph.topology, graph.x))

    assert receptive_field(largest, path, 1).tolist() == [True, False, True]
    assert influence(largest, path, 1).values.tolist() == [1.0, 0.0, 0.0]
    zero = gk.nn.GCNConv(1, 1)
    zero.weight.data[...] = 0
    assert receptive_field(zero, path, 0).tolist() == [True, True, False]
    assert influence(zero, path, 0).values.tolist() == [0.0, 0.0, 0.0]
    assert receptive_field(lambda g: g.replace(x=np.ones((3, 1))), path, 0).tolist() == [False] * 3


def test_what_is_shared_beyond_edges_shows(rng):
    graph = gk.batch([some_graph(rng), some_graph(rng)])
    leaking = gk.nn.BatchNorm(2)  # in evaluation mode it does not read the batch
    assert receptive_field(leaking, graph, 3).sum() == 1
    centred = gk.nn.Lambda(lambda g: g.replace(x=g.x - g.x.mean(axis=0)))
    assert receptive_field(centred, graph, 3).all()
    norm = receptive_field(gk.nn.GraphNorm(2), graph, 3)
    np.testing.assert_array_equal(norm, graph.node_graph == 0)
    pooled = receptive_field(gk.nn.GlobalPool("mean"), graph, 1, output="globals")
    np.testing.assert_array_equal(pooled, graph.node_graph == 1)


def test_with_a_virtual_node_any_pair_is_reachable_in_two_layers():
    path = gk.path(9).replace(x=np.ones((9, 2)))
    model = gk.nn.Sequential(LAYERS["gcn"](), LAYERS["gcn"]())
    assert np.flatnonzero(receptive_field(model, path, 0)).tolist() == [0, 1, 2]
    joined = gk.transforms.add_virtual_node(path)
    assert all(receptive_field(model, joined, node).all() for node in range(10))
    assert not receptive_field(LAYERS["gcn"](), joined, 0).all()


def test_influence_of_linear_layers_is_a_power_of_the_matrix(rng):
    graph = some_graph(rng)
    matrix = np.zeros((12, 12))
    np.add.at(matrix, (graph.receivers, graph.senders), 1.0)

    def layer(g):
        return g.replace(x=gk.message.neighbour_sum(g.topology, g.x))

    found = influence(lambda g: layer(layer(layer(g))), graph, 4)
    np.testing.assert_allclose(found.values, 2 * np.linalg.matrix_power(matrix, 3)[4])  # two channels, each by itself
    assert found.shares.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(
        found.distance, K.khop(graph.topology.indptr, graph.topology.indices, np.array([4]), 12)
    )


def test_influence_of_a_model_by_differences(rng):
    graph = some_graph(rng)
    model = gk.nn.Sequential(gk.nn.GCNConv(2, 3, rng=0), gk.nn.Tanh(), gk.nn.GATConv(3, 2, rng=1))
    found = influence(model, graph, 5)
    double = gk.nn.Sequential(gk.nn.GCNConv(2, 3, rng=0), gk.nn.Tanh(), gk.nn.GATConv(3, 2, rng=1)).astype("float64")
    slopes = np.zeros(12)
    for u in range(12):
        for k in range(2):
            step = np.zeros((12, 2))
            step[u, k] = 1e-6
            up, down = (double(graph.replace(x=graph.x + sign * step)).x.numpy()[5] for sign in (1, -1))
            slopes[u] += np.abs(up - down).sum() / 2e-6
    np.testing.assert_allclose(found.values, slopes, atol=1e-7)
    assert model.dtype == np.float32


def test_by_distance():
    path = gk.path(4).replace(x=np.ones((4, 1)))

    def layer(g):
        return g.replace(x=g.x + gk.message.neighbour_sum(g.topology, g.x))

    found = influence(layer, path, 1)
    assert found.values.tolist() == [1, 1, 1, 0]
    assert found.by_distance.tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert found.mean_by_distance.tolist() == [1, 1, 0]
    assert str(found).splitlines()[2].split() == ["0", "1.000e+00", "33.33%"]
    assert repr(found) == "Influence(node=1, 3 of 4 nodes felt)"
    chosen = influence(layer, path, 1, distance=[0, 0, 5, -1])
    assert chosen.mean_by_distance.tolist() == [1, 0, 0, 0, 0, 1]
    apart = influence(layer, gk.empty(2).replace(x=np.ones((2, 1))), 0)
    assert apart.distance.tolist() == [0, -1] and apart.by_distance.tolist() == [1.0]


def test_global_outputs_and_constants():
    path = gk.path(3).replace(x=np.ones((3, 2)))
    found = influence(gk.nn.GlobalPool("mean"), path, 0, output="globals")
    np.testing.assert_allclose(found.values, [2 / 3] * 3)
    assert found.distance.tolist() == [1, 1, 1]
    nothing = influence(lambda g: np.ones((3, 1)), path, 0)
    assert nothing.values.tolist() == [0, 0, 0] == nothing.shares.tolist()


def test_what_is_refused():
    path = gk.path(3).replace(x=np.ones((3, 1)))
    same = lambda g: g  # noqa: E731
    for measure in (influence, receptive_field):
        with pytest.raises(InvalidArgumentError, match=r"node must be .* in \[0, 3\)\. Got 3"):
            measure(same, path, 3)
        with pytest.raises(DTypeError, match=r"dense and floating.*Got int64 features"):
            measure(same, path.replace(x=np.ones((3, 1), int)), 0)
        with pytest.raises(InvalidGraphError, match=r"networkx\.Graph\. Convert it"):
            measure(same, nx.path_graph(3), 0)
    with pytest.raises(ShapeError, match=r"each of the 3 nodes\. Got int64\[2\]"):
        influence(same, path, 0, distance=[0, 1])
    with pytest.raises(InvalidArgumentError, match="Node 0 already has NaN"):
        receptive_field(lambda g: g.replace(x=np.full((3, 1), np.nan)), path, 0)
