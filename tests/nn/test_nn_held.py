"""Holding modules to what they declare, on graphs that are chosen for them."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import DTypeError, GroupError, InvalidArgumentError, SymmetryError
from gnnkit.nn.check_graphs import graphs_for, group_for, step_of
from gnnkit.nn.held import AssertSymmetry


class Leaky(nn.Module):
    """Declares what it does not keep: the mean over all nodes of a batch."""

    symmetry = nn.EQUIVARIANT

    def forward(self, graph):
        x = gk.tensor(graph.x)
        return graph.replace(x=x - np.sum(x, axis=0) * (1.0 / max(graph.num_nodes, 1)))


LAYERS = [
    nn.GATConv(3, 2, heads=2, rng=0),
    nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, rng=0), nn.Tanh(), nn.Upsample(2)),
    nn.Conv1d(2, 3, 3, rng=0),
    nn.Conv3d(2, 3, 3, rng=0),
    nn.HexConv(2, 3, rng=0),
    nn.EGNNConv(3, 2, positions="place", rng=0),
    nn.Softplus(),
    nn.BatchNorm(4),
    nn.BatchNorm(4).eval(),
    nn.GlobalPool("max"),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_graphs_are_found_for_every_group_that_is_declared(layer):
    reports = gk.nn.check_declared(layer, cases=3)
    assert list(reports) == list(layer.symmetry) and all(reports.values())


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (nn.GINEConv(nn.Linear(3, 2, rng=0), in_channels=3, edge_channels=2, rng=0), {"edge_channels": 2}),
        (nn.Embedding(5, 2, rng=0), {"categories": 5}),
        (nn.Flatten(head=nn.Linear(18, 2, rng=0)), {"channels": 2, "size": (3, 3)}),
        (nn.OnGlobals(nn.Linear(2, 2, rng=0)), {"global_channels": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_layer_reads_besides_is_named(layer, options):
    assert all(gk.nn.check_declared(layer, cases=3, **options).values())


@gk.primitive
def first_max(x, indptr, senders):
    out = np.zeros((len(indptr) - 1, x.shape[1]))
    for i in np.flatnonzero(np.diff(indptr)):
        out[i] = x[senders[indptr[i] : indptr[i + 1]]].max(axis=0)
    return out


def _to_the_first(g, y, x, indptr, senders):
    gradient = np.zeros(x.shape)
    for i in np.flatnonzero(np.diff(indptr)):
        near = senders[indptr[i] : indptr[i + 1]]
        gradient[near[x[near].argmax(axis=0)], np.arange(x.shape[1])] += g[i]
    return gradient


gk.defvjp(first_max, _to_the_first)


class FirstMax(nn.Module):
    """Of several neighbours with the largest value only the first gets the gradient."""

    symmetry = nn.EQUIVARIANT

    def forward(self, graph):
        return graph.replace(x=first_max(graph.x, graph.topology.indptr, graph.senders))


class FirstSeven(nn.Module):
    """A table of at most seven neighbours; further ones are left out."""

    symmetry = nn.EQUIVARIANT

    def forward(self, graph):
        place = np.arange(graph.num_edges) - graph.topology.indptr[graph.receivers]
        messages = gk.take_rows(graph.x, graph.senders) * (place < 7.0)[:, None]
        return graph.replace(x=gk.scatter_add(messages, graph.receivers, graph.num_nodes))


class TenNodes(nn.Module):
    """A buffer for ten nodes; from node 10 on nothing happens."""

    symmetry = nn.EQUIVARIANT

    def forward(self, graph):
        return graph.replace(x=graph.x * (1.0 + (np.arange(graph.num_nodes) < 10))[:, None])


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(FirstMax(), "gradient"), (FirstSeven(), "output"), (TenNodes(), "output")],
    ids=lambda v: str(v),
)
def test_what_shows_at_ties_hubs_and_larger_graphs_is_found(layer, kind):
    for cases in (20, 200):
        report = gk.nn.check_declared(layer, cases=cases, group="nodes", shrink=False)["nodes"]
        assert not report.passed and report.counterexample.finding.kind == kind


def test_every_case_has_a_graph_of_its_own():
    seen = set()

    def double(graph):
        seen.add(graph.num_nodes)
        return graph.x * 2

    assert gk.nn.check_declared(double, group="edges", cases=100, output="nodes")["edges"].cases == 100
    assert set(range(8, 29)) <= seen
    seen.clear()
    own = gk.symmetry.small_graphs()[:4]
    gk.nn.check_declared(double, own, group="edges", cases=100, output="nodes")
    assert seen == {3, 4, 13}  # a list of one's own is taken in turn


def test_what_is_no_module_and_no_name_is_refused():
    with pytest.raises(DTypeError, match=r"GCNConv is a class\. Build it first: GCNConv\(\.\.\.\)\."):
        gk.nn.check_declared(nn.GCNConv)
    for group in (("euclidean", {"vectors": "v"}), 3):
        with pytest.raises(
            DTypeError, match=r"group is the name of a group, or a list of names\. Got .*\. For a group"
        ):
            gk.nn.check_declared(nn.ReLU(), group=group)


def test_a_broken_promise_is_found():
    reports = gk.nn.check_declared(Leaky(), cases=20)
    assert [name for name, report in reports.items() if not report] == ["nodes", "union"] or not reports["union"]
    with pytest.raises(SymmetryError, match=r"Leaky\(\) is not equivariant under 'union'"):
        AssertSymmetry(cases=20)(Leaky(), group="union")


def test_groups_and_words_can_be_named():
    layer = nn.GCNConv(3, 2, rng=0)
    assert list(gk.nn.check_declared(layer, group=["union", "torus"], cases=3)) == ["union", "torus"]
    reports = gk.nn.check_declared(layer, group="reversal", cases=10)
    assert not reports["reversal"].passed and reports["reversal"].expect == "equivariant"
    summed = gk.nn.check_declared(lambda g: g.x.sum(axis=0), group="nodes", expect="invariant", output="globals")
    assert summed["nodes"].passed and summed["nodes"].expect == "invariant"


def test_own_graphs_replace_the_small_ones():
    path = gk.path(3).replace(x=np.ones((3, 3)))
    with pytest.raises(GroupError, match="needs a graph on a grid"):
        gk.nn.check_declared(nn.Conv2d(3, 2, 3), path, group="torus")
    assert gk.nn.check_declared(nn.GCNConv(3, 2, rng=0), path, group="nodes", cases=2)["nodes"].cases == 2


def test_nothing_declared_and_nothing_named_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"must be declared or named\. Lambda declares no symmetry"):
        gk.nn.check_declared(nn.Lambda(abs))


def test_graphs_have_what_a_module_needs():
    assert graphs_for(nn.Sequential(nn.ReLU(), nn.Linear(5, 2)), "nodes")[0].x.shape[1] == 5
    assert graphs_for(nn.ReLU(), "nodes")[0].x.shape[1] == 3 and "pos" not in graphs_for(nn.ReLU(), "nodes")[0].nodes
    assert "place" in graphs_for(nn.SchNetConv(3, 2, positions="place"), "nodes")[0].nodes
    deep = nn.UNet(2, 2, widths=(2, 2, 2, 2))
    sizes = [graph.topology.grid.size for graph in graphs_for(deep, "torus")]
    assert step_of(deep) == 8 and sizes == [(16, 16), (24, 16)]
    assert group_for(deep, "torus") == ("torus", {"step": 8}) and group_for(deep, "union") == "union"
    assert group_for(deep, "translation", step=2) == ("translation", {"step": 2})
    assert group_for(deep, "union", size=(4, 4)) == ("union", {"empty": False})
    assert step_of(nn.Conv2d(1, 1, 3, stride=(2, 3))) == 6 and step_of(abs) == 1
    assert all(graph.num_graphs == 1 for graph in graphs_for(abs, "nodes"))  # a plain function knows no batches
