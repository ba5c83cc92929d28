"""Doors of the segment reducers: what runs over the entries of every CSR row. Imports only floor 0.

Values [num_entries, ...] lie in row order; ``indptr`` says where each segment begins. Empty segments give the
identity of the design: 0 for sum, mean, max, min and std, 1 for prod, -inf for logsumexp. NaN stays in its segment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend, prerounded_segments
from gnnkit.kernels.arrays import FAST_FLOATS, as_rows, pointers, read_only
from gnnkit.kernels.blocks import BLOCK
from gnnkit.kernels.csr import expand_indptr
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.neighbours import gather
from gnnkit.kernels.parallel import balanced_bounds, parallel_rows
from gnnkit.kernels.twins import segments as twins

REDUCERS_THAT_ROUND = ("segment_sum", "segment_mean", "segment_prod", "segment_std")


def _reduce(name: str, values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Run the loop (or the twin) called ``name``: one output row per segment."""
    values = np.asarray(values)
    if sums_are_exact() and values.dtype.kind == "f" and name in REDUCERS_THAT_ROUND:
        return getattr(prerounded_segments, name)(values, np.asarray(indptr))
    if values.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return getattr(twins, name)(values, indptr)
    indptr, rows = pointers(indptr), as_rows(read_only(values))
    out = np.empty((len(indptr) - 1, *values.shape[1:]), values.dtype)
    if out.size:
        loop = getattr(backend.loops("segments"), name)
        parallel_rows(loop, len(out), (indptr, rows, as_rows(out)), indptr=indptr, width=rows.shape[1])
    return out


def _positive_zeros(extremes: NDArray[Any]) -> NDArray[Any]:
    """In the exact mode no order may show: of zeros of both signs, the one that came first would have won."""
    return extremes + extremes.dtype.type(0) if sums_are_exact() and extremes.dtype.kind == "f" else extremes


def _in_blocks(block: Callable[[int, int], None], indptr: NDArray[np.int64], width: int) -> None:
    """Run ``block`` over segments, in pieces that fit a cache: loops and numpy's vectorised exp take turns on each.

    numpy's exp is some eight times as fast as the scalar one that a compiled loop would call.
    """

    def chunk(start: int, stop: int) -> None:
        entries = int(indptr[stop] - indptr[start])
        pieces = balanced_bounds(stop - start, 1 + entries * width // BLOCK, indptr[start : stop + 1])
        for a, b in itertools.pairwise(pieces):
            block(start + a, start + b)

    parallel_rows(chunk, len(indptr) - 1, indptr=indptr, width=4 * width)


def segment_sum(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Sum of every segment.

    Parameters
    ----------
    values : [num_entries, ...]
        float32 or float64 on the fast path; integers sum in their own dtype (numpy would widen narrow
        ones).
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]
        0 for an empty segment.

    Notes
    -----
    Added in the order of the entries. Its adjoint is :func:`segment_repeat`.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_sum(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]))
    array([ 3., 12.,  0.,  6.])
    """
    return _reduce("segment_sum", values, indptr)


def segment_mean(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Mean of every segment; 0 for an empty one.

    Parameters
    ----------
    values : float [num_entries, ...]
        Integers give float64.
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_mean(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]))
    array([1.5, 4. , 0. , 6. ])
    """
    return _reduce("segment_mean", values, indptr)


def segment_max(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Largest value of every segment; 0 for an empty one, NaN where the segment holds NaN.

    Parameters
    ----------
    values : [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_max(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]))
    array([2., 5., 0., 6.])
    """
    return _positive_zeros(_reduce("segment_max", values, indptr))


def segment_min(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Smallest value of every segment; 0 for an empty one, NaN where the segment holds NaN.

    Parameters
    ----------
    values : [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_min(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]))
    array([1., 3., 0., 6.])
    """
    return _positive_zeros(_reduce("segment_min", values, indptr))


