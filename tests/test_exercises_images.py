"""Exercises of university courses on images as graphs: what convolutional and graph networks share, and deep ones.

Those on one layer stand beside its module (tests/nn); a CNN beside an MLP is an example, with its tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import correlate, uniform_filter
from scipy.special import erf

import gnnkit as gk
from gnnkit import nn


def digits(count: int, *, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images, labels = gk.datasets.load_images("digits")
    order = np.random.default_rng(0).permutation(len(images))[start : start + count]
    return images[order], labels[order]


def fit(model: nn.Module, loss: Callable[[int], Any], steps: int, lr: float = 0.01) -> list[float]:
    """Losses of that many steps of Adam; ``loss(step)`` is a scalar."""
    optimizer, found = nn.Adam(model, lr=lr), []
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(step)
        value.backward()
        optimizer.step()
        found.append(value.item())
    return found


# ------------------------------------------------------------------ 9. a table of pairs: images and graphs
@pytest.fixture
def image(rng) -> gk.Graph:
    return gk.from_image(rng.random((7, 6, 2)))


def on_edges(graph: gk.Graph) -> gk.Graph:
    """The same pixels on listed edges: nothing knows any more that this was an image."""
    return gk.transforms.to_explicit(graph)


def test_classifying_an_image_is_predicting_a_graph(rng):
    net = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.GlobalPool("mean", head=nn.Linear(4, 10, rng=1)))
    batch = gk.from_image(rng.random((5, 8, 8, 1), dtype="float32"))
    assert net(batch).u.shape == (5, 10)
    np.testing.assert_allclose(net(on_edges(batch)).u.numpy(), net(batch).u.numpy(), rtol=1e-5, atol=1e-6)


def test_segmenting_an_image_is_predicting_nodes():
    images, masks = gk.datasets.cluttered_digits(6, size=16, num_pieces=0, source="digits", rng=0)
    graph = gk.from_image(images)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, rng=0), nn.ReLU(), nn.Conv2d(8, 2, 3, rng=1))
    losses = fit(net, lambda _: nn.cross_entropy(net(graph).x, masks.ravel()), 60, lr=0.03)
    assert losses[-1] < 0.3 * losses[0]
    np.testing.assert_allclose(net(on_edges(graph)).x.numpy(), net(graph).x.numpy(), rtol=1e-3, atol=1e-4)


def test_colour_jitter_is_jitter_of_node_values(image):
    brighter = image.replace(x=0.7 * image.x + 0.1)
    np.testing.assert_array_equal(gk.to_image(brighter), 0.7 * gk.to_image(image) + 0.1)
    net = nn.Sequential(nn.InstanceNorm(2), nn.Conv2d(2, 3, 3, rng=0), nn.GlobalPool("max")).astype("float64")
    np.testing.assert_allclose(net(brighter).u.numpy(), net(image).u.numpy(), rtol=1e-3)  # up to the norm's epsilon


def test_a_graph_network_needs_no_flipped_images(image):
    flipped = gk.from_image(gk.to_image(image)[:, ::-1].copy())
    blind, seeing = (
        nn.Sequential(conv, nn.ReLU(), nn.GlobalPool("mean")).astype("float64")
        for conv in (nn.IsotropicConv(2, 3, rng=0), nn.Conv2d(2, 3, 3, rng=0))
    )
    np.testing.assert_allclose(blind(flipped).u.numpy(), blind(image).u.numpy(), rtol=1e-12)
    assert np.abs(seeing(flipped).u.numpy() - seeing(image).u.numpy()).max() > 1e-3


def test_dropout_of_pixels_is_dropping_nodes(image, rng):
    kept = rng.random((7, 6)) < 0.7
    conv = nn.Conv2d(2, 3, 3, rng=0, dtype="float64")
    dropped = gk.from_image(gk.to_image(image), mask=kept)
    nodes = np.flatnonzero(kept)
    as_graph = gk.transforms.subgraph(on_edges(image), nodes)
    np.testing.assert_allclose(conv(dropped).x.numpy(), conv(as_graph).x.numpy(), atol=1e-12)
    # and as in an array that holds zeros there, at the pixels that are left
    zeros = gk.from_image(np.where(kept[..., None], gk.to_image(image), 0))
    np.testing.assert_allclose(conv(dropped).x.numpy(), conv(zeros).x.numpy()[nodes], atol=1e-12)


def test_nodes_of_any_degree_need_no_padding(rng):
    array, kernel = rng.random((5, 6)), rng.normal(size=(3, 3))
    graph = gk.from_image(array)
    assert sorted(set(graph.topology.in_degree())) == [4, 6, 9]  # corners, sides, inside
    conv = nn.Conv2d(1, 1, 3, bias=False, dtype="float64")
    conv.weight.assign(kernel.reshape(9, 1, 1))
    np.testing.assert_allclose(gk.to_image(conv(graph))[..., 0], correlate(array, kernel, mode="constant"), atol=1e-12)


def test_a_skip_connection_is_the_node_plus_its_update(image):
    conv = nn.Conv2d(2, 2, 3, rng=0, dtype="float64")
    for graph in (image, on_edges(image)):
        np.testing.assert_array_equal(nn.Residual(conv)(graph).x.numpy(), graph.x + conv(graph).x.numpy())


def test_blurring_is_the_mean_over_neighbours(rng):
    array = rng.random((6, 7))
    graph = gk.from_image(array, border="edge")
    for each in (graph, on_edges(graph)):
        mean = gk.message_passing(each.topology, lambda src: gk.agg.mean(src.x), src={"x": each.x}).numpy()
        np.testing.assert_allclose(mean.reshape(6, 7), uniform_filter(array, 3, mode="nearest"), atol=1e-12)


def test_inpainting_is_predicting_missing_node_values(rng):
    ramp = np.add.outer(np.arange(8.0), np.arange(8.0)) / 14
    missing = np.zeros((8, 8), bool)
    missing[2:5, 3:6] = True
    graph, rows = gk.from_image(np.where(missing, 0, ramp)), np.flatnonzero(missing)
    x = graph.x
    for _ in range(80):  # label propagation: known pixels stay
        mean = gk.message_passing(graph, lambda src: gk.agg.mean(src.x), src={"x": x}).numpy()
        x = np.where(missing.reshape(-1, 1), mean, graph.x)
    np.testing.assert_allclose(x.reshape(8, 8), ramp, atol=1e-3)  # a ramp is the mean of its neighbours everywhere
    net = nn.Sequential(nn.Conv2d(1, 8, 3, rng=0), nn.ReLU(), nn.Conv2d(8, 1, 5, rng=1))
    task = gk.learn.Task(graph, ramp.reshape(-1, 1), mask=rows)
    history = gk.learn.fit(net, task, loss="mse", epochs=150, lr=0.02, random_state=0)
    assert history["train_loss"][-1] < 0.005 < history["train_loss"][0]


def test_one_value_around_the_centre_is_blind_to_the_order_of_edges(image, rng):
    isotropic, conv = nn.IsotropicConv(2, 3, rng=0, dtype="float64"), nn.Conv2d(2, 3, 3, rng=0, dtype="float64")
    graph = on_edges(image)
    # Which edge has which offset is shuffled among the neighbours of each pixel; the centre keeps its own.
    offset = graph.edges["offset"].copy()
    for node in range(graph.num_nodes):
        row = np.arange(graph.topology.indptr[node], graph.topology.indptr[node + 1])
        row = row[offset[row] != 4]
        offset[row] = rng.permutation(offset[row])
    shuffled = graph.replace(edges={"offset": offset})
    np.testing.assert_allclose(isotropic(shuffled).x.numpy(), isotropic(image).x.numpy(), atol=1e-12)
    assert np.abs(conv(shuffled).x.numpy() - conv(image).x.numpy()).max() > 0.1


# ------------------------------------------------------------------ 20. skip connections
def test_fifty_more_convolutions_train_with_skip_connections_and_stall_without():
    images, labels = digits(256)

    def last_loss(blocks: int, skip: bool, seed: int) -> float:
        rng = np.random.default_rng(seed)
        net = nn.ResNet(1, 10, widths=(4,), blocks=blocks, skip=skip, rng=rng)
        batches = [rng.permutation(256)[:64] for _ in range(50)]
        losses = fit(
            net, lambda k: nn.cross_entropy(net(gk.from_image(images[batches[k]][..., None])).u, labels[batches[k]]), 50
        )
        return float(np.mean(losses[-5:]))

    def usual_loss(blocks: int, skip: bool) -> float:
        return float(np.median([last_loss(blocks, skip, seed) for seed in range(3)]))  # 54 layers magnify roundings

    guessing = np.log(10)
    assert last_loss(2, True, 0) < 0.8 * guessing
    assert usual_loss(27, True) < 0.8 * guessing
    assert usual_loss(27, False) > 0.95 * guessing


def test_skips_on_grids_written_out(rng):
    graph = gk.from_image(rng.random((2, 6, 5, 4), dtype="float32"))
    block = nn.DenseBlock(nn.Conv2d(4, 3, 3, rng=0), nn.Conv2d(7, 3, 3, rng=1))
    first = np.concatenate([graph.x, block[0](graph).x], axis=1)
    both = np.concatenate([first, block[1](graph.replace(x=first)).x], axis=1)
    np.testing.assert_allclose(block(graph).x.numpy(), gk.autodiff.as_array(both), rtol=1e-5)
    conv, skip = nn.Conv2d(4, 8, 3, stride=2, rng=2), nn.Conv2d(4, 8, 1, stride=2, rng=3)  # other shape: a projection
    out = nn.Residual(conv, skip)(graph)
    assert gk.to_image(out).shape == (2, 3, 3, 8)
    np.testing.assert_allclose(out.x.numpy(), conv(graph).x.numpy() + skip(graph).x.numpy(), rtol=1e-6)


# ------------------------------------------------------------------ 21. depthwise convolutions, ConvNeXt, activations
def test_a_depthwise_convolution_keeps_channels_apart(rng):
    conv = nn.DepthwiseConv2d(3, 7, rng=0, dtype="float64")
    assert conv.num_parameters == 3 * 49 + 3
    array = rng.random((9, 9, 3))
    out = gk.to_image(conv(gk.from_image(array)))
    for channel in range(3):
        kernel = conv.weight.numpy().reshape(49, 3)[:, channel].reshape(7, 7)
        np.testing.assert_allclose(
            out[..., channel], correlate(array[..., channel], kernel, mode="constant"), atol=1e-12
        )


def test_a_convnext_block_written_out(rng):
    block = nn.ConvNeXtBlock(4, rng=0, dtype="float64")
    graph = gk.from_image(rng.random((8, 7, 4)))
    layers: list[Any] = [module for _, module in block.inner.children()]
    depthwise, norm, widen, gelu, narrow = layers
    h = depthwise(graph).x.numpy()
    assert depthwise.weight.shape[0] == 49
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + norm.eps)
    h = h @ widen.weight.numpy() + widen.bias.numpy()
    assert h.shape[1] == 16
    np.testing.assert_allclose(gelu(h).numpy(), h * (1 + erf(h / np.sqrt(2))) / 2, atol=1e-12)
    h = h * (1 + erf(h / np.sqrt(2))) / 2
    h = graph.x + h @ narrow.weight.numpy() + narrow.bias.numpy()
    np.testing.assert_allclose(block(graph).x.numpy(), h, atol=1e-12)


def test_activations_by_their_formulas():
    v = np.linspace(-4, 4, 33)
    formulas = {
        nn.ReLU: np.maximum(v, 0),
        nn.GELU: v * (1 + erf(v / np.sqrt(2))) / 2,
        nn.Sigmoid: 1 / (1 + np.exp(-v)),
        nn.Tanh: np.tanh(v),
    }
    for activation, values in formulas.items():
        np.testing.assert_allclose(activation()(v).numpy(), values, atol=1e-12)


# ------------------------------------------------------------------ 23. sizes that vary; videos
def test_images_of_many_sizes_in_one_batch_without_padding(rng):
    net = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.MaxPool(2), nn.Conv2d(4, 6, 3, rng=1))
    net = nn.Sequential(net, nn.GlobalPool("mean", head=nn.Linear(6, 3, rng=2)))
    images = [rng.random((h, w, 1), dtype="float32") for h, w in ((5, 9), (8, 8), (2, 3), (12, 4))]
    batch = gk.from_image(images)
    assert batch.num_nodes == 45 + 64 + 6 + 48
    together = net(batch).u.numpy()
    for k, one in enumerate(images):
        np.testing.assert_array_equal(net(gk.from_image(one)).u.numpy()[0], together[k])


def videos(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright pixel that runs to the left (0) or to the right (1) on 6 frames of 5 x 8: [count, 6, 5, 8, 1]."""
    films, ways = np.zeros((count, 6, 5, 8, 1), "float32"), rng.integers(0, 2, count)
    for film, way in zip(films, ways):
        row, start = rng.integers(0, 5), rng.integers(0, 3)
        places = start + np.arange(6)
        film[np.arange(6), row, places if way else places[::-1], 0] = 1
    return films, ways


