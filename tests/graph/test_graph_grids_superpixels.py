"""Region graphs of images, and the bipartite topologies between pixels and regions."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidGraphError,
    MissingDependencyError,
    ShapeError,
)
from gnnkit.graph import assignment_topology, superpixel_labels

LABELS = np.array([[0, 0, 1], [2, 2, 1], [2, 2, -1]])


def test_regions_by_hand() -> None:
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    g = gk.from_superpixels(image, LABELS)
    np.testing.assert_allclose(g.x.ravel(), [0.5, 3.5, 5.0])
    assert g.x.dtype == np.float32
    np.testing.assert_array_equal(g.nodes["area"], [2, 2, 4])
    np.testing.assert_allclose(g.nodes["centroid"], [[0, 0.5], [0.5, 2], [1.5, 0.5]])
    edges = {(s, r): n for s, r, n in zip(g.senders.tolist(), g.receivers.tolist(), g.edges["boundary"].tolist())}
    assert edges == {(0, 1): 1, (1, 0): 1, (0, 2): 2, (2, 0): 2, (1, 2): 1, (2, 1): 1}


def test_assignment_leads_from_pixels_to_regions_and_back() -> None:
    topology = assignment_topology(LABELS)
    assert (topology.num_senders, topology.num_receivers, topology.num_edges) == (9, 3, 8)
    np.testing.assert_array_equal(topology.senders, [0, 1, 2, 5, 3, 4, 6, 7])
    np.testing.assert_array_equal(topology.transpose().in_degree(), [1] * 8 + [0])
    assert assignment_topology(LABELS, num_regions=5).num_receivers == 5
    assert assignment_topology(np.zeros((0, 4), int)).num_receivers == 0


def test_empty_images_and_single_regions() -> None:
    assert gk.from_superpixels(np.zeros((0, 3)), np.zeros((0, 3), int)).num_nodes == 0
    one = gk.from_superpixels(np.ones((2, 3, 2)), np.zeros((2, 3), int))
    assert one.num_nodes == 1 and one.num_edges == 0 and one.x.shape == (1, 2)
    assert gk.from_superpixels(np.ones((2, 3, 0)), np.zeros((2, 3), int)).x.shape == (1, 0)
    none = gk.from_superpixels(np.ones((2, 3)), np.full((2, 3), -1))
    assert none.num_nodes == 0


def test_slic_finds_the_regions_of_a_simple_picture() -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    image = np.zeros((20, 20, 3), np.float32)
    image[:, 10:] = 1
    labels = superpixel_labels(image, num_segments=8)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    g = gk.from_superpixels(image, num_segments=8)
    assert g.num_nodes == labels.max() + 1 and set(g.x.ravel()) == {0.0, 1.0}
    assert superpixel_labels(np.zeros((0, 3))).shape == (0, 3)


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"gnnkit\[image\]"):
        gk.from_superpixels(np.zeros((4, 4)), num_segments=2)


def test_errors() -> None:
    image = np.zeros((3, 3))
    with pytest.raises(InvalidArgumentError, match=r"Got neither"):
        gk.from_superpixels(image)
    with pytest.raises(InvalidArgumentError, match=r"Got both"):
        gk.from_superpixels(image, LABELS, num_segments=3)
    with pytest.raises(ShapeError, match=r"one number per pixel, \(3, 3\)"):
        gk.from_superpixels(image, LABELS[:2])
    with pytest.raises(ShapeError, match=r"one image at a time"):
        gk.from_superpixels(np.zeros((2, 3, 3, 1)), LABELS)
    with pytest.raises(DTypeError, match=r"Labels must be integers"):
        assignment_topology(LABELS.astype(float))
    with pytest.raises(InvalidGraphError, match=r"Pixel \(0, 1\) has -2"):
        assignment_topology([[0, -2]])
    with pytest.raises(InvalidGraphError, match=r"Label 1 has no pixel, the largest is 2"):
        assignment_topology([0, 2])
    with pytest.raises(InvalidGraphError, match=r"Pixel 1 has label 2"):
        assignment_topology([0, 2], num_regions=2)
    with pytest.raises(InvalidArgumentError, match=r"compactness must be positive"):
        superpixel_labels(image, compactness=0)
