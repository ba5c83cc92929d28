"""The convolutions of ``bench_conv.py``, and how a worker runs them. Imports nothing but numpy, as peers import it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MODES = ("forward", "both")


class Case(NamedTuple):
    """Images, channels in, side, filters, kernel, stride, groups, axes; padded by half a kernel."""

    images: int
    channels: int
    side: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1
    ndim: int = 2

    @property
    def operations(self) -> int:
        """Floating-point operations of the forward pass, those on the padding included."""
        pixels = self.images * (self.side // self.stride) ** self.ndim
        return 2 * pixels * self.filters * (self.channels // self.groups) * self.kernel**self.ndim

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images, channels last, and a weight [offsets, channels of a group, filters]."""
        rng = np.random.default_rng(0)
        x = rng.random((self.images, *[self.side] * self.ndim, self.channels), dtype=np.float32)
        shape = (self.kernel**self.ndim, self.channels // self.groups, self.filters)
        return x, rng.random(shape, dtype=np.float32) - 0.5

    def __str__(self) -> str:
        extra = (f" stride {self.stride}" if self.stride > 1 else "") + (" depthwise" if self.groups > 1 else "")
        size = f"{self.side}^{self.ndim}"
        return f"{self.images} x {size} x {self.channels} -> {self.filters}, kernel {self.kernel}{extra}"


CASES = [
    Case(64, 1, 28, 10, 3),
    Case(64, 10, 14, 10, 3),
    Case(32, 32, 28, 64, 3),
    Case(8, 64, 56, 64, 3),
    Case(8, 256, 14, 256, 3),
    Case(8, 96, 56, 96, 7, groups=96),
    Case(32, 32, 28, 64, 3, stride=2),
    Case(4, 16, 16, 32, 3, ndim=3),
]


def runner(build: Callable[[Case], dict[str, Callable[[], Any]]]) -> Callable[[str], Any]:
    """What a worker runs for the job "case mode"; ``build`` gives the modes of a case, of which the last is kept."""
    held: dict[int, dict[str, Callable[[], Any]]] = {}

    def run(job: str) -> Any:
        index, mode = job.split()
        if int(index) not in held:
            held.clear()
            held[int(index)] = build(CASES[int(index)])
        return held[int(index)][mode]()

    return run
