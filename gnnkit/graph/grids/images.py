"""Doors for arrays on a grid: images, volumes and sequences become graphs; ``access`` holds the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.arguments import as_ndim
from gnnkit.graph.grids.arrays import image_graph
from gnnkit.graph.grids.stencil import Stencil


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
        Where arrays have the axis of channels, if any: first for ``[num_images, channels, height, width]``.
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
    return image_graph(image, stencil, mask, channels, nodes, u, allow_nan)


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
    return image_graph(volume, Stencil(kernel_size, ndim=3, border=border), mask, channels, nodes, u, allow_nan)


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
    return image_graph(sequence, Stencil(kernel_size, ndim=1, border=border), mask, channels, nodes, u, allow_nan)


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
    return image_graph(
        array, Stencil(kernel_size, ndim=as_ndim(ndim), border=border), mask, channels, nodes, u, allow_nan
    )
