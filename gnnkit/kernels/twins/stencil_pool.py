"""Pooling on grids in plain numpy: the specification of kernels/stencil_pool.py. Imports only numpy and twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.twins.stencil_sums import edges


def _equal(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    return (a == b) | ((a != a) & (b != b))


def stencil_max(parts: Sequence[Any], x: ArrayLike, *, num_receivers: int) -> tuple[NDArray[Any], NDArray[Any]]:
    x = np.asarray(x)
    y, ties = np.zeros((num_receivers, x.shape[1]), x.dtype), np.zeros((num_receivers, x.shape[1]), x.dtype)
    for senders, receivers, _ in edges(parts):
        value, top, count = x[senders], y[receivers], ties[receivers]
        above = (count == 0) | (value > top) | ((value != value) & (top == top))
        ties[receivers] = np.where(above, 1, count + _equal(value, top))
        y[receivers] = np.where(above, value, top)
    return y, ties


def stencil_max_adjoint(parts: Sequence[Any], x: ArrayLike, y: ArrayLike, shared: ArrayLike) -> NDArray[Any]:
    x, y, shared = np.asarray(x), np.asarray(y), np.asarray(shared)
    out = np.zeros(x.shape, np.result_type(x, shared))
    for receivers, senders, _ in edges(parts):  # of the transpose: the receivers of the maximum send
        out[senders] += np.where(_equal(x[senders], y[receivers]), shared[receivers], 0)
    return out


def stencil_max_spread(
    parts: Sequence[Any], x: ArrayLike, y: ArrayLike, shared: ArrayLike, *, complete: bool = False
) -> NDArray[Any]:
    x, y, shared = np.asarray(x), np.asarray(y), np.asarray(shared)
    out = np.zeros(x.shape, np.result_type(x, shared))
    for senders, receivers, _ in edges(parts):
        out[senders] = np.where(_equal(x[senders], y[receivers]), shared[receivers], 0)
    return out


def stencil_spread(
    parts: Sequence[Any], y: ArrayLike, *, num_senders: int, factor: float = 1.0, complete: bool = False
) -> NDArray[Any]:
    y = np.asarray(y)
    out = np.zeros((num_senders, y.shape[1]), y.dtype)
    for senders, receivers, _ in edges(parts):
        out[senders] = y[receivers] * y.dtype.type(factor)
    return out


def stencil_argmax(parts: Sequence[Any], x: ArrayLike, y: ArrayLike, *, num_receivers: int) -> NDArray[np.int32]:
    x, y = np.asarray(x), np.asarray(y)
    out = np.full((num_receivers, x.shape[1]), -1, np.int32)
    for senders, receivers, offset in edges(parts):
        best = out[receivers]
        wins = _equal(x[senders], y[receivers]) & ((best < 0) | (offset < best))
        out[receivers] = np.where(wins, np.int32(offset), best)
    return out
