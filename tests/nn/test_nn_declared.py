"""Declared symmetry: how it reads, what modules promise together, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import InvalidArgumentError, UnknownNameError
from gnnkit.nn import EQUIVARIANT, INVARIANT, NODEWISE, POINTWISE, UNKNOWN, Symmetry, composed


def test_it_is_a_mapping_that_reads_as_a_table():
    assert EQUIVARIANT == {"nodes": "equivariant", "edges": "invariant", "union": "equivariant"}
    assert str(EQUIVARIANT) == "nodes  equivariant\nedges  invariant\nunion  equivariant"
    assert repr(INVARIANT) == "Symmetry({'nodes': 'invariant', 'edges': 'invariant', 'union': 'equivariant'})"
    assert str(UNKNOWN) == "nothing declared" and not UNKNOWN
    strided = nn.Conv2d(1, 1, 3, stride=(1, 2)).symmetry
    assert "torus        equivariant, by steps of (1, 2)" in str(strided).splitlines()
    assert repr(strided).endswith("step=(1, 2))") and "step" not in repr(nn.Conv2d(1, 1, 3).symmetry)
    assert strided != nn.Conv2d(1, 1, 3).symmetry  # the same groups, by other steps
    assert list(Symmetry({"union": "equivariant", "nodes": "equivariant"})) == ["nodes", "union"]  # in one order


def test_more_and_less():
    more = EQUIVARIANT | {"channels": "equivariant"}
    assert more["channels"] == "equivariant" and more.without("channels") == EQUIVARIANT
    assert "channels" not in EQUIVARIANT  # it is a new one


def test_what_follows_from_what_is_declared():
    assert EQUIVARIANT.promises("rot90") == "equivariant"  # a turn of a grid is a relabelling
    assert INVARIANT.promises("torus") == "invariant"
    assert EQUIVARIANT.promises("translation") is None  # other pixels come in at the edge
    assert EQUIVARIANT.promises("euclidean") is None
    assert Symmetry({"nodes": "equivariant"}).promises("flip") is None  # edges come in another order as well
    assert Symmetry({"euclidean": "invariant"}).promises("rotation") == "invariant"


def test_names_are_those_of_the_checker():
    from gnnkit.nn.declared import NAMES

    assert set(NAMES) == set(gk.symmetry.GROUPS)


def test_what_cannot_be_declared_is_refused():
    with pytest.raises(UnknownNameError, match=r"A group must be one of: .*Got 'node'\. Did you mean 'nodes'"):
        Symmetry({"node": "equivariant"})
    with pytest.raises(InvalidArgumentError, match=r"is 'equivariant' or 'invariant'\. Got 'yes' for 'nodes'\. Leave"):
        Symmetry({"nodes": "yes"})
    with pytest.raises(InvalidArgumentError, match=r"maps names of groups.*Got 'equivariant' \(str\)\. Write"):
        Symmetry("equivariant")


def test_layers_one_after_the_other():
    assert composed([nn.GCNConv(2, 2), nn.ReLU()]) == EQUIVARIANT | {"euclidean": "invariant"}
    readout = nn.Sequential(nn.GCNConv(2, 2), nn.GlobalPool("sum"), nn.OnGlobals(nn.Linear(2, 2)))
    assert readout.symmetry == INVARIANT | {"euclidean": "invariant"}
    assert nn.Sequential(nn.GCNConv(2, 2), nn.Lambda(abs)).symmetry == UNKNOWN
    assert nn.Sequential().symmetry == POINTWISE | {"channels": "equivariant"}  # returns what it is given
    assert nn.Sequential(nn.ReLU(), nn.InstanceNorm(2, affine=False)).symmetry == NODEWISE | {"channels": "equivariant"}
    mixed = nn.Sequential(nn.Conv2d(2, 2, 3), nn.GCNConv(2, 2))  # relabellings include shifts of a torus
    assert mixed.symmetry == {"union": "equivariant", "torus": "equivariant"}


def test_positions_that_are_moved_come_out():
    moving, reading = nn.EGNNConv(3, 3), nn.SchNetConv(3, 3)
    still = nn.EGNNConv(3, 3, update_positions=False)
    for layers, word in (
        ([moving], "equivariant"),
        ([still], "invariant"),
        ([reading, nn.ReLU()], "invariant"),
        ([moving, nn.ReLU(), reading], "equivariant"),
        ([moving, nn.GCNConv(3, 3)], "equivariant"),
        ([moving, nn.GlobalPool("sum")], "equivariant"),
        ([reading, nn.GlobalPool("sum")], "invariant"),
    ):
        assert nn.Sequential(*layers).symmetry["euclidean"] == word
    assert nn.Residual(moving).symmetry["euclidean"] == "equivariant"


def test_steps_multiply_and_upsampling_takes_them_back():
    down, up = nn.Conv2d(1, 1, 3, stride=2), nn.ConvTranspose2d(1, 1, 3, stride=2)
    twice = composed([down, nn.ReLU(), nn.MaxPool((2, 3))])
    assert twice.step == (4, 6) and twice.scale == (Fraction(1, 4), Fraction(1, 6))
    assert (composed([down, up]).step, composed([down, up]).scale) == (2, 1)
    assert (composed([up, down]).step, composed([up, down]).scale) == (1, 1)  # on twice the pixels first
    assert (composed([up, down, down]).step, nn.UNet(1, 2, widths=(2, 2, 2)).symmetry.step) == (2, 4)
    block = nn.Residual(nn.Conv2d(1, 1, 3, stride=2), nn.MeanPool(3, stride=2, padding="same"))
    assert block.symmetry["torus"] == "equivariant" and (block.symmetry.step, block.symmetry.scale) == (
        2,
        Fraction(1, 2),
    )
    unequal = nn.Residual(nn.Conv2d(1, 1, 3, stride=2))
    assert unequal.symmetry == {"union": "equivariant"}


@pytest.mark.parametrize(
    ("options", "around"),
    [
        ({}, True),
        ({"padding": 1}, True),
        ({"padding": "valid"}, False),
        ({"padding": ((1, 1), (0, 1))}, False),
        ({"border": "wrap"}, True),
        ({"border": "reflect"}, False),
        ({"stride": 2, "padding": 1}, True),
        ({"stride": 4, "padding": "valid"}, True),
        ({"dilation": 2, "padding": 1}, False),
    ],
)
def test_a_convolution_goes_around_a_torus_if_its_windows_do(options, around):
    assert ("torus" in nn.Conv2d(1, 1, 3, **options).symmetry) is around


def test_a_transposed_convolution_goes_around_if_it_grows_by_the_stride():
    options = [{}, {"padding": 1}, {"padding": 1, "output_padding": 1}]
    assert ["torus" in nn.ConvTranspose2d(1, 1, 3, stride=2, **option).symmetry for option in options] == [1, 0, 1]


def test_windows_that_look_the_same_in_a_mirror():
    same = {"stride": 1, "padding": "same"}
    for layer, groups in (
        (nn.MeanPool(3, **same), {"flip", "rot90"}),
        (nn.MeanPool((3, 5), **same), {"flip"}),
        (nn.MeanPool(2, **same), set()),  # has a pixel more on one side
        (nn.MeanPool(2), set()),  # of an odd size the last pixel is left out
        (nn.MeanPool(3, stride=1, padding=((0, 1), (0, 0))), set()),
        (nn.MaxPool(3, positions=True, **same), set()),
        (nn.Upsample(2), {"flip", "rot90"}),
        (nn.Upsample((1, 2), mode="bilinear"), {"flip"}),
        (nn.Upsample(2, mode="zero"), set()),
        (nn.IsotropicConv(1, 1, border="zero"), {"flip", "rot90"}),
        (nn.IsotropicConv(1, 1, (3, 5)), {"flip"}),
        (nn.Conv2d(1, 1, 3), set()),
    ):
        assert {"flip", "rot90"} & set(layer.symmetry) == groups, layer


def test_networks_inside_of_layers_may_take_promises_back():
    plain, shared, foreign = nn.MLP([2, 2, 2]), nn.MLP([2, 2, 2], norm="batch"), nn.Lambda(abs)
    assert "union" in nn.GINConv(plain).symmetry and "union" in nn.GlobalPool("sum", head=plain).symmetry
    for holder in (
        nn.GINConv(shared),
        nn.EdgeConv(shared),
        nn.NNConv(1, 2, shared),
        nn.GlobalPool("sum", head=shared),
        nn.Flatten(head=shared),
        nn.OnGlobals(shared),
        nn.TypedMap(shared),
        nn.DeepSets(plain, shared),
    ):
        assert "union" not in holder.train().symmetry, holder  # statistics of the whole batch
        assert "union" in holder.eval().symmetry, holder
    assert "union" not in nn.GINConv(nn.InstanceNorm(2)).symmetry  # it sees bare rows: no graph
    for holder in (nn.GINConv(foreign), nn.GlobalPool("sum", head=foreign), nn.TypedMap(foreign)):
        assert holder.symmetry == UNKNOWN
    mixing = nn.GlobalPool("sum", head=nn.Linear(2, 2))
    assert "channels" in nn.GlobalPool("sum").symmetry and "channels" not in mixing.symmetry


def test_batch_statistics_hold_a_batch_together_only_while_training():
    norm = nn.BatchNorm(2)
    assert "union" not in norm.symmetry and norm.symmetry["nodes"] == "equivariant"
    assert norm.eval().symmetry == POINTWISE


def test_a_plain_dict_will_do():
    class Doubled(nn.Module):
        symmetry = {"nodes": "equivariant", "edges": "invariant"}  # noqa: RUF012

        def forward(self, graph):
            return graph.replace(x=graph.x * 2)

    assert nn.Sequential(nn.ReLU(), Doubled()).symmetry == {"nodes": "equivariant", "edges": "invariant"}
