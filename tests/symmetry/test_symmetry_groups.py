"""What each group does to a graph, its outputs and gradients, by answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import GroupError
from gnnkit.symmetry.groups.motions import Motion
from gnnkit.symmetry.groups.relabelling import Relabelling, Reordering
from gnnkit.symmetry.groups.shifts import Shift
from gnnkit.symmetry.groups.union import Union

GROUPS = gk.symmetry.GROUPS
rng0 = np.random.default_rng


def parallel():
    """0 -> 1 twice and 2 -> 0, given out of canonical order, with fields that tell the edges apart."""
    return gk.from_edges([0, 2, 0], [1, 0, 1], num_nodes=3, x=[[10.0], [11.0], [12.0]], e=[5.0, 6.0, 7.0])


def test_the_names():
    assert list(GROUPS) == [
        "nodes",
        "edges",
        "union",
        "reversal",
        "torus",
        "translation",
        "flip",
        "rot90",
        "euclidean",
        "rotation",
        "reflection",
        "shift",
        "channels",
    ]
    assert all(group.name == name for name, group in GROUPS.items())


# ------------------------------------------------------------------------------------------- names and orders
def test_relabelled_nodes():
    element = Relabelling(GROUPS["nodes"], parallel(), np.array([2, 0, 1]), np.array([0]))
    senders, receivers, fields = element.right.to_edges()
    assert (senders.tolist(), receivers.tolist()) == ([2, 1, 2], [0, 2, 0])
    assert element.right.x.ravel().tolist() == [11.0, 12.0, 10.0]
    assert fields["e"].tolist() == [5.0, 6.0, 7.0]  # the caller's order stays, whatever the canonical one becomes
    assert str(element) == "nodes 0 -> 2, 1 -> 0, 2 -> 1"
    values = [np.array([0.0, 1.0, 2.0])]
    assert element.rows("nodes", values, element.lefts, element.right).tolist() == [1.0, 2.0, 0.0]
    assert element.rows("edges", values, element.lefts, element.right).tolist() == [0.0, 1.0, 2.0]


def test_relabelling_a_batch_keeps_graphs_together_and_moves_them():
    both = gk.batch([gk.path(2), gk.empty(0), gk.cycle(3)]).replace(u=[[1.0], [2.0], [3.0]], x=np.arange(5.0)[:, None])
    moved = 0
    for seed in range(20):
        element = GROUPS["nodes"].sample(both, rng0(seed))
        right = element.right
        assert sorted(np.diff(right.node_ptr)) == [0, 2, 3]
        for i, part in enumerate(gk.unbatch(right)):
            assert part.num_nodes == {1.0: 2, 2.0: 0, 3.0: 3}[right.u[i, 0]]
        moved += right.u.ravel().tolist() != [1.0, 2.0, 3.0]
    assert 0 < moved < 20


def test_reordered_edges():
    element = Reordering(parallel(), np.array([2, 0, 1]))
    senders, receivers, fields = element.right.to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["e"].tolist()) == ([2, 0, 0], [0, 1, 1], [6.0, 7.0, 5.0])
    assert element.right.x is element.lefts[0].x
    assert str(element) == "order of edges 0 -> 2, 1 -> 0, 2 -> 1"


def test_parallel_edges_are_told_apart():
    def doubled(g):
        return 2 * g.e

    def canonical_place(g):  # parallel edges stand in the order of what they carry
        return np.arange(g.num_edges)

    def given_place(g):
        return g.topology.edge_order

    g = parallel()
    assert gk.symmetry.check(doubled, g, group="edges", output="edges").passed
    assert gk.symmetry.check(doubled, g, group="nodes", output="edges").passed
    assert gk.symmetry.check(canonical_place, g, group="edges", output="edges").passed
    assert not gk.symmetry.check(given_place, g, group="edges", output="edges").passed


def test_results_with_more_edges_than_were_given():
    g = parallel()
    for group in ("nodes", "edges", "union", "reversal"):
        report = gk.symmetry.check(lambda g: gk.transforms.add_self_loops(g, fill={"e": 1.0}), g, group=group)
        assert report.passed, str(report)


def test_results_with_the_wrong_edges():
    def to_the_first(g):
        return gk.from_edges(np.arange(g.num_nodes), np.zeros(g.num_nodes, int), num_nodes=g.num_nodes, x=g.x)

    report = gk.symmetry.check(to_the_first, parallel())
    assert report.counterexample.what == "edges"
    assert report.counterexample.finding.message == "edges 1 -> 1, 0 -> 1 expected, edges 0 -> 0, 1 -> 0 found"


def test_results_on_other_nodes_are_refused():
    def coarser(g):
        return gk.path(g.num_nodes - 1).replace(x=g.x[1:])

    with pytest.raises(GroupError, match=r"'nodes' needs a result on the nodes of the input.*2 nodes for a graph of 3"):
        gk.symmetry.check(coarser, parallel())


def test_reversal():
    (element,) = GROUPS["reversal"].simple(parallel())
    senders, receivers, fields = element.right.to_edges()
    assert (senders.tolist(), receivers.tolist(), fields["e"].tolist()) == ([1, 0, 1], [0, 2, 0], [5.0, 6.0, 7.0])
    loops = gk.from_edges([0, 1], [0, 1], num_nodes=2)
    assert GROUPS["reversal"].sample(loops, rng0(0)) is None


# ------------------------------------------------------------------------------------------------------ union
def test_a_union_holds_empty_and_trailing_empty_graphs():
    sizes = [np.diff(GROUPS["union"].draw([parallel()], k, rng0(k)).node_ptr) for k in range(40)]
    assert any(size[-1] == 0 for size in sizes) and any(size[0] == 0 for size in sizes)
    assert any(size.min() > 0 for size in sizes) and all(len(size) >= 2 for size in sizes)
    assert sum(3 in size for size in sizes) == 40


def test_a_union_concatenates_values():
    both = gk.batch([parallel(), parallel()])
    element = Union(both)
    assert [part.num_nodes for part in element.lefts] == [3, 3]
    values = [np.array([1.0]), np.array([2.0])]
    assert element.rows("globals", values, element.lefts, both).tolist() == [1.0, 2.0]
    senders, receivers = element.edges(element.lefts, both)
    assert (senders.tolist(), receivers.tolist()) == ([0, 2, 0, 3, 5, 3], [1, 0, 1, 4, 3, 4])
    assert str(element) == "2 graphs of 3, 3 nodes, each alone (left) and as one batch (right)"


def test_a_result_that_forgets_the_boundaries_of_the_batch():
    def rebuilt(g):
        return gk.from_edges(g.senders, g.receivers, num_nodes=g.num_nodes, x=g.x)

    example = gk.symmetry.check(rebuilt, parallel().without("e"), group="union").counterexample
    assert example.what == "graph" and example.num_nodes == 0
    assert example.finding.message == ("a result with graphs of 0, 0 nodes expected, with graphs of 0 nodes found")
    assert gk.symmetry.check(rebuilt, parallel().without("e"), group="nodes").passed


def test_an_edge_that_differs_is_named_in_the_order_of_the_right_graph():
    def reordered(g):
        order = np.argsort(-g.senders * 100 - g.receivers, kind="stable")
        e = np.where(g.receivers[order] == 0, np.arange(g.num_nodes)[g.senders[order]], 0)
        return gk.from_edges(g.senders[order], g.receivers[order], num_nodes=g.num_nodes, e=e.astype(float))

    g = gk.from_edges([0, 2, 1], [1, 0, 2], num_nodes=3)
    example = gk.symmetry.check(reordered, g, gradients=False, shrink=False).counterexample
    right = reordered(example.element.right)
    assert example.what == "edges e"
    assert right.to_edges()[2]["e"][example.where[0]] == example.right


def test_only_graphs_with_the_same_fields_are_joined():
    other = gk.path(2)
    for k in range(10):
        assert set(GROUPS["union"].draw([parallel(), other], 2 * k, rng0(k)).nodes) == {"x"}


# ------------------------------------------------------------------------------------------------------- grids
def image(size=(2, 3), **options):
    return gk.from_image(np.arange(float(np.prod(size))).reshape(*size, 1), **options)


def test_a_shift_around_the_torus():
    element = Shift(GROUPS["torus"], image(), (0, 1))
    assert gk.to_image(element.right)[..., 0].tolist() == [[2, 0, 1], [5, 3, 4]]
    assert str(element) == "images shifted by (0, 1) pixels around the torus"


def test_a_shift_acts_on_smaller_and_larger_results_in_their_own_steps():
    g = image((4, 4))
    element = Shift(GROUPS["torus"], g, (2, 0))
    small, large = image((2, 2)), image((8, 8))
    assert element.rows("nodes", [np.arange(4)], [small], small).tolist() == [2, 3, 0, 1]
    assert element.rows("nodes", [np.arange(64)], [large], large)[0] == 32
    with pytest.raises(GroupError, match=r"for a result of 2 cells on an image of 4.*'step': 2"):
        Shift(GROUPS["torus"], g, (1, 0)).rows("nodes", [np.arange(4)], [small], small)


def test_a_mask_moves_along():
    element = Shift(GROUPS["torus"], image(mask=[[True, False, True], [True, True, True]]), (0, 1))
    assert element.right.topology.grid.mask.tolist() == [True, True, False, True, True, True]
    assert element.right.x.ravel().tolist() == [2, 0, 5, 3, 4]


def test_images_of_several_sizes_move_each():
    both = gk.from_image([np.arange(6.0).reshape(2, 3, 1), np.arange(2.0).reshape(2, 1, 1)])
    (flip, *_) = GROUPS["flip"].simple(both)
    assert flip.right.x.ravel().tolist() == [2, 1, 0, 5, 4, 3, 0, 1]
    assert str(flip) == "images mirrored along axis 1"


def test_a_quarter_turn_changes_the_shape_and_the_stencil():
    (turn, *_) = GROUPS["rot90"].simple(image(kernel_size=(1, 3)))
    assert gk.to_image(turn.right)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert turn.right.topology.stencil.kernel_size == (3, 1)
    assert str(turn) == "images turned by 90 degrees in the plane of axes (0, 1)"


def test_a_translation_measures_the_receptive_field():
    def margin(model, graph=None):
        group = GROUPS["translation"]
        graph = gk.from_image(np.random.default_rng(0).normal(size=(15, 16, 1))) if graph is None else graph
        subject = gk.symmetry.subjects.as_subject(model).at(np.dtype("float64"), None)
        return group.settled([graph], lambda g: subject.evaluate(g, seed=0, gradients=False)).margin

    conv = gk.nn.Conv2d(1, 1, 3, rng=0)
    assert margin(gk.nn.ReLU()) == 0
    assert margin(conv) == 1
    assert margin(gk.nn.Sequential(conv, conv, conv)) == 3
    assert margin(gk.nn.Conv2d(1, 1, 3, dilation=2, rng=0)) == 2
    assert GROUPS["translation"].on(margin=5).settled([], None).margin == 5


def test_a_translation_compares_away_from_the_border_only():
    conv, g = gk.nn.Conv2d(1, 1, 3, rng=0), gk.from_image(np.random.default_rng(0).normal(size=(7, 7, 1)))
    assert gk.symmetry.check(conv, g, group="translation").passed
    assert not gk.symmetry.check(conv, g, group=("translation", {"margin": 0})).passed
    assert not gk.symmetry.check(conv, g, group="torus").passed
    with pytest.raises(GroupError, match=r"needs images that leave room to move beside the margin of 4 pixels"):
        gk.symmetry.check(conv, g, group=("translation", {"margin": 4}))


def test_a_function_of_the_whole_image_cannot_be_translated():
    g = gk.from_image(np.random.default_rng(0).normal(size=(5, 5, 1)))
    with pytest.raises(GroupError, match=r"leave room to move beside the margin of 2 pixels"):
        gk.symmetry.check(lambda g: g.replace(x=g.x - np.mean(g.x)), g, group="translation")


@pytest.mark.parametrize("group", ["torus", "translation", "flip", "rot90"])
def test_only_square_grids_without_edge_fields(group):
    with pytest.raises(GroupError, match=r"needs a graph on a grid.*listed edges"):
        gk.symmetry.check(gk.nn.ReLU(), parallel(), group=group)
    with pytest.raises(GroupError, match=r"needs a square lattice"):
        gk.symmetry.check(gk.nn.ReLU(), image(lattice="hexagonal"), group=group)
    g = image()
    with pytest.raises(GroupError, match=r"values at nodes and globals only.*'w'.*Drop edge fields"):
        gk.symmetry.check(gk.nn.ReLU(), g.replace(edges={"w": np.zeros(g.num_edges)}), group=group)


def test_turns_need_two_axes():
    with pytest.raises(GroupError, match=r"a grid with at least 2 axes"):
        gk.symmetry.check(gk.nn.ReLU(), gk.from_sequence(np.ones((4, 1))), group="rot90")


def test_grids_that_come_back_wrong():
    def fixed(g):
        return gk.from_image(np.zeros((3, 2, 1)))

    report = gk.symmetry.check(fixed, image(), group="rot90", gradients=False, shrink=False, cases=50)
    assert report.counterexample.what == "graph"
    assert "expected, found on Grid(3 x 2, num_nodes=6)" in report.counterexample.finding.message
    with pytest.raises(GroupError, match=r"needs a result on a grid with as many images as the input"):
        gk.symmetry.check(lambda g: gk.path(6).replace(x=g.x), image(), group="flip")


def test_sequences_and_volumes():
    ring = gk.from_sequence(np.random.default_rng(0).normal(size=(6, 1)), border="wrap")
    assert gk.symmetry.check(gk.nn.Conv1d(1, 1, 3, rng=0), ring, group="torus").passed
    volume = gk.from_volume(np.random.default_rng(0).normal(size=(2, 3, 4, 1)))
    assert gk.symmetry.check(gk.nn.ReLU(), volume, group="rot90", cases=30).passed


# ---------------------------------------------------------------------------------------------------- positions
def points(seed=0):
    rng = np.random.default_rng(seed)
    return parallel().without("e").replace(nodes={"pos": rng.normal(size=(3, 2)), "v": rng.normal(size=(3, 2))})


QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])


def test_positions_turn_and_move_vectors_turn():
    group = GROUPS["euclidean"].on(vectors=("v",))
    g = points().replace(nodes={"pos": [[1.0, 0.0]] * 3, "v": [[0.0, 2.0]] * 3})
    element = Motion(group, g, QUARTER, np.array([5.0, 0.0]))
    assert element.right.nodes["pos"][0].tolist() == [5.0, 1.0]
    assert element.right.nodes["v"][0].tolist() == [-2.0, 0.0]
    assert element.right.x is g.x
    gradient = element.values("nodes", "pos", np.array([[1.0, 0.0]]), linear=True, given=True)
    assert gradient.tolist() == [[0.0, 1.0]]  # gradients turn and do not move
    assert str(element) == "pos rotated by [0 -1; 1 0] and moved by (5, 0)"


@pytest.mark.parametrize(
    ("name", "determinants", "moves"),
    [("rotation", {1}, False), ("reflection", {-1}, False), ("shift", {1}, True), ("euclidean", {1, -1}, True)],
)
def test_what_each_group_of_motions_draws(name, determinants, moves):
    elements = [GROUPS[name].sample(points(), rng0(seed)) for seed in range(30)]
    for element in elements:
        assert np.allclose(element.matrix @ element.matrix.T, np.eye(2))
        assert element.offset.any() == moves
    assert {round(np.linalg.det(element.matrix)) for element in elements} == determinants
    turned = any(not np.array_equal(element.matrix, np.eye(2)) for element in elements)
    assert turned == (name != "shift")


def test_which_results_turn():
    check = gk.symmetry.check
    doubled = lambda g: 2 * g.nodes["v"]  # noqa: E731
    lengths = lambda g: np.sum(g.nodes["v"] ** 2, axis=1)  # noqa: E731
    assert check(doubled, points(), group=("euclidean", {"vectors": ("v", "output")}), output="nodes").passed
    assert not check(
        doubled, points(), group=("euclidean", {"vectors": ("v",)}), output="nodes", expect="invariant"
    ).passed
    assert check(lengths, points(), group=("euclidean", {"vectors": "v"}), output="nodes", expect="invariant").passed
    with pytest.raises(GroupError, match=r"needs to know which results turn with space.*'vectors': \('output',\)"):
        check(doubled, points(), group="euclidean", output="nodes")


def test_positions_that_are_not_there():
    with pytest.raises(GroupError, match=r"needs a node field 'pos' with the positions. Got the node fields 'x'"):
        gk.symmetry.check(gk.nn.ReLU(), parallel(), group="euclidean")
    with pytest.raises(GroupError, match=r"or give graphs that have it: gk\.symmetry\.small_.*dimensions=3\)\.$"):
        gk.symmetry.check(gk.nn.ReLU(), parallel(), group="euclidean")
    with pytest.raises(
        GroupError,
        match=r"every name in vectors= to be a field .* Got 'vel' beside the fields .*'pos'.* results .*'x'. Name",
    ):
        gk.symmetry.check(gk.nn.ReLU(), points(), group=("euclidean", {"vectors": "vel"}))
    with pytest.raises(GroupError, match=r"Got 'vel' beside the fields .* and the results 'output'"):
        turned = ("euclidean", {"vectors": ("output", "vel")})
        gk.symmetry.check(lambda g: g.nodes["v"], points(), group=turned, output="nodes")
    with pytest.raises(GroupError, match=r"2 coordinates along the last axis of 'x'. Got shape \[3, 1\]"):
        gk.symmetry.check(gk.nn.ReLU(), points(), group=("euclidean", {"vectors": "x"}))


# ----------------------------------------------------------------------------------------------------- channels
def test_channels():
    g = gk.path(2).replace(x=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    first = GROUPS["channels"].simple(g)[0]
    assert first.right.x.tolist() == [[2.0, 1.0, 3.0], [5.0, 4.0, 6.0]]
    assert str(first) == "channels of x: 0 -> 1, 1 -> 0"
    check = gk.symmetry.check
    assert check(gk.nn.GlobalPool("sum"), g, group="channels").passed
    assert check(lambda g: np.sum(g.x, axis=1), g, group="channels", expect="invariant", output="nodes").passed
    assert not check(lambda g: g.x[:, 0], g, group="channels", expect="invariant", output="nodes").passed
    with pytest.raises(GroupError, match=r"results with the 3 channels of 'x' to be equivariant"):
        check(lambda g: g.x[:, :2], g, group="channels", output="nodes")
    with pytest.raises(GroupError, match=r"a dense node field 'h'"):
        check(gk.nn.ReLU(), g, group=("channels", {"field": "h"}))
    assert GROUPS["channels"].sample(gk.path(2).replace(x=[[1.0], [2.0]]), rng0(0)) is None


# --------------------------------------------------------------------------------------------- a group of one's own
class Negated(gk.symmetry.Element):
    def __init__(self, graph):
        super().__init__([graph], graph.replace(x=-graph.x))

    def values(self, level, name, array, *, linear, given):
        return -array if name in ("x", "output") else array

    def describe(self):
        return "features negated"


class Negation(gk.symmetry.Group):
    def sample(self, graph, rng):
        return Negated(graph)


def test_a_group_of_your_own():
    group, g = Negation("negation"), gk.path(3).replace(x=np.array([[1.0], [2.0], [4.0]]))
    assert gk.symmetry.check(lambda g: np.tanh(g.x), g, group=group, output="nodes").passed
    assert gk.symmetry.check(lambda g: g.x**2, g, group=group, output="nodes", expect="invariant").passed
    report = gk.symmetry.check(lambda g: np.exp(g.x), g, group=group, output="nodes")
    assert "<lambda> is not equivariant under 'negation'" in str(report)
    assert report.counterexample.num_nodes == 1 and "group element: features negated" in str(report)
