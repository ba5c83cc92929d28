"""What the architectures on grids are made of: convolution, norm, activation. Imports layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError
from gnnkit.nn.activations import activation_named
from gnnkit.nn.grid.conv import Conv1d, Conv2d, Conv3d
from gnnkit.nn.linear import check_count
from gnnkit.nn.module import Module
from gnnkit.nn.norms import norm_named

CONVOLUTIONS = {1: Conv1d, 2: Conv2d, 3: Conv3d}


@dataclass(frozen=True)
class Kit:
    """The choices that every layer of an architecture shares."""

    ndim: int
    norm: str | None
    activation: str
    border: str | None
    rng: np.random.Generator
    dtype: DTypeLike

    def conv(self, inside: int, out: int, kernel_size: int = 3, *, stride: int = 1, bias: bool = True) -> Module:
        """A convolution with padding "same"."""
        if self.ndim not in CONVOLUTIONS:
            raise InvalidArgumentError(
                f"A grid has 1, 2 or 3 axes. Got ndim={self.ndim!r}. Use ndim=2 for images, 1 for sequences, 3 for "
                "volumes."
            )
        layer: Any = CONVOLUTIONS[self.ndim]
        return layer(
            inside, out, kernel_size, stride=stride, border=self.border, bias=bias, rng=self.rng, dtype=self.dtype
        )

    def normed(self, inside: int, out: int, kernel_size: int = 3, *, stride: int = 1) -> list[Module]:
        """A convolution and its norm, whose shift takes the place of the bias."""
        conv = self.conv(inside, out, kernel_size, stride=stride, bias=self.norm is None)
        return [conv] if self.norm is None else [conv, norm_named(self.norm, out, dtype=self.dtype)]

    def unit(self, inside: int, out: int, kernel_size: int = 3, *, stride: int = 1) -> list[Module]:
        """Convolution, norm, activation."""
        return [*self.normed(inside, out, kernel_size, stride=stride), activation_named(self.activation)]


def checked_widths(widths: Sequence[int], name: str = "widths") -> tuple[int, ...]:
    """Channels of each stage; there is at least one stage."""
    found = tuple(check_count(name, width) for width in widths)
    if not found:
        raise InvalidArgumentError(
            f"{name} must list the channels of at least one stage. Got {widths!r}. Use (16, 32)."
        )
    return found
