"""Hexagonal grids against geometry: centres of cells in the plane, neighbours found by distance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph import Grid, GridTopology, Stencil
from gnnkit.graph.grids import parts as grid_parts

ROW = np.sqrt(3) / 2


def centres(height: int, width: int) -> np.ndarray:
    row, column = np.indices((height, width)).reshape(2, -1)
    return np.stack([row * ROW, column + 0.5 * (row % 2)], axis=1)


def geometric_edges(height: int, width: int, stencil: Stencil) -> list[tuple[int, int, int]]:
    """(receiver, sender, offset): whose centre lies where each step from a receiver leads, round a torus or not."""
    places = centres(height, width)
    edges = []
    for receiver, centre in enumerate(places):
        for k, (down, along) in enumerate(stencil.offsets.tolist()):
            target = centre + [down * ROW, along + down / 2]
            gap = places - target
            if stencil.border == "wrap":
                period = np.array([height * ROW, width])
                gap -= np.round(gap / period) * period
            near = np.flatnonzero(np.hypot(*gap.T) < 1e-6)
            assert len(near) <= 1
            edges += [(receiver, int(sender), k) for sender in near]
    return sorted(edges)


def listed(topology: GridTopology) -> list[tuple[int, int, int]]:
    return list(zip(topology.receivers.tolist(), topology.senders.tolist(), topology.offset.tolist()))


def expanded(parts: tuple) -> list[tuple[int, int, int]]:
    edges = []
    for part in parts:
        rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
        slot, column = np.nonzero(part.table >= 0)
        for sender, receiver in zip(part.sender_base, part.receiver_base):
            columns = receiver + rows[column], sender + part.table[slot, column], part.offsets[slot]
            edges += list(zip(*(each.tolist() for each in columns)))
    return sorted(edges)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 4), st.integers(0, 9), st.integers(0, 3), st.sampled_from(["zero", "wrap"]), st.integers(0, 1))
def test_edges_are_those_of_the_plane(half: int, width: int, radius: int, border: str, odd: int) -> None:
    height = 2 * half + (odd if border == "zero" else 0)
    stencil = Stencil(2 * radius + 1, border=border, lattice="hexagonal")
    topology = GridTopology(Grid((height, width), lattice="hexagonal"), stencil)
    expected = geometric_edges(height, width, stencil)
    assert listed(topology) == expected and topology.num_edges == len(expected)
    assert expanded(topology.parts) == expected
    turned = sorted((sender, receiver, k) for receiver, sender, k in expected)
    assert expanded(topology.transpose().parts) == turned == listed(topology.transpose())


@pytest.mark.parametrize("border", ["zero", "wrap"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_strips_are_the_same_plan(border: str, reverse: bool, radius: int) -> None:
    stencil = Stencil(2 * radius + 1, border=border, lattice="hexagonal")
    whole = grid_parts.image_parts((38, 5), stencil, reverse)
    strips = grid_parts.image_parts((38, 5), stencil, reverse, 1)
    assert len(whole) == 1 and max(len(part.sender_base) for part in strips) > 10
    assert expanded(strips) == expanded(whole)


def test_offsets_are_the_cells_within_reach() -> None:
    for radius in range(4):
        stencil = Stencil(2 * radius + 1, lattice="hexagonal")
        down, along = stencil.offsets.T
        steps = np.maximum.reduce([abs(down), abs(along), abs(down + along)])
        assert stencil.num_offsets == len(stencil.offsets) == 1 + 3 * radius * (radius + 1)
        assert steps.max() == radius and Counter(steps.tolist())[radius] == max(6 * radius, 1)
    np.testing.assert_array_equal(Stencil(3, lattice="hexagonal").offsets[3], [0, 0])


def test_masks_leave_out_cells_and_batches_repeat() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((3, 6, 5)) < 0.6
    grid = Grid((6, 5), num_graphs=3, mask=mask, lattice="hexagonal")
    stencil = Stencil(5, lattice="hexagonal")
    topology = GridTopology(grid, stencil)
    expected, start = [], 0
    for one in mask.reshape(3, -1):
        node = start + np.cumsum(one) - 1
        expected += [(node[r], node[s], k) for r, s, k in geometric_edges(6, 5, stencil) if one[r] and one[s]]
        start += one.sum()
    assert listed(topology) == sorted(expected) == expanded(topology.parts)
    assert topology.receiver_grid is grid


def test_a_hexagonal_image_has_its_lattice() -> None:
    g = gk.from_image(np.zeros((4, 6)), lattice="hexagonal")
    assert g.topology.in_degree().max() == 7 and g.topology.grid.lattice == "hexagonal"
    assert repr(g.topology) == f"GridTopology(4 x 6, kernel 3 x 3, hexagonal, num_edges={g.num_edges})"


def test_errors_say_what_a_hexagonal_grid_takes() -> None:
    with pytest.raises(InvalidArgumentError, match=r"one odd number 2 r \+ 1"):
        Stencil(4, lattice="hexagonal")
    with pytest.raises(InvalidArgumentError, match=r"stride and dilation must be 1"):
        Stencil(3, lattice="hexagonal", stride=2)
    with pytest.raises(InvalidArgumentError, match=r"must be 'zero' or 'wrap'. Got 'reflect'"):
        Stencil(3, lattice="hexagonal", border="reflect")
    with pytest.raises(InvalidArgumentError, match=r"even number of rows.*Got 3 rows"):
        GridTopology(Grid((3, 4), lattice="hexagonal"), Stencil(3, lattice="hexagonal", border="wrap"))
    with pytest.raises(InvalidArgumentError, match=r"same lattice. The grid is square"):
        GridTopology(Grid((4, 4)), Stencil(3, lattice="hexagonal"))
    with pytest.raises(InvalidArgumentError, match=r"must have 2 axes. Got 1"):
        Grid((3,), lattice="hexagonal")
    with pytest.raises(ShapeError, match=r"number of axes"):
        GridTopology(Grid((3,)), Stencil(3, ndim=2))
