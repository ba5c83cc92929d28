"""Derivatives of pooling to second order, shared ties, and exercise 15: what a gradient sums over."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import gradients, on_grid

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit import nn
from gnnkit.graph import Grid, Stencil, grid_topology
from gnnkit.message import stencil_argmax, stencil_max, stencil_mean, stencil_unpool

MASK = np.random.default_rng(5).random((5, 6)) < 0.7
GRIDS = {
    "even": Grid((4, 6)),
    "odd batch": Grid((5, 3), num_graphs=2),
    "mixed": Grid([(4, 5), (2, 2), (3, 7)]),
    "mask": Grid((5, 6), mask=MASK),
}
STENCILS = {
    "apart": {"kernel_size": 2, "stride": 2, "padding": "valid"},
    "all": {"kernel_size": 2, "stride": 2, "padding": "same"},
    "overlapping": {"kernel_size": 3, "stride": 2, "padding": 1},
    "folded": {"kernel_size": 3, "stride": 1, "padding": "same", "border": "reflect"},
}


def topology_of(grid, stencil):
    return grid_topology(GRIDS[grid], Stencil(**STENCILS[stencil], ndim=2))


every = pytest.mark.parametrize(("grid", "stencil"), [(g, s) for g in GRIDS for s in STENCILS])


@every
@pytest.mark.parametrize("pool", [stencil_max, stencil_mean])
def test_first_and_second_derivatives_against_differences(grid, stencil, pool):
    topology = topology_of(grid, stencil)
    x = np.random.default_rng(0).permutation(topology.num_senders * 2).reshape(-1, 2) / 7.0  # no ties
    weight = np.random.default_rng(1).normal(size=(topology.num_receivers, 2))
    # curved in the pooled values, so that the second derivative is not zero
    gk.assert_gradients(lambda v: np.sum(weight * np.sin(pool(topology, v))), x, order=2)


@every
def test_ties_share_evenly(grid, stencil):
    topology = topology_of(grid, stencil)
    x = np.random.default_rng(2).integers(0, 2, (topology.num_senders, 3)).astype(float)
    leaf = gk.tensor(x, requires_grad=True)
    y = stencil_max(topology, leaf)
    g = np.random.default_rng(3).normal(size=y.shape)
    y.backward(g)
    edges, _ = topology.to_explicit()
    wins = (x[edges.senders] == y.numpy()[edges.receivers]).astype(float)
    ties = np.zeros(y.shape)
    np.add.at(ties, edges.receivers, wins)
    want = np.zeros(x.shape)
    np.add.at(want, edges.senders, wins * (g / np.maximum(ties, 1))[edges.receivers])
    np.testing.assert_allclose(leaf.grad.numpy(), want, atol=1e-12)
    np.testing.assert_allclose(leaf.grad.numpy().sum(axis=0), g[topology.in_degree() > 0].sum(axis=0), atol=1e-10)


@every
def test_the_grid_equals_the_message_program_on_its_edges(grid, stencil):
    topology = topology_of(grid, stencil)
    edges, _ = topology.to_explicit()
    x = np.random.default_rng(4).integers(0, 4, (topology.num_senders, 2)).astype(float)
    for pool in (stencil_max, stencil_mean):
        found = []
        for way in (topology, edges):
            leaf = gk.tensor(x, requires_grad=True)
            y = pool(way, leaf)
            np.sum(np.sin(y)).backward()
            found.append((y.numpy(), leaf.grad.numpy()))
        for left, right in zip(*found):
            np.testing.assert_allclose(left, right, atol=1e-12)


@every
def test_unpooling_is_the_adjoint_of_reading_at_the_positions(grid, stencil):
    topology = topology_of(grid, stencil)
    rng = np.random.default_rng(6)
    x, z = rng.normal(size=(topology.num_senders, 2)), rng.normal(size=(topology.num_receivers, 2))
    y = stencil_max(topology, x)
    positions = stencil_argmax(topology, x, y)
    spread = stencil_unpool(topology, z, positions)
    np.testing.assert_allclose(np.sum(spread.numpy() * x), np.sum(z * y.numpy()), atol=1e-10)
    gk.assert_gradients(lambda v: np.sum(np.sin(stencil_unpool(topology, v, positions))), z, order=2)


def test_backends_and_precisions_agree():
    graph = on_grid(GRIDS["mixed"], np.random.default_rng(0).normal(size=(45, 3)))
    for layer in (nn.MaxPool(2, padding="same"), nn.MeanPool(3, stride=2, padding=1), nn.StridePool(2)):
        fast = gradients(layer, graph)
        with K.use_backend("numpy"):
            plain = gradients(layer, graph)
        single = gradients(layer, graph.replace(x=graph.x.astype("float32")))
        for key in fast:
            np.testing.assert_allclose(fast[key], plain[key], atol=1e-12)
            np.testing.assert_allclose(fast[key], single[key], atol=1e-5)
            assert single[key].dtype == np.float32


def test_a_gradient_through_a_max_pool_sums_over_winning_positions_only():
    """Exercise 15: y = sum of pool(tanh(conv(x))) has dy/dw = sum over winners of (1 - tanh^2) x around the winner."""
    rng = np.random.default_rng(1)
    image = rng.normal(size=(6, 6))
    conv = nn.Conv2d(1, 1, 3, padding="valid", bias=False, rng=0).astype("float64")
    graph = gk.from_image(image[..., None])
    weight = conv.weight.data.reshape(3, 3)
    patches = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    hidden = np.tanh(np.einsum("ijab,ab->ij", patches, weight))
    everywhere = np.einsum("ij,ijab->ab", 1 - hidden**2, patches)
    blocks = hidden.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(2, 2, 4)
    winners = np.zeros((4, 4))
    for i, j in np.ndindex(2, 2):
        a, b = divmod(int(blocks[i, j].argmax()), 2)
        winners[2 * i + a, 2 * j + b] = 1
    at_winners = np.einsum("ij,ijab->ab", winners * (1 - hidden**2), patches)

    for model, want in (
        (nn.Sequential(conv, nn.Tanh()), everywhere),
        (nn.Sequential(conv, nn.Tanh(), nn.MaxPool(2)), at_winners),
        (nn.Sequential(conv, nn.Tanh(), nn.MeanPool(2)), everywhere / 4),
    ):
        conv.zero_grad()
        np.sum(model(graph).x).backward()
        np.testing.assert_allclose(conv.weight.grad.numpy().reshape(3, 3), want, atol=1e-12)
    # of a dense layer there is one position to sum over
    dense = nn.Linear(36, 1, bias=False, rng=0).astype("float64")
    np.sum(np.tanh(dense(nn.Flatten()(graph).u))).backward()
    slope = 1 - np.tanh(image.reshape(1, 36) @ dense.weight.data) ** 2
    np.testing.assert_allclose(dense.weight.grad.numpy(), slope * image.reshape(36, 1), atol=1e-12)
