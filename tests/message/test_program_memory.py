"""Aggregations of features that never change are computed once, and never stale."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.message import agg, memory, message_program
from gnnkit.message.program import chunks

SENDERS, RECEIVERS = [0, 1, 2, 0, 3, 3], [1, 1, 0, 2, 2, 4]


@message_program
def total(src):
    return agg.sum(src.x)


@message_program
def spread(src, edge):
    return agg.max(np.tanh(src.x) * edge.w[..., None])


@message_program
def layer(src, params):
    return gk.relu(agg.mean(src.x) @ params.weight)


@pytest.fixture
def topology():
    return gk.Topology.from_edges(SENDERS, RECEIVERS, num_nodes=5)


@pytest.fixture
def sweeps(monkeypatch):
    """Counts passes over the edges, on the numpy backend."""
    count = []

    def counted(module, name):
        original = getattr(module, name)

        def call(*args, **kwargs):
            count.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    counted(K, "neighbour_sum")
    counted(chunks, "run_sweep")
    with K.use_backend("numpy"):
        yield count


def expected_total(x):
    y = np.zeros_like(x)
    np.add.at(y, RECEIVERS, x[SENDERS])
    return y


def test_a_sum_of_constants_is_computed_once(topology, sweeps, rng):
    x = rng.normal(size=(5, 3))
    for passes in (1, 2, 2, 2, 2):  # features that come by once are not kept
        np.testing.assert_allclose(total(topology, src={"x": x}).numpy(), expected_total(x))
        assert len(sweeps) == passes


def test_a_maximum_of_constants_is_computed_once(topology, sweeps, rng):
    x, w = rng.normal(size=(5, 3)), rng.normal(size=6)
    w.flags.writeable = False
    found = [spread(topology, src={"x": x}, edge={"w": w}).numpy() for _ in range(5)]
    assert len(sweeps) == 2
    assert all(y.tobytes() == found[0].tobytes() for y in found)


def test_training_on_constants(topology, sweeps, rng):
    x = rng.normal(size=(5, 3))
    weight = gk.Tensor(rng.normal(size=(3, 2)), requires_grad=True)
    mean = expected_total(x) / np.maximum(np.bincount(RECEIVERS, minlength=5), 1)[:, None]
    for _ in range(4):
        weight.grad = None
        layer(topology, src={"x": x}, params={"weight": weight}).sum().backward()
        np.testing.assert_allclose(weight.grad.numpy(), mean.T @ (mean @ weight.numpy() > 0))
        weight = gk.Tensor(weight.numpy() - 0.1 * weight.grad.numpy(), requires_grad=True)
    assert len(sweeps) == 2


@pytest.mark.parametrize("change", ["one value", "last bit", "two rows", "sign of zero", "through its owner"])
def test_a_change_in_place_is_seen(topology, change, rng):
    owner = rng.normal(size=(5, 3))
    x = owner[:]
    if change == "through its owner":
        x.flags.writeable = False
    elif change == "sign of zero":
        owner[3] = 0.0
    for _ in range(4):
        np.testing.assert_array_equal(total(topology, src={"x": x}).numpy(), expected_total(x))
    if change == "last bit":
        x[3, 2] = np.nextafter(x[3, 2], 9)
    elif change == "two rows":
        x[[0, 3]] = x[[3, 0]]
    elif change == "sign of zero":
        x[3, 1] = -0.0
    else:
        owner[3, 1] += 1
    for _ in range(3):
        np.testing.assert_array_equal(total(topology, src={"x": x}).numpy(), expected_total(x))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (1, 1), (700, 7), (513, 64), (300, 3, 5), (5, 4000)])
def test_a_fingerprint_sees_every_bit_wherever_pieces_end(dtype, shape, rng, monkeypatch):
    """Pieces are much shorter than a block of words, as long as one, and longer than the array."""
    x = rng.normal(size=shape).astype(dtype)
    places = rng.integers(0, max(x.size, 1), 40) if x.size else []
    for piece in (1, 2048, 1 << 19):
        monkeypatch.setattr(memory, "PIECE", piece)
        before = memory._fingerprint(x)
        assert memory._fingerprint(x.copy()) == before
        for place in {0, x.size - 1, *places} if x.size else ():
            bits = x.reshape(-1).view(f"u{x.itemsize}")
            bits[place] ^= 1
            assert memory._fingerprint(x) != before
            bits[place] ^= 1


def test_another_array_of_the_same_size_is_another(topology, rng):
    for _ in range(20):
        x = rng.normal(size=(5, 3))
        for _ in range(3):
            np.testing.assert_array_equal(total(topology, src={"x": x}).numpy(), expected_total(x))
        del x  # the next one may well get its address


def test_another_weight_of_the_same_address_is_another(topology, rng):
    x = rng.normal(size=(5, 3))
    for _ in range(20):
        w = rng.normal(size=6)
        w.flags.writeable = False
        found = [spread(topology, src={"x": x}, edge={"w": w}).numpy() for _ in range(3)]
        fresh = spread(topology, src={"x": x.copy()}, edge={"w": w.copy()}).numpy()
        for y in found:
            np.testing.assert_array_equal(y, fresh)
        del w


def test_weights_that_change_in_place_are_seen(topology, rng):
    x, w = rng.normal(size=(5, 3)), rng.normal(size=6)
    for _ in range(4):
        found = spread(topology, src={"x": x}, edge={"w": w}).numpy()
        np.testing.assert_array_equal(found, spread(topology, src={"x": x.copy()}, edge={"w": w.copy()}).numpy())
        w += 1


def test_the_array_is_not_kept_alive(topology, rng):
    x = rng.normal(size=(5, 3))
    for _ in range(4):
        total(topology, src={"x": x})
    store = topology.cached("remembered_constants", dict)
    assert len(store) == 1
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None
    assert not store


def test_results_may_be_written_into(topology, rng):
    x = rng.normal(size=(5, 3))
    for _ in range(4):
        y = total(topology, src={"x": x}).numpy()
        np.testing.assert_array_equal(y, expected_total(x))
        if y.flags.writeable:
            y *= 2


def test_dtypes_and_programs_are_apart(topology, rng):
    x = rng.normal(size=(5, 3))
    single = x.astype(np.float32)
    for _ in range(4):
        assert total(topology, src={"x": x}).dtype == np.float64
        assert total(topology, src={"x": single}).dtype == np.float32
        largest = gk.message_passing(topology, lambda src: agg.max(src.x), src={"x": x}).numpy()
        np.testing.assert_array_equal(largest[1], np.maximum(x[0], x[1]))
        backwards = gk.message_passing(topology, lambda src: agg.sum(src.x), src={"x": single[::-1]}).numpy()
        np.testing.assert_array_equal(backwards, expected_total(single[::-1]))


def test_the_same_array_as_two_fields(topology, rng):
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    b.flags.writeable = a.flags.writeable = False
    program = message_program(lambda src: agg.max(src.a - 2.0 * src.b))
    for first, second in [(a, b), (b, a), (a, a), (b, b)] * 4:
        found = program(topology, src={"a": first, "b": second}).numpy()
        np.testing.assert_array_equal(found, program(topology, src={"a": first.copy(), "b": second.copy()}).numpy())


def test_graphs_of_a_batch_are_no_constant(rng):
    batch = gk.batch([gk.path(2), gk.path(3)])
    x = rng.normal(size=(5, 2))
    program = message_program(lambda src: agg.sum(agg.softmax(src.x, to="graphs")))
    for graph in (batch, batch.topology) * 4:
        found = program(graph, src={"x": x}).numpy()
        np.testing.assert_array_equal(found, program(graph, src={"x": x.copy()}).numpy())


def test_what_is_learnt_is_not_kept(topology, sweeps, rng):
    x = gk.Tensor(rng.normal(size=(5, 3)), requires_grad=True)
    for passes in range(1, 5):
        total(topology, src={"x": x})
        assert len(sweeps) == passes
    with gk.no_grad():
        np.testing.assert_array_equal(total(topology, src={"x": x}).numpy(), expected_total(x.numpy()))
