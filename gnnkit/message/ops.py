"""Differentiable operations on a Topology: gather to edges, sum over neighbours, aggregate edges, softmax over edges.

The four linear ones form adjoint pairs (gather and scatter on either side, neighbour sum and its transpose), and the
derivative of each is written with the others: second derivatives need nothing more. Edge arrays are in canonical
order, that of ``topology.senders``. Imports kernels, autodiff and Topology.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import SparseMatrix, Tensor, as_array, defvjp, is_tensor, primitive
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.graph import Topology
from gnnkit.message.memory import is_frozen, remember
from gnnkit.message.segments import Reducer, as_tensor, resolve_reducer, segment_softmax, segment_sum

# --- primitives: no checks, arrays or Tensors in and out ------------------------------------------------------------


@primitive
def _permute(values: Any, *, topology: Topology) -> Any:
    """Edge values in the canonical order of ``topology.transpose()``."""
    return K.gather(values, topology.transpose_permutation)


@primitive
def _unpermute(values: Any, *, topology: Topology) -> Any:
    """Edge values of ``topology.transpose()`` back in the canonical order of ``topology``."""
    return K.gather(values, topology.transpose().transpose_permutation)


defvjp(_permute, lambda g, y, values, *, topology: _unpermute(g, topology=topology), keep="")
defvjp(_unpermute, lambda g, y, values, *, topology: _permute(g, topology=topology), keep="")


@primitive
def _gather_senders(x: Any, *, topology: Topology) -> Any:
    return K.gather(x, topology.indices)


@primitive
def _gather_receivers(x: Any, *, topology: Topology) -> Any:
    return K.gather(x, topology.receivers)


defvjp(_gather_receivers, lambda g, y, x, *, topology: segment_sum(g, indptr=topology.indptr), keep="")


@primitive
def _scatter_senders(values: Any, *, topology: Topology) -> Any:
    # A sum over the rows of the transpose, not a scatter with +=: every sender owns its row, whatever the threads.
    # Seen as a graph whose senders are the edges, it needs no permuted copy of the values.
    return K.neighbour_sum(topology.transpose().indptr, _edges_by_sender(topology), values)


def _edges_by_sender(topology: Topology) -> np.ndarray:
    def build() -> np.ndarray:
        permutation = topology.transpose_permutation
        return permutation.astype(np.int32) if len(permutation) < 2**31 else permutation

    return topology.cached("edges_by_sender", build)


defvjp(_gather_senders, lambda g, y, x, *, topology: _scatter_senders(g, topology=topology), keep="")
defvjp(_scatter_senders, lambda g, y, values, *, topology: _gather_senders(g, topology=topology), keep="")


@primitive
def _neighbour_sum(x: Any, *, topology: Topology, weights: np.ndarray | None) -> Any:
    return K.neighbour_sum(topology.indptr, topology.indices, x, weights)


@primitive
def _weighted_sum(x: Any, weights: Any, *, topology: Topology) -> Any:
    """The same with weights that are differentiated too: the tape then has to keep ``x``."""
    return K.neighbour_sum(topology.indptr, topology.indices, x, weights)


@primitive
def _edge_dot(receiver_x: Any, sender_x: Any, *, topology: Topology) -> Any:
    return K.edge_dot(topology.indptr, topology.indices, receiver_x, sender_x)


def neighbour_sum_adjoint(g: Any, *, topology: Topology, weights: np.ndarray | None) -> Any:
    """Adjoint of a neighbour sum with constant weights: the sum over the receivers of every sender. No checks."""
    if weights is not None:
        if not is_frozen(weights):
            weights = _permute(weights, topology=topology)
        else:  # a cached normalisation: permuted once, not at every step
            weights = remember(topology, "permuted", weights, partial(_permute, weights, topology=topology))
    return _neighbour_sum(g, topology=topology.transpose(), weights=weights)


def _weighted_sum_x(g: Any, y: Any, x: Any, weights: Any, *, topology: Topology) -> Any:
    return _weighted_sum(g, _permute(weights, topology=topology), topology=topology.transpose())


def _weighted_sum_weights(g: Any, y: Any, x: Any, weights: Any, *, topology: Topology) -> Any:
    if weights.ndim == 1:  # one weight per edge: all features of a node act as one vector
        g, x = (rows.reshape(rows.shape[0], math.prod(rows.shape[1:])) for rows in (g, x))
    return _edge_dot(g, x, topology=topology)


def _edge_dot_receivers(g: Any, y: Any, receiver_x: Any, sender_x: Any, *, topology: Topology) -> Any:
    return _weighted_sum(sender_x, g, topology=topology)


def _edge_dot_senders(g: Any, y: Any, receiver_x: Any, sender_x: Any, *, topology: Topology) -> Any:
    return _weighted_sum(receiver_x, _permute(g, topology=topology), topology=topology.transpose())


defvjp(_neighbour_sum, lambda g, y, x, **constants: neighbour_sum_adjoint(g, **constants), keep="")
defvjp(_weighted_sum, _weighted_sum_x, _weighted_sum_weights, keep="01")
defvjp(_edge_dot, _edge_dot_receivers, _edge_dot_senders, keep="01")


# --- doors ---------------------------------------------------------------------------------------------------------


def gather_senders(topology: Topology, x: Any) -> Tensor:
    """The row of the sender for every edge.

    Parameters
    ----------
    topology : Topology
    x : array or Tensor [num_senders, ...]

    Returns
    -------
    Tensor [num_edges, ...]
        Row ``k`` is ``x[topology.senders[k]]``.

    Raises
    ------
    ShapeError
        If ``x`` does not have one row per sender.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], num_nodes=3)
    >>> gk.message.gather_senders(g.topology, np.array([1.0, 2.0, 4.0])).numpy()
    array([1., 2.])
    """
    x = check_rows(x, topology.num_senders, "x", "sender")
    return as_tensor(_gather_senders(x, topology=topology))


def gather_receivers(topology: Topology, x: Any) -> Tensor:
    """The row of the receiver for every edge.

    Parameters
    ----------
    topology : Topology
    x : array or Tensor [num_receivers, ...]

    Returns
    -------
    Tensor [num_edges, ...]
        Row ``k`` is ``x[topology.receivers[k]]``.

    Raises
    ------
    ShapeError
        If ``x`` does not have one row per receiver.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 1], [1, 2], num_nodes=3)
    >>> gk.message.gather_receivers(g.topology, np.array([1.0, 2.0, 4.0])).numpy()
    array([2., 4.])
    """
    x = check_rows(x, topology.num_receivers, "x", "receiver")
    return as_tensor(_gather_receivers(x, topology=topology))


def neighbour_sum(topology: Topology, x: Any, weights: Any = None) -> Tensor:
    """Weighted sum of the senders' rows at every receiver, without an array of one row per edge.

    Parameters
    ----------
    topology : Topology
    x : array or Tensor [num_senders, ...], floating
        With weights of several heads, ``[num_senders, heads, channels]``.
    weights : None, array or Tensor [num_edges] or [num_edges, heads], floating
        One weight per edge (and head), in canonical order; converted to the dtype of ``x``. None means 1.

    Returns
    -------
    Tensor [num_receivers, ...]
        ``y[i] = sum_k weights[k] * x[senders[k]]`` over the edges k that enter i; 0 where none does. Parallel edges
        count each; a self-loop is an edge like others.

    Raises
    ------
    ShapeError
        If the numbers of rows, edges or heads do not agree.
    DTypeError
        If ``x`` or ``weights`` are not floating.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> gk.message.neighbour_sum(g.topology, np.array([1.0, 2.0, 4.0]), weights=np.array([1.0, 0.5])).numpy()
    array([0., 3., 0.])
    """
    x = check_floating(check_rows(x, topology.num_senders, "x", "sender"), "x")
    if weights is not None:
        weights = check_floating(check_rows(weights, topology.num_edges, "weights", "edge"), "weights")
        heads_agree = weights.ndim == 1 or (weights.ndim == 2 and x.ndim == 3 and x.shape[1] == weights.shape[1])
        if not heads_agree:
            raise ShapeError(
                "weights must be [num_edges], or [num_edges, heads] with x [num_senders, heads, channels]. Got "
                f"weights {weights.shape} and x {x.shape}. Reshape x so that its second axis is the heads."
            )
        if weights.dtype != x.dtype:
            weights = weights.astype(x.dtype)
    if is_tensor(weights) and weights.requires_grad:
        return as_tensor(_weighted_sum(x, weights, topology=topology))
    constants = None if weights is None else as_array(weights)
    return as_tensor(_neighbour_sum(x, topology=topology, weights=constants))


def edge_dot(topology: Topology, receiver_x: Any, sender_x: Any) -> Tensor:
    """Dot product of the receiver's and the sender's rows for every edge (a dense product sampled at the edges).

    Parameters
    ----------
    topology : Topology
    receiver_x : array or Tensor [num_receivers, channels] or [num_receivers, heads, channels], floating
    sender_x : array or Tensor [num_senders, channels] or [num_senders, heads, channels], floating

    Returns
    -------
    Tensor [num_edges] or [num_edges, heads]

    Raises
    ------
    ShapeError
        If the rows or the trailing axes do not agree.
    DTypeError
        If an input is not floating.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0], [1], num_nodes=2)
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> gk.message.edge_dot(g.topology, x, x).numpy()
    array([11.])
    """
    receiver_x = check_floating(check_rows(receiver_x, topology.num_receivers, "receiver_x", "receiver"), "receiver_x")
    sender_x = check_floating(check_rows(sender_x, topology.num_senders, "sender_x", "sender"), "sender_x")
    if receiver_x.shape[1:] != sender_x.shape[1:] or receiver_x.ndim not in (2, 3):
        raise ShapeError(
            "receiver_x and sender_x must both be [nodes, channels] or both [nodes, heads, channels]. Got "
            f"{receiver_x.shape} and {sender_x.shape}. Project both to the same channels first."
        )
    dtype = np.promote_types(receiver_x.dtype, sender_x.dtype)
    if receiver_x.dtype != sender_x.dtype:
        receiver_x, sender_x = receiver_x.astype(dtype), sender_x.astype(dtype)
    return as_tensor(_edge_dot(receiver_x, sender_x, topology=topology))


def aggregate(topology: Topology, messages: Any, reducer: Reducer = "sum", *, to: str = "receivers") -> Tensor:
    """Reduce the rows of the edges that enter (or leave) each node.

    Parameters
    ----------
    topology : Topology
    messages : array or Tensor [num_edges, ...]
        One row per edge, in canonical order.
    reducer : str or callable
        See :func:`segment_reduce`.
    to : {"receivers", "senders"}
        Whether a node collects the edges it receives or the edges it sends.

    Returns
    -------
    Tensor [num_receivers, ...] or [num_senders, ...]
        A node without such edges holds the identity of the reducer (0; 1 for prod; -inf for logsumexp).

    Raises
    ------
    ShapeError
        If ``messages`` does not have one row per edge.
    UnknownNameError, InvalidArgumentError
        If the reducer or ``to`` is unknown.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> gk.message.aggregate(g.topology, np.array([5.0, 7.0]), "max").numpy()
    array([0., 7., 0.])
    >>> gk.message.aggregate(g.topology, np.array([5.0, 7.0]), to="senders").numpy()
    array([5., 0., 7.])
    """
    messages = check_rows(messages, topology.num_edges, "messages", "edge")
    reduce = resolve_reducer(reducer)
    if to == "senders" and reducer == "sum" and messages.dtype.kind == "f":
        return as_tensor(_scatter_senders(messages, topology=topology))
    if to == "receivers":
        return as_tensor(reduce(messages, topology.indptr))
    if to != "senders":
        raise InvalidArgumentError(
            f"to must be 'receivers' or 'senders'. Got {to!r}. Choose the end of the edge that collects the messages."
        )
    return as_tensor(reduce(_permute(messages, topology=topology), topology.transpose().indptr))


def edge_softmax(topology: Topology, scores: Any) -> Tensor:
    """Softmax of the scores of the edges that enter each receiver: the weights of an attention.

    Parameters
    ----------
    topology : Topology
    scores : array or Tensor [num_edges, ...], floating
        -inf switches an edge off. Trailing axes (heads) are independent.

    Returns
    -------
    Tensor [num_edges, ...]
        Non-negative; sums to 1 over the edges of each receiver that has any.

    Raises
    ------
    ShapeError
        If ``scores`` does not have one row per edge.
    DTypeError
        If ``scores`` is not floating.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> gk.message.edge_softmax(g.topology, np.log([1.0, 3.0])).numpy()
    array([0.25, 0.75])
    """
    scores = check_floating(check_rows(scores, topology.num_edges, "scores", "edge"), "scores")
    return as_tensor(segment_softmax(scores, indptr=topology.indptr))


# --- checks --------------------------------------------------------------------------------------------------------


def check_rows(values: Any, count: int, name: str, unit: str) -> Any:
    if isinstance(values, SparseMatrix):
        raise DTypeError(
            f"{name} must be dense: messages of sparse rows would fill up. Got {values!r}. "
            "Multiply it with a weight matrix first, or use .toarray()."
        )
    values = values if is_tensor(values) else np.asarray(values)
    if values.ndim == 0 or values.shape[0] != count:
        raise ShapeError(
            f"{name} must have one row per {unit}: {count} rows. Got shape {values.shape}. "
            f"Pass an array whose leading dimension counts the {unit}s of this topology."
        )
    return values


def check_floating(values: Any, name: str) -> Any:
    if values.dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"{name} must hold float32 or float64 values. Got dtype {values.dtype}. "
            f"Convert it first, for instance {name}.astype('float32')."
        )
    return values
