"""Comparing two arrays: the largest error, where it is, and whether rounding can explain it. Imports numpy only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

POWER = 0.6  # eps ** 0.6: 4e-10 in float64, 7e-5 in float32


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    Attributes
    ----------
    absolute, relative : float
        Largest difference; and divided by the scale, the larger of 1 and the largest value that took part.
    tolerance : float
        What ``relative`` must not exceed.
    index : tuple of int or None
        Where the difference is largest.
    message : str
        Why the arrays cannot be compared at all; "" if they can.
    """

    absolute: float
    relative: float
    tolerance: float
    index: tuple[int, ...] | None = None
    left: Any = None
    right: Any = None
    message: str = ""

    @property
    def failed(self) -> bool:
        return not self.relative <= self.tolerance  # true for NaN


def default_tolerance(*dtypes: np.dtype[Any]) -> float:
    """``eps ** 0.6`` of the least precise floating dtype: far above rounding, far below a defect."""
    return max((float(np.finfo(dtype).eps) ** POWER for dtype in dtypes if dtype.kind in "fc"), default=0.0)


def largest(*arrays: np.ndarray) -> float:
    """The largest finite absolute value in the floating arrays, at least 1."""
    top = 1.0
    for array in arrays:
        if array.size and array.dtype.kind in "fc":
            values = np.abs(array)
            peak = float(values.max())
            if not np.isfinite(peak):
                values = values[np.isfinite(values)]
                peak = float(values.max()) if values.size else 0.0
            top = max(top, peak)
    return top


def compare(
    expected: np.ndarray,
    got: np.ndarray,
    *,
    tolerance: float | None,
    scale: float = 1.0,
    valid: np.ndarray | None = None,
    dtypes: Iterable[str] = (),
) -> Difference:
    """Compare the moved left values with the right ones; ``dtypes`` are further ones that rounding went through.

    NaN equals NaN in the same place, infinity equals the same infinity; anything else against them is infinitely
    wrong. Whole numbers, booleans and texts must be equal.
    """
    if expected.shape != got.shape:
        return Difference(
            np.inf, np.inf, 0.0, message=f"shape {list(expected.shape)} expected, shape {list(got.shape)} found"
        )
    floating = expected.dtype.kind in "fc" and got.dtype.kind in "fc"
    limit = tolerance
    if limit is None:
        limit = default_tolerance(expected.dtype, got.dtype, *map(np.dtype, dtypes))
    if not floating:
        limit = 0.0
    if expected.size == 0:
        return Difference(0.0, 0.0, limit)
    errors = _errors(expected, got, floating)
    if valid is not None:
        errors = np.where(valid.reshape(-1, *[1] * (errors.ndim - 1)), errors, 0.0)
    index = np.unravel_index(int(np.argmax(errors)), errors.shape)
    absolute = float(errors[index])
    size = max(scale, largest(expected, got)) if floating else 1.0
    place = tuple(int(i) for i in index)
    return Difference(absolute, absolute / size, limit, place, expected[index], got[index])


def _errors(expected: np.ndarray, got: np.ndarray, floating: bool) -> np.ndarray:
    if not floating:
        return (expected != got).astype(np.float64)
    if np.array_equal(expected, got):
        return np.zeros(expected.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(expected - got).astype(np.float64)
    if not np.isfinite(errors).all():
        same = (expected == got) | (np.isnan(expected) & np.isnan(got))
        errors = np.where(same, 0.0, np.where(np.isnan(errors), np.inf, errors))
    return errors
