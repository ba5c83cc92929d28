"""What every picture shares: a figure without global state, colours that colour-blind readers can tell apart, saving.

May import errors and files; matplotlib is imported inside. Figures are drawn with the Agg canvas, so no display, no
backend choice and no pyplot state is involved.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import InvalidArgumentError, ShapeError, require_package
from gnnkit.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, reordered so that the first few also differ in lightness; yellow last, it is faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # a second channel once the colours repeat
INK, FAINT, PAPER = "#222222", "#8A8A8A", "#FFFFFF"
SEQUENTIAL = "viridis"

PathLike = str | os.PathLike[str]


def new_figure(width: float, height: float, *, panels: int = 1) -> tuple[Figure, list[Any]]:
    """A figure of that many inches and its axes, side by side."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as MatplotlibFigure
    except ImportError as error:
        raise require_package("matplotlib", "plot", "Drawing a picture") from error
    figure = MatplotlibFigure(figsize=(width, height), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    return figure, list(axes)


def canvas(ax: Any, width: float, height: float) -> tuple[Figure, Any, float]:
    """The caller's axes, or one of a new figure of that many inches; and how large points are drawn, at most 1."""
    if ax is None:
        figure, (axis,) = new_figure(width, height)
        return figure, axis, 1.0
    figure = ax.figure.figure  # twice: the axes may stand in a sub-figure
    box = ax.get_window_extent()
    room = box.width * box.height / figure.dpi**2 / (0.7 * width * height)  # margins and legend take about a third
    return figure, ax, float(np.clip(room, 0.25, 1.0))


def plain_axes(axis: Any, title: str = "") -> None:
    """An axis with a title to the left, light lines and no box: for curves."""
    axis.set_title(title, loc="left", fontsize=11, color=INK, parse_math=False)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#E6E6E6", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=9)


def bare_axes(axis: Any, title: str = "", *, equal: bool = True) -> None:
    """An axis without ticks: for drawings, where the coordinates mean nothing."""
    axis.set_title(title, loc="left", fontsize=11, color=INK, parse_math=False)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    if equal:
        axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.06)


def finish(figure: Figure, path: PathLike | None) -> Figure:
    """Save to ``path`` (png, svg, pdf by its ending) completely or not at all, and return the figure."""
    if path is None:
        return figure
    suffix = Path(path).suffix.lstrip(".").lower() or "png"
    supported = figure.canvas.get_supported_filetypes()
    if suffix not in supported:
        raise InvalidArgumentError(
            f"A picture is saved as one of: {', '.join(sorted(supported))}. Got the ending '.{suffix}' in '{path}'. "
            "Use .png for screens and .pdf or .svg for print."
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    atomic_write(path, buffer.getvalue())
    return figure


class Colouring:
    """How values become colours: classes get a palette and a legend, numbers a scale and a colour bar.

    Parameters
    ----------
    values : array_like [n] or None
        Whole numbers, booleans or texts are classes; floating numbers are a scale; None is one colour.
    class_names : sequence of str, optional
        Names for the classes in sorted order.
    """

    def __init__(self, values: ArrayLike | None, n: int, *, class_names: Any = None) -> None:
        self.values = None if values is None else np.asarray(values)
        if self.values is not None and self.values.shape != (n,):
            raise ShapeError(
                f"Colours are given by one value for each of the {n} rows. Got shape {self.values.shape}. "
                "Pass a one-dimensional array of labels or numbers."
            )
        self.continuous = self.values is not None and self.values.dtype.kind == "f"
        self.classes: NDArray[Any] = np.zeros(0)
        self.codes: NDArray[np.int64] = np.zeros(n, dtype=np.int64)
        if self.values is not None and not self.continuous:
            self.classes, self.codes = np.unique(self.values, return_inverse=True)
        self.names = [str(c) for c in (self.classes if class_names is None else class_names)]
        if len(self.names) < len(self.classes):
            raise ShapeError(
                f"There is one name for each class. Got {len(self.names)} names for {len(self.classes)} classes. "
                "Pass class_names in the sorted order of the classes."
            )
        self.slots = list(range(len(self.classes)))  # places in the palette
        # Names may cover classes that do not occur here: then whole numbers index the names, and the colours, so that
        # a class has one colour in several pictures.
        if class_names is not None and len(self.names) > len(self.classes) and self.classes.dtype.kind in "iu":
            self.slots = [int(c) for c in self.classes]
            self.names = [self.names[slot] for slot in self.slots]

    def scatter(self, axis: Any, xy: NDArray[Any], *, size: float, edge: Any = PAPER, width: float = 0.6) -> Any:
        """Draw the points; returns the mappable of a continuous scale, else None."""
        style: dict[str, Any] = {"s": size, "edgecolors": edge, "linewidths": width, "zorder": 3}
        if self.continuous:
            return axis.scatter(*xy.T, c=self.values, cmap=SEQUENTIAL, **style)
        if not len(self.classes):
            axis.scatter(*xy.T, c=PALETTE[0], **style)
            return None
        for code, slot in enumerate(self.slots):
            rows = self.codes == code
            part = dict(style)
            if not isinstance(edge, str):
                part["edgecolors"], part["linewidths"] = [edge[i] for i in np.flatnonzero(rows)], width
            axis.scatter(
                *xy[rows].T, c=PALETTE[slot % len(PALETTE)], marker=MARKERS[slot // len(PALETTE) % len(MARKERS)],
                **part,
            )  # fmt: skip
        return None

    def explain(self, figure: Any, axis: Any, mappable: Any, *, title: str = "") -> None:
        """Legend beside the axis, or colour bar."""
        if mappable is not None:
            figure.colorbar(mappable, ax=axis, shrink=0.7, label=title)
        elif len(self.classes):
            counts = np.bincount(self.codes, minlength=len(self.classes))
            side_legend(
                axis,
                [
                    (f"{name} ({count})", PALETTE[k % len(PALETTE)], MARKERS[k // len(PALETTE) % len(MARKERS)])
                    for k, name, count in zip(self.slots, self.names, counts)
                ],
                title=title,
            )


def side_legend(axis: Any, entries: list[tuple[str, Any, str]], *, title: str = "") -> None:
    """Legend beside the axis with markers of one size, whatever the size of the points: (text, colour, marker)."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=marker, markersize=8, color=colour, markeredgecolor=PAPER, label=text)
        for text, colour, marker in entries
    ]
    legend = axis.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9, handletextpad=0.4,
        title=title or None, title_fontsize=9, ncols=1 + (len(handles) - 1) // 25,
    )  # fmt: skip
    for text in legend.get_texts():  # a class may be called "$5 to $10"
        text.set_parse_math(False)
