"""Doors of the index kernels: build a CSR, transpose it, expand its pointers. Imports only floor 0.

Answers are integers, exact in both backends; small inputs therefore take the numpy twin, which needs no compiling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import index_dtype, pointers, read_only
from gnnkit.kernels.twins import csr as twins

# Below this many entries numpy's sort takes under 2 ms, less than loading the compiled counting sort.
SMALL = 1 << 15


def build_csr(
    senders: ArrayLike, receivers: ArrayLike, *, num_receivers: int, num_senders: int
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Bring edges into canonical order: by receiver, then sender, then the caller's order.

    Parameters
    ----------
    senders, receivers : int [num_edges]
        Edge k runs from ``senders[k]`` to ``receivers[k]``; in range (not checked here).
    num_receivers, num_senders : int

    Returns
    -------
    indptr : int64 [num_receivers + 1]
        The edges of receiver i are ``indptr[i]:indptr[i + 1]``.
    indices : int32 or int64 [num_edges]
        Senders in canonical order; int64 only when ``num_senders`` is 2**31 or more.
    order : int64 [num_edges]
        ``order[k]`` is the caller's position of canonical edge k.

    Notes
    -----
    Parallel edges stay, in the caller's order. Two stable counting sorts: time O(num_edges + num_senders +
    num_receivers). Zero edges and zero nodes are fine.

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> indptr, indices, order = K.build_csr([2, 0, 1], [0, 1, 0], num_receivers=2, num_senders=3)
    >>> indptr, indices, order
    (array([0, 2, 3]), array([1, 2, 0], dtype=int32), array([2, 0, 1]))
    """
    senders, receivers = read_only(senders, np.int64), read_only(receivers, np.int64)
    if len(senders) < SMALL or backend.current_backend() == "numpy":
        return twins.build_csr(senders, receivers, num_receivers=num_receivers, num_senders=num_senders)
    _, by_sender = _counting_sort(senders, None, num_senders)
    indptr, order = _counting_sort(receivers, by_sender, num_receivers)
    return indptr, senders[order].astype(index_dtype(num_senders), copy=False), order


def transpose_csr(
    indptr: ArrayLike, indices: ArrayLike, *, num_senders: int
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Turn every edge around: rows become the senders, entries the receivers.

    Parameters
    ----------
    indptr : int64 [num_receivers + 1]
    indices : int [num_edges]
    num_senders : int

    Returns
    -------
    indptr_t : int64 [num_senders + 1]
    indices_t : int32 or int64 [num_edges]
        Receivers, ascending within each row: the transpose is canonical too.
    perm : int64 [num_edges]
        ``perm[k]`` is the edge of the input that edge k of the transpose is.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> indptr_t, indices_t, perm = K.transpose_csr(np.array([0, 2, 3]), np.array([1, 2, 1]), num_senders=3)
    >>> indptr_t, indices_t, perm
    (array([0, 0, 2, 3]), array([0, 1, 0], dtype=int32), array([0, 2, 1]))
    """
    indptr, indices = pointers(indptr), read_only(indices, np.int64)
    if len(indices) < SMALL or backend.current_backend() == "numpy":
        return twins.transpose_csr(indptr, indices, num_senders=num_senders)
    indptr_t, perm = _counting_sort(indices, None, num_senders)
    return indptr_t, twins.expand_indptr(indptr)[perm], perm


def expand_indptr(indptr: ArrayLike) -> NDArray[Any]:
    """Row of every entry: int32 [num_entries] (int64 from 2**31 rows on).

    Parameters
    ----------
    indptr : int64 [num_rows + 1]

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> K.expand_indptr([0, 2, 2, 3])
    array([0, 0, 2], dtype=int32)
    """
    return twins.expand_indptr(pointers(indptr))  # numpy's repeat is already a compiled loop


def stable_order(keys: ArrayLike, num_keys: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort positions by small integer keys, stably.

    Parameters
    ----------
    keys : int [num_entries]
        Each in ``0 .. num_keys``.
    num_keys : int

    Returns
    -------
    indptr : int64 [num_keys + 1]
        Positions with key i are ``order[indptr[i]:indptr[i + 1]]``.
    order : int64 [num_entries]

    Examples
    --------
    >>> from gnnkit import kernels as K
    >>> K.stable_order([1, 0, 1], 3)
    (array([0, 1, 3, 3]), array([1, 0, 2]))
    """
    keys = read_only(keys, np.int64)
    if len(keys) < SMALL or backend.current_backend() == "numpy":
        return twins.stable_order(keys, num_keys)
    return _counting_sort(keys, None, num_keys)


def _counting_sort(
    keys: NDArray[np.int64], start_order: NDArray[np.int64] | None, num_keys: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    indptr = np.zeros(num_keys + 1, np.int64)
    order = np.empty(len(keys), np.int64)
    first = np.arange(len(keys)) if start_order is None else start_order
    backend.loops("csr").counting_sort(keys, read_only(first), indptr, order)
    return indptr, order
