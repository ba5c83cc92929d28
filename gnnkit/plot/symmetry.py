"""A counterexample of the symmetry checker: the graph and the moved graph side by side, the node that differs marked.

May import the graphs of this floor and the reports of gnnkit.symmetry; matplotlib is imported inside.
"""

from __future__ import annotations

from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import InvalidArgumentError, type_name
from gnnkit.graph import Graph
from gnnkit.graph.fields import raw
from gnnkit.plot.graphs import draw_graph
from gnnkit.plot.style import FAINT, INK, PALETTE, PAPER, PathLike, finish, new_figure
from gnnkit.symmetry import Counterexample, Report
from gnnkit.symmetry.pieces import is_image
from gnnkit.symmetry.report import edges_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LABELLED = 12  # nodes; values beside more of them would lie on each other
WRONG = PALETTE[5]


def counterexample(found: Counterexample | Report, path: PathLike | None = None, *, field: str = "x") -> Figure:
    """Draw a counterexample.

    Parameters
    ----------
    found : Counterexample, or a Report that has one
    path : str or path, optional
        Where to save the picture (png, pdf, svg).
    field : str
        The node field written beside the nodes.

    Returns
    -------
    matplotlib.figure.Figure
        Left the graph, right the graph after the group has acted. A node of the right keeps the place that its node has
        on the left, images are turned or shifted. The node whose value differs is marked on both sides with its values.

    Raises
    ------
    InvalidArgumentError
        If a report passed, so that there is nothing to draw.
    MissingDependencyError
        If matplotlib is not installed.

    Notes
    -----
    Self-loops are drawn as rings, parallel edges lie on top of each other: the line below lists all edges.
    """
    example = _example(found)
    left, right = example.graph, example.element.right
    figure, axes = new_figure(9.6, 5.0, panels=2)
    placed, source = _places(left), _sources(example)
    moved = placed[source] if source is not None and not is_image(right) else _places(right)
    row = example.finding.row if example.finding.level == "nodes" else None
    mark = None if row is None else example.source_row()
    word = "gradient" if example.finding.kind == "gradient" else "f"
    panels = (
        ("graph", left, placed, mark, f"{word} must become {_short(example.left)}"),
        ("moved graph", right, moved, row, f"{word} is {_short(example.right)}"),
    )
    for axis, (title, graph, position, chosen, value) in zip(axes, panels):
        _panel(axis, title, graph, position, chosen, value, field)
    header = f"{example.element}\ndiffers at {example.place()}"
    if row is None:
        header += f": {example.finding.message}"
    figure.suptitle(fill_lines(header, 110), fontsize=10, color=INK, x=0.02, ha="left", parse_math=False)
    return finish(figure, path)


def _example(found: Any) -> Counterexample:
    if isinstance(found, Report) and found.counterexample is not None:
        return found.counterexample
    if isinstance(found, Counterexample):
        return found
    came = "a report that passed" if isinstance(found, Report) else type_name(found)
    raise InvalidArgumentError(
        f"A counterexample is drawn from a failed check. Got {came}. Pass report.counterexample where report.passed "
        "is False."
    )


def _sources(example: Counterexample) -> NDArray[Any] | None:
    """The left node of every right node."""
    element, right = example.element, example.element.right
    sizes = [part.num_nodes for part in element.lefts]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = element.rows("nodes", [np.arange(n) + s for n, s in zip(sizes, starts)], element.lefts, right)
    return rows if len(rows) == right.num_nodes else None


def _places(graph: Graph) -> NDArray[np.float64]:
    """Images as images, other graphs on a circle, so that a handful of nodes never lies on a line."""
    if is_image(graph):
        grid = graph.topology.grid  # type: ignore[attr-defined]
        cells = grid.coordinates().astype(float)
        widths = [max((size[-1] for size in grid.sizes), default=1) + 1.0]
        columns = cells[:, -1] + graph.node_graph * widths[0]
        return np.stack([columns, -cells[:, :-1].sum(axis=1)], axis=1)
    top = np.pi if graph.num_nodes == 2 else np.pi / 2  # two nodes side by side
    angle = top - 2 * np.pi * np.arange(graph.num_nodes) / max(graph.num_nodes, 1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _panel(
    axis: Any, title: str, graph: Graph, position: NDArray[Any], chosen: int | None, value: str, field: str
) -> None:
    marked = np.zeros(graph.num_nodes, bool)
    if chosen is not None and chosen < graph.num_nodes:
        marked[chosen] = True
    draw_graph(graph, ax=axis, layout=position, labels=True, legend=False, title=title)
    for node in np.flatnonzero(marked).tolist():
        axis.scatter(*position[node], s=620, facecolors="none", edgecolors=WRONG, linewidths=2.2, zorder=6)
    loops = np.unique(graph.senders[graph.senders == graph.receivers])
    for node in [] if is_image(graph) else loops.tolist():
        axis.scatter(*position[node], s=420, facecolors="none", edgecolors=FAINT, linewidths=0.9, zorder=1)
    if field in graph.nodes and graph.num_nodes <= MOST_LABELLED:
        for node, (x, y) in enumerate(position):
            text = f"{field} = {_row(raw(graph.nodes[field])[node])}"
            if marked[node]:
                text += f"\n{value}"
            axis.annotate(
                text,
                (x, y),
                xytext=(0, -22),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=8,
                color=WRONG if marked[node] else INK,
                parse_math=False,
                zorder=7,
                bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.0},  # edges run behind
            )
    note = fill_lines(edges_line(graph), 60)
    axis.text(0.0, -0.02, note, transform=axis.transAxes, fontsize=8, color=FAINT, va="top", parse_math=False)
    axis.margins(0.35)


def _short(value: Any) -> str:
    return f"{float(value):.6g}" if isinstance(value, float | np.floating) else shorten(str(value), 60)


def _row(value: Any) -> str:
    values = np.atleast_1d(value)
    texts = [f"{v:.4g}" if isinstance(v, float | np.floating) else str(v) for v in values.reshape(-1)[:6]]
    return texts[0] if len(texts) == 1 else f"[{' '.join(texts)}{' ...' if values.size > 6 else ''}]"


def fill_lines(text: str, width: int) -> str:
    """Break every line of a text at ``width`` letters."""
    return "\n".join(fill(line, width) for line in text.splitlines())
