"""Energies by their definition, over layers with known rates, and what is refused."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidGraphError, ShapeError
from gnnkit.symmetry import dirichlet_energy, energies, mean_average_distance


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10), st.booleans())
def test_energy_by_definition(n, edges, normalised):
    edges = [(a, b) for a, b in edges if a < n and b < n]
    g = gk.from_edges(*np.array(edges, np.int64).reshape(-1, 2).T, num_nodes=n)
    x = np.random.default_rng(n).normal(size=(n, 3))
    degree = [sum(b == i for _, b in edges) for i in range(n)]
    scaled = [row / math.sqrt(1 + d) if normalised else row for row, d in zip(x, degree)]
    expected = sum(float(((scaled[a] - scaled[b]) ** 2).sum()) for a, b in edges) / 2
    assert dirichlet_energy(g, x, normalised=normalised) == pytest.approx(expected, abs=1e-12)
    size = float((x**2).sum())
    relative = dirichlet_energy(g, x, normalised=normalised, relative=True)
    assert relative == pytest.approx(expected / size if size else 0.0, abs=1e-12)


def test_each_undirected_edge_counts_once():
    x = np.array([[0.0], [1.0], [3.0]])
    assert dirichlet_energy(gk.path(3), x, normalised=False) == 1 + 4
    assert dirichlet_energy(gk.path(3, directed=True), x, normalised=False) == 2.5
    laplacian = gk.to_scipy(gk.transforms.laplacian(gk.path(3)), weight="weight").toarray()
    assert dirichlet_energy(gk.path(3), x, normalised=False) == (x.T @ laplacian @ x).item()
    loops = gk.transforms.add_self_loops(gk.path(3))
    assert dirichlet_energy(loops, x, normalised=False) == 5
    twice = gk.from_edges([0, 0], [1, 1], num_nodes=2, undirected=True)
    assert dirichlet_energy(twice, x[:2], normalised=False) == 2


def test_what_convolutions_end_in_has_no_energy():
    club = gk.datasets.load("karate")
    root = np.sqrt(1.0 + club.topology.in_degree())[:, None]
    assert dirichlet_energy(club, root) < 1e-25 < 1 < dirichlet_energy(club, root, normalised=False)
    assert dirichlet_energy(club, np.ones((34, 1)), normalised=False) == 0


def test_graphs_of_a_batch_and_many_channels(rng):
    parts = [gk.path(3), gk.empty(0), gk.cycle(4), gk.empty(2), gk.empty(0)]
    parts = [g.replace(x=rng.normal(size=(g.num_nodes, 5))) for g in parts]
    for options in ({}, {"normalised": False}, {"relative": True}):
        found = dirichlet_energy(gk.batch(parts), per_graph=True, **options)
        np.testing.assert_allclose(found, [dirichlet_energy(g, **options) for g in parts], atol=1e-14)
    whole = gk.batch(parts)
    assert dirichlet_energy(whole) == pytest.approx(dirichlet_energy(whole, per_graph=True).sum())
    assert dirichlet_energy(gk.path(3), np.ones((3, 0))) == 0
    assert dirichlet_energy(gk.path(3), np.zeros((3, 1)), relative=True) == 0
    wide = np.arange(12.0).reshape(3, 2, 2)  # rows of any shape
    assert dirichlet_energy(gk.path(3), wide) == dirichlet_energy(gk.path(3), wide.reshape(3, 4))


def test_mean_average_distance():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]])
    assert mean_average_distance(gk.path(3), x[:3]) == 1.0
    assert mean_average_distance(gk.from_edges([0, 2], [2, 0], num_nodes=3), x[:3]) == 2.0
    assert mean_average_distance(gk.path(3), np.array([[1.0], [2.0], [7.0]])) == 0.0  # all point the same way
    assert mean_average_distance(gk.path(2), x[[0, 3]]) == 1.0
    assert mean_average_distance(gk.empty(3), x[:3]) == 0.0
    # node 1 has one neighbour at distance 1 and one at 0, which is left out; node 2 has only the latter
    assert mean_average_distance(gk.path(3), np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])) == 1.0


def average(graph):
    own = graph.x + gk.message.neighbour_sum(graph.topology, graph.x)
    return graph.replace(x=own / 3)


def test_rate_of_repeated_averages_is_the_known_eigenvalue():
    ring = gk.cycle(8).replace(x=np.cos(2 * np.pi * np.arange(8) / 8)[:, None])  # an eigenvector
    found = energies([average] * 10, ring)
    factor = (1 + 2 * math.cos(2 * math.pi / 8)) / 3
    assert found.rate == pytest.approx(factor**2) and len(found) == 11
    np.testing.assert_allclose(found.values, found.values[0] * factor ** (2 * np.arange(11)))
    assert energies([average] * 10, ring, relative=True).rate == pytest.approx(1.0)
    assert found.names == ("input", *["average"] * 10)


def test_layers_of_a_model_are_copies_in_double_precision(rng):
    model = gk.nn.Sequential(gk.nn.GCNConv(4, 8, rng=0), gk.nn.ReLU(), gk.nn.Dropout(0.5), gk.nn.GCNConv(8, 3, rng=1))
    club = gk.datasets.load("karate").replace(x=rng.normal(size=(34, 4)).astype("float32"))
    found = energies(model, club)
    assert found.names == ("input", "GCNConv", "ReLU", "Dropout", "GCNConv")
    assert found.values[2] == found.values[3] and model.training and model.dtype == np.float32
    states = [club]
    for layer in model.eval():
        states.append(layer(states[-1]))
    by_hand = energies(states)
    np.testing.assert_allclose(by_hand.values, found.values, rtol=1e-4)
    assert by_hand.names[1] == "layer 1"


def test_deep_convolutions_smooth_and_initial_residuals_do_not(rng):
    club = gk.datasets.load("karate").replace(x=rng.normal(size=(34, 8)))
    plain = gk.nn.Sequential(*(part for _ in range(32) for part in (gk.nn.GCNConv(8, 8), gk.nn.ReLU())))
    kept = [gk.nn.KeepFeatures("x_0"), *(gk.nn.GCN2Conv(8, layer=i) for i in range(1, 33))]
    found = [
        energies(model.reset_parameters(0), club, relative=True).values for model in (plain, gk.nn.Sequential(*kept))
    ]
    assert found[0][-1] < 1e-3 * found[0][0] and found[1][-1] > 1e-2 * found[1][0]


def test_a_shared_layer_and_no_layers():
    ring = gk.cycle(4).replace(x=np.eye(4))
    layer = gk.nn.GCNConv(4, 4, rng=0)
    assert len(energies(gk.nn.Sequential(layer, layer), ring)) == 3
    nothing = energies(gk.nn.Sequential(), ring)
    assert len(nothing) == 1 and math.isnan(nothing.rate)
    assert str(energies([average], ring)).splitlines()[1].split() == ["0", "input", "2.667e+00"]
    assert repr(energies([average], ring)).startswith("Energies(1 layers, 2.67e+00 -> ")


def test_what_is_refused():
    ring = gk.cycle(4).replace(x=np.eye(4))
    with pytest.raises(InvalidArgumentError, match=r"GCNConv, which is no sequence of layers\. Pass a gk\.nn\.Seq"):
        energies(gk.nn.GCNConv(4, 4), ring)
    with pytest.raises(InvalidArgumentError, match=r"Layer 1 \(<lambda>\) returned numpy\.ndarray"):
        energies([average, lambda g: np.asarray(g.x)], ring)
    with pytest.raises(InvalidArgumentError, match=r"one after the other\. .*DenseBlock gives another result"):
        energies(gk.nn.DenseBlock(gk.nn.Linear(4, 4), gk.nn.Identity()), ring)
    with pytest.raises(InvalidGraphError, match=r"needs a gk\.Graph as its input\. Got NoneType"):
        energies([average])
    with pytest.raises(InvalidGraphError, match=r"networkx\.Graph\. Convert it"):
        dirichlet_energy(nx.path_graph(3))
    with pytest.raises(ShapeError, match=r"one row for each of the 4 nodes\. Got shape \(3, 1\)"):
        dirichlet_energy(ring, np.ones((3, 1)))
