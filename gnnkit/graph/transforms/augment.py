"""Augmentation: random changes of images that keep what they show, as graph operations. Knows grids and their graphs.

Every step takes a graph on a grid (one image, a batch, sizes mixed, with holes) and ``rng=``, draws anew for every
image, and returns a graph of the same images, whose fields are arrays: no gradient passes. Fields of edges are refused
where pixels move or go, as they would belong to others. :func:`compose` joins steps. This file moves pixels; the values
of pixels are changed in :mod:`gnnkit.graph.transforms.jitter`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, type_name
from gnnkit.graph.fields import is_sparse, raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.access import as_grid, grid_graph
from gnnkit.graph.grids.grid import Grid

Rng = int | np.random.Generator | None
Step = Callable[..., Graph]
Move = Callable[[np.ndarray, int, Any], np.ndarray]  # images [n, *size, ...] of one size, first image, fill -> the same


def compose(*steps: Step) -> Step:
    """Join augmentations: ``compose(a, b)(graph, rng=rng)`` is ``b(a(graph, rng=rng), rng=rng)``.

    Parameters
    ----------
    *steps : callable of (graph, rng=)
        Such as :func:`random_flip` itself, or ``functools.partial(random_shift, pixels=3)`` for other settings.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> from functools import partial
    >>> augment = gk.transforms.compose(gk.transforms.random_flip, partial(gk.transforms.random_shift, pixels=1))
    >>> augment(gk.from_image(np.eye(3)), rng=0).x.shape
    (9, 1)
    """
    for step in steps:
        if not callable(step):
            raise DTypeError(
                f"compose joins functions of (graph, rng=). Got {type_name(step)}. "
                "Pass gk.transforms.random_flip, or functools.partial of it."
            )

    def composed(graph: Graph, *, rng: Rng = None) -> Graph:
        rng = np.random.default_rng(rng)
        for step in steps:
            graph = step(graph, rng=rng)
        return graph

    return composed


def random_flip(graph: Graph, *, axis: int | Sequence[int] = -1, probability: float = 0.5, rng: Rng = None) -> Graph:
    """Mirror every image, with some probability, along an axis.

    Parameters
    ----------
    graph : Graph
        On a grid; all its node fields (labels of pixels too) move along, and so do the holes of a mask.
    axis : int or several
        Axis of the grid to mirror: -1 is the last (left and right), 0 the first (up and down). For several axes each is
        drawn by itself.
    probability : float
    rng : int or Generator, optional

    Raises
    ------
    DTypeError
        If the graph is no grid.
    InvalidArgumentError
        If there is no such axis, the probability is none, or the lattice is hexagonal (its mirror image is another).

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[1.0, 2.0, 3.0]]))
    >>> gk.transforms.random_flip(g, probability=1.0, rng=0).x[:, 0]
    array([3., 2., 1.])
    """
    grid = _square(graph, "random_flip")
    check_share(probability, "probability")
    rng = np.random.default_rng(rng)
    for each in _listed(axis):
        if not isinstance(each, int | np.integer) or not -grid.ndim <= each < grid.ndim:
            raise InvalidArgumentError(
                f"axis counts the axes of the grid, {-grid.ndim} to {grid.ndim - 1}. Got {each!r}. "
                "Use -1 for left and right."
            )
        flipped = rng.random(grid.num_graphs) < probability
        place = 1 + int(each) % grid.ndim

        def move(images: np.ndarray, first: int, fill: Any, flipped: Any = flipped, place: int = place) -> np.ndarray:
            chosen = flipped[first : first + len(images)]
            moved = images.copy()
            moved[chosen] = np.flip(images[chosen], axis=place)
            return moved

        graph = _moved(graph, move)
    return graph


def random_shift(
    graph: Graph, *, pixels: int | Sequence[int] = 2, fill: float = 0.0, label_fill: int = -1, rng: Rng = None
) -> Graph:
    """Move the content of every image by a random number of pixels along each axis.

    Parameters
    ----------
    graph : Graph
        On a grid; all its node fields move along, and so do the holes of a mask.
    pixels : int or one per axis
        Largest shift; every one from ``-pixels`` to ``pixels`` is as likely.
    fill : float
        What floating fields get where nothing moves in.
    label_fill : int
        What integer fields get there: -1 means "no label" to the estimators. Boolean fields get False.
    rng : int or Generator, optional

    Raises
    ------
    DTypeError
        If the graph is no grid.
    InvalidArgumentError
        If ``pixels`` is negative, or the lattice is hexagonal (an odd shift of rows would bend the image).

    Notes
    -----
    Where an image with a hole moves away from its border, the pixels that nothing moves into exist and are filled.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[1.0, 2.0, 3.0]]))
    >>> gk.transforms.random_shift(g, pixels=(0, 1), fill=9.0, rng=0).x[:, 0]
    array([9., 1., 2.])
    """
    grid = _square(graph, "random_shift")
    largest = [pixels] * grid.ndim if isinstance(pixels, int | np.integer) else _listed(pixels)
    if len(largest) != grid.ndim or any(not isinstance(n, int | np.integer) or n < 0 for n in largest):
        raise InvalidArgumentError(
            f"pixels is a whole number, at least 0, or one for each of the {grid.ndim} axes. Got {pixels!r}. "
            "Pass for example pixels=2."
        )
    rng = np.random.default_rng(rng)
    shifts = np.stack([rng.integers(-n, n + 1, size=grid.num_graphs) for n in largest], axis=1)

    def move(images: np.ndarray, first: int, value: Any) -> np.ndarray:
        size = images.shape[1 : 1 + grid.ndim]
        around = [n + 2 * most for n, most in zip(size, largest)]
        framed = np.full((len(images), *around, *images.shape[1 + grid.ndim :]), value, images.dtype)
        framed[(slice(None), *(slice(most, most + n) for n, most in zip(size, largest)))] = images
        # One window of each framed image: a copy for all of them at once.
        windows = sliding_window_view(framed, size, axis=tuple(range(1, 1 + grid.ndim)))
        corners = (np.asarray(largest) - shifts[first : first + len(images)]).T
        moved = windows[(np.arange(len(images)), *corners)]
        return np.moveaxis(moved, range(moved.ndim - grid.ndim, moved.ndim), range(1, 1 + grid.ndim))

    return _moved(graph, move, fill=fill, label_fill=label_fill)


def check_share(value: float, name: str) -> None:
    """Refuse what is no number in [0, 1]."""
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise InvalidArgumentError(f"{name} lies between 0 and 1. Got {value!r}. Pass for example {name}=0.5.")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


def check_no_edges(graph: Graph) -> None:
    """Refuse fields of edges: where pixels move or go, these would belong to others."""
    if graph.edges:
        names = ", ".join(map(repr, graph.edges))
        raise InvalidFeatureError(
            f"Where pixels move or go, no field of edges can stay. Got a graph with the edge fields {names}. "
            f"Drop them with g.without({names})."
        )


def _square(graph: Graph, name: str) -> Grid:
    grid = as_grid(graph)
    if grid.lattice != "square":
        raise InvalidArgumentError(
            f"{name} moves the pixels of square grids. Got a {grid.lattice} lattice, which it would not map onto "
            "itself. Use the augmentations of values, such as gk.transforms.colour_jitter."
        )
    return grid


def _moved(graph: Graph, move: Move, *, fill: float = 0.0, label_fill: int = -1) -> Graph:
    """Apply ``move`` to every node field of every image, and to the mask."""
    grid = as_grid(graph)
    check_no_edges(graph)
    fills = {"f": fill, "i": label_fill, "u": max(label_fill, 0), "b": False}
    cells = {name: _cells(value, name, grid) for name, value in graph.nodes.items()}
    moved = {name: _each_size(value, grid, move, fills.get(value.dtype.kind, 0)) for name, value in cells.items()}
    if grid.mask is None:
        return graph.replace(nodes=moved)
    mask = _each_size(grid.mask, grid, move, True)
    other = Grid.trusted(grid.sizes, mask=mask, lattice=grid.lattice)
    kept = {name: value[mask] for name, value in moved.items()}
    return grid_graph(other, stencil=graph.topology.stencil, nodes=kept, globals=dict(graph.globals))  # type: ignore[attr-defined]


def _cells(value: Any, name: str, grid: Grid) -> np.ndarray:
    """A node field as one row per cell; zeros in holes, which move along with the mask and are never seen."""
    if is_sparse(value):
        raise DTypeError(
            f"Pixels are moved in dense fields. The node field {name!r} is sparse. Use {name}.toarray() first."
        )
    rows = np.asarray(raw(value))
    if grid.mask is None:
        return rows
    cells = np.zeros((grid.num_cells, *rows.shape[1:]), rows.dtype)
    cells[grid.cell_of_node] = rows
    return cells


def _each_size(cells: np.ndarray, grid: Grid, move: Move, fill: Any) -> np.ndarray:
    """``move`` on runs of images of one size, as arrays [n, *size, ...]."""
    if grid.is_uniform:
        images = cells.reshape(grid.num_graphs, *grid.size, *cells.shape[1:])
        return move(images, 0, fill).reshape(cells.shape)
    out = np.empty_like(cells)
    for i, (start, stop) in enumerate(zip(grid.cell_ptr[:-1], grid.cell_ptr[1:])):
        image = cells[start:stop].reshape(1, *grid.sizes[i], *cells.shape[1:])
        out[start:stop] = move(image, i, fill).reshape(stop - start, *cells.shape[1:])
    return out
