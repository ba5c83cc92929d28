"""Locally connected layers: a convolution without shared weights. Imports the base of grid layers and message programs.

Every edge of the grid has a matrix of its own, so the grid belongs to the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import ShapeError
from gnnkit.graph import Graph
from gnnkit.graph.grids import Grid
from gnnkit.message import agg, message_program
from gnnkit.nn.declared import Symmetry
from gnnkit.nn.grid.base import GridLayer, per_axis
from gnnkit.nn.grid.matrices import stencil_matrix
from gnnkit.nn.inputs import layer_name
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


@message_program
def _own_matrix(src: Any, edge: Any) -> Any:
    """What an edge sends for all images of a batch at once: [images, in] @ [in, out]."""
    return agg.sum(src.x @ edge.weight)


class _LocallyConnected(GridLayer):
    lattice = "square"
    symmetry = Symmetry({"union": "equivariant"})  # every pixel has weights of its own

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        size: Any,
        stride: Any = 1,
        padding: Any = "same",
        dilation: Any = 1,
        border: str = "zero",
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.kernel_size, self.stride = per_axis(kernel_size), per_axis(stride)
        self.dilation, self.padding, self.border = per_axis(dilation), per_axis(padding), border
        self.size = (size,) if isinstance(size, int | np.integer) else tuple(size)
        self.stencil()  # refuses what makes none
        one = self.topology(Grid(self.size))
        self.weight = Parameter(np.zeros((one.num_edges, in_channels, out_channels)), dtype=dtype)
        self.bias = Parameter(np.zeros((one.num_receivers, out_channels)), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        _, inside, out = self.weight.shape
        bound = np.sqrt(6.0 / max(self.stencil().num_offsets * (inside + out), 1))
        self.weight.assign(rng.uniform(-bound, bound, self.weight.shape))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.bias.shape))

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        place = self.place(graph)
        grid = place.topology.sender_grid
        self._check_size(grid)
        return self.moved(graph, place, self._connect(x, grid.num_graphs))

    def _connect(self, x: Tensor, images: int) -> Tensor:
        edges = self._edges()
        stacked = x.reshape(images, edges.num_senders, x.shape[1]).transpose(1, 0, 2)
        y = _own_matrix(edges, src={"x": stacked}, edge={"weight": self.weight}).transpose(1, 0, 2)
        y = y if self.bias is None else y + self.bias
        return y.reshape(images * edges.num_receivers, self.out_channels)

    def _edges(self) -> Any:
        return self.topology(Grid(self.size)).to_explicit()[0]

    def _check_size(self, grid: Grid) -> None:
        if grid.mask is None and grid.is_uniform and grid.size == self.size:
            return
        came = "a grid with a mask" if grid.mask is not None else f"images of sizes {sorted(set(grid.sizes))[:4]}"
        raise ShapeError(
            f"{layer_name(self)} has a matrix for every pixel of images of size {self.size}. Got {came}. Build the "
            "layer for that size, or use a convolution, which works on images of any size."
        )

    def to_matrix(self, grid: Any = None) -> Any:
        """The layer without its bias as a sparse matrix, as :meth:`Conv2d.to_matrix`; for one image of its size."""
        return stencil_matrix(self._edges(), self.weight.data)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        bias = 0 if self.bias is None else graph_out.num_nodes * self.out_channels
        return 2.0 * graph_in.num_graphs * self.weight.size + bias


class LocallyConnected2d(_LocallyConnected):
    """The sparse connections of a convolution without sharing: every pixel has weights of its own.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of a pixel before and after.
    kernel_size : int or (int, int)
    size : (int, int)
        Rows and columns of the images, to which the weights belong.
    stride, padding, dilation
        As of :class:`Conv2d`.
    border : str
        As of :class:`Conv2d`; the border of the graph does not matter.
    bias : bool
        Whether to add a bias of its own at every pixel of the output, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [num_edges, in_channels, out_channels], Glorot uniform as for :class:`Conv2d`: one matrix for
        every edge of the grid, sorted by receiver and sender.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    ShapeError
        If the graph has images of another size, or pixels that are missing.

    Notes
    -----
    A message program over the explicit edges of one image; the images of a batch are rows of one matrix product for
    every edge. Where nothing lies beyond the border there is no edge, and no weight.

    References
    ----------
    LeCun, Generalization and network design strategies, 1989.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.LocallyConnected2d(1, 2, 3, size=(4, 4), padding="valid", bias=False).num_parameters
    72
    """

    ndim = 2


class LocallyConnected1d(_LocallyConnected):
    """Locally connected layer for sequences; see :class:`LocallyConnected2d`.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.LocallyConnected1d(1, 1, 3, size=9, padding="valid", bias=False).num_parameters
    21
    """

    ndim = 1


class LocallyConnected3d(_LocallyConnected):
    """Locally connected layer for volumes; see :class:`LocallyConnected2d`."""

    ndim = 3
