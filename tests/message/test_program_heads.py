"""Programs with heads: several at once or one by one, the same bits; past the caches, and no memory left behind."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.kernels import backend
from gnnkit.message import agg, message_program
from gnnkit.message.program import fused, loops
from gnnkit.message.program import run as run_module

NUM_NODES, HEADS, CHANNELS = 240, 4, 17


@message_program
def attention(src, dst):
    score = gk.leaky_relu(src.left + dst.right, 0.2)
    return agg.sum(agg.softmax(score)[:, None] * src.h)


@message_program
def dynamic(src, dst, params):
    """Scores are sums over the channels of each head; a hidden bias of one number, one of channels, one of heads."""
    hidden = np.tanh(src.h + dst.h * params.scale + params.channel)
    score = (hidden * params.head[:, None]).sum(-1)
    return agg.max(score)[:, None] + agg.sum(np.exp(score - agg.max(score))[:, None] * src.h) * dst.right[:, None]


@message_program
def over_heads(src, dst):
    """The heads have to do with each other: their sum weighs every row."""
    return agg.sum(np.tanh((src.left * dst.right).sum(-1)) * src.h)


@message_program
def per_edge(src, dst, edge):
    return agg.sum((src.left * dst.right * edge.keep)[:, None] * src.h)


@message_program
def masked(src, dst, params):
    """What is summed over the channels is read again, as it is and as truth values, and there are two sums."""
    part = np.where(src.h > dst.h, src.h * params.channel, dst.h - 1.0)
    score = part.sum(-1) - (part * dst.h).sum(-1)
    return agg.sum(np.where(part > 0.5, part, score[:, None]))


READS = {
    masked: {"src": ("h",), "dst": ("h",), "params": ("channel",)},
    attention: {"src": ("h", "left"), "dst": ("right",)},
    dynamic: {"src": ("h",), "dst": ("h", "right"), "params": ("scale", "channel", "head")},
    over_heads: {"src": ("h", "left"), "dst": ("right",)},
    per_edge: {"src": ("h", "left"), "dst": ("right",), "edge": ("keep",)},
}


@pytest.fixture
def topology(hub_topology):
    return hub_topology(NUM_NODES, 3000, hub=1000)


def run(program, topology, dtype, channels=CHANNELS):
    rng = np.random.default_rng(5)
    shapes = {
        "h": (NUM_NODES, HEADS, channels), "left": (NUM_NODES, HEADS), "right": (NUM_NODES, HEADS),
        "scale": (), "channel": (channels,), "head": (HEADS,), "keep": (topology.num_edges, HEADS),
    }  # fmt: skip
    given = {
        space: {n: gk.Tensor(rng.normal(size=shapes[n]).astype(dtype), requires_grad=True) for n in names}
        for space, names in READS[program].items()
    }
    y = program(topology, **given)
    (y * rng.normal(size=y.shape).astype(dtype)).sum().backward()
    notes = program.explain(topology, **given)
    return [y.numpy(), *(t.grad.numpy() for of in given.values() for t in of.values())], notes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("program", READS, ids=lambda p: p.__name__)
def test_heads_at_once_give_what_one_by_one_gives(program, dtype, topology, monkeypatch):
    """17 channels are whole vectors and one number more, whatever the width of vectors."""
    together, notes = run(program, topology, dtype)
    assert "range(0, d0, 4)" in notes.source
    monkeypatch.setattr(loops, "_heads_at_once", lambda *a: 0)
    run_module.plan_for.cache_clear()
    by_head, notes = run(program, topology, dtype)
    run_module.plan_for.cache_clear()
    assert "range(0, d0, 4)" not in notes.source
    for a, b in zip(together, by_head, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [16, 17, 48])
@pytest.mark.parametrize("program", [attention, dynamic, masked], ids=lambda p: p.__name__)
def test_sums_of_several_heads_have_the_bits_of_sums_one_by_one(program, channels, dtype, topology, monkeypatch):
    together, notes = run(program, topology, dtype, channels)
    assert "v.put_totals" in notes.source
    monkeypatch.setattr(loops, "_heads_summed", lambda *a: 0)
    run_module.plan_for.cache_clear()
    by_head, notes = run(program, topology, dtype, channels)
    run_module.plan_for.cache_clear()
    assert "v.put_totals" not in notes.source
    for a, b in zip(together, by_head, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_heads(heads, dtype, topology, rng):
    """Against one head after the other, as a program of its own."""

    @message_program
    def one(src, dst):
        score = gk.leaky_relu(src.left + dst.right, 0.2)
        return agg.sum(agg.softmax(score) * src.h)

    h = rng.normal(size=(NUM_NODES, heads, CHANNELS)).astype(dtype)
    left, right = (rng.normal(size=(NUM_NODES, heads)).astype(dtype) for _ in range(2))
    found = attention(topology, src={"h": h, "left": left}, dst={"right": right}).numpy()
    for k in range(heads):
        src = {"h": np.ascontiguousarray(h[:, k]), "left": np.ascontiguousarray(left[:, k, None])}
        alone = one(topology, src=src, dst={"right": np.ascontiguousarray(right[:, k, None])}).numpy()
        np.testing.assert_allclose(found[:, k], alone, rtol=0, atol=3e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("program", [attention, dynamic], ids=lambda p: p.__name__)
def test_heads_have_the_same_bits_for_any_threads(program, topology, threads):
    found = set()
    for count in (1, 2, 4):
        threads(count)
        found.add(b"".join(array.tobytes() for array in run(program, topology, np.float32)[0]))
    assert len(found) == 1


@pytest.mark.parametrize("program", [attention, dynamic], ids=lambda p: p.__name__)
@pytest.mark.parametrize("channels", [16, 48])
def test_results_written_past_the_caches_have_the_same_bits(program, channels, topology, monkeypatch):
    """In sweeps and in passes over rows; sums of a row of many blocks are read back in between."""
    gone = []
    real = fused._goes_past_caches
    monkeypatch.setattr(fused, "_goes_past_caches", lambda *a: gone.append(real(*a)) or gone[-1])
    monkeypatch.setattr(fused, "PAST_BYTES", 1 << 30)
    through, _ = run(program, topology, np.float32, channels)
    assert not any(gone)
    monkeypatch.setattr(fused, "PAST_BYTES", 0)
    around, _ = run(program, topology, np.float32, channels)
    assert sum(gone) >= 3
    for a, b in zip(through, around, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_no_kernel_keeps_no_arrays(topology):
    """The reason is kept with the program; the frames that it was raised in are not."""

    @message_program
    def product(src, dst, params):
        return agg.sum(np.tanh(src.x + dst.x) @ params.w)

    x = np.ones((NUM_NODES, 16), np.float32)
    alive = weakref.ref(x)
    product(topology, src={"x": x}, dst={"x": x}, params={"w": np.eye(16, dtype=np.float32)})
    assert K.current_backend() == "numba"
    del x
    gc.collect()
    assert alive() is None


def test_outputs_that_read_the_same_rows_are_computed_together(topology, monkeypatch):
    """One pass reads the adjoint of attention's output: for what the senders' sweep needs, and for the scores."""
    run_module.plan_for.cache_clear()
    together, notes = run(attention, topology, np.float32)
    passes = [step for step in notes.backward if step.what == "pass"]
    monkeypatch.setattr(run_module, "with_early", lambda steps, *a: steps)
    run_module.plan_for.cache_clear()
    alone, notes = run(attention, topology, np.float32)
    run_module.plan_for.cache_clear()
    assert len(passes) < len([step for step in notes.backward if step.what == "pass"])
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_sweep_that_reads_nothing_of_the_other_end(topology, shape, rng, monkeypatch):
    """The gradient of an output per edge by the senders' field: there are no rows to fetch."""
    monkeypatch.setattr(fused, "SMALL", 0)

    @message_program
    def per_edge_output(src, edge):
        return np.tanh(src.a * edge.w)

    values = [rng.normal(size=(n, *shape)).astype(np.float32) for n in (NUM_NODES, topology.num_edges)]
    a, w = (gk.Tensor(value, requires_grad=True) for value in values)
    (per_edge_output(topology, src={"a": a}, edge={"w": w}) * 2.0).sum().backward()
    per_edge = 2.0 * values[1] / np.cosh(values[0][topology.senders] * values[1]) ** 2
    expected = np.zeros_like(values[0])
    np.add.at(expected, topology.senders, per_edge)
    np.testing.assert_allclose(a.grad.numpy(), expected, rtol=0, atol=2e-4)


