"""Disjoint union: a batch must give what its graphs give one by one, empty and trailing empty graphs included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.errors import GroupError
from gnnkit.graph import Graph, batch, unbatch
from gnnkit.graph.fields import take_rows
from gnnkit.symmetry.groups.base import Edges, Element, Group
from gnnkit.symmetry.pieces import emptied, is_image, restricted


class Union(Element):
    """The graphs of a batch on the left, each alone; the batch on the right."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(unbatch(graph), graph)

    def rows(self, level: str, values: list[np.ndarray], frames: list[Graph], frame: Graph) -> np.ndarray:
        return np.concatenate(values)

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        starts = np.concatenate([[0], np.cumsum([part.num_nodes for part in frames])])
        lists = [part.to_edges() for part in frames]
        senders = np.concatenate([s + start for (s, _, _), start in zip(lists, starts)])
        receivers = np.concatenate([r + start for (_, r, _), start in zip(lists, starts)])
        return senders, receivers

    def problem(self, frames: list[Graph], frame: Graph) -> str:
        return self.problem_of_sizes(np.concatenate([np.diff(part.node_ptr) for part in frames]), frame)

    def describe(self) -> str:
        sizes = ", ".join(str(part.num_nodes) for part in self.lefts)
        return f"{len(self.lefts)} graphs of {sizes} nodes, each alone (left) and as one batch (right)"


@dataclass(frozen=True)
class DisjointUnion(Group):
    """A batch of graphs against each of them alone. Values at all levels stand one after another.

    Attributes
    ----------
    empty : bool
        Whether batches may hold graphs without nodes, also at the end. What takes graphs of one size cannot have them.
    """

    name: str = "union"
    empty: bool = True

    def draw(self, graphs: Sequence[Graph], number: int, rng: np.random.Generator) -> Graph:
        first = graphs[number % len(graphs)]
        parts = [first]
        for _ in range(int(rng.integers(1, 3))):
            other = graphs[int(rng.integers(len(graphs)))]
            parts.append(_changed(other if _alike(other, first) else first, rng))
        if self.empty and rng.random() < 0.5:
            parts.insert(int(rng.integers(len(parts))), emptied(first))
        order = rng.permutation(len(parts))
        parts = [parts[i] for i in order]
        if self.empty and rng.random() < 0.5:
            parts.append(emptied(first))
        return batch(parts)

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        return Union(graph) if graph.num_graphs > 1 else None

    def simple(self, graph: Graph) -> list[Element]:
        return [Union(graph)] if graph.num_graphs > 1 else []

    def check_expectation(self, expect: str) -> None:
        if expect != "equivariant":
            raise GroupError(
                "A disjoint union must give the values of its graphs one after another, which is called equivariant. "
                f"Got expect={expect!r}. Use expect='equivariant' with group='union'."
            )


def _alike(graph: Graph, other: Graph) -> bool:
    if is_image(graph) != is_image(other):
        return False
    if is_image(graph):
        one, two = graph.topology, other.topology
        if one.stencil != two.stencil or one.grid.lattice != two.grid.lattice:  # type: ignore[attr-defined]
            return False
    return _signature(graph) == _signature(other)


def _signature(graph: Graph) -> list[tuple[Any, ...]]:
    return [
        (level, name, tuple(value.shape[1:]), value.dtype)
        for level in ("nodes", "edges", "globals")
        for name, value in sorted(getattr(graph, level).items())
    ]


def _changed(graph: Graph, rng: np.random.Generator) -> Graph:
    """The graph with some nodes left out, or, on a grid, with its pixels in another order."""
    if is_image(graph):
        order = rng.permutation(graph.num_nodes)
        return graph.replace(nodes={name: take_rows(value, order) for name, value in graph.nodes.items()})
    kept = rng.random(graph.num_nodes) < 0.7
    return restricted(graph, kept, np.ones(graph.num_edges, bool), np.ones(graph.num_graphs, bool))
