"""Numba loops of the index kernels. Imports only the preset."""

from __future__ import annotations

from gnnkit.kernels.backend import jit


@jit
def counting_sort(keys, first, indptr, order):
    """Stable counting sort of the positions ``first`` by ``keys[position]``; overwrites indptr (zeros) and order."""
    for k in range(keys.shape[0]):
        indptr[keys[k] + 1] += 1
    for i in range(1, indptr.shape[0]):
        indptr[i] += indptr[i - 1]
    # indptr[key] serves as the write cursor, which leaves it one row ahead ...
    for k in range(first.shape[0]):
        position = first[k]
        key = keys[position]
        order[indptr[key]] = position
        indptr[key] += 1
    # ... so shift it back
    for i in range(indptr.shape[0] - 1, 0, -1):
        indptr[i] = indptr[i - 1]
    indptr[0] = 0
