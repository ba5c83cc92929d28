"""Sets of images: as one batch graph on a grid, or as plain arrays. Imports graph below, and the files beside it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gnnkit.datasets.cards import Card, all_cards, card
from gnnkit.datasets.fetch import obtain
from gnnkit.datasets.layouts import Content
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph
from gnnkit.graph.grids import Grid, grid_graph


def load_images(
    name: str,
    *,
    part: str | None = None,
    raw: bool = False,
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Load a set of images as arrays, ready for :class:`gnnkit.learn.ImageClassifier`.

    Parameters
    ----------
    name
        "digits", "mnist_5k" or "mnist"; ``gk.datasets.load(name)`` gives the same images as a graph.
    part
        "train" or "test", where a split is published. None: every image.
    raw
        Give the stored uint8 values instead (of "digits" these are 0 to 16).
    root, download
        As in :func:`~gnnkit.datasets.load`.

    Returns
    -------
    images : float32 [num_images, height, width], in [0, 1]; with ``raw`` uint8
    labels : int64 [num_images]

    Raises
    ------
    InvalidArgumentError
        If the set holds no images, or has no such part.
    UnknownNameError, DownloadError, ChecksumError
        As :func:`~gnnkit.datasets.load`.

    Notes
    -----
    The arrays are read-only. "digits" and "mnist_5k" are sorted by writer or by digit: shuffle before you split.

    Examples
    --------
    >>> import gnnkit as gk
    >>> images, labels = gk.datasets.load_images("digits")
    >>> images.shape, images.dtype, float(images.max()), labels[:3].tolist()
    ((1797, 8, 8), dtype('float32'), 1.0, [0, 1, 2])
    """
    found = card(name)
    if not found.holds_images:
        sets = [each.name for each in all_cards().values() if each.holds_images]
        raise InvalidArgumentError(
            f"load_images loads sets of images: {', '.join(sets)}. {found.name!r} holds other graphs "
            f"({found.task}). Use gk.datasets.load({found.name!r})."
        )
    if part is not None and part not in found.split:
        if not found.split:
            raise InvalidArgumentError(
                f"part names a published split. {found.name!r} has none; got part={part!r}. Leave it away and split "
                "the images yourself, shuffled."
            )
        raise unknown_name("part", part, found.split)
    content = obtain(found, root=root, download=download)
    assert content.images is not None and content.y is not None
    images, y = content.images, content.y
    if part is not None:
        images, y = images[content.split[part]], y[content.split[part]]
    return _frozen(images if raw else _in_unit_range(images, found)), _frozen(y)


def as_image_batch(card: Card, content: Content) -> Graph:
    """Return all images of a set as one batch graph, labels and split masks on its globals."""
    assert content.images is not None and content.y is not None
    count, *size = content.images.shape
    fields: dict[str, Any] = {"y": _frozen(content.y)}
    for part, members in content.split.items():
        mask = np.zeros(count, bool)
        mask[members] = True
        fields[f"{part}_mask"] = _frozen(mask)
    x = _frozen(_in_unit_range(content.images, card).reshape(-1, 1))
    return grid_graph(Grid(tuple(size), num_graphs=count), x=x, globals=fields)


def _in_unit_range(images: np.ndarray, card: Card) -> np.ndarray:
    values = images.astype(np.float32)
    values /= np.float32(card.largest_value)
    return values


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
