"""Where the pixels of many images stand on one sheet, how values become colours, and how cells are drawn.

Images side by side, of one size or of many, square cells or hexagons; what does not exist is hatched. May import
graph, autodiff and the style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.autodiff import as_array
from gnnkit.errors import DTypeError, ShapeError, UnknownFieldError, UnknownNameError
from gnnkit.plot.style import INK, PALETTE, PAPER

HATCH, ABSENT, FRAME = "#8FB2CC", "#E9F1F8", "#B5B5B5"  # blue, as white and grey are values of pixels
_GAP = 0.07  # between two images, as a part of their side
_LEAN = math.sqrt(3) / 2  # rows of hexagons are that far apart


@dataclass(frozen=True)
class Panel:
    """One image to draw: which cells exist, and the node of each.

    Attributes
    ----------
    size : (int, int)
        Rows and columns of cells.
    rows, columns : int [num_cells_that_exist]
    nodes : int [num_cells_that_exist]
        The row of a node field that belongs to each cell.
    hexagonal : bool
    """

    size: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    nodes: NDArray[np.int64]
    hexagonal: bool

    @property
    def width(self) -> float:
        """Width in cells; odd rows of hexagons stand half a cell further right."""
        return self.size[1] + (0.5 if self.hexagonal and self.size[0] > 1 else 0.0)

    @property
    def height(self) -> float:
        """Height in cells."""
        return max(self.size[0] - 1, 0) * _LEAN + 2 / math.sqrt(3) if self.hexagonal else float(self.size[0])

    @property
    def is_whole(self) -> bool:
        """Whether every cell exists."""
        return len(self.nodes) == self.size[0] * self.size[1]

    def centres(self, cells: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Centres [n, 2] (right, down) of the cells that exist, or of those given as rows and columns [n, 2]."""
        rows, columns = (self.rows, self.columns) if cells is None else (cells[:, 0], cells[:, 1])
        if self.hexagonal:
            return np.stack([columns + 0.5 + 0.5 * (rows % 2), rows * _LEAN + 1 / math.sqrt(3)], axis=1)
        return np.stack([columns + 0.5, rows + 0.5], axis=1)


def panels_of(grid: Any, *, limit: int = 10**9) -> list[Panel]:
    """One panel for every image of a grid, every slice of a volume, every sequence (as a strip), at most ``limit``."""
    cells = np.asarray(grid.coordinates(), dtype=np.int64).reshape(-1, grid.ndim)
    hexagonal = grid.lattice == "hexagonal"
    found: list[Panel] = []
    for image, size in enumerate(grid.sizes):
        start, stop = int(grid.node_ptr[image]), int(grid.node_ptr[image + 1])
        own, nodes = cells[start:stop], np.arange(start, stop)
        if grid.ndim == 1:
            found.append(Panel((1, size[0]), np.zeros(len(nodes), np.int64), own[:, 0], nodes, False))
        elif grid.ndim == 2:
            found.append(Panel((size[0], size[1]), own[:, 0], own[:, 1], nodes, hexagonal))
        else:
            for depth in range(size[0]):
                here = own[:, 0] == depth
                found.append(Panel((size[1], size[2]), own[here, 1], own[here, 2], nodes[here], False))
        if len(found) >= limit:
            return found[:limit]
    return found


@dataclass(frozen=True)
class Sheet:
    """Where images stand: ``origins`` [n, 2] (right, down), the whole ``width`` and ``height``, all in cells.

    ``unit`` is the number of inches per cell.
    """

    origins: NDArray[np.float64]
    width: float
    height: float
    unit: float


def arrange(
    sizes: Sequence[tuple[float, float]],
    *,
    columns: int | None = None,
    space: tuple[float, float] = (7.4, 6.6),
    title: float = 0.0,
) -> Sheet:
    """Place boxes of (width, height) cells in reading order so that they come out as large as possible.

    ``space`` is (width, height) in inches; ``title`` is the room in inches kept above each.
    """
    if not len(sizes):
        return Sheet(np.zeros((0, 2)), 1.0, 1.0, 0.5)
    widest, tallest = max(w for w, _ in sizes), max(h for _, h in sizes)
    uniform = len(set(sizes)) == 1
    choices = range(1, len(sizes) + 1) if columns is None else [min(max(columns, 1), len(sizes))]
    best: Sheet | None = None
    for count in choices:
        unit = 0.55
        for _ in range(3):  # the room for titles is in inches, so it depends on the scale that it changes
            top = title / unit
            if uniform or columns is not None:
                placed = _table(sizes, count, widest, tallest, top)
            else:
                placed = _shelves(sizes, count * sum(w for w, _ in sizes) / len(sizes), top)
            unit = min(space[0] / placed.width, space[1] / placed.height, 0.55)
        placed = Sheet(placed.origins, placed.width, placed.height, unit)
        if best is None or placed.unit > best.unit * 1.001:
            best = placed
    assert best is not None
    return best


