"""Augmentation of the values of pixels: brighter, paler, or gone. Knows grids and their graphs; see ``augment``."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, unknown_name
from gnnkit.graph.fields import is_sparse, raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.access import as_grid, grid_graph
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.transforms.augment import Rng, check_no_edges, check_share

WAYS = ("zero", "mask")


def colour_jitter(
    graph: Graph,
    *,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.0,
    limits: tuple[float, float] | None = (0.0, 1.0),
    rng: Rng = None,
) -> Graph:
    """Change brightness, contrast and saturation of every image by random amounts.

    Parameters
    ----------
    graph : Graph
        On a grid, with floating ``x`` [num_nodes, channels]; other fields stay.
    brightness : float
        Largest number added to every channel.
    contrast : float
        The distance of every value from the image's mean of its channel is multiplied by a factor drawn from
        ``[1 - contrast, 1 + contrast]``.
    saturation : float
        The same for the distance of every channel from the mean of the pixel's channels: 0 keeps colours.
    limits : (least, largest) or None
        Values are clipped to these.
    rng : int or Generator, optional

    Raises
    ------
    DTypeError
        If the graph is no grid, or ``x`` is not floating.
    InvalidArgumentError
        If an amount is negative, or contrast or saturation more than 1.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[0.4, 0.6]]))
    >>> gk.transforms.colour_jitter(g, brightness=0.0, contrast=0.5, rng=0).x[:, 0].round(3)
    array([0.423, 0.577])
    """
    grid, x = as_grid(graph), _values(graph)
    if not isinstance(brightness, Real) or not 0 <= brightness < np.inf:
        raise InvalidArgumentError(f"brightness is a number, at least 0. Got {brightness!r}. Pass for example 0.2.")
    check_share(contrast, "contrast")
    check_share(saturation, "saturation")
    rng = np.random.default_rng(rng)
    count = grid.num_graphs
    add, factor, colour = (rng.uniform(-a, a, count).astype(x.dtype) for a in (brightness, contrast, saturation))
    counts = np.diff(grid.node_ptr)
    if saturation and x.shape[1]:
        grey = x.mean(axis=1, keepdims=True)
        x = grey + np.repeat(1 + colour, counts)[:, None] * (x - grey)
    # mean + (1 + factor) (x - mean) + add = (1 + factor) x + (add - factor mean): the bracket is one row per image
    bracket = add[:, None] - factor[:, None] * K.segment_mean(x, grid.node_ptr)
    x = x * np.repeat(1 + factor, counts)[:, None]
    x += np.repeat(bracket, counts, axis=0)
    if limits is not None:
        np.clip(x, *limits, out=x)
    return graph.replace(x=x.reshape(graph.x.shape))


def drop_pixels(graph: Graph, *, share: float = 0.1, how: str = "zero", fill: float = 0.0, rng: Rng = None) -> Graph:
    """Lose random pixels: give them a constant, or take them out of the graph.

    Parameters
    ----------
    graph : Graph
        On a grid.
    share : float
        Chance of every pixel to be lost.
    how : {"zero", "mask"}
        "zero": all channels of ``x`` become ``fill``, other fields stay. "mask": the pixel is no node any more, its
        edges are gone, and convolutions see a hole (one pixel of every image is kept).
    fill : float
    rng : int or Generator, optional

    Raises
    ------
    DTypeError
        If the graph is no grid, or ``x`` is not floating.
    InvalidArgumentError
        If ``share`` is none.
    UnknownNameError
        If there is no such way.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.ones((4, 4)))
    >>> gk.transforms.drop_pixels(g, share=0.5, how="mask", rng=0).num_nodes
    10
    """
    grid = as_grid(graph)
    check_share(share, "share")
    if how not in WAYS:
        raise unknown_name("way to drop pixels", how, WAYS)
    rng = np.random.default_rng(rng)
    lost = rng.random(grid.num_nodes, dtype=np.float32) < share
    if how == "zero":
        x = _values(graph).copy()
        x[lost] = fill
        return graph.replace(x=x.reshape(graph.x.shape))
    check_no_edges(graph)
    present = np.flatnonzero(np.diff(grid.node_ptr))
    first = grid.node_ptr[present]
    gone = np.flatnonzero(np.add.reduceat(~lost, first) == 0) if len(present) else present
    lost[first[gone]] = False
    mask = np.zeros(grid.num_cells, bool)
    mask[grid.cell_of_node[~lost]] = True
    other = Grid.trusted(grid.sizes, mask=mask, lattice=grid.lattice) if grid.num_graphs else grid
    kept = {name: _dense(value, name)[~lost] for name, value in graph.nodes.items()}
    return grid_graph(other, stencil=graph.topology.stencil, nodes=kept, globals=dict(graph.globals))  # type: ignore[attr-defined]


def _values(graph: Graph) -> np.ndarray:
    x = _dense(graph.x, "x")
    if x.dtype.kind != "f":
        raise DTypeError(
            f"Values of pixels are changed as floats. Got x of dtype {x.dtype}. Use g.replace(x=x.astype('float32')), "
            "or gk.from_image, which does."
        )
    return x if x.ndim == 2 else x.reshape(len(x), math.prod(x.shape[1:]))


def _dense(value: Any, name: str) -> np.ndarray:
    if is_sparse(value):
        raise DTypeError(f"Pixels have dense fields. The node field {name!r} is sparse. Use {name}.toarray() first.")
    return np.asarray(raw(value))
