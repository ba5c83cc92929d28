"""Small graphs to check on, every corner case among them: made the same way each time, without hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, batch, from_edges, from_grid_array, from_image

TWO_TRIANGLES = ([0, 1, 2, 3, 4, 5, 1, 2, 0, 4, 5, 3], [1, 2, 0, 4, 5, 3, 0, 1, 2, 3, 4, 5], 6)
HEXAGON = ([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 0, 1, 2, 3, 4, 5], 6)  # regular, as the one above

# name: (senders, receivers, number of nodes)
CORNERS: dict[str, tuple[list[int], list[int], int]] = {
    "a directed path": ([0, 1, 2], [1, 2, 3], 4),
    "a self-loop": ([0, 1, 1], [1, 1, 2], 3),
    "an edge given twice": ([0, 0, 1], [1, 1, 2], 3),
    "a hub": ([1, 2, 3, 4, 0], [0, 0, 0, 0, 2], 5),
    "an isolated node and two components": ([0, 1, 2, 3], [1, 0, 3, 2], 5),
    "two triangles": TWO_TRIANGLES,
    "a hexagon": HEXAGON,
    "a single node": ([], [], 1),
    "nodes without edges": ([], [], 3),
    "no node at all": ([], [], 0),
}


def small_graphs(
    channels: int = 3,
    *,
    edge_channels: int = 0,
    global_channels: int = 0,
    dimensions: int = 0,
    positions: str = "pos",
    categories: int | None = None,
    rng: int | np.random.Generator = 0,
) -> list[Graph]:
    """Small graphs with random features: a loop, a double edge, a hub, an isolated node, no edges, no nodes, a batch.

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
    rng : int or Generator
        Draws the features and one graph; the same seed gives the same graphs.

    Returns
    -------
    list of Graph
        A dozen, float64; the last one is a batch with an empty graph in the middle and one at the end.

    Raises
    ------
    InvalidArgumentError
        If a number is negative.

    Examples
    --------
    >>> import gnnkit as gk
    >>> graphs = gk.symmetry.small_graphs(2, edge_channels=1)
    >>> len(graphs), graphs[0].x.shape, graphs[0].e.shape, graphs[-1].num_graphs
    (12, (4, 2), (3, 1), 4)
    """
    for name, value in (("channels", channels), ("edge_channels", edge_channels), ("dimensions", dimensions)):
        if value < 0:
            raise InvalidArgumentError(f"{name} counts columns, at least 0. Got {value!r}. Pass for instance 3.")
    generator = np.random.default_rng(rng)

    def graph(senders: Sequence[int], receivers: Sequence[int], count: int) -> Graph:
        x: np.ndarray = generator.standard_normal((count, channels))
        if categories is not None:
            x = generator.integers(0, categories, count)
        e = generator.standard_normal((len(senders), edge_channels)) if edge_channels else None
        u = generator.standard_normal((1, global_channels)) if global_channels else None
        nodes = {positions: generator.standard_normal((count, dimensions))} if dimensions else None
        pairs = np.asarray(senders, np.int64), np.asarray(receivers, np.int64)
        return from_edges(*pairs, num_nodes=count, x=x, e=e, u=u, nodes=nodes)

    found = [graph(*corner) for corner in CORNERS.values()]
    senders, receivers = generator.integers(0, 7, (2, 12)).tolist()
    found.append(graph(senders, receivers, 7))
    empty = graph([], [], 0)
    return [*found, batch([found[0], empty, found[3], empty])]


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
    generator = np.random.default_rng(rng)
    arrays = [generator.standard_normal((*size, channels)) for size in sizes]
    if lattice == "square":
        found = [from_grid_array(array, ndim=array.ndim - 1, border=border) for array in arrays]
    else:
        found = [from_image(array, border=border, lattice=lattice) for array in arrays]
    if categories is not None:
        found = [graph.replace(x=generator.integers(0, categories, graph.num_nodes)) for graph in found]
    if not global_channels:
        return found
    return [graph.replace(u=generator.standard_normal((1, global_channels))) for graph in found]
