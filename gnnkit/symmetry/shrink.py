"""Making a counterexample small: hypothesis proposes simpler graphs, values and elements, and keeps what still fails.

hypothesis is imported inside, and is optional: without it a counterexample stays as it was found, and says so. Nothing
is written to disk, and the same counterexample always shrinks to the same one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from gnnkit.errors import GnnkitError, require_package
from gnnkit.graph import Graph
from gnnkit.symmetry.case import Finding, Settings, run_case
from gnnkit.symmetry.groups.base import LEVELS, Element, Group
from gnnkit.symmetry.pieces import cropped, is_image, restricted
from gnnkit.symmetry.report import Counterexample

T = TypeVar("T")

SIMPLE = (0.0, 1.0, 2.0, -1.0, 3.0, -2.0, 0.5)  # the simplest first
ROUNDS, EXAMPLES = 6, 200
LARGE = 24  # nodes; larger graphs are cut before hypothesis looks at single nodes
RANDOM_ELEMENTS = 4
MOST_PARTS = 3000  # nodes and edges that hypothesis can decide on one by one
MOST_VALUES = 200  # only as many are made simple one by one
MOST_DRAWN = 1000
KEEP = 9  # 0 drops a node or an edge, 1 to KEEP keep it: most stay in a first guess


def hypothesis_or_error(purpose: str) -> Any:
    """Import hypothesis.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import hypothesis
    except ImportError as error:
        raise require_package("hypothesis", "test", purpose) from error
    return hypothesis


def apart(run: Callable[[], T]) -> T:
    """Run something of hypothesis so that it leaves no trace, and also from within a test of hypothesis.

    There a test may not hold another one, except in a thread of its own.
    """
    from hypothesis import currently_in_test_context

    with without_a_trace():
        if not currently_in_test_context():
            return run()
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(run).result()


@contextlib.contextmanager
def without_a_trace() -> Iterator[None]:
    """Let hypothesis leave no folder: its cache of constants would appear where the user happens to stand."""
    from hypothesis import configuration

    before = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory(prefix="gnnkit-") as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)


def quiet_settings(examples: int, *, shrinking: bool) -> Any:
    """Settings of hypothesis for use inside a library: no database, no clock, no complaints, no chance."""
    from hypothesis import HealthCheck, Phase, Verbosity, settings

    return settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrinking else [Phase.generate],
        verbosity=Verbosity.quiet,
    )


def drawn(strategy: Any, cases: int) -> list[Any]:
    """Up to 1000 graphs from a strategy, as hypothesis would draw them for a test."""
    hypothesis = hypothesis_or_error("Drawing graphs from a strategy")
    found: list[Any] = []

    @quiet_settings(min(cases, MOST_DRAWN), shrinking=False)
    @hypothesis.given(strategy)
    def collect(graph: Any) -> None:
        found.append(graph)

    apart(collect)
    return found


def shrunk(found: Counterexample, group: Group, settings: Settings, seed: int) -> Counterexample:
    """A smaller counterexample of the same kind, or ``found`` with the reason why there is none."""
    search = _Search(group, settings, seed, found.finding)
    current = search.cut(found)
    try:
        hypothesis_or_error("Shrinking a counterexample")
    except GnnkitError as error:
        return replace(current, note=f"It was not shrunk. {error}")
    if current.graph.num_nodes + current.graph.num_edges > MOST_PARTS:
        return replace(current, note="It was not made smaller: no half of the graph fails, and it has too many parts.")
    for _ in range(ROUNDS):
        before = current
        for values in (False, True):
            if values and _num_values(current.graph) > MOST_VALUES:
                continue
            smaller = search.step(current, values)
            if smaller is not None and _cost(smaller) < _cost(current):
                current = smaller
        if current is before:
            break
    return current


def _cost(example: Counterexample) -> tuple[float, ...]:
    graph = example.graph
    values = sum(_value_cost(value) for level in LEVELS for value in getattr(graph, level).values())
    return graph.num_nodes, graph.num_edges, graph.num_graphs, values


def _num_values(graph: Graph) -> int:
    values = (value for level in LEVELS for value in getattr(graph, level).values())
    return sum(value.size for value in values if isinstance(value, np.ndarray))


def _value_cost(value: Any) -> int:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return 0
    costs = np.full(value.shape, len(SIMPLE))
    for cost, simple in enumerate(SIMPLE):
        costs[value == simple] = cost
    return int(costs.sum())


