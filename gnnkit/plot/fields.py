"""Which nodes a prediction reads: the receptive field on the graph, and the computation unrolled layer by layer.

May import graph, kernels and the style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnkit import kernels
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.plot.graphs import _draw_edges, _drawn_edges, _point_size, _positions, _write_labels
from gnnkit.plot.style import FAINT, INK, PAPER, PathLike, bare_axes, canvas, finish, side_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BEYOND = "#E3E3E3"


def draw_receptive_field(
    graph: Graph,
    node: int,
    *,
    layers: int,
    path: PathLike | None = None,
    layout: Any = "auto",
    labels: bool | Sequence[Any] | None = None,
    ax: Any = None,
    title: str | None = None,
    rng: int = 0,
) -> Figure:
    """Draw the graph with every node coloured by how many layers its information needs to reach ``node``.

    Parameters
    ----------
    graph : Graph
    node : int
        The node whose prediction is looked at.
    layers : int
        Message-passing layers of the network; nodes further away are grey.
    path, layout, labels, ax, title, rng
        As in :func:`draw_graph`.

    Notes
    -----
    Distances run along the edges from sender to receiver. Graphs of more than 450 nodes are cut to the field itself
    and the nodes one step beyond.
    """
    _check(graph, node, layers)
    distance = kernels.khop(graph.topology.indptr, graph.topology.indices, np.array([node]), layers + 1)
    kept = np.arange(graph.num_nodes)
    if graph.num_nodes > 450:
        near = np.flatnonzero(distance >= 0)
        kept = near[np.argsort(distance[near], kind="stable")][:450]
    field = np.where((distance[kept] < 0) | (distance[kept] > layers), layers + 1, distance[kept])
    figure, axis, scale = canvas(ax, 7.5, 6.0)
    inside = int(np.count_nonzero((distance >= 0) & (distance <= layers)))
    bare_axes(axis, title or f"What {layers} layers see at node {node}: {inside} of {graph.num_nodes} nodes")
    position = _positions(graph, kept, layout, rng)
    size = _point_size(scale, len(kept), labels)
    _draw_edges(axis, position, *_drawn_edges(graph, kept), size)
    colours, entries = _steps(layers), []
    for steps in range(layers + 2):
        rows = field == steps
        if rows.any():
            words = "the node itself" if steps == 0 else f"{steps} step{'s' * (steps > 1)}"
            words = words if steps <= layers else "not seen"
            axis.scatter(
                *position[rows].T, s=size * (1.5 if steps == 0 else 1), c=[colours[steps]], edgecolors=PAPER,
                linewidths=0.6, zorder=3, marker="D" if steps == 0 else "o",
            )  # fmt: skip
            entries.append((f"{words} ({rows.sum()})", colours[steps], "D" if steps == 0 else "o"))
    side_legend(axis, entries)
    _write_labels(axis, position, kept, labels, graph.num_nodes)
    if len(kept) < graph.num_nodes:
        note = f"{len(kept)} of {graph.num_nodes} nodes drawn"
        axis.text(0.0, -0.02, note, transform=axis.transAxes, fontsize=8.5, color=FAINT, va="top")
    return finish(figure, path)


def draw_computation(
    graph: Graph,
    node: int,
    *,
    layers: int,
    path: PathLike | None = None,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
    title: str | None = None,
    max_width: int = 40,
) -> Figure:
    """Draw the unrolled computation of one node: a column per layer, an arrow per message.

    Parameters
    ----------
    graph : Graph
    node : int
    layers : int
    path : str or path, optional
    labels : sequence [num_nodes], optional
        Short texts for the nodes instead of their numbers.
    ax, title
        As in :func:`draw_graph`.
    max_width : int
        Most nodes drawn in one column; the picture says how many are left out.

    Notes
    -----
    Column 0 holds the inputs, the last column the node. A node that is read again in its own update (a self-loop, or a
    layer that adds its own state) is drawn only if the graph has that self-loop.
    """
    _check(graph, node, layers)
    indptr, indices = graph.topology.indptr, graph.topology.indices
    columns, arrows = [np.array([node])], []
    for _ in range(layers):
        senders = [indices[indptr[i] : indptr[i + 1]] for i in columns[-1]]
        columns.append(np.unique(np.concatenate(senders)).astype(np.int64))
        arrows.append([(int(s), int(r)) for r, row in zip(columns[-2], senders) for s in np.unique(row)])
    height = min(9.0, 1.6 + 0.38 * min(max_width, max(map(len, columns))))
    figure, axis, _ = canvas(ax, 2.1 * layers + 2.2, height)
    bare_axes(axis, title or f"Unrolled computation of node {node}", equal=False)
    place = _columns(columns, arrows, max_width)
    radius = 9.0
    for depth, pairs in enumerate(arrows):
        for s, r in pairs:
            if (depth + 1, s) in place and (depth, r) in place:
                axis.annotate(
                    "", place[depth, r], place[depth + 1, s], zorder=1,
                    arrowprops={
                        "arrowstyle": "-|>", "color": FAINT, "lw": 0.8, "mutation_scale": 8,
                        "shrinkA": radius, "shrinkB": radius,
                    },
                )  # fmt: skip
    colours = _steps(layers)
    tallest = max((y for _, y in place.values()), default=0.0)
    lowest = min((y for _, y in place.values()), default=0.0)
    for depth, column in enumerate(columns):
        drawn = [i for i in column.tolist() if (depth, i) in place]
        for i in drawn:
            x, y = place[depth, i]
            axis.scatter(x, y, s=330, c=[colours[depth]], edgecolors=PAPER, linewidths=0.8, zorder=3)
            name = str(i if labels is None else labels[i])
            axis.text(x, y, name, ha="center", va="center", fontsize=8, color=_readable(colours[depth]), zorder=5)
        words = "input x" if depth == layers else f"after layer {layers - depth}"
        axis.text(layers - depth, tallest + 0.9, words, ha="center", fontsize=9, color=INK)
        if len(drawn) < len(column):
            more = f"and {len(column) - len(drawn)} more"
            axis.text(layers - depth, lowest - 0.9, more, ha="center", va="top", fontsize=8.5, color=FAINT)
        elif not len(column):
            axis.text(layers - depth, 0.0, "no messages", ha="center", va="center", fontsize=8.5, color=FAINT)
    axis.set_xlim(-0.6, layers + 0.6)
    axis.set_ylim(lowest - 1.6, tallest + 1.6)
    return finish(figure, path)


def _columns(
    columns: list[NDArray[Any]], arrows: list[list[tuple[int, int]]], max_width: int
) -> dict[tuple[int, int], tuple[float, float]]:
    """Where each (depth, node) stands; senders are ordered by the mean height of their receivers: fewer crossings."""
    place: dict[tuple[int, int], tuple[float, float]] = {}
    right = len(columns) - 1
    for depth, column in enumerate(columns):
        order = column.tolist()
        if depth:
            heights: dict[int, list[float]] = {i: [] for i in order}
            for s, r in arrows[depth - 1]:
                if (depth - 1, r) in place:
                    heights[s].append(place[depth - 1, r][1])
            order.sort(key=lambda i, heights=heights: (-np.mean(heights[i]) if heights[i] else 0.0, i))  # type: ignore[misc]
        order = order[:max_width]
        for number, i in enumerate(order):
            place[depth, i] = (float(right - depth), (len(order) - 1) / 2.0 - number)
    return place


def _steps(layers: int) -> list[Any]:
    """One colour per distance, dark to light, then the grey of what is not seen."""
    import matplotlib

    scale = matplotlib.colormaps["viridis"]
    return [*(scale(0.05 + 0.85 * k / max(layers, 1)) for k in range(layers + 1)), _BEYOND]


def _readable(colour: Any) -> str:
    red, green, blue = colour[:3]
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else PAPER


def _check(graph: Graph, node: int, layers: int) -> None:
    if not 0 <= node < graph.num_nodes or layers < 0:
        raise InvalidArgumentError(
            f"node lies in [0, {graph.num_nodes}) and layers is at least 0. Got node={node}, layers={layers}. "
            "Choose a node of this graph."
        )