def test_outputs_as_wide_as_what_they_read_are_computed_last(topology, rng):
    """Gradients of the receivers' own rows would only wait; and a reshape would leave the pass without a kernel."""

    @message_program
    def weighed(src, dst):
        return agg.sum(src.h) * dst.h + np.tanh(dst.flat).reshape(HEADS, CHANNELS) * dst.h

    h = rng.normal(size=(NUM_NODES, HEADS, CHANNELS)).astype(np.float32)
    fields = {"src": {"h": h}, "dst": {"h": h, "flat": h.reshape(NUM_NODES, -1)}}
    first, *_ = weighed.explain(topology, **fields).backward
    assert first.what == "pass" and first.gives.count("[") == 1


def test_machine_code_does_not_outlive_the_functions_it_was_made_of(monkeypatch, tmp_path):
    """numba's cache notices a changed source, but not a changed function that the source calls: our key does."""
    monkeypatch.setenv("GNNKIT_CACHE", str(tmp_path))
    source = "from gnnkit.kernels.backend import jit\n\n\n@jit\ndef sweep(x):\n    return x + 1\n"

    def misses():
        sweep = fused.compiled.__wrapped__(source, "sweep")
        assert sweep(1) == 2
        return sum(sweep.stats.cache_misses.values())

    assert (misses(), misses()) == (1, 0)
    monkeypatch.setattr(backend, "_sources_digest", lambda: "that of another vector.load")
    assert (misses(), misses()) == (1, 0)
