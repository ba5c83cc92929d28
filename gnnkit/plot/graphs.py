"""Drawn graphs: nodes coloured by label or value, laid out by networkx, large graphs cut down with a note.

May import graph, kernels and the style.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import kernels
from gnnkit.errors import InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.plot.style import FAINT, INK, PAPER, Colouring, PathLike, bare_axes, canvas, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYOUTS = ("auto", "spring", "kamada_kawai", "circular", "spectral", "shell")
_ARROWS = 400  # with more edges arrow heads are a smear


def draw_graph(
    graph: Graph,
    path: PathLike | None = None,
    *,
    color: ArrayLike | None = None,
    layout: str | ArrayLike | Callable[[Any], Any] = "auto",
    labels: bool | Sequence[Any] | None = None,
    highlight: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    max_nodes: int = 450,
    legend: bool = True,
    ax: Any = None,
    title: str = "",
    rng: int = 0,
) -> Figure:
    """Draw a graph.

    Parameters
    ----------
    graph : Graph
    path : str or path, optional
        Where to save the picture (png, pdf, svg).
    color : array_like [num_nodes], optional
        Labels (whole numbers, texts: one colour and a legend entry each) or values (floats: a scale).
    layout : str, array_like [num_nodes, 2], or callable
        "auto", "spring", "kamada_kawai", "circular", "spectral", "shell" of networkx; positions; or a function of the
        networkx graph that returns a dict of positions.
    labels : bool or sequence [num_nodes], optional
        Write ids (or the given texts) on the nodes. Default: for up to 40 nodes.
    highlight : array_like bool [num_nodes], optional
        Nodes with a dark outline: the ones whose labels were known, say.
    class_names : sequence of str, optional
        Names of the classes in ``color``, in sorted order. Whole numbers may be fewer than the names, whose places they
        then are: so that a class keeps its name and colour over several pictures.
    max_nodes : int
        Larger graphs are cut to the nodes nearest to the one of highest degree; the picture says so.
    legend : bool
        Explain the colours beside the graph.
    ax : matplotlib axes, optional
        Draw there, to put several pictures side by side. Default: a figure of its own.
    title : str
    rng : int
        Seed of the layout.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Self-loops are not drawn, parallel edges lie on top of each other. Directions are drawn as arrows if the graph is
    not symmetric and has at most 400 edges. The graphs of a batch are drawn side by side by "auto".
    """
    figure, axis, scale = canvas(ax, 7.5, 6.0)
    bare_axes(axis, title)
    if graph.num_nodes == 0:
        axis.text(0.5, 0.5, "no nodes", ha="center", va="center", color=FAINT, transform=axis.transAxes)
        return finish(figure, path)
    kept = _kept_nodes(graph, max_nodes)
    if not isinstance(labels, bool | None) and len(labels) != graph.num_nodes:
        raise ShapeError(
            f"labels has one text for each of the {graph.num_nodes} nodes. Got {len(labels)}. Pass a text for every "
            "node, '' for none."
        )
    position = _positions(graph, kept, layout, rng)
    senders, receivers, directed = _drawn_edges(graph, kept)
    size = _point_size(scale, len(kept), labels)
    _draw_edges(axis, position, senders, receivers, directed, size)

    marked = np.zeros(len(kept), bool)
    if highlight is not None:
        marked = _row_array(highlight, graph, "highlight")[kept].astype(bool)
    colouring = Colouring(
        None if color is None else _row_array(color, graph, "color")[kept], len(kept), class_names=class_names
    )
    edge_colour: Any = PAPER if highlight is None else [INK if m else PAPER for m in marked]
    if colouring.continuous and not isinstance(edge_colour, str):
        edge_colour = np.array(edge_colour)
    mappable = colouring.scatter(axis, position, size=size, edge=edge_colour, width=1.6 if marked.any() else 0.6)
    if legend:
        colouring.explain(figure, axis, mappable)
    _write_labels(axis, position, kept, labels, graph.num_nodes)
    if len(kept) < graph.num_nodes:
        note = f"{len(kept)} of {graph.num_nodes} nodes: those nearest to node {kept[0]}, which has most neighbours"
        axis.text(0.0, -0.02, note, transform=axis.transAxes, fontsize=8.5, color=FAINT, va="top")
    return finish(figure, path)


def _point_size(scale: float, count: int, labels: Any) -> float:
    """Area of a point in points squared: smaller in a crowd, but never smaller than the number written on it."""
    written = count <= 40 if labels is None else labels is not False
    return max(scale * float(np.clip(9000 / count, 16, 260)), 230.0 if written and count <= 60 else 0.0)


def _row_array(values: ArrayLike, graph: Graph, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (graph.num_nodes,):
        raise ShapeError(
            f"{name} has one entry for each of the {graph.num_nodes} nodes. Got shape {array.shape}. "
            "Pass a one-dimensional array over all nodes, also when the graph is too large to draw whole."
        )
    return array


def _kept_nodes(graph: Graph, max_nodes: int) -> NDArray[np.int64]:
    """All nodes, or the ``max_nodes`` nearest to the node of highest degree, that one first."""
    n = graph.num_nodes
    if max_nodes < 1:
        raise InvalidArgumentError(f"max_nodes is at least 1. Got {max_nodes}. Pass for example max_nodes=450.")
    if n <= max_nodes:
        return np.arange(n)
    topology = graph.topology
    degree = np.asarray(topology.in_degree()) + np.asarray(topology.out_degree())
    centre = int(degree.argmax())
    distance = kernels.khop(topology.indptr, topology.indices, np.array([centre]), n)
    far = np.where(distance < 0, n + 1, distance)
    return np.lexsort((-degree, far))[:max_nodes]


def _networkx(graph: Graph, kept: NDArray[np.int64]) -> Any:
    import networkx as nx

    number = np.full(graph.num_nodes, -1)
    number[kept] = np.arange(len(kept))
    a, b = number[graph.senders], number[graph.receivers]
    inside = (a >= 0) & (b >= 0) & (a != b)
    drawn = nx.Graph()
    drawn.add_nodes_from(range(len(kept)))
    drawn.add_edges_from(zip(a[inside].tolist(), b[inside].tolist()))
    return drawn


def _positions(graph: Graph, kept: NDArray[np.int64], layout: Any, rng: int) -> NDArray[np.float64]:
    import networkx as nx

    if not isinstance(layout, str) and not callable(layout):
        position = np.asarray(layout, dtype=float)
        if position.shape != (graph.num_nodes, 2):
            raise ShapeError(
                f"Positions have shape ({graph.num_nodes}, 2). Got {position.shape}. Pass x and y of every node."
            )
        return position[kept]
    drawn = _networkx(graph, kept)
    if callable(layout):
        placed = layout(drawn)
    elif layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    elif layout == "auto":
        return _auto(drawn, rng)
    elif layout == "spring":
        placed = nx.spring_layout(drawn, seed=rng, iterations=100)
    else:
        placed = getattr(nx, f"{layout}_layout")(drawn)
    missing = [node for node in range(len(kept)) if node not in placed]
    if missing:
        raise InvalidArgumentError(
            f"A layout gives a position to every node 0 .. {len(kept) - 1}. Got none for node {missing[0]}. "
            "Return a dict with all nodes of the graph it is given."
        )
    return np.array([placed[node] for node in range(len(kept))], dtype=float).reshape(-1, 2)


def _auto(drawn: Any, rng: int) -> NDArray[np.float64]:
    """Every component on its own (a spring layout lets them fly apart), packed on a grid of cells by size."""
    import networkx as nx

    parts = sorted((sorted(part) for part in nx.connected_components(drawn)), key=lambda part: (-len(part), part[0]))
    position = np.zeros((len(drawn), 2))
    cursor, shelf, shelf_height = np.zeros(2), 0.0, 0.0
    width = 1.35 * np.sqrt(sum((np.sqrt(len(part)) + 0.6) ** 2 for part in parts))
    for part in parts:
        side = np.sqrt(len(part))
        if cursor[0] > 0 and cursor[0] + side > max(width, np.sqrt(len(parts[0]))):
            cursor, shelf = np.array([0.0, shelf - shelf_height]), shelf - shelf_height
            shelf_height = 0.0
        position[part] = cursor + np.array([0.0, -side]) + side * _unit_square(drawn.subgraph(part), part, rng)
        cursor = cursor + np.array([side + 0.6, 0.0])
        shelf_height = max(shelf_height, side + 0.6)
    return position


def _unit_square(component: Any, order: list[int], rng: int) -> NDArray[np.float64]:
    import networkx as nx

    if len(order) == 1:
        return np.full((1, 2), 0.5)
    if len(order) <= 150:
        placed = nx.kamada_kawai_layout(component)
    else:
        placed = nx.spring_layout(component, seed=rng, iterations=80, k=1.6 / np.sqrt(len(order)))
    xy = np.array([placed[node] for node in order])
    xy = xy - xy.mean(axis=0)
    _, axes = np.linalg.eigh(xy.T @ xy)
    xy = xy @ axes[:, ::-1]  # the long direction lies flat: pictures are wider than tall
    low, high = xy.min(axis=0), xy.max(axis=0)
    span = max(float((high - low).max()), 1e-9)
    return (xy - (low + high) / 2) / span + 0.5


def _drawn_edges(graph: Graph, kept: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], bool]:
    number = np.full(graph.num_nodes, -1)
    number[kept] = np.arange(len(kept))
    a, b = number[graph.senders], number[graph.receivers]
    inside = (a >= 0) & (b >= 0) & (a != b)
    a, b = a[inside], b[inside]
    directed = not graph.topology.is_symmetric()
    if not directed:  # each undirected edge once
        a, b = a[a < b], b[a < b]
    return a, b, directed and len(a) <= _ARROWS


def _draw_edges(axis: Any, position: NDArray[Any], a: NDArray[Any], b: NDArray[Any], arrows: bool, size: float) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyArrowPatch

    if arrows:
        radius = np.sqrt(size) / 2 + 1.5
        for s, r in zip(a, b):
            axis.add_patch(
                FancyArrowPatch(
                    position[s],
                    position[r],
                    arrowstyle="-|>",
                    mutation_scale=9,
                    shrinkA=radius,
                    shrinkB=radius,
                    color=FAINT,
                    linewidth=0.9,
                    zorder=1,
                )
            )
    elif len(a):
        lines = np.stack([position[a], position[b]], axis=1)
        crowd = 1 / np.sqrt(len(a))  # many edges must not drown the nodes
        thin, faint = np.clip(25 * crowd, 0.5, 1.0), np.clip(12 * crowd, 0.22, 0.9)
        axis.add_collection(LineCollection(list(lines), colors="#7F7F7F", linewidths=thin, alpha=faint, zorder=1))


def _write_labels(
    axis: Any, position: NDArray[Any], kept: NDArray[Any], labels: bool | Sequence[Any] | None, num_nodes: int
) -> None:
    from matplotlib.patheffects import withStroke

    if labels is None:
        labels = len(kept) <= 40
    if labels is False:
        return
    texts = [str(i) for i in kept] if labels is True else [str(labels[i]) for i in kept]
    for (x, y), text in zip(position, texts):
        # A white outline keeps dark letters readable on every colour.
        axis.text(
            x, y, text, ha="center", va="center", fontsize=8, color=INK, zorder=5, parse_math=False,
            path_effects=[withStroke(linewidth=1.4, foreground=PAPER)],
        )  # fmt: skip
