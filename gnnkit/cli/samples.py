"""The graphs that ``gnnkit check`` looks at: small random ones with every corner case, images, or a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gnnkit.errors import InvalidArgumentError

SHOWN_GRAPHS = 20  # of a set of many
GRID_GROUPS = ("torus", "translation", "flip", "rot90")


@dataclass(frozen=True)
class Sample:
    """What a person typed about the graphs to check on."""

    data: str | None = None
    without: Sequence[str] = ()
    channels: int | None = None
    edge_channels: int = 0
    global_channels: int = 0
    dimensions: int = 0
    categories: int | None = None
    size: str | None = None
    seed: int = 0

    def graphs(self, target: Any, group: str, step: int) -> list[Any]:
        """The graphs on which ``group`` is checked."""
        from gnnkit import symmetry

        if self.data is not None:
            return self._of_data()
        channels = self.channels if self.channels is not None else _channels_of(target)
        ndim, lattice = _grid_of(target)
        if ndim or self.size or group in GRID_GROUPS:
            return symmetry.small_images(
                channels, sizes=self._sizes(ndim or 2, group, step), lattice=lattice, rng=self.seed
            )
        reads_positions = group in ("euclidean", "rotation", "reflection", "shift") or hasattr(target, "positions")
        return symmetry.small_graphs(
            channels,
            edge_channels=self.edge_channels,
            global_channels=self.global_channels,
            dimensions=self.dimensions or 3 * reads_positions,
            integers=self.categories,
            rng=self.seed,
        )

    def describe(self) -> str:
        """The same in words."""
        if self.data is not None:
            return f"the data set {self.data}"
        return f"small random graphs of seed {self.seed}"

    def _of_data(self) -> list[Any]:
        from gnnkit import datasets

        found = datasets.load(str(self.data))
        graphs = found[:SHOWN_GRAPHS] if isinstance(found, list) else [found]
        return [graph.without(*self.without) for graph in graphs] if self.without else graphs

    def _sizes(self, ndim: int, group: str, step: int) -> tuple[tuple[int, ...], ...]:
        if self.size is not None:
            try:
                return (tuple(int(part) for part in self.size.lower().split("x")),)
            except ValueError:
                raise InvalidArgumentError(
                    f"The size of an image is written like 28x28. Got --size {self.size}. Use 16 for sequences."
                ) from None
        at_least = {1: 12, 2: 8, 3: 4}[ndim] * (3 if group == "translation" else 1)
        even = -(-max(at_least, 2 * step) // step) * step
        return ((even,) * ndim, (even + step, *(even,) * (ndim - 1)))


def _channels_of(target: Any) -> int:
    for module in target.modules() if hasattr(target, "modules") else [target]:
        for name in ("in_channels", "channels"):
            if isinstance(getattr(module, name, None), int):
                return int(getattr(module, name))
    return 3


def _grid_of(target: Any) -> tuple[int | None, str]:
    """The number of axes and the lattice of the grids that a model asks for; None for one that takes any graph."""
    from gnnkit import nn

    ndim, lattice = None, "square"
    for module in target.modules() if isinstance(target, nn.Module) else ():
        if isinstance(module, nn.GridLayer | nn.Flatten) and not isinstance(module, nn.IsotropicConv):
            ndim = getattr(module, "ndim", None) or ndim or 2
            lattice = getattr(module, "lattice", None) or lattice
    return ndim, lattice
