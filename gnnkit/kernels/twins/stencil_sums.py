"""Convolution and its weight gradient in plain numpy: the specification of kernels/stencil_sums.py. Imports numpy and
the product of rows.

One matrix product per part, repetition, slot and group: slow, and plainly right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.twins.products import row_product


def edges(parts: Sequence[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any], int]]:
    """Senders, receivers and offset of every slot of every repetition, in order, without absent edges."""
    for part in parts:
        rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
        for sender_base, receiver_base in zip(part.sender_base, part.receiver_base):
            for column, offset in zip(part.table, part.offsets):
                there = column >= 0
                yield sender_base + column[there], receiver_base + rows[there], int(offset)


def stencil_sum(
    parts: Sequence[Any], x: ArrayLike, weight: ArrayLike, *, num_receivers: int, groups: int = 1
) -> NDArray[Any]:
    x, weight = np.asarray(x), np.asarray(weight)
    inner, columns = weight.shape[1], weight.shape[2] // groups
    out = np.zeros((num_receivers, weight.shape[2]), np.result_type(x, weight))
    for senders, receivers, k in edges(parts):
        for g in range(groups):
            f = slice(g * columns, (g + 1) * columns)
            out[receivers, f] += row_product(x[senders, g * inner : (g + 1) * inner], weight[k, :, f])
    return out


def stencil_outer(
    parts: Sequence[Any], x: ArrayLike, y: ArrayLike, *, num_offsets: int, groups: int = 1
) -> NDArray[Any]:
    x, y = np.asarray(x), np.asarray(y)
    inner, columns = x.shape[1] // groups, y.shape[1] // groups
    out = np.zeros((num_offsets, inner, y.shape[1]), np.result_type(x, y))
    for senders, receivers, k in edges(parts):
        for g in range(groups):
            f = slice(g * columns, (g + 1) * columns)
            out[k, :, f] += x[senders, g * inner : (g + 1) * inner].T @ y[receivers, f]
    return out
