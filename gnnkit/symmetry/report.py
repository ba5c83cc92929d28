"""What a check found: a report, and where it failed the smallest counterexample, both readable as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnnkit.graph import Graph
from gnnkit.graph.fields import raw
from gnnkit.symmetry.case import Finding, edge_text
from gnnkit.symmetry.groups.base import LEVELS, Element
from gnnkit.symmetry.pieces import is_image

ROWS_SHOWN = 12
WORDS = {"nodes": "node", "edges": "edge", "globals": "graph"}


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A graph and a group element for which the symmetry fails.

    Attributes
    ----------
    graph : Graph
        On the left; for a disjoint union the batch.
    element : Element
        What was done to it; ``element.right`` is the graph afterwards.
    finding : Finding
        What differs, where, and both values.
    note : str
        How it was found, or why it is not smaller.

    Examples
    --------
    >>> import gnnkit as gk
    >>> first = lambda g: g.x * (g.x == g.x[0])              # singles out node 0
    >>> g = gk.path(4).replace(x=[[1.0], [2.0], [3.0], [4.0]])
    >>> found = gk.symmetry.check(first, g, output="nodes").counterexample
    >>> found.num_nodes
    2
    """

    graph: Graph
    element: Element
    finding: Finding
    note: str = ""

    @property
    def num_nodes(self) -> int:
        """Number of nodes of the graph."""
        return self.graph.num_nodes

    @property
    def what(self) -> str:
        """Which values differ, such as ``nodes x`` or ``gradient of parameter weight``."""
        return self.finding.what

    @property
    def where(self) -> tuple[int | None, tuple[int, ...]]:
        """Number of the node, edge (caller's order) or graph on the right, and the index within its row."""
        return self.finding.row, self.finding.channel

    @property
    def left(self) -> Any:
        """The value that the symmetry demands: f of the graph, moved."""
        return self.finding.left

    @property
    def right(self) -> Any:
        """The value that was found: f of the moved graph."""
        return self.finding.right

    def source_row(self) -> int | None:
        """The node, edge or graph on the left that came to stand where the values differ, if there is one."""
        finding, element = self.finding, self.element
        if finding.row is None or finding.level not in LEVELS:
            return None
        counts = {"nodes": "num_nodes", "edges": "num_edges", "globals": "num_graphs"}
        sizes = [getattr(left, counts[finding.level]) for left in element.lefts]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        numbers = [np.arange(n) + start for n, start in zip(sizes, starts)]
        rows = element.rows(finding.level, numbers, element.lefts, element.right)
        return int(rows[finding.row]) if finding.row < len(rows) else None

    def place(self) -> str:
        """Where the values differ, in words."""
        finding = self.finding
        if finding.row is None:
            return f"entry {list(finding.channel)} of {finding.what}" if finding.channel else finding.what
        source, word = self.source_row(), WORDS.get(finding.level or "", "row")
        text = f"{finding.what}, {word} {finding.row} on the right"
        if source is not None and source != finding.row:
            text += f" ({word} {source} on the left)"
        if finding.channel:
            text += f", channel {', '.join(map(str, finding.channel))}"
        return text

    def __str__(self) -> str:
        finding, gradient = self.finding, self.finding.kind == "gradient"
        lines = [f"{counted(self.graph.num_nodes, 'node')}, {counted(self.graph.num_edges, 'edge')}"]
        lines += describe_graph(self.graph)
        lines.append(f"group element: {self.element}")
        if finding.row is None and not finding.channel:
            lines.append(f"{finding.what}: {finding.message}")
        else:
            lines += [
                f"differs at: {self.place()}",
                f"  {'gradient at graph, moved' if gradient else 'f(graph), moved'} : {number(finding.left)}",
                f"  {'gradient at moved graph ' if gradient else 'f(moved graph) '} : {number(finding.right)}",
            ]
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of :func:`gnnkit.symmetry.check`; true if it passed.

    Attributes
    ----------
    passed : bool
    group, expect : str
    errors : mapping of text to (float, float)
        For each output and gradient the largest absolute error, and the largest relative to the size of the values.
    max_error : float
        The largest relative error.
    tolerance : float
        What the relative errors must not exceed.
    dtype : str
        In which the function was run.
    cases : int
        Number of cases that were tried.
    counterexample : Counterexample or None
    gradients : str
        Whether gradients were compared, in words.
    function : str
    notes : tuple of str
        How it was run, where NaN or infinity left nothing to compare, and which warnings came.
    """

    passed: bool
    group: str
    expect: str
    errors: Mapping[str, tuple[float, float]]
    max_error: float
    tolerance: float
    dtype: str
    cases: int
    counterexample: Counterexample | None = None
    gradients: str = ""
    function: str = "function"
    notes: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        name = self.function if len(self.function) <= 80 else self.function[:77] + "..."
        claim = f"{name} is" if self.passed else f"{name} is not"
        if self.counterexample is not None and self.counterexample.finding.kind == "gradient":
            claim = f"the gradients of {name} are not"
        lines = [
            f"symmetry check {verdict}: {claim} {self.expect} under {self.group!r}",
            f"  {counted(self.cases, 'case')}, {self.dtype}, relative tolerance {self.tolerance:.1e}",
            f"  {self.gradients}" if self.gradients else "",
        ]
        lines += [f"  {note}" for note in self.notes]
        if self.errors:
            width = max(len(what) for what in ("largest error", *self.errors))
            lines.append(f"  {'largest error':<{width}}  absolute  relative")
            for what, (absolute, relative) in self.errors.items():
                mark = "" if relative <= self.tolerance else "   <- too large"
                lines.append(f"  {what:<{width}}  {absolute:8.1e}  {relative:8.1e}{mark}")
        if self.counterexample is not None:
            lines.append("smallest counterexample found:")
            lines += ["  " + line for line in str(self.counterexample).splitlines()]
        return "\n".join(line for line in lines if line)


def describe_graph(graph: Graph) -> list[str]:
    """The edges and the fields of a small graph, a line each; of a large one the beginning."""
    fields = {} if is_image(graph) else graph.to_edges()[2]
    lines = [edges_line(graph)]
    if graph.num_graphs != 1:
        lines.append(f"graphs of {', '.join(map(str, np.diff(graph.node_ptr).tolist()))} nodes")
    values = [("nodes", graph.nodes), ("edges", fields), ("globals", graph.globals)]
    for level, mapping in values:
        lines += [f"{level} {name} = {_short(value)}" for name, value in mapping.items()]
    return lines


def edges_line(graph: Graph) -> str:
    """The first edges of a graph; of an image its size and border."""
    if is_image(graph):
        topology = graph.topology
        return f"image: {topology.grid!r}, {topology.stencil!r}"  # type: ignore[attr-defined]
    senders, receivers, _ = graph.to_edges()
    return f"edges: {edge_text(senders, receivers)}"


def _short(value: Any) -> str:
    array = raw(value) if isinstance(raw(value), np.ndarray) else value.toarray()
    shown = array[:ROWS_SHOWN]
    if shown.dtype.kind == "f":
        shown = shown.astype(np.float64)
        text = np.array2string(shown, separator=", ", formatter={"float_kind": lambda v: f"{v:.6g}"})
    else:
        text = np.array2string(shown, separator=", ")
    text = " ".join(text.split())
    return text if len(array) <= ROWS_SHOWN else f"{text} and {len(array) - ROWS_SHOWN} rows more"


def number(value: Any) -> str:
    """A value as a person writes it, with the digits that tell two apart."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.12g}"
    return str(value)


def counted(count: int, word: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
