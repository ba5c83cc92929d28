"""Exercises of university courses on autoencoders: plain, denoising, masked, variational; and what their codes help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = gk.datasets.load_images("digits")
    order = np.random.default_rng(0).permutation(len(images))[:count]
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


class AutoEncoder(nn.Module):
    """Images of 8 x 8 to a few numbers and back; what goes in may be other than what has to come out."""

    def __init__(self, code: int, rng: np.random.Generator) -> None:
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, rng=rng), nn.ReLU(), nn.Flatten(head=nn.Linear(128, code, rng=rng))
        )
        self.widen = nn.Sequential(nn.Linear(code, 128, rng=rng), nn.ReLU())
        self.decoder = nn.ConvTranspose2d(8, 1, 3, stride=2, rng=rng)

    def forward(self, graph: gk.Graph) -> gk.Graph:
        coarse = self.encoder[0](graph)  # only its grid is used: 4 x 4 pixels
        code = self.encoder(graph).u
        small = coarse.replace(x=self.widen(code).reshape(16 * graph.num_graphs, 8))
        return self.decoder(small, onto=graph)


def test_a_plain_and_a_denoising_autoencoder():
    images, _ = digits(300)
    clean = gk.from_image(images[:200, ..., None])
    held_out = gk.from_image(images[200:, ..., None])
    mean = np.tile(images[:200].mean(0).reshape(-1, 1), (100, 1))
    spread = np.mean((mean - held_out.x) ** 2)  # of an answer that is always the mean image
    noise = 0.4 * np.random.default_rng(1).normal(size=(20, *clean.x.shape)).astype("float32")
    for noisy in (False, True):
        net = AutoEncoder(16, np.random.default_rng(0))

        def loss(k: int, net: nn.Module = net, noisy: bool = noisy) -> Any:
            return nn.mse_loss(net(clean.replace(x=clean.x + noisy * noise[k % 20])).x, clean.x)

        fit(net, loss, 150)
        given = held_out.x + noisy * noise[0, : len(held_out.x)]
        error = np.mean((net(held_out.replace(x=given)).x.numpy() - held_out.x) ** 2)
        assert error < 0.6 * spread
        if noisy:  # closer to the clean image than what it was given
            assert error < 0.5 * np.mean((given - held_out.x) ** 2)


def accuracy_with_few_labels(x: np.ndarray, labels: np.ndarray) -> float:
    """Ridge regression on three labelled images of each digit among 1000, tested on the rest; mean of ten draws."""
    x = np.column_stack([(x - x[:1000].mean(0)) / x[:1000].std(), np.ones(len(x))]).astype(float)
    scores = []
    for draw in range(10):
        order = np.random.default_rng(draw).permutation(1000)
        known = np.concatenate([order[labels[order] == digit][:3] for digit in range(10)])
        gram = x[known].T @ x[known] + 0.3 * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[known].T @ np.eye(10)[labels[known]])
        scores.append(np.mean((x[1000:] @ weights).argmax(1) == labels[1000:]))
    return float(np.mean(scores))


def test_what_a_denoising_autoencoder_learns_helps_where_labels_are_few():
    images, labels = digits(1700)
    everything, rng = gk.from_image(images[..., None]), np.random.default_rng(1)
    net = AutoEncoder(16, np.random.default_rng(0))
    untrained = net.encoder(everything).u.numpy()

    def loss(_: int):
        clean = gk.from_image(images[rng.permutation(1000)[:128]][..., None])
        noise = 0.4 * rng.normal(size=clean.x.shape).astype("float32")
        return nn.mse_loss(net(clean.replace(x=clean.x + noise)).x, clean.x)

    fit(net, loss, 300)
    scores = [accuracy_with_few_labels(x, labels) for x in (untrained, images.reshape(-1, 64))]
    assert accuracy_with_few_labels(net.encoder(everything).u.numpy(), labels) > max(scores) + 0.04


@pytest.mark.parametrize("what", ["pixels", "patches"])
def test_a_masked_autoencoder_fills_in_what_is_hidden(what):
    images, _ = digits(1100)
    rng = np.random.default_rng(0)
    net = nn.UNet(2, 1, widths=(8, 16), rng=rng)

    def hide(count: int) -> np.ndarray:
        if what == "pixels":
            return rng.random((count, 8, 8)) < 0.4
        return np.repeat(np.repeat(rng.random((count, 4, 4)) < 0.3, 2, axis=1), 2, axis=2)

    def given(x: np.ndarray, hidden: np.ndarray) -> gk.Graph:
        return gk.from_image(np.stack([np.where(hidden, 0, x), hidden.astype("float32")], axis=-1))

    def loss(_: int):
        rows = rng.permutation(1000)[:64]
        hidden = hide(64)
        nodes = np.flatnonzero(hidden)
        return nn.mse_loss(net(given(images[rows], hidden)).x[nodes, 0], images[rows].ravel()[nodes])

    fit(net, loss, 250, lr=0.02)
    net.eval()
    hidden = hide(100)
    out = net(given(images[1000:], hidden)).x.numpy().reshape(100, 8, 8)
    always = np.broadcast_to(images[:1000].mean(0), (100, 8, 8))
    errors = [np.mean((each - images[1000:])[hidden] ** 2) for each in (out, always)]
    assert errors[0] < 0.75 * errors[1], errors


class MaskedNodes(nn.Module):
    """What stands in the place of a hidden node is learnt."""

    def __init__(self) -> None:
        self.token = nn.Parameter(np.zeros(2), dtype=np.float32)
        self.body = nn.Sequential(nn.GraphConv(2, 16, rng=0), nn.Tanh(), nn.GraphConv(16, 2, rng=1))

    def forward(self, graph: gk.Graph, hidden: np.ndarray) -> gk.Graph:
        return self.body(graph.replace(x=np.where(hidden[:, None], self.token, graph.x)))


def test_a_masked_autoencoder_on_the_nodes_of_a_graph():
    rng = np.random.default_rng(0)
    graph = gk.cycle(60).replace(x=np.sin(np.arange(60)[:, None] / np.array([3.0, 5.0])).astype("float32"))
    net = MaskedNodes()

    def loss(_: int):
        hidden = rng.random(60) < 0.2
        return nn.mse_loss(net(graph, hidden).x[np.flatnonzero(hidden)], graph.x[hidden])

    losses = fit(net, loss, 150, lr=0.02)
    assert np.mean(losses[-20:]) < 0.15 * graph.x.var()
    assert np.abs(net.token.numpy()).max() > 0


class VariationalGraphAutoEncoder(nn.Module):
    """Kipf and Welling 2016: a normal distribution for every node, edges where two nodes point the same way."""

    def __init__(self, channels: int, code: int) -> None:
        self.body = nn.Sequential(nn.GCNConv(channels, 16, rng=0), nn.ReLU())
        self.mean, self.log_variance = nn.GCNConv(16, code, rng=1), nn.GCNConv(16, code, rng=2)

    def forward(self, graph: gk.Graph):
        hidden = self.body(graph)
        return self.mean(hidden).x, self.log_variance(hidden).x


def test_a_variational_autoencoder_on_a_graph_and_what_its_codes_are_good_for():
    club = gk.datasets.load("karate")
    graph = club.replace(x=np.eye(34, dtype="float32"))
    adjacency = gk.to_scipy(club).toarray() > 0
    adjacency |= np.eye(34, dtype=bool)
    rng = np.random.default_rng(0)
    net = VariationalGraphAutoEncoder(34, 4)
    weight = np.where(adjacency, (~adjacency).sum() / adjacency.sum(), 1.0).astype("float32")

    def loss(_: int):
        mean, log_variance = net(graph)
        z = mean + np.exp(log_variance / 2) * rng.normal(size=(34, 4)).astype("float32")
        logits = z @ z.T
        reconstruction = (weight * (gk.softplus(logits) - logits * adjacency)).mean()
        divergence = (np.exp(log_variance) + mean**2 - 1 - log_variance).mean() / 2
        return reconstruction + 0.1 * divergence

    losses = fit(net, loss, 150)
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    mean, log_variance = (value.numpy() for value in net(graph))
    assert 0.02 < np.exp(log_variance).mean() < 1.5  # neither a point nor the prior alone
    scores = mean @ mean.T
    pairs = np.triu_indices(34, 1)
    assert gk.learn.roc_auc(adjacency[pairs], scores[pairs]) > 0.85
    # Downstream: one labelled person on each side; the others follow the nearer of the two codes.
    side = np.unique(club.nodes["y"], return_inverse=True)[1]
    codes = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    said = np.where(codes @ codes[0] > codes @ codes[33], side[0], side[33])
    others = np.setdiff1d(np.arange(34), [0, 33])
    assert np.mean(said[others] == side[others]) > 0.85
