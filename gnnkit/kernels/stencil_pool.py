"""Doors of pooling on grids: the maximum over the window of every receiver, its adjoint, and who won. Only floor 0.

They run over the plans of :mod:`gnnkit.kernels.stencils`, as convolution does; no edge is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.stencils import StencilPart
from gnnkit.kernels.twins import stencil_pool as twins

_EVERY_COLUMN = np.zeros(0, np.int32)  # in place of rows: column j is receiver j


def stencil_max(parts: Sequence[StencilPart], x: ArrayLike, *, num_receivers: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Largest value over the senders of every receiver, channel by channel, and how many senders attain it.

    Parameters
    ----------
    parts : sequence of StencilPart
        The plan.
    x : float [num_senders, channels]
    num_receivers : int

    Returns
    -------
    y : [num_receivers, channels]
        0 for a receiver without senders; NaN where one of its senders is NaN.
    ties : [num_receivers, channels] of the dtype of ``x``
        How many edges bring the value ``y``; of a NaN, how many bring NaN. 0 for a receiver without senders.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> zero = np.zeros(1, np.int64)
    >>> pairs = K.StencilPart(np.array([[0, 2], [1, 3]]), None, np.array([0, 1], np.int32), zero, zero)
    >>> y, ties = K.stencil_max([pairs], np.array([[1.0], [4.0], [2.0], [2.0]]), num_receivers=2)
    >>> y.ravel(), ties.ravel()
    (array([4., 2.]), array([1., 2.]))
    """
    x = np.asarray(x)
    if not _is_fast(x):
        return twins.stencil_max(parts, x, num_receivers=num_receivers)
    x, shape = read_only(x), (num_receivers, x.shape[1])
    covered = len(parts) == 1 and parts[0].table.shape[1] * len(parts[0].receiver_base) == num_receivers
    make = empty if covered else np.zeros  # a part that gives every row does not read what was there
    y, ties = make(shape, x.dtype), make(shape, x.dtype)
    _run("stencil_max", parts, x, y, ties, first=True)
    return y, ties


def stencil_max_adjoint(parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, shared: ArrayLike) -> NDArray[Any]:
    """Adjoint of :func:`stencil_max`: every sender collects the shares of the receivers whose maximum it attains.

    Parameters
    ----------
    parts : sequence of StencilPart
        The plan of the **transposed** topology, on which the receivers of the maximum send.
    x : float [num_senders, channels]
    y : float [num_receivers, channels]
        The maxima.
    shared : float [num_receivers, channels]
        What each winner receives: the adjoint of the maximum, divided by the number of ties.

    Returns
    -------
    [num_senders, channels]
        ``sum of shared[r] over the edges (s -> r) with x[s] == y[r]``; NaN equals NaN here.

    Notes
    -----
    Linear in ``shared``. Its own adjoint is the same sum over the plan of the topology itself, with ``x`` and ``y``
    exchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> zero = np.zeros(1, np.int64)
    >>> back = K.StencilPart(np.array([[0, 0, 1, 1]]), None, np.zeros(1, np.int32), zero, zero)
    >>> x, y = np.array([[1.0], [4.0], [2.0], [2.0]]), np.array([[4.0], [2.0]])
    >>> K.stencil_max_adjoint([back], x, y, np.array([[1.0], [0.5]])).ravel()
    array([0. , 1. , 0.5, 0.5])
    """
    x, y, shared = np.asarray(x), np.asarray(y), np.asarray(shared)
    if not (_is_fast(x) and x.dtype == y.dtype == shared.dtype):
        return twins.stencil_max_adjoint(parts, x, y, shared)
    out = np.zeros(x.shape, x.dtype)
    _run("stencil_max_adjoint", parts, *map(read_only, (x, y, shared)), out)
    return out


def stencil_max_spread(
    parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, shared: ArrayLike, *, complete: bool = False
) -> NDArray[Any]:
    """:func:`stencil_max_adjoint` for windows that share no sender, such as those of a 2 x 2 pooling by steps of 2.

    Parameters
    ----------
    parts : sequence of StencilPart
        The plan of the maximum itself, not of its transpose. No sender may occur twice in it.
    x, y, shared
        As for :func:`stencil_max_adjoint`.
    complete : bool
        Whether every sender occurs, so that the result need not be cleared first.

    Returns
    -------
    [num_senders, channels]

    Notes
    -----
    Every receiver is read once and every sender written once, where the transpose reads each receiver for each of its
    senders.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> zero = np.zeros(1, np.int64)
    >>> pairs = K.StencilPart(np.array([[0, 2], [1, 3]]), None, np.array([0, 1], np.int32), zero, zero)
    >>> x, y = np.array([[1.0], [4.0], [2.0], [2.0]]), np.array([[4.0], [2.0]])
    >>> K.stencil_max_spread([pairs], x, y, np.array([[1.0], [0.5]])).ravel()
    array([0. , 1. , 0.5, 0.5])
    """
    x, y, shared = np.asarray(x), np.asarray(y), np.asarray(shared)
    if not (_is_fast(x) and x.dtype == y.dtype == shared.dtype):
        return twins.stencil_max_spread(parts, x, y, shared, complete=complete)
    out = (empty if complete else np.zeros)(x.shape, x.dtype)
    _run("stencil_max_spread", parts, *map(read_only, (x, y, shared)), out)
    return out


