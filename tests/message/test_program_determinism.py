"""The bits of a program: the same for any number of threads, in whatever order the edges come, and every time."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.kernels import parallel
from gnnkit.message import agg, message_program
from gnnkit.message.program import chunks, fused

NUM_NODES, NUM_EDGES = 240, 3000


@message_program
def attention(src, dst, edge):
    score = gk.leaky_relu(src.left + dst.right, 0.2) + edge.w[:, None].sum(-1)
    return agg.sum(agg.softmax(score)[:, None] * src.h), agg.softmax(score, to="senders")


@message_program
def statistics(src, dst, params):
    message = gk.relu((src.h - dst.h) @ params.weight)
    parts = [f(message) for f in (agg.mean, agg.max, agg.min, agg.std)]
    most = np.where(agg.degree("senders") > 0, agg.logsumexp(message, to="senders"), 0.0)
    return np.concatenate([*parts, agg.prod(np.cos(message))], axis=-1), agg.sum(message, to="graphs"), most


@message_program
def matrices(src, edge):
    return agg.sum((src.h[:, None, :] @ edge.m)[:, 0, :]), np.tanh(src.h.sum(-1) * edge.w)


PROGRAMS = {"attention": attention, "statistics": statistics, "matrices": matrices}
READS = {
    "attention": {"src": ("left", "h"), "dst": ("right",), "edge": ("w",)},
    "statistics": {"src": ("h",), "dst": ("h",), "params": ("weight",)},
    "matrices": {"src": ("h",), "edge": ("m", "w")},
}


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch):
    """Kernels, threads and chunks for a graph of some thousand edges, as a large graph gets them."""
    before = K.get_num_threads()
    monkeypatch.setattr(chunks, "CHUNK", 1 << 10)
    monkeypatch.setattr(fused, "SMALL", 0)
    monkeypatch.setattr(fused, "LARGE", 0)
    monkeypatch.setattr(parallel, "DEFAULT_GRAIN", 1 << 8)
    monkeypatch.setattr(K.blocks, "BLOCKWISE", 1 << 9)
    monkeypatch.setattr(K.blocks, "BLOCK", 1 << 8)
    yield
    K.set_num_threads(before)


def edges(rng):
    """Distinct pairs, with a hub that many edges enter, one that many leave, self-loops, and nodes without edges."""
    pairs = np.unique(rng.integers(0, NUM_NODES - 20, (NUM_EDGES, 2)), axis=0)
    hubs = np.concatenate([[[k, 7], [11, k]] for k in range(NUM_NODES - 20)])
    return np.unique(np.concatenate([pairs, hubs]), axis=0).T


def everything(rng, num_edges, dtype):
    node, edge = (NUM_NODES,), (num_edges,)
    shapes = {
        "src": {"h": (*node, 2, 5), "left": (*node, 2)},
        "dst": {"h": (*node, 2, 5), "right": (*node, 2)},
        "edge": {"w": (*edge, 2), "m": (*edge, 5, 3)},
        "params": {"weight": (5, 3)},
    }
    return {n: {f: rng.normal(size=s).astype(dtype) for f, s in of.items()} for n, of in shapes.items()}


def run(name, topology, fields):
    """Outputs and gradients, as bytes."""
    given = {n: {f: gk.Tensor(fields[n][f].copy(), requires_grad=True) for f in of} for n, of in READS[name].items()}
    outputs = PROGRAMS[name](topology, **given)
    rng = np.random.default_rng(3)
    sum((y * rng.normal(size=y.shape).astype(y.dtype)).sum() for y in outputs).backward()
    gradients = {f"{n}.{f}": t.grad.numpy() for n, of in given.items() for f, t in of.items()}
    return [y.numpy() for y in outputs], gradients


def assert_same_bits(first, second):
    for a, b in zip(first[0], second[0], strict=True):
        assert a.tobytes() == b.tobytes()
    for name, gradient in first[1].items():
        assert gradient.tobytes() == second[1][name].tobytes(), name


every_program = pytest.mark.parametrize("name", PROGRAMS)


@every_program
def test_threads(name, backend, rng):
    senders, receivers = edges(rng)
    topology = gk.Topology.from_edges(senders, receivers, num_nodes=NUM_NODES)
    fields = everything(rng, topology.num_edges, np.float64)
    found = []
    for threads in (1, 2, 4):
        K.set_num_threads(threads)
        found.append(run(name, topology, fields))
    assert_same_bits(found[0], found[1])
    assert_same_bits(found[0], found[2])


@pytest.mark.parametrize(("name", "dtype"), [(name, np.float64) for name in PROGRAMS] + [("matrices", np.float32)])
def test_again_and_again(name, dtype, rng):
    topology = gk.Topology.from_edges(*edges(rng), num_nodes=NUM_NODES)
    fields = everything(rng, topology.num_edges, dtype)
    first = run(name, topology, fields)
    for _ in range(2):
        assert_same_bits(first, run(name, topology, fields))


@every_program
def test_shuffled_edges(name, backend, rng):
    senders, receivers = edges(rng)
    count = len(senders)
    fields = everything(rng, count, np.float64)
    straight = gk.from_edges(senders, receivers, num_nodes=NUM_NODES, edges=fields["edge"])
    order = rng.permutation(count)
    shuffled = gk.from_edges(
        senders[order], receivers[order], num_nodes=NUM_NODES, edges={f: a[order] for f, a in fields["edge"].items()}
    )
    assert_same_bits(*(run(name, g.topology, {**fields, "edge": dict(g.edges)}) for g in (straight, shuffled)))


@every_program
def test_chunks_and_kernels_agree(name, rng, monkeypatch):
    """One tolerance for what the engines compute in different order."""
    topology = gk.Topology.from_edges(*edges(rng), num_nodes=NUM_NODES)
    fields = everything(rng, topology.num_edges, np.float64)
    found = run(name, topology, fields)
    with K.use_backend("numpy"):
        expected = run(name, topology, fields)
    for a, b in zip([*found[0], *found[1].values()], [*expected[0], *expected[1].values()], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
def test_the_size_of_chunks_changes_rounding_alone(chunk, rng, monkeypatch):
    topology = gk.Topology.from_edges(*edges(rng), num_nodes=NUM_NODES)
    fields = everything(rng, topology.num_edges, np.float64)
    with K.use_backend("numpy"):
        expected = run("statistics", topology, fields)
        monkeypatch.setattr(chunks, "CHUNK", chunk)
        found = run("statistics", topology, fields)
    for a, b in zip([*found[0], *found[1].values()], [*expected[0], *expected[1].values()], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
