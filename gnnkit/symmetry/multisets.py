"""Exact numbers for rows, pairs and multisets: equal things get equal numbers, by sorting, never by hashing.

What colour refinement stands on. Every function is vectorised and its numbers depend on the values alone, not on the
order in which they come, so that renumbering the nodes of a graph renumbers nothing here. Imports numpy and the field
helpers of graphs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.graph.fields import is_sparse, raw

Ids = NDArray[np.int64]
_LARGEST = 1 << 62


def ranks(keys: NDArray[Any]) -> Ids:
    """Number every entry of ``keys`` by its place among the distinct ones: 0, 1, ... in ascending order."""
    return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64, copy=False)


def span(ids: Ids) -> int:
    """One more than the largest of some numbers; 1 for none."""
    return int(ids.max()) + 1 if len(ids) else 1


def pair_ids(first: Ids, second: Ids) -> Ids:
    """Number the pairs of entries, sorted by ``first`` and then by ``second``."""
    return ranks(joined_keys(first, second))


def joined_keys(first: Ids, second: Ids) -> Ids:
    """One integer for each pair, in the order of the pairs; not numbered densely, which costs no sort."""
    if span(first) * span(second) >= _LARGEST:
        first, second = ranks(first), ranks(second)
    return first * span(second) + second


def row_ids(rows: Any) -> Ids:
    """Number the rows of a field by their values.

    Parameters
    ----------
    rows : array, Tensor or SparseMatrix [num_rows, ...]
        Any dtype. ``0.0`` and ``-0.0`` are equal, and so are two NaN.

    Returns
    -------
    int64 [num_rows]
    """
    if is_sparse(rows):
        return _sparse_row_ids(rows.to_scipy())
    array = np.asarray(raw(rows))
    width = int(np.prod(array.shape[1:]))
    if not len(array) or not width:
        return np.zeros(len(array), np.int64)
    array = array.reshape(len(array), width)
    if width == 1:
        return ranks(array[:, 0])
    if array.dtype.kind in "fc":
        array = array + 0.0  # -0.0 has other bytes
        array[array != array] = np.nan
    array = np.ascontiguousarray(array)
    return ranks(array.view(np.dtype((np.void, array.dtype.itemsize * width))).reshape(-1))


def _sparse_row_ids(matrix: Any) -> Ids:
    """A row is the set of its non-zero entries."""
    matrix = matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    entries = pair_ids(matrix.indices.astype(np.int64), ranks(matrix.data))
    return multiset_ids(matrix.indptr.astype(np.int64), entries)


def multiset_ids(indptr: Ids, keys: Ids) -> Ids:
    """Number the multisets that lie one after the other in ``keys``.

    Parameters
    ----------
    indptr : int64 [num_sets + 1]
        Set ``i`` holds ``keys[indptr[i] : indptr[i + 1]]``, in any order.
    keys : int64 [num_entries]
        At least 0.

    Returns
    -------
    int64 [num_sets]
        Equal exactly where two sets hold the same keys equally often. Empty sets have number 0 if there are any.

    Notes
    -----
    Sorted sets are halved again and again: neighbouring entries become one number, which stands for exactly that pair,
    until one entry is left. A set of any size takes log2(size) rounds on arrays that halve, so that a hub costs no more
    than its edges: O(num_entries log num_entries) in all. Sets that are done in the same round with the same number
    are equal; the round says how many were joined, and an absent partner is a value of its own.

    Examples
    --------
    >>> import numpy as np
    >>> multiset_ids(np.array([0, 2, 4, 4, 7]), np.array([5, 9, 9, 5, 5, 5, 9]))
    array([1, 1, 0, 2])
    """
    lengths = np.diff(indptr)
    values = _sorted_within(indptr, keys)
    result = np.zeros(len(lengths), np.int64)
    done = np.zeros(len(lengths), np.int64)  # 0: empty
    rows, level = np.flatnonzero(lengths), 1
    starts, lengths = indptr[rows], lengths[rows]
    while len(rows):
        single = lengths == 1
        result[rows[single]], done[rows[single]] = values[starts[single]], level
        rows, starts, lengths = rows[~single], starts[~single], lengths[~single]
        halves = (lengths + 1) // 2
        first = np.concatenate([[0], np.cumsum(halves)])
        within = np.arange(first[-1]) - np.repeat(first[:-1], halves)
        left = np.repeat(starts, halves) + 2 * within
        alone = 2 * within + 1 == np.repeat(lengths, halves)
        right = np.where(alone, 0, values[np.minimum(left + 1, len(values) - 1)] + 1)
        values = pair_ids(values[left], right)
        starts, lengths, level = first[:-1], halves, level + 1
    return pair_ids(done, result)


def _sorted_within(indptr: Ids, keys: Ids) -> Ids:
    """The keys with every set in ascending order, below 2**31 so that pairs of them fit one integer."""
    if span(keys) >= 1 << 31:
        keys = ranks(keys)
    width = span(keys)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.sort(rows * width + keys) - rows * width
