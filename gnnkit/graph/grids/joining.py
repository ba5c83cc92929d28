"""Grids of several batches as one: disjoint images side by side, no padding. Knows grids and their topologies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph.grids.grid import Grid
from gnnkit.graph.grids.topology import GridTopology, make_topology
from gnnkit.graph.topology import Topology


def join_grids(grids: Sequence[Grid]) -> Grid:
    """The images of all grids, one after another.

    Raises
    ------
    ShapeError, InvalidArgumentError
        When the grids have different numbers of axes or lattices, or there is none.

    Examples
    --------
    >>> from gnnkit.graph import Grid
    >>> from gnnkit.graph.grids import join_grids
    >>> join_grids([Grid((2, 2)), Grid((3, 3))]).sizes
    ((2, 2), (3, 3))
    """
    if not grids:
        raise InvalidArgumentError("At least one grid must be given to be joined. Got none. Give a list of grids.")
    first = grids[0]
    for i, grid in enumerate(grids):
        if (grid.ndim, grid.lattice) != (first.ndim, first.lattice):
            raise ShapeError(
                f"Grids must have the same lattice and number of axes to be joined. Grid 0 is {first!r}, grid {i} is "
                f"{grid!r}. Join those that belong together."
            )
    if all(grid.is_uniform and grid.size == first.size for grid in grids):
        count = sum(grid.num_graphs for grid in grids)
        return Grid.uniform(first.size, count, mask=_join_masks(grids), lattice=first.lattice)
    sizes = tuple(size for grid in grids for size in grid.sizes)
    if not sizes:  # batches of no images, of different sizes
        return first
    return Grid.trusted(sizes, mask=_join_masks(grids), lattice=first.lattice)


def _join_masks(grids: Sequence[Grid]) -> np.ndarray | None:
    if all(grid.mask is None for grid in grids):
        return None
    return np.concatenate([np.ones(grid.num_cells, bool) if grid.mask is None else grid.mask for grid in grids])


def join_grid_topologies(parts: Sequence[Topology]) -> GridTopology | None:
    """The topology of all images if all parts are grids under one stencil, else None."""
    first = parts[0]
    if not isinstance(first, GridTopology):
        return None
    for part in parts:
        if not isinstance(part, GridTopology):
            return None
        if part.stencil != first.stencil or part.is_transposed != first.is_transposed:
            return None
    whole = [part for part in parts if isinstance(part, GridTopology)]
    senders = join_grids([part.sender_grid for part in whole])
    receivers = join_grids([part.receiver_grid for part in whole])
    return make_topology(senders, first.stencil, receivers, first.is_transposed)
