"""Convolutions without edges in memory: the plan of a stencil, and the kernels that run it. Arrays in, arrays out.

A plan is a tuple of :class:`StencilPart`; several parts may add to the same receiver, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class StencilPart:
    """A table of senders that is laid down several times: on each image of a batch, or each strip of a big image.

    Copy ``b`` stands for the edges ``sender_base[b] + table[i, j] -> receiver_base[b] + rows[j]`` of weight
    ``offsets[i]``, for every slot ``i`` and column ``j`` with ``table[i, j] >= 0``.

    Attributes
    ----------
    table : int32 or int64 [slots, columns]
        Sender of slot ``i`` at column ``j``, relative to ``sender_base``; -1 where there is no edge.
    rows : None or int32/int64 [columns]
        Receiver of column ``j`` relative to ``receiver_base``; None where it is ``j`` itself.
    offsets : int32 [slots]
        Which weight a slot uses; may repeat.
    sender_base, receiver_base : int64 [copies]
        Where each copy begins.
    """

    table: np.ndarray
    rows: np.ndarray | None
    offsets: np.ndarray
    sender_base: np.ndarray
    receiver_base: np.ndarray
