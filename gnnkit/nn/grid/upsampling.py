"""Upsample: more pixels along every axis, by duplication, zero fill, interpolation or random placement.

Imports message, the base of grid layers and the maps between grids.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph, Grid, GridTopology, Topology, as_grid, grid_topology
from gnnkit.message import neighbour_sum
from gnnkit.message.stencil_pool import put_rows
from gnnkit.nn.declared import UNKNOWN, Symmetry
from gnnkit.nn.grid.base import GridLayer, Place, grid_of, per_axis
from gnnkit.nn.grid.pooling import sizes_along
from gnnkit.nn.grid.resampling import Resampling, resample

MODES = ("nearest", "zero", "bilinear", "random")


class Upsample(GridLayer):
    """``scale`` times as many pixels along every axis.

    ``layer(graph)`` multiplies the sizes; ``layer(graph, onto=fine)`` gives ``x`` on the pixels of the graph ``fine``,
    so that odd sizes and masks are restored exactly.

    Parameters
    ----------
    scale : int or one per axis
    mode : {"nearest", "zero", "bilinear", "random"}
        "nearest" repeats each pixel in its block of ``scale`` pixels along each axis. "zero" puts it at the first
        pixel of the block, with zeros around. "random" puts each value at a pixel of the block drawn anew in every
        call, channel by channel. "bilinear" interpolates linearly along every axis (of a sequence or a volume too).

    Raises
    ------
    InvalidGraphError
        If the graph is no square grid, or ``onto`` has sizes that pooling by ``scale`` does not take to its own.
    ShapeError, DTypeError, InvalidFeatureError
        As :class:`Conv2d`.

    Notes
    -----
    "bilinear" takes pixels as areas whose centres are compared: fine pixel ``i`` reads at ``(i + 0.5) / scale - 0.5``,
    clamped to the image. This is ``align_corners=False`` in PyTorch. Of the pixels around, those that exist share the
    weight.

    A mask is repeated like the pixels. With ``onto``, rows and columns behind the last full block, which a pooling
    with padding "valid" leaves out, belong to the last block ("zero" leaves them 0). A fine pixel becomes 0 if none of
    the pixels that it would take from exists.

    All modes are linear, and their derivative runs along the reversed edges: that of "zero" is :class:`StridePool`,
    that of "nearest" sums over blocks. The numbers of "random" come from the module's own generator, at evaluation
    too: call ``model.seed(0)`` for the same places in each run.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[1.0, 3.0]])[..., None])
    >>> gk.to_image(gk.nn.Upsample(2)(g))[..., 0]
    array([[1., 1., 3., 3.],
           [1., 1., 3., 3.]])
    >>> gk.to_image(gk.nn.Upsample((1, 2), mode="bilinear")(g))[..., 0]
    array([[1. , 1.5, 2.5, 3. ]])
    """

    lattice = "square"

    def __init__(self, scale: Any = 2, *, mode: str = "nearest") -> None:
        self.scale = _checked_scale(per_axis(scale))
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        self.mode = mode

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """By any shift. "zero" and "random" choose a pixel of a block; "bilinear" does not look around a torus."""
        if self.mode == "random":
            return UNKNOWN
        groups = ["union", "translation", "channels", *(["torus"] if self.mode != "bilinear" else [])]
        if self.mode != "zero":
            alike = not isinstance(self.scale, tuple) or len(set(self.scale)) == 1
            groups += ["flip", "rot90"] if alike else ["flip"]
        return Symmetry(dict.fromkeys(groups, "equivariant"), scale=self.scale)

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether it draws random numbers."""
        return self.mode == "random"

    def forward(self, graph: Graph, onto: Graph | None = None) -> Graph:
        x = self.checked(graph)
        coarse = self._checked_grid(grid_of(self, graph).grid)
        scale = sizes_along(self.scale, coarse.ndim, "scale")
        if onto is None:
            target = self._target(graph, coarse, scale)
        else:
            target = grid_of(self, onto)
            self._checked_grid(target.grid)
        plan = _plan(coarse, target, scale, self.mode)
        y = self._random(x, plan.topology) if self.mode == "random" else _linear(x, plan)
        return self.moved(graph, Place(target, target.grid, target), y)

    def _random(self, x: Tensor, blocks: Topology) -> Tensor:
        blocks = blocks.transpose()  # who receives what a pixel sends
        channels, counts = x.shape[1], blocks.in_degree()[:, None]
        draws = self.generator.random(x.shape, dtype=np.float32)
        entry = blocks.indptr[:-1, None] + np.minimum((draws * counts).astype(np.int64), counts - 1)
        if (counts > 0).all():
            places = (blocks.indices[entry] * np.int64(channels) + np.arange(channels)).reshape(-1)
            flat = x.reshape(x.size)
        else:  # a pixel has no block where a mask has none
            there = np.broadcast_to(counts > 0, x.shape)
            columns = np.broadcast_to(np.arange(channels), x.shape)
            places, flat = blocks.indices[entry[there]] * np.int64(channels) + columns[there], x[there]
        size = blocks.num_senders
        return put_rows(flat, places=places, size=size * channels).reshape(size, channels)

    def topology(self, graph: Any) -> Any:
        """The bipartite topology from the pixels of ``graph`` to those of the output ("random": that it draws from)."""
        coarse = self._checked_grid(as_grid(graph))
        scale = sizes_along(self.scale, coarse.ndim, "scale")
        return _plan(coarse, self._target(graph, coarse, scale), scale, self.mode).topology

    def _keeps_grids(self) -> bool:
        return bool(np.all(np.equal(self.scale, 1)))

    def _target(self, graph: Graph, coarse: Grid, scale: tuple[int, ...]) -> GridTopology:
        topology = graph.topology
        if all(step == 1 for step in scale):
            return topology  # type: ignore[return-value]
        return topology.cached((Upsample, scale), lambda: _finer(topology, coarse, scale))  # type: ignore[arg-type]

    def work(self, graph_in: Any, graph_out: Any) -> float:
        taps = 2 ** as_grid(graph_out).ndim if self.mode == "bilinear" else 0
        return 2.0 * taps * graph_out.x.size

    def window(self, graph: Graph) -> tuple[tuple[float, float], ...]:
        seen = 2.0 if self.mode == "bilinear" else 1.0
        return tuple((seen, 1.0 / step) for step in sizes_along(self.scale, as_grid(graph).ndim, "scale"))


