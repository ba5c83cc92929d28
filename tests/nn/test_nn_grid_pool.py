"""MaxPool, MeanPool, StridePool, MaxUnpool against their definition: sizes, borders, masks, batches; known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from grid_cases import BORDERS, Case, folded, on_grid, output_size
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit import nn
from gnnkit.errors import (
    DTypeError,
    GnnkitError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.graph import Grid, GridTopology

POOLS = {"max": (nn.MaxPool, np.max), "mean": (nn.MeanPool, np.mean)}


@st.composite
def poolings(draw):
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    axes = lambda low, high: st.tuples(*[st.integers(low, high)] * ndim)  # noqa: E731
    sizes = draw(st.lists(axes(1, {1: 9, 2: 6, 3: 4}[ndim]), min_size=1, max_size=3))
    if draw(st.booleans()):
        sizes = [sizes[0]] * len(sizes)
    kernel = draw(axes(1, 3))
    case = Case(
        sizes=sizes,
        kernel=kernel,
        stride=draw(st.one_of(st.just(kernel), axes(1, 3))),
        dilation=(1,) * ndim,
        padding=draw(st.sampled_from(["valid", "same", 1])),
        border=draw(st.sampled_from(BORDERS)),
        channels=(2, 2),
        seed=draw(st.integers(0, 999)),
    )
    if draw(st.booleans()):
        rng = np.random.default_rng(case.seed + 1)
        case.masks = [rng.random(size) < draw(st.sampled_from([0.0, 0.4, 0.8])) for size in sizes]
    return case


def windows_of(case, image, there):
    """For each pixel of the output: the values in its window [count, channels], and whether the pixel exists."""
    size = image.shape[:-1]
    keeps = output_size(case, size) == size and set(case.stride) == {1}
    for output in np.ndindex(*output_size(case, size)):
        values, in_padding = [], True
        for offset in itertools.product(*map(range, case.kernel)):
            place = tuple(
                folded(o * s + j - before, n, case.border)
                for o, s, j, (before, _), n in zip(output, case.stride, offset, case.pads(size), size)
            )
            in_padding &= None in place
            if None not in place and there[place]:
                values.append(image[place])
        exists = not case.has_holes or (there[output] if keeps else bool(values) or in_padding)
        yield np.array(values).reshape(-1, image.shape[-1]), exists


def expected(case, x, reduce):
    rows = []
    for image in case.images(x):
        for values, exists in windows_of(case, image, ~np.isnan(image[..., 0])):
            if exists:
                rows.append(reduce(values, axis=0) if len(values) else np.zeros(x.shape[1]))
    return np.array(rows).reshape(-1, x.shape[1])


def layer_of(case, kind):
    return POOLS[kind][0](case.kernel, stride=case.stride, padding=case.padding, border=case.border)


@pytest.mark.parametrize("kind", POOLS)
@given(case=poolings())
@settings(max_examples=40, deadline=None)
def test_pooling_by_its_definition(kind, case):
    if not case.fits():
        return
    graph = case.graph()
    want = expected(case, graph.x, POOLS[kind][1])
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            out = layer_of(case, kind)(graph)
        np.testing.assert_allclose(out.x.numpy(), want, atol=1e-12)
    assert out.num_graphs == graph.num_graphs
    assert isinstance(out.topology, GridTopology)


@pytest.mark.parametrize("kind", POOLS)
@given(case=poolings())
@settings(max_examples=20, deadline=None)
def test_a_batch_of_mixed_sizes_is_each_image_alone(kind, case):
    if not case.fits():
        return
    graph, layer = case.graph(), layer_of(case, kind)
    whole = layer(graph)
    alone = [layer(part).x.numpy() for part in gk.unbatch(graph)]
    np.testing.assert_array_equal(whole.x.numpy(), np.concatenate(alone))


@given(case=poolings())
@settings(max_examples=40, deadline=None)
def test_unpooling_puts_the_maxima_back_where_they_were(case):
    if not case.fits():
        return
    graph = case.graph()
    arguments = {"stride": case.stride, "padding": case.padding, "border": case.border}
    pooled = nn.MaxPool(case.kernel, positions=True, **arguments)(graph)
    back = nn.MaxUnpool(case.kernel, **arguments)(pooled, onto=graph)
    assert back.topology is graph.topology
    # by hand: every edge of the pooling that carries the winning offset brings the maximum back
    runs = nn.MaxPool(case.kernel, **arguments).topology(graph)
    edges, offset = runs.to_explicit()
    wins = offset[:, None] == pooled.nodes["positions"][edges.receivers]
    want = np.zeros(graph.x.shape)
    np.add.at(want, edges.senders, wins * pooled.x.numpy()[edges.receivers])
    np.testing.assert_allclose(back.x.numpy(), want, atol=1e-12)
    there = want != 0
    if runs.num_senders and runs.out_degree().max() <= 1:  # windows apart: values return to their own pixels
        np.testing.assert_array_equal(back.x.numpy()[there], graph.x[there])
        again = nn.MaxPool(case.kernel, **arguments)(graph.replace(x=np.where(there, graph.x, -9.0)))
        heard = runs.in_degree() > 0
        np.testing.assert_array_equal(again.x.numpy()[heard], pooled.x.numpy()[heard])


IMAGE = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 0],
        [0, 1, 2, 0, 1, 0],
        [0, 4, 1, 1, 2, 0],
        [0, 0, 0, 2, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    dtype=float,
)


def test_pooling_is_invariant_only_to_some_shifts():
    """The image of exercise 14, convolved with a plus and pooled, as it is and moved one pixel to the left."""
    conv = nn.Conv2d(1, 1, 3, padding="valid", bias=False).astype("float64")
    conv.weight.assign(np.array([0, 1, 0, 1, 0, 1, 0, 1, 0], float).reshape(9, 1, 1))
    moved = np.roll(IMAGE, -1, axis=1)
    maps = [conv(gk.from_image(image[..., None])) for image in (IMAGE, moved)]
    assert gk.to_image(maps[0])[..., 0].tolist() == [[3, 3, 5, 1], [7, 4, 4, 5], [2, 7, 5, 3], [4, 3, 2, 4]]
    assert gk.to_image(maps[1])[..., 0].tolist() == [[3, 5, 1, 3], [4, 4, 5, 1], [7, 5, 3, 2], [3, 2, 4, 1]]
    pooled = [gk.to_image(nn.MaxPool(2)(g))[..., 0].tolist() for g in maps]
    assert pooled == [[[7, 5], [7, 5]], [[5, 5], [7, 4]]]  # the shift by one shows
    means = gk.to_image(nn.MeanPool(2)(maps[0]))[..., 0].tolist()
    assert means == [[17 / 4, 15 / 4], [4, 14 / 4]]


def test_a_shift_by_the_stride_shifts_the_output():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(8, 8, 3))
    for layer in (nn.MaxPool(2), nn.MeanPool(2), nn.StridePool(2)):
        one = gk.to_image(layer(gk.from_image(image, border="wrap")))
        other = gk.to_image(layer(gk.from_image(np.roll(image, (2, 4), axis=(0, 1)), border="wrap")))
        np.testing.assert_array_equal(np.roll(one, (1, 2), axis=(0, 1)), other)
        assert layer.symmetry["torus"] == "equivariant" and layer.symmetry.step == 2
    assert nn.MaxPool(3, stride=1, padding="same").symmetry.step == 1


@pytest.mark.parametrize("size", [(7,), (7, 4), (3, 4, 5)])
def test_stride_pooling_is_slicing(size):
    array = np.random.default_rng(0).normal(size=(2, *size, 3))
    out = nn.StridePool(2)(gk.from_grid_array(array, ndim=len(size)))
    want = array[(slice(None), *[slice(None, None, 2)] * len(size))]
    np.testing.assert_array_equal(out.x.numpy(), want.reshape(-1, 3))
    assert out.topology.grid.size == want.shape[1:-1]
    same = nn.StridePool(1)(gk.from_grid_array(array, ndim=len(size)))
    np.testing.assert_array_equal(same.x.numpy(), array.reshape(-1, 3))


def test_stride_pooling_of_a_mask_keeps_what_exists():
    mask = np.ones((4, 4), bool)
    mask[0, 0] = False
    out = nn.StridePool(2)(gk.from_image(np.arange(16.0).reshape(4, 4, 1), mask=mask))
    assert out.x.numpy().ravel().tolist() == [2, 8, 10]


def test_padded_zeros_do_not_count_in_a_mean():
    graph = gk.from_image(np.arange(1.0, 10.0).reshape(3, 3, 1))
    out = gk.to_image(nn.MeanPool(3, stride=2, padding=1)(graph))[..., 0]
    np.testing.assert_allclose(out, [[3, 4], [6, 7]])
    edge = gk.to_image(nn.MeanPool(2, padding="same", border="edge")(graph))[..., 0]
    np.testing.assert_allclose(edge, [[3, 4.5], [7.5, 9]])  # repeated pixels count


def test_maximum_of_negative_pixels_at_the_border():
    out = nn.MaxPool(2, padding="same")(gk.from_image(-np.ones((3, 3, 1))))
    assert out.x.numpy().ravel().tolist() == [-1] * 4


def test_nan_stays_in_its_window():
    image = np.zeros((4, 4, 1))
    image[0, 0] = np.nan
    graph = gk.from_image(image, allow_nan=True)
    for layer in (nn.MaxPool(2), nn.MeanPool(2)):
        found = layer(graph).x.numpy().ravel()
        np.testing.assert_array_equal(np.isnan(found), [True, False, False, False])


def test_hexagonal_grids_pool_over_neighbours():
    graph = gk.from_image(np.arange(9.0).reshape(3, 3, 1), lattice="hexagonal")
    out = nn.MaxPool(3, stride=1, padding="same")(graph)
    edges = graph.topology.to_explicit()[0]
    want = [graph.x[edges.senders[edges.receivers == i]].max() for i in range(9)]
    assert out.x.numpy().ravel().tolist() == want
    assert out.topology is graph.topology


def test_plans_and_results_are_shared_by_batches_of_one_shape():
    images = np.zeros((3, 8, 8, 2), "float32")
    one, other = (nn.MaxPool(2)(gk.from_image(images)) for _ in range(2))
    assert one.topology is other.topology
    assert nn.MaxPool(2).topology(gk.from_image(images)) is nn.MaxPool(2).topology(gk.from_image(images))


@pytest.mark.parametrize("layer", [nn.MaxPool(2, positions=True), nn.MeanPool(2), nn.StridePool(2)])
@pytest.mark.parametrize("grid", [Grid((4, 4), num_graphs=0), Grid((0, 4)), Grid((3, 3), mask=np.zeros((3, 3), bool))])
@pytest.mark.parametrize("channels", [0, 2])
def test_empty_images_and_no_channels(layer, grid, channels):
    out = layer(on_grid(grid, np.zeros((grid.num_nodes, channels), "float32")))
    assert out.x.shape == (out.num_nodes, channels)
    assert out.num_graphs == grid.num_graphs
    full = layer(gk.from_image(np.zeros((2, 4, 4, channels), "float32")))
    assert full.x.shape == (8, channels)


def test_fields_of_the_old_pixels_are_left_behind_globals_stay():
    graph = gk.from_image(np.ones((4, 4, 1)), nodes={"y": np.zeros((4, 4), int)}).replace(globals={"label": [3]})
    out = nn.MaxPool(2)(graph)
    assert set(out.nodes) == {"x"}
    assert out.globals["label"].tolist() == [3]
    kept = nn.MaxPool(3, stride=1, padding="same", positions=True)(graph)
    assert set(kept.nodes) == {"x", "y", "positions"}


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda g: nn.MaxPool(0), InvalidArgumentError, "kernel_size must be 1 or more"),
        (lambda g: nn.MaxPool(2, stride=0), InvalidArgumentError, "stride must be 1 or more"),
        (lambda g: nn.MaxPool(2, border="mirror"), UnknownNameError, "mirror"),
        (lambda g: nn.MeanPool(2, padding="full"), InvalidArgumentError, "'same', 'valid'"),
        (lambda g: nn.StridePool(0), InvalidArgumentError, "stride must be 1 or more"),
        (lambda g: nn.MaxPool(9)(g), ShapeError, "kernel must fit"),
        (lambda g: nn.MaxPool((2, 2, 2))(g), GnnkitError, "axes|entry per axis|ndim"),
        (lambda g: nn.MaxPool(2)(gk.cycle(4).replace(x=np.ones((4, 1)))), GnnkitError, "from_image"),
        (lambda g: nn.MaxPool(2)(g.x), InvalidArgumentError, "needs a gk.Graph"),
        (lambda g: nn.MaxPool(2)(g.replace(x=np.ones((16, 1), int))), DTypeError, "from_image scales"),
        (lambda g: nn.MaxPool(2)(g.replace(x=np.ones(16))), ShapeError, r"\[num_nodes, channels\]"),
        (lambda g: nn.MaxPool(2)(g.replace(u=np.ones((1, 2)))), InvalidFeatureError, r"without\('u'\)"),
        (lambda g: nn.MaxUnpool(2)(nn.MaxPool(2)(g), onto=g), InvalidFeatureError, "positions=True"),
        (
            lambda g: nn.MaxUnpool(2)(nn.MaxPool(3, positions=True)(g), onto=g),
            InvalidGraphError,
            "arguments of the pool",
        ),
    ],
)
def test_wrong_uses_are_explained(call, error, text):
    with pytest.raises(error, match=text):
        call(gk.from_image(np.ones((4, 4, 1))))


def test_wrong_positions_are_explained():
    graph = gk.from_image(np.ones((4, 4, 1)))
    pooled = nn.MaxPool(2, positions=True)(graph)
    unpool = nn.MaxUnpool(2)
    with pytest.raises(ShapeError, match="one position for every value"):
        unpool(pooled.replace(x=np.ones((4, 2))), onto=graph)
    with pytest.raises(InvalidFeatureError, match="Receiver 1 has 7 in channel 0"):
        unpool(pooled, onto=graph, positions=np.array([[0], [7], [0], [0]]))
    with pytest.raises(DTypeError, match="integers"):
        unpool(pooled, onto=graph, positions=np.ones((4, 1)))


@pytest.mark.parametrize("layer", [nn.MaxPool(2, positions=True), nn.MeanPool((2, 3)), nn.StridePool((1, 2))])
def test_layers_are_rebuilt_from_their_specification(layer):
    again = nn.build(layer.config())
    assert repr(again) == repr(layer)
    graph = gk.from_image(np.random.default_rng(0).normal(size=(6, 6, 2)))
    np.testing.assert_array_equal(again(graph).x.numpy(), layer(graph).x.numpy())


@pytest.mark.parametrize("options", [{"padding": "same"}, {"stride": 3, "padding": "valid"}])
@pytest.mark.parametrize("masked", [False, True])
def test_means_have_the_same_bits_alone_and_in_a_batch(options, masked):
    """Alone every window of the first image may be full (or just one pixel short); in the batch others are not."""
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(*size, 2)) for size in ((6, 9), (7, 5))]
    masks = [np.ones(image.shape[:2], bool) for image in images] if masked else None
    if masked:
        masks[0][1::3, 1::3] = False  # the centre of every window
    layer = gk.nn.MeanPool(3, **options)
    both = gk.to_image(layer(gk.from_image(images, mask=masks)))
    for i, image in enumerate(images):
        alone = layer(gk.from_image(image, mask=None if masks is None else masks[i]))
        np.testing.assert_array_equal(gk.to_image(alone), both[i])


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (4, 4)])
def test_an_image_that_keeps_its_size_by_chance_keeps_no_other_fields(size):
    graph = gk.from_image(np.zeros((*size, 2))).replace(nodes={"y": np.zeros(size[0] * size[1])})
    for layer in (nn.MaxPool(2, padding="same"), nn.Conv2d(2, 2, 3, stride=2), nn.Upsample(2), nn.StridePool(2)):
        assert list(layer(graph).nodes) == ["x"]  # as in a batch with larger ones
    for layer in (nn.Conv2d(2, 2, 3), nn.MaxPool(1, stride=1), nn.Upsample(1), nn.MeanPool(3, stride=1, padding=1)):
        assert list(layer(graph).nodes) == ["x", "y"]
