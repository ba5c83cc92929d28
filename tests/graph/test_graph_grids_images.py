"""Images, volumes and sequences in and out of graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    FileFormatError,
    FileMissingError,
    InvalidFeatureError,
    ShapeError,
    UnknownFieldError,
    UnknownNameError,
)
from gnnkit.graph import GridTopology, Stencil


def test_the_number_of_axes_says_what_an_array_is() -> None:
    rng = np.random.default_rng(0)
    grey, colour, batch = rng.random((4, 5)), rng.random((4, 5, 3)), rng.random((2, 4, 5, 3))
    for image, shape, count in ((grey, (20, 1), 1), (colour, (20, 3), 1), (batch, (40, 3), 2)):
        g = gk.from_image(image)
        assert g.x.shape == shape and g.num_graphs == count and g.topology.grid.size == (4, 5)
        assert np.shares_memory(g.x, image)
        np.testing.assert_array_equal(gk.to_image(g), image.reshape(gk.to_image(g).shape))
    assert gk.from_image(np.zeros((3, 3, 2))).num_graphs == 1  # never a batch of grey images
    assert gk.to_image(gk.from_image(grey)).shape == (4, 5, 1)
    assert gk.to_image(gk.from_image(grey), batched=True).shape == (1, 4, 5, 1)


def test_the_graph_has_the_stencil_asked_for() -> None:
    g = gk.from_image(np.zeros((6, 6)), kernel_size=(3, 5), border="wrap")
    assert g.topology.stencil == Stencil((3, 5), border="wrap") and g.num_edges == 36 * 15


def test_numbers_become_floats_in_a_known_range() -> None:
    image = np.array([[0, 51], [255, 102]], np.uint8)
    np.testing.assert_allclose(gk.from_image(image).x.ravel(), [0, 0.2, 1, 0.4], rtol=1e-6)
    assert gk.from_image(image).x.dtype == np.float32
    np.testing.assert_array_equal(gk.from_image(image > 60).x.ravel(), np.float32([0, 0, 1, 1]))
    for dtype in (np.float16, np.float32, np.float64):
        assert gk.from_image(image.astype(dtype)).x.dtype == dtype
    for dtype in (np.int64, np.uint16, np.complex64):
        with pytest.raises(DTypeError, match=r"floats, uint8 \(0 to 255\) or booleans"):
            gk.from_image(image.astype(dtype))


def test_channels_may_come_first() -> None:
    image = np.random.default_rng(0).random((2, 3, 4, 5))
    g = gk.from_image(image, channels="first", nodes={"flow": image[:, :2], "y": image[:, 0]})
    np.testing.assert_array_equal(gk.to_image(g), image.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(gk.to_image(g, "flow"), image[:, :2].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(gk.to_image(g, "y"), image[:, 0])
    one = gk.from_image([image[0], image[1, :, :2]], channels="first")
    np.testing.assert_array_equal(gk.to_image(one)[1], image[1, :, :2].transpose(1, 2, 0))
    with pytest.raises(UnknownNameError, match=r"place of the channels"):
        gk.from_image(image, channels="middle")


def test_images_of_mixed_sizes_need_no_padding() -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((3, 4, 2)), rng.random((5, 2, 2)), rng.random((0, 4, 2)), rng.random((3, 4, 2))]
    labels = [rng.integers(0, 5, image.shape[:2]) for image in images]
    g = gk.from_image(images, nodes={"y": labels}, u=np.arange(4))
    np.testing.assert_array_equal(g.node_ptr, [0, 12, 22, 22, 34])
    assert isinstance(g.topology, GridTopology) and g.nodes["y"].dtype.kind == "i"
    for back, image in zip(gk.to_image(g), images):
        np.testing.assert_array_equal(back, image)
    for back, label in zip(gk.to_image(g, "y"), labels):
        np.testing.assert_array_equal(back, label)


def test_pixels_that_do_not_exist_are_no_nodes() -> None:
    rng = np.random.default_rng(0)
    images, mask = rng.random((2, 4, 5, 3)), rng.random((2, 4, 5)) < 0.6
    holes = np.where(mask[..., None], images, np.nan)
    g = gk.from_image(holes, mask=mask, nodes={"y": images[..., 0]})
    np.testing.assert_array_equal(g.x, images[mask])
    np.testing.assert_array_equal(g.nodes["y"], images[..., 0][mask])
    np.testing.assert_array_equal(gk.to_image(g, fill=np.nan), holes)
    np.testing.assert_array_equal(gk.to_image(g, "y", fill=-1), np.where(mask, images[..., 0], -1))
    mixed = gk.from_image([images[0], images[1, :2]], mask=[mask[0], mask[1, :2]])
    np.testing.assert_array_equal(mixed.x, np.concatenate([images[0][mask[0]], images[1, :2][mask[1, :2]]]))
    none = gk.from_image(images[0], mask=np.zeros((4, 5), bool))
    assert none.num_nodes == 0 and gk.to_image(none).shape == (4, 5, 3)
    with pytest.raises(InvalidFeatureError, match=r"must not be NaN"):
        gk.from_image(holes)
    assert gk.from_image(holes, allow_nan=True).num_nodes == 40


@pytest.mark.parametrize("shape", [(0, 5), (0, 0, 3), (0, 4, 4, 1), (2, 4, 0, 3), (2, 4, 4, 0)])
def test_empty_images_are_legal(shape: tuple[int, ...]) -> None:
    g = gk.from_image(np.zeros(shape))
    assert g.num_nodes == int(np.prod(shape[-3:-1] if len(shape) > 2 else shape)) * (shape[0] if len(shape) == 4 else 1)
    assert gk.to_image(g, batched=len(shape) == 4).shape == (shape if len(shape) > 2 else (*shape, 1))


def test_tensors_keep_their_gradient() -> None:
    image = gk.tensor(np.random.default_rng(0).random((2, 3, 3, 1)), requires_grad=True)
    for g in (
        gk.from_image(image),
        gk.from_image(image, mask=np.ones((3, 3), bool) ^ np.eye(3, dtype=bool)),
        gk.from_image([image[0], image[1]]),
    ):
        image.grad = None
        (g.x**2).sum().backward()
        assert image.grad is not None and np.count_nonzero(image.grad.data) == g.num_nodes
        assert isinstance(gk.to_image(g), np.ndarray)


def test_sequences_volumes_and_the_general_door() -> None:
    rng = np.random.default_rng(0)
    sequence, volume = rng.random((2, 7, 3)), rng.random((2, 3, 4, 5, 2))
    for g, array in (
        (gk.from_sequence(sequence), sequence),
        (gk.from_volume(volume), volume),
        (gk.from_grid_array(sequence, ndim=1), sequence),
        (gk.from_grid_array(volume, ndim=3), volume),
    ):
        assert g.num_graphs == 2
        np.testing.assert_array_equal(gk.to_image(g), array)
    assert gk.from_sequence(sequence[0, :, 0]).topology is gk.from_sequence(sequence[0]).topology
    with pytest.raises(ShapeError, match=r"\[depth, height, width\] or \[depth, height, width, channels\]"):
        gk.from_volume(np.zeros((3, 3)))


def test_explicit_edges_are_the_same_graph() -> None:
    g = gk.from_image(np.random.default_rng(0).random((2, 3, 4, 1)), border="edge", u=np.arange(2))
    plain = gk.transforms.to_explicit(g)
    assert type(plain.topology) is gk.Topology and plain.num_graphs == 2
    np.testing.assert_array_equal(plain.edges["offset"], g.topology.offset)
    np.testing.assert_array_equal(plain.edge_ptr, g.edge_ptr)
    assert plain.topology == g.topology and plain.x is g.x and plain.u is g.u
    with pytest.raises(DTypeError, match=r"listed edges already"):
        gk.transforms.to_explicit(plain)


# ------------------------------------------------------------------ PIL and files
def pictures() -> Any:
    return pytest.importorskip("PIL.Image")


def test_pil_images_of_every_mode() -> None:
    image = pictures()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 4), np.uint8)
    whole = image.fromarray(pixels)
    for mode, channels in {"RGBA": 4, "RGB": 3, "L": 1, "LA": 2, "1": 1, "F": 1, "CMYK": 3, "P": 3, "HSV": 3}.items():
        g = gk.from_image(whole.convert("RGB").convert(mode), channels="first")  # a picture has them last always
        assert g.x.shape == (20, channels) and g.x.dtype == np.float32 and g.topology.grid.size == (4, 5)
    np.testing.assert_allclose(gk.from_image(whole).x * 255, pixels.reshape(20, 4), atol=1e-4)
    both = gk.from_image([whole.convert("RGB"), np.zeros((2, 2, 3), np.uint8)])
    np.testing.assert_array_equal(both.node_ptr, [0, 20, 24])


def test_files_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    image = pictures()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    path = tmp_path / "a.png"
    image.fromarray(pixels).save(path)
    for given in (path, str(path)):
        np.testing.assert_array_equal(gk.from_image(given).x, gk.from_image(pixels).x)
    assert gk.from_image([path, path]).num_graphs == 2
    with pytest.raises(FileMissingError, match=r"no file '.*b\.png'"):
        gk.from_image(tmp_path / "b.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "half.png").write_bytes(path.read_bytes()[:60])
    for name in ("text.png", "half.png"):
        with pytest.raises(FileFormatError, match=r"whole and of a format that PIL reads"):
            gk.from_image(tmp_path / name)


def test_errors_of_the_doors() -> None:
    with pytest.raises(ShapeError, match=r"One image must be.*Got shape \(2, 2, 2, 2, 2\)"):
        gk.from_image(np.zeros((2,) * 5))
    with pytest.raises(ShapeError, match=r"Got an empty list"):
        gk.from_image([])
    with pytest.raises(ShapeError, match=r"Image 1 has shape \(2, 2, 2, 1\)"):
        gk.from_image([np.zeros((2, 2)), np.zeros((2, 2, 2, 1))])
    with pytest.raises(ShapeError, match=r"Image 0 has 1, image 1 has 3"):
        gk.from_image([np.zeros((2, 2)), np.zeros((2, 2, 3))])
    with pytest.raises(DTypeError, match=r"Image 0 has float64, image 1 has float32"):
        gk.from_image([np.zeros((2, 2)), np.zeros((2, 2), np.float32)])
    with pytest.raises(DTypeError, match=r"masked array.*~image.mask"):
        gk.from_image(np.ma.masked_array(np.zeros((2, 2))))
    with pytest.raises(DTypeError, match=r"dict of dtype object"):
        gk.from_image({})
    with pytest.raises(ShapeError, match=r"'y' must have one value or one row.*\[2, 2\].*Got shape \(4,\)"):
        gk.from_image(np.zeros((2, 2)), nodes={"y": np.zeros(4)})
    with pytest.raises(ShapeError, match=r"list of one array per image.*Got 1 items"):
        gk.from_image([np.zeros((2, 2))] * 2, nodes={"y": [np.zeros((2, 2))]})
    with pytest.raises(ShapeError, match=r"graph field 'u' must have one row per graph"):
        gk.from_image(np.zeros((2, 2)), u=np.zeros((2, 1)))
    with pytest.raises(UnknownFieldError, match=r"no node field 'y'"):
        gk.to_image(gk.from_image(np.zeros((2, 2))), "y")
    with pytest.raises(DTypeError, match=r"graph on a grid"):
        gk.to_image(gk.path(3))


def test_tensors_of_bytes_are_read_as_arrays_of_bytes() -> None:
    pixels = np.array([[0, 51], [255, 102]], np.uint8)
    g = gk.from_image(gk.tensor(pixels))
    np.testing.assert_array_equal(g.x, gk.from_image(pixels).x)
    with pytest.raises(DTypeError, match="whose range is not known"):
        gk.from_image(gk.tensor(pixels.astype(np.int64)))


def test_another_field_x_does_not_replace_the_image() -> None:
    with pytest.raises(InvalidFeatureError, match="The node field 'x' must be the image itself"):
        gk.from_image(np.zeros((2, 2)), nodes={"x": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("dtype", "fill"), [("int64", 0.5), ("int64", np.nan), ("uint8", -1), ("uint8", 256), ("bool", 2)]
)
def test_holes_are_not_filled_with_what_the_field_cannot_hold(dtype: str, fill: float) -> None:
    values = np.ones((2, 2), dtype)
    g = gk.from_image(np.zeros((2, 2)), mask=np.eye(2, dtype=bool), nodes={"y": values})
    with pytest.raises(DTypeError, match="fill must be a value of the field"):
        gk.to_image(g, "y", fill=fill)
    assert gk.to_image(g, "y").tolist() == [[1, 0], [0, 1]]
    assert gk.to_image(g, "y", fill=1.0).dtype == np.dtype(dtype)


def test_masks_of_different_sizes_may_be_nested_lists() -> None:
    images = [np.zeros((1, 2)), np.zeros((2, 1))]
    g = gk.from_image(images, mask=[[[True, False]], [[True], [True]]])
    assert g.node_ptr.tolist() == [0, 1, 3]
    with pytest.raises(ShapeError, match="must have rows of one length"):
        gk.from_image(images, mask=[[[True, False]], [[True], [True, False]]])
