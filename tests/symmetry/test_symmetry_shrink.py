"""Small counterexamples: large graphs, images, positions and values; without hypothesis; without a trace on disk."""

from __future__ import annotations

import builtins

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import MissingDependencyError, UnknownNameError
from gnnkit.symmetry.pieces import cropped, emptied, restricted

check = gk.symmetry.check


def large(nodes=400, edges=1600):
    rng = np.random.default_rng(0)
    return gk.from_edges(
        rng.integers(0, nodes, edges), rng.integers(0, nodes, edges), num_nodes=nodes, x=rng.normal(size=(nodes, 3))
    )


def difference_to_the_first_neighbour(g):
    degree = g.topology.in_degree()
    first = np.where(degree > 0, g.topology.indptr[:-1], 0)
    sender = g.senders[np.minimum(first, max(g.num_edges - 1, 0))] if g.num_edges else np.zeros(g.num_nodes, int)
    return (gk.take_rows(g.x, sender) - g.x) * (degree > 1)[:, None] if g.num_nodes else g.x


def test_a_large_graph_becomes_small():
    example = check(difference_to_the_first_neighbour, large(), output="nodes").counterexample
    assert example.num_nodes <= 3 and example.graph.num_edges == 2
    assert set(np.unique(example.graph.x)) <= {0.0, 1.0}


def test_a_defect_that_needs_many_nodes_stays_large():
    def crowded(g):
        return g.x * (np.arange(g.num_nodes)[:, None] == 0) * (g.num_nodes >= 7)

    assert check(crowded, large(40, 60), output="nodes").counterexample.num_nodes == 7


def test_a_graph_that_cannot_be_halved_stays_and_says_so():
    def huge_only(g):
        return g.x * np.arange(g.num_nodes)[:, None] * (g.num_nodes >= 1500)

    report = check(huge_only, large(1500, 1600), output="nodes")
    assert report.counterexample.num_nodes == 1500
    assert "It was not made smaller: no half of the graph fails" in str(report)


def test_a_large_image_becomes_small():
    conv = gk.nn.Conv2d(1, 1, 3, rng=0)
    g = gk.from_image(np.random.default_rng(0).normal(size=(32, 40, 1)), border="edge")
    assert check(conv, g, group="torus").counterexample.num_nodes <= 3


def test_positions_become_simple():
    g = large(30, 60).replace(nodes={"pos": np.random.default_rng(1).normal(size=(30, 3))})
    report = check(lambda g: g.nodes["pos"][:, 0] ** 2, g, group="euclidean", output="nodes", expect="invariant")
    example = report.counterexample
    assert example.num_nodes == 1 and set(np.unique(example.graph.nodes["pos"])) <= {0.0, 1.0}
    assert str(example.element) in ("pos moved by (1, 0, 0)", "pos rotated by [0 -1 0; 1 0 0; 0 0 1]")


def test_nothing_is_written_to_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not check(difference_to_the_first_neighbour, large(20, 60), output="nodes").passed
    assert check(gk.nn.ReLU(), gk.symmetry.strategies.graphs(), cases=5).passed
    assert list(tmp_path.iterdir()) == []


def test_without_hypothesis(monkeypatch):
    real = builtins.__import__

    def absent(name, *arguments, **options):
        if name.partition(".")[0] == "hypothesis":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    report = check(difference_to_the_first_neighbour, large(12, 40), output="nodes")
    assert report.counterexample.num_nodes == 12
    assert "It was not shrunk. Shrinking a counterexample needs the package 'hypothesis'" in str(report)
    assert "pip install 'gnnkit[test]'" in str(report)
    with pytest.raises(MissingDependencyError, match=r"Drawing graphs needs the package 'hypothesis'"):
        gk.symmetry.strategies.graphs()
    assert check(gk.nn.ReLU(), large(12, 40)).passed


@settings(max_examples=3, deadline=None, database=None)
@given(st.integers(2, 5))
def test_a_check_runs_within_a_test_of_hypothesis(nodes):
    g = gk.path(nodes).replace(x=np.arange(float(nodes))[:, None])
    assert check(lambda g: g.x * np.arange(g.num_nodes)[:, None], g, output="nodes").counterexample.num_nodes == 2


