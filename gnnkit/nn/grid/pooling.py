"""Pooling on grids: MaxPool, MeanPool, StridePool, and the way back, MaxUnpool. Imports the base of grid layers."""

from __future__ import annotations

from typing import Any

from gnnkit.errors import InvalidFeatureError, InvalidGraphError, ShapeError
from gnnkit.graph import Graph, Stencil, as_grid
from gnnkit.message import stencil_argmax, stencil_max, stencil_mean, stencil_unpool
from gnnkit.message.stencil_pool import rows_at
from gnnkit.nn.declared import Symmetry
from gnnkit.nn.grid.base import GridLayer, Place, grid_of, is_symmetric, per_axis
from gnnkit.nn.inputs import layer_name

POSITIONS = "positions"  # the field of nodes in which MaxPool keeps who won


class _Windows(GridLayer):
    """Base of the layers that look at windows, by default beside each other."""

    def __init__(
        self, kernel_size: Any = 2, *, stride: Any = None, padding: Any = "valid", border: str | None = None
    ) -> None:
        self.kernel_size = per_axis(kernel_size)
        self.stride = self.kernel_size if stride is None else per_axis(stride)
        self.padding, self.border = per_axis(padding), border
        check_stencil(self)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        flip, turn = is_symmetric(self)
        looks = {name: "equivariant" for name, some in (("flip", flip), ("rot90", turn)) if some}
        return super().symmetry | looks | {"channels": "equivariant"}

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return float(self.topology(graph_in).num_edges * graph_in.x.shape[-1])


class MaxPool(_Windows):
    """The largest value of every window, channel by channel.

    Parameters
    ----------
    kernel_size : int or one per axis
        Extent of a window.
    stride : int or one per axis, optional
        Step between windows; default: the kernel size, windows beside each other.
    padding : "valid", "same", int, ...
        As of :class:`Conv2d`. "valid" leaves out pixels at the end that fill no window, "same" gives them one.
    border : None, "zero", "wrap", "reflect" or "edge"
        What lies beyond the edge. None takes the border of the graph; "zero" is nothing: it never wins.
    positions : bool
        Whether to keep, in the node field ``"positions"`` (int32), the offset of the winner in its window, for
        :class:`MaxUnpool`; of several the first.

    Raises
    ------
    InvalidGraphError
        If the graph is no grid.
    ShapeError
        If a window does not fit into an image, or ``x`` is no matrix.
    DTypeError, InvalidFeatureError
        As :class:`Conv2d`.

    Notes
    -----
    Works on grids of any number of axes. With a mask a window has the largest of the pixels that exist, and a pixel
    comes out wherever one of them does. Tied winners share the gradient evenly (PyTorch gives it to the first).
    Shifting the image by the stride shifts the output; other shifts change it.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 5.0]])[..., None])
    >>> out = gk.nn.MaxPool(2, positions=True)(g)
    >>> out.x.numpy().ravel(), out.nodes["positions"].ravel()
    (array([4., 5.]), array([2, 0], dtype=int32))
    """

    def __init__(
        self,
        kernel_size: Any = 2,
        *,
        stride: Any = None,
        padding: Any = "valid",
        border: str | None = None,
        positions: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride=stride, padding=padding, border=border)
        self.positions = bool(positions)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        found = super().symmetry  # offsets in a window are numbered from one corner, channel by channel
        return found.without("flip", "rot90", "channels") if self.positions else found

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        place = self.place(graph)
        y = stencil_max(place.topology, x)
        out = self.moved(graph, place, y)
        return out.replace(nodes={POSITIONS: stencil_argmax(place.topology, x, y)}) if self.positions else out


class MeanPool(_Windows):
    """The mean of every window, channel by channel, over the pixels that exist.

    Parameters
    ----------
    kernel_size, stride, padding, border
        As of :class:`MaxPool`.

    Raises
    ------
    InvalidGraphError, ShapeError, DTypeError, InvalidFeatureError
        As :class:`MaxPool`.

    Notes
    -----
    Zeros beyond the edge and pixels that a mask leaves out do not count (in PyTorch
    ``count_include_pad=False``; its default counts padded zeros). Pixels that another border repeats count as often.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.arange(9.0).reshape(3, 3, 1))
    >>> gk.to_image(gk.nn.MeanPool(2, padding="same")(g))[..., 0]
    array([[2. , 3.5],
           [6.5, 8. ]])
    """

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        place = self.place(graph)
        return self.moved(graph, place, stencil_mean(place.topology, x))


