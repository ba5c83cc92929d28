"""Small graphs to check on, every corner case among them: made the same way each time, without hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError
from gnnkit.graph import Graph, batch, from_edges, from_grid_array, from_image

TWO_TRIANGLES = ([0, 1, 2, 3, 4, 5, 1, 2, 0, 4, 5, 3], [1, 2, 0, 4, 5, 3, 0, 1, 2, 3, 4, 5], 6)
HEXAGON = ([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 0, 1, 2, 3, 4, 5], 6)  # regular, as the one above

# name: (senders, receivers, number of nodes)
CORNERS: dict[str, tuple[list[int], list[int], int]] = {
    "a directed path": ([0, 1, 2], [1, 2, 3], 4),
    "a self-loop": ([0, 1, 1], [1, 1, 2], 3),
    "an edge given twice": ([0, 0, 1], [1, 1, 2], 3),
    "a hub": ([*range(1, 13), 0], [0] * 12 + [2], 13),
    "an isolated node and two components": ([0, 1, 2, 3], [1, 0, 3, 2], 5),
    "two triangles": TWO_TRIANGLES,
    "a hexagon": HEXAGON,
    "a single node": ([], [], 1),
    "nodes without edges": ([], [], 3),
    "no node at all": ([], [], 0),
}
TIED = ("a self-loop", "a hub", "two triangles", "nodes without edges")  # with values that repeat
DOZEN = len(CORNERS) + 2
LARGEST = 40  # nodes of the graphs beyond the dozen, which grow up to here


def small_graphs(
    channels: int = 3,
    *,
    edge_channels: int = 0,
    global_channels: int = 0,
    dimensions: int = 0,
    positions: str = "pos",
    categories: int | None = None,
    count: int = DOZEN,
    rng: int | np.random.Generator = 0,
) -> list[Graph]:
    """Small graphs with random features: a loop, a double edge, a hub, an isolated node, no edges, no nodes, a batch.

    In a third of them values repeat (equal rows, zeros, ones): there a maximum is reached by several neighbours, and
    a layer that prefers the first of them shows it.

    Parameters
    ----------
    channels : int
        Columns of the node features ``x``.
    edge_channels, global_channels : int
        Columns of ``e`` and ``u``; 0 for graphs without.
    dimensions : int
        Columns of the node field ``positions``; 0 for graphs without.
    positions : str
        What that field is called.
    categories : int, optional
        ``x`` [num_nodes] then holds integers below it in place of ``channels`` columns.
    count : int
        How many. The first dozen are the corner cases; those after it are new random graphs of rising size, so that
        ``check(f, small_graphs(count=200), cases=200)`` sees no graph twice.
    rng : int or Generator
        Draws the features and the random graphs; the same seed gives the same graphs, whatever comes after them.

    Returns
    -------
    list of Graph
        float64; the twelfth is a batch with an empty graph in the middle and one at the end.

    Raises
    ------
    InvalidArgumentError
        If a number is no whole number or negative.

    Examples
    --------
    >>> import gnnkit as gk
    >>> graphs = gk.symmetry.small_graphs(2, edge_channels=1)
    >>> len(graphs), graphs[0].x.shape, graphs[0].e.shape, graphs[-1].num_graphs
    (12, (4, 2), (3, 1), 4)
    """
    counts = {"channels": channels, "edge_channels": edge_channels, "global_channels": global_channels}
    for name, value in {**counts, "dimensions": dimensions, "count": count}.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
            what = "graphs" if name == "count" else "columns"
            raise InvalidArgumentError(f"{name} counts {what}, at least 0. Got {value!r}. Pass for instance 3.")
    generator = generator_from(rng)

    def graph(senders: Sequence[int], receivers: Sequence[int], size: int, tied: bool = False) -> Graph:
        draw = _repeating if tied else np.random.Generator.standard_normal
        x: np.ndarray = draw(generator, (size, channels))
        if categories is not None:
            x = generator.integers(0, categories, size)
        e = draw(generator, (len(senders), edge_channels)) if edge_channels else None
        u = generator.standard_normal((1, global_channels)) if global_channels else None
        nodes = {positions: generator.standard_normal((size, dimensions))} if dimensions else None
        pairs = np.asarray(senders, np.int64), np.asarray(receivers, np.int64)
        return from_edges(*pairs, num_nodes=size, x=x, e=e, u=u, nodes=nodes)

    found = [graph(*corner, tied=name in TIED) for name, corner in CORNERS.items()]
    senders, receivers = generator.integers(0, 20, (2, 48))
    found.append(graph(senders.tolist(), receivers.tolist(), 20))
    empty = graph([], [], 0)
    found.append(batch([found[0], empty, found[3], empty]))
    for number in range(count - DOZEN):
        size = min(8 + number // 4, LARGEST)
        senders, receivers = generator.integers(0, size, (2, int(generator.integers(size, 3 * size))))
        if number % 2:
            receivers[: len(receivers) // 2] = receivers[0]  # a hub
        found.append(graph(senders.tolist(), receivers.tolist(), size, tied=number % 3 == 0))
    return found[:count]


def _repeating(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Values that repeat: rows from a few different ones and zero, or 0 beside one of 1 and -1 in each column.

    A column never holds both signs, nor a row that is the mean of others: sums that cancel up to rounding would put a
    sound layer on the kink of a relu, where its gradient is left to chance.
    """
    rows, columns = shape
    if generator.random() < 0.5:
        few = np.concatenate([generator.standard_normal((2, columns)), np.zeros((1, columns))])
        return few[generator.integers(0, 3, rows)]
    signs = generator.choice([-1.0, 1.0], columns)
    return generator.integers(0, 2, shape) * signs


