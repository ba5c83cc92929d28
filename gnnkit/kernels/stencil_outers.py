"""Door of stencil_outer, the derivative of a convolution by its weights. Imports only floor 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.stencils import StencilPart
from gnnkit.kernels.twins import stencil_sums as twins


def stencil_outer(
    parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, *, num_offsets: int, groups: int = 1
) -> NDArray[Any]:
    """Derivative of :func:`stencil_sum` by its weights: outer products of senders and receivers, summed per offset."""
    return twins.stencil_outer(parts, x, y, num_offsets=num_offsets, groups=groups)
