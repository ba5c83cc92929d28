"""Breadth-first distances: by hand, against networkx, loops against twin."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gnnkit import kernels as K
from gnnkit.kernels import traversal
from gnnkit.kernels.twins import traversal as twins


@pytest.fixture(params=["loop", "twin"])
def engine(request, monkeypatch):
    monkeypatch.setattr(traversal, "SMALL", 0 if request.param == "loop" else 1 << 60)


def test_path_and_cycle_by_hand(engine):
    # 0 -> 1 -> 2 -> 3
    indptr, indices = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 2], np.int32)
    assert K.khop(indptr, indices, [3], 2).tolist() == [-1, 2, 1, 0]
    assert K.khop(indptr, indices, [3, 1], 1).tolist() == [1, 0, 1, 0]
    assert K.khop(indptr, indices, [0], 5).tolist() == [0, -1, -1, -1]
    assert K.khop(indptr, indices, [2], 0).tolist() == [-1, -1, 0, -1]


def test_nothing_to_walk(engine):
    assert K.khop(np.array([0]), np.zeros(0, np.int32), np.zeros(0, np.int64), 3).tolist() == []
    assert K.khop(np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0, np.int64), 3).tolist() == [-1]
    result = K.khop(np.array([0, 0, 0]), np.zeros(0, np.int32), np.array([1, 1]), 3)
    assert result.tolist() == [-1, 0]
    assert result.dtype == np.int32


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hops", [1, 2, 9])
def test_against_networkx(engine, seed, hops):
    graph = nx.gnp_random_graph(40, 0.05, seed=seed, directed=True)
    edges = np.array(graph.edges).reshape(-1, 2)
    indptr, indices, _ = K.build_csr(edges[:, 0], edges[:, 1], num_receivers=40, num_senders=40)
    seeds = np.array([0, 7])
    expected = np.full(40, -1)
    for node in range(40):
        lengths = nx.single_source_shortest_path_length(graph, node, cutoff=hops)
        near = [lengths[s] for s in seeds if s in lengths]
        expected[node] = min(near, default=-1)
    np.testing.assert_array_equal(K.khop(indptr, indices, seeds, hops), expected)
    np.testing.assert_array_equal(twins.khop(indptr, indices, seeds, hops), expected)
