"""Stencil sums: messages whose weight is chosen by the offset of the edge. This is what a convolution is.

``y[r] = sum over the edges (s -> r) of x[s] @ weight[offset of the edge]`` on a grid, whose edges are never stored, and
on any topology with an offset for every edge. Its derivatives are itself on the transposed topology and
:func:`stencil_outer`, whose derivatives are stencil sums again. Imports kernels, autodiff, graph, and message programs.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, defvjp, is_tensor, primitive
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, type_name
from gnnkit.graph import Topology
from gnnkit.graph.grids import GridTopology
from gnnkit.message.ops import check_floating, check_rows
from gnnkit.message.program import agg, message_program
from gnnkit.message.segments import as_tensor

MOST_REMEMBERED = 4  # sets of offsets per topology; the oldest goes first


# --- on a grid: primitives, no checks ------------------------------------------------------------------------------


@primitive
def _grid_sum(x: Any, weight: Any, *, topology: GridTopology, groups: int) -> Any:
    return K.stencil_sum(topology.parts, x, weight, num_receivers=topology.num_receivers, groups=groups)


@primitive
def _grid_sum_from(x: Any, weight: Any, bias: Any, *, topology: GridTopology, groups: int) -> Any:
    return K.stencil_sum(topology.parts, x, weight, num_receivers=topology.num_receivers, groups=groups, bias=bias)


@primitive
def _grid_outer(x: Any, y: Any, *, topology: GridTopology, num_offsets: int, groups: int) -> Any:
    return K.stencil_outer(topology.parts, x, y, num_offsets=num_offsets, groups=groups)


def reversed_weight(weight: Any, groups: int = 1) -> Any:
    """The weights of the same stencil run backwards: every block transposed, ``[K, out // groups, in]``.

    Parameters
    ----------
    weight : array or Tensor [K, in // groups, out]

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> gk.message.reversed_weight(np.zeros((9, 2, 6)), groups=3).shape
    (9, 2, 6)
    """
    if groups == 1:
        return np.transpose(weight, (0, 2, 1))
    offsets, inside, out = weight.shape
    blocks = np.transpose(np.reshape(weight, (offsets, inside, groups, out // groups)), (0, 3, 2, 1))
    return np.reshape(blocks, (offsets, out // groups, groups * inside))


def _sum_x(g: Any, y: Any, x: Any, weight: Any, *, topology: GridTopology, groups: int) -> Any:
    return _grid_sum(g, reversed_weight(weight, groups), topology=topology.transpose(), groups=groups)


def _sum_weight(g: Any, y: Any, x: Any, weight: Any, *, topology: GridTopology, groups: int) -> Any:
    return _grid_outer(x, g, topology=topology, num_offsets=weight.shape[0], groups=groups)


def _from_x(g: Any, y: Any, x: Any, weight: Any, bias: Any, *, topology: GridTopology, groups: int) -> Any:
    return _sum_x(g, y, x, weight, topology=topology, groups=groups)


def _from_weight(g: Any, y: Any, x: Any, weight: Any, bias: Any, *, topology: GridTopology, groups: int) -> Any:
    return _sum_weight(g, y, x, weight, topology=topology, groups=groups)


def _from_bias(g: Any, y: Any, x: Any, weight: Any, bias: Any, *, topology: GridTopology, groups: int) -> Any:
    return np.sum(g, axis=0) if is_tensor(g) else K.column_sums(g)


def _outer_x(g: Any, out: Any, x: Any, y: Any, *, topology: GridTopology, num_offsets: int, groups: int) -> Any:
    return _grid_sum(y, reversed_weight(g, groups), topology=topology.transpose(), groups=groups)


def _outer_y(g: Any, out: Any, x: Any, y: Any, *, topology: GridTopology, num_offsets: int, groups: int) -> Any:
    return _grid_sum(x, g, topology=topology, groups=groups)


defvjp(_grid_sum, _sum_x, _sum_weight, keep="01")
defvjp(_grid_sum_from, _from_x, _from_weight, _from_bias, keep="01")
defvjp(_grid_outer, _outer_x, _outer_y, keep="01")


# --- on edges: a message program for the edges of each offset ------------------------------------------------------


@message_program
def _multiplied(src: Any, params: Any) -> Any:
    """What every edge of one offset sends."""
    return agg.sum(src.x @ params.weight)


@message_program
def _sent(src: Any) -> Any:
    return agg.sum(src.x)


def _edge_sum(x: Any, weight: Any, parts: list[tuple[int, Topology]], num_receivers: int, groups: int) -> Any:
    total = None
    for offset, edges in parts:
        if groups == 1:
            part = _multiplied(edges, src={"x": x}, params={"weight": weight[offset]})
        else:
            part = _sent(edges, src={"x": _grouped(x, weight[offset], groups)})
        total = part if total is None else total + part
    return Tensor(np.zeros((num_receivers, weight.shape[2]), x.dtype)) if total is None else total


def _edge_outer(x: Any, y: Any, parts: list[tuple[int, Topology]], num_offsets: int, groups: int) -> Any:
    inside, out = x.shape[1] // groups, y.shape[1]
    blocks = [np.zeros((inside, out), x.dtype)] * num_offsets
    left = np.transpose(np.reshape(x, (x.shape[0], groups, inside)), (1, 2, 0))
    for offset, edges in parts:
        collected = _sent(edges.transpose(), src={"x": y})
        right = np.transpose(np.reshape(collected, (x.shape[0], groups, out // groups)), (1, 0, 2))
        blocks[offset] = np.reshape(np.transpose(np.matmul(left, right), (1, 0, 2)), (inside, out))
    return np.stack(blocks) if blocks else np.zeros((0, inside, out), x.dtype)


def _grouped(x: Any, weight: Any, groups: int) -> Any:
    """``x @ weight`` within groups of columns: [nodes, in], [in // groups, out] -> [nodes, out]."""
    inside, out = weight.shape
    left = np.transpose(np.reshape(x, (x.shape[0], groups, inside)), (1, 0, 2))
    right = np.transpose(np.reshape(weight, (inside, groups, out // groups)), (1, 0, 2))
    return np.reshape(np.transpose(np.matmul(left, right), (1, 0, 2)), (x.shape[0], out))


def _by_offset(topology: Topology, offset: np.ndarray, num_offsets: int) -> list[tuple[int, Topology]]:
    """(offset, the edges that have it) for every offset that occurs; kept with the topology."""
    offset = np.ascontiguousarray(offset)
    key = (num_offsets, str(offset.dtype), blake2b(offset.data, digest_size=16).digest())
    store: dict[Any, list[tuple[int, Topology]]] = topology.cached("by_offset", dict)
    found = store.get(key)
    if found is None:
        _check_range(topology, offset, num_offsets)
        sizes = {"num_senders": topology.num_senders, "num_receivers": topology.num_receivers}
        found = []
        for kind in range(num_offsets):
            edges = np.flatnonzero(offset == kind)
            if len(edges) or (
                not found and kind == num_offsets - 1
            ):  # one at least, so that derivatives are 0, not None
                found.append((kind, Topology.sort(topology.senders[edges], topology.receivers[edges], **sizes)))
        while len(store) >= MOST_REMEMBERED:
            store.pop(next(iter(store)), None)
        store[key] = found
    return found


# --- doors ---------------------------------------------------------------------------------------------------------


def stencil_sum(
    topology: Topology, x: Any, weight: Any, *, offset: Any = None, groups: int = 1, bias: Any = None
) -> Tensor:
    """Sum of the senders' rows at every receiver, each times the matrix of the offset of its edge: a convolution.

    Parameters
    ----------
    topology : GridTopology, or Topology with ``offset``
        On a grid no edge is stored or visited one by one; on a plain topology a message program runs over the edges
        of each offset. Both give the same up to rounding.
    x : array or Tensor [num_senders, in], floating
    weight : array or Tensor [num_offsets, in // groups, out], floating
        The matrix of every offset; converted to the dtype of ``x``.
    offset : integers [num_edges], optional
        For a plain topology: the offset of every edge, in canonical order, in ``[0, num_offsets)``. A grid topology
        knows its own.
    groups : int
        Columns of ``x`` and of the result are cut in so many groups, and each result sees its own group only.
    bias : array or Tensor [out], floating, optional
        Added to every row of the result; converted to the dtype of ``x``. Here that costs no pass over the result.

    Returns
    -------
    Tensor [num_receivers, out]
        ``y[r] = sum over the edges (s -> r) of x[s] @ weight[offset]``; 0 for a receiver without edges. Parallel edges
        count each. ``bias`` is added to that.

    Raises
    ------
    ShapeError
        If rows, channels, offsets or groups do not agree.
    DTypeError
        If ``x`` or ``weight`` are not floating, or offsets are not integers.
    InvalidArgumentError
        If the offsets of a plain topology are missing, or given for a grid.
    InvalidFeatureError
        If an offset is out of range; the text names the first edge.

    Notes
    -----
    This is cross-correlation, as in PyTorch and :func:`scipy.signal.correlate`: the kernel is not mirrored. It is
    differentiable to any order: the derivative by ``x`` is a stencil sum on ``topology.transpose()``, the derivative
    by ``weight`` is :func:`stencil_outer`.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1, 2], [1, 2, 2], num_nodes=3)
    >>> weight = np.array([[[1.0]], [[10.0]]])
    >>> gk.message.stencil_sum(g.topology, np.array([[1.0], [2.0], [3.0]]), weight, offset=[0, 0, 1]).numpy().ravel()
    array([ 0.,  1., 32.])
    """
    x, weight = _checked_pair(topology, x, weight, groups)
    bias = None if bias is None else _checked_bias(bias, weight)
    if isinstance(topology, GridTopology):
        _check_grid(topology, offset, weight.shape[0])
        if bias is None:
            return as_tensor(_grid_sum(x, weight, topology=topology, groups=groups))
        return as_tensor(_grid_sum_from(x, weight, bias, topology=topology, groups=groups))
    parts = _by_offset(topology, _checked_offset(topology, offset), weight.shape[0])
    total = _edge_sum(x, weight, parts, topology.num_receivers, groups)
    return as_tensor(total if bias is None else total + bias)


def stencil_outer(
    topology: Topology, x: Any, y: Any, *, num_offsets: int, offset: Any = None, groups: int = 1
) -> Tensor:
    """Sum of the outer products of the rows of sender and receiver, over the edges of each offset.

    Parameters
    ----------
    topology : GridTopology, or Topology with ``offset``
    x : array or Tensor [num_senders, in], floating
    y : array or Tensor [num_receivers, out], floating
        Converted to the dtype of ``x``.
    num_offsets : int
    offset : integers [num_edges], optional
        As in :func:`stencil_sum`.
    groups : int
        Products are taken within each of so many groups of columns.

    Returns
    -------
    Tensor [num_offsets, in // groups, out]
        ``w[k] = sum over the edges (s -> r) of offset k of x[s]' y[r]``; 0 for an offset that no edge has.

    Raises
    ------
    ShapeError, DTypeError, InvalidArgumentError, InvalidFeatureError
        As :func:`stencil_sum`.

    Notes
    -----
    The derivative of a stencil sum by its weights; linear in ``x`` and in ``y``, and differentiable to any order.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1, 2], [1, 2, 2], num_nodes=3)
    >>> x = np.array([[1.0], [2.0], [3.0]])
    >>> gk.message.stencil_outer(g.topology, x, x, num_offsets=2, offset=[0, 0, 1]).numpy().ravel()
    array([8., 9.])
    """
    x = _checked_rows(x, topology.num_senders, "x", "sender")
    y = _checked_rows(y, topology.num_receivers, "y", "receiver")
    _check_groups(groups, x.shape[1], y.shape[1])
    y = y if y.dtype == x.dtype else y.astype(x.dtype)
    if isinstance(topology, GridTopology):
        _check_grid(topology, offset, num_offsets)
        return as_tensor(_grid_outer(x, y, topology=topology, num_offsets=num_offsets, groups=groups))
    parts = _by_offset(topology, _checked_offset(topology, offset), num_offsets)
    return as_tensor(_edge_outer(x, y, parts, num_offsets, groups))


# --- checks --------------------------------------------------------------------------------------------------------


def _checked_rows(values: Any, count: int, name: str, unit: str) -> Any:
    values = check_floating(check_rows(values, count, name, unit), name)
    if values.ndim != 2:
        raise ShapeError(
            f"{name} must be [nodes, channels]. Got shape {list(values.shape)}. Reshape it to one row per {unit}."
        )
    return values


def _checked_pair(topology: Topology, x: Any, weight: Any, groups: int) -> tuple[Any, Any]:
    x = _checked_rows(x, topology.num_senders, "x", "sender")
    weight = check_floating(weight if is_tensor(weight) else np.asarray(weight), "weight")
    if weight.ndim != 3 or weight.shape[1] * groups != x.shape[1]:
        raise ShapeError(
            f"weight must be [num_offsets, in // groups, out] for x [nodes, in]. Got weight {list(weight.shape)}, x "
            f"{list(x.shape)} and groups={groups}. Give one matrix per offset for the channels of each group."
        )
    _check_groups(groups, x.shape[1], weight.shape[2])
    return x, weight if weight.dtype == x.dtype else weight.astype(x.dtype)


def _checked_bias(bias: Any, weight: Any) -> Any:
    bias = check_floating(bias if is_tensor(bias) else np.asarray(bias), "bias")
    if bias.shape != weight.shape[2:]:
        raise ShapeError(
            f"bias must be [out] for weight [num_offsets, in // groups, out]. Got bias {list(bias.shape)} and weight "
            f"{list(weight.shape)}. Give one number per channel of the result."
        )
    return bias if bias.dtype == weight.dtype else bias.astype(weight.dtype)


def _check_groups(groups: int, inside: int, out: int) -> None:
    if groups < 1 or inside % groups or out % groups:
        raise ShapeError(
            f"groups must divide the channels before and after. Got groups={groups} for {inside} and {out} channels. "
            "Choose a common divisor of them."
        )


def _check_grid(topology: GridTopology, offset: Any, num_offsets: int) -> None:
    if offset is not None:
        raise InvalidArgumentError(
            f"A grid topology knows the offset of every edge. Got offset= for {topology!r} as well. Leave it out, or "
            "pass the plain topology of topology.to_explicit()."
        )
    if num_offsets != topology.num_offsets:
        raise ShapeError(
            f"There must be one matrix for every offset of the stencil, {topology.num_offsets}. Got {num_offsets}. "
            "Use topology.num_offsets."
        )


def _checked_offset(topology: Topology, offset: Any) -> np.ndarray:
    if offset is None:
        raise InvalidArgumentError(
            f"A stencil sum chooses its matrix by the offset of the edge. Got {topology!r}, which is no grid, and "
            "offset=None. Pass the offsets, or a GridTopology."
        )
    offset = np.asarray(as_array(offset))
    if offset.dtype.kind not in "iu":
        raise DTypeError(
            f"Offsets are integers that number the matrices. Got {type_name(offset)} of dtype {offset.dtype}. "
            "Number the kinds of edges from 0."
        )
    if offset.shape != (topology.num_edges,):
        raise ShapeError(
            f"Offsets have shape [num_edges] = [{topology.num_edges}]. Got {list(offset.shape)}. Give one per edge, in "
            "canonical order."
        )
    return offset


def _check_range(topology: Topology, offset: np.ndarray, num_offsets: int) -> None:
    outside = np.flatnonzero((offset < 0) | (offset >= num_offsets))
    if outside.size:
        edge = int(outside[0])
        raise InvalidFeatureError(
            f"Offsets must lie in [0, num_offsets) = [0, {num_offsets}). The edge {topology.senders[edge]} -> "
            f"{topology.receivers[edge]} has {offset[edge]}, and {outside.size} such edges in all. Give a matrix for "
            "every offset."
        )
