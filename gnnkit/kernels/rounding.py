"""Pre-rounded sums: the arithmetic of the exact mode, on arrays of float64. Imports only numpy.

``count`` terms, the largest of size ``top``, are rounded to multiples of a *unit* so large that no sum of them needs
more than the 53 bits of a float64. Adding and subtracting a *centre* (1.5 times a power of two) rounds to its last
place. Then no addition rounds, and no order of them matters. What a first rounding leaves is rounded and added in the
same way once more where the terms are float64 themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Where the power of two below the largest term lies between these, roundings work; beyond (and for infinity and NaN)
# terms are sorted and then added.
SMALLEST, LARGEST = 2.0**-800, 2.0**900
EXPONENT = np.int64(0x7FF0_0000_0000_0000)


def factor(count: Any) -> Any:
    """The centre for ``count`` terms whose largest has size in [1, 2): float64, like ``count``."""
    bits = np.ceil(np.log2(np.maximum(count, 1)))
    return np.ldexp(1.5, (1 + np.maximum(1, bits - 1)).astype(np.int64))


def second(count: Any) -> Any:
    """What the centre is multiplied by to round the remainders of the first rounding."""
    bits = np.ceil(np.log2(np.maximum(count, 1)))
    return np.ldexp(1.0, (np.maximum(1, bits - 1) - 53).astype(np.int64))


def power_below(top: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest power of two that is at most ``top``; 0 of 0."""
    return (np.ascontiguousarray(top, np.float64).view(np.int64) & EXPONENT).view(np.float64)


def is_usual(top: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the largest term has a size that roundings can be made for."""
    return (top == 0) | ((top >= SMALLEST) & (top < 2 * LARGEST))


def rounded(values: NDArray[np.float64], centre: Any) -> NDArray[np.float64]:
    """``values`` as multiples of the last place of ``centre``."""
    return (values + centre) - centre


def sorted_sum(values: NDArray[np.float64]) -> Any:
    """Sum of a vector from its smallest term to its largest: what is left where sizes are extreme.

    With terms that are not finite no finite one matters: infinity of their sign, NaN of both signs.
    """
    with np.errstate(all="ignore"):
        if not np.isfinite(values).all():
            return np.sum(np.unique(values[~np.isfinite(values)]))
        return np.add.accumulate(np.sort(values))[-1] + 0.0
