"""Doors of convolution: stencil_sum, and stencil_outer, its derivative by the weights. Imports only floor 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels.stencils import StencilPart
from gnnkit.kernels.twins import stencil_sums as twins


def stencil_sum(
    parts: Sequence[StencilPart], x: ArrayLike, weight: ArrayLike, *, num_receivers: int, groups: int = 1
) -> NDArray[Any]:
    """Sum over the edges of a plan, each sender multiplied by the weight of its edge's offset."""
    return twins.stencil_sum(parts, x, weight, num_receivers=num_receivers, groups=groups)


def stencil_outer(
    parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, *, num_offsets: int, groups: int = 1
) -> NDArray[Any]:
    """Derivative of :func:`stencil_sum` by its weights: outer products of senders and receivers, summed per offset."""
    return twins.stencil_outer(parts, x, y, num_offsets=num_offsets, groups=groups)
