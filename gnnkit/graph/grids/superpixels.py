"""Superpixels: regions of an image as nodes, and which pixels belong to which. scikit-image only to find regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidGraphError, ShapeError, require_package
from gnnkit.graph.checks import as_count
from gnnkit.graph.edges import from_edges
from gnnkit.graph.fields import raw
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.arguments import as_positive
from gnnkit.graph.grids.reading import read_image
from gnnkit.graph.topology import Topology


def from_superpixels(
    image: Any, segments: Any = None, *, num_segments: int | None = None, compactness: float = 10.0
) -> Graph:
    """Make a graph whose nodes are regions of an image, joined where they touch.

    Parameters
    ----------
    image : array, PIL image or path
        ``[height, width]`` or ``[height, width, channels]``, read as by :func:`gnnkit.from_image`.
    segments : integers [height, width], optional
        Region of every pixel: every number from 0 on; -1 for pixels of no region.
    num_segments : int, optional
        Instead of ``segments``: about how many regions :func:`superpixel_labels` shall find.
    compactness : float
        For ``num_segments``: larger values give squarer regions.

    Returns
    -------
    Graph
        Undirected, without self-loops. ``x`` [num_regions, channels] mean colour, nodes "area" int64 (pixels) and
        "centroid" [num_regions, 2] (mean row and column); edges "boundary" int64: pairs of neighbouring pixels, side
        by side or one above the other, of which each region has one.

    Raises
    ------
    InvalidArgumentError, ShapeError, DTypeError, InvalidGraphError
    MissingDependencyError
        When regions are to be found and scikit-image is not installed.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> image = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 1.0]])
    >>> g = gk.from_superpixels(image, [[0, 0, 2], [0, 1, 2]])
    >>> g.x.ravel(), g.nodes["area"], g.num_edges
    (array([0. , 0.5, 1. ]), array([3, 1, 2]), 6)
    >>> g.edges["boundary"]
    array([2, 1, 2, 1, 1, 1])
    """
    pixels = _one_image(image)
    if (segments is None) == (num_segments is None):
        raise InvalidArgumentError(
            "Regions must come from segments or be found by num_segments. "
            f"Got {'neither' if segments is None else 'both'}. Give one of the two."
        )
    if segments is None:
        count = as_positive(num_segments, "num_segments")
        segments = superpixel_labels(pixels, num_segments=count, compactness=compactness)
    labels = as_labels(segments)
    if labels.shape != pixels.shape[:2]:
        raise ShapeError(
            f"segments must have one number per pixel, {pixels.shape[:2]}. Got shape {labels.shape}. "
            "Give the segmentation of this image, without channels."
        )
    pixel_to_region = assignment_topology(labels)
    area = pixel_to_region.in_degree()
    first, second, boundary = _touching(labels)
    return from_edges(
        first,
        second,
        num_nodes=len(area),
        x=_means(pixels.reshape(labels.size, pixels.shape[2]), pixel_to_region).astype(pixels.dtype),
        nodes={"area": area, "centroid": _means(np.indices(labels.shape).reshape(2, -1).T, pixel_to_region)},
        edges={"boundary": boundary},
        undirected=True,
    )


def superpixel_labels(image: Any, *, num_segments: int = 100, compactness: float = 10.0) -> np.ndarray:
    """Region of every pixel, int64 [height, width], every number from 0 on: SLIC of scikit-image [1]_.

    Parameters
    ----------
    image : array, PIL image or path
        As for :func:`from_superpixels`.
    num_segments : int
        About how many regions.
    compactness : float
        Weight of nearness against colour.

    Raises
    ------
    MissingDependencyError
        When scikit-image is not installed.

    References
    ----------
    .. [1] Achanta et al., "SLIC Superpixels Compared to State-of-the-art Superpixel Methods", TPAMI 2012.
    """
    pixels = _one_image(image)
    num_segments = as_positive(num_segments, "num_segments")
    if not compactness > 0:
        raise InvalidArgumentError(f"compactness must be positive. Got {compactness}. Give for instance 10.0.")
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise require_package("scikit-image", "image", "Finding superpixels") from None
    if pixels.shape[0] * pixels.shape[1] == 0:
        return np.zeros(pixels.shape[:2], np.int64)
    labels = slic(pixels, n_segments=num_segments, compactness=compactness, start_label=0, channel_axis=-1)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)


def assignment_topology(labels: Any, *, num_regions: int | None = None) -> Topology:
    """The bipartite topology from pixels (or any nodes) to the regions they belong to.

    Parameters
    ----------
    labels : integers of any shape
        Region of every pixel, in C order; -1 for pixels of no region.
    num_regions : int, optional
        Default: the labels must hold every number from 0 on. With a number, regions may be empty.

    Returns
    -------
    Topology
        ``num_senders`` pixels, ``num_receivers`` regions, one edge per pixel. Its transpose leads back: mean over
        this one pools pixels into regions, a sum over the transpose gives every pixel what its region has.

    Raises
    ------
    DTypeError, InvalidGraphError
        When labels are no integers, or out of range.

    Examples
    --------
    >>> import gnnkit as gk
    >>> topology = gk.graph.assignment_topology([[0, 0], [1, -1]])
    >>> topology
    Topology(num_senders=4, num_receivers=2, num_edges=3)
    >>> topology.in_degree()
    array([2, 1])
    """
    flat = as_labels(labels).reshape(-1)
    counts = np.bincount(flat[flat >= 0])
    if num_regions is None:
        if not counts.all():
            raise InvalidGraphError(
                f"Labels must hold every number from 0 on. Label {int(np.argmin(counts))} has no pixel, the largest is "
                f"{len(counts) - 1}. Renumber with np.unique(labels, return_inverse=True)[1], or pass num_regions=."
            )
        num_regions = len(counts)
    elif len(counts) > as_count(num_regions, "num_regions"):
        pixel = int(np.argmax(flat >= num_regions))
        raise InvalidGraphError(
            f"Every label must be a region from 0 to num_regions - 1, {num_regions - 1}. Pixel {pixel} has label "
            f"{int(flat[pixel])}. Correct the labels or num_regions."
        )
    pixels = np.flatnonzero(flat >= 0)
    return Topology.sort(pixels, flat[pixels], num_senders=len(flat), num_receivers=num_regions)


def as_labels(labels: Any) -> np.ndarray:
    """Integers of at least -1, int64."""
    array = np.asarray(labels)
    if array.size == 0:
        return np.zeros(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"Labels must be integers, the region of every pixel. Got dtype {array.dtype}. "
            "Convert whole numbers with .astype(np.int64)."
        )
    if array.min() < -1:
        pixel = np.unravel_index(int(np.argmin(array)), array.shape)
        raise InvalidGraphError(
            "Labels must be 0 or more, or -1 for no region. "
            f"Pixel {tuple(int(i) for i in pixel)} has {int(array.min())}. Correct it."
        )
    return array.astype(np.int64)


def _one_image(image: Any) -> np.ndarray:
    pixels = np.asarray(raw(read_image(image)))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise ShapeError(
            f"An image must be [height, width] or [height, width, channels]. Got shape {pixels.shape}. "
            "Give one image at a time and join the graphs with gk.batch."
        )
    return pixels


def _means(rows: np.ndarray, topology: Topology) -> np.ndarray:
    """Mean of the rows of the pixels of every region, float64 [num_regions, channels]."""
    region = topology.receivers
    sums = [np.bincount(region, column[topology.senders], minlength=topology.num_receivers) for column in rows.T]
    means = np.array(sums).reshape(rows.shape[1], topology.num_receivers).T
    return means / np.maximum(topology.in_degree(), 1)[:, None]


def _touching(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of regions that touch, the smaller first, and how many pairs of pixels do."""
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1], labels[:, 1:]], axis=-1).reshape(-1, 2),
            np.stack([labels[:-1], labels[1:]], axis=-1).reshape(-1, 2),
        ]
    )
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    return distinct[:, 0], distinct[:, 1], counts.astype(np.int64)
