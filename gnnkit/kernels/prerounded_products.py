"""Products of dense matrices whose sums do not depend on the order of the inner axis, nor on where a row stands.

Every term ``a[i, k] * b[k, j]`` is rounded to multiples of one power of two, as in kernels/prerounded.py; the size of
the largest term is found in a sweep of its own. BLAS could multiply slices of the factors
(Ozaki, Ogita, Oishi and Rump, Numerical Algorithms 2012), but needs three products for float32 and passes over
memory to make the slices: that took two to four times as long. Imports only floor 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend, rounding
from gnnkit.kernels.arrays import FAST_FLOATS, read_only
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.prerounded import folds_of
from gnnkit.kernels.twins import prerounded_products as twins
from gnnkit.kernels.twins.stencil_sums import edges


def matmul(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``np.matmul`` of floating arrays; a number of the result follows from the pairs that it adds, in any order.

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
    usual = a.dtype in FAST_FLOATS and backend.current_backend() != "numpy"
    loop = backend.loops("prerounded_products").products if usual else twins.products
    factor, shrink = float(rounding.factor(len(b))), float(rounding.second(len(b)))
    args = (read_only(a.T), read_only(b), factor, shrink, folds_of(a.dtype), out)
    parallel_rows(loop, len(out), args, width=3 * b.size)


def stencil_outer(
    parts: Sequence[Any], x: NDArray[Any], y: NDArray[Any], num_offsets: int, groups: int
) -> NDArray[Any]:
    """Outer products of the features at both ends of every edge of a stencil, summed over the edges of each offset.

    See :func:`gnnkit.kernels.stencil_outer`; here all edges of an offset are gathered and multiplied at once.
    """
    inner, columns = x.shape[1] // groups, y.shape[1] // groups
    out = np.zeros((num_offsets, inner, y.shape[1]), np.result_type(x, y))
    found: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for senders, receivers, offset in edges(parts):
        found.setdefault(offset, []).append((senders, receivers))
    for offset, pairs in found.items():
        from_, to = (np.concatenate(ends) for ends in zip(*pairs))
        for g in range(groups):
            f = slice(g * columns, (g + 1) * columns)
            out[offset, :, f] = matmul(x[from_, g * inner : (g + 1) * inner].T, y[to, f])
    return out
