"""Colour refinement: by its definition on random graphs, on graphs with known answers, and what it refuses."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import (
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.symmetry import colour_refinement


@st.composite
def graphs(draw, max_nodes: int = 6):
    """Directed, with self-loops, parallel edges, isolated nodes, labels of nodes and edges."""
    n = draw(st.integers(0, max_nodes))
    node = st.integers(0, max(n - 1, 0))
    edges = draw(st.lists(st.tuples(node, node, st.integers(0, 1)), max_size=12 if n else 0))
    senders, receivers, labels = np.array(edges, np.int64).reshape(-1, 3).T
    x = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), np.int64)
    return gk.from_edges(senders, receivers, num_nodes=n, x=x, e=labels)


def by_definition(g: gk.Graph, direction: str, rounds: int, names: dict) -> list[int]:
    """The definition in plain Python; ``names`` gives every tuple met so far a number, shared between graphs."""
    senders, receivers, fields = g.to_edges()
    colours = [names.setdefault(int(label), len(names)) for label in g.x]
    for _ in range(rounds):
        seen = []
        for node, colour in enumerate(colours):
            came = sorted((int(e), colours[s]) for s, r, e in zip(senders, receivers, fields["e"]) if r == node)
            left = sorted((int(e), colours[r]) for s, r, e in zip(senders, receivers, fields["e"]) if s == node)
            sides = {"in": (came,), "out": (left,), "both": (came, left)}[direction]
            key = (colour, *(tuple(side) for side in sides))
            seen.append(names.setdefault(key, len(names)))
        colours = seen
    return colours


def partition(colours) -> list[list[bool]]:
    return [[bool(a == b) for b in colours] for a in colours]


@given(graphs(), st.sampled_from(["in", "out", "both"]), st.integers(0, 3))
def test_colours_by_definition(g, direction, rounds):
    found = colour_refinement(g, direction=direction, rounds=rounds)
    assert partition(found.colours) == partition(by_definition(g, direction, rounds, {}))
    assert found.num_colours == len(set(found.colours.tolist()))
    assert sorted(node for part in found.partition() for node in part.tolist()) == list(range(g.num_nodes))


@given(graphs(), graphs(), st.sampled_from(["in", "both"]))
@settings(max_examples=50)
def test_graphs_are_coloured_together(one, other, direction):
    found = colour_refinement([one, other], direction=direction)
    names: dict = {}
    left, right = (by_definition(g, direction, 12, names) for g in (one, other))  # as many rounds as nodes
    assert partition(found.colours) == partition(left + right)
    assert found.same(0, 1) == (sorted(left) == sorted(right))
    batch = colour_refinement(gk.batch([one, other]), direction=direction)
    np.testing.assert_array_equal(batch.colours, found.colours)
    np.testing.assert_array_equal(batch.histograms(), found.histograms())


@given(graphs(), st.randoms(use_true_random=False))
def test_renumbering_the_nodes_renumbers_no_colour(g, random):
    number = np.array(random.sample(range(g.num_nodes), g.num_nodes), np.int64)
    senders, receivers, fields = g.to_edges()
    x = np.empty_like(g.x)
    x[number] = g.x
    moved = gk.from_edges(number[senders], number[receivers], num_nodes=g.num_nodes, x=x, e=fields["e"])
    np.testing.assert_array_equal(colour_refinement(moved).colours[number], colour_refinement(g).colours)


@given(graphs())
def test_history_only_splits_and_ends_stable(g):
    found = colour_refinement(g)
    assert found.stable and len(found.history) == found.rounds + 1
    np.testing.assert_array_equal(found.history[-1], found.colours)
    for before, after in zip(found.history, found.history[1:]):
        pairs = set(zip(after.tolist(), before.tolist()))
        assert len(pairs) == len(set(after.tolist())) > len(set(before.tolist()))  # each colour has one parent
    more = colour_refinement(g, rounds=found.rounds + 1, keep_history=False)
    np.testing.assert_array_equal(more.colours, found.colours)
    assert more.stable and len(more.history) == 1


def test_networkx_agrees_on_undirected_graphs():
    rng = np.random.default_rng(0)
    answers = set()
    for trial in range(20):
        seeds = rng.integers(1000, size=2).tolist()
        G, H = (
            nx.random_regular_graph(3, 8, seed=s) if trial % 2 else nx.gnm_random_graph(7, 8, seed=s) for s in seeds
        )
        ours = colour_refinement([gk.from_networkx(G), gk.from_networkx(H)]).same(0, 1)
        for F in (G, H):
            nx.set_node_attributes(F, "alike", "kind")
        # networkx hashes the labels after every round; the last ones, after as many rounds as nodes, are stable
        theirs = [nx.weisfeiler_lehman_subgraph_hashes(F, node_attr="kind", iterations=8) for F in (G, H)]
        last = [sorted(labels[-1] for labels in part.values()) for part in theirs]
        assert ours == (last[0] == last[1])
        answers.add(ours)
    assert answers == {True, False}


def test_known_colours():
    path = colour_refinement(gk.path(5))
    assert [part.tolist() for part in path.partition()] == [[0, 4], [1, 3], [2]] and path.rounds == 2
    assert colour_refinement(gk.cycle(7)).num_colours == 1
    star = colour_refinement(gk.star(4))
    assert star.colours.tolist() == [1, 0, 0, 0] and star.rounds == 1
    assert colour_refinement(gk.path(101)).rounds == 50


def test_directions_loops_and_parallel_edges():
    chain = gk.path(3, directed=True)
    assert colour_refinement(chain).colours.tolist() == [0, 1, 2]
    fork = gk.from_edges([0, 1], [2, 2], num_nodes=3)  # 0 and 1 get nothing, 2 gets two
    assert colour_refinement(fork).num_colours == 2
    two = gk.from_edges([0, 0, 1], [1, 2, 3], num_nodes=4)  # 0 sends twice, 1 once: only its out side tells
    assert colour_refinement(two, rounds=1).colours.tolist() == [0, 1, 1, 1]
    assert colour_refinement(two, direction="out", rounds=1).colours.tolist() == [2, 1, 0, 0]
    loop = gk.from_edges([0], [0], num_nodes=2)
    assert colour_refinement(loop).colours.tolist() == [1, 0]
    parallel = gk.from_edges([0, 0, 1], [1, 1, 0], num_nodes=2)
    assert colour_refinement(parallel).num_colours == 2


def test_fields_that_are_looked_at():
    g = gk.cycle(4).replace(x=np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1e-9]]), nodes={"t": list("aaba")})
    assert colour_refinement(g).num_colours == 3  # exact: 1e-9 is another feature
    assert colour_refinement(g, node_field=None).num_colours == 1
    assert [part.tolist() for part in colour_refinement(g, node_field="t").partition()] == [[0], [1, 3], [2]]
    edges = gk.from_edges([0, 1, 2], [1, 2, 0], num_nodes=3, e=[1.0, 1.0, 2.0])
    assert colour_refinement(edges).num_colours == 3
    assert colour_refinement(edges, edge_field=None).num_colours == 1
    with pytest.raises(UnknownFieldError, match="no node field 'y'"):
        colour_refinement(g, node_field="y")


def test_sparse_features_give_the_colours_of_dense_ones():
    from scipy import sparse

    dense = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    for both in ([0, 0], [0, 1], [1, 1]):
        kinds = [sparse.csr_matrix(dense) if kind else dense for kind in both]
        found = colour_refinement([gk.cycle(4).replace(x=x) for x in kinds])
        assert found.same(0, 1) and found.num_colours == 3


def test_empty_graphs_and_grids():
    nothing = colour_refinement(gk.empty(0))
    assert nothing.num_colours == 0 and nothing.stable and nothing.partition() == []
    assert colour_refinement([]).histograms().shape == (0, 0)
    batch = colour_refinement(gk.batch([gk.empty(0), gk.path(2), gk.empty(0)]))
    assert batch.histograms().tolist() == [[0], [2], [0]] and batch.same(0, 2) and not batch.same(0, 1)
    assert colour_refinement(gk.empty(3)).partition()[0].tolist() == [0, 1, 2]
    image = gk.from_image(np.zeros((3, 3)))
    corners, sides, centre = sorted(colour_refinement(image, edge_field=None).histograms()[0].tolist(), reverse=True)
    assert (corners, sides, centre) == (4, 4, 1)


def test_representation():
    text = repr(colour_refinement([gk.path(3), gk.path(2)]))
    assert text == "ColourRefinement(num_graphs=2, num_nodes=5, num_colours=3, rounds=2, stable=True)"


def test_what_is_refused():
    with pytest.raises(UnknownNameError, match=r"direction must be one of: both, in, out\. Got 'sideways'"):
        colour_refinement(gk.path(2), direction="sideways")
    with pytest.raises(InvalidArgumentError, match=r"rounds must be a whole number.*Got -1"):
        colour_refinement(gk.path(2), rounds=-1)
    with pytest.raises(InvalidGraphError, match=r"Got networkx\.Graph\. Convert it with gk\.from_networkx"):
        colour_refinement([gk.path(2), nx.path_graph(2)])
    with pytest.raises(InvalidGraphError, match=r"Got int\. Pass a gk\.Graph"):
        colour_refinement(3)
    with pytest.raises(InvalidFeatureError, match=r"Graph 1 has none.*node_field=None"):
        colour_refinement([gk.path(2).replace(x=np.ones((2, 1))), gk.path(2)])
    with pytest.raises(ShapeError, match=r"Got the shapes \[\(1,\), \(2,\)\]"):
        colour_refinement([gk.path(2).replace(x=np.ones((2, c))) for c in (1, 2)])
