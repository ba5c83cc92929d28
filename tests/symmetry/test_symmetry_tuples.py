"""Tests of k-tuples: by their definition on random pairs, against isomorphism, and how the variants compare."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidGraphError, UnknownNameError
from gnnkit.symmetry import pairs, wl_equivalent, wl_level


@st.composite
def pairs_of_graphs(draw, max_nodes: int = 4):
    """Two graphs of one size, the second often a small change of the first, so that both answers occur."""
    n = draw(st.integers(1, max_nodes))
    edge = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(0, 1))
    edges = draw(st.lists(edge, max_size=6))
    order = draw(st.permutations(range(n)))
    others = [(order[a], order[b], c) for a, b, c in edges]
    if edges and draw(st.booleans()):
        others[0] = draw(edge)
    return tuple(
        gk.from_edges(*np.array(each, np.int64).reshape(-1, 3).T[:2], num_nodes=n, e=[c for *_, c in each])
        for each in (edges, others)
    )


def by_definition(one: gk.Graph, other: gk.Graph, k: int, variant: str) -> bool:
    """The definition in plain Python, with numbers for tuples met so far shared between the graphs."""
    names: dict = {}
    histories = []
    for g in (one, other):
        senders, receivers, fields = g.to_edges()
        listed = list(zip(senders.tolist(), receivers.tolist(), np.asarray(fields["e"]).tolist()))

        def atomic(v: tuple, listed: list = listed) -> tuple:
            places = product(range(k), repeat=2)
            return tuple(
                (v[i] == v[j], tuple(sorted(c for a, b, c in listed if (a, b) == (v[i], v[j])))) for i, j in places
            )

        nodes = range(g.num_nodes)
        tuples = list(product(nodes, repeat=k))
        colours = {v: names.setdefault(atomic(v), len(names)) for v in tuples}
        for _ in range(len(tuples)):
            seen = {}
            for v in tuples:
                near = [[colours[(*v[:i], w, *v[i + 1 :])] for i in range(k)] for w in nodes]
                if variant == "oblivious":
                    key = tuple(tuple(sorted(row[i] for row in near)) for i in range(k))
                else:
                    key = tuple(sorted(tuple(row) for row in near))
                seen[v] = names.setdefault((colours[v], key), len(names))
            colours = seen
        histories.append(sorted(colours.values()))
    return histories[0] == histories[1]


@given(pairs_of_graphs(), st.sampled_from(["folklore", "oblivious"]))
@settings(max_examples=40, deadline=None)
def test_pairs_of_nodes_by_definition(pair, variant):
    assert wl_equivalent(*pair, 2, variant=variant) == by_definition(*pair, 2, variant)


@given(pairs_of_graphs(max_nodes=3), st.sampled_from(["folklore", "oblivious"]))
@settings(max_examples=25, deadline=None)
def test_triples_of_nodes_by_definition(pair, variant):
    assert wl_equivalent(*pair, 3, variant=variant) == by_definition(*pair, 3, variant)


@given(pairs_of_graphs())
@settings(max_examples=60, deadline=None)
def test_isomorphic_graphs_are_never_told_apart_and_few_others_are_not(pair):
    graphs = []
    for g in pair:
        senders, receivers, fields = g.to_edges()
        G = nx.MultiDiGraph()
        G.add_nodes_from(range(g.num_nodes))
        G.add_edges_from((a, b, {"e": c}) for a, b, c in zip(senders.tolist(), receivers.tolist(), fields["e"]))
        graphs.append(G)
    same = nx.is_isomorphic(*graphs, edge_match=lambda a, b: sorted(v["e"] for v in a.values()) == sorted(
        v["e"] for v in b.values()))  # fmt: skip
    answers = [wl_equivalent(*pair, k) for k in (1, 2, 3)]
    assert answers == sorted(answers, reverse=True)  # a larger k tells apart whatever a smaller one does
    assert not same or all(answers)
    assert answers[2] == same  # on four nodes three suffice


FAMOUS = {
    "triangles": (pairs.two_triangles_and_hexagon, 2, 3),
    "decalin": (pairs.decalin_and_bicyclopentyl, 2, 3),
    "prism": (pairs.hexagon_and_prism, 1, 1),
    "cubes": (pairs.coloured_cubes, 1, 1),
    "shrikhande": (pairs.shrikhande_and_rook, 3, 4),
    "cfi over a ring of four": (lambda: pairs.cfi(gk.cycle(4)), 2, 3),
    "cfi over K4": (pairs.cfi, 3, 4),
    "cfi over a tree": (lambda: pairs.cfi(gk.star(4)), 1, 1),
}


@pytest.mark.parametrize("name", FAMOUS)
def test_levels_of_famous_pairs(name):
    pair, folklore, oblivious = FAMOUS[name]
    one, other = pair()
    assert wl_level(one, other) == folklore
    found = wl_level(one, other, up_to=4 if one.num_nodes <= 16 else 3, variant="oblivious")
    assert found == (folklore if folklore == 1 else oblivious)  # oblivious (k + 1) = folklore k
    assert wl_equivalent(one, one, 2) and wl_equivalent(other, other, 2, variant="oblivious")


def test_over_five_joined_nodes_even_triples_are_not_enough():
    assert wl_equivalent(*pairs.cfi(gk.complete(5)), 3)


@given(pairs_of_graphs())
@settings(max_examples=30, deadline=None)
def test_oblivious_pairs_are_no_stronger_than_refinement_of_colours(pair):
    assert wl_equivalent(*pair, 2, variant="oblivious") == wl_equivalent(*pair, 1)


def test_features_count_too():
    one = gk.cycle(4).replace(x=np.array([[1.0], [1.0], [0.0], [0.0]]))
    other = gk.cycle(4).replace(x=np.array([[1.0], [0.0], [1.0], [0.0]]))
    for k in (1, 2, 3):
        assert not wl_equivalent(one, other, k) and wl_equivalent(one, other, k, node_field=None)


def test_small_and_unequal_graphs():
    assert wl_equivalent(gk.empty(0), gk.empty(0), 2) and wl_equivalent(gk.empty(1), gk.empty(1), 3)
    assert not wl_equivalent(gk.empty(1), gk.empty(2), 1) and not wl_equivalent(gk.path(2), gk.empty(2), 2)
    loop = gk.from_edges([0], [0], num_nodes=1)
    assert [wl_equivalent(loop, gk.empty(1), k) for k in (1, 2, 3)] == [False] * 3
    assert wl_level(gk.path(4), gk.path(4)) is None


def test_what_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"must fit 2\^24 pairs.*54 nodes have 17,006,112.*up to 53 nodes"):
        wl_equivalent(gk.cycle(54), gk.cycle(54), 3)
    with pytest.raises(InvalidArgumentError, match=r"k must be a whole number of at least 1\. Got 0"):
        wl_equivalent(gk.path(2), gk.path(2), 0)
    with pytest.raises(UnknownNameError, match="folklore, oblivious"):
        wl_equivalent(gk.path(2), gk.path(2), 2, variant="local")
    with pytest.raises(InvalidGraphError, match=r"Got a batch of 2.*gk\.unbatch"):
        wl_equivalent(gk.batch([gk.path(2), gk.path(2)]), gk.path(4))
    two = gk.batch([gk.cycle(3), gk.cycle(3)])
    senders, receivers, _ = two.to_edges()  # as the message says
    one = gk.from_edges(senders, receivers, num_nodes=two.num_nodes)
    assert wl_equivalent(one, gk.cycle(6)) and not wl_equivalent(one, gk.cycle(6), 2)
    with pytest.raises(InvalidGraphError, match=r"networkx\.Graph\. Convert it"):
        wl_equivalent(nx.path_graph(3), gk.path(3))
