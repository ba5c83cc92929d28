"""From the pixels of an image to its global state: Flatten; and OnGlobals, which goes on from there. Imports graph."""

from __future__ import annotations

import math
from typing import Any

from gnnkit.autodiff import Tensor, scatter_add
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError, graph_advice, type_name
from gnnkit.graph import Graph
from gnnkit.nn.declared import INVARIANT, Symmetry, around
from gnnkit.nn.grid.base import grid_of
from gnnkit.nn.inputs import layer_name, require_dense
from gnnkit.nn.module import Module


class Flatten(Module):
    """Write the pixels of every image one after another into its global state ``u`` [num_graphs, cells * channels].

    Parameters
    ----------
    head : Module, optional
        Applied to the rows of ``u``, for instance the classifier; see also :class:`OnGlobals`.

    Raises
    ------
    InvalidGraphError
        If the graph is no grid.
    ShapeError
        If the images have different sizes: rows of different lengths have no common columns.
    InvalidFeatureError
        If the graph has ``u`` already, which would be overwritten, or if ``x`` is sparse.

    Notes
    -----
    In C order, channels last: the same as ``array.reshape(num_graphs, -1)`` of the array of images. Pixels that a mask
    leaves out are zeros. The order of the pixels matters here, so this is no invariant of the graph; for images of any
    size, and for invariance, use :class:`GlobalPool`. ``x`` and all other fields pass untouched.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.ones((5, 7, 7, 10), "float32"))
    >>> gk.nn.Flatten()(g).u.shape
    (5, 490)
    """

    hops = float("inf")

    def __init__(self, *, head: Module | None = None) -> None:
        self.head = head

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return around(Symmetry({"union": "equivariant"}), [] if self.head is None else [self.head])

    def forward(self, graph: Graph) -> Graph:
        if not isinstance(graph, Graph):
            raise InvalidArgumentError(
                f"Flatten needs to know which pixel belongs to which image. Got {type_name(graph)}. "
                + graph_advice(graph, "Pass a graph made with gk.from_image.")
            )
        if "u" in graph.globals:
            raise InvalidFeatureError(
                f"{layer_name(self)} writes u. Got a graph that has u of shape {list(graph.u.shape)} already. "
                "Drop it with g.without('u'), or flatten once and go on with gk.nn.OnGlobals."
            )
        u = self._rows(graph, require_dense(graph.x, self))
        return graph.replace(u=u if self.head is None else self.head(u))

    def _rows(self, graph: Graph, x: Tensor) -> Tensor:
        grid = grid_of(self, graph).grid
        if not grid.is_uniform:
            raise ShapeError(
                f"Images of one size can be flattened. Got {grid!r}, of sizes such as {grid.sizes[0]} and "
                f"{next(size for size in grid.sizes if size != grid.sizes[0])}. Use gk.nn.GlobalPool, which takes any "
                "sizes, or bring the images to one size."
            )
        if grid.mask is not None:
            x = scatter_add(x, grid.cell_of_node, grid.num_cells)
        return x.reshape(grid.num_graphs, math.prod((*grid.size, *x.shape[1:])))

    def work(self, graph_in: Any, graph_out: Any) -> float | None:
        return 0.0 if self.head is None else None

    def own_work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0


class OnGlobals(Module):
    """Apply a module to the global state ``u`` of every graph.

    Parameters
    ----------
    module : Module
        Takes and gives rows [num_graphs, channels]: Linear, MLP, an activation, a norm, or a Sequential of them.

    Notes
    -----
    What comes behind :class:`Flatten` or :class:`GlobalPool`. ``x`` and all other fields pass untouched.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> model = gk.nn.Sequential(gk.nn.Flatten(), gk.nn.OnGlobals(gk.nn.Linear(12, 3, rng=0)))
    >>> model(gk.from_image(np.ones((5, 2, 2, 3), "float32"))).u.shape
    (5, 3)
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise InvalidArgumentError(
                f"OnGlobals applies a module. Got {type_name(module)}. Pass for instance gk.nn.Linear(490, 10)."
            )
        self.module = module

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        words = dict.fromkeys(("reversal", "translation", "euclidean"), "invariant")
        return around(INVARIANT | words, [self.module])  # nodes and edges are not looked at

    def forward(self, graph: Graph) -> Graph:
        if not isinstance(graph, Graph):
            raise InvalidArgumentError(
                f"OnGlobals changes the global state of a graph. Got {type_name(graph)}. "
                "Call the module inside on an array directly."
            )
        return graph.replace(u=self.module(graph.u))
