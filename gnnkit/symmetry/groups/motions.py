"""Euclidean motions: rotations, reflections and translations of space. Vectors turn, positions move as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gnnkit.graph import Graph
from gnnkit.graph.fields import raw
from gnnkit.symmetry.groups.base import BARE, LEVELS, Element, Group, Key, refuse


class Motion(Element):
    """Positions ``p`` become ``matrix @ p + offset``; vectors become ``matrix @ v``."""

    def __init__(self, group: Motions, graph: Graph, matrix: np.ndarray, offset: np.ndarray) -> None:
        self.group, self.matrix, self.offset = group, matrix, offset
        changed: dict[str, dict[str, np.ndarray]] = {}
        for level in ("nodes", "edges", "globals"):
            fields = getattr(graph, level)
            names = [name for name in fields if name == group.positions or name in group.vectors]
            changed[level] = {
                name: self.values(level, name, raw(fields[name]), linear=False, given=True) for name in names
            }
        super().__init__(
            [graph], graph.replace(nodes=changed["nodes"], edges=changed["edges"], globals=changed["globals"])
        )

    def values(self, level: str, name: str, array: np.ndarray, *, linear: bool, given: bool) -> np.ndarray:
        if name != self.group.positions and name not in self.group.vectors:
            return array
        if array.ndim == 0 or array.shape[-1] != len(self.offset):
            raise refuse(
                self.group,
                f"{len(self.offset)} coordinates along the last axis of {name!r}",
                f"shape {list(array.shape)}",
                "Name the fields that are positions and vectors with positions= and vectors=.",
            )
        turned = array @ self.matrix.T.astype(array.dtype)
        moves = name == self.group.positions and not linear
        return turned + self.offset.astype(array.dtype) if moves else turned

    def check_result(self, keys: Iterable[Key], bare: bool, expect: str) -> None:
        names = [name for _, name in keys]
        if expect == "invariant" or any(n == self.group.positions or n in self.group.vectors for n in names):
            return
        raise refuse(
            self.group,
            "to know which results turn with space",
            f"the results {', '.join(map(repr, names))} and vectors={self.group.vectors!r}",
            f"Name them, as in group=({self.group.name!r}, {{'vectors': ({names[0] if names else BARE!r},)}}), "
            "or use expect='invariant'.",
        )

    def describe(self) -> str:
        parts = []
        if not np.array_equal(self.matrix, np.eye(len(self.offset))):
            rows = "; ".join(" ".join(f"{v:.4g}" for v in row) for row in (self.matrix + 0.0).tolist())
            kind = "reflected" if np.linalg.det(self.matrix) < 0 else "rotated"
            parts.append(f"{kind} by [{rows}]")
        if self.offset.any():
            parts.append(f"moved by ({', '.join(f'{v:.4g}' for v in self.offset.tolist())})")
        return f"{self.group.positions} {' and '.join(parts) or 'stay'}"


@dataclass(frozen=True)
class Motions(Group):
    """Motions of space, the same for all nodes.

    Attributes
    ----------
    positions : str
        The field of positions: rotated, reflected and moved; in results too.
    vectors : str or tuple of str
        Fields of vectors, which turn and do not move. A result that is one array is called "output".
    rotate, reflect, move : bool
        Which motions are drawn.
    """

    name: str = "euclidean"
    positions: str = "pos"
    vectors: tuple[str, ...] = ()
    rotate: bool = True
    reflect: bool = True
    move: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.vectors, str):  # a name alone would be read letter by letter
            object.__setattr__(self, "vectors", (self.vectors,))

    def settled(self, graphs: Sequence[Graph], evaluate: Callable[[Graph], Any]) -> Self:
        """Refuse names of vectors that nothing has: such a check would pass and say nothing."""
        given = {name for graph in graphs for level in LEVELS for name in getattr(graph, level)}
        missing = [name for name in self.vectors if name not in given]
        if not missing:
            return self
        results = {key[1] for graph in graphs[:1] for key in evaluate(graph).fields}
        missing = [name for name in missing if name not in results]
        if missing:
            raise refuse(
                self,
                "every name in vectors= to be a field of the graphs or of the result",
                f"{', '.join(map(repr, missing))} beside the fields {_names(given)} and the results {_names(results)}",
                "Name a field that turns with space, or leave it out.",
            )
        return self

    def dimensions(self, graph: Graph) -> int:
        """Number of coordinates of a position."""
        if self.positions not in graph.nodes:
            raise refuse(
                self,
                f"a node field {self.positions!r} with the positions",
                f"the node fields {_names(set(graph.nodes))}",
                f"Name it if there is one, group=({self.name!r}, {{'positions': 'xyz'}}), or give graphs that have it: "
                "gk.symmetry.small_graphs(3, dimensions=3).",
            )
        value = graph.nodes[self.positions]
        if value.ndim < 2 or raw(value).dtype.kind != "f":
            came = f"{value.dtype}{list(value.shape)}"
            raise refuse(self, "floating positions [num_nodes, dimensions]", came, "Give one row per node.")
        return int(value.shape[-1])

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        d = self.dimensions(graph)
        if d == 0:
            return None
        matrix = np.eye(d)
        if self.rotate:
            matrix = _rotation(d, rng)
        if self.reflect and (not self.rotate or rng.random() < 0.5):
            normal = rng.standard_normal(d)
            normal /= np.linalg.norm(normal)
            matrix = matrix @ (np.eye(d) - 2 * np.outer(normal, normal))
        offset = rng.standard_normal(d) * 2 if self.move else np.zeros(d)
        return self._element(graph, matrix, offset)

    def _element(self, graph: Graph, matrix: np.ndarray, offset: np.ndarray) -> Element | None:
        if np.array_equal(matrix, np.eye(len(offset))) and not offset.any():
            return None
        return Motion(self, graph, matrix, offset)

    def simple(self, graph: Graph) -> list[Element]:
        d = self.dimensions(graph)
        found = []
        if self.move:
            found += [(np.eye(d), np.eye(d)[i]) for i in range(min(d, 3))]
        if self.reflect:
            found += [(np.diag(1.0 - 2 * np.eye(d)[i]), np.zeros(d)) for i in range(min(d, 3))]
        if self.rotate:
            for i in range(min(d, 3) - 1):
                quarter = np.eye(d)
                quarter[i : i + 2, i : i + 2] = [[0.0, -1.0], [1.0, 0.0]]
                found.append((quarter, np.zeros(d)))
        elements = [self._element(graph, matrix, offset) for matrix, offset in found]
        return [element for element in elements if element is not None]


def _names(found: set[str]) -> str:
    return ", ".join(map(repr, sorted(found))) or "none"


def _rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    """A random rotation, all equally likely: the orthogonal factor of a random matrix, with determinant 1."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q
