"""Normalising columns in plain numpy: the specification of kernels/columns.py. Imports only numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def column_moments(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    return mean, ((x - mean) ** 2).mean(axis=0, dtype=np.float64).astype(x.dtype)


def column_scale(x: NDArray[Any], mean: NDArray[Any], factor: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    return (x - mean) * factor + shift


def column_products(g: NDArray[Any], x: NDArray[Any], mean: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return g.sum(axis=0, dtype=np.float64), (g * (x - mean)).sum(axis=0, dtype=np.float64)


def column_scale_adjoint(
    g: NDArray[Any],
    x: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    offset: NDArray[Any],
    slope: NDArray[Any],
) -> NDArray[Any]:
    return (g - offset - (x - mean) * slope) * factor
