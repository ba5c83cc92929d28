"""Two-dimensional maps of learnt representations. May import the style; scikit-learn only for t-SNE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.autodiff import as_array
from gnnkit.errors import InvalidFeatureError, ShapeError, require_package, unknown_name
from gnnkit.plot.style import FAINT, Colouring, PathLike, bare_axes, canvas, finish, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = ("tsne", "pca")


def embedding_map(
    z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    method: str = "tsne",
    path: PathLike | None = None,
    class_names: Sequence[str] | None = None,
    max_points: int = 5000,
    legend: bool = True,
    ax: Any = None,
    title: str = "",
    rng: int = 0,
) -> Figure:
    """Draw rows of numbers as points in the plane, near where they are alike.

    Parameters
    ----------
    z : array_like [num_rows, channels]
        Embeddings: the output of a hidden layer, or the logits.
    y : array_like [num_rows], optional
        Labels (whole numbers, texts) or values (floats) for the colours.
    method : "tsne" or "pca"
        t-SNE shows neighbourhoods (distances between clusters mean little); PCA is linear and exact, and needs no
        scikit-learn.
    path : str or path, optional
    class_names : sequence of str, optional
    max_points : int
        With more rows a random choice is drawn; the picture says so.
    legend, ax
        As in :func:`draw_graph`.
    title : str
    rng : int
        Seed.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    van der Maaten and Hinton 2008, "Visualizing data using t-SNE".
    """
    rows = np.asarray(as_array(z), dtype=float)
    if rows.ndim != 2 or not len(rows):
        raise ShapeError(
            f"z holds one row of channels per point, and at least one row. Got shape {rows.shape}. "
            "Pass an array [num_rows, channels]."
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise InvalidFeatureError(f"An embedding must be finite. Row {bad[0]} is not. Look for nan in the model.")
    colouring = Colouring(y, len(rows), class_names=class_names)
    chosen = np.arange(len(rows))
    if len(rows) > max_points:
        chosen = np.sort(np.random.default_rng(rng).choice(len(rows), max_points, replace=False))
        colouring = Colouring(None if y is None else np.asarray(y)[chosen], len(chosen), class_names=class_names)
    xy, x_name, y_name = project(rows[chosen], method=method, rng=rng)
    figure, axis, scale = canvas(ax, 7.5, 5.6)
    if method == "pca":
        plain_axes(axis, title)
        axis.set_xlabel(x_name, fontsize=9)
        axis.set_ylabel(y_name, fontsize=9)
    else:
        bare_axes(axis, title, equal=False)
        axis.text(0.0, -0.02, "t-SNE", transform=axis.transAxes, fontsize=8.5, color=FAINT, va="top")
    mappable = colouring.scatter(axis, xy, size=scale * float(np.clip(24000 / len(chosen), 9, 60)), width=0.3)
    if legend:
        colouring.explain(figure, axis, mappable)
    if len(chosen) < len(rows):
        note = f"{len(chosen)} of {len(rows)} rows, chosen at random"
        axis.text(1.0, -0.02, note, transform=axis.transAxes, fontsize=8.5, color=FAINT, va="top", ha="right")
    return finish(figure, path)


def project(z: NDArray[Any], *, method: str = "tsne", rng: int = 0) -> tuple[NDArray[Any], str, str]:
    """Coordinates [num_rows, 2] and the names of the two axes."""
    if method not in METHODS:
        raise unknown_name("projection", method, METHODS)
    centred = z - z.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    principal = np.zeros((len(z), 2))
    width = min(2, len(s))
    principal[:, :width] = u[:, :width] * s[:width]
    # The sign of a singular vector is arbitrary: make the largest entry positive so that pictures do not flip.
    principal *= np.where(principal[np.abs(principal).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    if method == "pca" or len(z) < 4:
        share = np.append(s**2, [0.0, 0.0]) / max(float((s**2).sum()), 1e-300)
        return principal, *(f"component {k + 1} ({share[k]:.0%} of the variance)" for k in (0, 1))  # type: ignore[return-value]
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ImportError as error:
        raise require_package("scikit-learn", "sklearn", "A t-SNE map") from error
    spread = principal[:, :1].std()
    start = principal / (spread if spread > 0 else 1.0) * 1e-4  # as scikit-learn scales it
    tsne = TSNE(perplexity=min(30.0, (len(z) - 1) / 3), init=start.astype(np.float32), random_state=rng)
    # One thread: its threads wait by spinning, ten times slower on a busy machine, and the bits would depend on them.
    with threadpool_limits(1):
        return tsne.fit_transform(z.astype(np.float32)).astype(float), "", ""
