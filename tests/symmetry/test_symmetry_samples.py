"""The small graphs to check on: what corners they hold, and that they are the same each time."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError
from gnnkit.symmetry import small_graphs, small_images


def test_every_corner_is_there():
    graphs = small_graphs(2, edge_channels=1, global_channels=4, dimensions=3)
    pairs = [list(zip(*(ends.tolist() for ends in graph.to_edges()[:2]))) for graph in graphs]
    assert any(s == r for edges in pairs for s, r in edges)  # a loop
    assert any(len(set(edges)) < len(edges) for edges in pairs[:3])  # an edge given twice
    assert any((np.bincount(g.receivers, minlength=1) >= 12).any() for g in graphs[:4])  # a hub
    assert {0, 1, 3} <= {g.num_nodes for g in graphs if not g.num_edges}
    two, six = graphs[5], graphs[6]
    assert set(two.topology.in_degree()) == set(six.topology.in_degree()) == {2}  # regular, and told apart by nobody
    assert graphs[-1].num_graphs == 4 and np.diff(graphs[-1].node_ptr).tolist() == [4, 0, 13, 0]
    assert graphs[10].num_nodes == 20
    for graph in graphs:
        assert graph.x.shape == (graph.num_nodes, 2) and graph.nodes["pos"].shape == (graph.num_nodes, 3)
        assert graph.e.shape == (graph.num_edges, 1) and graph.u.shape == (graph.num_graphs, 4)


def test_a_third_have_values_that_repeat():
    tied = [len(np.unique(graph.x, axis=0)) < graph.num_nodes for graph in small_graphs(2)[:10]]
    assert [i for i, repeats in enumerate(tied) if repeats] == [1, 3, 5, 8]
    more = [len(np.unique(graph.x[:, 0])) < graph.num_nodes for graph in small_graphs(2, count=42)[12:]]
    assert more == [number % 3 == 0 for number in range(30)]
    values = np.unique(np.concatenate([graph.x for graph in small_graphs(1, count=60)]), return_counts=True)
    assert {-1.0, 0.0, 1.0} < {value for value, count in zip(*values) if count > 5}
    for graph in small_graphs(2, count=60):  # no sum of neighbours cancels up to rounding
        assert not ((graph.x == 1).any(axis=0) & (graph.x == -1).any(axis=0)).any() or graph.num_graphs > 1


def test_beyond_the_dozen_they_are_new_and_grow():
    graphs = small_graphs(2, count=200)
    assert len(graphs) == 200 and len(small_graphs(2, count=3)) == 3
    assert all(np.array_equal(a.x, b.x) for a, b in zip(graphs, small_graphs(2)))
    sizes = [graph.num_nodes for graph in graphs[12:]]
    assert sizes == sorted(sizes) and sizes[0] == 8 and sizes[-1] == 40
    assert len({graph.x.tobytes() for graph in graphs[12:]}) == 188


def test_plain_ones_have_x_alone_and_the_seed_decides():
    graphs = small_graphs(2)
    assert all(set(g.nodes) == {"x"} and not g.edges and not g.globals for g in graphs)
    assert all(np.array_equal(a.x, b.x) for a, b in zip(graphs, small_graphs(2)))
    assert not np.array_equal(graphs[0].x, small_graphs(2, rng=1)[0].x)


def test_categories_and_names():
    graph = small_graphs(categories=3, dimensions=2, positions="xyz")[0]
    assert graph.x.dtype.kind == "i" and set(graph.x.tolist()) <= {0, 1, 2} and graph.nodes["xyz"].shape == (4, 2)


def test_images_of_all_kinds():
    first, second = small_images(2)
    assert isinstance(first.topology, gk.GridTopology) and first.topology.stencil.border == "wrap"
    assert [len(np.unique(image.x)) == image.x.size for image in (first, second)] == [True, False]
    assert small_images(0)[1].x.shape == (96, 0)
    assert first.topology.grid.size == (8, 8) and second.topology.grid.size == (12, 8)
    assert small_images(1, sizes=[(5,), (2, 3, 4)], border="zero")[1].topology.grid.ndim == 3
    assert small_images(1, sizes=[(4, 3)], lattice="hexagonal")[0].topology.grid.lattice == "hexagonal"
    assert small_images(1, global_channels=2)[0].u.shape == (1, 2)


def test_what_makes_no_graph_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"edge_channels counts columns, at least 0\. Got -1\. Pass"):
        small_graphs(edge_channels=-1)
    with pytest.raises(InvalidArgumentError, match=r"channels counts columns, at least 0\. Got '3'\. Pass"):
        small_graphs("3")
    with pytest.raises(InvalidArgumentError, match=r"count counts graphs, at least 0\. Got 2\.5\. Pass"):
        small_graphs(count=2.5)
    for draw in (small_graphs, small_images):
        with pytest.raises(DTypeError, match=r"rng is a whole number, at least 0, .* Got 'a'\. Pass"):
            draw(rng="a")
