"""Arrays, Tensors, images and lists of them as rows of nodes: what the doors of images share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError, type_name, unknown_name
from gnnkit.graph.fields import is_tensor, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.grids.reading import is_foreign, read_image
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.grids.topology import grid_topology

AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def image_graph(array: Any, stencil: Stencil, mask: Any, channels: str, nodes: Any, u: Any, allow_nan: bool) -> Graph:
    """The graph of an array or a list of images, checked."""
    if channels not in ("last", "first"):
        raise unknown_name("place of the channels", channels, ("last", "first"))
    if nodes and "x" in nodes:
        raise InvalidFeatureError(
            "The node field 'x' must be the image itself. Got nodes= with another field 'x'. Give it another name."
        )
    if isinstance(array, (list, tuple)):
        kind = "list"
        images = [_one_image(item, i, stencil.ndim, channels) for i, item in enumerate(array)]
        grid, rows = _from_list(images, stencil, mask)
    else:
        channels = "last" if is_foreign(array) else channels  # PIL has them last always
        array = read_image(array)
        kind = "batch" if array.ndim == stencil.ndim + 2 else "image"
        grid, rows = _from_whole(array, stencil, mask, channels)
    fields = {"x": _existing(rows, grid)}
    for name, value in (nodes or {}).items():
        fields[name] = _existing(_field_rows(value, grid, name, channels, kind), grid)
    return Graph(grid_topology(grid, stencil), fields, None, None if u is None else {"u": u}, allow_nan=allow_nan)


def _existing(rows: Any, grid: Grid) -> Any:
    return rows if grid.mask is None else take_rows(rows, grid.cell_of_node)


def _from_whole(array: Any, stencil: Stencil, mask: Any, channels: str) -> tuple[Grid, Any]:
    ndim = stencil.ndim
    if array.ndim not in (ndim, ndim + 1, ndim + 2):
        raise ShapeError(
            f"One image must be [{AXES[ndim]}] or [{AXES[ndim]}, channels], a batch [num_images, {AXES[ndim]}, "
            f"channels]. Got shape {tuple(array.shape)}. Reshape it, or give a list of images."
        )
    if channels == "first" and array.ndim > ndim:
        array = _channels_last(array, array.ndim - ndim - 1)
    batch = array.ndim == ndim + 2
    size = tuple(array.shape[1:-1]) if batch else tuple(array.shape[:ndim])
    width = array.shape[-1] if array.ndim > ndim else 1
    count = array.shape[0] if batch else 1
    if mask is None:
        grid = Grid.uniform(size, count, lattice=stencil.lattice)
    else:
        grid = Grid(size, mask=mask, num_graphs=count, lattice=stencil.lattice)
    return grid, array.reshape((grid.num_cells, width))


def _channels_last(array: Any, first: int) -> Any:
    axes = [axis for axis in range(array.ndim) if axis != first]
    return array.transpose((*axes, first))


def _one_image(item: Any, i: int, ndim: int, channels: str) -> Any:
    channels = "last" if is_foreign(item) else channels
    array = read_image(item)
    if array.ndim not in (ndim, ndim + 1):
        raise ShapeError(
            f"Every image of a list must be [{AXES[ndim]}] or [{AXES[ndim]}, channels]. Image {i} has shape "
            f"{tuple(array.shape)}. Give single images, or one array (np.array) for images of one size."
        )
    if array.ndim == ndim:
        return array.reshape((*array.shape, 1))
    return _channels_last(array, 0) if channels == "first" else array


def _from_list(images: list[Any], stencil: Stencil, mask: Any) -> tuple[Grid, Any]:
    if not images:
        raise ShapeError(
            "A list of images must hold at least one, or their size and channels are unknown. Got an empty list. "
            "For a batch of no images give an array of shape [0, height, width, channels]."
        )
    first = images[0]
    for i, image in enumerate(images):
        if image.shape[-1] != first.shape[-1]:
            raise ShapeError(
                f"All images of a batch must have the same number of channels. Image 0 has {first.shape[-1]}, image "
                f"{i} has {image.shape[-1]} (shape {tuple(image.shape)}). Convert them to one kind, grey or colour."
            )
        if image.dtype != first.dtype:
            raise DTypeError(
                f"All images of a batch must have the same dtype. Image 0 has {first.dtype}, image {i} has "
                f"{image.dtype}. Convert them with .astype."
            )
    sizes = [tuple(image.shape[:-1]) for image in images]
    grid = Grid(sizes, mask=mask, lattice=stencil.lattice)
    rows = [image.reshape((math.prod(image.shape[:-1]), image.shape[-1])) for image in images]
    return grid, np.concatenate(rows)


def _field_rows(value: Any, grid: Grid, name: str, channels: str, kind: str) -> Any:
    """More values per pixel, [num_cells] or [num_cells, channels], in the form in which the images came."""
    if kind == "image":
        return _rows(value, grid.size, name, channels, 0)
    if kind == "batch":
        return _rows(value, (grid.num_graphs, *grid.size), name, channels, 1)
    if not isinstance(value, (list, tuple)) or len(value) != grid.num_graphs:
        came = f"{len(value)} items" if isinstance(value, (list, tuple)) else type_name(value)
        raise ShapeError(
            f"The node field {name!r} must be a list of one array per image, as the images are: {grid.num_graphs}. "
            f"Got {came}. Give one for each."
        )
    return np.concatenate([_rows(item, size, name, channels, 0) for item, size in zip(value, grid.sizes)])


def _rows(value: Any, size: tuple[int, ...], name: str, channels: str, first: int) -> Any:
    array = value if is_tensor(value) else np.asarray(value)
    if channels == "first" and array.ndim == len(size) + 1:
        array = _channels_last(array, first)
    if tuple(array.shape[: len(size)]) != size or array.ndim > len(size) + 1:
        raise ShapeError(
            f"The node field {name!r} must have one value or one row of channels per pixel, {list(size)} or "
            f"{[*size, 'channels']}. Got shape {tuple(array.shape)}. Bring it to the size of the images."
        )
    return array.reshape((math.prod(size), *array.shape[len(size) :]))
