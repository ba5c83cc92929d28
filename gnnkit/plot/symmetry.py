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

MOST_LABELLED = 12  # nodes; values of more of them would lie on each other
LINE = 0.16  # inches
MOST_COLUMNS, LONGEST = 4, 8  # of an image, and letters of a value, that leave room beside the nodes
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
        on the left, images are turned or shifted. The node whose value differs is marked on both sides; the titles say
        what it must be, and is. Values too long for a node, and fields that the group changes such as positions, stand
        below.

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
    changed = [name for name in right.nodes if name != field and _differs(left, right, source, name)]
    titles = ("each alone", "as one batch") if len(example.element.lefts) > 1 else ("graph", "moved graph")
    values = (f"{word} must become {_short(example.left)}", f"{word} is {_short(example.right)}")
    panels = ((left, placed, mark), (right, moved, row))
    lines = 0
    for axis, title, value, (graph, position, chosen) in zip(axes, titles, values, panels):
        titled = title if chosen is None else f"{title}: {value}"
        lines = max(lines, _panel(axis, titled, graph, position, chosen, field, changed))
    figure.set_figheight(5.0 + LINE * (lines - 1))
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


def _differs(left: Graph, right: Graph, source: NDArray[Any] | None, name: str) -> bool:
    """Whether the group changes a node field beyond carrying it along."""
    if source is None or name not in left.nodes or is_image(right):
        return False
    return not np.array_equal(raw(left.nodes[name])[source], raw(right.nodes[name]))


def _panel(
    axis: Any,
    title: str,
    graph: Graph,
    position: NDArray[Any],
    chosen: int | None,
    field: str,
    changed: list[str],
) -> int:
    """Draw one side; returns the number of lines of text below it."""
    draw_graph(graph, ax=axis, layout=position, labels=True, legend=False, title=title)
    if chosen is not None and chosen < graph.num_nodes:
        ring = {"facecolors": "none", "edgecolors": WRONG, "linewidths": 2.2}
        axis.scatter(*position[chosen], s=620, zorder=6, clip_on=False, **ring)
    loops = np.unique(graph.senders[graph.senders == graph.receivers])
    for node in [] if is_image(graph) else loops.tolist():
        axis.scatter(*position[node], s=420, facecolors="none", edgecolors=FAINT, linewidths=0.9, zorder=1)
    notes = [edges_line(graph)]
    if graph.num_nodes <= MOST_LABELLED:
        listed = [name for name in (field, *changed) if name in graph.nodes]
        texts = {name: [_row(value) for value in raw(graph.nodes[name])] for name in listed}
        if field in texts and _fits(graph, position, texts[field]):
            _write(axis, position, [f"{field} = {text}" for text in texts.pop(field)], chosen)
        notes += [
            f"node {node}: " + ", ".join(f"{name} = {rows[node]}" for name, rows in texts.items())
            for node in range(graph.num_nodes if texts else 0)
        ]
    note = "\n".join(fill_lines(line, 66) for line in notes)
    axis.text(0.0, -0.02, note, transform=axis.transAxes, fontsize=8, color=FAINT, va="top", parse_math=False)
    if graph.num_nodes in (1, 2):  # on a point or a line there is no extent that margins could be a part of
        axis.update_datalim([position.mean(axis=0) - 0.5, position.mean(axis=0) + 0.5])
    axis.margins(0.35)
    return note.count("\n") + 1


def _fits(graph: Graph, position: NDArray[Any], texts: list[str]) -> bool:
    """Whether texts beside the nodes stay clear of each other."""
    columns = len(np.unique(position[:, 0].round(6))) if is_image(graph) else 1
    return columns <= MOST_COLUMNS and max(map(len, texts), default=0) <= LONGEST


def _write(axis: Any, position: NDArray[Any], texts: list[str], chosen: int | None) -> None:
    """Write a text above the nodes of the upper half and below the others: away from the edges, which run inside."""
    middle = position[:, 1].mean() if len(position) else 0.0
    for node, ((x, y), text) in enumerate(zip(position, texts)):
        above = y > middle + 1e-9
        axis.annotate(
            text,
            (x, y),
            xytext=(0, 18 if above else -18),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8,
            color=WRONG if node == chosen else INK,
            parse_math=False,
            zorder=7,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        )


def _short(value: Any) -> str:
    return f"{float(value) + 0.0:.6g}" if isinstance(value, float | np.floating) else shorten(str(value), 60)


def _row(value: Any) -> str:
    values = np.atleast_1d(value)
    texts = [f"{v + 0.0:.4g}" if isinstance(v, float | np.floating) else str(v) for v in values.reshape(-1)[:6]]
    return texts[0] if len(texts) == 1 else f"[{' '.join(texts)}{' ...' if values.size > 6 else ''}]"


def fill_lines(text: str, width: int) -> str:
    """Break every line of a text at ``width`` letters."""
    return "\n".join(fill(line, width) for line in text.splitlines())
