"""Upsample in all modes: direct formulas, known numbers of PyTorch, sizes, masks, adjoints; Flatten and OnGlobals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from grid_cases import gradients, on_grid

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit import nn
from gnnkit.errors import (
    GnnkitError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.graph import Grid

MODES = ("nearest", "zero", "bilinear")


def along(mode, coarse, fine, scale):
    """The map of one axis as a matrix [fine, coarse], by its definition."""
    matrix = np.zeros((fine, coarse))
    for i in range(fine):
        if mode == "nearest":
            matrix[i, min(i // scale, coarse - 1)] = 1
        elif mode == "zero":
            if i % scale == 0 and i // scale < coarse:
                matrix[i, i // scale] = 1
        else:
            place = min(max((i + 0.5) / scale - 0.5, 0), coarse - 1)
            below = int(np.floor(place))
            matrix[i, below] += 1 - (place - below)
            if place > below:
                matrix[i, below + 1] += place - below
    return matrix


def upsampled(mode, image, fine, scale):
    for axis, (big, step) in enumerate(zip(fine, scale)):
        matrix = along(mode, image.shape[axis], big, step)
        image = np.moveaxis(np.tensordot(matrix, image, axes=(1, axis)), 0, axis)
    return image


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "scale"), [((5,), 3), ((3, 4), 2), ((2, 3), (3, 1)), ((2, 3, 2), 2), ((1, 1), 4)])
def test_whole_factors(mode, size, scale):
    array = np.random.default_rng(0).normal(size=(2, *size, 3))
    steps = scale if isinstance(scale, tuple) else (scale,) * len(size)
    fine = tuple(n * s for n, s in zip(size, steps))
    out = nn.Upsample(scale, mode=mode)(gk.from_grid_array(array, ndim=len(size)))
    want = np.stack([upsampled(mode, image, fine, steps) for image in array])
    assert out.topology.grid.size == fine
    np.testing.assert_allclose(gk.to_image(out), want, atol=1e-12)


def test_known_numbers_of_bilinear_interpolation():
    """What torch.nn.functional.interpolate(mode="bilinear", align_corners=False) gives."""
    graph = gk.from_image(np.array([[1.0, 2.0], [3.0, 4.0]])[..., None])
    want = [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]
    np.testing.assert_allclose(gk.to_image(nn.Upsample(2, mode="bilinear")(graph))[..., 0], want)
    ramp = gk.from_sequence(np.array([[0.0], [3.0], [6.0]]))
    thirds = nn.Upsample(3, mode="bilinear")(ramp).x.numpy().ravel()
    np.testing.assert_allclose(thirds, [0, 0, 1, 2, 3, 4, 5, 6, 6])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_odd_sizes_come_back_onto_the_graph_that_was_pooled(mode, padding):
    sizes = [(5, 7), (4, 4), (3, 6)]
    rng = np.random.default_rng(0)
    graph = gk.from_image([rng.normal(size=(*size, 2)) for size in sizes])
    coarse = nn.MeanPool(2, padding=padding)(graph)
    out = nn.Upsample(2, mode=mode)(coarse, onto=graph)
    assert out.topology is graph.topology
    images = [gk.to_image(part) for part in gk.unbatch(coarse)]
    want = [upsampled(mode, image, size, (2, 2)).reshape(-1, 2) for image, size in zip(images, sizes)]
    np.testing.assert_allclose(out.x.numpy(), np.concatenate(want), atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_masks_are_restored_exactly(mode):
    rng = np.random.default_rng(3)
    mask, image = rng.random((7, 9)) < 0.5, rng.normal(size=(7, 9, 2))
    graph = gk.from_image(image, mask=mask)
    coarse = nn.MaxPool(2, padding="same")(graph)
    out = nn.Upsample(2, mode=mode)(coarse, onto=graph)
    assert out.topology is graph.topology
    values = np.where(coarse.topology.grid.mask.reshape(4, 5)[..., None], gk.to_image(coarse), np.nan)
    rows, columns = along(mode, 4, 7, 2), along(mode, 5, 9, 2)
    for node, (i, j) in enumerate(np.argwhere(mask)):
        weights = np.outer(rows[i], columns[j])
        there = (weights > 0) & ~np.isnan(values[..., 0])
        total = weights[there].sum() if mode == "bilinear" else 1.0
        want = (weights[there] / total) @ values[there] if there.any() else np.zeros(2)
        np.testing.assert_allclose(out.x.numpy()[node], want, atol=1e-12)


def test_a_mask_is_repeated_like_the_pixels():
    mask = np.array([[True, False], [True, True]])
    graph = gk.from_image(np.arange(1.0, 5.0).reshape(2, 2, 1), mask=mask)
    out = nn.Upsample(2)(graph)
    np.testing.assert_array_equal(out.topology.grid.mask.reshape(4, 4), mask.repeat(2, axis=0).repeat(2, axis=1))
    assert sorted(out.x.numpy().ravel().tolist()) == [1] * 4 + [3] * 4 + [4] * 4
    batch = nn.Upsample((1, 3))(gk.batch([graph, gk.from_image(np.ones((1, 2, 1)))]))
    assert batch.topology.grid.sizes == ((2, 6), (1, 6))
    assert batch.num_nodes == 9 + 6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_run_along_the_reversed_edges(mode, masked):
    rng = np.random.default_rng(1)
    grid = Grid([(3, 4), (2, 5)], mask=[rng.random((3, 4)) < 0.7, rng.random((2, 5)) < 0.7] if masked else None)
    graph = on_grid(grid, rng.normal(size=(grid.num_nodes, 2)))
    layer = nn.Upsample(2, mode=mode)
    edges = layer.topology(graph)
    out = layer(graph)
    y = rng.normal(size=out.x.shape)
    leaf = gk.tensor(graph.x, requires_grad=True)
    layer(graph.replace(x=leaf)).x.backward(y)
    # <up(x), y> = <x, up'(y)>
    np.testing.assert_allclose(np.sum(out.x.numpy() * y), np.sum(graph.x * leaf.grad.numpy()), atol=1e-10)
    assert edges.num_senders == graph.num_nodes
    assert edges.num_receivers == out.num_nodes
    gk.assert_gradients(lambda x: np.sum(np.sin(layer(graph.replace(x=x)).x)), graph.x, order=2)


def test_zero_fill_is_the_adjoint_of_stride_pooling():
    rng = np.random.default_rng(0)
    fine = gk.from_image(rng.normal(size=(5, 6, 2)))
    down = nn.StridePool(2)
    y = rng.normal(size=(9, 2))
    up = nn.Upsample(2, mode="zero")(down(fine).replace(x=y), onto=fine)
    np.testing.assert_allclose(np.sum(down(fine).x.numpy() * y), np.sum(fine.x * up.x.numpy()), atol=1e-12)


def test_random_placement_puts_every_value_once_into_its_block():
    rng = np.random.default_rng(0)
    image = rng.uniform(1, 2, (6, 5, 3))
    layer = nn.Upsample(2, mode="random").seed(0)
    graph = gk.from_image(image)
    one, other = gk.to_image(layer(graph)), gk.to_image(layer(graph))
    assert not np.array_equal(one, other)
    blocks = one.reshape(6, 2, 5, 2, 3).transpose(0, 2, 4, 1, 3).reshape(6, 5, 3, 4)
    assert ((blocks > 0).sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(blocks.sum(axis=-1), image)
    again = gk.to_image(nn.Upsample(2, mode="random").seed(0)(graph))
    np.testing.assert_array_equal(one, again)
    places = np.concatenate([gk.to_image(layer(graph)).reshape(6, 2, 5, 2, 3) > 0 for _ in range(60)])
    assert abs(places.mean(axis=(0, 2, 4)) - 0.25).max() < 0.03
    leaf = gk.tensor(graph.x, requires_grad=True)
    layer(graph.replace(x=leaf)).x.backward(np.full((120, 3), 2.0))
    np.testing.assert_array_equal(leaf.grad.numpy(), np.full((30, 3), 2.0))


def test_random_placement_on_holes_uses_the_pixels_that_exist():
    mask = np.random.default_rng(3).random((7, 9)) < 0.4
    graph = gk.from_image(np.ones((7, 9, 2)), mask=mask)
    coarse = nn.MaxPool(2, padding="same")(graph)
    out = nn.Upsample(2, mode="random").seed(1)(coarse, onto=graph)
    assert out.x.numpy().sum(axis=0).tolist() == [coarse.num_nodes] * 2
    other = gk.from_image(np.ones((4, 5, 2)))  # some coarse pixels have no fine one: their values are dropped
    fewer = nn.Upsample(2, mode="random").seed(1)(other, onto=graph)
    assert fewer.x.numpy().sum(axis=0).tolist() == [coarse.num_nodes] * 2


def test_only_random_placement_is_stochastic():
    model = nn.Sequential(nn.Upsample(2), nn.Upsample(2, mode="random"))
    assert list(model.rng_state()) == ["1"]


@pytest.mark.parametrize("mode", [*MODES, "random"])
@pytest.mark.parametrize("grid", [Grid((4, 4), num_graphs=0), Grid((0, 4)), Grid((3, 3), mask=np.zeros((3, 3), bool))])
@pytest.mark.parametrize("channels", [0, 2])
def test_empty_images_and_no_channels(mode, grid, channels):
    layer = nn.Upsample(2, mode=mode)
    out = layer(on_grid(grid, np.zeros((grid.num_nodes, channels), "float32")))
    assert out.x.shape == (0, channels)
    assert out.num_graphs == grid.num_graphs
    assert layer(gk.from_image(np.zeros((2, 3, 3, channels), "float32"))).x.shape == (72, channels)


@pytest.mark.parametrize("mode", MODES)
def test_backends_and_precisions_agree(mode):
    graph = on_grid(Grid([(3, 4), (2, 5)]), np.random.default_rng(0).normal(size=(22, 3)))
    layer = nn.Upsample(2, mode=mode)
    fast = gradients(layer, graph)
    with K.use_backend("numpy"):
        plain = gradients(layer, graph)
    single = gradients(layer, graph.replace(x=graph.x.astype("float32")))
    for key in fast:
        np.testing.assert_allclose(fast[key], plain[key], atol=1e-12)
        np.testing.assert_allclose(fast[key], single[key], atol=1e-5)
        assert single[key].dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda g: nn.Upsample(0), InvalidArgumentError, "at least 1"),
        (lambda g: nn.Upsample(1.5), InvalidArgumentError, "at least 1"),
        (lambda g: nn.Upsample(2, mode="cubic"), UnknownNameError, "cubic"),
        (lambda g: nn.Upsample((2, 2, 2))(g), ShapeError, "one per axis of the grid, 2"),
        (lambda g: nn.Upsample(2)(g, onto=gk.from_image(np.ones((5, 5, 1)))), InvalidGraphError, "about so many times"),
        (lambda g: nn.Upsample(2)(g, onto=gk.from_image(np.ones((2, 8, 8, 1)))), InvalidGraphError, "as many as there"),
        (lambda g: nn.Upsample(2)(g, onto=gk.cycle(4)), GnnkitError, "from_image"),
        (lambda g: nn.Upsample(2)(gk.cycle(4).replace(x=np.ones((4, 1)))), GnnkitError, "from_image"),
        (lambda g: nn.Upsample(2)(gk.from_image(np.ones((4, 4, 1)), lattice="hexagonal")), InvalidGraphError, "square"),
    ],
)
def test_wrong_uses_are_explained(call, error, text):
    with pytest.raises(error, match=text):
        call(gk.from_image(np.ones((4, 4, 1))))


def test_flatten_is_a_reshape():
    array = np.random.default_rng(0).normal(size=(5, 3, 4, 2))
    graph = gk.from_image(array)
    out = nn.Flatten()(graph)
    np.testing.assert_array_equal(out.u.numpy(), array.reshape(5, 24))
    assert out.topology is graph.topology
    head = nn.Linear(24, 3, rng=0).astype("float64")
    np.testing.assert_array_equal(nn.Flatten(head=head)(graph).u.numpy(), head(array.reshape(5, 24)).numpy())
    np.testing.assert_array_equal(nn.OnGlobals(head)(out).u.numpy(), head(array.reshape(5, 24)).numpy())


def test_flatten_writes_zeros_for_missing_pixels():
    mask = np.array([[True, False], [False, True]])
    graph = gk.from_image(np.arange(1.0, 9.0).reshape(2, 2, 2), mask=mask)
    assert nn.Flatten()(graph).u.numpy().tolist() == [[1, 2, 0, 0, 0, 0, 7, 8]]
    gk.assert_gradients(lambda x: np.sum(np.sin(nn.Flatten()(graph.replace(x=x)).u)), graph.x, order=2)


@pytest.mark.parametrize("shape", [(0, 3, 4, 2), (2, 0, 4, 2), (2, 3, 4, 0)])
def test_flatten_of_nothing(shape):
    assert nn.Flatten()(gk.from_image(np.zeros(shape, "float32"))).u.shape == (shape[0], int(np.prod(shape[1:])))


def test_flatten_refuses_what_it_cannot_do():
    graph = gk.from_image([np.ones((2, 2, 1)), np.ones((3, 2, 1))])
    with pytest.raises(ShapeError, match=r"\(2, 2\) and \(3, 2\).*GlobalPool"):
        nn.Flatten()(graph)
    with pytest.raises(InvalidFeatureError, match=r"without\('u'\)"):
        nn.Flatten()(gk.from_image(np.ones((2, 2, 1)), u=np.ones((1, 1))))
    with pytest.raises(GnnkitError, match="from_image"):
        nn.Flatten()(gk.cycle(3).replace(x=np.ones((3, 1))))
    with pytest.raises(InvalidArgumentError, match="which pixel belongs"):
        nn.Flatten()(np.ones((3, 1)))
    with pytest.raises(InvalidArgumentError, match="OnGlobals applies a module"):
        nn.OnGlobals(np.tanh)


@pytest.mark.parametrize("reducer", ["mean", "max", "sum"])
def test_global_pooling_of_mixed_sizes_and_masks_needs_no_padding(reducer):
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(h, w, 3)) for h, w in itertools.product([1, 4], [2, 7])]
    masks = [rng.random(image.shape[:2]) < 0.7 for image in images]
    graph = gk.from_image(images, mask=masks)
    found = nn.GlobalPool(reducer)(graph).u.numpy()
    for row, image, mask in zip(found, images, masks):
        want = getattr(np, reducer)(image[mask], axis=0) if mask.any() else np.zeros(3)
        np.testing.assert_allclose(row, want, atol=1e-12)
