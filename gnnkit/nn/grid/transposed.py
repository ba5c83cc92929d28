"""Transposed convolutions: message passing along the reversed edges of a convolution. Imports the convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError, InvalidGraphError
from gnnkit.graph import Graph
from gnnkit.graph.grids import Grid, GridTopology, Stencil, grid_topology
from gnnkit.message import stencil_sum
from gnnkit.nn.declared import Symmetry
from gnnkit.nn.grid.base import Place, grid_of, kept_place, per_axis
from gnnkit.nn.grid.conv import StencilConv
from gnnkit.nn.inputs import layer_name


class _ConvTranspose(StencilConv):
    lattice = "square"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        stride: Any = 1,
        padding: Any = "same",
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        border: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.output_padding = per_axis(output_padding)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            border=border,
            bias=bias,
            rng=rng,
            dtype=dtype,
        )
        extras, steps = self._extra(), self.stencil().stride
        whole = len(extras) == len(steps) and all(isinstance(extra, int) for extra in extras)
        for extra, step in zip(extras, steps):
            if not whole or not 0 <= extra < step or (extra and padding == "same"):
                raise InvalidArgumentError(
                    "output_padding must be one whole number or one per axis, at least 0, less than the stride, and 0 "
                    "with padding='same'. Got "
                    f"output_padding={output_padding!r}, stride={stride!r}, padding={padding!r}. Call the layer with "
                    "onto=graph to give it the size of another graph."
                )

    def _extra(self) -> tuple[Any, ...]:
        extra = self.output_padding
        return extra if isinstance(extra, tuple) else (extra,) * (self.ndim or 1)

    def forward(self, graph: Graph, onto: Graph | None = None) -> Graph:
        x = self.checked(graph)
        place = self.place(graph) if onto is None else self._place_onto(graph, onto)
        y = stencil_sum(place.topology, x, self.weight, groups=self.groups, bias=self.bias)
        return self.moved(graph, place, y)

    def on_edges(self, graph: Graph, onto: Graph | None = None) -> Graph:
        """The same as calling the layer, but over explicit edges; see :meth:`Conv2d.on_edges`."""
        x = self.checked(graph)
        place = self.place(graph) if onto is None else self._place_onto(graph, onto)
        edges, offset = place.topology.to_explicit()
        y = stencil_sum(edges, x, self.weight, offset=offset, groups=self.groups)
        return self.moved(graph, place, y if self.bias is None else y + self.bias)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """By any shift: one pixel before is as many as the stride after."""
        shifts, stencil = super().symmetry, self.stencil()
        some = (64,) * stencil.ndim  # of any size: a torus must grow by the stride and no more
        exact = self._size_before(some, stencil) == tuple(64 * step for step in stencil.stride)
        return Symmetry(shifts if exact else shifts.without("torus"), scale=self.stride)

    # --- where ---------------------------------------------------------------------------------------------------

    def place(self, graph: Graph | GridTopology) -> Place:
        if self.output_padding == 0:
            return super().place(graph)
        topology = grid_of(self, graph)
        stencil = self.stencil(topology.stencil)
        key = (_ConvTranspose, stencil, self._extra())
        return kept_place(topology, key, lambda: self._build_place(topology, stencil))

    def _run_on(self, grid: Grid, stencil: Stencil) -> GridTopology:
        return self._reversed_onto(self._finer(grid, stencil), grid, stencil)

    def _reversed_onto(self, fine: Grid, coarse: Grid, stencil: Stencil) -> GridTopology:
        runs = grid_topology(fine, stencil)
        if runs.receiver_grid != coarse:
            raise InvalidGraphError(
                f"The convolution that {layer_name(self)} reverses must lead from the pixels of onto to those of the "
                f"graph. It leads from {fine!r} to {runs.receiver_grid!r}, and the graph is on {coarse!r}. Use the "
                "kernel_size, stride, padding and dilation of the layer that made the graph."
            )
        return runs.transpose()

    def _place_onto(self, graph: Graph, onto: Graph) -> Place:
        target, coarse = grid_of(self, onto), self._checked_grid(grid_of(self, graph).grid)
        stencil = self.stencil(target.stencil)

        def build() -> Place:
            fine = self._checked_grid(target.grid)
            return Place(self._reversed_onto(fine, coarse, stencil), fine, target)

        place = kept_place(target, (_ConvTranspose._place_onto, stencil), build)
        if place.topology.sender_grid != coarse:
            build()  # tells what is wrong
        return place

    def _finer(self, grid: Grid, stencil: Stencil) -> Grid:
        if grid.is_uniform:
            size = self._size_before(grid.size, stencil)
            fine = Grid(size, num_graphs=grid.num_graphs)
        else:
            fine = Grid([self._size_before(size, stencil) for size in grid.sizes])
        if fine == grid.without_mask():
            return grid
        if grid.mask is not None:
            raise InvalidGraphError(
                f"Where pixels are missing, {layer_name(self)} cannot know which finer pixels exist. Got a grid with a "
                "mask. Call the layer with onto=graph, the graph whose pixels are wanted."
            )
        return fine

    def _size_before(self, size: tuple[int, ...], stencil: Stencil) -> tuple[int, ...]:
        """The size of the image that the convolution takes to ``size``; of several, the one that is asked for."""
        if stencil.padding == "same":
            return tuple(n * step for n, step in zip(size, stencil.stride))
        axes = zip(size, stencil.kernel_size, stencil.stride, stencil.dilation, stencil.padding, self._extra())
        found = tuple((n - 1) * s - sum(pad) + d * (k - 1) + 1 + extra for n, k, s, d, pad, extra in axes)
        if min(found) < 1:
            raise InvalidGraphError(
                f"{layer_name(self)} must give an image of at least 1 pixel. From size {size} it would give {found}. "
                "Use less padding."
            )
        return found

    def window(self, graph: Graph) -> tuple[tuple[float, float], ...]:
        stencil = self.stencil()
        return tuple(
            (-(-(dilation * (size - 1) + 1) // stride), 1 / stride)
            for size, dilation, stride in zip(stencil.kernel_size, stencil.dilation, stencil.stride)
        )


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images: every pixel sends back along the edges by which a convolution would reach it.

    With ``conv = Conv2d(a, b, ...)`` and ``up = ConvTranspose2d(b, a, ...)`` of the same arguments and
    ``up.weight[k] = conv.weight[k].T``, ``<conv(x), y> = <x, up(y)>`` without the biases.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of a pixel before and after.
    kernel_size, stride, padding, dilation, groups, border
        Of the convolution that it reverses, see :class:`Conv2d`.
    output_padding : int or (int, int)
        Convolutions with a stride take several sizes to one; the smallest of them grows by so many pixels. Less than
        the stride.
    bias, rng, dtype
        As of :class:`Conv2d`; ``weight`` is [num_offsets, in_channels / groups, out_channels].

    Raises
    ------
    InvalidGraphError
        If the graph is no such grid; or if ``onto`` is given and the convolution does not lead from it to the graph.

    Notes
    -----
    With padding "same" (the default) an image grows by the factor ``stride``; otherwise from ``n`` to
    ``(n - 1) * stride - padding before and after + dilation * (kernel_size - 1) + 1 + output_padding`` pixels.
    Called as ``layer(graph, onto=fine)`` it gives ``x`` on the pixels of ``fine``, so that odd sizes and missing
    pixels are restored exactly.

    Differences from PyTorch: those of :class:`Conv2d`; the default of ``padding`` is "same" where PyTorch has 0.

    References
    ----------
    Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> fine = gk.from_image(np.ones((7, 9, 2), "float32"))
    >>> coarse = gk.nn.Conv2d(2, 4, 3, stride=2, rng=0)(fine)
    >>> up = gk.nn.ConvTranspose2d(4, 3, 3, stride=2, rng=0)
    >>> [gk.to_image(g).shape for g in (coarse, up(coarse), up(coarse, onto=fine))]
    [(4, 5, 4), (8, 10, 3), (7, 9, 3)]
    """

    ndim = 2


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences; see :class:`ConvTranspose2d`."""

    ndim = 1


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes; see :class:`ConvTranspose2d`."""

    ndim = 3
