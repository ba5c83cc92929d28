"""Programs in gk.exact_sums(): random ones on random graphs keep every bit when nodes and edges get other numbers."""

from __future__ import annotations

from itertools import pairwise

import naive_programs as naive
import numpy as np
import pytest
import random_programs as grammar
from hypothesis import given
from test_program_random import assert_close, engine, examples, numbers

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.message import agg, message_program
from gnnkit.message.program import fused

SEED = 5


def moved(example, rng):
    """The example with other numbers for its nodes (within their graphs) and edges, and where each row has gone."""
    topology = getattr(example.graph, "topology", example.graph)
    batch = example.graph if isinstance(example.graph, gk.Graph) else None
    node_ptr = np.array([0, topology.num_receivers]) if batch is None else batch.node_ptr
    came = {"dst": np.concatenate([np.arange(0), *(a + rng.permutation(b - a) for a, b in pairwise(node_ptr))])}
    came["src"] = rng.permutation(topology.num_senders) if topology.is_bipartite else came["dst"]
    became = {level: np.argsort(rows) for level, rows in came.items()}
    senders, receivers = became["src"][topology.senders], became["dst"][topology.receivers]
    came["edge"] = np.lexsort((rng.random(topology.num_edges), senders, receivers))  # parallel edges in any order
    came["graph"] = np.arange(len(node_ptr) - 1)
    again = gk.Topology.from_edges(
        senders[came["edge"]], receivers[came["edge"]],
        num_senders=topology.num_senders, num_receivers=topology.num_receivers,
    )  # fmt: skip
    graph = again
    if batch is not None:
        graph = gk.Graph(again, node_ptr=node_ptr, edge_ptr=again.indptr[node_ptr])
    fields = {
        n: {f: a if n in ("params", "globals") else a[came[naive.LEVELS[n]]] for f, a in members.items()}
        for n, members in example.given.items()
    }
    other = grammar.Example(graph, fields)
    other.lines, other.outputs = example.lines, example.outputs
    return other, came


def run(example, seeds):
    """Outputs, and gradients by every input that the program reads."""
    places = example.used()
    tensors = {n: dict(members) for n, members in example.given.items()}
    for n, f in places:
        tensors[n][f] = gk.Tensor(example.given[n][f].copy(), requires_grad=True)
    results = engine(example, tensors)
    loss = sum((gk.Tensor(s) * y).sum() for s, y in zip(seeds, results, strict=True))
    if loss.requires_grad:
        loss.backward()
    gradients = {(n, f): tensors[n][f].grad for n, f in places}
    return [y.numpy() for y in results], {place: None if g is None else g.numpy() for place, g in gradients.items()}


def assert_same_bits(a, b, what):
    nan = np.isnan(a) & np.isnan(b)
    zero = (a == 0) & (b == 0) & ~np.signbit(a - b)
    same = (np.ascontiguousarray(a).view("u8") == np.ascontiguousarray(b).view("u8")) | nan
    assert same.all(), f"{what}: {a[~same]} is not {b[~same]}" + ("" if not zero.any() else " (zeros of both signs)")


def check(example):
    rng = np.random.default_rng(SEED)
    rows = naive.run(example.make, example.graph, example.given)
    seeds = [rng.normal(size=r.array().shape) for r in rows]
    usual = run(example, seeds)
    with gk.exact_sums():
        outputs, gradients = run(example, seeds)
        other, came = moved(example, rng)
        where = [came.get(r.level) for r in rows]
        moved_seeds = [s if w is None else s[w] for s, w in zip(seeds, where)]
        moved_outputs, moved_gradients = run(other, moved_seeds)
    for name, a, b, w in zip(example.outputs, moved_outputs, outputs, where):
        assert_same_bits(a, b if w is None else b[w], name)
    for (n, f), gradient in gradients.items():
        if gradient is None:
            assert moved_gradients[n, f] is None
            continue
        w = None if n == "params" else came[naive.LEVELS[n]]
        assert_same_bits(moved_gradients[n, f], gradient if w is None else gradient[w], f"gradient of {n}.{f}")
    for name, a, b in zip(example.outputs, outputs, usual[0]):
        assert_close(a, b, 1e-9, name)


@examples(150)
@given(grammar.programs())
def test_random_programs_with_numpy(example):
    with K.use_backend("numpy"):
        check(example)


@numbers(8)
def test_random_programs_with_kernels(number, monkeypatch):
    monkeypatch.setattr(fused, "SMALL", 0)
    check(grammar.numbered(number, statements=8))


@message_program
def everything(src, dst, edge, params):
    score = gk.leaky_relu(src.left + dst.right, 0.2)
    attended = agg.sum(agg.softmax(score)[:, None] * src.h)
    message = gk.relu((src.h - dst.h) @ params.weight) * edge.w
    parts = [f(message) for f in (agg.mean, agg.max, agg.min, agg.std, agg.prod, agg.logsumexp)]
    return attended, np.concatenate(parts, axis=-1), agg.sum(message, to="senders"), agg.mean(message, to="graphs")


@pytest.mark.parametrize("small", [0, 1 << 30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_reducer_on_a_graph_with_hubs_and_parallel_edges(small, dtype, rng, monkeypatch):
    monkeypatch.setattr(fused, "SMALL", small)
    n, count = 60, 500
    senders, receivers = rng.integers(0, n, (2, count))
    receivers[:100] = 7
    receivers[100:160] = np.arange(60)  # logsumexp over no edges is -inf, and has no gradient
    fields = {
        "src": {"left": rng.normal(size=(n, 2)), "h": rng.normal(size=(n, 2, 3))},
        "dst": {"right": rng.normal(size=(n, 2)), "h": rng.normal(size=(n, 2, 3))},
        "edge": {"w": rng.normal(size=(count, 2, 1))},
        "params": {"weight": rng.normal(size=(3, 4))},
    }
    fields = {k: {f: a.astype(dtype) for f, a in v.items()} for k, v in fields.items()}

    def results(order, shuffle):
        at = np.argsort(order)
        rank = np.lexsort((np.arange(count), order[senders][shuffle], order[receivers][shuffle]))
        topology = gk.Topology.from_edges(order[senders][shuffle], order[receivers][shuffle], num_nodes=n)
        taken = {"src": at, "dst": at, "edge": shuffle[rank], "params": slice(None)}
        tensors = {k: {f: gk.tensor(a[taken[k]], requires_grad=True) for f, a in v.items()} for k, v in fields.items()}
        outputs = everything(topology, **tensors)
        loss = sum(np.sum(np.sin(y)) for y in outputs)
        loss.backward()
        back = {"src": order, "dst": order, "edge": np.argsort(shuffle[rank]), "params": slice(None)}
        gradients = [t.grad.numpy()[back[k]] for k, v in tensors.items() for t in v.values()]
        return [y.numpy()[order] if len(y) == n else y.numpy() for y in outputs] + gradients

    with gk.exact_sums():
        first = results(np.arange(n), np.arange(count))
        assert all(np.isfinite(a).all() for a in first)
        for _ in range(3):
            for a, b in zip(results(rng.permutation(n), rng.permutation(count)), first, strict=True):
                np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))
