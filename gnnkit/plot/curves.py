"""Training curves: the loss and the metrics of a history over its epochs. Imports learn's History and the style."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gnnkit.errors import InvalidArgumentError
from gnnkit.learn.history import History
from gnnkit.plot.style import FAINT, INK, PALETTE, PathLike, finish, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETS = {
    "train": (PALETTE[0], "-", "training"),
    "val": (PALETTE[1], "-", "validation"),
    "test": (PALETTE[2], "--", "test"),
}
_WORDS = {"f1_macro": "F1 (macro)", "f1_micro": "F1 (micro)", "roc_auc": "area under ROC", "rmse": "RMSE", "mae": "MAE",
          "r2": "R squared", "average_precision": "average precision"}  # fmt: skip


def training_curve(history: History, path: PathLike | None = None, *, title: str = "Training") -> Figure:
    """Draw loss and metrics over the epochs, with the epoch whose weights were kept.

    Parameters
    ----------
    history : History
    path : str or path, optional
        Where to save the picture (png, pdf, svg).
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidArgumentError
        If the history has no epochs.
    MissingDependencyError
        If matplotlib is not installed.
    """
    if not len(history):
        raise InvalidArgumentError("A training curve needs at least one epoch. The history has none. Train first.")
    measures = ["loss", *dict.fromkeys(name.split("_", 1)[1] for name in history if _is_metric(name))]
    figure, axes = new_figure(4.6 * len(measures) + 0.4, 3.6, panels=len(measures))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold", parse_math=False)
    for axis, measure in zip(axes, measures):
        _panel(axis, history, measure)
    axes[0].legend(frameon=False, fontsize=9)
    return finish(figure, path)


def _is_metric(name: str) -> bool:
    prefix, _, measure = name.partition("_")
    return prefix in _SETS and measure not in ("", "loss")


def _panel(axis: Any, history: History, measure: str) -> None:
    plain_axes(axis, _WORDS.get(measure, measure.replace("_", " ")))
    for prefix, (colour, line, label) in _SETS.items():
        name = f"{prefix}_{measure}"
        if name in history:
            points = [(epoch, value) for epoch, value in enumerate(history[name], start=1) if not math.isnan(value)]
            marker = "o" if len(points) == 1 else None  # one epoch would be an invisible line
            epochs, values = zip(*points) if points else ((), ())
            axis.plot(epochs, values, line, color=colour, linewidth=1.6, label=label, marker=marker)
    axis.set_xlabel("epoch", fontsize=9, color=INK)
    best = history.best_epoch + 1  # people count epochs from 1
    if 0 < best <= len(history):
        axis.axvline(best, color=FAINT, linewidth=1.0, linestyle=":")
        value = history.best.get(f"val_{measure}", math.nan)
        text = f"best epoch {best}" + ("" if math.isnan(value) else f": {value:.3f}")
        late = best > 0.6 * len(history)
        # Curves of losses live low at the end and curves of scores high, so the free corner is the other one.
        height = 0.97 if measure == "loss" and late else 0.04
        axis.annotate(
            text, (best, height), xycoords=("data", "axes fraction"), xytext=(-4 if late else 4, 0),
            textcoords="offset points", ha="right" if late else "left", va="top" if height > 0.5 else "bottom",
            fontsize=8.5, color=INK,
        )  # fmt: skip
