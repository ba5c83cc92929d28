"""The switch that makes small graphs take the path of large ones: blocks, the environment, and what it does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.message.program import fused


def test_it_is_off_and_blocks_nest(monkeypatch):
    monkeypatch.delenv("GNNKIT_BATCH_INVARIANT", raising=False)
    assert not K.is_batch_invariant()
    with K.batch_invariant():
        assert K.is_batch_invariant()
        with K.batch_invariant(False):
            assert not K.is_batch_invariant()
        assert K.is_batch_invariant()
    assert not K.is_batch_invariant()


def test_the_environment_sets_the_default(monkeypatch):
    for text, wanted in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("GNNKIT_BATCH_INVARIANT", text)
        assert K.is_batch_invariant() is wanted
    monkeypatch.setenv("GNNKIT_BATCH_INVARIANT", "yes")
    with pytest.raises(gk.errors.InvalidArgumentError, match=r"GNNKIT_BATCH_INVARIANT must be 0 or 1\. Got 'yes'"):
        K.is_batch_invariant()
    with K.batch_invariant(False):
        assert not K.is_batch_invariant()


def test_a_block_belongs_to_its_thread_and_reaches_helpers():
    seen = []
    with K.batch_invariant():
        other = threading.Thread(target=lambda: seen.append(K.is_batch_invariant()))
        other.start()
        other.join()
        before = K.get_num_threads()
        K.set_num_threads(4)
        try:
            K.run_chunks(lambda i, j: seen.append(K.is_batch_invariant()), range(9))
        finally:
            K.set_num_threads(before)
    assert seen == [False] + [True] * 8


@gk.message_program
def attention(src, dst):
    return gk.agg.sum(gk.agg.softmax(gk.leaky_relu(src.a + dst.b, 0.2)) * np.tanh(src.x))


def test_engines_round_differently_and_the_switch_takes_one_for_all_sizes(monkeypatch):
    """The reason of the switch: if the engines agreed to the bit one day, this would tell that it can go."""
    rng = np.random.default_rng(0)
    graphs = [
        gk.from_edges(rng.integers(0, n, 4 * n), rng.integers(0, n, 4 * n), x=rng.normal(size=(n, 3)))
        for n in (3, 1, 60, 40)
    ]

    def run(graph):
        x = graph.x
        return attention(graph.topology, src={"a": x[:, 0], "x": x}, dst={"b": x[:, 1]}).numpy()

    monkeypatch.setattr(fused, "SMALL", 400)  # the batch and two of its graphs have more numbers than that
    whole, alone = run(gk.batch(graphs)), np.concatenate([run(graph) for graph in graphs])
    np.testing.assert_allclose(whole, alone, rtol=1e-12)
    assert (whole != alone).any()
    with K.batch_invariant():
        np.testing.assert_array_equal(run(gk.batch(graphs)), np.concatenate([run(graph) for graph in graphs]))


def test_what_was_remembered_in_another_mode_is_not_used():
    @gk.message_program
    def gated(src, dst):
        return gk.agg.mean(gk.sigmoid(src.x - dst.x) * src.x)

    def run(graph):
        return gated(graph, src={"x": graph.x}, dst={"x": graph.x}).numpy()

    rng = np.random.default_rng(0)
    parts = [gk.path(n).replace(x=rng.random((n, 8)).astype("float32")) for n in (3, 5, 2000, 7)]
    whole = gk.batch(parts)
    before = [run(whole) for _ in range(3)][-1]  # constants are remembered from the second call on
    with K.batch_invariant():
        alone, together = np.concatenate([run(part) for part in parts]), run(whole)
        for part in parts:
            run(part)
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(before, run(whole))
    with K.use_backend("numpy"):
        plain = run(whole)
    np.testing.assert_allclose(plain, before, rtol=1e-5)