class StridePool(GridLayer):
    """Every ``stride``-th pixel along each axis, from the first on: ``image[::stride, ::stride]``.

    Parameters
    ----------
    stride : int or one per axis

    Raises
    ------
    InvalidGraphError, ShapeError, DTypeError, InvalidFeatureError
        As :class:`MaxPool`.

    Notes
    -----
    An image of ``n`` pixels along an axis keeps ``ceil(n / stride)``. Where the pixel to be kept is missing there is
    none in the output. Its adjoint is :class:`Upsample` with mode "zero".

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.arange(9.0).reshape(3, 3, 1))
    >>> gk.to_image(gk.nn.StridePool(2)(g))[..., 0]
    array([[0., 2.],
           [6., 8.]])
    """

    kernel_size = 1
    padding = "valid"

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return super().symmetry | {"channels": "equivariant"}

    def __init__(self, stride: Any = 2) -> None:
        self.stride = per_axis(stride)
        check_stencil(self)

    def forward(self, graph: Graph) -> Graph:
        x = self.checked(graph)
        place = self.place(graph)
        if place.topology.num_receivers == place.topology.num_senders:
            return self.moved(graph, place, x)
        return self.moved(graph, place, rows_at(x, places=place.topology.senders, size=len(x)))

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0


class MaxUnpool(_Windows):
    """Every value back to the pixel that it came from, 0 elsewhere: the way back of :class:`MaxPool`.

    ``layer(graph, onto=fine)`` gives ``x`` on the pixels of ``fine``, the graph that was pooled, so that odd sizes and
    masks are restored exactly.

    Parameters
    ----------
    kernel_size, stride, padding, border
        Those of the pooling.

    Raises
    ------
    InvalidGraphError
        If pooling ``onto`` does not lead to the grid of the graph.
    InvalidFeatureError
        If there are no positions, or one lies outside of its window.
    ShapeError
        If there are other numbers of channels than positions.

    Notes
    -----
    The positions are the node field ``"positions"`` of the graph. Layers that change the grid leave it behind: then
    hand on that of the pooled graph, with ``layer(graph, onto=fine, positions=pooled.nodes["positions"])``. Values that
    meet, where windows overlap, are added (in PyTorch one of them remains).

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_image(np.array([[1.0, 2.0, 5.0], [4.0, 3.0, 0.0]])[..., None])
    >>> pooled = gk.nn.MaxPool(2, padding="same", positions=True)(g)
    >>> gk.to_image(gk.nn.MaxUnpool(2, padding="same")(pooled, onto=g))[..., 0]
    array([[0., 0., 5.],
           [4., 0., 0.]])
    """

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """That of a graph which was pooled: one pixel before is as many as the stride after."""
        found = super().symmetry.without("flip", "rot90", "channels")
        return Symmetry(found, scale=self.stride)

    def forward(self, graph: Graph, onto: Graph, positions: Any = None) -> Graph:
        x = self.checked(graph)
        if positions is None:
            positions = self._remembered(graph)
        place = self.place(onto)
        coarse = grid_of(self, graph).grid
        if place.grid != coarse:
            raise InvalidGraphError(
                f"The pooling that {layer_name(self)} reverses must lead from onto to the grid of the graph. "
                f"It leads from {as_grid(onto)!r} to {place.grid!r}, and the graph is on {coarse!r}. Use the arguments "
                "of the pooling, and the graph that it pooled."
            )
        back = Place(place.topology, place.topology.sender_grid, onto.topology)
        return self.moved(graph, back, stencil_unpool(place.topology, x, positions))

    def _remembered(self, graph: Graph) -> Any:
        if POSITIONS not in graph.nodes:
            raise InvalidFeatureError(
                f"{layer_name(self)} needs to know where the values came from. Got a graph without the node field "
                f"{POSITIONS!r}. Pool with gk.nn.MaxPool(..., positions=True), and pass "
                f"positions=pooled.nodes[{POSITIONS!r}] if layers in between have changed the grid."
            )
        return graph.nodes[POSITIONS]

    def work(self, graph_in: Any, graph_out: Any) -> float:
        return 0.0

    def window(self, graph: Graph) -> tuple[tuple[float, float], ...]:
        return tuple((1.0, 1.0 / stride) for stride in sizes_along(self.stride, as_grid(graph).ndim, "stride"))


def check_stencil(layer: GridLayer) -> None:
    """Refuse arguments that make no stencil here, not at the first image."""
    values = (layer.kernel_size, layer.stride, layer.padding)
    ndim = None if any(isinstance(value, tuple) for value in values) else 1
    border = layer.border or "zero"
    Stencil(layer.kernel_size, ndim=ndim, stride=layer.stride, padding=layer.padding, border=border)


def sizes_along(value: Any, ndim: int, name: str) -> tuple[int, ...]:
    """The argument ``name``, one number or one per axis, as one number per axis."""
    values = value if isinstance(value, tuple) else (value,) * ndim
    if len(values) != ndim:
        raise ShapeError(
            f"{name} must be one number, or one per axis of the grid, {ndim}. Got {name}={value!r}. "
            "Give as many numbers as the images have axes."
        )
    return values