def test_a_three_dimensional_convolution_sees_which_way_things_move(rng):
    films, ways = videos(40, rng)
    net = nn.Sequential(
        nn.Conv3d(1, 8, (2, 1, 3), rng=0), nn.ReLU(), nn.GlobalPool("mean", head=nn.Linear(8, 2, rng=1))
    )
    graph = gk.from_volume(films)
    fit(net, lambda _: nn.cross_entropy(net(graph).u, ways), 100, lr=0.05)
    unseen, truth = videos(60, rng)
    assert np.mean(net(gk.from_volume(unseen)).u.numpy().argmax(1) == truth) > 0.95
    backwards = net(gk.from_volume(unseen[:, ::-1].copy())).u.numpy().argmax(1)
    assert np.mean(backwards == 1 - truth) > 0.9


class FilmReader(nn.Module):
    """An encoder for every frame, then a state that is updated from frame to frame: the same weights at all times."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng), nn.ReLU(), nn.Flatten())
        self.step = nn.Sequential(nn.Linear(5 * 8 * 4 + hidden, hidden, rng=rng), nn.Tanh())
        self.head = nn.Linear(hidden, 2, rng=rng)
        self.hidden = hidden

    def forward(self, films: np.ndarray):
        state = np.zeros((len(films), self.hidden), "float32")
        for time in range(films.shape[1]):
            seen = self.encoder(gk.from_image(films[:, time])).u
            state = self.step(np.concatenate([seen, state], axis=1))
        return self.head(state)


def test_an_encoder_per_frame_and_a_recurrent_net_see_it_too(rng):
    films, ways = videos(40, rng)
    net = FilmReader(12, rng)
    fit(net, lambda _: nn.cross_entropy(net(films), ways), 80, lr=0.01)
    unseen, truth = videos(60, rng)
    assert np.mean(net(unseen).numpy().argmax(1) == truth) > 0.9
