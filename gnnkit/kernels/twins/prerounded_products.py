"""The pre-rounded matrix product in plain numpy: the specification of kernels/prerounded_products.py, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import rounding


def products(
    start: int,
    stop: int,
    a: NDArray[Any],
    b: NDArray[Any],
    factor: float,
    shrink: float,
    folds: int,
    out: NDArray[Any],
) -> None:
    """Rows start..stop of ``out`` [M, N] = the sums of a[k, i] * b[k, j] over k; a [K, M], b [K, N]."""
    wide = b.astype(np.float64)
    with np.errstate(all="ignore"):
        for i in range(start, stop):
            terms = a[:, i : i + 1].astype(np.float64) * wide
            top = np.abs(terms).max(axis=0)
            usual = rounding.is_usual(top)
            centre = np.where(usual, rounding.power_below(top), 0.0) * factor
            first = rounding.rounded(terms, centre)
            total = first.sum(axis=0)
            if folds == 2:
                total = total + rounding.rounded(terms - first, centre * shrink).sum(axis=0)
            out[i] = total
            for j in np.flatnonzero(~usual):
                out[i, j] = rounding.sorted_sum(terms[:, j])
