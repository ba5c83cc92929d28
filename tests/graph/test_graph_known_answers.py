"""Literal numbers: normalisation and encodings as published, and facts any textbook agrees on."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit import transforms
from gnnkit.graph import gcn_normalised

PATH = [0, 1, 1, 2], [1, 0, 2, 1]


def test_gcn_normalisation_of_a_path(backend):
    g = transforms.gcn_norm(gk.from_edges(*PATH, num_nodes=3))
    senders, receivers, fields = g.to_edges()
    assert senders.tolist() == [0, 1, 1, 2, 0, 1, 2] and receivers.tolist() == [1, 0, 2, 1, 0, 1, 2]
    np.testing.assert_allclose(fields["weight"], [0.4082, 0.4082, 0.4082, 0.4082, 0.5, 0.3333, 0.5], atol=5e-5)


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("combinatorial", [-1, -2, -2, -4, 1, 4, 4]),
        ("sym", [-0.5, -1, -0.5, -1, 1, 1, 1]),
        ("rw", [-1, -0.5, -0.5, -1, 1, 1, 1]),
    ],
)
def test_laplacians_of_a_weighted_path(kind, entries):
    g = gk.from_edges(*PATH, num_nodes=3, edges={"w": [1.0, 2.0, 2.0, 4.0]})
    senders, receivers, fields = transforms.laplacian(g, kind, weight="w").to_edges()
    assert senders.tolist() == [0, 1, 1, 2, 0, 1, 2] and receivers.tolist() == [1, 0, 2, 1, 0, 1, 2]
    assert list(fields) == ["weight"]
    np.testing.assert_allclose(fields["weight"], entries)


def test_random_walk_encoding(backend):
    g = gk.from_edges([0, 1, 0, 4, 1, 4, 2, 3, 3, 5], [1, 0, 4, 0, 4, 1, 3, 2, 5, 3], num_nodes=6)
    expected = [[0, 0.5, 0.25], [0, 0.5, 0.25], [0, 0.5, 0], [0, 1, 0], [0, 0.5, 0.25], [0, 0.5, 0]]
    np.testing.assert_allclose(transforms.random_walk_encoding(g, 3).nodes["random_walk"], expected)


def test_random_walk_encoding_of_lonely_nodes():
    g = gk.from_edges([1], [1], num_nodes=2)
    assert transforms.random_walk_encoding(g, 3).nodes["random_walk"].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert transforms.random_walk_encoding(gk.empty(0), 3).nodes["random_walk"].shape == (0, 3)
    assert transforms.random_walk_encoding(gk.path(2), 0).nodes["random_walk"].shape == (2, 0)


def test_making_undirected_keeps_loops_and_symmetric_pairs_unless_asked_to_sum():
    g = gk.from_edges([0, 0, 1, 1], [0, 1, 0, 2], num_nodes=3, edges={"weight": [3.0, 5.0, 5.0, 2.0]})
    senders, receivers, fields = transforms.to_undirected(g).to_edges()
    kept = dict(zip(zip(senders.tolist(), receivers.tolist()), fields["weight"].tolist()))
    assert kept == {(0, 0): 3, (0, 1): 5, (1, 0): 5, (1, 2): 2, (2, 1): 2}
    senders, receivers, fields = transforms.to_undirected(g, reduce="sum").to_edges()
    summed = dict(zip(zip(senders.tolist(), receivers.tolist()), fields["weight"].tolist()))
    assert summed == {(0, 0): 6, (0, 1): 10, (1, 0): 10, (1, 2): 2, (2, 1): 2}


def test_laplacians_against_networkx():
    G = nx.karate_club_graph()
    g = gk.from_networkx(G)
    ours = gk.to_scipy(transforms.laplacian(g, weight="weight"), "weight").toarray()
    np.testing.assert_allclose(ours, nx.laplacian_matrix(G, weight="weight").toarray())
    ours = gk.to_scipy(transforms.laplacian(g, "sym", weight="weight"), "weight").toarray()
    np.testing.assert_allclose(ours, nx.normalized_laplacian_matrix(G, weight="weight").toarray(), atol=1e-12)


def test_gcn_normalisation_against_dense_algebra(backend, rng):
    senders, receivers = rng.integers(0, 8, (2, 20))
    weights = rng.uniform(0.5, 2, 20)
    g = gk.from_edges(senders, receivers, num_nodes=8, edges={"w": weights})
    A = np.zeros((8, 8))
    np.add.at(A, (receivers, senders), weights)
    has_loop = np.isin(np.arange(8), senders[senders == receivers])
    A += np.diag(~has_loop * 1.0)
    root = np.diag(A.sum(axis=1) ** -0.5)
    topology, values = gcn_normalised(g.topology, g.edges["w"])
    dense = gk.to_scipy(gk.Graph(topology, edges={"w": values}), "w").toarray()
    np.testing.assert_allclose(dense, root @ A @ root, rtol=1e-12)


def test_powers_of_the_walk_matrix_against_dense_algebra(rng):
    senders, receivers = rng.integers(0, 7, (2, 15))
    g = gk.from_edges(senders, receivers, num_nodes=7, edges={"w": rng.uniform(0, 1, 15)})
    A = np.zeros((7, 7))
    np.add.at(A, (senders, receivers), g.to_edges()[2]["w"])
    degree = A.sum(axis=1, keepdims=True)
    walk = np.divide(A, degree, out=np.zeros_like(A), where=degree > 0)
    expected = np.stack([np.diag(np.linalg.matrix_power(walk, k)) for k in range(1, 5)], axis=1)
    np.testing.assert_allclose(transforms.random_walk_encoding(g, 4, weight="w").nodes["random_walk"], expected)
