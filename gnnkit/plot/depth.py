"""What depth does: energies over the layers, influence over the distance. Imports symmetry's measures and the style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import InvalidArgumentError
from gnnkit.plot.style import INK, MARKERS, PALETTE, PathLike, canvas, finish, plain_axes
from gnnkit.symmetry.reach import Influence
from gnnkit.symmetry.smoothing import Energies

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def energies(
    curves: Energies | Mapping[str, Energies],
    path: PathLike | None = None,
    *,
    ax: Any = None,
    title: str = "Dirichlet energy over the layers",
) -> Figure:
    """Draw the Dirichlet energy of one or several stacks over their layers, on a logarithmic scale.

    Parameters
    ----------
    curves : Energies, or mapping of name to Energies
        From :func:`gnnkit.symmetry.energies`.
    path : str or path, optional
        Where to save the picture (png, pdf, svg).
    ax : matplotlib axes, optional
        Draw there.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidArgumentError
        If there is no curve.

    Notes
    -----
    An energy of 0 has no place on the scale: the line ends there. Layer 0 is the input.
    """
    named = _named(curves, Energies, "gk.symmetry.energies(model, graph)")
    figure, axis, _ = canvas(ax, 6.4, 4.2)
    plain_axes(axis, title)
    for number, (name, curve) in enumerate(named.items()):
        _line(axis, number, name, curve.values)
    relative = any(curve.relative for curve in named.values())
    _labels(axis, "layer", "energy / squared size of the features" if relative else "energy", legend=len(named) > 1)
    return finish(figure, path)


def influence(
    curves: Influence | Mapping[str, Influence],
    path: PathLike | None = None,
    *,
    ax: Any = None,
    title: str = "Influence over the distance",
) -> Figure:
    """Draw how much one node at each distance is felt, on a logarithmic scale.

    Parameters
    ----------
    curves : Influence, or mapping of name to Influence
        From :func:`gnnkit.symmetry.influence`.
    path : str or path, optional
    ax : matplotlib axes, optional
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidArgumentError
        If there is no curve.

    Notes
    -----
    Drawn is ``mean_by_distance`` divided by its value at distance 0 (by the largest, if that is 0), so that models of
    different scale can be compared. Distances that are not felt at all have no point.
    """
    named = _named(curves, Influence, "gk.symmetry.influence(model, graph, node)")
    figure, axis, _ = canvas(ax, 6.4, 4.2)
    plain_axes(axis, title)
    for number, (name, curve) in enumerate(named.items()):
        felt = curve.mean_by_distance
        scale = felt[0] if len(felt) and felt[0] > 0 else felt.max(initial=0.0)
        _line(axis, number, name, felt / scale if scale > 0 else felt)
    _labels(axis, "distance", "felt per node, relative to distance 0", legend=len(named) > 1)
    return finish(figure, path)


def _named(curves: Any, kind: type, source: str) -> dict[str, Any]:
    named = {"": curves} if isinstance(curves, kind) else dict(curves) if isinstance(curves, Mapping) else {}
    if not named or not all(isinstance(curve, kind) for curve in named.values()):
        raise InvalidArgumentError(
            f"There must be at least one curve, each a {kind.__name__}. Got {type(curves).__name__}. Pass {source}, or "
            "a dict of name to such."
        )
    return named


def _line(axis: Any, number: int, name: str, values: NDArray[Any]) -> None:
    shown = np.where(values > 0, values, np.nan)
    every = max(1, len(values) // 16)
    axis.plot(
        np.arange(len(values)), shown, color=PALETTE[number % len(PALETTE)], linewidth=1.7, label=name,
        marker=MARKERS[number % len(MARKERS)], markersize=4.5, markevery=every,
    )  # fmt: skip


def _labels(axis: Any, below: str, left: str, *, legend: bool) -> None:
    axis.set_yscale("log")
    axis.set_xlabel(below, fontsize=9, color=INK)
    axis.set_ylabel(left, fontsize=9, color=INK)
    if legend:
        for text in axis.legend(frameon=False, fontsize=9).get_texts():
            text.set_parse_math(False)
