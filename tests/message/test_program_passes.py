"""Element-wise work in chunks of edges: compiled passes give what numpy gives, and the same bits for any threads."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.message import agg, message_program
from gnnkit.message.program import chunks, fused

NUM_NODES, WIDTH = 150, 19


@message_program
def network(src, dst, edge, params):
    """Two layers on the edges; distances, masks, a choice, and an output per edge."""
    apart = dst.x[:3] - src.x[:3]
    distance = np.sqrt((apart * apart).sum(-1) + 1e-3)
    hidden = gk.softplus((src.x - dst.x) @ params.first + params.bias) * np.exp(-distance)
    inside = (distance < 2.5) & (edge.w > -1.0)
    gate = np.where(inside, 0.5 * np.cos(distance) + 0.5, 0.0)
    message = np.tanh(hidden @ params.second) * gate
    return agg.sum(message), agg.max(message), message.sum(-1) * edge.w


@message_program
def heads(src, dst, params):
    """Rows of two feature axes on both sides of a product, and a sum over one of them."""
    right = gk.relu((np.tanh(src.h) * dst.s[:, None]) @ params.square)
    return agg.mean(np.exp(right.sum(-1) / 8.0) * dst.s)


READS = {network: ("x", "w", "first", "second", "bias"), heads: ("h", "s", "square")}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks, threads and passes for a small graph, as a large one gets them."""
    before = K.get_num_threads()
    monkeypatch.setattr(chunks, "CHUNK", 1 << 11)
    monkeypatch.setattr(fused, "LARGE", 0)
    yield
    K.set_num_threads(before)


@pytest.fixture
def topology(hub_topology):
    return hub_topology(NUM_NODES, 1200, hub=300)


def run(program, topology, dtype, backend="numba"):
    """Outputs, and the gradients of all that the program reads."""
    rng = np.random.default_rng(3)
    shapes = {
        "x": (NUM_NODES, WIDTH), "h": (NUM_NODES, 4, 5), "s": (NUM_NODES, 4), "w": (topology.num_edges,),
        "first": (WIDTH, 8), "bias": (8,), "second": (8, 21), "square": (5, 6),
    }  # fmt: skip
    given = {
        name: gk.tensor(rng.normal(size=shapes[name]).astype(dtype), requires_grad=True) for name in READS[program]
    }
    fields = {
        "src": {k: given[k] for k in ("x", "h") if k in given},
        "dst": {k: given[k] for k in ("x", "s") if k in given},
        "params": {k: given[k] for k in ("first", "second", "bias", "square") if k in given},
    } | ({"edge": {"w": given["w"]}} if "w" in given else {})
    with K.use_backend(backend):
        outputs = program(topology, **fields)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        sum((y * np.cos(np.arange(y.shape[-1]))).sum() if y.ndim > 1 else (y * y).sum() for y in outputs).backward()
    return [y.data for y in outputs] + [leaf.grad.data for leaf in given.values()]


@pytest.fixture
def counted(monkeypatch):
    """How many passes ran."""
    ran = []
    real = fused.run_pass

    def run_pass(rows, kernel, *rest):
        ran.append(kernel.source)
        return real(rows, kernel, *rest)

    monkeypatch.setattr(fused, "run_pass", run_pass)
    return ran


@pytest.mark.parametrize("program", list(READS), ids=lambda p: p.__name__)
@pytest.mark.parametrize(("dtype", "near"), [(np.float32, 2e-4), (np.float64, 1e-11)])
def test_passes_give_what_numpy_gives(program, dtype, near, topology, counted):
    found = run(program, topology, dtype)
    assert len(set(counted)) >= 3  # before and after each product
    del counted[:]
    expected = run(program, topology, dtype, backend="numpy")
    assert not counted
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=near, atol=near * np.abs(b).max())


