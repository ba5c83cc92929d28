"""Segmentations drawn: a class per pixel over the image, beside the truth. Shares the paper of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import ShapeError
from gnnkit.graph import Graph
from gnnkit.graph.grids import as_grid
from gnnkit.plot.images import _CAPTION, _captions, _channels, _close, _note, _open
from gnnkit.plot.sheets import arrange, caption, class_colours, colours, draw_cells, field_rows, panels_of, span
from gnnkit.plot.style import FAINT, INK, PALETTE, PathLike, finish, side_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def segmentation(
    graph: Graph,
    labels: str | ArrayLike,
    path: PathLike | None = None,
    *,
    truth: str | ArrayLike | None = None,
    field: str | ArrayLike | None = "x",
    class_names: Sequence[str] | None = None,
    background: int | None = None,
    opacity: float = 0.6,
    max_images: int = 12,
    captions: Sequence[Any] | None = None,
    legend: bool = True,
    ax: Any = None,
    title: str = "",
) -> Figure:
    """Draw a class per pixel: the image, the classes laid over it, and, if known, the truth and where it differs.

    Parameters
    ----------
    graph : Graph
    labels : str or array_like int [num_nodes]
        The class of every pixel, a field of the nodes or an array.
    path : str or path, optional
    truth : str or array_like int [num_nodes], optional
        Right classes: two more pictures for each image, the truth and the pixels that are wrong.
    field : str, array_like or None
        The image underneath (one or three channels); None for the classes alone.
    class_names : sequence of str, optional
        Names of the classes 0, 1, 2, ...
    background : int, optional
        A class that is not coloured.
    opacity : float
        Of the colours over the image.
    max_images : int
    captions : sequence [num_graphs], optional
        A text for each image, left of its row.
    legend : bool
        Explain the colours, with the share of pixels of each class.
    ax, title
        As in :func:`image`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    grid = as_grid(graph)
    panels = panels_of(grid, limit=max_images + 1)
    codes = _class_codes(graph, labels, "labels")
    right = None if truth is None else _class_codes(graph, truth, "truth")
    heads = [*(["image"] if field is not None else []), "prediction" if right is not None else "classes"]
    heads += ["truth", "wrong pixels"] if right is not None else []
    below = np.ones((graph.num_nodes, 4))
    if field is not None:
        values = _channels(field_rows(graph, field), None)
        below = colours(values, *span(values, None), "gray")
    layers: dict[str, NDArray[Any]] = {
        "image": below[:, :0],
        "classes": class_colours(codes, opacity=opacity if field is not None else 1.0, clear=background),
    }
    layers["prediction"] = layers["classes"]
    if right is not None:
        layers["truth"] = class_colours(right, opacity=opacity if field is not None else 1.0, clear=background)
        layers["wrong pixels"] = np.where((codes != right)[:, None], [0.84, 0.37, 0.0, 0.95], [1.0, 1.0, 1.0, 0.55])
    rows = panels[:max_images]
    sets = 1 if len(rows) < 4 else 2 if len(heads) > 2 else 3  # images beside each other, each with all its pictures
    figure, axis, space = _open(ax, title, 7.4, 6.6)
    if not any(p.width * p.height for p in rows):
        axis.text(0.5, 0.5, "no pixels", ha="center", va="center", color=FAINT, transform=axis.transAxes)
        return finish(figure, path)
    texts = _captions(captions, grid, len(rows))
    left = 0.085 * max(map(len, texts)) if texts else 0.0
    sets = 1 if texts else min(sets, len(rows))
    boxes = [(p.width, p.height) for p in rows for _ in heads]
    sheet = arrange(boxes, columns=sets * len(heads), space=(max(space[0] - left - 1.2 * legend, 1.0), space[1]))
    for number, origin in enumerate(sheet.origins):
        panel, head = rows[number // len(heads)], heads[number % len(heads)]
        draw_cells(axis, panel, origin, below)
        if layers[head].shape[1]:
            draw_cells(axis, panel, origin, layers[head], zorder=2.5, frame=False)
        if number < sets * len(heads):
            caption(axis, panel, origin, head, sheet)
        if texts and number % len(heads) == 0:
            middle = origin[1] + panel.height / 2
            axis.text(
                -0.06 / sheet.unit, middle, texts[number // len(heads)], ha="right", va="center", fontsize=8,
                color=INK, parse_math=False,
            )  # fmt: skip
    _close(figure, axis, sheet, ax, left=left, above=_CAPTION)
    if legend:
        _class_legend(axis, codes if right is None else right, class_names, background)
        if ax is None:
            figure.set_figwidth(figure.get_figwidth() + 1.2)
    if len(panels) > len(rows):
        _note(axis, f"the first {len(rows)} images")
    return finish(figure, path)


def _class_codes(graph: Graph, labels: str | ArrayLike, name: str) -> NDArray[np.int64]:
    codes = field_rows(graph, labels, name=name)
    codes = codes if codes.ndim == 2 else codes[:, None]
    if codes.shape[1] != 1 or codes.dtype.kind not in "biu" or (codes.size and codes.min() < 0):
        raise ShapeError(
            f"{name} holds one class 0, 1, 2, ... for each of the {graph.num_nodes} pixels. Got {codes.dtype} of shape "
            f"{codes.shape}. Take the class of scores with scores.argmax(axis=1)."
        )
    return codes[:, 0].astype(np.int64)


def _class_legend(axis: Any, codes: NDArray[Any], class_names: Sequence[str] | None, background: int | None) -> None:
    counts = np.bincount(codes, minlength=len(class_names or ()))
    names = [str(k) for k in range(len(counts))] if class_names is None else [str(name) for name in class_names]
    if len(names) < len(counts):
        raise ShapeError(
            f"There is one name for each class. Got {len(names)} names for {len(counts)} classes. "
            "Pass class_names for the classes 0, 1, 2, ..."
        )
    shown = [k for k in np.flatnonzero(counts) if k != background]
    entries = [(f"{names[k]} ({counts[k] / len(codes):.0%})", PALETTE[k % len(PALETTE)], "s") for k in shown]
    if entries:
        side_legend(axis, entries)
