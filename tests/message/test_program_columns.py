"""Programs whose fields are columns of one matrix: the values and gradients of copies, which are made once."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.kernels import column_parts
from gnnkit.message import agg, message_program

HEADS, CHANNELS = 8, 4


@message_program
def attention(src, dst):
    weight = agg.softmax(gk.leaky_relu(src.score + dst.score, 0.2))
    return agg.sum(weight[:, None] * src.h)


def run(topology, both, h, seed, columns):
    """Result and gradients of the scores and of h; ``columns`` says how a slice becomes a field."""
    both, h = gk.tensor(both, requires_grad=True), gk.tensor(h, requires_grad=True)
    joint = both * 1
    left, right = columns(joint[:, :HEADS]), columns(joint[:, HEADS:])
    result = attention(topology, src={"score": right, "h": h}, dst={"score": left})
    result.backward(seed)
    return result.numpy(), both.grad.numpy(), h.grad.numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_give_the_bits_of_copies_for_every_number_of_threads(dtype, hub_topology, rng, threads, monkeypatch):
    monkeypatch.setattr(column_parts, "SHORT", 0)
    n = 900
    topology = hub_topology(n, 5_000, hub=300)
    both = rng.normal(size=(n, 2 * HEADS)).astype(dtype)
    h, seed = rng.normal(size=(2, n, HEADS, CHANNELS)).astype(dtype)
    expected = run(topology, both, h, seed, np.copy)
    for count in (1, 2, 4):
        threads(count)
        for found, wanted in zip(run(topology, both, h, seed, lambda x: x), expected):
            np.testing.assert_array_equal(found, wanted)
    with K.use_backend("numpy"):
        for found, wanted in zip(run(topology, both, h, seed, lambda x: x), expected):
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 if dtype == "float32" else 1e-10)


def test_columns_are_copied_once(hub_topology, rng, monkeypatch):
    copied = []
    real = K.contiguous

    def counting(array):
        copied.append(not array.flags.c_contiguous)
        return real(array)

    monkeypatch.setattr(K, "contiguous", counting)
    h, seed = rng.normal(size=(2, 300, HEADS, CHANNELS))
    run(hub_topology(300, 2_000, hub=100), rng.normal(size=(300, 2 * HEADS)), h, seed, lambda x: x)
    assert sum(copied) == 2


def test_columns_of_nothing():
    empty = gk.from_edges([], [], num_nodes=0).topology
    results = run(empty, np.ones((0, 2 * HEADS)), *np.ones((2, 0, HEADS, CHANNELS)), lambda x: x)
    assert [x.shape for x in results] == [(0, HEADS, CHANNELS), (0, 2 * HEADS), (0, HEADS, CHANNELS)]


def test_gradients_of_columns_to_second_order(backend, rng):
    topology = gk.from_edges([0, 1, 2, 2, 3], [1, 2, 0, 2, 0], num_nodes=4).topology

    def result(both, h):
        joint = both * both
        fields = {"score": joint[:, 2:], "h": h}
        return attention(topology, src=fields, dst={"score": joint[:, :2]}) ** 2

    gk.autodiff.assert_gradients(result, rng.uniform(0.5, 1.5, (4, 4)), rng.normal(size=(4, 2, 3)), order=2)
