"""Label propagation: known answers, the closed form, scikit-learn, nodes out of reach, bad input."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, UnknownFieldError, UnknownNameError
from gnnkit.learn import label_propagation


def test_propagation_on_a_path_is_linear_interpolation():
    p = label_propagation(gk.path(5), [0, 9, 9, 9, 1], mask=[0, 4], method="propagation", tol=1e-12, max_iter=10_000)
    assert np.allclose(p[:, 0], [1, 0.75, 0.5, 0.25, 0], atol=1e-8)


def test_spreading_equals_the_closed_form():
    rng = np.random.default_rng(0)
    joined = nx.gnp_random_graph(15, 0.3, seed=2)
    a, b = np.array(joined.edges).T
    weight = rng.random(len(a)).astype("float64")
    g = gk.from_edges(a, b, num_nodes=15, edges={"w": weight}, undirected=True)
    w = np.zeros((15, 15))
    w[a, b] = w[b, a] = weight
    d = w.sum(axis=1)
    s = w / np.sqrt(np.outer(np.where(d > 0, d, 1), np.where(d > 0, d, 1)))
    y = np.zeros((15, 2))
    y[0, 0] = y[3, 1] = 1
    f = 0.1 * np.linalg.solve(np.eye(15) - 0.9 * s, y)
    reached = f.sum(axis=1) > 0
    labels = np.full(15, -1)
    labels[[0, 3]] = 0, 1
    p = label_propagation(g, labels, mask=labels >= 0, edge_weight="w", alpha=0.9, tol=1e-14, max_iter=100_000)
    assert reached.sum() > 10
    assert np.allclose(p[reached], f[reached] / f[reached].sum(axis=1, keepdims=True), atol=1e-9)
    assert np.allclose(p[~reached], 0.5)


def test_spreading_equals_scikit_learn():
    semi = pytest.importorskip("sklearn.semi_supervised")
    adjacency = nx.to_numpy_array(nx.karate_club_graph(), weight=None)
    labels = np.full(34, -1)
    labels[[0, 33]] = 0, 1
    theirs = semi.LabelSpreading(kernel=lambda x, y: adjacency, alpha=0.9, max_iter=5000, tol=1e-12)
    theirs.fit(np.arange(34)[:, None], labels)
    a, b = np.array(nx.karate_club_graph().edges).T
    g = gk.from_edges(a, b, num_nodes=34, undirected=True)
    ours = label_propagation(g, labels, mask=[0, 33], alpha=0.9, tol=1e-12, max_iter=5000)
    assert np.allclose(ours, theirs.label_distributions_, atol=1e-8)


def test_nodes_out_of_reach_get_the_shares_of_the_known():
    g = gk.batch([gk.path(3), gk.path(2)])
    p = label_propagation(g, [0, 0, 1, 0, 0], mask=[0, 1, 2])
    assert np.allclose(p[3:], [2 / 3, 1 / 3])
    loops = gk.from_edges([0, 1], [0, 1], num_nodes=2)
    assert label_propagation(loops, [0, -1], mask=[0]).tolist() == [[1.0], [1.0]]


def test_propagation_refuses_what_it_cannot_use():
    g = gk.path(3)
    with pytest.raises(ShapeError, match=r"one class per node, shape \(3,\)"):
        label_propagation(g, [0, 1], mask=[0])
    with pytest.raises(InvalidArgumentError, match="Got 0 known labels"):
        label_propagation(g, [0, 1, 0], mask=np.zeros(3, bool))
    with pytest.raises(InvalidArgumentError, match="alpha lies between 0 and 1"):
        label_propagation(g, [0, 1, 0], mask=[0], alpha=1.0)
    with pytest.raises(UnknownNameError, match="Did you mean 'spreading'"):
        label_propagation(g, [0, 1, 0], mask=[0], method="spredding")
    with pytest.raises(UnknownFieldError):
        label_propagation(g, [0, 1, 0], mask=[0], edge_weight="w")
    with pytest.raises(DTypeError, match="integer classes"):
        label_propagation(g, [0, np.nan, 1], mask=[0, 2])
    with pytest.raises(DTypeError, match="mask is bool"):  # not: the nodes 1 and 0
        label_propagation(g, [0, 1, 0], mask=[1.0, 0.0, 1.0])
    with pytest.raises(InvalidArgumentError, match="Got only 0 and 1"):
        label_propagation(g, [0, 1, 0], mask=[1, 0, 1])
    with pytest.raises(ShapeError, match="one entry for each of the 3 nodes"):
        label_propagation(g, [0, 1, 0], mask=[True, False])
