"""Flips and quarter turns of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.graph import Graph, Grid, Stencil
from gnnkit.symmetry.groups.base import Element, Group, refuse
from gnnkit.symmetry.groups.grids import GridElement, GridGroup, Size


class Flipped(GridElement):
    """Mirrors images along one axis."""

    def __init__(self, group: Group, graph: Graph, axis: int) -> None:
        self.axis = axis
        super().__init__(group, graph)

    def move(self, cells: np.ndarray, size: Size) -> np.ndarray:
        return np.flip(cells, self.axis)

    def stencil(self, stencil: Stencil) -> Stencil:
        if isinstance(stencil.padding, str):
            return stencil
        pads = [pair[::-1] if axis == self.axis else pair for axis, pair in enumerate(stencil.padding)]
        return _stencil_like(stencil, padding=pads)

    def describe(self) -> str:
        return f"images mirrored along axis {self.axis}"


@dataclass(frozen=True)
class Flip(GridGroup):
    """Mirror images along one axis."""

    name: str = "flip"

    def candidates(self, grid: Grid) -> list[Any]:
        return [axis for axis in reversed(range(grid.ndim)) if any(size[axis] > 1 for size in grid.sizes)]

    def element(self, graph: Graph, action: Any) -> Element:
        return Flipped(self, graph, action)


class Turned(GridElement):
    """Turns images by quarters in the plane of two axes."""

    def __init__(self, group: Group, graph: Graph, axes: tuple[int, int], quarters: int) -> None:
        self.axes, self.quarters = axes, quarters
        super().__init__(group, graph)

    def move(self, cells: np.ndarray, size: Size) -> np.ndarray:
        return np.rot90(cells, self.quarters, self.axes)

    def stencil(self, stencil: Stencil) -> Stencil:
        order = list(range(stencil.ndim))
        if self.quarters % 2:
            one, two = self.axes
            order[one], order[two] = two, one
        padding: Any = stencil.padding
        if not isinstance(padding, str):
            if any(before != after for before, after in padding):
                raise refuse(
                    self.group,
                    "a stencil padded alike on both sides",
                    f"{stencil!r}",
                    "Use padding='same' or a number.",
                )
            padding = [padding[i] for i in order]
        if order == list(range(stencil.ndim)):
            return stencil
        turned = {name: [getattr(stencil, name)[i] for i in order] for name in ("kernel_size", "stride", "dilation")}
        return _stencil_like(stencil, padding=padding, **turned)

    def describe(self) -> str:
        return f"images turned by {90 * self.quarters} degrees in the plane of axes {self.axes}"


@dataclass(frozen=True)
class QuarterTurn(GridGroup):
    """Turn images by 90, 180 or 270 degrees; an image that is not square changes its shape."""

    name: str = "rot90"

    def check_graph(self, graph: Graph) -> Grid:
        grid = super().check_graph(graph)
        if grid.ndim < 2:
            raise refuse(self, "a grid with at least 2 axes", f"{grid!r}", "Use gk.from_image, or group='flip'.")
        return grid

    def candidates(self, grid: Grid) -> list[Any]:
        planes = [(i, j) for i in range(grid.ndim) for j in range(i + 1, grid.ndim)]
        largest = np.max(np.array(grid.sizes).reshape(grid.num_graphs, -1), axis=0)
        return [(plane, k) for plane in planes for k in (1, 2, 3) if largest[list(plane)].max() > 1]

    def element(self, graph: Graph, action: Any) -> Element:
        return Turned(self, graph, *action)


def _stencil_like(stencil: Stencil, **changed: Any) -> Stencil:
    names = ("kernel_size", "stride", "dilation", "padding", "border", "lattice")
    return Stencil(ndim=stencil.ndim, **{**{name: getattr(stencil, name) for name in names}, **changed})
