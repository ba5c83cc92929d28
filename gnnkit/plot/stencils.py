"""Stencils drawn: who sends to whom on a grid, with edges coloured by their offset, the number of their weight.

May import graph, the sheets and the style.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import DTypeError, InvalidArgumentError, type_name
from gnnkit.graph import Graph
from gnnkit.graph.grids import GridTopology
from gnnkit.plot.sheets import ABSENT, FRAME, HATCH, Panel, hexagons, panels_of
from gnnkit.plot.style import FAINT, INK, PAPER, PathLike, bare_axes, canvas, finish, side_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL, _LEAN = "#F1F1F1", np.sqrt(3) / 2
_LARGEST = 600  # cells; with more nothing can be seen


def draw_stencil(
    graph: Graph | GridTopology,
    path: PathLike | None = None,
    *,
    receiver: int | None = None,
    numbers: bool | None = None,
    legend: bool = True,
    ax: Any = None,
    title: str = "",
) -> Figure:
    """Draw the edges of a grid topology, coloured by offset: edges of one colour share one weight.

    Parameters
    ----------
    graph : Graph or GridTopology
        Of 1 or 2 axes; of a batch the first image is drawn. ``conv.topology(graph)`` is what a layer runs on.
    path : str or path, optional
    receiver : int, optional
        Show what this pixel alone reads, cell by cell, instead of all edges. Cells beyond the border are dashed: they
        hold the number of the pixel that is read in their place, or nothing.
    numbers : bool, optional
        Write the numbers of the pixels. Default: where there is room.
    legend, ax, title
        As in :func:`draw_graph`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DTypeError, InvalidArgumentError
        If there is no grid, or it has 3 axes or more than 600 cells, or no such receiver.

    Notes
    -----
    With one axis senders stand in the lower row and receivers in the upper one, above the middle of what they read.
    With two axes, each pixel's half of an edge has the colour of what it receives; where senders and receivers are
    different grids (stride, valid padding, pooling, transposed convolution) receivers are diamonds.
    """
    topology = graph.topology if isinstance(graph, Graph) else graph
    if not isinstance(topology, GridTopology):
        raise DTypeError(
            f"A stencil is drawn for a grid, such as an image. Got {type_name(graph)} without one. "
            "Use gk.plot.draw_graph for other graphs."
        )
    shape = _Shape(topology.part(0) if topology.sender_grid.num_graphs > 1 else topology)
    if receiver is not None and not 0 <= receiver < shape.topology.num_receivers:
        raise InvalidArgumentError(
            f"receiver lies in [0, {shape.topology.num_receivers}). Got {receiver}. Count pixels from zero, row by row."
        )
    width, height = shape.inches()
    figure, axis, scale = canvas(ax, width + 1.1 * legend, height)
    bare_axes(axis, title)
    axis.margins(0.02)
    axis.invert_yaxis()
    if not shape.topology.num_receivers:
        axis.text(0.5, 0.5, "no pixels", ha="center", va="center", color=FAINT, transform=axis.transAxes)
        return finish(figure, path)
    chosen = np.arange(shape.topology.num_edges)
    if receiver is not None:
        chosen = np.flatnonzero(shape.topology.receivers == receiver)
    written = max(shape.topology.num_senders, shape.topology.num_receivers) <= 150 if numbers is None else numbers
    if shape.ndim == 1:
        _draw_rows(axis, shape, chosen, receiver, written, scale)
    elif receiver is None:
        _draw_all(axis, shape, written, scale)
    else:
        _draw_window(axis, shape, chosen, receiver, written, scale)
    if legend and (receiver is None or shape.ndim == 1):
        seen = np.unique(shape.topology.offset)
        names = [(f"W{k}", shape.colours[k], "s") for k in seen[:25]]
        side_legend(axis, names, title="weight")
    return finish(figure, path)


class _Shape:
    """Where senders and receivers stand, and where each edge comes from as the stencil sees it."""

    def __init__(self, topology: GridTopology) -> None:
        self.topology, stencil = topology, topology.stencil
        self.ndim, self.hexagonal = stencil.ndim, stencil.lattice == "hexagonal"
        # A stencil reads the cells of the fine grid; the transpose writes to them.
        fine, coarse = topology.sender_grid, topology.receiver_grid
        if topology.is_transposed:
            fine, coarse = coarse, fine
        if self.ndim > 2 or max(fine.num_cells, coarse.num_cells) > _LARGEST:
            raise InvalidArgumentError(
                f"A stencil is drawn on grids of 1 or 2 axes and at most {_LARGEST} cells. Got {fine!r}. "
                "Draw the same stencil on a small image, such as gk.from_image(np.zeros((6, 6)))."
            )
        self.fine_panel, self.coarse_panel = panels_of(fine)[0], panels_of(coarse)[0]
        edges_fine = topology.receivers if topology.is_transposed else topology.senders
        edges_coarse = topology.senders if topology.is_transposed else topology.receivers
        self.fine = self.fine_panel.centres()
        if self.hexagonal:
            self.coarse = self.fine
            steps = np.stack([stencil.offsets[:, 1] + stencil.offsets[:, 0] / 2, stencil.offsets[:, 0] * _LEAN], axis=1)
            self.reach = steps
        else:
            # Coarse cell r stands at r * stride plus the middle of its window; steps are (right, down).
            strides, dilation = np.array(stencil.stride), np.array(stencil.dilation)
            before = np.array([pad[0] for pad in stencil.pads(fine.size)])
            middle = (np.array(stencil.kernel_size) - 1) * dilation / 2
            cells = np.stack([self.coarse_panel.rows, self.coarse_panel.columns], axis=1)[:, -self.ndim :]
            self.coarse = _right_down(cells * strides - before + middle) + 0.5
            self.reach = _right_down(stencil.offsets * dilation - middle)
        self.virtual = self.coarse[edges_coarse] + self.reach[topology.offset]
        self.folded = np.abs(self.virtual - self.fine[edges_fine]).max(axis=1, initial=0.0) > 0.01
        self.edges_fine, self.edges_coarse = edges_fine, edges_coarse
        self.colours = _offset_colours(self.reach)

    def inches(self) -> tuple[float, float]:
        """Size of a figure for the whole grid."""
        width, height = self.fine_panel.width, self.fine_panel.height
        if self.ndim == 1:
            return float(np.clip(0.55 * (width + 2), 3.5, 11.0)), 2.2
        unit = min(0.75, 5.5 / max(width, height, 1))
        return max(unit * (width + 1.5), 2.6), max(unit * (height + 1.5), 2.2)


def _right_down(cells: NDArray[Any]) -> NDArray[np.float64]:
    """(right, down) of positions (row, column), or of positions along one axis."""
    if cells.shape[1] == 1:
        return np.concatenate([cells, np.zeros_like(cells)], axis=1).astype(float)
    return cells[:, ::-1].astype(float)


def _offset_colours(reach: NDArray[Any]) -> list[Any]:
    """One colour per offset: the hue is its direction, paler further out, the centre dark."""
    far = np.hypot(reach[:, 0], reach[:, 1])
    longest = max(float(far.max(initial=0.0)), 1e-9)
    if np.allclose(reach[:, 1], 0):
        import matplotlib

        scale = matplotlib.colormaps["turbo"]
        return [scale(0.08 + 0.84 * k / max(len(reach) - 1, 1)) for k in range(len(reach))]
    found: list[Any] = []
    for (right, down), distance in zip(reach, far):
        if distance < 1e-9:
            found.append((0.2, 0.2, 0.2))
            continue
        hue = (np.arctan2(down, right) / (2 * np.pi)) % 1.0
        pale = distance / longest
        found.append(colorsys.hsv_to_rgb(hue, 0.95 - 0.35 * pale, 0.72 + 0.2 * pale))
    return found


# ------------------------------------------------------------------ one axis: two rows
def _draw_rows(
    axis: Any, shape: _Shape, chosen: NDArray[Any], receiver: int | None, written: bool, scale: float
) -> None:
    from matplotlib.collections import LineCollection

    turned = shape.topology.is_transposed
    fine_y, coarse_y = (0.0, 3.0) if turned else (3.0, 0.0)  # senders below
    start = np.stack([shape.virtual[:, 0], np.full(len(shape.virtual), fine_y)], axis=1)[chosen]
    stop = np.stack([shape.coarse[shape.edges_coarse, 0], np.full(len(shape.virtual), coarse_y)], axis=1)[chosen]
    offset = shape.topology.offset[chosen]
    lines = LineCollection(
        list(np.stack([start, stop], axis=1)),
        colors=[shape.colours[k] for k in offset],
        linewidths=1.8 * scale,
        zorder=1,
    )
    axis.add_collection(lines)
    ghosts = {(float(x), int(n)) for x, n in zip(start[:, 0], shape.edges_fine[chosen]) if shape.folded.any()}
    inside = {round(float(x), 3) for x in shape.fine[:, 0]}
    for x, number in sorted(ghosts):
        if round(x, 3) not in inside:
            _box(axis, x, fine_y, str(number) if written else "", scale, ghost=True)
    for number, (x, _) in enumerate(shape.fine):
        picked = turned and number == receiver
        _box(axis, x, fine_y, str(number) if written else "", scale, picked=picked)
    for number, (x, _) in enumerate(shape.coarse):
        picked = not turned and number == receiver
        _box(axis, x, coarse_y, str(number) if written else "", scale, picked=picked)
    left = min(shape.fine[:, 0].min(initial=0.5), shape.virtual[:, 0].min(initial=0.5)) - 0.75
    for y, words in ((3.0, "senders"), (0.0, "receivers")):
        axis.text(left, y, words, ha="right", va="center", fontsize=9, color=INK)
    axis.plot([left - 1.2], [1.5], alpha=0)  # room for the words
    axis.set_aspect("auto")


def _box(axis: Any, x: float, y: float, text: str, scale: float, *, ghost: bool = False, picked: bool = False) -> None:
    from matplotlib.patches import Rectangle

    axis.add_patch(
        Rectangle(
            (x - 0.36, y - 0.36), 0.72, 0.72, facecolor=PAPER if ghost else _CELL, zorder=3,
            edgecolor=INK if picked else FAINT, linewidth=1.8 if picked else 0.8, linestyle="--" if ghost else "-",
        )
    )  # fmt: skip
    axis.text(
        x, y, text, ha="center", va="center", fontsize=8 * max(scale, 0.6), color=FAINT if ghost else INK, zorder=4
    )


# ------------------------------------------------------------------ two axes
def _cell_outlines(panel: Panel, centres: NDArray[Any]) -> NDArray[np.float64]:
    if panel.hexagonal:
        return hexagons(centres, 0.96)
    corner = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * 0.96
    return centres[:, None, :] + corner[None]


def _draw_cells(axis: Any, shape: _Shape, faces: Any = _CELL) -> None:
    from matplotlib.collections import PolyCollection

    panel = shape.fine_panel
    there = np.zeros(panel.size, bool)
    there[panel.rows, panel.columns] = True
    gone = panel.centres(np.argwhere(~there))
    if len(gone):
        axis.add_collection(
            PolyCollection(
                list(_cell_outlines(panel, gone)), facecolors=ABSENT, edgecolors=HATCH, hatch="/////", linewidths=0.3
            )
        )
    axis.add_collection(
        PolyCollection(list(_cell_outlines(panel, shape.fine)), facecolors=faces, edgecolors=FRAME, linewidths=0.6)
    )


def _draw_all(axis: Any, shape: _Shape, written: bool, scale: float) -> None:
    from matplotlib.collections import LineCollection

    _draw_cells(axis, shape)
    turned, offset = shape.topology.is_transposed, shape.topology.offset
    fine, coarse = shape.virtual, shape.coarse[shape.edges_coarse]
    receivers, senders = (fine, coarse) if turned else (coarse, fine)
    ends = senders if shape.topology.is_bipartite else (senders + receivers) / 2
    crowd = float(np.clip(60 / np.sqrt(max(len(offset), 1)), 1.0, 3.2))
    lines = LineCollection(
        list(np.stack([receivers, ends], axis=1)), colors=[shape.colours[k] for k in offset],
        linewidths=crowd * scale, zorder=2, capstyle="round",
    )  # fmt: skip
    axis.add_collection(lines)
    loops = np.hypot(*(receivers - senders).T) < 0.01
    size = 300 * scale / max(1.0, max(shape.fine_panel.size) / 8) ** 2
    if loops.any():
        axis.scatter(*receivers[loops].T, s=size, c=[shape.colours[k] for k in offset[loops]], zorder=3)
    if shape.topology.is_bipartite:
        axis.scatter(*shape.coarse.T, s=size, marker="D", c=PAPER, edgecolors=INK, linewidths=1.0, zorder=4)
        if written:
            for number, (x, y) in enumerate(shape.coarse):
                axis.text(x, y, str(number), ha="center", va="center", fontsize=7 * scale, color=INK, zorder=5)
    elif written:
        for number, (x, y) in enumerate(shape.fine):
            colour = PAPER if loops.any() else INK
            axis.text(x, y, str(number), ha="center", va="center", fontsize=7 * scale, color=colour, zorder=5)


def _draw_window(axis: Any, shape: _Shape, chosen: NDArray[Any], receiver: int, written: bool, scale: float) -> None:
    from matplotlib.collections import PolyCollection

    _draw_cells(axis, shape)
    turned, offset = shape.topology.is_transposed, shape.topology.offset
    panel = shape.fine_panel
    small, tall = 7.5 * max(scale, 0.6), 0.22
    if turned:  # one fine pixel hears coarse ones: arrows say it, cells cannot
        target = shape.fine[receiver]
        for edge in chosen:
            _arrow(
                axis, shape.coarse[shape.edges_coarse[edge]], target, shape.colours[offset[edge]], f"W{offset[edge]}"
            )
        axis.scatter(*shape.coarse.T, s=260 * scale, marker="D", c=PAPER, edgecolors=INK, linewidths=1.0, zorder=4)
        for number, (x, y) in enumerate(shape.coarse):
            axis.text(x, y, str(number), ha="center", va="center", fontsize=small, color=INK, zorder=5)
    else:
        target = shape.coarse[receiver]
        window = target + shape.reach
        ghosts = ~_known(window, shape.fine)
        read = {int(offset[edge]): int(shape.edges_fine[edge]) for edge in chosen}
        for k, place in enumerate(window):
            outline = _cell_outlines(panel, place[None])
            style: dict[str, Any] = {"facecolors": [(*shape.colours[k], 0.5 if k in read else 0.0)], "zorder": 2}
            if ghosts[k]:
                style |= {"edgecolors": FAINT, "linestyles": "--", "linewidths": 1.0}
            axis.add_collection(PolyCollection(list(outline), **style))
            words = f"W{k}" if k in read else "" if not ghosts[k] else "0"
            axis.text(*place, words, ha="center", va="center", fontsize=small + 1, color=INK, zorder=5)
            if ghosts[k] and k in read:
                axis.text(
                    place[0], place[1] + tall, f"pixel {read[k]}", ha="center", va="center", fontsize=small - 1.5,
                    color=INK, zorder=5,
                )  # fmt: skip
        same = _known(target[None], shape.fine)[0]
        outline = _cell_outlines(panel, target[None])
        axis.add_collection(
            PolyCollection(list(outline), facecolors="none", edgecolors=INK, linewidths=2.2 if same else 0.0, zorder=6)
        )
        if not same:
            axis.scatter(*target, s=120 * scale, marker="D", c=PAPER, edgecolors=INK, zorder=6)
    if written:
        lift = 0.3 if not panel.hexagonal else 0.36
        for number, (x, y) in enumerate(shape.fine):
            axis.text(x, y - lift, str(number), ha="center", va="center", fontsize=small - 1.5, color=FAINT, zorder=5)


def _known(places: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.bool_]:
    """Which places are the centre of a cell that exists."""
    if not len(centres):
        return np.zeros(len(places), bool)
    return np.abs(places[:, None] - centres[None]).max(axis=2).min(axis=1) < 0.01


def _arrow(axis: Any, start: Any, stop: Any, colour: Any, text: str) -> None:
    axis.annotate(
        "", stop, start, zorder=3,
        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8, "mutation_scale": 12, "shrinkA": 8, "shrinkB": 4},
    )  # fmt: skip
    x, y = (np.asarray(start) + np.asarray(stop)) / 2
    axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=INK, zorder=6, backgroundcolor=(1, 1, 1, 0.7))
