"""The pre-rounded neighbour sum in plain numpy: the specification of kernels/prerounded.py, with the same bits.

Imports only numpy, twins and the arithmetic of the roundings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import rounding
from gnnkit.kernels.twins.csr import expand_indptr


def neighbour_sum(
    indptr: NDArray[np.int64],
    indices: NDArray[Any] | None,
    weights: NDArray[Any] | None,
    folds: int,
    x: NDArray[Any],
) -> NDArray[np.float64]:
    """``sum_k weights[k] * x[indices[k]]`` of every row; weights [E, H], x [.., H * C]; without indices x[k]."""
    terms = np.asarray(x if indices is None else x[indices], np.float64)
    if weights is not None:
        with np.errstate(all="ignore"):
            terms = terms * np.repeat(weights.astype(np.float64), x.shape[1] // weights.shape[1], axis=1)
    row, shape = expand_indptr(indptr), (len(indptr) - 1, x.shape[1])
    top = np.zeros(shape)
    with np.errstate(invalid="ignore"):
        np.maximum.at(top, row, np.abs(terms))
    usual = rounding.is_usual(top)
    degree = np.diff(indptr)[:, None]
    centre = np.where(usual, rounding.power_below(top), 0.0) * rounding.factor(degree)
    total, rest = np.zeros(shape), np.zeros(shape)
    with np.errstate(all="ignore"):
        first = rounding.rounded(terms, centre[row])
        np.add.at(total, row, first)
        if folds == 2:
            np.add.at(rest, row, rounding.rounded(terms - first, (centre * rounding.second(degree))[row]))
        out = total + rest
    for i, f in np.argwhere(~usual):
        out[i, f] = rounding.sorted_sum(terms[indptr[i] : indptr[i + 1], f])
    return out


def column_tops(start: int, stop: int, step: int, x: NDArray[Any], tops: NDArray[np.float64]) -> None:
    """Largest magnitude of every column in blocks start..stop of ``step`` rows; NaN above all."""
    for b in range(start, stop):
        tops[b] = np.abs(x[b * step : (b + 1) * step]).max(axis=0)


def column_totals(
    start: int,
    stop: int,
    step: int,
    x: NDArray[Any],
    centre: NDArray[np.float64],
    shrink: float,
    totals: NDArray[np.float64],
) -> None:
    """Sums of the rounded terms of every column in blocks start..stop; totals [folds, num_blocks, columns]."""
    with np.errstate(all="ignore"):
        for b in range(start, stop):
            terms = x[b * step : (b + 1) * step].astype(np.float64)
            first = rounding.rounded(terms, centre[0])
            totals[0, b] = first.sum(axis=0)
            if len(totals) == 2:
                totals[1, b] = rounding.rounded(terms - first, centre[0] * shrink).sum(axis=0)
