"""Pictures of graphs on grids: what is drawn where, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, UnknownFieldError, UnknownNameError
from gnnkit.graph import Grid, Stencil, grid_topology
from gnnkit.plot.sheets import arrange, colours, panels_of, span

pytest.importorskip("matplotlib")

PNG = b"\x89PNG"


def texts(figure) -> list[str]:
    found = [t.get_text() for axis in figure.axes for t in axis.texts]
    for axis in figure.axes:
        found.append(axis.get_title(loc="left"))
        legend = axis.get_legend()
        found += [t.get_text() for t in legend.get_texts()] if legend else []
    return found


def pictures(figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def test_an_image_shows_its_pixels_in_their_places(tmp_path):
    array = np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.25]])
    figure = gk.plot.image(gk.from_image(array), tmp_path / "image.png", title="six pixels", numbers=True)
    (shown,) = pictures(figure)
    np.testing.assert_allclose(shown[..., 0], array, atol=0.005)  # 256 steps of grey
    assert (shown[..., 3] == 1).all()
    assert {"six pixels", "0.25", "0.5"} <= set(texts(figure))
    assert (tmp_path / "image.png").read_bytes().startswith(PNG)


def test_colours_and_other_fields(rng):
    array = rng.random((4, 5, 3))
    (shown,) = pictures(gk.plot.image(gk.from_image(array)))
    np.testing.assert_allclose(shown[..., :3], array)
    (one,) = pictures(gk.plot.image(gk.from_image(array), channel=2))
    np.testing.assert_allclose(one[..., 1], array[..., 2], atol=0.005)
    (own,) = pictures(gk.plot.image(gk.from_image(array), field=gk.tensor(np.arange(20.0) / 20)))
    np.testing.assert_allclose(own[..., 1].ravel(), np.arange(20) / 20, atol=0.005)


def test_missing_pixels_are_clear_and_hatched(rng):
    mask = np.array([[True, False], [True, True]])
    figure = gk.plot.image(gk.from_image(rng.random((2, 2)), mask=mask))
    (shown,) = pictures(figure)
    np.testing.assert_array_equal(shown[..., 3] == 1, mask)
    assert [patch.get_hatch() for patch in figure.axes[0].patches].count("//////") == 1
    hexagons = gk.plot.image(gk.from_image(rng.random((3, 3)), mask=np.eye(3, dtype=bool), lattice="hexagonal"))
    assert sorted(len(c.get_paths()) for c in hexagons.axes[0].collections) == [3, 6]


def test_a_batch_is_a_sheet_without_overlaps(rng, tmp_path):
    images = [rng.random((h, w, 1)) for h, w in ((4, 9), (6, 3), (2, 2), (9, 9), (5, 1))]
    captions = [f"number {i}" for i in range(5)]
    figure = gk.plot.image(gk.from_image(images), tmp_path / "sheet.png", captions=captions, bar=True)
    assert [shown.shape[:2] for shown in pictures(figure)] == [image.shape[:2] for image in images]
    assert set(captions) <= set(texts(figure))
    boxes = [image.get_extent() for image in figure.axes[0].images]
    for i, (left, right, bottom, top) in enumerate(boxes):
        for other in boxes[:i]:
            assert right <= other[0] or left >= other[1] or bottom <= other[3] or top >= other[2]
    many = gk.plot.image(gk.from_image(np.zeros((30, 4, 4, 1))), max_images=12)
    assert len(pictures(many)) == 12 and "the first 12 of 30" in texts(many)


def test_volumes_are_slices_and_sequences_are_strips(rng):
    assert [p.shape[:2] for p in pictures(gk.plot.image(gk.from_volume(rng.random((3, 4, 5)))))] == [(4, 5)] * 3
    assert [p.shape[:2] for p in pictures(gk.plot.image(gk.from_sequence([rng.random(7), rng.random(2)])))] == [
        (1, 7),
        (1, 2),
    ]


def test_images_without_pixels(rng):
    assert "no pixels" in texts(gk.plot.image(gk.from_image(np.zeros((0, 4)))))
    assert "no pixels" in texts(gk.plot.image(gk.from_image(np.zeros((0, 4, 4, 1)))))
    gone = gk.from_image(rng.random((3, 3)), mask=np.zeros((3, 3), bool))
    assert not pictures(gk.plot.image(gone))[0][..., 3].any()
    assert "no pixels" in texts(gk.plot.feature_maps(gone))
    assert "no pixels" in texts(gk.plot.segmentation(gk.from_image(np.zeros((0, 4))), np.zeros(0, int)))


def test_what_an_image_refuses(rng):
    with pytest.raises(DTypeError, match=r"needs a graph on a grid, such as an image"):
        gk.plot.image(gk.path(3).replace(x=np.ones((3, 1))))
    graph = gk.from_image(rng.random((3, 3, 5)))
    with pytest.raises(ShapeError, match=r"1 channel \(grey\) or 3 .* Got 5 channels"):
        gk.plot.image(graph)
    with pytest.raises(InvalidArgumentError, match=r"number in \[0, 5\). Got 5"):
        gk.plot.image(graph, channel=5)
    with pytest.raises(UnknownFieldError, match=r"Got 'y'; the graph has x"):
        gk.plot.image(graph, field="y")
    with pytest.raises(ShapeError, match=r"each of the 9 pixels. Got shape \(3, 3\)"):
        gk.plot.image(graph, field=np.zeros((3, 3)))
    with pytest.raises(ShapeError, match=r"one text for each of the 2 images. Got 1"):
        gk.plot.image(gk.from_image(rng.random((2, 3, 3, 1))), captions=["one"])
    with pytest.raises(ShapeError, match=r"each of the 9 pixels. Got 1"):
        gk.plot.image(graph, channel=0, numbers=["a"])


def test_feature_maps_share_one_scale(rng, tmp_path):
    x = np.stack([np.full(6, -2.0), np.zeros(6), np.arange(6.0)], axis=1)
    graph = gk.from_image(x.reshape(2, 3, 3))
    figure = gk.plot.feature_maps(graph, tmp_path / "maps.png")
    negative, zero, rising = pictures(figure)
    assert (zero[..., :3] > 0.9).all()  # zero is white
    assert (negative[..., 2] > negative[..., 0]).all() and rising[-1, -1, 0] > rising[-1, -1, 2]  # blue, and red
    assert {"channel 0", "channel 2"} <= set(texts(figure)) and len(figure.axes) == 2
    batch = gk.from_image(rng.random((2, 4, 4, 20)))
    rows = gk.plot.feature_maps(batch, captions=["left", "right"], bar=False)
    assert len(pictures(rows)) == 32 and {"left", "right", "16 of 20 channels"} <= set(texts(rows))
    assert len(pictures(gk.plot.feature_maps(batch, channels=[3, 19], max_images=1))) == 2
    with pytest.raises(InvalidArgumentError, match=r"numbers in \[0, 20\)"):
        gk.plot.feature_maps(batch, channels=[20])


def test_segmentations_show_where_they_are_wrong(rng, tmp_path):
    graph = gk.from_image(rng.random((2, 4, 4, 1)))
    truth = np.tile([0, 1, 1, 2], 8)
    said = truth.copy()
    said[5] = 0
    figure = gk.plot.segmentation(
        graph, said, tmp_path / "classes.png", truth=truth, class_names=["paper", "ink", "frame"], background=0
    )
    assert {"image", "prediction", "truth", "wrong pixels", "ink (50%)", "frame (25%)"} <= set(texts(figure))
    assert "paper (25%)" not in texts(figure)
    layers = pictures(figure)
    wrong = [p for p in layers if np.isclose(p[..., 0], 0.84).any()]
    assert len(wrong) == 1 and np.argwhere(np.isclose(wrong[0][..., 0], 0.84)).tolist() == [[1, 1]]
    alone = gk.plot.segmentation(graph, truth, field=None, legend=False)
    assert "classes" in texts(alone) and "image" not in texts(alone)
    with pytest.raises(ShapeError, match=r"one class 0, 1, 2, ... for each of the 32 pixels. Got float64"):
        gk.plot.segmentation(graph, rng.random(32))
    with pytest.raises(ShapeError, match=r"Got 2 names for 3 classes"):
        gk.plot.segmentation(graph, truth, class_names=["a", "b"])


def test_a_stencil_colours_edges_by_offset(tmp_path):
    figure = gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4))), tmp_path / "stencil.png", title="3 x 3")
    lines = next(c for c in figure.axes[0].collections if type(c).__name__ == "LineCollection")
    assert len(lines.get_segments()) == 10 * 10  # a pixel hears (3 or 2 at the border) rows times columns
    assert len(np.unique(lines.get_colors(), axis=0)) == 9
    assert [f"W{k}" for k in range(9)] == [t for t in texts(figure) if t.startswith("W")]
    hexagonal = gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4)), lattice="hexagonal"))
    assert [t for t in texts(hexagonal) if t.startswith("W")] == [f"W{k}" for k in range(7)]


@pytest.mark.parametrize(
    ("border", "beyond"),
    [("zero", []), ("edge", [0, 0, 1, 0, 4]), ("reflect", [5, 4, 5, 1, 5]), ("wrap", [15, 12, 13, 3, 7])],
)
def test_a_corner_says_which_pixels_a_border_reads(border, beyond):
    figure = gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4)), border=border), receiver=0)
    assert [int(t.split()[1]) for t in texts(figure) if t.startswith("pixel")] == beyond
    assert texts(figure).count("0") == 1 + (5 if border == "zero" else 0)  # the number of pixel 0, and nothing read


def test_stencils_between_two_grids():
    stride = grid_topology(Grid((6, 6)), Stencil(3, ndim=2, stride=2))
    for topology, receiver in ((stride, None), (stride, 4), (stride.transpose(), None), (stride.transpose(), 14)):
        assert texts(gk.plot.draw_stencil(topology, receiver=receiver))
    row = gk.plot.draw_stencil(grid_topology(Grid((5,)), Stencil(3, ndim=1, border="wrap")))
    assert {"senders", "receivers"} <= set(texts(row)) and texts(row).count("4") == 3  # once as a ghost
    assert texts(gk.plot.draw_stencil(grid_topology(Grid((9,)), Stencil(3, ndim=1, stride=2)).transpose(), receiver=1))
    batch = gk.from_image(np.zeros((3, 4, 4, 1)))
    assert texts(gk.plot.draw_stencil(batch)) == texts(gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4)))))
    assert "no pixels" in texts(gk.plot.draw_stencil(gk.from_image(np.zeros((0, 4)))))


def test_what_a_stencil_refuses():
    with pytest.raises(DTypeError, match=r"drawn for a grid, such as an image. Got Graph"):
        gk.plot.draw_stencil(gk.path(3))
    with pytest.raises(InvalidArgumentError, match=r"1 or 2 axes and at most 600 cells"):
        gk.plot.draw_stencil(gk.from_volume(np.zeros((2, 2, 2))))
    with pytest.raises(InvalidArgumentError, match=r"1 or 2 axes and at most 600 cells"):
        gk.plot.draw_stencil(gk.from_image(np.zeros((30, 30))))
    with pytest.raises(InvalidArgumentError, match=r"receiver lies in \[0, 16\). Got 16"):
        gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4))), receiver=16)


def test_several_pictures_in_one_figure(rng, tmp_path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    batch = gk.from_image(rng.random((4, 5, 5, 1)))
    assert gk.plot.image(batch, ax=axes[0, 0], title="four") is figure
    gk.plot.feature_maps(batch, ax=axes[0, 1])
    gk.plot.segmentation(batch, np.arange(100) % 3, ax=axes[1, 0])
    gk.plot.draw_stencil(gk.from_image(np.zeros((4, 4))), ax=axes[1, 1])
    figure.savefig(tmp_path / "four.png")
    assert tuple(figure.get_size_inches()) == (10, 8) and "four" in texts(figure)


def test_sheets_and_scales():
    sheet = arrange([(4, 4)] * 7, columns=3)
    assert len(sheet.origins) == 7 and sheet.width > sheet.height * 0.9
    assert arrange([]).origins.shape == (0, 2)
    assert span(np.array([0.2, 0.7]), None) == (0.0, 1.0) and span(np.array([-1.0, 3.0]), None) == (-1.0, 3.0)
    assert span(np.array([3], np.uint8), None) == (0.0, 255.0) and span(np.array([5.0]), (1, 2)) == (1.0, 2.0)
    assert colours(np.array([0.5, np.nan]), 0.0, 1.0, "gray")[:, 3].tolist() == [1.0, 0.0]
    (panel,) = panels_of(Grid((2, 3), lattice="hexagonal"))
    np.testing.assert_allclose(np.diff(panel.centres()[[0, 3]], axis=0), [[0.5, np.sqrt(3) / 2]])


def test_what_is_no_colour_is_refused():
    g = gk.from_image(np.zeros((2, 2)), nodes={"name": np.array([["a", "b"], ["c", "d"]])})
    with pytest.raises(DTypeError, match="A picture shows real numbers"):
        gk.plot.image(g, field="name")
    with pytest.raises(DTypeError, match="complex128"):
        gk.plot.image(g, field=np.ones(4) * 1j)
    with pytest.raises(UnknownNameError, match="scale must name a colour map"):
        gk.plot.image(g, scale="nope")
