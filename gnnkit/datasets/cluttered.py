"""A segmentation task that needs no download: digits on canvases full of pieces of other digits.

Strokes and clutter have the same ink, so a single pixel does not tell them apart: only its surroundings do. May import
the files beside it.
"""

from __future__ import annotations

import numpy as np

from gnnkit.datasets.cards import all_cards, card
from gnnkit.datasets.images import load_images
from gnnkit.errors import InvalidArgumentError, unknown_name

SOURCES = ("mnist_5k", "digits")


def cluttered_digits(
    num_images: int,
    *,
    size: int | tuple[int, int] = 48,
    num_digits: int = 1,
    num_pieces: int = 8,
    noise: float = 0.1,
    source: str = "mnist_5k",
    rng: int | np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of whole digits among clutter, and the masks of their pixels.

    Parameters
    ----------
    num_images : int
    size : int or (height, width)
        Of the canvas; at least that of a digit (28 for "mnist_5k", 8 for "digits").
    num_digits : int
        Whole digits on every canvas, at random places; they may overlap.
    num_pieces : int
        Pieces cut from other digits, each a third of a digit high and wide, at random places below the digits.
    noise : float
        Standard deviation of the noise on every pixel.
    source : {"mnist_5k", "digits"}
        The bundled set that the digits come from.
    rng : int or Generator, optional
        Same seed, same bits.

    Returns
    -------
    images : float32 [num_images, height, width, 1], in [0, 1]
    masks : int64 [num_images, height, width]
        1 on the strokes of whole digits (at least half of full ink), 0 elsewhere.

    Raises
    ------
    InvalidArgumentError
        If a count is negative, or the canvas smaller than a digit.
    UnknownNameError
        If there is no such source.

    Notes
    -----
    For training and test draw with different seeds; digits of both come from the same set of images.

    References
    ----------
    After the cluttered MNIST of Mnih, Heess, Graves and Kavukcuoglu, Recurrent models of visual attention, NIPS 2014,
    there for classification.

    Examples
    --------
    >>> import gnnkit as gk
    >>> images, masks = gk.datasets.cluttered_digits(10, size=(32, 40), rng=0)
    >>> images.shape, masks.shape, masks.max()
    ((10, 32, 40, 1), (10, 32, 40), np.int64(1))
    """
    if source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    side = all_cards()[card(source).name].image_size[0]
    counts = {"num_images": num_images, "num_digits": num_digits, "num_pieces": num_pieces}
    if min(counts.values()) < 0 or not noise >= 0:
        given = ", ".join(f"{name}={value!r}" for name, value in {**counts, "noise": noise}.items())
        raise InvalidArgumentError(f"Counts and noise are at least 0. Got {given}. Pass for example num_images=100.")
    if min(height, width) < side:
        raise InvalidArgumentError(
            f"A canvas must hold a digit of {source!r}, {side} x {side}. Got size ({height}, {width}). "
            f"Pass for example size={2 * side}."
        )
    rng = np.random.default_rng(rng)
    digits, _ = load_images(source)
    images = np.zeros((num_images, height, width), np.float32)
    masks = np.zeros((num_images, height, width), np.int64)
    for image, mask in zip(images, masks):
        for piece in _pieces(digits, num_pieces, side, rng):
            _draw(image, piece, rng)
        for digit in digits[rng.integers(len(digits), size=num_digits)]:
            place = _draw(image, digit, rng)
            mask[place] |= digit >= 0.5
    if noise:
        images += noise * rng.standard_normal(images.shape, dtype=np.float32)
        np.clip(images, 0, 1, out=images)
    return images[..., None], masks


def _pieces(digits: np.ndarray, count: int, side: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Squares cut from the inner part of digits, where the strokes are."""
    cut = max(side // 3, 2)
    chosen = rng.integers(len(digits), size=count)
    corners = rng.integers(side // 8, side - cut - side // 8 + 1, size=(count, 2))
    return [digits[k, i : i + cut, j : j + cut] for k, (i, j) in zip(chosen, corners)]


def _draw(image: np.ndarray, patch: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """Put a patch at a random place, the darker ink winning; return the place."""
    row, column = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(image.shape, patch.shape))
    place = slice(row, row + patch.shape[0]), slice(column, column + patch.shape[1])
    np.maximum(image[place], patch, out=image[place])
    return place
