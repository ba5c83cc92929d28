"""Batches of grid graphs: joined and split they stay grids."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph import Grid, GridTopology, Stencil, grid_topology, join_grids
from gnnkit.graph.batching import join_topologies


def images(rng: np.random.Generator) -> list[gk.Graph]:
    mask = rng.random((4, 5)) < 0.5
    return [
        gk.from_image(rng.random((4, 5, 2)), u=[[1.0]]),
        gk.from_image(rng.random((3, 2, 2)), u=[[2.0]]),
        gk.from_image(rng.random((4, 5, 2)), mask=mask, u=[[3.0]]),
        gk.from_image(rng.random((0, 5, 2)), u=[[4.0]]),
    ]


def test_batching_keeps_grids_of_any_sizes_and_masks() -> None:
    parts = images(np.random.default_rng(0))
    both = gk.batch(parts)
    assert isinstance(both.topology, GridTopology) and both.num_graphs == 4
    assert both.topology.grid.sizes == ((4, 5), (3, 2), (4, 5), (0, 5))
    explicit = gk.batch([gk.transforms.to_explicit(part) for part in parts])
    assert both.topology == explicit.topology
    np.testing.assert_array_equal(both.topology.offset, explicit.edges["offset"])
    np.testing.assert_array_equal(both.edge_ptr, explicit.edge_ptr)
    for back, part in zip(gk.unbatch(both), parts, strict=True):
        assert isinstance(back.topology, GridTopology) and back.topology == part.topology
        assert back.topology.grid == part.topology.grid
        np.testing.assert_array_equal(back.x, part.x)
        np.testing.assert_array_equal(back.u, part.u)


def test_images_of_one_size_make_the_interned_topology() -> None:
    x = np.random.default_rng(0).random((3, 4, 4, 1))
    both = gk.batch([gk.from_image(x[:2]), gk.from_image(x[2])])
    assert both.topology is gk.from_image(x).topology
    assert all(part.topology is gk.from_image(x[0]).topology for part in gk.unbatch(both))
    np.testing.assert_array_equal(gk.to_image(both), x)


def test_edge_fields_go_along() -> None:
    parts = [g.replace(e=np.arange(g.num_edges)) for g in images(np.random.default_rng(1))]
    for back, part in zip(gk.unbatch(gk.batch(parts)), parts, strict=True):
        np.testing.assert_array_equal(back.e, part.e)


def test_other_stencils_and_listed_edges_make_a_listed_graph() -> None:
    one, other = gk.from_image(np.zeros((3, 3))), gk.from_image(np.zeros((3, 3)), border="wrap")
    mixed = gk.batch([one, other])
    assert type(mixed.topology) is gk.Topology and mixed.num_edges == one.num_edges + other.num_edges
    assert type(gk.batch([one, gk.transforms.to_explicit(one).without("offset")]).topology) is gk.Topology
    assert [g.num_edges for g in gk.unbatch(mixed)] == [one.num_edges, other.num_edges]


def test_bipartite_grids_join_too() -> None:
    stencil = Stencil(2, ndim=1, stride=2)
    parts = [grid_topology(Grid((n,)), stencil) for n in (4, 5)]
    assert join_topologies(parts) is grid_topology(Grid([(4,), (5,)]), stencil)
    turned = join_topologies([part.transpose() for part in parts])
    assert isinstance(turned, GridTopology) and turned.is_transposed
    assert turned.transpose() is grid_topology(Grid([(4,), (5,)]), stencil)


def test_a_batch_of_no_images_adds_none() -> None:
    empty, full = gk.from_image(np.zeros((0, 4, 4, 1))), gk.from_image(np.ones((2, 4, 4, 1)))
    assert empty.num_graphs == 0 and gk.batch([empty, full]).topology is full.topology
    assert gk.unbatch(empty) == []


def test_joining_grids() -> None:
    assert join_grids([Grid((2,)), Grid((3,))]) == Grid([(2,), (3,)])
    assert join_grids([Grid((2,)), Grid((2,), mask=[True, False])]).num_nodes == 3
    with pytest.raises(ShapeError, match=r"same lattice and number of axes"):
        join_grids([Grid((2,)), Grid((2, 2))])
    with pytest.raises(InvalidArgumentError, match=r"At least one grid"):
        join_grids([])
