"""How far a pixel sees: the receptive field of layers on grids, and how sizes of grids are written.

Imports graph and the module base; used by the summary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gnnkit.graph import Graph
from gnnkit.graph.grids import GridTopology
from gnnkit.nn.module import Module

Window = tuple[tuple[float, float], ...]  # for every axis: how many pixels are seen, and the step between two outputs


@dataclass(frozen=True)
class ReceptiveField:
    """Which part of the input a pixel depends on.

    Attributes
    ----------
    pixels : tuple of float
        Pixels of the input along each axis; infinite when all are.
    steps : tuple of float
        Distance, in pixels of the input, between two neighbouring pixels here.
    """

    pixels: tuple[float, ...]
    steps: tuple[float, ...]

    @classmethod
    def of_input(cls, value: Any) -> ReceptiveField | None:
        """One pixel, for a graph on a grid; None for anything else."""
        if not on_grid(value):
            return None
        ones = (1.0,) * len(value.topology.stencil.kernel_size)
        return cls(ones, ones)

    def through(self, window: Window) -> ReceptiveField:
        """What is seen through a layer with this window."""
        pixels = tuple(p + (seen - 1) * step for p, step, (seen, _) in zip(self.pixels, self.steps, window))
        return ReceptiveField(pixels, tuple(step * stride for step, (_, stride) in zip(self.steps, window)))

    def joined(self, other: ReceptiveField | None) -> ReceptiveField:
        """The larger of both along each axis, with the steps of this one."""
        if other is None or len(other.pixels) != len(self.pixels):
            return self
        return ReceptiveField(tuple(map(max, self.pixels, other.pixels)), self.steps)

    def after(
        self, module: Module, graph_in: Any, graph_out: Any, inside: Iterable[ReceptiveField]
    ) -> ReceptiveField | None:
        """The field of the output of ``module``, called with this one; ``inside`` are those of its sub-modules."""
        window = window_of(module, graph_in)
        reach = self if window is None else self.through(window)
        for other in inside:
            reach = other.joined(reach)  # the last one knows the steps
        return reach


def window_of(module: Module, graph: Any) -> Window | None:
    """How ``module`` looks at the pixels of ``graph``; None if it sees each on its own, or this is no grid."""
    if not on_grid(graph):
        axes = 0
    elif hasattr(module, "window"):
        return module.window(graph)
    else:
        axes = len(graph.topology.stencil.kernel_size)
    if not module.hops or not axes:
        return None
    if math.isinf(module.hops):
        return ((math.inf, 1.0),) * axes
    topology = graph.topology
    if callable(getattr(module, "topology", None)):
        topology = module.topology(graph)  # type: ignore[attr-defined]
    stencil, hops = topology.stencil, module.hops
    sizes = zip(stencil.kernel_size, stencil.dilation, stencil.stride)
    return tuple((hops * dilation * (size - 1) + 1, stride) for size, dilation, stride in sizes)


def on_grid(value: Any) -> bool:
    """Whether this is a graph on a grid."""
    return isinstance(value, Graph) and isinstance(value.topology, GridTopology)


def grid_size(value: Any, came: Any, graph: Any) -> str | None:
    """``28 x 28 x 10``: pixels along each axis and channels; of several images their number first.

    Parameters
    ----------
    value
        What a layer returned: a graph on a grid, or features of its pixels or images.
    came
        What the layer was given. If the global state of ``value`` is another than that of ``came``, it is the size of
        the state that is told.
    graph
        The graph on a grid to which features belong.

    Returns
    -------
    str or None
        None for what is no such value.
    """
    if on_grid(value):
        state = value.globals.get("u")
        pools = state is not None and not (isinstance(came, Graph) and came.globals.get("u") is state)
        graph, features = value, state if pools else value.nodes.get("x")
    else:
        features = value
    if not on_grid(graph) or not getattr(features, "shape", ()):
        return None
    grid, rows, channels = graph.topology.grid, features.shape[0], features.shape[1:]
    axes = [str(n) for n in grid.size] if grid.is_uniform else ["mixed"]
    images = [str(grid.num_graphs)] if grid.num_graphs != 1 else []
    if rows == grid.num_nodes and (features is not graph.globals.get("u")):
        return " x ".join([*images, *axes, *map(str, channels)])
    return " x ".join([*images, *map(str, channels)]) if rows == grid.num_graphs else None