def segment_prod(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Product of every segment; 1 for an empty one.

    Parameters
    ----------
    values : [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_prod(np.arange(1.0, 7.0), np.array([0, 2, 5, 5, 6]))
    array([ 2., 60.,  1.,  6.])
    """
    return _reduce("segment_prod", values, indptr)


def segment_logsumexp(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """``log(sum(exp(values)))`` of every segment, without overflow; -inf for an empty one.

    Parameters
    ----------
    values : float [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Notes
    -----
    A segment of nothing but -inf gives -inf, one that holds +inf gives +inf.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_logsumexp(np.array([1000.0, 1000.0]), np.array([0, 2, 2]))
    array([1000.69314718,         -inf])
    """
    values = np.asarray(values)
    if sums_are_exact() and values.dtype.kind == "f":
        return prerounded_segments.segment_logsumexp(values, np.asarray(indptr), segment_max(values, indptr))
    if values.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.segment_logsumexp(values, indptr)
    indptr, rows = pointers(indptr), as_rows(read_only(values))
    out = np.empty((len(indptr) - 1, *values.shape[1:]), values.dtype)
    flat, loops = as_rows(out), backend.loops("segments")

    def block(start: int, stop: int) -> None:
        scratch = np.empty((indptr[stop] - indptr[start], rows.shape[1]), rows.dtype)
        loops.subtract_top(start, stop, indptr, rows, scratch, flat[start:stop])
        np.exp(scratch, out=scratch)
        loops.add_log_sums(start, stop, indptr, scratch, flat[start:stop])

    if out.size:
        _in_blocks(block, indptr, rows.shape[1])
    return out


def segment_std(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Standard deviation of every segment (divided by its length, not length - 1); 0 for an empty one.

    Parameters
    ----------
    values : float [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_segments, ...]

    Notes
    -----
    Two passes: deviations from the mean, so a large common offset does not cancel the result.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_std(np.array([1.0, 3.0, 5.0]), np.array([0, 2, 2, 3]))
    array([1., 0., 0.])
    """
    return _reduce("segment_std", values, indptr)


def segment_softmax(values: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """Exponentials of the values, normalised to sum 1 within every segment.

    Parameters
    ----------
    values : float [num_entries, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_entries, ...]

    Notes
    -----
    The largest value is subtracted first, so nothing overflows. -inf has no mass; a segment of nothing but -inf has
    no mass at all and gives zeros, not NaN. NaN or +inf makes its own segment NaN (as numpy arithmetic does).

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_softmax(np.array([0.0, 0.0, -1.0, -np.inf]), np.array([0, 2, 4]))
    array([0.5, 0.5, 1. , 0. ])
    """
    values = np.asarray(values)
    if sums_are_exact() and values.dtype.kind == "f":
        return prerounded_segments.segment_softmax(values, np.asarray(indptr), segment_max(values, indptr))
    if values.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.segment_softmax(values, indptr)
    indptr, rows = pointers(indptr), as_rows(read_only(values))
    out = np.empty(values.shape, values.dtype)
    flat, loops = as_rows(out), backend.loops("segments")

    def block(start: int, stop: int) -> None:
        part = flat[indptr[start] : indptr[stop]]
        loops.subtract_top(start, stop, indptr, rows, part, np.empty((stop - start, rows.shape[1]), rows.dtype))
        np.exp(part, out=part)
        loops.divide_by_sums(start, stop, indptr, part)

    if out.size:
        _in_blocks(block, indptr, rows.shape[1])
    return out


def segment_repeat(rows: ArrayLike, indptr: ArrayLike) -> NDArray[Any]:
    """The row of its segment for every entry; the adjoint of :func:`segment_sum`.

    Parameters
    ----------
    rows : [num_segments, ...]
    indptr : int64 [num_segments + 1]

    Returns
    -------
    [num_entries, ...]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.segment_repeat(np.array([10.0, 20.0, 30.0]), np.array([0, 2, 2, 3]))
    array([10., 10., 30.])
    """
    return gather(rows, expand_indptr(indptr))
