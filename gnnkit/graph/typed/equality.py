"""Whether two field maps hold the same: names, dtypes, shapes and values; two NaN count as equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.graph.fields import first_difference, is_sparse, raw


def same_fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both maps have the same names and under each the same values; the order of the names is free."""
    return one.keys() == other.keys() and all(same_values(value, other[name]) for name, value in one.items())


def same_values(one: Any, other: Any) -> bool:
    """Whether two field values are equal; a Tensor equals the array that it holds."""
    if is_sparse(one) or is_sparse(other):
        return is_sparse(one) and is_sparse(other) and one.shape == other.shape and _same_sparse(one, other)
    return _same_arrays(raw(one), raw(other))


def _same_sparse(one: Any, other: Any) -> bool:
    return all(_same_arrays(getattr(one, part), getattr(other, part)) for part in ("indptr", "indices", "data"))


def _same_arrays(one: np.ndarray, other: np.ndarray) -> bool:
    same_text = one.dtype.kind == other.dtype.kind and one.dtype.kind in "US"  # "<U2" and "<U3" hold the same words
    if one.shape != other.shape or (one.dtype != other.dtype and not same_text):
        return False
    return not len(one) or first_difference(one, other) is None
