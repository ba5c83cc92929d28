"""Convolutions on grids: Conv1d, Conv2d, Conv3d, HexConv, and their depthwise forms. Imports the base of grid layers.

A convolution is a stencil sum: what a pixel sends along an edge is multiplied with the matrix of the offset of that
edge. On a graph with explicit edges and offsets the same layer runs over the edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor, as_array
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError
from gnnkit.graph import Graph, Topology
from gnnkit.graph.grids import Grid, GridTopology
from gnnkit.message import stencil_sum
from gnnkit.nn.conv.base import add_bias
from gnnkit.nn.grid.base import GridLayer, central_offsets, check_divides, per_axis
from gnnkit.nn.grid.matrices import stencil_matrix
from gnnkit.nn.inputs import layer_name
from gnnkit.nn.linear import check_count
from gnnkit.nn.parameter import Parameter


class StencilConv(GridLayer):
    """Base of the convolutions on grids: ``y[r] = sum over the edges (s -> r) of x[s] @ weight[offset] + bias``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        stride: Any = 1,
        padding: Any = "same",
        dilation: Any = 1,
        groups: int = 1,
        border: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        self.groups = check_divides(groups, in_channels, out_channels)
        self.kernel_size, self.stride = per_axis(kernel_size), per_axis(stride)
        self.dilation, self.padding, self.border = per_axis(dilation), per_axis(padding), border
        # a wrong stencil is refused here, not at the first image
        shape = (self.stencil().num_offsets, in_channels // groups, out_channels)
        self.weight = Parameter(np.zeros(shape), dtype=dtype)
        self.bias = Parameter(np.zeros(out_channels), dtype=dtype, decay=0.0) if bias else None
        self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator) -> None:
        self.weight.assign(draw_kernel(self.weight.shape, self.groups, rng))
        if self.bias is not None:
            self.bias.assign(np.zeros(self.out_channels))

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        if not isinstance(graph.topology, GridTopology) and "offset" in graph.edges:
            return graph.replace(x=self._on_given_edges(graph, x))
        place = self.place(graph)
        y = stencil_sum(place.topology, x, self.weight, groups=self.groups, bias=self.bias)
        return self.moved(graph, place, y)

    def on_edges(self, graph: Graph) -> Graph:
        """The same as calling the layer on a grid graph, but over explicit edges with a message program.

        Slow: it is the proof that a convolution is message passing, and the reference of the tests.
        """
        x = self.checked(graph)
        place = self.place(graph)
        edges, offset = place.topology.to_explicit()
        y = stencil_sum(edges, x, self.weight, offset=offset, groups=self.groups)
        return self.moved(graph, place, y if self.bias is None else y + self.bias)

    def _on_given_edges(self, graph: Graph, x: Tensor) -> Tensor:
        for name, plain in (("stride", 1), ("dilation", 1), ("padding", "same")):
            value = getattr(self, name)
            if any(item != plain for item in (value if isinstance(value, tuple) else (value,))):
                raise InvalidArgumentError(
                    f"On explicit edges every pixel receives what its edges bring: there is no {name} to choose. Got "
                    f"{layer_name(self)}. Use it on the grid graph itself, or conv.on_edges(graph)."
                )
        if self.border is not None:
            raise InvalidArgumentError(
                "On explicit edges every pixel receives what its edges bring: there is no border to choose. Got "
                f"{layer_name(self)}. Choose it where the graph is made, or use conv.on_edges(graph)."
            )
        offset = graph.edges["offset"]
        y = stencil_sum(graph.topology, x, self.weight, offset=offset, groups=self.groups)
        self._check_centre(graph.topology, np.asarray(as_array(offset)))
        return add_bias(y, self.bias)

    def _check_centre(self, topology: Topology, offset: np.ndarray) -> None:
        """Refuse the offsets of another kernel size, of which this one could read wrong weights without a word."""
        stencil = self.stencil()
        middle = self.weight.shape[0] // 2
        if stencil.lattice == "square":
            middle = int(np.ravel_multi_index([(k - 1) // 2 for k in stencil.kernel_size], stencil.kernel_size))
        centres = central_offsets(topology, offset)
        if centres and middle not in centres:
            raise InvalidFeatureError(
                "The offsets of the edges must be those of the kernel. "
                f"In {layer_name(self)} a pixel itself has offset {middle}, in the graph {centres[0]}. "
                "Make the graph with the same kernel_size."
            )

    def to_matrix(self, grid: Grid | Graph | GridTopology) -> Any:
        """The layer without its bias as a matrix, Toeplitz-like: ``to_matrix(g) @ g.x.ravel()`` is the convolution.

        Parameters
        ----------
        grid : Grid, Graph or GridTopology

        Returns
        -------
        scipy.sparse.csr_array [num_receivers * out_channels, num_senders * in_channels]
            Row ``receiver * out_channels + channel``, column ``sender * in_channels + channel``. Where a border folds
            two offsets onto one sender, their weights are added.
        """
        edges, offset = self.topology(grid).to_explicit()
        return stencil_matrix(edges, self.weight.data[offset], self.groups)

    def work(self, graph_in: Any, graph_out: Any) -> float:
        edges = self.topology(graph_in) if isinstance(graph_in.topology, GridTopology) else graph_in.topology
        bias = 0 if self.bias is None else graph_out.num_nodes * self.out_channels
        return 2.0 * edges.num_edges * self.weight.shape[1] * self.out_channels + bias


def draw_kernel(shape: tuple[int, ...], groups: int, rng: np.random.Generator) -> np.ndarray:
    """Glorot uniform for a kernel [K, in // groups, out]: fan-in and fan-out count all offsets of one group."""
    offsets, inside, out = shape
    bound = np.sqrt(6.0 / max(offsets * (inside + out // groups), 1))
    return rng.uniform(-bound, bound, shape)


class Conv2d(StencilConv):
    """Convolution of images: message passing whose matrix is chosen by the offset from receiver to sender.

    ``y[r] = sum_k x[r + k] @ weight[k] + bias`` over the offsets k of the stencil; cross-correlation, as in PyTorch and
    :func:`scipy.signal.correlate`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of a pixel before and after.
    kernel_size : int or (int, int)
        Extent of the stencil along rows and columns.
    stride : int or (int, int)
        Step between the pixels of the output.
    padding : "same", "valid", int, (int, int) or ((int, int), (int, int))
        Pixels added around the image: "same" gives ``ceil(size / stride)`` pixels, "valid" adds none; integers for all
        sides, for each axis, or for each axis before and after.
    dilation : int or (int, int)
        Step between the pixels of the stencil.
    groups : int
        Channels are cut in so many groups that do not see each other.
    border : None, "zero", "wrap", "reflect" or "edge"
        What lies beyond the border: nothing, the other side (a torus), or the image mirrored (its edge not repeated),
        or its last pixel repeated. None takes the border of the graph, see :func:`gnnkit.from_image`.
    bias : bool
        Whether to add a bias, started at 0 and not decayed.
    rng : None, int or numpy.random.Generator
        Draws ``weight`` [num_offsets, in_channels / groups, out_channels], Glorot uniform over all offsets.
    dtype
        Dtype of the parameters, in which it computes.

    Raises
    ------
    InvalidGraphError
        If the graph is no grid of two axes.
    InvalidArgumentError
        If the arguments name no stencil, or groups do not divide the channels.
    ShapeError, DTypeError
        If the channels do not fit, or are not floating; if the kernel does not fit into an image.
    InvalidFeatureError
        If the graph has state ``e`` or ``u``, which this layer would ignore, or fields of edges that will be others.

    Notes
    -----
    Images of any sizes in one batch, images with holes (a mask: what is not there sends nothing) and tori are grids
    like others. A graph of images of another size comes out; node fields other than ``x`` are kept only if the grid
    stays the same, globals always.

    A graph with explicit edges and an integer edge field "offset" (see ``gk.transforms.to_explicit``) is convolved
    along these edges, with the same weights and result, if it was made with the same ``kernel_size``; the border is
    that of the edges. ``conv.on_edges(g)`` does so for any grid graph, and ``conv.to_matrix(grid)`` gives the sparse
    matrix.

    Differences from PyTorch: the default of ``padding`` is "same", which also works with a stride; the weight is
    [num_offsets, in / groups, out], offsets in C order (``torch.weight.reshape(out, in / groups, -1).T``); it starts
    Glorot uniform with a zero bias, as :class:`Linear` does here; channels come last.

    References
    ----------
    LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 1998.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.ones((28, 28, 1), "float32"))
    >>> conv = gk.nn.Conv2d(1, 10, 3, rng=0)
    >>> conv.num_parameters, conv(g).x.shape
    (100, (784, 10))
    >>> gk.to_image(gk.nn.Conv2d(1, 4, 5, stride=2, padding="valid", rng=0)(g)).shape
    (12, 12, 4)
    """

    ndim = 2
    lattice = "square"


class Conv1d(StencilConv):
    """Convolution of sequences: :class:`Conv2d` on grids of one axis, such as those of :func:`gnnkit.from_sequence`.

    The parameters are those of :class:`Conv2d`, with one number (or one pair, for ``padding``) for the axis.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> conv = gk.nn.Conv1d(1, 1, 3, padding="valid", bias=False)
    >>> conv.weight.assign([[[1.0]], [[10.0]], [[100.0]]])
    >>> conv(gk.from_sequence(np.array([[1.0], [2.0], [3.0], [4.0]], "float32"))).x.numpy().ravel()
    array([321., 432.], dtype=float32)
    """

    ndim = 1
    lattice = "square"


class Conv3d(StencilConv):
    """Convolution of volumes and videos: :class:`Conv2d` on grids of three axes.

    The parameters are those of :class:`Conv2d`, with three numbers where the axes differ.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_volume(np.ones((4, 5, 6, 2), "float32"))
    >>> gk.nn.Conv3d(2, 3, (1, 3, 3), stride=(1, 2, 2), rng=0)(g).x.shape
    (36, 3)
    """

    ndim = 3
    lattice = "square"


class HexConv(StencilConv):
    """Convolution on hexagonal grids: a matrix for the centre and for each of the neighbours around it.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of a cell before and after.
    kernel_size : int
        Odd: ``2 r + 1`` reaches ``r`` cells far, which are ``1 + 3 r (r + 1)`` offsets: 7 for 3, 19 for 5.
    groups, border, bias, rng, dtype
        As of :class:`Conv2d`.

    Notes
    -----
    The output is on the same cells. Images with ``lattice="hexagonal"`` have every odd row shifted right by half a
    cell, see :func:`gnnkit.from_image`.

    References
    ----------
    Hoogeboom, Peters, Cohen and Welling, HexaConv, ICLR 2018.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.ones((4, 5, 1), "float32"), lattice="hexagonal")
    >>> conv = gk.nn.HexConv(1, 2, 3, rng=0)
    >>> conv.weight.shape, conv(g).x.shape
    ((7, 1, 2), (20, 2))
    """

    ndim = 2
    lattice = "hexagonal"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        groups: int = 1,
        border: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, groups=groups, border=border, bias=bias, rng=rng, dtype=dtype
        )


class _Depthwise(StencilConv):
    """Base of the depthwise convolutions: every channel has a kernel of its own, or ``multiplier`` of them."""

    def __init__(
        self,
        channels: int,
        kernel_size: Any,
        *,
        multiplier: int = 1,
        stride: Any = 1,
        padding: Any = "same",
        dilation: Any = 1,
        border: str | None = None,
        bias: bool = True,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.multiplier = check_count("multiplier", multiplier)
        super().__init__(
            channels,
            channels * multiplier,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=max(channels, 1),
            border=border,
            bias=bias,
            rng=rng,
            dtype=dtype,
        )


class DepthwiseConv2d(_Depthwise):
    """Convolution of every channel on its own: :class:`Conv2d` with as many groups as channels.

    Parameters
    ----------
    channels : int
        Channels before.
    kernel_size : int or (int, int)
    multiplier : int
        Kernels for each channel: there are ``channels * multiplier`` channels after, those of one input channel beside
        each other.
    stride, padding, dilation, border, bias, rng, dtype
        As of :class:`Conv2d`.

    References
    ----------
    Howard et al., MobileNets, 2017.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.DepthwiseConv2d(96, 7).weight.shape, gk.nn.DepthwiseConv2d(8, 3, multiplier=2).out_channels
    ((49, 1, 96), 16)
    """

    ndim = 2
    lattice = "square"


class DepthwiseConv1d(_Depthwise):
    """Depthwise convolution of sequences; see :class:`DepthwiseConv2d`."""

    ndim = 1
    lattice = "square"


class DepthwiseConv3d(_Depthwise):
    """Depthwise convolution of volumes; see :class:`DepthwiseConv2d`."""

    ndim = 3
    lattice = "square"