def _table(sizes: Sequence[tuple[float, float]], columns: int, width: float, height: float, top: float) -> Sheet:
    gap = _GAP * max(width, height)
    lines = -(-len(sizes) // columns)
    place = [((k % columns) * (width + gap), (k // columns) * (height + gap + top) + top) for k in range(len(sizes))]
    whole_width, whole_height = columns * (width + gap) - gap, lines * (height + gap + top) - gap
    return Sheet(np.array(place), whole_width, whole_height, 0.0)


def _shelves(sizes: Sequence[tuple[float, float]], width: float, top: float) -> Sheet:
    gap = _GAP * sum(max(size) for size in sizes) / len(sizes)
    width = max(width, max(w for w, _ in sizes))
    place, x, y, shelf, reached = [], 0.0, 0.0, 0.0, 0.0
    for w, h in sizes:
        if x > 0 and x + w > width:
            x, y, shelf = 0.0, y + shelf + gap + top, 0.0
        place.append((x, y + top))
        x, shelf, reached = x + w + gap, max(shelf, h), max(reached, x + w)
    return Sheet(np.array(place), reached, y + top + shelf, 0.0)


def field_rows(graph: Any, field: str | ArrayLike, *, name: str = "field") -> NDArray[Any]:
    """A node field by name, or an array with one row per node, as [num_nodes, channels] or [num_nodes]."""
    if isinstance(field, str):
        if field not in graph.nodes:
            raise UnknownFieldError(
                f"{name} names a field of nodes. Got {field!r}; the graph has {', '.join(graph.nodes) or 'none'}. "
                "Pass one of them, or an array with one row per node."
            )
        values = np.asarray(as_array(graph.nodes[field]))
    else:
        values = np.asarray(as_array(field))
    if values.ndim not in (1, 2) or len(values) != graph.num_nodes:
        raise ShapeError(
            f"A picture needs one value, or one row of channels, for each of the {graph.num_nodes} pixels. "
            f"Got shape {values.shape}. Pass an array [num_nodes] or [num_nodes, channels]."
        )
    if values.dtype.kind not in "biuf":
        raise DTypeError(
            f"A picture shows real numbers or booleans. Got {name} of dtype {values.dtype}. "
            "Turn its values into numbers."
        )
    return values


def span(values: NDArray[Any], value_range: tuple[float, float] | None) -> tuple[float, float]:
    """What becomes black and white: as given, [0, 1] if all values lie in it, else the smallest and largest."""
    if value_range is not None:
        return float(value_range[0]), float(value_range[1])
    if values.dtype == np.uint8:
        return 0.0, 255.0
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size or (finite.min() >= 0 and finite.max() <= 1):
        return 0.0, 1.0
    return float(finite.min()), float(finite.max())


def colours(values: NDArray[Any], low: float, high: float, scale: str) -> NDArray[np.float64]:
    """RGBA [n, 4]: one channel through a colour scale, three as red, green, blue; NaN is transparent."""
    import matplotlib

    part = (values.astype(float) - low) / (high - low if high > low else 1.0)
    if part.ndim == 2 and part.shape[1] == 3:
        rgba = np.ones((len(part), 4))
        rgba[:, :3] = np.clip(np.nan_to_num(part), 0.0, 1.0)
    else:
        if scale not in matplotlib.colormaps:
            raise UnknownNameError(
                f"scale must name a colour map of matplotlib. Got {scale!r}. Use for instance 'gray' or 'viridis'."
            )
        part = part.reshape(len(part))
        rgba = np.asarray(matplotlib.colormaps[scale](np.clip(np.nan_to_num(part), 0.0, 1.0)))
    rgba[~np.isfinite(part.reshape(len(part), 3 if part.ndim == 2 else 1)).all(axis=1), 3] = 0.0
    return rgba


def class_colours(codes: NDArray[Any], *, opacity: float = 1.0, clear: int | None = None) -> NDArray[np.float64]:
    """RGBA [n, 4] of class codes; the class ``clear`` is transparent."""
    from matplotlib.colors import to_rgba_array

    table = to_rgba_array(list(PALETTE), opacity)
    rgba = table[codes % len(PALETTE)]
    if clear is not None:
        rgba[codes == clear, 3] = 0.0
    return rgba


def draw_cells(
    axis: Any, panel: Panel, origin: Any, rgba: NDArray[Any], *, zorder: float = 2, frame: bool = True
) -> None:
    """Paint the cells of a panel with rows of ``rgba`` [num_nodes, 4]; cells without a node are hatched."""
    if panel.hexagonal:
        _draw_hexagons(axis, panel, origin, rgba, zorder, frame)
        return
    from matplotlib.patches import Rectangle

    (height, width), (x, y) = panel.size, origin
    if frame and not panel.is_whole:
        axis.add_patch(
            Rectangle(
                (x, y), width, height, facecolor=ABSENT, edgecolor=HATCH, hatch="//////", linewidth=0, zorder=zorder - 1
            )
        )
    if height and width:
        image = np.zeros((height, width, 4))
        image[panel.rows, panel.columns] = rgba[panel.nodes]
        axis.imshow(image, extent=(x, x + width, y + height, y), interpolation="nearest", zorder=zorder)
    if frame:
        axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=FRAME, linewidth=0.6, zorder=zorder + 1))


def _draw_hexagons(axis: Any, panel: Panel, origin: Any, rgba: NDArray[Any], zorder: float, frame: bool) -> None:
    from matplotlib.collections import PolyCollection

    if frame and not panel.is_whole:
        there = np.zeros(panel.size, bool)
        there[panel.rows, panel.columns] = True
        gone = panel.centres(np.argwhere(~there)) + np.asarray(origin)
        axis.add_collection(
            PolyCollection(
                list(hexagons(gone, 0.98)), facecolors=ABSENT, edgecolors=HATCH, hatch="//////", linewidths=0.3,
                zorder=zorder - 1,
            )
        )  # fmt: skip
    if len(panel.nodes):
        # A hair wider than the cell: two neighbours must not leave a light seam between them.
        cells = hexagons(panel.centres() + np.asarray(origin), 1.0)
        faces = rgba[panel.nodes]
        axis.add_collection(
            PolyCollection(list(cells), facecolors=faces, edgecolors=faces, linewidths=0.5, zorder=zorder)
        )


def hexagons(centres: NDArray[Any], scale: float) -> NDArray[np.float64]:
    """Corners [n, 6, 2] of hexagons that stand on a corner."""
    angles = np.pi / 6 + np.arange(6) * np.pi / 3
    corner = np.stack([np.cos(angles), np.sin(angles)], axis=1) * scale / math.sqrt(3)
    return centres[:, None, :] + corner[None]


def write_numbers(axis: Any, panel: Panel, origin: Any, texts: Sequence[str], rgba: NDArray[Any], size: float) -> None:
    """Write a text into each cell, dark on light and light on dark."""
    for (x, y), node in zip(panel.centres() + np.asarray(origin), panel.nodes):
        red, green, blue, alpha = rgba[node]
        dark = alpha > 0.5 and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axis.text(x, y, texts[node], ha="center", va="center", fontsize=size, color=PAPER if dark else INK, zorder=5)


def caption(axis: Any, panel: Panel, origin: Any, text: str, sheet: Sheet) -> None:
    """Write a line above a panel."""
    x, y = origin
    axis.text(
        x + panel.width / 2, y - 0.045 / sheet.unit, text, ha="center", va="bottom", fontsize=8, color=INK, zorder=5,
        parse_math=False,
    )  # fmt: skip


def set_view(axis: Any, sheet: Sheet, *, left: float = 0.0, above: float = 0.0) -> None:
    """Show the whole sheet and so many inches left of it and above, rows downwards, cells as wide as high."""
    edge = 0.02 / sheet.unit
    axis.set_xlim(-edge - left / sheet.unit, sheet.width + edge)
    axis.set_ylim(sheet.height + edge, -edge - above / sheet.unit)
    axis.set_aspect("equal", adjustable="box")
