"""What a program moves out of a sum must not cost digits: differences of close values stay differences of one edge."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk

N, E = 40, 400
RNG = np.random.default_rng(0)
SENDERS, RECEIVERS = RNG.integers(0, N, E), RNG.integers(0, N, E)
TOPOLOGY = gk.Topology.from_edges(SENDERS, RECEIVERS, num_nodes=N)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_common_offset_costs_no_digits(weighted):
    position = (RNG.normal(size=(N, 3)) + 1e5).astype(np.float32)
    weight = RNG.random(E).astype(np.float32)

    def message(src, dst, edge):
        step = src.p - dst.p
        return gk.agg.sum(step * edge.w if weighted else step)

    out = gk.message_passing(TOPOLOGY, message, src={"p": position}, dst={"p": position}, edge={"w": weight})
    exact = np.zeros((N, 3))
    for k, (a, b) in enumerate(zip(TOPOLOGY.senders, TOPOLOGY.receivers)):
        exact[b] += (position[a].astype(float) - position[b]) * (weight[k] if weighted else 1.0)
    np.testing.assert_allclose(out.numpy(), exact, atol=2e-5 * np.abs(exact).max())


def test_a_difference_of_large_values_does_not_overflow():
    x = np.full(3, 3e38, np.float32)
    t = gk.Topology.from_edges([0, 1, 2], [1, 1, 1], num_nodes=3)
    out = gk.message_passing(t, lambda src, dst: gk.agg.sum(src.x - dst.x), src={"x": x}, dst={"x": x})
    assert out.numpy().tolist() == [0.0, 0.0, 0.0]