def generator_from(rng: Any) -> np.random.Generator:
    """The generator that ``rng`` stands for.

    Raises
    ------
    DTypeError
        If it is neither a seed nor a Generator.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise DTypeError(
            f"rng is a whole number, at least 0, or a numpy Generator. Got {rng!r}. Pass for example rng=0."
        ) from error


def small_images(
    channels: int = 3,
    *,
    sizes: Sequence[tuple[int, ...]] = ((8, 8), (12, 8)),
    global_channels: int = 0,
    categories: int | None = None,
    border: str = "wrap",
    lattice: str = "square",
    rng: int | np.random.Generator = 0,
) -> list[Graph]:
    """Small grids with random features: images, or sequences and volumes by the length of the sizes.

    In every second one values repeat, so that several pixels share a maximum.

    Parameters
    ----------
    channels : int
        Columns of ``x``.
    sizes : sequence of tuples of int
        One graph for each.
    global_channels : int
        Columns of ``u``; 0 for graphs without.
    categories : int, optional
        ``x`` then holds one integer below it per pixel.
    border : {"wrap", "zero", "reflect", "edge"}
        "wrap" makes tori, on which shifts are exact.
    lattice : {"square", "hexagonal"}
    rng : int or Generator

    Returns
    -------
    list of Graph

    Examples
    --------
    >>> import gnnkit as gk
    >>> [g.num_nodes for g in gk.symmetry.small_images(1)]
    [64, 96]
    """
    generator = generator_from(rng)
    arrays = [generator.standard_normal((*size, channels)) for size in sizes]
    for array in arrays[1::2]:
        array[...] = _repeating(generator, (int(np.prod(array.shape[:-1])), channels)).reshape(array.shape)
    if lattice == "square":
        found = [from_grid_array(array, ndim=array.ndim - 1, border=border) for array in arrays]
    else:
        found = [from_image(array, border=border, lattice=lattice) for array in arrays]
    if categories is not None:
        found = [graph.replace(x=generator.integers(0, categories, graph.num_nodes)) for graph in found]
    if not global_channels:
        return found
    return [graph.replace(u=generator.standard_normal((1, global_channels))) for graph in found]
