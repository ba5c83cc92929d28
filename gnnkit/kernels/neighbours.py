"""Doors of the kernels along edges: gather / scatter_add, neighbour_sum, edge_dot. Imports only floor 0.

gather and scatter_add are adjoint; so are neighbour_sum and itself on the transposed CSR; edge_dot is the derivative
of neighbour_sum by its weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend, prerounded
from gnnkit.kernels.arrays import FAST_FLOATS, as_rows, pointers, positions, read_only
from gnnkit.kernels.csr import stable_order
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.twins import neighbours as twins

# np.add.at handles this many numbers in well under 100 microseconds, less than sorting the index would take.
SMALL_SCATTER = 1 << 12


def gather(x: ArrayLike, index: ArrayLike) -> NDArray[Any]:
    """Rows of ``x`` by position: ``x[index]``.

    Parameters
    ----------
    x : [num_rows, ...]
        Any dtype.
    index : int [num_taken]
        Negative positions count from the end; out of range is not checked here.

    Returns
    -------
    [num_taken, ...] of the dtype of ``x``

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.gather(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 1, 0]))
    array([[3., 4.],
           [3., 4.],
           [1., 2.]])
    """
    x, index = np.asarray(x), np.asarray(index)
    width = math.prod(x.shape[1:])
    if index.ndim != 1 or index.size * width < (1 << 17) or backend.current_backend() == "numpy":
        return twins.gather(x, index)
    rows = np.ascontiguousarray(x)
    out = np.empty((len(index), *x.shape[1:]), x.dtype)

    def take(start: int, stop: int) -> None:
        # mode="raise" would buffer the output; numpy releases the GIL in here
        np.take(rows, index[start:stop], axis=0, out=out[start:stop], mode="wrap")

    parallel_rows(take, len(index), width=width)
    return out


def scatter_add(values: ArrayLike, index: ArrayLike, num_rows: int) -> NDArray[Any]:
    """Sum of the rows of ``values`` that go to each position; the adjoint of :func:`gather`.

    Parameters
    ----------
    values : [num_values, ...]
    index : int [num_values]
        Row that each value is added to, in ``0 .. num_rows``.
    num_rows : int

    Returns
    -------
    [num_rows, ...] of the dtype of ``values``
        Each row is summed in the order of ``values``, so the bits never vary.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.scatter_add(np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 3)
    array([2., 0., 5.])
    """
    values, index = np.asarray(values), np.asarray(index)
    if sums_are_exact() and values.dtype.kind == "f" and index.ndim == 1:
        indptr, order = stable_order(index, num_rows)
        return prerounded.row_sums(indptr, order, values, None)
    small = values.size < SMALL_SCATTER or values.dtype not in FAST_FLOATS or index.ndim != 1
    if small or backend.current_backend() == "numpy":
        return twins.scatter_add(values, index, num_rows)
    indptr, order = stable_order(index, num_rows)
    # row k of the sum gathers values[order]: the neighbour sum of a graph whose senders are the values
    return neighbour_sum(indptr, order.astype(np.int32) if len(order) < 2**31 else order, values)


def neighbour_sum(
    indptr: ArrayLike, indices: ArrayLike, x: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[Any]:
    """Weighted sum over the incoming edges of every receiver: ``y[i] = sum_k weights[k] * x[indices[k]]``.

    Parameters
    ----------
    indptr : int64 [num_receivers + 1]
    indices : int32 or int64 [num_edges]
        Senders.
    x : [num_senders, ...]
        Features, float32 or float64 on the fast path (others run on the numpy twin).
    weights : [num_edges] or [num_edges, heads], optional
        With heads, ``x`` is [num_senders, heads, channels]. Integer weights take the dtype of ``x``.

    Returns
    -------
    [num_receivers, ...]
        Zero for a receiver without edges.

    Notes
    -----
    Summed in the order of the row, with fused multiply-adds where the machine has them; same bits for any number of
    threads. Parallel edges count each; a self-loop is an edge like others. The adjoint in ``x`` is the same function
    on the transposed CSR, in ``weights`` it is :func:`edge_dot`.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> indptr, senders = np.array([0, 2, 2, 3]), np.array([0, 1, 1], np.int32)
    >>> K.neighbour_sum(indptr, senders, np.array([[1.0, 2.0], [10.0, 20.0]]), np.array([1.0, 0.5, 2.0]))
    array([[ 6., 12.],
           [ 0.,  0.],
           [20., 40.]])
    """
    x = np.asarray(x)
    weights = None if weights is None else _weights_like(np.asarray(weights), x)
    dtype = x.dtype if weights is None else np.result_type(x, weights)
    if sums_are_exact() and dtype.kind == "f":
        return prerounded.row_sums(np.asarray(indptr), np.asarray(indices), x.astype(dtype, copy=False), weights)
    if dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.neighbour_sum(indptr, indices, x, weights)
    indptr, indices = pointers(indptr), positions(indices)
    rows = as_rows(read_only(x, dtype))
    out = np.empty((len(indptr) - 1, *x.shape[1:]), dtype)
    width = rows.shape[1]
    if width == 0 or len(out) == 0:
        return out
    loops = backend.loops("neighbours")
    # one compiled loop for both: without weights, every edge reads the same 1
    weight_rows = read_only(np.ones((1, 1), dtype) if weights is None else as_rows(weights), dtype)
    block = loops.block_width(width // weight_rows.shape[1], dtype.itemsize)
    args = (indptr, indices, weight_rows, int(weights is not None), block, rows, as_rows(out))
    parallel_rows(loops.neighbour_sum, len(out), args, indptr=indptr, width=width)
    return out


def edge_dot(indptr: ArrayLike, indices: ArrayLike, receiver_x: ArrayLike, sender_x: ArrayLike) -> NDArray[Any]:
    """Dot product of the features at both ends of every edge (a sampled dense-dense product).

    Parameters
    ----------
    indptr : int64 [num_receivers + 1]
    indices : int32 or int64 [num_edges]
    receiver_x : [num_receivers, channels] or [num_receivers, heads, channels]
    sender_x : [num_senders, channels] or [num_senders, heads, channels]

    Returns
    -------
    [num_edges] or [num_edges, heads]
        In the order of the edges.

    Notes
    -----
    The sum over channels runs in vector lanes: same bits for any number of threads, another order than the twin's.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> K.edge_dot(np.array([0, 2, 3]), np.array([0, 1, 1], np.int32), x, x)
    array([ 5., 11., 25.])
    """
    receiver_x, sender_x = np.asarray(receiver_x), np.asarray(sender_x)
    dtype = np.result_type(receiver_x, sender_x)
    if dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.edge_dot(indptr, indices, receiver_x, sender_x)
    indptr, indices = pointers(indptr), positions(indices)
    heads = receiver_x.shape[1:-1]
    out = np.empty((len(indices), *heads), dtype)
    if out.size == 0:
        return out
    args = (indptr, indices, as_rows(read_only(receiver_x, dtype)), as_rows(read_only(sender_x, dtype)), as_rows(out))
    num_rows, width = len(indptr) - 1, math.prod(receiver_x.shape[1:])
    parallel_rows(backend.loops("neighbours").edge_dot, num_rows, args, indptr=indptr, width=width)
    return out


def _weights_like(weights: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """Integer and boolean weights take the dtype of floating features (numpy would widen float32 to float64)."""
    if weights.dtype.kind in "iub" and x.dtype.kind == "f":
        return weights.astype(x.dtype)
    return weights
