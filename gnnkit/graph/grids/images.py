"""Doors for arrays on a grid: images, volumes and sequences become graphs. Knows Graph and GridTopology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, ShapeError, type_name, unknown_name
from gnnkit.graph.fields import is_tensor, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.arguments import as_ndim
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.grids.reading import read_image
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.grids.topology import GridTopology, grid_topology
from gnnkit.graph.topology import Topology

AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def from_image(
    image: Any,
    *,
    mask: Any = None,
    kernel_size: Any = 3,
    border: str = "zero",
    lattice: str = "square",
    channels: str = "last",
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    allow_nan: bool = False,
) -> Graph:
    """Make a graph whose nodes are the pixels of one image, or of a batch of images.

    Parameters
    ----------
    image : array, Tensor, PIL image, path, or a list of any of these
        ``[height, width]`` and ``[height, width, channels]`` are one image, ``[num_images, height, width, channels]``
        is a batch; three axes always mean one image with channels. A list is a batch of images of any sizes, without
        padding. uint8 becomes float32 in [0, 1] (divided by 255), booleans become 0 and 1; floats stay as they are.
    mask : bool array, optional
        Which pixels exist, see :class:`gnnkit.graph.Grid`. The others are no nodes, and may hold NaN.
    kernel_size : int or (int, int)
        The graph's own edges: every pixel hears those of this neighbourhood.
    border : {"zero", "wrap", "reflect", "edge"}
        What lies beyond the edge, see :class:`gnnkit.graph.Stencil`; convolutions follow it.
    lattice : {"square", "hexagonal"}
        Hexagonal: odd rows are shifted to the right by half a pixel.
    channels : {"last", "first"}
        Where the axis of channels is, if there is one: first for ``[num_images, channels, height, width]``.
    nodes : mapping of name to array, optional
        More values per pixel, such as labels, in the shapes of ``image``; dtypes stay as they are.
    u : array [num_images, ...], optional
        Values per image.
    allow_nan : bool
        Accept NaN in the pixels that exist.

    Returns
    -------
    Graph
        ``x`` [num_nodes, channels], pixels in C order, one image after another; no edge is stored.

    Raises
    ------
    ShapeError, DTypeError, InvalidFeatureError, FileMissingError, FileFormatError

    Notes
    -----
    An image without pixels, and a mask without any, give a graph without nodes. :func:`to_image` is the way back.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.from_image(np.zeros((2, 28, 28, 1), "float32"))
    Graph(num_graphs=2, num_nodes=1568, num_edges=13448, x=float32[1568, 1])
    >>> gk.from_image([np.zeros((2, 3, 3), "uint8"), np.zeros((4, 4, 3), "uint8")]).node_ptr
    array([ 0,  6, 22])
    """
    stencil = Stencil(kernel_size, ndim=2, border=border, lattice=lattice)
    return _from_array(image, stencil, mask, channels, nodes, u, allow_nan)


def from_volume(
    volume: Any,
    *,
    mask: Any = None,
    kernel_size: Any = 3,
    border: str = "zero",
    channels: str = "last",
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    allow_nan: bool = False,
) -> Graph:
    """Make a graph whose nodes are the cells of a volume or a video; :func:`from_image` with three axes.

    Parameters
    ----------
    volume : array, Tensor or list
        ``[depth, height, width]``, ``[depth, height, width, channels]``, or a batch of these with channels.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.from_volume(np.zeros((4, 4, 4), "float32"))
    Graph(num_nodes=64, num_edges=1000, x=float32[64, 1])
    """
    return _from_array(volume, Stencil(kernel_size, ndim=3, border=border), mask, channels, nodes, u, allow_nan)


def from_sequence(
    sequence: Any,
    *,
    mask: Any = None,
    kernel_size: Any = 3,
    border: str = "zero",
    channels: str = "last",
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    allow_nan: bool = False,
) -> Graph:
    """Make a graph whose nodes are the steps of a sequence; :func:`from_image` with one axis.

    Parameters
    ----------
    sequence : array, Tensor or list
        ``[length]``, ``[length, channels]``, ``[num_sequences, length, channels]``, or a list of any lengths.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.from_sequence([np.zeros((3, 2)), np.zeros((5, 2))])
    Graph(num_graphs=2, num_nodes=8, num_edges=20, x=float64[8, 2])
    """
    return _from_array(sequence, Stencil(kernel_size, ndim=1, border=border), mask, channels, nodes, u, allow_nan)


def from_grid_array(
    array: Any,
    *,
    ndim: int,
    mask: Any = None,
    kernel_size: Any = 3,
    border: str = "zero",
    channels: str = "last",
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    allow_nan: bool = False,
) -> Graph:
    """:func:`from_sequence`, :func:`from_image` or :func:`from_volume`, by the number of axes ``ndim`` of one image.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.from_grid_array(np.zeros((2, 5, 3)), ndim=1).num_graphs
    2
    """
    return _from_array(
        array, Stencil(kernel_size, ndim=as_ndim(ndim), border=border), mask, channels, nodes, u, allow_nan
    )


def grid_graph(
    grid: Grid | GridTopology,
    *,
    x: Any = None,
    stencil: Stencil | None = None,
    nodes: Mapping[str, Any] | None = None,
    u: Any = None,
    globals: Mapping[str, Any] | None = None,
) -> Graph:
    """A graph on a grid from values per node; quick, for code that has checked its values.

    Parameters
    ----------
    grid : Grid, or GridTopology of one grid
    x : array or Tensor [num_nodes, channels], optional
    stencil : Stencil, optional
        The graph's own edges; default: kernel size 3, border "zero".
    nodes, globals : mapping of name to array, optional
    u : array [num_graphs, ...], optional

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.graph.grid_graph(gk.graph.Grid((2, 2), num_graphs=3), x=np.zeros((12, 5)))
    Graph(num_graphs=3, num_nodes=12, num_edges=48, x=float64[12, 5])
    """
    if isinstance(grid, GridTopology):
        topology = grid
        if stencil is not None and stencil != topology.stencil:
            topology = grid_topology(grid.grid, stencil)
    else:
        topology = grid_topology(grid, stencil or Stencil(3, ndim=grid.ndim, lattice=grid.lattice))
    node_fields = dict(nodes or {})
    if x is not None:
        node_fields["x"] = x
    global_fields = dict(globals or {})
    if u is not None:
        global_fields["u"] = u
    return Graph.trusted(topology, node_fields, None, global_fields)


def as_grid(value: Grid | Graph | Topology) -> Grid:
    """The grid of a graph or a topology; an error with advice if it has none.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.graph.as_grid(gk.from_image(np.zeros((4, 6))))
    Grid(4 x 6, num_nodes=24)
    """
    if isinstance(value, Grid):
        return value
    topology = value.topology if isinstance(value, Graph) else value
    if isinstance(topology, GridTopology):
        return topology.grid
    raise DTypeError(
        f"This needs a graph on a grid, such as an image. Got {type_name(value)} with listed edges. "
        "Make one with gk.from_image, gk.from_sequence or gk.from_volume."
        if isinstance(value, (Graph, Topology))
        else f"A grid must come from a Graph, a GridTopology or a Grid. Got {type_name(value)}. "
        "Make a graph with gk.from_image, gk.from_sequence or gk.from_volume."
    )


# ------------------------------------------------------------------ arrays in
def _from_array(array: Any, stencil: Stencil, mask: Any, channels: str, nodes: Any, u: Any, allow_nan: bool) -> Graph:
    if channels not in ("last", "first"):
        raise unknown_name("place of the channels", channels, ("last", "first"))
    if isinstance(array, (list, tuple)):
        images = [_one_image(item, i, stencil.ndim, channels) for i, item in enumerate(array)]
        grid, rows = _from_list(images, stencil, mask)
    else:
        grid, rows = _from_whole(read_image(array, stencil.ndim), stencil, mask, channels)
    topology = grid_topology(grid, stencil)
    fields = {"x": _existing(rows, grid)}
    for name, value in (nodes or {}).items():
        fields[name] = _existing(_rows_of(value, grid, name, channels), grid)
    return Graph(topology, fields, None, None if u is None else {"u": u}, allow_nan=allow_nan)


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
    array = read_image(item, ndim)
    if array.ndim not in (ndim, ndim + 1):
        raise ShapeError(
            f"Every image of a list must be [{AXES[ndim]}] or [{AXES[ndim]}, channels]. Image {i} has shape "
            f"{tuple(array.shape)}. Give single images, or one array for images of one size."
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
    rows = [image.reshape((int(np.prod(image.shape[:-1])), image.shape[-1])) for image in images]
    return grid, np.concatenate(rows)


def _rows_of(value: Any, grid: Grid, name: str, channels: str) -> Any:
    """More values per pixel, [num_cells] or [num_cells, channels], from arrays in the shape of the images."""
    if isinstance(value, (list, tuple)):
        parts = [_field_rows(item, size, name, channels) for item, size in zip(value, grid.sizes)]
        if len(value) == grid.num_graphs and parts:
            return np.concatenate(parts)
        raise ShapeError(
            f"The node field {name!r} must have one array per image, {grid.num_graphs}. Got {len(value)}. "
            "Give one for each."
        )
    array = value if is_tensor(value) else np.asarray(value)
    if grid.num_graphs != 1 or (array.ndim > grid.ndim and tuple(array.shape[: grid.ndim]) != grid.size):
        if not grid.is_uniform or array.shape[:1] != (grid.num_graphs,):
            raise ShapeError(
                f"The node field {name!r} must have one row of values per image, {grid.num_graphs}. Got shape "
                f"{tuple(array.shape)}. Give an array [num_images, ...], or a list for images of different sizes."
            )
        return _field_rows(array, (grid.num_graphs, *grid.size), name, channels, batch=True)
    return _field_rows(array, grid.size, name, channels)


def _field_rows(value: Any, size: tuple[int, ...], name: str, channels: str, *, batch: bool = False) -> Any:
    array = value if is_tensor(value) else np.asarray(value)
    if channels == "first" and array.ndim == len(size) + 1:
        array = _channels_last(array, int(batch))
    if tuple(array.shape[: len(size)]) != size or array.ndim > len(size) + 1:
        raise ShapeError(
            f"The node field {name!r} must have one value or one row of channels per pixel, {list(size)} or "
            f"{[*size, 'channels']}. Got shape {tuple(raw(array).shape)}. Bring it to the size of the images."
        )
    return array.reshape((int(np.prod(size)), *array.shape[len(size) :]))
