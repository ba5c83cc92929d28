"""What models tell apart: GIN reaches 1-WL, mean and maximum do not; noise and broken models are found out."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, InvalidGraphError, UnknownNameError
from gnnkit.symmetry import colour_refinement, distinguishes, pairs, wl_equivalent
from gnnkit.symmetry.distinguish import _multisets

PAIRS = {
    "cubes": pairs.coloured_cubes,
    "prism": pairs.hexagon_and_prism,
    "triangles": pairs.two_triangles_and_hexagon,
    "decalin": pairs.decalin_and_bicyclopentyl,
    "shrikhande": pairs.shrikhande_and_rook,
    "cfi": pairs.cfi,
}
LAYERS = {
    "gin": (lambda a, b: gk.nn.GINConv(gk.nn.MLP([a, b, b])), {"cubes", "prism"}),
    "pna": (lambda a, b: gk.nn.PNAConv(a, b, delta=1.0), {"cubes", "prism"}),
    "sum": (lambda a, b: gk.nn.GraphConv(a, b), {"cubes", "prism"}),
    "mean": (lambda a, b: gk.nn.SAGEConv(a, b), {"cubes"}),
    "gat": (lambda a, b: gk.nn.GATConv(a, b), {"cubes"}),
    "gcn": (lambda a, b: gk.nn.GCNConv(a, b), {"cubes"}),
    "max": (lambda a, b: gk.nn.SAGEConv(a, b, reducer="max"), set()),
}


def network(kind: str, channels: int, *, pool: str | None = None) -> gk.nn.Sequential:
    layer = LAYERS[kind][0]
    layers = [part for width in (channels, 8, 8) for part in (layer(width, 8), gk.nn.Tanh())]
    return gk.nn.Sequential(*layers, *([gk.nn.GlobalPool(pool)] if pool else []))


@pytest.mark.parametrize("kind", LAYERS)
def test_known_answers(kind):
    told = {
        name for name, pair in PAIRS.items() if distinguishes(network(kind, pair()[0].x.shape[1]), *pair(), draws=3)
    }
    assert told == LAYERS[kind][1]


def test_gin_reaches_colour_refinement_node_by_node(rng):
    # As many different outputs as stable colours, and the same partition: on random graphs, with enough layers.
    for _ in range(10):
        n = int(rng.integers(4, 9))
        g = gk.from_edges(*rng.integers(0, n, size=(2, 2 * n)), num_nodes=n, x=np.ones((n, 1)))
        colours = colour_refinement(g)
        layers = [
            gk.nn.GINConv(gk.nn.MLP([w, 16, 16], activation="tanh"), eps=0.3) for w in [1] + [16] * colours.rounds
        ]
        model = gk.nn.Sequential(*layers).reset_parameters(rng).astype("float64")
        out = model(g).x.numpy()
        apart = np.abs(out[:, None] - out[None]).max(axis=2) > 1e-9 * np.abs(out).max()
        np.testing.assert_array_equal(apart, colours.colours[:, None] != colours.colours[None])


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_global_outputs(pool):
    model = network("gin", 1, pool=pool)
    found = distinguishes(model, *pairs.hexagon_and_prism(), draws=3)
    assert found and found.output == "globals"
    assert not distinguishes(model, *pairs.decalin_and_bicyclopentyl(), draws=3)


def test_features_that_refinement_cannot_see_go_beyond_it():
    triangles, hexagon = pairs.two_triangles_and_hexagon()
    assert wl_equivalent(triangles, hexagon)
    walks = [gk.transforms.random_walk_encoding(g, 3) for g in (triangles, hexagon)]
    richer = [g.replace(x=np.hstack([g.x, g.nodes["random_walk"]])).without("random_walk") for g in walks]
    assert distinguishes(network("gin", 4), *richer, draws=3)


def test_numbers_of_nodes_as_features_are_found_out():
    def numbered(graph):
        own = graph.x * np.arange(1.0, graph.num_nodes + 1)[:, None]
        return graph.replace(x=own + gk.message.neighbour_sum(graph.topology, own))

    found = distinguishes(numbered, *pairs.two_triangles_and_hexagon())
    assert not found and not found.invariant and found.noise > 1
    assert str(found).startswith("NOT INVARIANT: renumbering the nodes changes the output")
    assert repr(found).endswith("invariant=False)")


def test_parameters_as_they_are_and_drawn():
    pair = pairs.hexagon_and_prism()
    model = network("gin", 1)
    for parameter in model.parameters():
        parameter.data[...] = 0
    before = model.state_dict()
    assert not distinguishes(model, *pair)
    found = distinguishes(model, *pair, draws=4)
    assert found and len(found.draws) == 4 and found.separation == max(draw.separation for draw in found.draws)
    assert model.training and all((value == before[name]).all() for name, value in model.state_dict().items())
    again = distinguishes(model, *pair, draws=4)
    assert again.draws == found.draws  # same seed, same numbers


def test_a_graph_is_not_told_apart_from_itself_renumbered(rng):
    g = gk.from_edges(*rng.integers(0, 9, size=(2, 30)), num_nodes=9, x=rng.normal(size=(9, 3)))
    order = rng.permutation(9)
    number = np.argsort(order)
    moved = gk.from_edges(number[g.senders], number[g.receivers], x=g.x[order])
    for kind in LAYERS:
        found = distinguishes(network(kind, 3), g, moved, draws=2, relabellings=10)
        assert found.invariant and not found and found.separation < 1e-9
    assert distinguishes(network("gin", 3), g, g.replace(x=g.x + 1e-6))  # a small difference is one


def test_outputs_of_many_kinds():
    hexagon, prism = pairs.hexagon_and_prism()

    def degree(graph):
        return graph.topology.in_degree()

    assert distinguishes(degree, hexagon, prism, output="nodes").separation == 1.0
    assert distinguishes(lambda g: float(degree(g).sum()), hexagon, prism, output="globals").separation == 6.0
    assert distinguishes(lambda g: g.replace(u=g.x[:1]), hexagon, prism, output="nodes").distinguished is False
    assert distinguishes(degree, hexagon, gk.path(5), output="nodes").separation == np.inf
    assert not distinguishes(lambda g: g.x, *[gk.empty(0).replace(x=np.zeros((0, 2)))] * 2, output="nodes")


def test_multisets_of_rows():
    a = np.array([[0.0, 1.0], [1.0, 0.0]])
    b = np.array([[0.0, 0.0], [1.0, 1.0]])  # the same columns, other rows
    assert _multisets(a, a[::-1]) == 0 and _multisets(a, b) > 0.05
    assert _multisets(a, a[::-1] + 1e-12) < 2e-12
    assert _multisets(a, a[:1]) == np.inf and _multisets(a[:, :0], a[:, :0]) == 0


def test_texts():
    found = distinguishes(network("gin", 1), *pairs.hexagon_and_prism(), draws=2)
    assert str(found).startswith("TOLD APART (2 of 2 draws of parameters).\n  separation")
    same = distinguishes(network("gin", 1), *pairs.cfi())
    assert str(same).startswith("NOT TOLD APART.\n") and "gk.symmetry.wl_level" in str(same)
    assert repr(same).startswith("Distinction(distinguished=False, separation=")


def test_what_is_refused():
    pair = pairs.hexagon_and_prism()
    with pytest.raises(InvalidArgumentError, match=r"shapes never decide.*Pass output=\"nodes\""):
        distinguishes(lambda g: g.x, *pair)
    with pytest.raises(UnknownNameError, match="globals, nodes"):
        distinguishes(lambda g: g, *pair, output="edges")
    with pytest.raises(InvalidArgumentError, match=r"need a model with reset_parameters.*Leave draws="):
        distinguishes(lambda g: g, *pair, draws=2)
    with pytest.raises(InvalidArgumentError, match=r"relabellings must be a whole number of at least 1\. Got 0"):
        distinguishes(lambda g: g, *pair, relabellings=0)
    with pytest.raises(InvalidArgumentError, match=r"must be callable with a graph\. Got str"):
        distinguishes("gin", *pair)
    with pytest.raises(InvalidGraphError, match="a batch of 2"):
        distinguishes(lambda g: g, gk.batch(pair), pair[0])


def test_a_pair_may_be_passed_as_one():
    def walks(graph):
        return gk.message.neighbour_sum(graph.topology, graph.x)

    pair = gk.symmetry.pairs.hexagon_and_prism()
    assert distinguishes(walks, pair, output="nodes") and distinguishes(walks, *pair, output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"Got one Graph\. Pass distinguishes\(model, first, second\)"):
        distinguishes(walks, pair[0], output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"Got a tuple of 3"):
        distinguishes(walks, (*pair, pair[0]), output="nodes")
