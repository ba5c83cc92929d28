"""The classic pairs are what they say: never isomorphic, with the parameters of their names."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidGraphError
from gnnkit.symmetry import pairs

ALL = {
    "triangles": pairs.two_triangles_and_hexagon,
    "decalin": pairs.decalin_and_bicyclopentyl,
    "prism": pairs.hexagon_and_prism,
    "cubes": pairs.coloured_cubes,
    "shrikhande": pairs.shrikhande_and_rook,
    "cfi": pairs.cfi,
    "cfi over a grid": lambda: pairs.cfi(gk.grid(2, 3)),
}


def outside(graph: gk.Graph) -> nx.Graph:
    G = gk.to_networkx(graph)
    assert type(G) is nx.Graph  # simple and undirected
    for node, row in enumerate(graph.x):
        G.nodes[node]["row"] = row.tolist()
    return G


@pytest.mark.parametrize("name", ALL)
def test_two_simple_undirected_graphs_of_one_size_that_differ(name):
    one, other = ALL[name]()
    assert one.num_nodes == other.num_nodes and one.num_graphs == other.num_graphs == 1
    assert not one.topology.has_self_loops() and one.topology.is_symmetric() and other.topology.is_symmetric()
    if name == "cubes":
        assert nx.is_isomorphic(outside(one), outside(other))
    else:
        assert (one.x == 1).all() and (other.x == 1).all() and one.x.dtype == np.float32
    match = lambda a, b: a["row"] == b["row"]  # noqa: E731
    assert not nx.is_isomorphic(outside(one), outside(other), node_match=match)
    assert nx.is_isomorphic(outside(one), outside(one), node_match=match)


def test_strongly_regular_16_6_2_2():
    cliques = []
    for graph in pairs.shrikhande_and_rook():
        G = outside(graph)
        assert G.number_of_nodes() == 16 and {d for _, d in G.degree} == {6}
        common = {(G.has_edge(a, b), len(list(nx.common_neighbors(G, a, b)))) for a, b in combinations(G, 2)}
        assert common == {(True, 2), (False, 2)}
        cliques.append(max(map(len, nx.find_cliques(G))))
    assert cliques == [3, 4]


def test_rings_of_the_molecules():
    rings = [sorted(map(len, nx.minimum_cycle_basis(outside(g)))) for g in pairs.decalin_and_bicyclopentyl()]
    assert rings == [[6, 6], [5, 5]]
    assert [nx.number_connected_components(outside(g)) for g in pairs.two_triangles_and_hexagon()] == [2, 1]


def test_cubes_have_the_neighbours_they_promise():
    own = []
    for graph in pairs.coloured_cubes():
        colour = graph.x.argmax(axis=1)
        same = colour[graph.senders] == colour[graph.receivers]
        own.append(np.bincount(graph.receivers, weights=same).tolist())
    assert own == [[1.0] * 8, [2.0] * 8]


def test_cfi_over_small_bases_are_old_acquaintances():
    triangles, hexagon = pairs.two_triangles_and_hexagon()
    even, twisted = pairs.cfi(gk.cycle(3))
    assert nx.is_isomorphic(outside(even), outside(triangles)) and nx.is_isomorphic(outside(twisted), outside(hexagon))
    both = [nx.is_isomorphic(outside(g), outside(h)) for g in pairs.cfi() for h in pairs.shrikhande_and_rook()]
    assert sorted(both) == [False, False, True, True]


def test_it_does_not_matter_where_cfi_is_twisted():
    base = gk.from_edges([0, 1, 2, 3, 0], [1, 2, 0, 0, 2], num_nodes=4, undirected=True)
    base = gk.transforms.coalesce(base)
    twisted = [pairs._clouds(base, twisted=node) for node in range(4)]
    assert all(nx.is_isomorphic(outside(twisted[0]), outside(g)) for g in twisted[1:])
    assert not nx.is_isomorphic(outside(twisted[0]), outside(pairs._clouds(base, twisted=None)))


def test_bases_that_are_refused():
    with pytest.raises(InvalidGraphError, match=r"It has directed edges and self-loops\. Use gk\.transforms"):
        pairs.cfi(gk.from_edges([0, 1], [1, 1], num_nodes=2))
    with pytest.raises(InvalidGraphError, match="It has parallel edges"):
        pairs.cfi(gk.from_edges([0, 0], [1, 1], num_nodes=2, undirected=True))
    with pytest.raises(InvalidGraphError, match="It has 2 connected parts"):
        pairs.cfi(gk.batch([gk.path(2), gk.path(2)]))
    with pytest.raises(InvalidGraphError, match="It has 0 connected parts"):
        pairs.cfi(gk.empty(0))
    with pytest.raises(InvalidGraphError, match=r"Got networkx\.Graph\. Convert it"):
        pairs.cfi(nx.path_graph(3))
    with pytest.raises(InvalidArgumentError, match="Got one of degree 17"):
        pairs.cfi(gk.star(18))


def test_dir_shows_what_there_is_and_nothing_else():
    assert set(dir(gk.symmetry.pairs)) == {*pairs.__all__} == {make.__name__ for make in ALL.values() if make.__doc__}
    assert dir(gk.symmetry.strategies) == ["KINDS", "graphs"]
    shown = dir(gk.symmetry)
    assert {"check", "GROUPS", "pairs", "strategies", "wl_level"} <= set(shown)
    assert not {"case", "pieces", "checking", "tuples"} & set(shown) and not [n for n in shown if n.startswith("_")]
    told = gk.symmetry.__doc__
    assert [n for n in shown if n not in told and n[0].islower()] == []
