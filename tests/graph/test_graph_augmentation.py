"""Augmentation of image graphs: steps beside array operations, on batches, mixed sizes, holes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import DTypeError, InvalidArgumentError, UnknownNameError

T = gk.transforms


def images(*sizes: tuple[int, ...], channels: int = 2, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((*size, channels)).astype("float32") for size in sizes]


def numbered(size: tuple[int, int], count: int = 1) -> gk.Graph:
    """Pixels that tell their place, and labels that do too."""
    x = np.arange(1.0, 1 + count * size[0] * size[1], dtype="float32").reshape(count, *size, 1)
    return gk.from_image(x, nodes={"y": x[..., 0].astype(np.int64)})


STEPS = {
    "flip": T.random_flip,
    "flip both axes": partial(T.random_flip, axis=(0, 1)),
    "shift": T.random_shift,
    "jitter": T.colour_jitter,
    "drop": T.drop_pixels,
    "drop nodes": partial(T.drop_pixels, how="mask"),
}
BATCHES = {
    "one": lambda: gk.from_image(images((4, 5))[0]),
    "uniform": lambda: gk.from_image(np.stack(images((4, 5), (4, 5), (4, 5)))),
    "mixed": lambda: gk.from_image(images((4, 5), (1, 1), (6, 2))),
    "holes": lambda: gk.from_image(np.stack(images((3, 3), (3, 3))), mask=np.eye(3, dtype=bool)),
    "mixed holes": lambda: gk.from_image(images((2, 3), (3, 2)), mask=[np.ones((2, 3), bool), np.zeros((3, 2), bool)]),
    "sequence": lambda: gk.from_sequence(images((6,), (3,))),
    "volume": lambda: gk.from_volume(np.stack(images((2, 3, 4), (2, 3, 4)))),
    "no pixels": lambda: gk.from_image(np.zeros((2, 0, 3, 1), "float32")),
    "no images": lambda: gk.from_image(np.zeros((0, 3, 3, 1), "float32")),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("make", BATCHES.values(), ids=BATCHES)
def test_every_step_keeps_images_sizes_and_dtypes(make, step):
    g = make()
    g = g.replace(nodes={"y": np.arange(g.num_nodes)}, globals={"u": np.arange(g.num_graphs)})
    if step is STEPS["flip both axes"] and gk.graph.as_grid(g).ndim == 1:
        step = T.random_flip
    before = g.x.copy()
    out = step(g, rng=3)
    assert out.num_graphs == g.num_graphs and gk.graph.as_grid(out).sizes == gk.graph.as_grid(g).sizes
    assert isinstance(out.topology, gk.GridTopology) and out.topology.stencil == g.topology.stencil
    assert out.x.dtype == g.x.dtype and out.nodes["y"].dtype == g.nodes["y"].dtype
    assert np.array_equal(out.u, g.u)
    assert np.array_equal(g.x, before)  # the given graph stays
    assert np.array_equal(out.x, step(g, rng=3).x)  # same seed, same bits
    assert np.array_equal(out.x, step(g, rng=np.random.default_rng(3)).x)


def test_flip_is_numpys_and_moves_labels_along():
    g = numbered((2, 3), 2)
    for axis, name in ((-1, 2), (1, 2), (0, 1), (-2, 1)):
        out = T.random_flip(g, axis=axis, probability=1.0)
        assert np.array_equal(gk.to_image(out), np.flip(gk.to_image(g), axis=name))
        assert np.array_equal(out.nodes["y"], out.x[:, 0].astype(int))
    both = T.random_flip(g, axis=(0, 1), probability=1.0)
    assert np.array_equal(gk.to_image(both), gk.to_image(g)[:, ::-1, ::-1])
    assert np.array_equal(T.random_flip(g, probability=0.0).x, g.x)


def test_flip_draws_for_every_image():
    g = numbered((1, 2), 200)
    flipped = (gk.to_image(T.random_flip(g, probability=0.3, rng=0))[:, 0, 0, 0] % 2 == 0).mean()
    assert 0.2 < flipped < 0.4


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 5), width=st.integers(1, 5), count=st.integers(1, 3), pixels=st.integers(0, 6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_shift_is_a_roll_without_what_comes_back(height, width, count, pixels, seed):
    g = numbered((height, width), count)
    out = T.random_shift(g, pixels=pixels, fill=-5.0, label_fill=-7, rng=seed)
    found = set()
    for before, after, label in zip(gk.to_image(g, batched=True), gk.to_image(out, batched=True),
                                    gk.to_image(out, "y", batched=True)):  # fmt: skip
        framed = np.pad(before, ((pixels, pixels), (pixels, pixels), (0, 0)), constant_values=-5.0)
        fits = [
            (i, j)
            for i in range(2 * pixels + 1)
            for j in range(2 * pixels + 1)
            if np.array_equal(framed[i : i + height, j : j + width], after)
        ]
        assert fits
        found.update(fits)
        assert np.array_equal(label, np.where(after[..., 0] == -5.0, -7, after[..., 0]).astype(int))
    assert pixels or found == {(0, 0)}


def test_a_shift_has_its_own_reach_on_every_axis_and_uses_all_of_it():
    g = numbered((3, 3), 300)
    out = gk.to_image(T.random_shift(g, pixels=(0, 2), rng=0))
    start = (out[:, 0, :, 0] > 0).argmax(axis=1) - (out[:, 0, ::-1, 0] > 0).argmax(axis=1)
    assert sorted(set(start.tolist())) == [-2, -1, 0, 1, 2]
    assert (out.reshape(300, 3, 3)[:, :, :].max(axis=2) > 0).all()  # no row is ever lost


def test_holes_move_with_their_image():
    mask = np.array([[True, False, True]])
    g = gk.from_image(np.array([[[1.0], [2.0], [3.0]]]), mask=mask, nodes={"y": np.array([[0, 1, 2]])})
    for seed in range(12):
        out = T.random_shift(g, pixels=(0, 1), fill=9.0, rng=seed)
        row = gk.to_image(out, fill=0.0)[0, :, 0].tolist()
        assert row in ([1, 0, 3], [9, 1, 0], [0, 3, 9])
    flipped = T.random_flip(gk.from_image(np.array([[[1.0], [2.0]]]), mask=[[True, False]]), probability=1.0)
    assert gk.to_image(flipped, fill=0.0)[0, :, 0].tolist() == [0, 1]


def test_mixed_sizes_get_what_single_images_get():
    batch = gk.from_image(images((4, 5), (2, 7)))
    out = gk.to_image(T.random_shift(batch, pixels=1, rng=5))
    rng = np.random.default_rng(5)
    shifts = np.stack([rng.integers(-1, 2, size=2) for _ in range(2)], axis=1)
    for image, moved, shift in zip(gk.to_image(batch), out, shifts):
        framed = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        i, j = 1 - shift
        assert np.array_equal(moved, framed[i : i + image.shape[0], j : j + image.shape[1]])


def test_colour_jitter_moves_around_the_mean_of_each_image():
    g = gk.from_image(images((8, 8), (5, 4), channels=3))
    only = T.colour_jitter(g, brightness=0.3, contrast=0.0, limits=None, rng=0)
    for before, after in zip(gk.to_image(g), gk.to_image(only)):
        moved = after - before
        assert np.allclose(moved, moved[0, 0, 0], atol=1e-6) and 0 < abs(moved[0, 0, 0]) <= 0.3
    stretched = T.colour_jitter(g, brightness=0.0, contrast=0.5, limits=None, rng=0)
    for before, after in zip(gk.to_image(g), gk.to_image(stretched)):
        mean = before.mean(axis=(0, 1))
        assert np.allclose(after.mean(axis=(0, 1)), mean, atol=1e-5)
        factor = (after - mean) / (before - mean)
        assert np.allclose(factor, np.median(factor), atol=1e-2) and 0.5 <= np.median(factor) <= 1.5
    paler = T.colour_jitter(g, brightness=0.0, contrast=0.0, saturation=1.0, limits=None, rng=0)
    assert np.allclose(paler.x.mean(axis=1), g.x.mean(axis=1), atol=1e-5) and not np.allclose(paler.x, g.x)
    inside = T.colour_jitter(g, brightness=5.0, rng=0).x
    assert inside.min() >= 0 and inside.max() <= 1
    assert np.allclose(T.colour_jitter(g, brightness=0.0, contrast=0.0, limits=None).x, g.x, atol=1e-6)


def test_dropped_pixels_are_filled_or_no_nodes_any_more():
    g = gk.from_image(1 + np.stack(images((20, 20), (20, 20))))
    zero = T.drop_pixels(g, share=0.3, fill=-1.0, rng=0)
    lost = (zero.x == -1).all(axis=1)
    assert 0.25 < lost.mean() < 0.35 and np.array_equal(zero.x[~lost], g.x[~lost])
    holes = T.drop_pixels(g, share=0.3, how="mask", rng=0)
    assert holes.num_nodes == int((~lost).sum()) and np.array_equal(holes.x, g.x[~lost])
    assert np.array_equal(gk.to_image(holes, fill=-1.0), gk.to_image(zero))
    more = T.drop_pixels(holes, share=0.5, how="mask", rng=1)
    assert 0.4 * holes.num_nodes < more.num_nodes < 0.6 * holes.num_nodes
    assert np.array_equal(T.drop_pixels(g, share=0.0, rng=0).x, g.x)


def test_no_image_loses_all_of_its_nodes():
    g = gk.from_image(images((3, 3), (2, 2)))
    out = T.drop_pixels(g, share=1.0, how="mask", rng=0)
    assert np.diff(out.node_ptr).tolist() == [1, 1]
    assert (T.drop_pixels(g, share=1.0).x == 0).all()


def test_hexagonal_lattices_change_values_but_not_places():
    g = gk.from_image(np.ones((4, 4)), lattice="hexagonal")
    assert T.drop_pixels(g, share=0.5, how="mask", rng=0).topology.grid.lattice == "hexagonal"
    assert T.colour_jitter(g, rng=0).num_nodes == 16
    for step in (T.random_flip, T.random_shift):
        with pytest.raises(InvalidArgumentError, match=r"moves the pixels of square grids. Got a hexagonal lattice"):
            step(g)


def test_steps_are_joined_in_order_with_one_generator():
    g = numbered((3, 4), 5)
    joined = T.compose(T.random_flip, partial(T.random_shift, pixels=1))
    rng = np.random.default_rng(4)
    assert np.array_equal(joined(g, rng=4).x, T.random_shift(T.random_flip(g, rng=rng), pixels=1, rng=rng).x)
    assert T.compose()(g).x is g.x
    with pytest.raises(DTypeError, match=r"joins functions of \(graph, rng=\). Got int"):
        T.compose(T.random_flip, 3)


def test_bad_arguments_are_refused():
    g, listed = numbered((2, 2)), gk.path(3).replace(x=np.ones((3, 1)))
    for step in STEPS.values():
        with pytest.raises(DTypeError, match="This needs a graph on a grid"):
            step(listed)
    with pytest.raises(InvalidArgumentError, match=r"axes of the grid, -2 to 1. Got 2"):
        T.random_flip(g, axis=2)
    with pytest.raises(InvalidArgumentError, match=r"axes of the grid, -2 to 1. Got 'width'"):
        T.random_flip(g, axis="width")
    with pytest.raises(InvalidArgumentError, match=r"probability lies between 0 and 1. Got 1.5"):
        T.random_flip(g, probability=1.5)
    for wrong in (-1, 1.5, (1, 2, 3)):
        with pytest.raises(InvalidArgumentError, match="pixels is a whole number"):
            T.random_shift(g, pixels=wrong)
    with pytest.raises(InvalidArgumentError, match="brightness is a number, at least 0"):
        T.colour_jitter(g, brightness=-0.1)
    with pytest.raises(InvalidArgumentError, match="contrast lies between 0 and 1"):
        T.colour_jitter(g, contrast=2.0)
    with pytest.raises(UnknownNameError, match=r"way to drop pixels"):
        T.drop_pixels(g, how="remove")
    with pytest.raises(DTypeError, match="Got x of dtype int64"):
        T.colour_jitter(g.replace(x=g.x.astype(np.int64)))


@pytest.mark.parametrize(
    "change",
    [
        lambda g: gk.transforms.random_flip(g, probability=1.0, rng=0),
        lambda g: gk.transforms.random_shift(g, rng=0),
        lambda g: gk.transforms.drop_pixels(g, how="mask", rng=0),
    ],
)
def test_fields_of_edges_do_not_stay_where_pixels_move(change):
    g = gk.from_image(np.ones((3, 4)))
    with pytest.raises(gk.errors.InvalidFeatureError, match=r"Drop them with g\.without\('length'\)"):
        change(g.replace(edges={"length": np.arange(g.num_edges)}))


def test_changes_of_values_keep_the_shape_of_x():
    g = gk.from_image(np.ones((3, 4)))
    flat = g.replace(x=np.ones(12))
    assert gk.transforms.colour_jitter(flat, rng=0).x.shape == (12,)
    assert gk.transforms.drop_pixels(flat, rng=0).x.shape == (12,)
    none = gk.from_image(np.ones((3, 4, 0)))
    assert gk.transforms.colour_jitter(none, saturation=0.5, rng=0).x.shape == (12, 0)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), "much", -1.0])
def test_amounts_that_are_none_are_refused(amount):
    g = gk.from_image(np.ones((3, 4)))
    with pytest.raises(gk.errors.InvalidArgumentError, match="brightness"):
        gk.transforms.colour_jitter(g, brightness=amount)
    with pytest.raises(gk.errors.InvalidArgumentError, match="share"):
        gk.transforms.drop_pixels(g, share=amount)


def test_images_of_mixed_sizes_flip_each_for_itself():
    images = [np.arange(float(3 * n)).reshape(3, n) for n in range(2, 12)]
    flipped = gk.to_image(gk.transforms.random_flip(gk.from_image(images), rng=0))
    turned = [np.array_equal(new[..., 0], old[:, ::-1]) for new, old in zip(flipped, images)]
    kept = [np.array_equal(new[..., 0], old) for new, old in zip(flipped, images)]
    assert turned == (np.random.default_rng(0).random(10) < 0.5).tolist()
    assert kept == [not each for each in turned] and any(kept) and any(turned)