def stencil_spread(
    parts: Sequence[StencilPart], y: ArrayLike, *, num_senders: int, factor: float = 1.0, complete: bool = False
) -> NDArray[Any]:
    """Every row, times ``factor``, to all senders of its receiver: the adjoint of sums over windows that share none.

    Parameters
    ----------
    parts : sequence of StencilPart
        The plan of the sums. No sender may occur twice in it.
    y : float [num_receivers, channels]
    num_senders : int
    factor : float
    complete : bool
        Whether every sender occurs, so that the result need not be cleared first.

    Returns
    -------
    [num_senders, channels]
        0 where a sender does not occur.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> zero = np.zeros(1, np.int64)
    >>> pairs = K.StencilPart(np.array([[0, 2], [1, 3]]), None, np.array([0, 1], np.int32), zero, zero)
    >>> K.stencil_spread([pairs], np.array([[4.0], [2.0]]), num_senders=4, factor=0.5).ravel()
    array([2., 2., 1., 1.])
    """
    y = np.asarray(y)
    if not _is_fast(y):
        return twins.stencil_spread(parts, y, num_senders=num_senders, factor=factor, complete=complete)
    out = (empty if complete else np.zeros)((num_senders, y.shape[1]), y.dtype)
    _run("stencil_spread", parts, read_only(y), out, last=(y.dtype.type(factor),))
    return out


def stencil_argmax(
    parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, *, num_receivers: int
) -> NDArray[np.int32]:
    """Which sender won: the lowest offset whose sender attains the maximum of its receiver.

    Parameters
    ----------
    parts : sequence of StencilPart
        The plan.
    x : float [num_senders, channels]
    y : float [num_receivers, channels]
        The maxima, from :func:`stencil_max`.
    num_receivers : int

    Returns
    -------
    int32 [num_receivers, channels]
        Offset of the winner; -1 where there is no sender.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> zero = np.zeros(1, np.int64)
    >>> pairs = K.StencilPart(np.array([[0, 2], [1, 3]]), None, np.array([0, 1], np.int32), zero, zero)
    >>> x = np.array([[1.0], [4.0], [2.0], [2.0]])
    >>> K.stencil_argmax([pairs], x, np.array([[4.0], [2.0]]), num_receivers=2).ravel()
    array([1, 0], dtype=int32)
    """
    x, y = np.asarray(x), np.asarray(y)
    if not (_is_fast(x) and x.dtype == y.dtype):
        return twins.stencil_argmax(parts, x, y, num_receivers=num_receivers)
    out = np.full((num_receivers, x.shape[1]), -1, np.int32)
    _run("stencil_argmax", parts, *map(read_only, (x, y)), out)
    return out


def _is_fast(x: NDArray[Any]) -> bool:
    return x.dtype in FAST_FLOATS and backend.current_backend() != "numpy"


def _run(
    name: str, parts: Sequence[StencilPart], *arrays: NDArray[Any], first: bool = False, last: tuple[Any, ...] = ()
) -> None:
    """Run the loop ``name`` over the parts, one after another: they may meet in a row.

    It gets ``arrays``, whether this is the first part if ``first``, and ``last``.
    """
    loop: Callable[..., None] = getattr(backend.loops("stencil_pool"), name)
    channels = arrays[0].shape[1]
    for position, part in enumerate(parts):
        slots, columns = part.table.shape
        rows = _EVERY_COLUMN if part.rows is None else part.rows
        plan = (part.table, read_only(rows, part.table.dtype), part.offsets, part.sender_base, part.receiver_base)
        more = (position == 0, *last) if first else last
        units = columns * len(part.sender_base)
        if channels and units:
            # a slot costs as much as some 16 numbers, each of them two of the simplest kind
            work = 2 * (slots + 1) * max(channels, 16)
            parallel_rows(loop, units, (*map(read_only, plan), *arrays, *more), width=work)
