"""Masks: which cells of a grid exist, as the caller gives them, and which receivers follow. Arrays only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit.errors import DTypeError, ShapeError
from gnnkit.graph.grids.arguments import size_text
from gnnkit.graph.grids.axes import tap_map

if TYPE_CHECKING:
    from gnnkit.graph.grids.grid import Grid
    from gnnkit.graph.grids.stencil import Stencil


def as_mask(mask: Any, grid: Grid) -> np.ndarray:
    """Return a mask in any of its forms as a new bool array [num_cells] of all images of ``grid``."""
    if isinstance(mask, (list, tuple)) and not _is_one_array(mask, grid):
        return _from_list(mask, grid)
    if not grid.is_uniform:
        array = _as_bool(mask, "mask")
        if array.shape != (grid.num_cells,):
            raise ShapeError(
                f"The mask of images of different sizes must be a list of arrays, or flat with one entry per cell "
                f"({grid.num_cells}). Got shape {array.shape}. Give [mask of image 0, mask of image 1, ...]."
            )
        return array.copy()
    array, size, count = _as_bool(mask, "mask"), grid.size, grid.num_graphs
    if array.shape == size:
        return np.tile(array.reshape(-1), count)
    if array.shape in ((count, *size), (grid.num_cells,)):
        return array.reshape(-1).copy()
    raise ShapeError(
        f"A mask must have the shape of an image, {size}, or of the batch, {(count, *size)}. Got shape {array.shape}. "
        "Give True for every cell that exists, without channels."
    )


def _is_one_array(mask: Any, grid: Grid) -> bool:
    """Whether nested lists are one array: a list of arrays, and of masks of different sizes, has one per image."""
    if not grid.is_uniform:
        return not any(isinstance(item, (list, tuple, np.ndarray)) for item in mask)
    while isinstance(mask, (list, tuple)):
        if any(isinstance(item, np.ndarray) for item in mask):
            return False
        mask = mask[0] if mask else None
    return True


def _from_list(masks: Any, grid: Grid) -> np.ndarray:
    if len(masks) != grid.num_graphs:
        raise ShapeError(
            f"A list of masks must have one mask per image, {grid.num_graphs}. Got {len(masks)}. Give one for each."
        )
    parts = []
    for i, (mask, size) in enumerate(zip(masks, grid.sizes)):
        array = _as_bool(mask, f"mask {i}")
        if array.shape != size:
            raise ShapeError(
                f"Every mask must have the size of its image. Image {i} is {size_text(size)}, its mask has shape "
                f"{array.shape}. Give True for every cell that exists, without channels."
            )
        parts.append(array.reshape(-1))
    return np.concatenate(parts)


def _as_bool(mask: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(mask)
    except ValueError as reason:
        raise ShapeError(
            f"{name} must have rows of one length. Got nested lists that differ ({reason}). "
            "Give an array of the shape of the image."
        ) from reason
    if array.dtype.kind != "b" and array.size:
        raise DTypeError(
            f"{name} must be boolean, True where a cell exists. Got dtype {array.dtype}. "
            "Turn numbers into booleans, for instance with mask != 0."
        )
    return array.astype(bool, copy=False)


def receiver_mask(grid: Grid, stencil: Stencil, sizes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """bool, flat over images of ``sizes``: which receivers exist.

    Those in whose window at least one cell exists; and those whose window lies in the padding, so that an image without
    holes has the same receivers beside images with holes as alone.
    """
    assert grid.mask is not None
    if grid.is_uniform:
        images = grid.mask.reshape(grid.num_graphs, *grid.size)
        return _receivers(images, grid.size, stencil).reshape(-1)
    ends = grid.cell_ptr
    parts = [
        _receivers(grid.mask[ends[i] : ends[i + 1]].reshape(1, *size), size, stencil).reshape(-1)
        for i, size in enumerate(grid.sizes)
    ]
    return np.concatenate(parts) if parts else np.zeros(sum(map(math.prod, sizes)), bool)


def _receivers(images: np.ndarray, size: tuple[int, ...], stencil: Stencil) -> np.ndarray:
    in_padding = ~_windows(np.ones((1, *size), bool), size, stencil)
    return _windows(images, size, stencil) | in_padding


def _windows(images: np.ndarray, size: tuple[int, ...], stencil: Stencil) -> np.ndarray:
    # A window is a product of intervals (holes of a dilation included), so one axis goes after the other.
    for axis, taps in enumerate(tap_map(size, stencil)):
        padded = np.concatenate([images, np.zeros_like(images, shape=_with_one(images.shape, axis + 1))], axis=axis + 1)
        out = np.zeros(images.shape[: axis + 1] + (taps.shape[1],) + images.shape[axis + 2 :], bool)
        for positions in taps:  # -1, no cell, reads the row of False at the end
            out |= np.take(padded, positions, axis=axis + 1)
        images = out
    return images


def _with_one(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + (1,) + shape[axis + 1 :]
