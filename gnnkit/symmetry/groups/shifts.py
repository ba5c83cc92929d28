"""Shifts of images: around a torus, and of plain images, which are compared away from the border."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gnnkit.graph import Graph, Grid
from gnnkit.symmetry.groups.base import Element, refuse
from gnnkit.symmetry.groups.grids import GridElement, GridGroup, Size

MOST_PIXELS = 3  # a shift goes at most so many steps
PROBES = 4  # changed pixels from which the receptive field is measured


class Shift(GridElement):
    """Moves images by ``steps`` pixels per axis; what leaves on one side enters on the other."""

    def __init__(self, group: ShiftGroup, graph: Graph, steps: Size) -> None:
        self.steps, self._margin = steps, group.margin
        super().__init__(group, graph)

    def _step(self, size: Size, cells: Size) -> Size:
        """The shift in the own steps of a grid of ``cells`` that belongs to an image of ``size``."""
        found = []
        for step, n, m in zip(self.steps, size, cells):
            larger, smaller = (m, n) if m > n else (n, m)
            ratio = max(round(larger / smaller), 1) if smaller else 1
            if m <= n and step % ratio:
                raise refuse(
                    self.group,
                    f"shifts by multiples of the stride for a result of {m} cells on an image of {n}",
                    f"a shift by {step}",
                    f"Say so: group=({self.group.name!r}, {{'step': {ratio}}}).",
                )
            found.append(step * ratio if m > n else step // ratio)
        return tuple(found)

    def move(self, cells: np.ndarray, size: Size) -> np.ndarray:
        return np.roll(cells, self._step(size, cells.shape), axis=tuple(range(cells.ndim)))

    def valid(self, level: str, frame: Graph) -> np.ndarray | None:
        if self._margin is None or level != "nodes":
            return None
        grid = self.grid_of(frame)
        inside = []
        for size, cells in zip(self._sizes, grid.sizes):
            inner = np.ones(cells, bool)
            for axis, (n, m, step) in enumerate(zip(size, cells, self._step(size, cells))):
                margin = -(-self._margin * m // n) if n else 0
                place = np.arange(m)
                here = (place >= margin) & (place < m - margin)
                before = (place - step >= margin) & (place - step < m - margin)
                inner &= (here & before).reshape([-1 if i == axis else 1 for i in range(len(cells))])
            inside.append(inner.reshape(-1))
        flags = np.concatenate([*inside, np.zeros(0, bool)])
        return flags if grid.mask is None else flags[grid.mask]

    def describe(self) -> str:
        away = "" if self._margin is None else f", compared {self._margin} pixels away from the border"
        wrapped = " around the torus" if self._margin is None else ""
        return f"images shifted by {self.steps} pixels{wrapped}{away}"


@dataclass(frozen=True)
class ShiftGroup(GridGroup):
    """Shifts of images.

    Attributes
    ----------
    step : int
        Every shift is a multiple of it: the product of the strides of the function.
    margin : int or None
        How many pixels at the border are not compared. None compares all: shifts around a torus.
    """

    step: int = 1
    margin: int | None = None

    def candidates(self, grid: Grid) -> list[Any]:
        smallest = np.min(np.array(grid.sizes).reshape(grid.num_graphs, -1), axis=0)
        room = smallest - 1 if self.margin is None else smallest - 2 * self.margin - 1
        reach = np.minimum(np.maximum(room, 0) // self.step, MOST_PIXELS)
        if self.margin is not None and (room.min() < 0 or reach.max() < 1):
            raise refuse(
                self,
                f"images that leave room to move beside the margin of {self.margin} pixels",
                f"a size of {tuple(smallest.tolist())}",
                f"Pass larger images, or group=({self.name!r}, {{'margin': 1}}).",
            )
        ranges = np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij")
        shifts = np.stack([axis.reshape(-1) for axis in ranges], axis=1) * self.step
        order = np.lexsort((*(shifts < 0).T, np.abs(shifts).sum(axis=1)))
        return [tuple(shift) for shift in shifts[order].tolist() if any(shift)]

    def element(self, graph: Graph, action: Any) -> Element:
        return Shift(self, graph, action)


@dataclass(frozen=True)
class Torus(ShiftGroup):
    """Cyclic shifts: what leaves on one side enters on the other. Only wrapped borders can follow them exactly."""

    name: str = "torus"


@dataclass(frozen=True)
class Translation(ShiftGroup):
    """Shifts of images, compared away from the border.

    ``margin`` must cover the receptive field. By default it is measured: one pixel in the middle of the largest image
    is changed, and the farthest pixel of the result that notices counts.
    """

    name: str = "translation"

    def settled(self, graphs: Sequence[Graph], evaluate: Callable[[Graph], Any]) -> Self:
        if self.margin is not None:
            return self
        graph = max(graphs, key=lambda each: min(_largest(self.check_graph(each)), default=0))
        return replace(self, margin=_reach(self, graph, evaluate))


def _largest(grid: Grid) -> Size:
    return max(grid.sizes, key=min, default=())


def _reach(group: Translation, graph: Graph, evaluate: Callable[[Graph], Any]) -> int:
    """How many pixels far the result of ``evaluate`` notices a changed pixel."""
    grid = group.check_graph(graph)
    if not grid.num_nodes:
        return 0
    number = grid.sizes.index(_largest(grid))
    size, first, last = grid.sizes[number], grid.node_ptr[number], grid.node_ptr[number + 1]
    if first == last:
        return 0
    middle = np.array([n // 2 for n in size])
    place = grid.coordinates()[first:last]
    node = int(first + np.argmin(np.abs(place - middle).max(axis=1)))
    centre, before, reach = place[node - first], evaluate(graph), 0
    rng = np.random.default_rng(0)
    for _ in range(PROBES):
        changed = {}
        for name, value in graph.nodes.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                changed[name] = value.copy()
                changed[name][node] += 3 * rng.standard_normal(value.shape[1:])
        after = evaluate(graph.replace(nodes=changed))
        for key, array in after.fields.items():
            old = before.fields[key]
            if key[0] == "nodes" and key not in after.carried and array.shape == old.shape:
                differs = (array != old).reshape(len(array), -1).any(axis=1)
                reach = max(reach, _farthest(group.check_graph(after.frame), differs, number, size, centre))
    return reach


def _farthest(grid: Grid, differs: np.ndarray, number: int, size: Size, centre: np.ndarray) -> int:
    first, last = grid.node_ptr[number], grid.node_ptr[number + 1]
    found = grid.coordinates()[first:last][differs[first:last]]
    if not len(found):
        return 0
    ratio = np.array([n / m if m else 1.0 for n, m in zip(size, grid.sizes[number])])
    return math.ceil(float((np.abs(found * ratio - centre) + np.maximum(ratio - 1, 0)).max()))