class _Search:
    """Runs the function on proposals; what counts is that the same kind of failure stays."""

    def __init__(self, group: Group, settings: Settings, seed: int, like: Finding) -> None:
        self.group, self.settings, self.seed, self.like = group, settings, seed, like

    def failing(self, element: Element | None, graph: Graph) -> Counterexample | None:
        if element is None:
            return None
        try:
            finding = run_case(element, self.settings, self.seed).finding
        except Exception:  # both sides raise, or the group cannot act: no counterexample
            return None
        if finding is None or finding.kind != self.like.kind:
            return None
        if finding.kind == "raised" and finding.what != self.like.what:  # another error is another story
            return None
        return Counterexample(graph, element, finding)

    def element(self, graph: Graph, number: int) -> Element | None:
        """Element ``number`` for a graph: the simple ones first, then random ones."""
        simple = self.group.simple(graph)
        if number < len(simple):
            return simple[number]
        return self.group.sample(graph, np.random.default_rng(number - len(simple)))

    def num_simple(self, graph: Graph) -> int:
        try:
            return len(self.group.simple(graph))
        except GnnkitError:  # the group cannot act on so small a graph
            return 0

    # ------------------------------------------------------------------ large graphs, in halves
    def cut(self, found: Counterexample) -> Counterexample:
        """Halve a large graph as long as one half still fails."""
        rng = np.random.default_rng(self.seed)
        while found.num_nodes > LARGE:
            for graph in self._halves(found, rng):
                smaller = self._any_element(graph)
                if smaller is not None and smaller.num_nodes < found.num_nodes:
                    found = smaller
                    break
            else:
                return found
        return found

    def _any_element(self, graph: Graph) -> Counterexample | None:
        for number in range(RANDOM_ELEMENTS):
            try:
                element = self.group.sample(graph, np.random.default_rng(number))
            except GnnkitError:
                return None
            found = self.failing(element, graph)
            if found is not None:
                return found
        return None

    def _halves(self, found: Counterexample, rng: np.random.Generator) -> Iterator[Graph]:
        graph, graphs = found.graph, np.ones(found.graph.num_graphs, bool)
        if is_image(graph):
            size = np.max(graph.topology.grid.sizes, axis=0)  # type: ignore[attr-defined]
            for axis in np.argsort(-size):
                half = size.copy()
                half[axis] = (half[axis] + 1) // 2
                yield cropped(graph, tuple(half.tolist()), graphs)
            return
        edges = np.ones(graph.num_edges, bool)
        source = found.source_row() if found.finding.level == "nodes" else None
        for hops in (0, 1, 2) if source is not None else ():
            yield restricted(graph, _near(graph, int(source or 0), hops), edges, graphs)
        for share in (0.5, 0.5, 0.5, 0.5, 0.8, 0.8, 0.8, 0.8):
            yield restricted(graph, rng.random(graph.num_nodes) < share, edges, graphs)

    # ------------------------------------------------------------------ small graphs, by hypothesis
    def step(self, found: Counterexample, values: bool) -> Counterexample | None:
        """The simplest failing part of ``found`` that hypothesis finds, with simpler ``values`` if asked for."""
        from hypothesis import errors, find, strategies

        @strategies.composite
        def proposals(draw: Any) -> tuple[Graph, int]:
            def whole(top: int) -> int:
                return draw(strategies.integers(0, top))

            graph = _part(found.graph, whole)
            if values:
                graph = _with_values(graph, whole)
            return graph, whole(self.num_simple(graph) + RANDOM_ELEMENTS - 1)

        def fails(proposal: tuple[Graph, int]) -> bool:
            graph, number = proposal
            try:
                return self.failing(self.element(graph, number), graph) is not None
            except GnnkitError:
                return False

        try:
            options = quiet_settings(EXAMPLES, shrinking=True)
            graph, number = apart(lambda: find(proposals(), fails, settings=options))
        except errors.HypothesisException:  # none found, or the function does not repeat itself
            return None
        return self.failing(self.element(graph, number), graph)


def _part(graph: Graph, whole: Any) -> Graph:
    graphs = np.ones(graph.num_graphs, bool)
    if graph.num_graphs > 1:
        graphs = np.array([whole(KEEP) > 0 for _ in range(graph.num_graphs)], bool)
    if is_image(graph):
        size = np.max(np.array(graph.topology.grid.sizes).reshape(graph.num_graphs, -1), axis=0)  # type: ignore[attr-defined]
        return cropped(graph, tuple(whole(int(n)) for n in size), graphs)
    nodes = np.array([whole(KEEP) > 0 if graphs[i] else False for i in graph.node_graph], bool)
    senders, receivers, _ = graph.to_edges()
    possible = nodes[senders] & nodes[receivers]
    edges = np.array([whole(KEEP) > 0 if each else False for each in possible], bool)
    return restricted(graph, nodes, edges, graphs)


def _with_values(graph: Graph, whole: Any) -> Graph:
    """Replace about half of the floating values by simple ones."""
    fields: dict[str, dict[str, Any]] = {level: {} for level in LEVELS}
    for level in LEVELS:
        for name, value in getattr(graph, level).items():
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                continue
            changed = value.copy()
            for index in np.ndindex(value.shape):
                choice = whole(2 * len(SIMPLE))
                if choice < len(SIMPLE):
                    changed[index] = SIMPLE[choice]
            fields[level][name] = changed
    return graph.replace(nodes=fields["nodes"], edges=fields["edges"], globals=fields["globals"])


def _near(graph: Graph, node: int, hops: int) -> np.ndarray:
    """Which nodes are within ``hops`` edges of ``node``, in either direction."""
    near = np.zeros(graph.num_nodes, bool)
    near[node] = True
    for _ in range(hops):
        reached = near.copy()
        reached[graph.senders[near[graph.receivers]]] = True
        reached[graph.receivers[near[graph.senders]]] = True
        near = reached
    return near
