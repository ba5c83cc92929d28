"""The tape drawn as a graph: inputs at the top, the result at the bottom, values and adjoints in every box.

May import autodiff, the layered layout and the style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.autodiff import tape as record_of
from gnnkit.plot.layered import layered_layout
from gnnkit.plot.style import FAINT, INK, PathLike, bare_axes, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FILL = {"input": "#D6E8F5", "operation": "#F2F2F2", "result": "#FBE3BF"}
_EDGE = {"input": "#0072B2", "operation": "#8A8A8A", "result": "#C77F00"}
_WIDTH, _HEIGHT = 2.35, 1.06  # inches between neighbours in a row, and between rows
_HALF = 0.33  # half the height of a box, in rows


def draw_tape(tape: Any, path: PathLike | None = None, *, title: str = "", max_nodes: int = 150) -> Figure:
    """Draw a recorded computation.

    Parameters
    ----------
    tape : Tape or Tensor
        What ``gk.tape(result)`` returns, or the result itself.
    path : str or path, optional
        Where to save the picture (png, svg, pdf).
    title : str
    max_nodes : int
        Of a longer tape only the part nearest to the result is drawn; the picture says so.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Each box holds name, operation, shape or value, and the adjoint: the derivative of the result by that value.
    """
    tape = record_of(tape) if isinstance(tape, Tensor) else tape
    nodes = tape.nodes[-max_nodes:]
    shown = {node.name for node in nodes}
    edges = [(a.name, node.name) for node in nodes for a in _once(node.arguments) if a.name in shown]
    place, routes = layered_layout([node.name for node in nodes], edges)
    adjoints = {node.name: value for node, value in tape.adjoints()}
    columns = [x for route in [list(place.values()), *routes] for x, _ in route]
    width = (max(columns) - min(columns) + 1) * _WIDTH
    depth = max(y for _, y in place.values()) + 1
    figure, (axis,) = new_figure(max(width + 0.4, 4.0), depth * _HEIGHT + 0.6)
    bare_axes(axis, title, equal=False)
    axis.margins(0)
    axis.set_xlim(min(columns) - 0.55, max(columns) + 0.55)
    axis.set_ylim(depth - 0.45, -0.55)
    for route in routes:
        _arrow(axis, route)
    for node in nodes:
        kind = "result" if node is tape.nodes[-1] else "input" if node.operation == "input" else "operation"
        _box(axis, place[node.name], node, adjoints.get(node.name), kind)
    if len(nodes) < len(tape.nodes):
        note = f"the last {len(nodes)} of {len(tape.nodes)} steps"
        axis.text(0.0, 0.0, note, transform=axis.transAxes, fontsize=8.5, color=FAINT, va="bottom")
    return finish(figure, path)


def _once(arguments: Any) -> list[Any]:
    """The nodes of the arguments, each once (``x * x`` has one arrow)."""
    return list({node.name: node for _, node in arguments}.values())


def _box(axis: Any, place: tuple[float, float], node: Any, adjoint: Any, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    half_width, half_height = 0.45, _HALF
    axis.add_patch(
        FancyBboxPatch(
            (x - half_width, y - half_height),
            2 * half_width,
            2 * half_height,
            boxstyle="round,pad=0,rounding_size=0.06",
            mutation_aspect=_WIDTH / _HEIGHT,
            facecolor=_FILL[kind],
            edgecolor=_EDGE[kind],
            linewidth=1.0,
            zorder=3,
        )
    )
    head = node.name if node.operation == "input" else f"{node.name} = {node.formula}"
    axis.text(x, y - 0.18, _fitting(head, 32), ha="center", va="center", fontsize=8.5, color=INK, zorder=4)
    small = node.value is not None and np.size(node.value) <= 3
    lines = [_number(node.value) if small else f"shape {list(node.shape)}"]
    if adjoint is not None and np.size(adjoint) <= 3:
        lines.append(f"adjoint {_number(adjoint)}")
    elif adjoint is not None:
        lines.append(f"largest adjoint {np.abs(adjoint).max():.3g}")
    for number, line in enumerate(lines):
        height = y + 0.03 + 0.18 * number
        axis.text(x, height, _fitting(line, 38), ha="center", va="center", fontsize=7.5, color="#555555", zorder=4)


def _arrow(axis: Any, route: list[tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x, y), codes = route[0], [Path.MOVETO]
    corners = [(x, y + _HALF)]
    for number, (bx, by) in enumerate(route[1:], start=1):
        (ax, ay), end = corners[-1], by - _HALF - (0.02 if number == len(route) - 1 else 0.0)
        corners += [(ax, (ay + end) / 2), (bx, (ay + end) / 2), (bx, end)]
        codes += [Path.CURVE4] * 3
        if number < len(route) - 1:  # straight past the boxes of a layer in between
            corners.append((bx, by + _HALF))
            codes.append(Path.LINETO)
    axis.add_patch(
        FancyArrowPatch(
            path=Path(corners, codes), arrowstyle="-|>", mutation_scale=8, color=FAINT, linewidth=0.9, zorder=2
        )
    )


def _number(value: Any) -> str:
    digits = 4 if np.size(value) < 3 else 3
    return np.array2string(np.asarray(value), separator=", ", formatter={"all": lambda v: f"{v:.{digits}g}"})


def _fitting(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