def _linear(x: Tensor, plan: Resampling) -> Tensor:
    return neighbour_sum(plan.topology, x, plan.weights(x.dtype))


def _plan(coarse: Grid, target: GridTopology, scale: tuple[int, ...], mode: str) -> Resampling:
    mode = "nearest" if mode == "random" else mode  # which draws from the same blocks
    return target.cached((Upsample, coarse, scale, mode), lambda: resample(coarse, target.grid, scale, mode))


def _finer(topology: GridTopology, coarse: Grid, scale: tuple[int, ...]) -> GridTopology:
    """The graph's own neighbourhood on ``scale`` times as many pixels."""
    sizes = _sizes_times(coarse, scale)
    mask = None if coarse.mask is None else _repeated_mask(coarse, scale)
    if coarse.is_uniform:
        size = tuple(n * step for n, step in zip(coarse.size, scale))
        return grid_topology(Grid.uniform(size, coarse.num_graphs, mask=mask), topology.stencil)
    return grid_topology(Grid.trusted(sizes, mask=mask, lattice=coarse.lattice), topology.stencil)


def _sizes_times(coarse: Grid, scale: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(n * step for n, step in zip(size, scale)) for size in coarse.sizes)


def _repeated_mask(coarse: Grid, scale: tuple[int, ...]) -> np.ndarray:
    assert coarse.mask is not None
    ends, parts = coarse.cell_ptr, []
    for i, size in enumerate(coarse.sizes):
        image = coarse.mask[ends[i] : ends[i + 1]].reshape(size)
        for axis, step in enumerate(scale):
            image = np.repeat(image, step, axis=axis)
        parts.append(image.reshape(-1))
    return np.concatenate([np.zeros(0, bool), *parts])


def _checked_scale(scale: Any) -> Any:
    values = scale if isinstance(scale, tuple) else (scale,)
    if not values or not all(isinstance(step, int) and not isinstance(step, bool) and step >= 1 for step in values):
        raise InvalidArgumentError(
            f"scale must be an integer of at least 1, or one per axis. Got {scale!r}. Use for example 2."
        )
    return scale