def test_passes_have_the_same_bits_for_any_threads_and_in_any_order(topology, rng):
    K.set_num_threads(1)
    expected = run(heads, topology, np.float32)
    order = rng.permutation(topology.num_edges)
    shuffled = gk.Topology.from_edges(topology.senders[order], topology.receivers[order], num_nodes=NUM_NODES)
    for threads in (1, 2, 4):
        K.set_num_threads(threads)
        for t in (topology, shuffled):
            for a, b in zip(run(heads, t, np.float32), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_no_passes_where_a_graph_must_not_feel_its_batch_or_sums_are_exact(topology, counted):
    with gk.batch_invariant():
        run(network, topology, np.float32)
    with gk.exact_sums():
        run(network, topology, np.float32)
    assert not counted


def test_the_source_shows_the_passes(topology, monkeypatch):
    x, weight = np.ones((NUM_NODES, 5), np.float32), np.ones((5, 7), np.float32)

    def program(src, dst, params):
        return agg.sum(np.exp(np.tanh(src.x - dst.x) @ params.weight))

    given = {"src": {"x": x}, "dst": {"x": x}, "params": {"weight": weight}}
    notes = message_program(program).explain(topology, **given)
    assert notes.source.count("one pass over the edges of a chunk") >= 2 and "v.tanh" in notes.source
    monkeypatch.setattr(fused, "LARGE", 1 << 40)
    assert "edges of a chunk" not in message_program(program).explain(topology, **given).source


@message_program
def filtered(src, edge, params):
    """A filter per edge, as in SchNet: the gradients of its matrix and bias belong to nobody's edges."""
    return agg.sum(src.x * np.tanh(edge.w @ params.weight + params.bias))


def test_gradients_of_shared_matrices_and_biases_join_the_sweep_by_senders(topology):
    rng = np.random.default_rng(0)
    shapes = {"x": (NUM_NODES, 7), "w": (topology.num_edges, 3), "weight": (3, 7), "bias": (7,)}
    x, w, weight, bias = (rng.normal(size=shape) for shape in shapes.values())
    leaves = [gk.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    given = {"src": {"x": leaves[0]}, "edge": {"w": w}, "params": {"weight": leaves[1], "bias": leaves[2]}}
    y = filtered(topology, **given)
    scale = rng.normal(size=y.shape)
    (y * scale).sum().backward()
    sweeps = [step for step in filtered.explain(topology, **given).backward if step.what == "sweep"]
    assert [step.rows for step in sweeps] == ["senders"]
    # by hand
    at, to = topology.senders, topology.receivers
    hidden = np.tanh(w @ weight + bias)
    adjoint = x[at] * scale[to] * (1 - hidden**2)
    np.testing.assert_allclose(leaves[1].grad.data, w.T @ adjoint, atol=1e-11)
    np.testing.assert_allclose(leaves[2].grad.data, adjoint.sum(0), atol=1e-11)
    expected = np.zeros_like(x)
    np.add.at(expected, at, hidden * scale[to])
    np.testing.assert_allclose(leaves[0].grad.data, expected, atol=1e-11)


MASKED = {
    "equal": lambda a, b: np.where((a > 0) == (b > 0), a, b),
    "not equal": lambda a, b: np.where((a > 0) != (b > 0), a, b),
    "less": lambda a, b: np.where((a > 0) < (b > 0), a, b),
    "less equal": lambda a, b: np.where((a > 0) <= (b > 0), a, b),
    "greater": lambda a, b: np.where((a > 0) > (b > 0), a, b),
    "greater equal": lambda a, b: np.where((a > 0) >= (b > 0), a, b),
    "chosen": lambda a, b: np.where(np.where(a > 0, a > b, b > 0.5), a, b),
    "of numbers": lambda a, b: np.where(np.logical_and(a, b) | np.logical_not(a), a + 1.0, 0.0),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", MASKED)
def test_operations_of_masks(name, topology, counted, monkeypatch):
    """In passes and in kernels as by numpy."""
    monkeypatch.setattr(fused, "SMALL", 0)
    x = np.random.default_rng(1).normal(size=(NUM_NODES, 9))
    x[::5, ::2] = 0.0
    choose = MASKED[name]

    def program(src, dst, params):
        kept = choose(src.x, dst.x)
        return agg.sum(np.tanh(kept @ params.w)), agg.sum(kept)

    given = {"src": {"x": x}, "dst": {"x": x[::-1].copy()}, "params": {"w": np.eye(9)}}
    found = message_program(program)(topology, **given)
    assert counted
    with K.use_backend("numpy"):
        expected = message_program(program)(topology, **given)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.data, b.data, atol=1e-12)


@message_program
def hopeless(src, dst, params):
    """No other test's program: that it cannot be compiled is remembered."""
    right = gk.relu((np.tanh(src.h) * dst.s[:, None]) @ params.square)
    return agg.mean(np.exp(right.sum(-1) / 9.5) * dst.s)


def test_a_pass_that_numba_cannot_compile_is_left_to_numpy(topology, monkeypatch):
    monkeypatch.setitem(READS, hopeless, READS[heads])
    expected = run(hopeless, topology, np.float32, backend="numpy")
    monkeypatch.setattr(fused, "compiled", lambda source, name: _fails)
    with pytest.warns(RuntimeWarning, match="Please report it"):
        found = run(hopeless, topology, np.float32)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max())


def _fails(*arguments):
    raise fused.compiler_errors()("no such thing")


def test_numbers_without_axes_are_inputs(topology, backend):
    """A temperature is a number: its gradient is one too."""
    x = np.random.default_rng(1).normal(size=(NUM_NODES, 3))
    s = gk.tensor(0.3, requires_grad=True)
    y = gk.message_passing(
        topology, lambda src, params: agg.sum(np.exp(params.s) * src.x), src={"x": x}, params={"s": s}
    )
    y.sum().backward()
    assert s.grad.shape == ()
    np.testing.assert_allclose(s.grad.data, np.exp(0.3) * x[topology.senders].sum())


@pytest.mark.parametrize("reducer", ["max", "min"])
@pytest.mark.parametrize("width", [1, 2, 8, 17, 32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_winners_are_found_again_by_the_gradient(reducer, width, dtype, rng, monkeypatch):
    """A message is computed again to see who won: in another kernel, and with the same bits."""
    monkeypatch.setattr(fused, "SMALL", 0)
    senders, receivers = rng.integers(0, 17, 640), np.sort(rng.integers(0, 17, 640))
    t = gk.Topology.from_edges(senders, receivers, num_nodes=17)
    x, z, w = (rng.normal(size=(n, width)).astype(dtype) for n in (17, 17, 640))
    leaf = gk.tensor(x, requires_grad=True)

    def program(src, dst, edge):
        return getattr(agg, reducer)(gk.leaky_relu(src.x * edge.w + dst.z, 0.2))

    y = gk.message_passing(t, program, src={"x": leaf}, dst={"z": z}, edge={"w": w})
    y.sum().backward()
    at, to = np.asarray(t.senders), np.asarray(t.receivers)
    hidden = x[at] * w + z[to]
    message = np.where(hidden > 0, hidden, dtype(0.2) * hidden)
    expected = np.zeros_like(x)
    best = getattr(np, f"{reducer}imum")
    for i in np.unique(to):
        rows = np.flatnonzero(to == i)
        top = best.reduce(message[rows])
        for k in rows:
            expected[at[k]] += (message[k] == top) * np.where(hidden[k] > 0, 1, 0.2) * w[k]
    np.testing.assert_allclose(leaf.grad.data, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_passes_over_nothing(counted):
    for topology in (
        gk.Topology.from_edges([], [], num_nodes=NUM_NODES),
        gk.Topology.from_edges([1], [0], num_nodes=NUM_NODES),
    ):
        found = run(heads, topology, np.float64)
        expected = run(heads, topology, np.float64, backend="numpy")
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    assert counted
