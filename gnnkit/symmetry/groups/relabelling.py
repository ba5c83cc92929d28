"""Groups that change names and orders only: nodes relabelled, edges given in another order, directions reversed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnkit.graph import Graph, transforms
from gnnkit.graph.fields import take_rows
from gnnkit.graph.parallel import canonical_edges
from gnnkit.graph.topology import inverse_permutation
from gnnkit.symmetry.groups.base import Edges, Element, Group, moved_pairs, refuse


class Relabelling(Element):
    """Node ``i`` becomes node ``target[i]``; in a batch, graph ``i`` becomes graph ``graph_target[i]``."""

    moves_nodes = True

    def __init__(self, group: Group, graph: Graph, target: np.ndarray, graph_target: np.ndarray) -> None:
        self.group, self.target, self.graph_target = group, target, graph_target
        self.source = inverse_permutation(target)
        self.graph_source = inverse_permutation(graph_target)
        super().__init__([graph], self._relabelled(graph))

    def _relabelled(self, graph: Graph) -> Graph:
        senders, receivers, fields = graph.to_edges()
        n = graph.num_nodes
        ends = self.target[senders], self.target[receivers]
        topology, fields = canonical_edges(*ends, fields, num_senders=n, num_receivers=n)
        ptr = None
        if graph.num_graphs != 1:
            sizes = np.diff(graph.node_ptr)[self.graph_source]
            ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Graph.trusted(
            topology,
            {name: take_rows(value, self.source) for name, value in graph.nodes.items()},
            fields,
            {name: take_rows(value, self.graph_source) for name, value in graph.globals.items()},
            node_ptr=ptr,
        )

    def rows(self, level: str, values: list[np.ndarray], frames: list[Graph], frame: Graph) -> np.ndarray:
        (array,) = values
        if level == "globals":
            return array[self.graph_source] if len(array) == len(self.graph_source) else array
        if level == "edges":
            return array
        if frames[0].num_nodes != len(self.source):
            raise refuse(
                self.group,
                "a result on the nodes of the input, to know which node became which",
                f"a result on {frames[0].num_nodes} nodes for a graph of {len(self.source)}",
                "Compare another level with output='globals', or check the readout after it.",
            )
        return array[self.source] if len(array) == len(self.source) else array

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        senders, receivers, _ = frames[0].to_edges()
        if frames[0].num_nodes != len(self.target):
            return senders, receivers
        return self.target[senders], self.target[receivers]

    def problem(self, frames: list[Graph], frame: Graph) -> str:
        sizes = np.diff(frames[0].node_ptr)
        return self.problem_of_sizes(sizes[self.graph_source] if len(sizes) == len(self.graph_source) else sizes, frame)

    def describe(self) -> str:
        text = moved_pairs(self.target, "nodes")
        moved = (self.graph_target != np.arange(len(self.graph_target))).any()
        return f"{moved_pairs(self.graph_target, 'graphs')}; {text}" if moved else text


@dataclass(frozen=True)
class NodeRelabelling(Group):
    """Nodes get other numbers; the graphs of a batch change places too. Edges keep the order they were given in."""

    name: str = "nodes"

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        b = graph.num_graphs
        order = rng.permutation(b) if b > 1 and rng.random() < 0.5 else np.arange(b)
        sizes = np.diff(graph.node_ptr)
        if b == 1:
            source = rng.permutation(graph.num_nodes)
        else:
            ranges = [graph.node_ptr[i] + rng.permutation(sizes[i]) for i in order]
            source = np.concatenate([*ranges, np.zeros(0, np.int64)]).astype(np.int64)
        if b <= 1 and graph.num_nodes > 1 and (source == np.arange(len(source))).all():
            source = np.roll(source, 1)
        return self._element(graph, source, order)

    def _element(self, graph: Graph, source: np.ndarray, order: np.ndarray) -> Element | None:
        if (source == np.arange(len(source))).all() and (order == np.arange(len(order))).all():
            return None
        return Relabelling(self, graph, inverse_permutation(source), inverse_permutation(order))

    def simple(self, graph: Graph) -> list[Element]:
        found: list[Element | None] = []
        whole = np.arange(graph.num_graphs)
        for first, last in zip(graph.node_ptr[:-1].tolist(), graph.node_ptr[1:].tolist()):
            for i in range(first, min(last, first + 5)):
                for j in range(i + 1, min(last, first + 5)):
                    source = np.arange(graph.num_nodes)
                    source[[i, j]] = j, i
                    found.append(self._element(graph, source, whole))
        return [element for element in found if element is not None]


class Reordering(Element):
    """The edge that was given at position ``k`` is given at position ``target[k]``."""

    def __init__(self, graph: Graph, target: np.ndarray) -> None:
        self.target = target
        self.source = inverse_permutation(target)
        senders, receivers, fields = graph.to_edges()
        self._given = senders, receivers
        n = graph.num_nodes
        moved = {name: take_rows(value, self.source) for name, value in fields.items()}
        ends = senders[self.source], receivers[self.source]
        topology, moved = canonical_edges(*ends, moved, num_senders=n, num_receivers=n)
        ptr = None if graph.num_graphs == 1 else graph.node_ptr
        right = Graph.trusted(topology, graph.nodes, moved, graph.globals, node_ptr=ptr)
        super().__init__([graph], right)

    def _source_in(self, frame: Graph) -> np.ndarray | None:
        """The order on the right of the edges of a result: those given move, those appended (self-loops, say) stay."""
        count = len(self.source)
        senders, receivers, _ = frame.to_edges()
        if not np.array_equal(senders[:count], self._given[0]) or not np.array_equal(receivers[:count], self._given[1]):
            return None  # other edges: they are matched by their ends
        return np.concatenate([self.source, np.arange(count, len(senders))])

    def rows(self, level: str, values: list[np.ndarray], frames: list[Graph], frame: Graph) -> np.ndarray:
        (array,) = values
        source = self._source_in(frames[0]) if level == "edges" else None
        return array if source is None or len(source) != len(array) else array[source]

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        senders, receivers, _ = frames[0].to_edges()
        source = self._source_in(frames[0])
        return (senders, receivers) if source is None else (senders[source], receivers[source])

    def describe(self) -> str:
        return moved_pairs(self.target, "order of edges")


@dataclass(frozen=True)
class EdgeReordering(Group):
    """The same edges, given in another order. Results at nodes and globals stay, those at edges follow the edges."""

    name: str = "edges"

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        if graph.num_edges < 2:
            return None
        target = rng.permutation(graph.num_edges)
        if (target == np.arange(len(target))).all():
            target = np.roll(target, 1)
        return Reordering(graph, target)

    def simple(self, graph: Graph) -> list[Element]:
        found: list[Element] = []
        count = min(graph.num_edges, 5)
        for i in range(count):
            for j in range(i + 1, count):
                target = np.arange(graph.num_edges)
                target[[i, j]] = j, i
                found.append(Reordering(graph, target))
        return found


class Reversed(Element):
    """Every edge is turned around."""

    def __init__(self, graph: Graph) -> None:
        super().__init__([graph], transforms.reverse(graph))

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        senders, receivers, _ = frames[0].to_edges()
        return receivers, senders

    def describe(self) -> str:
        return "every edge turned around"


@dataclass(frozen=True)
class Reversal(Group):
    """Senders and receivers exchanged. Results at nodes and globals stay, those at edges travel with their edges."""

    name: str = "reversal"

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        senders, receivers, _ = graph.to_edges()
        return None if np.array_equal(senders, receivers) else Reversed(graph)  # loops alone: nothing to turn

    def simple(self, graph: Graph) -> list[Element]:
        return [Reversed(graph)]