# ---------------------------------------------------------------------------------------------------- pieces
def test_restricted_keeps_order_fields_and_graphs():
    both = gk.batch([gk.path(3).replace(x=[[1], [2], [3]]), gk.path(2).replace(x=[[4], [5]])])
    nodes = np.array([True, False, True, True, True])
    part = restricted(both, nodes, np.ones(both.num_edges, bool), np.array([True, True]))
    assert part.node_ptr.tolist() == [0, 2, 4] and part.x.ravel().tolist() == [1, 3, 4, 5]
    assert part.to_edges()[0].tolist() == [2, 3]
    last = restricted(both, nodes, np.ones(both.num_edges, bool), np.array([False, True]))
    assert last.num_graphs == 1 and last.x.ravel().tolist() == [4, 5]
    assert restricted(both, nodes, np.zeros(both.num_edges, bool), np.array([False, False])).num_graphs == 0


def test_cropped_images_keep_their_holes():
    g = gk.from_image(np.arange(12.0).reshape(3, 4), mask=np.eye(3, 4, dtype=bool))
    part = cropped(g, (2, 3), np.ones(1, bool))
    assert part.topology.grid.sizes == ((2, 3),) and part.x.ravel().tolist() == [0.0, 5.0]


def test_emptied_graphs_can_stand_in_a_batch():
    for g in (gk.path(3).replace(x=[[1.0]] * 3, u=[[2.0]]), gk.from_image(np.ones((2, 3, 1)))):
        nothing = emptied(g)
        assert (nothing.num_nodes, nothing.num_graphs) == (0, 1)
        assert gk.batch([g, nothing]).num_graphs == 2


# ------------------------------------------------------------------------------------------------- strategies
def drawn(**options):
    found = []

    @settings(max_examples=150, database=None, derandomize=True, deadline=None, phases=[hypothesis.Phase.generate])
    @given(gk.symmetry.strategies.graphs(**options))
    def collect(graph):
        found.append(graph)

    collect()
    return found


def has_parallel(g):
    return len(set(zip(g.senders.tolist(), g.receivers.tolist()))) < g.num_edges


def test_the_corners_are_drawn():
    graphs = drawn()
    degrees = [g.topology.in_degree() + g.topology.out_degree() for g in graphs if g.num_nodes]
    assert any(g.num_nodes == 0 for g in graphs)
    assert any(g.num_nodes > 0 == g.num_edges for g in graphs)
    assert any((degree == 0).any() and (degree > 0).any() for degree in degrees)
    assert any(g.topology.has_self_loops() for g in graphs)
    assert any(has_parallel(g) for g in graphs)
    assert any(g.num_nodes > 2 and g.topology.in_degree().max() >= g.num_nodes for g in graphs)
    assert any(g.num_nodes >= 6 and set(g.topology.in_degree().tolist()) == {2} for g in graphs)
    assert all(g.num_nodes <= 8 and g.x.shape == (g.num_nodes, 3) and g.x.dtype == np.float64 for g in graphs)


def test_batches_hold_empty_and_trailing_empty_graphs():
    graphs = drawn(batches=True)
    sizes = [np.diff(g.node_ptr) for g in graphs]
    assert any(len(size) > 2 and size[-1] == 0 for size in sizes)
    assert any(len(size) > 2 and size[0] == 0 < size[-1] for size in sizes)


def test_the_fields_that_were_asked_for():
    options = {"channels": None, "edge_channels": 2, "global_channels": 1, "dimensions": 3, "dtype": "float32"}
    for g in drawn(kinds=["parallel", "hub"], max_nodes=4, undirected=True, **options)[:20]:
        assert set(g.nodes) == {"pos"} and g.e.shape == (g.num_edges, 2) and g.u.shape == (1, 1)
        assert g.nodes["pos"].dtype == np.float32 and g.topology.is_symmetric() and g.num_nodes <= 4


def test_a_kind_that_does_not_exist():
    with pytest.raises(UnknownNameError, match=r"A kind of graph must be one of: .*Did you mean 'hub'"):
        gk.symmetry.strategies.graphs(kinds=["hubs"])


def test_a_strategy_finds_a_defect():
    def numbered_where_crowded(g):
        return g.x * (g.num_edges > 3) * np.arange(g.num_nodes)[:, None]

    example = check(numbered_where_crowded, gk.symmetry.strategies.graphs(), output="nodes").counterexample
    assert (example.num_nodes, example.graph.num_edges) == (2, 4)
