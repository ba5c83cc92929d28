"""Pooling along the edges of a grid: the largest or the mean value of every window, and back to where it came from.

No edge is stored, and no array of one row per edge exists. Imports kernels, autodiff, graph and message operations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, defvjp, primitive, scatter_add
from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError
from gnnkit.graph import GridTopology, Topology
from gnnkit.message.extremes import neighbour_max
from gnnkit.message.ops import check_floating, check_rows, neighbour_sum
from gnnkit.message.segments import as_tensor
from gnnkit.message.stencils import stencil_sum

# --- primitives: no checks, arrays or Tensors in and out ------------------------------------------------------------


@primitive
def _largest(x: Any, *, topology: GridTopology, memo: dict[str, np.ndarray]) -> Any:
    """``memo`` belongs to this call alone: the adjoint finds the number of ties there instead of counting again."""
    y, memo["ties"] = K.stencil_max(topology.parts, x, num_receivers=topology.num_receivers)
    return y


@primitive
def _to_winners(shared: Any, *, x: np.ndarray, y: np.ndarray, topology: GridTopology) -> Any:
    """Rows of receivers to those senders ``x`` that equal the ``y`` of the receiver; linear in ``shared``."""
    degrees = _sender_degrees(topology)
    if degrees[1] <= 1:  # windows apart from each other
        return K.stencil_max_spread(topology.parts, x, y, shared, complete=degrees[0] == 1)
    return K.stencil_max_adjoint(topology.transpose().parts, x, y, shared)


@primitive
def _from_winners(values: Any, *, x: np.ndarray, y: np.ndarray, topology: GridTopology) -> Any:
    """The adjoint: every receiver sums the ``values`` of its winners."""
    return K.stencil_max_adjoint(topology.parts, y, x, values)


def _largest_rule(g: Any, y: Any, x: Any, *, topology: GridTopology, memo: dict[str, np.ndarray]) -> Any:
    shared = g / np.maximum(memo["ties"], 1)
    return _to_winners(shared, x=as_array(x), y=as_array(y), topology=topology)


defvjp(_largest, _largest_rule, keep="0y")
defvjp(_to_winners, lambda g, out, shared, **constants: _from_winners(g, **constants), keep="")
defvjp(_from_winners, lambda g, out, values, **constants: _to_winners(g, **constants), keep="")


@primitive
def _window_sums(x: Any, *, topology: GridTopology, factor: float) -> Any:
    """Sums over windows, times ``factor``: a depthwise convolution, every channel is a group."""
    channels = x.shape[1]
    weight = np.full((topology.num_offsets, min(channels, 1), channels), factor, x.dtype)
    return K.stencil_sum(topology.parts, x, weight, num_receivers=topology.num_receivers, groups=max(channels, 1))


@primitive
def _to_windows(y: Any, *, topology: GridTopology, factor: float) -> Any:
    """The adjoint, for windows apart from each other: every sender takes the row of its window."""
    complete = _sender_degrees(topology)[0] == 1
    return K.stencil_spread(topology.parts, y, num_senders=topology.num_senders, factor=factor, complete=complete)


defvjp(_window_sums, lambda g, y, x, **constants: _to_windows(g, **constants), keep="")
defvjp(_to_windows, lambda g, out, y, **constants: _window_sums(g, **constants), keep="")


def _sender_degrees(topology: GridTopology) -> tuple[int, int]:
    """Least and largest number of windows that a sender lies in."""

    def extremes() -> tuple[int, int]:
        degrees = topology.out_degree()
        return (int(degrees.min()), int(degrees.max())) if len(degrees) else (0, 0)

    return topology.cached("sender_degrees", extremes)


@primitive
def put_rows(rows: Any, *, places: np.ndarray, size: int) -> Any:
    """An array of ``size`` rows with these at ``places``, no two at the same one, and 0 elsewhere."""
    out = np.zeros((size, *rows.shape[1:]), rows.dtype)
    out[places] = rows
    return out


@primitive
def rows_at(values: Any, *, places: np.ndarray, size: int) -> Any:
    """Rows ``values[places]``; the adjoint of :func:`put_rows`."""
    return K.gather(values, places)


defvjp(put_rows, lambda g, out, rows, **constants: rows_at(g, **constants), keep="")
defvjp(rows_at, lambda g, out, values, **constants: put_rows(g, **constants), keep="")


# --- doors ---------------------------------------------------------------------------------------------------------


def stencil_max(topology: Topology, x: Any) -> Tensor:
    """Largest value over the senders of every receiver, channel by channel: max pooling.

    Parameters
    ----------
    topology : GridTopology or Topology
        On a grid no edge is visited one by one; on a plain topology this is
        :func:`gnnkit.message.neighbour_max`.
    x : array or Tensor [num_senders, channels], floating

    Returns
    -------
    Tensor [num_receivers, channels]
        0 for a receiver without edges. NaN stays in the windows that hold it.

    Raises
    ------
    ShapeError
        If ``x`` does not have one row per sender, or is no matrix.
    DTypeError
        If ``x`` is not floating.

    Notes
    -----
    Tied winners share the gradient evenly. Where a border folds several offsets onto one sender it counts as often.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> windows = gk.graph.grid_topology(gk.Grid((4,)), gk.Stencil(2, ndim=1, stride=2))
    >>> x = gk.tensor(np.array([[1.0], [4.0], [2.0], [2.0]]), requires_grad=True)
    >>> y = gk.message.stencil_max(windows, x)
    >>> y.sum().backward()
    >>> y.numpy().ravel(), x.grad.numpy().ravel()
    (array([4., 2.]), array([0. , 1. , 0.5, 0.5]))
    """
    if not isinstance(topology, GridTopology):
        return neighbour_max(topology, x)
    return as_tensor(_largest(_checked(topology, x), topology=topology, memo={}))


def stencil_argmax(topology: GridTopology, x: Any, y: Any) -> np.ndarray:
    """Which offset of the window won: where the values of :func:`stencil_max` come from.

    Parameters
    ----------
    topology : GridTopology
    x : array or Tensor [num_senders, channels], floating
    y : array or Tensor [num_receivers, channels]
        The maxima.

    Returns
    -------
    int32 [num_receivers, channels]
        Offset of the first winner; -1 for a receiver without edges.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> windows = gk.graph.grid_topology(gk.Grid((4,)), gk.Stencil(2, ndim=1, stride=2))
    >>> x = np.array([[1.0], [4.0], [2.0], [2.0]])
    >>> gk.message.stencil_argmax(windows, x, gk.message.stencil_max(windows, x)).ravel()
    array([1, 0], dtype=int32)
    """
    x, y = as_array(_checked(topology, x)), as_array(y)
    return K.stencil_argmax(topology.parts, x, y, num_receivers=topology.num_receivers)


def stencil_unpool(topology: GridTopology, x: Any, positions: Any) -> Tensor:
    """Every value back to the sender at its position, 0 elsewhere: the adjoint of reading there.

    Parameters
    ----------
    topology : GridTopology
        The one that was pooled along: ``x`` belongs to its receivers, the result to its senders.
    x : array or Tensor [num_receivers, channels], floating
    positions : int [num_receivers, channels]
        Offsets in the window, from :func:`stencil_argmax`; -1 for none, whose value is dropped.

    Returns
    -------
    Tensor [num_senders, channels]
        Values that meet, where windows overlap, are added.

    Raises
    ------
    ShapeError, DTypeError
        If positions are not integers of the shape of ``x``.
    InvalidFeatureError
        If a position lies outside of its window or on no sender; the first such receiver is named.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> windows = gk.graph.grid_topology(gk.Grid((4,)), gk.Stencil(2, ndim=1, stride=2))
    >>> gk.message.stencil_unpool(windows, np.array([[4.0], [2.0]]), np.array([[1], [0]])).numpy().ravel()
    array([0., 4., 2., 0.])
    """
    x = _checked(topology.transpose(), x)
    index = _winning_senders(topology, np.asarray(as_array(positions)), x.shape)
    channels = x.shape[1]
    there = index >= 0
    places = index * channels + np.arange(channels)
    flat = x.reshape(x.size) if there.all() else x[there]
    size = topology.num_senders * channels
    if _sender_degrees(topology)[1] <= 1:  # nothing meets
        spread = put_rows(flat, places=places[there], size=size)
    else:
        spread = scatter_add(flat, places[there], size)
    return as_tensor(spread.reshape(topology.num_senders, channels))


def stencil_mean(topology: Topology, x: Any) -> Tensor:
    """Mean over the senders of every receiver: mean pooling, of what exists.

    Parameters
    ----------
    topology : GridTopology or Topology
    x : array or Tensor [num_senders, channels], floating

    Returns
    -------
    Tensor [num_receivers, channels]
        0 for a receiver without edges.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`stencil_max`.

    Notes
    -----
    The sum is divided by the number of edges of the receiver: beyond a border of zeros, or where a mask has left a
    hole, there is nothing to count. (PyTorch counts padded zeros unless ``count_include_pad=False``.)

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> windows = gk.graph.grid_topology(gk.Grid((3,)), gk.Stencil(2, ndim=1, stride=2))
    >>> gk.message.stencil_mean(windows, np.array([[1.0], [4.0], [2.0]])).numpy().ravel()
    array([2.5, 2. ])
    """
    if not isinstance(topology, GridTopology):
        return neighbour_sum(topology, x) * _shares(topology, x.dtype)
    x = _checked(topology, x)
    shares, channels = _shares(topology, x.dtype), x.shape[1]
    # Only powers of two: others would round otherwise before the sum, and other images of the batch would decide it.
    uniform = isinstance(shares, float) and math.frexp(shares)[0] == 0.5
    if _sender_degrees(topology)[1] <= 1:
        total = as_tensor(_window_sums(x, topology=topology, factor=shares if uniform else 1.0))
        return total if uniform else total * shares
    weight = np.full((topology.num_offsets, min(channels, 1), channels), shares if uniform else 1.0, x.dtype)
    total = stencil_sum(topology, x, weight, groups=max(channels, 1))
    return total if uniform else total * shares


def _shares(topology: Topology, dtype: Any) -> Any:
    """1 / number of edges of every receiver: [num_receivers, 1], or one float where all are equal."""

    def build() -> Any:
        degrees = topology.in_degree()
        if len(degrees) and degrees[0] > 0 and (degrees == degrees[0]).all():
            return float(1.0 / degrees[0])
        shares = (1.0 / np.maximum(degrees, 1)).astype(dtype)[:, None]
        shares.flags.writeable = False
        return shares

    return topology.cached(("shares", np.dtype(dtype).char), build)


# --- checks --------------------------------------------------------------------------------------------------------


def _checked(topology: Topology, x: Any) -> Any:
    x = check_floating(check_rows(x, topology.num_senders, "x", "sender"), "x")
    if x.ndim != 2:
        raise ShapeError(f"x must be [nodes, channels]. Got shape {list(x.shape)}. Reshape it to one row per sender.")
    return x


def _winning_senders(topology: GridTopology, positions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sender at every position, -1 where the position is -1."""
    if positions.dtype.kind not in "iu":
        raise DTypeError(
            f"Positions are offsets in a window, integers. Got dtype {positions.dtype}. Use what stencil_argmax gave."
        )
    if positions.shape != shape:
        raise ShapeError(
            f"There must be one position for every value. Got positions {list(positions.shape)} for x {list(shape)}. "
            "Use the positions of the pooling that gave as many nodes and channels."
        )
    table = topology.cached("sender_of_offset", lambda: _sender_table(topology))
    inside = (positions >= -1) & (positions < topology.num_offsets)
    senders = table[np.arange(len(positions))[:, None], np.where(inside, positions, 0)] if table.size else positions
    senders = np.where(positions >= 0, senders, -1)
    bad = np.argwhere(~inside | ((positions >= 0) & (senders < 0)))
    if len(bad):
        receiver, channel = bad[0].tolist()
        raise InvalidFeatureError(
            f"A position must be an offset of the window, in [0, {topology.num_offsets}), at which there is a sender. "
            f"Receiver {receiver} has {positions[receiver, channel]} in channel {channel}. "
            "Use the kernel_size, stride and padding of the pooling that gave the positions."
        )
    return senders


def _sender_table(topology: GridTopology) -> np.ndarray:
    """Sender of every receiver and offset [num_receivers, num_offsets], -1 for none."""
    table = np.full((topology.num_receivers, topology.num_offsets), -1, np.int64)
    edges, offset = topology.to_explicit()
    table[edges.receivers, offset] = edges.senders
    return table
