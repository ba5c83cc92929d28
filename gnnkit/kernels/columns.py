"""Doors of the kernels that normalise columns: moments, the normalised rows, and their adjoint. Imports only floor 0.

Sums run over blocks of rows that depend on the shape alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend, prerounded
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.twins import columns as twins

BLOCK = 128  # rows whose sum is taken in the dtype of the rows: short, so that float32 does; blocks add up in float64


def column_moments(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and (biased) variance of each column of ``x`` [num_rows, columns]; there is at least one row.

    Two passes: deviations from the mean, so that a large common offset does not cancel the result.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.column_moments(np.array([[1.0], [7.0], [7.0], [9.0]]))
    (array([6.]), array([9.]))
    """
    if sums_are_exact():
        mean = (prerounded.column_sums(x) / len(x)).astype(x.dtype)
        return mean, (prerounded.column_sums((x - mean) ** 2) / len(x)).astype(x.dtype)
    if not _is_fast(x):
        return twins.column_moments(x)
    x = read_only(x)
    mean = (_sums("block_sums", x)[0] / len(x)).astype(x.dtype)
    (squares,) = _sums("block_squares", x, mean[None])
    return mean, (squares / len(x)).astype(x.dtype)


def column_scale(x: NDArray[Any], mean: NDArray[Any], factor: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    """``(x - mean) * factor + shift``, one of each for every column.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.column_scale(np.array([[1.0], [7.0]]), np.array([6.0]), np.array([2.0]), np.array([0.5]))
    array([[-9.5],
           [ 2.5]])
    """
    if not _is_fast(x):
        return twins.column_scale(x, mean, factor, shift)
    out = empty(x.shape, x.dtype)
    args = (read_only(x), *(read_only(row, x.dtype)[None] for row in (mean, factor, shift)), out)
    parallel_rows(backend.loops("columns").scale, len(x), args, width=2 * x.shape[1])
    return out


def column_products(g: NDArray[Any], x: NDArray[Any], mean: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums of ``g`` and of ``g * (x - mean)`` over each column, float64.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.column_products(np.array([[1.0], [2.0]]), np.array([[5.0], [7.0]]), np.array([6.0]))
    (array([3.]), array([1.]))
    """
    if sums_are_exact():
        return prerounded.column_sums(g), prerounded.column_sums(g * (x - mean))
    if not (_is_fast(x) and g.dtype == x.dtype):
        return twins.column_products(g, x, mean)
    first, second = _sums("block_products", read_only(x), read_only(mean, x.dtype)[None], read_only(g), results=2)
    return first, second


def column_scale_adjoint(
    g: NDArray[Any],
    x: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    offset: NDArray[Any],
    slope: NDArray[Any],
) -> NDArray[Any]:
    """``(g - offset - (x - mean) * slope) * factor``: the adjoint of a normalisation by the columns' own moments.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> one = np.array([1.0])
    >>> K.column_scale_adjoint(np.array([[8.0]]), np.array([[5.0]]), 2 * one, 10 * one, 3 * one, one)
    array([[20.]])
    """
    if not (_is_fast(x) and g.dtype == x.dtype):
        return twins.column_scale_adjoint(g, x, mean, factor, offset, slope)
    out = empty(x.shape, x.dtype)
    rows = (read_only(row, x.dtype)[None] for row in (mean, factor, offset, slope))
    parallel_rows(
        backend.loops("columns").scale_adjoint, len(x), (read_only(g), read_only(x), *rows, out), width=3 * x.shape[1]
    )
    return out


def _is_fast(x: NDArray[Any]) -> bool:
    return x.dtype in FAST_FLOATS and x.size > 0 and backend.current_backend() != "numpy"


def _sums(name: str, x: NDArray[Any], *others: NDArray[Any], results: int = 1) -> list[NDArray[Any]]:
    blocks = -(-len(x) // BLOCK)
    partial = [np.empty((blocks, x.shape[1]), x.dtype) for _ in range(results)]
    loop = getattr(backend.loops("columns"), name)
    parallel_rows(loop, blocks, (BLOCK, x, *map(read_only, others), *partial), width=2 * BLOCK * x.shape[1])
    return [part.sum(axis=0, dtype=np.float64) for part in partial]
