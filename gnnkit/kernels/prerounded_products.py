"""Products of dense matrices whose sums do not depend on the order of the inner axis, nor on where a row stands.

Every term ``a[i, k] * b[k, j]`` is rounded to multiples of one power of two, as in kernels/prerounded.py; the size of the
largest term is bounded by the largest numbers of row i and of column j. BLAS could be used on slices of the factors
(Ozaki, Ogita, Oishi and Rump, Numerical Algorithms 2012); measured here, the three products of slices took as long, and
the slices as long again. Imports only floor 0.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend, rounding
from gnnkit.kernels.arrays import FAST_FLOATS, read_only
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.prerounded import column_tops, folds_of
from gnnkit.kernels.twins import prerounded_products as twins


def matmul(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``np.matmul`` of floating arrays; a number of the result follows from the set of pairs that it adds, and no order.

    A row or column with a number that is not finite gives what IEEE arithmetic gives.
    """
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    if min(a.ndim, b.ndim) == 0 or left.shape[-1] != right.shape[-2]:
        return np.matmul(a, b)  # an error of numpy's
    dtype = np.result_type(a, b)
    left, right = left.astype(dtype, copy=False), right.astype(dtype, copy=False)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    product = np.zeros((*batch, left.shape[-2], right.shape[-1]), dtype)
    if product.size and left.shape[-1]:
        lefts, rights = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (left, right))
        for place in itertools.product(*map(range, batch)):
            _multiply(lefts[place], rights[place], product[place])
    product = product[..., 0, :] if a.ndim == 1 else product
    return (product[..., 0] if b.ndim == 1 else product)[()]


def _multiply(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the product of two matrices, none of whose axes has length 0."""
    a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b)
    row_top, column_top = column_tops(a), column_tops(b)
    row_usual, column_usual = ((t == 0) | ((t >= SMALLEST) & (t <= LARGEST)) for t in (row_top, column_top))
    row_power = np.where(row_usual, 2 * rounding.power_below(row_top), 0.0)[None]
    column_power = np.where(column_usual, rounding.power_below(column_top), 0.0)[None]
    usual = a.dtype in FAST_FLOATS and backend.current_backend() != "numpy"
    loop = backend.loops("prerounded_products").products if usual else twins.products
    factor, shrink = float(rounding.factor(len(b))), float(rounding.second(len(b)))
    args = (read_only(a), read_only(b), row_power, column_power, factor, shrink, folds_of(a.dtype), out)
    parallel_rows(loop, len(out), args, width=4 * b.size)
    for i, j in np.argwhere(~(row_usual[:, None] & column_usual)):
        with np.errstate(all="ignore"):
            out[i, j] = rounding.sorted_sum(a[:, i].astype(np.float64) * b[:, j].astype(np.float64))


# Beyond these the product of two powers of two could leave the range of float64, or its roundings could.
SMALLEST, LARGEST = 2.0**-400, 2.0**440
