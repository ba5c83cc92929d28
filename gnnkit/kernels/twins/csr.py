"""The index kernels in plain numpy: the specification of kernels/csr.py. Imports only numpy and kernels.arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.arrays import index_dtype


def stable_order(keys: ArrayLike, num_keys: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    keys = np.asarray(keys)
    return _pointers_of(keys, num_keys), np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def build_csr(
    senders: ArrayLike, receivers: ArrayLike, *, num_receivers: int, num_senders: int
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    senders, receivers = np.asarray(senders), np.asarray(receivers)
    order = np.lexsort((senders, receivers)).astype(np.int64, copy=False)  # stable; the last key is the first
    indices = senders[order].astype(index_dtype(num_senders))
    return _pointers_of(receivers, num_receivers), indices, order


def transpose_csr(
    indptr: ArrayLike, indices: ArrayLike, *, num_senders: int
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    indptr_t, perm = stable_order(indices, num_senders)
    return indptr_t, expand_indptr(indptr)[perm], perm


def expand_indptr(indptr: ArrayLike) -> NDArray[Any]:
    indptr = np.asarray(indptr)
    num_rows = len(indptr) - 1
    return np.repeat(np.arange(num_rows, dtype=index_dtype(num_rows)), np.diff(indptr))


def _pointers_of(keys: NDArray[Any], num_keys: int) -> NDArray[np.int64]:
    indptr = np.zeros(num_keys + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=num_keys), out=indptr[1:])
    return indptr
