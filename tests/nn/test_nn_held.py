"""Holding modules to what they declare, on graphs that are chosen for them."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import GroupError, InvalidArgumentError, SymmetryError
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


def test_a_broken_promise_is_found():
    reports = gk.nn.check_declared(Leaky(), cases=20)
    assert [name for name, report in reports.items() if not report] == ["nodes", "union"] or not reports["union"]
    with pytest.raises(SymmetryError, match=r"Leaky\(\) is not equivariant under 'union'"):
        AssertSymmetry(cases=20)(Leaky(), group="union")


def test_groups_and_words_can_be_named():
    layer = nn.GCNConv(3, 2, rng=0)
    assert list(gk.nn.check_declared(layer, groups=["union", "torus"], cases=3)) == ["union", "torus"]
    reports = gk.nn.check_declared(layer, groups="reversal", cases=10)
    assert not reports["reversal"].passed and reports["reversal"].expect == "equivariant"
    summed = gk.nn.check_declared(lambda g: g.x.sum(axis=0), groups="nodes", expect="invariant", output="globals")
    assert summed["nodes"].passed and summed["nodes"].expect == "invariant"


def test_own_graphs_replace_the_small_ones():
    path = gk.path(3).replace(x=np.ones((3, 3)))
    with pytest.raises(GroupError, match="needs a graph on a grid"):
        gk.nn.check_declared(nn.Conv2d(3, 2, 3), path, groups="torus")
    assert gk.nn.check_declared(nn.GCNConv(3, 2, rng=0), path, groups="nodes", cases=2)["nodes"].cases == 2


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
