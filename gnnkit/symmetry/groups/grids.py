"""What the groups that move the pixels of images share; the shifts, flips and turns themselves are in other files.

An element moves whole images; a result may lie on a grid of its own, smaller or larger by the stride, on which the
element acts in that grid's own steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.graph import Graph, Grid, GridTopology, Stencil, grid_topology
from gnnkit.graph.fields import take_rows
from gnnkit.symmetry.groups.base import Edges, Element, Group, refuse
from gnnkit.symmetry.pieces import is_image

Size = tuple[int, ...]


class GridElement(Element):
    """Moves the cells of every image alike. Subclasses define :meth:`move` and :meth:`stencil`."""

    moves_nodes = True

    def __init__(self, group: Group, graph: Graph) -> None:
        self.group = group
        topology = graph.topology
        assert isinstance(topology, GridTopology)
        self._sizes = topology.grid.sizes
        source, grid = self.placed(topology.grid)
        right = Graph.trusted(
            grid_topology(grid, self.stencil(topology.stencil)),
            {name: take_rows(value, source) for name, value in graph.nodes.items()},
            None,
            graph.globals,
        )
        super().__init__([graph], right)

    def move(self, cells: np.ndarray, size: Size) -> np.ndarray:
        """Move an array of cells of one image of a result; the input image has the size ``size``."""
        raise NotImplementedError

    def stencil(self, stencil: Stencil) -> Stencil:
        """The stencil of the moved graph."""
        return stencil

    def placed(self, grid: Grid) -> tuple[np.ndarray, Grid]:
        """The left node of every right node, and the grid on the right."""
        cells, sizes = [], []
        for i, size in enumerate(grid.sizes):
            first, last = grid.cell_ptr[i], grid.cell_ptr[i + 1]
            moved = self.move(np.arange(first, last).reshape(size), self._sizes[i])
            sizes.append(moved.shape)
            cells.append(moved.reshape(-1))
        source = np.concatenate([*cells, np.zeros(0, np.int64)]).astype(np.int64)
        mask = None
        if grid.mask is not None:
            mask = grid.mask[source]
            source = grid.node_of_cell[source[mask]]  # type: ignore[index]
        if not sizes:
            return source, grid
        return source, Grid.trusted(tuple(sizes), mask=mask, lattice=grid.lattice)

    def grid_of(self, frame: Graph) -> Grid:
        """The grid of a result."""
        if is_image(frame):
            grid: Grid = frame.topology.grid  # type: ignore[attr-defined]
            if grid.num_graphs == len(self._sizes):
                return grid
        raise refuse(
            self.group,
            "a result on a grid with as many images as the input",
            f"{frame!r}",
            "Compare the globals of a readout with output='globals' and expect='invariant'.",
        )

    def rows(self, level: str, values: list[np.ndarray], frames: list[Graph], frame: Graph) -> np.ndarray:
        (array,) = values
        if level == "globals":
            return array
        if level == "edges":
            raise no_edges(self.group, "a result with values at edges")
        return array[self.placed(self.grid_of(frames[0]))[0]]

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        return None

    def problem(self, frames: list[Graph], frame: Graph) -> str:
        if not is_image(frames[0]):
            return ""
        expected = self.placed(self.grid_of(frames[0]))[1]
        if is_image(frame) and self.grid_of(frame) == expected:
            return ""
        return f"a result on {expected!r} expected, found on {getattr(frame.topology, 'grid', frame.topology)!r}"


@dataclass(frozen=True)
class GridGroup(Group):
    """A group that moves the pixels of images on square grids of any number of axes; edge fields are refused."""

    def check_graph(self, graph: Graph) -> Grid:
        """The grid of a graph that this group can act on."""
        if not is_image(graph):
            advice = "Make one with gk.from_image, gk.from_sequence or gk.from_volume."
            raise refuse(self, "a graph on a grid", f"{graph!r} with listed edges", advice)
        grid: Grid = graph.topology.grid  # type: ignore[attr-defined]
        if grid.lattice != "square":
            raise refuse(self, "a square lattice", f"a {grid.lattice} one", "Use gk.from_image(..., lattice='square').")
        if graph.edges:
            raise no_edges(self, f"edge fields {', '.join(map(repr, graph.edges))}")
        return grid

    def candidates(self, grid: Grid) -> list[Any]:
        """What the simple elements do, simplest first."""
        raise NotImplementedError

    def element(self, graph: Graph, action: Any) -> Element:
        """The element that does ``action``."""
        raise NotImplementedError

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        grid = self.check_graph(graph)
        actions = self.candidates(grid) if grid.num_cells else []
        return self.element(graph, actions[int(rng.integers(len(actions)))]) if actions else None

    def simple(self, graph: Graph) -> list[Element]:
        grid = self.check_graph(graph)
        return [self.element(graph, action) for action in self.candidates(grid)[:8]] if grid.num_cells else []


def no_edges(group: Group, came: str) -> Exception:
    return refuse(group, "values at nodes and globals only", came, "Drop edge fields with graph.without(name).")
