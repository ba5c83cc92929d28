"""Graphs on which a module can be checked: small random ones with every corner case, or images if it asks for a grid.

Imports the layers, to know which of them need a grid, and the small graphs of gnnkit.symmetry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gnnkit.graph import Graph
from gnnkit.nn.declared import declared_by
from gnnkit.nn.grid import Flatten, GridLayer, IsotropicConv
from gnnkit.nn.module import Module
from gnnkit.symmetry import small_graphs, small_images
from gnnkit.symmetry.samples import DOZEN

GRID_GROUPS = ("torus", "translation", "flip", "rot90")
POSITION_GROUPS = ("euclidean", "rotation", "reflection", "shift")
AT_LEAST = {1: 12, 2: 8, 3: 4}  # pixels along each axis of a sequence, an image, a volume


def step_of(module: Any) -> int:
    """By how many pixels images are shifted so that a module promises to follow, along every axis."""
    if getattr(module, "symmetry", None) is None:
        return 1
    step = declared_by(module).step
    return math.lcm(*step) if isinstance(step, tuple) else int(step)


def group_for(module: Any, group: str, *, size: Sequence[int] | None = None, step: int | None = None) -> Any:
    """The group as a check needs it: the step of shifts, the name of positions, no empty image beside one size."""
    if group in ("torus", "translation"):
        return group, {"step": step or step_of(module)}
    if group == "union" and size is not None:
        return group, {"empty": False}
    if group in POSITION_GROUPS and _positions_of(module) is not None:
        return group, {"positions": _positions_of(module)}
    return group


def graphs_for(
    module: Any,
    group: str,
    *,
    channels: int | None = None,
    edge_channels: int = 0,
    global_channels: int = 0,
    dimensions: int = 0,
    categories: int | None = None,
    size: Sequence[int] | None = None,
    step: int | None = None,
    count: int = 0,
    rng: int = 0,
) -> list[Graph]:
    """Small graphs on which ``group`` can act and that a module can take.

    Parameters
    ----------
    module : Module or function
        Modules that hold a layer on grids get images; a function that is no module gets no batches.
    group : str
        A name of ``gk.symmetry.GROUPS``.
    channels : int, optional
        Columns of ``x``; else the ``in_channels`` or ``channels`` of the first layer that has some, or 3.
    edge_channels, global_channels, dimensions : int
        Columns of ``e``, ``u`` and of the positions; 0 for none (positions: 3 where the module or the group has them).
    categories : int, optional
        ``x`` holds integers below this number.
    size : sequence of int, optional
        The graphs are images of this one size.
    step : int, optional
        Sizes are multiples of it; else of the step that the module promises.
    count : int
        Number of cases that will be tried. Beyond the dozen there are new graphs for them, of rising size; images are
        two, and taken in turn.
    rng : int

    Returns
    -------
    list of Graph
    """
    channels = _channels_of(module) if channels is None else channels
    ndim, lattice = _grid_of(module)
    if ndim or size is not None or group in GRID_GROUPS:
        sizes = (tuple(size),) if size is not None else _sizes(ndim or 2, group, step or step_of(module))
        return small_images(
            channels, sizes=sizes, global_channels=global_channels, categories=categories, lattice=lattice, rng=rng
        )
    positions = _positions_of(module)
    found = small_graphs(
        channels,
        edge_channels=edge_channels,
        global_channels=global_channels,
        dimensions=dimensions or (3 if group in POSITION_GROUPS or positions is not None else 0),
        positions=positions or "pos",
        categories=categories,
        count=max(DOZEN, count),
        rng=rng,
    )
    return found if isinstance(module, Module) else [graph for graph in found if graph.num_graphs == 1]


def _sizes(ndim: int, group: str, step: int) -> tuple[tuple[int, ...], ...]:
    at_least = AT_LEAST[ndim] * (3 if group == "translation" else 1)  # what is compared lies away from the border
    even = -(-max(at_least, 2 * step) // step) * step
    more = step if step > 1 else 4  # an even number of rows, which a hexagonal torus must have
    return ((even,) * ndim, (even + more, *(even,) * (ndim - 1)))


def _channels_of(module: Any) -> int:
    for part in module.modules() if isinstance(module, Module) else ():
        for name in ("in_channels", "channels"):
            if isinstance(getattr(part, name, None), int):
                return int(getattr(part, name))
    return 3


def _positions_of(module: Any) -> str | None:
    """The name of the node field with positions that a layer in the module reads."""
    parts = module.modules() if isinstance(module, Module) else [module]
    names = (getattr(part, "positions", None) for part in parts)
    return next((name for name in names if isinstance(name, str)), None)


def _grid_of(module: Any) -> tuple[int | None, str]:
    """The number of axes and the lattice of the grids that a module asks for; None if it takes any graph."""
    ndim, lattice = None, "square"
    for part in module.modules() if isinstance(module, Module) else ():
        if isinstance(part, GridLayer | Flatten) and not isinstance(part, IsotropicConv):
            ndim = getattr(part, "ndim", None) or ndim or 2
            lattice = getattr(part, "lattice", None) or lattice
    return ndim, lattice
