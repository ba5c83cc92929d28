"""Permutations of feature channels: what treats all channels alike, such as an activation, follows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gnnkit.graph import Graph
from gnnkit.graph.fields import raw
from gnnkit.graph.topology import inverse_permutation
from gnnkit.symmetry.groups.base import BARE, Element, Group, Key, moved_pairs, refuse


class ChannelShuffle(Element):
    """Channel ``i`` of the field becomes channel ``target[i]``."""

    def __init__(self, group: Channels, graph: Graph, target: np.ndarray) -> None:
        self.group, self.target = group, target
        self.source = inverse_permutation(target)
        value = raw(graph.nodes[group.field])
        super().__init__([graph], graph.replace(nodes={group.field: value[..., self.source]}))

    def values(self, level: str, name: str, array: np.ndarray, *, linear: bool, given: bool) -> np.ndarray:
        moved = (level, name) == ("nodes", self.group.field) if given else name in self.group.results
        if not moved:
            return array
        if array.ndim < 2 or array.shape[-1] != len(self.source):
            raise refuse(
                self.group,
                f"results with the {len(self.source)} channels of {self.group.field!r} to be equivariant",
                f"{name!r} of shape {list(array.shape)}",
                "Use expect='invariant', or name the results that have these channels with results=.",
            )
        return array[..., self.source]

    def check_result(self, keys: Iterable[Key], bare: bool, expect: str) -> None:
        names = [name for _, name in keys]
        if expect == "equivariant" and not any(name in self.group.results for name in names):
            raise refuse(
                self.group,
                "to know which results have the channels of the input",
                f"the results {', '.join(map(repr, names))}",
                f"Name them, as in group=('channels', {{'results': ({names[0] if names else BARE!r},)}}).",
            )

    def describe(self) -> str:
        return moved_pairs(self.target, f"channels of {self.group.field}:")


@dataclass(frozen=True)
class Channels(Group):
    """Permute the channels (the last axis) of one node field.

    Equivariant: the channels of the results are permuted alike. Invariant: the results stay as they are.

    Attributes
    ----------
    field : str
        The node field whose channels are permuted.
    results : tuple of str
        Names of the results that have these channels; a result that is one array is called "output".
    """

    name: str = "channels"
    field: str = "x"
    results: tuple[str, ...] = ("x", "u", BARE)

    def _count(self, graph: Graph) -> int:
        value = graph.nodes.get(self.field)
        if value is None or value.ndim < 2 or not isinstance(raw(value), np.ndarray):
            names = ", ".join(f"{name} {list(item.shape)}" for name, item in graph.nodes.items()) or "none"
            advice = f"Name it: group=('channels', {{'field': '{self.field}'}})."
            raise refuse(self, f"a dense node field {self.field!r} [num_nodes, channels]", f"fields {names}", advice)
        return int(value.shape[-1])

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        count = self._count(graph)
        if count < 2 or graph.num_nodes == 0:
            return None
        target = rng.permutation(count)
        if (target == np.arange(count)).all():
            target = np.roll(target, 1)
        return ChannelShuffle(self, graph, target)

    def simple(self, graph: Graph) -> list[Element]:
        found: list[Element] = []
        count = self._count(graph)
        for i in range(min(count, 4)):
            for j in range(i + 1, min(count, 4)):
                target = np.arange(count)
                target[[i, j]] = j, i
                found.append(ChannelShuffle(self, graph, target))
        return found
