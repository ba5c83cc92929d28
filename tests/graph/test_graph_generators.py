"""Small known graphs against networkx."""

from __future__ import annotations

import networkx as nx
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gk.empty, nx.empty_graph),
        (gk.path, nx.path_graph),
        (gk.cycle, nx.cycle_graph),
        (gk.complete, nx.complete_graph),
        (gk.star, lambda n: nx.star_graph(n - 1) if n else nx.empty_graph(0)),
    ],
)
def test_as_networkx_makes_them(ours, theirs, n):
    assert nx.utils.graphs_equal(gk.to_networkx(ours(n)), theirs(n))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 4), (3, 2), (0, 5)])
def test_grid(shape):
    height, width = shape
    lattice = nx.grid_2d_graph(height, width)
    expected = nx.relabel_nodes(lattice, {(r, c): r * width + c for r, c in lattice})
    assert nx.utils.graphs_equal(gk.to_networkx(gk.grid(height, width)), expected)


def test_directed_and_loops():
    assert nx.utils.graphs_equal(gk.to_networkx(gk.path(4, directed=True)), nx.path_graph(4, nx.DiGraph))
    assert nx.utils.graphs_equal(gk.to_networkx(gk.cycle(4, directed=True)), nx.cycle_graph(4, nx.DiGraph))
    assert gk.cycle(2, directed=True).num_edges == 2
    assert gk.complete(3, self_loops=True).topology.in_degree().tolist() == [3, 3, 3]


@pytest.mark.parametrize("make", [gk.empty, gk.path, gk.cycle, gk.complete, gk.star, lambda n: gk.grid(2, n)])
def test_counts_are_counts(make):
    with pytest.raises(InvalidArgumentError, match=r"0 or more. Got -1"):
        make(-1)
    with pytest.raises(DTypeError, match="must be an integer"):
        make(2.5)
