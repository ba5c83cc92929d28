"""Operations on a topology: definitions by loops, adjoint pairs, second derivatives, bipartite and empty graphs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.message import (
    REDUCERS,
    aggregate,
    edge_dot,
    edge_softmax,
    gather_receivers,
    gather_senders,
    neighbour_max,
    neighbour_sum,
)
from gnnkit.message.program import chunks

# Node 3 receives nothing, node 4 is isolated, 1 -> 1 is a loop, 2 -> 0 is there twice.
SENDERS, RECEIVERS = np.array([2, 0, 1, 2, 3, 0]), np.array([0, 1, 1, 0, 2, 2])
SQUARE = gk.Topology.from_edges(SENDERS, RECEIVERS, num_nodes=5)
BIPARTITE = gk.Topology.from_edges([0, 3, 3, 1, 3], [0, 0, 1, 2, 2], num_senders=4, num_receivers=3)
EDGELESS, NOTHING = (gk.Topology.from_edges([], [], num_nodes=count) for count in (2, 0))
TOPOLOGIES = [SQUARE, BIPARTITE, EDGELESS, NOTHING]


def edges(topology):
    return list(zip(topology.senders.tolist(), topology.receivers.tolist(), strict=True))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("trailing", [(), (3,), (2, 3), (0,)])
def test_definitions(topology, trailing, rng):
    x, r = rng.normal(size=(topology.num_senders, *trailing)), rng.normal(size=(topology.num_receivers, *trailing))
    w = rng.normal(size=topology.num_edges)
    np.testing.assert_array_equal(gather_senders(topology, x).numpy(), x[topology.senders])
    np.testing.assert_array_equal(gather_receivers(topology, r).numpy(), r[topology.receivers])
    plain, weighted = np.zeros_like(r), np.zeros_like(r)
    for k, (s, t) in enumerate(edges(topology)):
        plain[t] += x[s]
        weighted[t] += w[k] * x[s]
    np.testing.assert_allclose(neighbour_sum(topology, x).numpy(), plain, atol=1e-12)
    np.testing.assert_allclose(neighbour_sum(topology, x, w).numpy(), weighted, atol=1e-12)


def test_heads_and_dots(rng):
    x, r, w = rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 2, 3)), rng.normal(size=(5, 2))
    total, dots = np.zeros((3, 2, 3)), np.zeros((5, 2))
    for k, (s, t) in enumerate(edges(BIPARTITE)):
        total[t] += w[k][:, None] * x[s]
        dots[k] = (r[t] * x[s]).sum(-1)
    np.testing.assert_allclose(neighbour_sum(BIPARTITE, x, w).numpy(), total, atol=1e-12)
    np.testing.assert_allclose(edge_dot(BIPARTITE, r, x).numpy(), dots, atol=1e-12)
    np.testing.assert_allclose(edge_dot(BIPARTITE, r[:, 0], x[:, 0]).numpy(), dots[:, 0], atol=1e-12)


@pytest.mark.parametrize("reducer", sorted(REDUCERS))
@pytest.mark.parametrize("to", ["receivers", "senders"])
@pytest.mark.parametrize("trailing", [(), (3,), (2, 2)])
def test_aggregate_is_the_reduction_of_each_nodes_edges(reducer, to, trailing, rng):
    messages = rng.normal(size=(5, *trailing))
    ends = BIPARTITE.receivers if to == "receivers" else BIPARTITE.senders
    count = BIPARTITE.num_receivers if to == "receivers" else BIPARTITE.num_senders
    result = aggregate(BIPARTITE, messages, reducer, to=to).numpy()
    for node in range(count):
        own = messages[ends == node]
        expected = gk.message.segment_reduce(own, np.array([0, len(own)]), reducer).numpy()[0]
        np.testing.assert_allclose(result[node], expected, atol=1e-12)


def test_integers_can_be_summed_to_either_end():
    assert aggregate(SQUARE, np.ones(6, int), to="senders").numpy().tolist() == SQUARE.out_degree().tolist()
    assert aggregate(SQUARE, np.ones(6, int)).numpy().tolist() == SQUARE.in_degree().tolist()


def attention(topology, x, r):
    return neighbour_sum(topology, x, edge_softmax(topology, edge_dot(topology, r, x)))


# name: (operation, shapes of its inputs, with s senders, r receivers and e edges as leading dimension)
OPERATIONS = {
    "gather_senders": (gather_senders, [("s", 2)]),
    "gather_receivers": (gather_receivers, [("r", 2)]),
    "neighbour_sum": (neighbour_sum, [("s", 2)]),
    "neighbour_sum of numbers": (neighbour_sum, [("s",), ("e",)]),
    "weighted": (neighbour_sum, [("s", 2), ("e",)]),
    "weighted rank 3": (neighbour_sum, [("s", 2, 2), ("e",)]),
    "heads": (neighbour_sum, [("s", 2, 3), ("e", 2)]),
    "edge_dot": (edge_dot, [("r", 2), ("s", 2)]),
    "edge_dot heads": (edge_dot, [("r", 2, 3), ("s", 2, 3)]),
    "softmax": (edge_softmax, [("e", 2)]),
    "to senders": (partial(aggregate, to="senders"), [("e", 2)]),
    "max to senders": (partial(aggregate, reducer="max", to="senders"), [("e", 2)]),
    "neighbour_max": (neighbour_max, [("s", 2)]),
    "attention": (attention, [("s", 2), ("r", 2)]),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("topology", [SQUARE, BIPARTITE], ids=["square", "bipartite"])
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(name, topology, order, rng):
    operation, shapes = OPERATIONS[name]
    count = {"s": topology.num_senders, "r": topology.num_receivers, "e": topology.num_edges}
    inputs = [rng.normal(size=(count[of], *trailing)) for of, *trailing in shapes]
    gk.assert_gradients(lambda *values: operation(topology, *values), *inputs, order=order)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_constant_weights_give_the_same_gradient_whether_remembered_or_not(backend, rng):
    x, w = rng.normal(size=(5, 3)), rng.normal(size=6)
    frozen = w.copy()
    frozen.flags.writeable = False
    results = []
    with K.use_backend(backend):
        for weights in (w, frozen, frozen, gk.tensor(w), gk.tensor(w, requires_grad=True)):
            leaf = gk.tensor(x, requires_grad=True)
            (neighbour_sum(SQUARE, leaf, weights) ** 2).sum().backward()
            results.append(leaf.grad.numpy())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_a_read_only_view_of_weights_that_change_is_not_remembered(rng):
    w = rng.normal(size=6)
    view = w.view()
    view.flags.writeable = False
    for _ in range(2):
        leaf = gk.tensor(np.ones(5), requires_grad=True)
        neighbour_sum(SQUARE, leaf, view).sum().backward()
        expected = np.zeros(5)
        np.add.at(expected, SQUARE.senders, w)
        np.testing.assert_allclose(leaf.grad.numpy(), expected)
        w *= 3.0


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_adjoint_pairs(data):
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    count = data.draw(st.integers(0, 12))
    senders = data.draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count))
    receivers = data.draw(st.lists(st.integers(0, m - 1), min_size=count, max_size=count))
    topology = gk.Topology.from_edges(np.array(senders, int), np.array(receivers, int), num_senders=n, num_receivers=m)
    rng = np.random.default_rng(count)
    x, y, e = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), rng.normal(size=(count, 2))
    there = (neighbour_sum(topology, x).numpy() * y).sum()
    assert there == pytest.approx((x * neighbour_sum(topology.transpose(), y).numpy()).sum(), abs=1e-10)
    there = (gather_senders(topology, x).numpy() * e).sum()
    assert there == pytest.approx((x * aggregate(topology, e, to="senders").numpy()).sum(), abs=1e-10)
    there = (gather_receivers(topology, y).numpy() * e).sum()
    assert there == pytest.approx((y * aggregate(topology, e).numpy()).sum(), abs=1e-10)


@pytest.mark.parametrize("chunk", [1, 4, 1 << 22])
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("trailing", [(), (2,), (2, 2), (0,)])
def test_maximum_in_chunks_is_the_maximum(chunk, topology, trailing, rng, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    x = rng.integers(-2, 2, size=(topology.num_senders, *trailing)).astype(float)  # with ties
    expected = aggregate(topology, gather_senders(topology, x), "max").numpy()
    np.testing.assert_array_equal(neighbour_max(topology, x).numpy(), expected)


@pytest.mark.parametrize("chunk", [1, 4, 1 << 22])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_gradient_of_the_maximum_in_chunks(chunk, topology, rng, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    x = rng.integers(-2, 2, size=(topology.num_senders, 3)).astype(float)
    seed = rng.normal(size=(topology.num_receivers, 3))
    gradients = []
    for operation in (neighbour_max, lambda t, x: aggregate(t, gather_senders(t, x), "max")):
        leaf = gk.tensor(x, requires_grad=True)
        operation(topology, leaf).backward(seed)
        gradients.append(leaf.grad.numpy())
    np.testing.assert_allclose(*gradients, atol=1e-15)


def test_known_softmax():
    topology = gk.Topology.from_edges(np.arange(6), [1, 5, 6, 6, 6, 5], num_nodes=7)
    scores = np.array([np.log(2)] * 3 + [0] * 3)[topology.edge_order]
    caller = np.empty(6)
    caller[topology.edge_order] = edge_softmax(topology, scores).numpy()
    np.testing.assert_allclose(caller, [1, 2 / 3, 1 / 2, 1 / 4, 1 / 4, 1 / 3])


def test_float32_stays_float32(rng):
    x = gk.tensor(rng.normal(size=(5, 2)).astype("float32"), requires_grad=True)
    out = neighbour_sum(SQUARE, x, rng.normal(size=6))
    out.sum().backward()
    assert out.dtype == x.grad.dtype == np.float32


def test_errors():
    with pytest.raises(ShapeError, match=r"one row per sender: 4 rows\. Got shape"):
        neighbour_sum(BIPARTITE, np.ones((3, 2)))
    with pytest.raises(ShapeError, match="one row per receiver"):
        gather_receivers(BIPARTITE, np.ones(4))
    with pytest.raises(ShapeError, match=r"\[num_edges, heads\]"):
        neighbour_sum(BIPARTITE, np.ones((4, 2)), np.ones((5, 2)))
    with pytest.raises(ShapeError, match="both be"):
        edge_dot(BIPARTITE, np.ones((3, 2)), np.ones((4, 3)))
    with pytest.raises(DTypeError, match="float32 or float64"):
        neighbour_sum(SQUARE, np.ones(5, int))
    with pytest.raises(InvalidArgumentError, match="'receivers' or 'senders'"):
        aggregate(SQUARE, np.ones(6), to="nodes")
    with pytest.raises(DTypeError, match="must be dense"):
        neighbour_sum(SQUARE, gk.SparseMatrix(np.zeros(6, int), np.zeros(0, int), np.zeros(0), (5, 2)))
