"""Image graphs drawn as images: pixels in grey or colour, and feature maps; whatever the cells look like.

May import graph, autodiff, the sheets and the style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import InvalidArgumentError, ShapeError
from gnnkit.graph import Graph
from gnnkit.graph.grids import as_grid
from gnnkit.plot.sheets import (
    Sheet,
    arrange,
    caption,
    colours,
    draw_cells,
    field_rows,
    panels_of,
    set_view,
    span,
    write_numbers,
)
from gnnkit.plot.style import FAINT, INK, PathLike, bare_axes, canvas, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAPTION = 0.2  # inches above an image that has one
_DIVERGING = "RdBu_r"


def image(
    graph: Graph,
    path: PathLike | None = None,
    *,
    field: str | ArrayLike = "x",
    channel: int | None = None,
    captions: Sequence[Any] | None = None,
    numbers: bool | Sequence[Any] = False,
    columns: int | None = None,
    max_images: int = 100,
    value_range: tuple[float, float] | None = None,
    scale: str = "gray",
    bar: bool = False,
    ax: Any = None,
    title: str = "",
) -> Figure:
    """Draw the pixels of a graph on a grid: one image, or a batch as a sheet.

    Parameters
    ----------
    graph : Graph
        On a grid of 1 axis (drawn as strips), 2 axes, or 3 (drawn slice after slice).
    path : str or path, optional
        Where to save the picture (png, pdf, svg).
    field : str or array_like [num_nodes] or [num_nodes, channels]
        Which node field, or values to draw instead: one channel is grey, three are red, green and blue.
    channel : int, optional
        Only this channel of the field.
    captions : sequence [num_graphs], optional
        A text above each image.
    numbers : bool or sequence [num_nodes]
        Write the value, or these texts, into every cell: for images of a few pixels.
    columns : int, optional
        Images beside each other. Default: as many as make them largest.
    max_images : int
        Of a larger batch the first ones are drawn; the picture says so.
    value_range : (float, float), optional
        What becomes black and white. Default: 0 and 1 if all values lie between, else the smallest and largest.
    scale : str
        Name of a matplotlib colour map for one channel.
    bar : bool
        Explain the colours of one channel with a bar.
    ax : matplotlib axes, optional
        Draw there, to put several pictures side by side. Default: a figure of its own.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DTypeError
        If the graph lies on no grid.
    ShapeError, UnknownFieldError
        If there is no such field, or it has two channels, or more than three.

    Notes
    -----
    Pixels that do not exist (a mask) are hatched. Images of different sizes keep their proportions. On a hexagonal
    lattice the pixels are hexagons.
    """
    panels = panels_of(as_grid(graph), limit=max_images + 1)
    values = _channels(field_rows(graph, field), channel)
    figure, axis, space = _open(ax, title, 7.4, 6.6)
    drawn = panels[:max_images]
    if not drawn or not any(p.width * p.height for p in drawn):
        axis.text(0.5, 0.5, "no pixels", ha="center", va="center", color=FAINT, transform=axis.transAxes)
        return finish(figure, path)
    texts = _captions(captions, as_grid(graph), len(drawn))
    sheet = arrange([(p.width, p.height) for p in drawn], columns=columns, space=space, title=_CAPTION * bool(texts))
    low, high = span(values, value_range)
    rgba = colours(values, low, high, scale)
    written = _numbers(numbers, values, graph.num_nodes)
    for number, (panel, origin) in enumerate(zip(drawn, sheet.origins)):
        draw_cells(axis, panel, origin, rgba)
        if texts:
            caption(axis, panel, origin, texts[number], sheet)
        if written:
            longest = max(map(len, written))
            write_numbers(axis, panel, origin, written, rgba, float(np.clip(sheet.unit * 90 / (longest + 1), 3, 11)))
    _close(figure, axis, sheet, ax)
    if bar and not (values.ndim == 2 and values.shape[1] == 3):
        _bar(figure, axis, low, high, scale, widen=ax is None)
    if len(panels) > len(drawn):
        total = len(as_grid(graph).sizes) if as_grid(graph).ndim < 3 else "more"
        _note(axis, f"the first {len(drawn)} of {total}")
    return finish(figure, path)


def feature_maps(
    graph: Graph,
    path: PathLike | None = None,
    *,
    field: str | ArrayLike = "x",
    channels: Sequence[int] | None = None,
    max_channels: int = 16,
    max_images: int = 8,
    captions: Sequence[Any] | None = None,
    value_range: tuple[float, float] | None = None,
    bar: bool = True,
    ax: Any = None,
    title: str = "",
) -> Figure:
    """Draw every channel of an image as an image of its own: what the layers of a network have made of the pixels.

    Parameters
    ----------
    graph : Graph
        One image: its channels are laid out on a sheet. Several: a row for each image, a column for each channel.
    path : str or path, optional
    field : str or array_like [num_nodes, channels]
    channels : sequence of int, optional
        Which ones. Default: the first ``max_channels``; the picture says if there are more.
    max_channels, max_images : int
    captions : sequence [num_graphs], optional
        A text for each image, left of its row.
    value_range : (float, float), optional
        Default: one scale for all maps, from 0 if no value is negative, else symmetric about 0.
    bar : bool
        Explain the colours.
    ax, title
        As in :func:`image`.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Values of one sign run from dark to light; values of both signs from blue (negative) over white (0) to red. Pixels
    that do not exist are hatched. Volumes are drawn slice after slice, as if they were several images.
    """
    grid = as_grid(graph)
    panels = panels_of(grid, limit=max_images + 1)
    values = field_rows(graph, field).astype(float)
    values = values if values.ndim == 2 else values[:, None]
    chosen = list(range(values.shape[1]))[:max_channels] if channels is None else [int(c) for c in channels]
    if any(not 0 <= c < values.shape[1] for c in chosen):
        raise InvalidArgumentError(
            f"channels are numbers in [0, {values.shape[1]}). Got {chosen}. Count from zero, as in x[:, channel]."
        )
    rows = panels[:max_images]
    figure, axis, space = _open(ax, title, 7.4 if len(chosen) * len(rows) > 1 else 5.0, 6.6)
    if not rows or not chosen or not len(values):
        axis.text(0.5, 0.5, "no pixels", ha="center", va="center", color=FAINT, transform=axis.transAxes)
        return finish(figure, path)
    part = values[np.concatenate([panel.nodes for panel in rows])][:, chosen]
    low, high, scale = _map_scale(part, value_range)
    texts = _captions(captions, grid, len(rows)) or ([""] if len(rows) == 1 else [f"{i}" for i in range(len(rows))])
    left = 0.085 * max(map(len, texts)) if len(rows) > 1 else 0.0
    boxes = [(p.width, p.height) for p in rows for _ in chosen]
    table = None if len(rows) == 1 else len(chosen)
    room = (max(space[0] - left - 0.9 * bar, 1.0), space[1])
    sheet = arrange(boxes, columns=table, space=room, title=_CAPTION if len(rows) == 1 else _CAPTION * 0.25)
    for number, origin in enumerate(sheet.origins):
        panel, place = rows[number // len(chosen)], number % len(chosen)
        draw_cells(axis, panel, origin, colours(values[:, chosen[place]], low, high, scale))
        if number < len(chosen):  # above the first row
            caption(axis, panel, origin, f"channel {chosen[place]}" if len(chosen) <= 8 else str(chosen[place]), sheet)
        if place == 0 and len(rows) > 1:
            middle = origin[1] + panel.height / 2
            axis.text(
                -0.06 / sheet.unit, middle, texts[number // len(chosen)], ha="right", va="center", fontsize=8,
                color=INK, parse_math=False,
            )  # fmt: skip
    _close(figure, axis, sheet, ax, left=left, above=_CAPTION if len(rows) > 1 else 0.0)
    if bar:
        _bar(figure, axis, low, high, scale, widen=ax is None)
    notes = [f"{len(chosen)} of {values.shape[1]} channels"] * (channels is None and len(chosen) < values.shape[1])
    notes += [f"the first {len(rows)} images"] * (len(panels) > len(rows))
    if notes:
        _note(axis, ", ".join(notes))
    return finish(figure, path)


# ------------------------------------------------------------------ what goes in
def _channels(values: NDArray[Any], channel: int | None) -> NDArray[Any]:
    width = 1 if values.ndim == 1 else values.shape[1]
    if channel is not None:
        if not 0 <= channel < width:
            raise InvalidArgumentError(
                f"channel is a number in [0, {width}). Got {channel}. Count from zero, as in x[:, channel]."
            )
        return values[:, channel] if values.ndim == 2 else values
    if width not in (1, 3):
        raise ShapeError(
            f"A picture shows 1 channel (grey) or 3 (red, green, blue). Got {width} channels. "
            "Choose one with channel=, or draw them all with gk.plot.feature_maps."
        )
    return values.reshape(len(values)) if width == 1 else values


def _captions(captions: Sequence[Any] | None, grid: Any, drawn: int) -> list[str]:
    if captions is None:
        return []
    texts = [str(text) for text in captions]
    if len(texts) != grid.num_graphs and len(texts) < drawn:
        raise ShapeError(
            f"captions has one text for each of the {grid.num_graphs} images. Got {len(texts)}. Pass '' for none."
        )
    return texts[:drawn]


def _numbers(numbers: bool | Sequence[Any], values: NDArray[Any], num_nodes: int) -> list[str]:
    if isinstance(numbers, bool):
        if not numbers or values.ndim == 2:
            return []
        return [f"{value:.3g}" for value in values]
    texts = [str(text) for text in numbers]
    if len(texts) != num_nodes:
        raise ShapeError(
            f"numbers has one text for each of the {num_nodes} pixels. Got {len(texts)}. Pass '' for none."
        )
    return texts


def _map_scale(values: NDArray[Any], value_range: tuple[float, float] | None) -> tuple[float, float, str]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if value_range is not None:
        low, high = float(value_range[0]), float(value_range[1])
        return low, high, _DIVERGING if low < 0 < high else "gray"
    if low < 0:
        reach = max(-low, high)
        return -reach, reach, _DIVERGING
    return 0.0, high if high > 0 else 1.0, "gray"


# ------------------------------------------------------------------ the paper it is drawn on
def _open(ax: Any, title: str, width: float, height: float) -> tuple[Figure, Any, tuple[float, float]]:
    """Figure and axes, and the room on them in inches."""
    figure, axis, _ = canvas(ax, width, height)
    bare_axes(axis, title, equal=False)
    if ax is None:
        return figure, axis, (width, height)
    box = ax.get_window_extent()
    return figure, axis, (0.97 * box.width / figure.dpi, 0.95 * box.height / figure.dpi)


def _close(figure: Figure, axis: Any, sheet: Sheet, ax: Any, *, left: float = 0.0, above: float = 0.0) -> None:
    """Show the whole sheet; a figure of our own takes its proportions."""
    set_view(axis, sheet, left=left, above=above)
    if ax is None:
        height = sheet.height * sheet.unit + above + (0.55 if axis.get_title(loc="left") else 0.2)
        figure.set_figheight(max(height, 0.8))
        figure.set_figwidth(max(sheet.width * sheet.unit + left + 0.3, 3.2))


def _bar(figure: Figure, axis: Any, low: float, high: float, scale: str, *, widen: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    if widen:
        figure.set_figwidth(figure.get_figwidth() + 0.75)
    bar = figure.colorbar(ScalarMappable(Normalize(low, high), scale), ax=axis, shrink=0.8, aspect=24, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _note(axis: Any, text: str) -> None:
    axis.text(0.0, -0.02, text, transform=axis.transAxes, fontsize=8.5, color=FAINT, va="top")
