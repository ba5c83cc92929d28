"""Grid and Stencil: sizes, masks, order of nodes, sizes of outputs, equality, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from gnnkit.errors import (
    DTypeError,
    ImmutableError,
    InvalidArgumentError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.graph import Grid, Stencil


def test_a_batch_of_one_size_knows_its_nodes() -> None:
    grid = Grid((2, 3), num_graphs=4)
    assert (grid.ndim, grid.num_graphs, grid.num_cells, grid.num_nodes) == (2, 4, 24, 24)
    assert grid.is_uniform and grid.size == (2, 3) and grid.sizes == ((2, 3),) * 4
    np.testing.assert_array_equal(grid.node_ptr, [0, 6, 12, 18, 24])
    np.testing.assert_array_equal(grid.coordinates()[:7], [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [0, 0]])
    assert grid.mask is None and grid.node_of_cell is None
    np.testing.assert_array_equal(grid.cell_of_node, np.arange(24))
    assert repr(grid) == "Grid(2 x 3, 4 images, num_nodes=24)"


def test_images_of_different_sizes_stand_one_after_another() -> None:
    grid = Grid([(2, 1), (0, 3), (1, 3)])
    assert not grid.is_uniform and grid.num_nodes == 5
    np.testing.assert_array_equal(grid.node_ptr, [0, 2, 2, 5])
    np.testing.assert_array_equal(grid.coordinates(), [[0, 0], [1, 0], [0, 0], [0, 1], [0, 2]])
    assert repr(grid) == "Grid(3 images of 3 sizes, num_nodes=5)"
    with pytest.raises(ShapeError, match=r"must have one size.*Use grid.sizes"):
        _ = grid.size
    assert grid.image(2) == Grid((1, 3))


def test_a_mask_numbers_the_cells_that_exist() -> None:
    mask = np.array([[True, False], [False, True]])
    grid = Grid((2, 2), mask=mask, num_graphs=2)
    np.testing.assert_array_equal(grid.node_of_cell, [0, -1, -1, 1, 2, -1, -1, 3])
    np.testing.assert_array_equal(grid.cell_of_node, [0, 3, 4, 7])
    np.testing.assert_array_equal(grid.node_ptr, [0, 2, 4])
    np.testing.assert_array_equal(grid.coordinates(), [[0, 0], [1, 1]] * 2)
    mask[:] = True  # the caller's array is copied
    assert grid.num_nodes == 4 and not grid.mask.flags.writeable
    assert grid.without_mask() == Grid((2, 2), num_graphs=2)


@pytest.mark.parametrize("form", ["image", "batch", "flat", "list", "nested lists"])
def test_masks_come_in_several_forms(form: str) -> None:
    one = np.array([[True, False, True]])
    given = {
        "image": one,
        "batch": np.stack([one, one]),
        "flat": np.tile(one.ravel(), 2),
        "list": [one, one],
        "nested lists": one.tolist(),
    }[form]
    grid = Grid([(1, 3), (1, 3)], mask=given)
    np.testing.assert_array_equal(grid.mask, [True, False, True] * 2)


def test_a_mask_of_all_cells_is_no_mask_and_one_of_none_is_legal() -> None:
    assert Grid((2, 2), mask=np.ones((2, 2), bool)) == Grid((2, 2))
    empty = Grid((2, 2), mask=np.zeros((2, 2), bool))
    assert empty.num_nodes == 0 and empty != Grid((2, 2))
    np.testing.assert_array_equal(empty.node_ptr, [0, 0])
    assert empty.coordinates().shape == (0, 2)


def test_equality_is_by_value_and_survives_workers() -> None:
    mask = np.array([True, False, True])
    grids = [
        Grid((3,)),
        Grid((3,), num_graphs=0),
        Grid((3,), mask=mask),
        Grid((3,), mask=~mask),
        Grid([(3,), (2,)]),
        Grid((3, 1)),
        Grid((3, 1), lattice="hexagonal"),
    ]
    assert len(set(grids)) == len(grids)
    for grid in grids:
        again = pickle.loads(pickle.dumps(grid))
        assert again == grid and hash(again) == hash(grid)
        assert copy.deepcopy(grid) is grid is copy.copy(grid)
    assert Grid([(3,), (3,)]) == Grid((3,), num_graphs=2) == Grid(3, num_graphs=2)
    assert Grid((3,)) != "grid"
    with pytest.raises(ImmutableError, match=r"never changes"):
        grids[0].ndim = 2


def test_errors_of_grids() -> None:
    with pytest.raises(InvalidArgumentError, match=r"1, 2 or 3 axes. Got 4"):
        Grid((1, 2, 3, 4))
    with pytest.raises(InvalidArgumentError, match=r"0 or more. Got -1"):
        Grid((3, -1))
    with pytest.raises(InvalidArgumentError, match=r"empty list of sizes.*num_graphs=0"):
        Grid([])
    with pytest.raises(InvalidArgumentError, match=r"num_graphs must come with one size"):
        Grid([(2, 2)], num_graphs=2)
    with pytest.raises(ShapeError, match=r"Image 0 has 2, image 1 has 1"):
        Grid([(2, 2), (2,)])
    with pytest.raises(DTypeError, match=r"integer"):
        Grid("3")
    with pytest.raises(UnknownNameError, match=r"A lattice must be one of: hexagonal, square"):
        Grid((3, 3), lattice="hex")
    with pytest.raises(ShapeError, match=r"shape of an image, \(2, 2\), or of the batch.*Got shape \(2, 3\)"):
        Grid((2, 2), mask=np.ones((2, 3), bool))
    with pytest.raises(DTypeError, match=r"must be boolean.*mask != 0"):
        Grid((2, 2), mask=np.ones((2, 2)))
    with pytest.raises(ShapeError, match=r"one mask per image, 2. Got 1"):
        Grid([(2,), (3,)], mask=[np.ones(2, bool)])
    with pytest.raises(ShapeError, match=r"Image 1 is 3, its mask has shape"):
        Grid([(2,), (3,)], mask=[np.ones(2, bool), np.ones(2, bool)])
    with pytest.raises(ShapeError, match=r"must be a list of arrays, or flat"):
        Grid([(2,), (3,)], mask=np.ones(4, bool))


# ------------------------------------------------------------------ stencils
def test_a_stencil_lists_its_offsets_in_c_order() -> None:
    stencil = Stencil((2, 3))
    assert stencil.num_offsets == 6 and stencil.ndim == 2
    np.testing.assert_array_equal(stencil.offsets, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    assert stencil == Stencil((2, 3), stride=1, padding="same") and hash(stencil) == hash(Stencil((2, 3)))
    assert stencil != Stencil((2, 3), padding="valid")


def test_what_same_means() -> None:
    assert Stencil(3, ndim=1).pads((7,)) == ((1, 1),)
    assert Stencil(4, ndim=1).pads((7,)) == ((1, 2),)  # one more behind
    assert Stencil(3, ndim=1, stride=2).pads((8,)) == ((0, 1),)  # as TensorFlow
    assert Stencil(3, ndim=1, stride=2).output_size((8,)) == (4,)
    assert Stencil(1, ndim=1, stride=3).pads((8,)) == ((0, 0),)
    assert Stencil(3, ndim=1, dilation=2).pads((7,)) == ((2, 2),)


def test_output_sizes() -> None:
    assert Stencil(3, ndim=2, padding="valid").output_size((5, 3)) == (3, 1)
    assert Stencil(2, ndim=2, stride=2, padding=0).output_size((5, 4)) == (2, 2)
    assert Stencil(3, ndim=1, padding=((2, 1),), dilation=2, stride=2).output_size((6,)) == (3,)
    assert Stencil(3, ndim=1, padding="valid").output_size((0,)) == (0,)
    assert Stencil(3, ndim=1, padding=2).output_size((0,)) == (2,)


def test_repr_says_what_differs_from_the_defaults() -> None:
    stencil = Stencil((3, 5), stride=2, dilation=(1, 2), padding=((0, 1), (2, 2)), border="wrap")
    assert repr(stencil) == "Stencil(kernel 3 x 5, stride 2 x 2, dilation 1 x 2, padding 0+1 x 2, border wrap)"
    assert pickle.loads(pickle.dumps(stencil)) == stencil


def test_errors_of_stencils() -> None:
    with pytest.raises(ShapeError, match=r"must fit into the padded image. Along axis 1 the kernel covers 5 cells"):
        Stencil(3, ndim=2, dilation=(1, 2), padding="valid").output_size((4, 4))
    with pytest.raises(InvalidArgumentError, match=r"must know its number of axes.*ndim=2 for images"):
        Stencil(3)
    with pytest.raises(ShapeError, match=r"same number of axes"):
        Stencil((3, 3), stride=(1, 1, 1))
    with pytest.raises(ShapeError, match=r"one entry per axis, 2"):
        Stencil((3, 3, 3), ndim=2)
    with pytest.raises(InvalidArgumentError, match=r"kernel_size must be 1 or more. Got 0"):
        Stencil(0, ndim=1)
    with pytest.raises(DTypeError, match=r"must be an integer"):
        Stencil(2.5, ndim=1)
    with pytest.raises(InvalidArgumentError, match=r"padding must be 'same', 'valid'.*Got 'full'"):
        Stencil(3, ndim=1, padding="full")
    with pytest.raises(InvalidArgumentError, match=r"0 or more. Got -1"):
        Stencil(3, ndim=1, padding=-1)
    with pytest.raises(ShapeError, match=r"pair \(before, after\)"):
        Stencil(3, ndim=1, padding=((1, 2, 3),))
    with pytest.raises(ShapeError, match=r"padding must have one entry per axis, 1"):
        Stencil(3, ndim=1, padding=(1, 2))
    with pytest.raises(UnknownNameError, match=r"Did you mean 'reflect'"):
        Stencil(3, ndim=1, border="reflex")
    with pytest.raises(ShapeError, match=r"as many axes as the image"):
        Stencil(3, ndim=1).output_size((3, 3))


def test_an_image_that_is_not_there_is_refused() -> None:
    for grid in (Grid((2, 3), num_graphs=2), Grid([(2, 3), (1, 1)]), Grid((2, 3), num_graphs=2, mask=np.eye(2, 3) > 0)):
        assert grid.image(-1) == grid.image(1)
        for wrong in (2, -3):
            with pytest.raises(InvalidArgumentError, match="must be one of the 2 of the grid"):
                grid.image(wrong)
