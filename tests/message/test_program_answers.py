"""Message programs with answers known by hand: every reducer, ties, NaN, infinities, and what has no edges."""

from __future__ import annotations

import naive_programs as naive
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.message import agg, message_passing

LN2 = np.log(2.0)
pytestmark = pytest.mark.usefixtures("backend")


def into(receivers, num_receivers, num_senders=None):
    """Edge k goes from sender k to ``receivers[k]``, whose order is kept by canonical edges of ascending receivers."""
    senders = np.arange(len(receivers))
    return gk.Topology.from_edges(
        senders, receivers, num_senders=num_senders or len(senders), num_receivers=num_receivers
    )


def reduced(reducer, messages, receivers, num_receivers):
    """Messages are a field of the senders, one edge each: then the order of edges does not matter."""
    topology = into(receivers, num_receivers)
    result = message_passing(topology, lambda src: getattr(agg, reducer)(src.m), src={"m": np.asarray(messages, float)})
    return result.numpy()


# --- published values -------------------------------------------------------------------------------------------------

SIX = [1, 3, 2, 4, 5, 6], [0, 1, 0, 1, 1, 3], 4
PAIRS = [[1, 2], [5, 6], [3, 4], [7, 8], [9, 10], [11, 12]], [0, 1, 0, 1, 1, 3], 4
NINE = np.arange(9), [0, 1, 2, 0, 4, 0, 1, 1, 0], 6
SLOPES = np.arange(1, 11)[:, None] * [0.1, -0.1], [1, 2, 2, 3, 3, 3, 4, 4, 5, 4], 7


@pytest.mark.parametrize(
    ("reducer", "given", "expected"),
    [
        ("sum", SIX, [3, 12, 0, 6]),
        ("prod", SIX, [2, 60, 1, 6]),
        ("mean", SIX, [1.5, 4, 0, 6]),
        ("min", SIX, [1, 3, 0, 6]),
        ("max", SIX, [2, 5, 0, 6]),
        ("var", SIX, [0.25, 2 / 3, 0, 0]),
        ("std", SIX, [0.5, np.sqrt(2 / 3), 0, 0]),
        ("sum", PAIRS, [[4, 6], [21, 24], [0, 0], [11, 12]]),
        ("max", PAIRS, [[3, 4], [9, 10], [0, 0], [11, 12]]),
        ("sum", NINE, [16, 14, 2, 0, 4, 0]),
        ("mean", NINE, [4, 14 / 3, 2, 0, 4, 0]),
        ("max", SLOPES, [[0, 0], [0.1, -0.1], [0.3, -0.2], [0.6, -0.4], [1, -0.7], [0.9, -0.9], [0, 0]]),
        ("logsumexp", (np.log([1.0, 2, 3, 4]), [0, 0, 2, 2], 3), [np.log(3), -np.inf, np.log(7)]),
    ],
)
def test_reducers(reducer, given, expected):
    np.testing.assert_allclose(reduced(reducer, *given), expected, atol=1e-12)


def test_csr_rows():
    topology = into([0, 0, 1, 1, 1, 3], 4)
    m = {"m": np.arange(1.0, 7)}
    found = message_passing(topology, lambda edge: (agg.sum(edge.m), agg.mean(edge.m), agg.max(edge.m)), edge=m)
    assert [y.numpy().tolist() for y in found] == [[3, 12, 0, 6], [1.5, 4, 0, 6], [2, 5, 0, 6]]


@pytest.mark.parametrize(
    ("scores", "receivers", "expected"),
    [
        ([LN2, LN2, LN2, 0, 0, 0], [1, 5, 6, 6, 6, 5], [1, 2 / 3, 1 / 2, 1 / 4, 1 / 4, 1 / 3]),
        (
            NINE[0], NINE[1],
            [3.1741429e-4, 1.8088353e-3, 1, 6.3754367e-3, 1, 4.710846e-2, 0.26845494, 0.72973621, 0.9461987],
        ),
        ([5.0, 5.0, 1000.0, -1000.0], [0, 0, 1, 1], [0.5, 0.5, 1, 0]),
    ],
)  # fmt: skip
def test_softmax(scores, receivers, expected):
    topology = into(receivers, 7)
    weights = message_passing(topology, lambda src: agg.softmax(src.s), src={"s": np.asarray(scores, float)}).numpy()
    assert weights.shape == (topology.num_edges,)
    np.testing.assert_allclose(weights, np.asarray(expected)[topology.senders], rtol=1e-6, atol=1e-12)


def test_every_side_of_a_batch():
    first = gk.from_edges([0, 1, 1], [1, 0, 1], num_nodes=2)
    g = gk.batch([first, gk.empty(2), gk.from_edges([0], [0], num_nodes=1)])
    edge = {"m": np.array([1.0, 2.0, 4.0, 8.0])}  # 1 -> 0, 0 -> 1, 1 -> 1, 4 -> 4

    def sides(edge, globals):
        shifted = edge.m + globals.u
        return tuple(f(m, to=to) for to in ("receivers", "senders", "graphs") for f, m in FUNCTIONS(edge.m, shifted))

    FUNCTIONS = lambda m, shifted: ((agg.sum, m), (agg.max, m), (agg.mean, shifted))  # noqa: E731
    results = [y.numpy().tolist() for y in message_passing(g, sides, edge=edge, globals={"u": np.array([0, 100.0, 0])})]
    assert results[:3] == [[1, 6, 0, 0, 8], [1, 4, 0, 0, 8], [1, 3, 0, 0, 8]]
    assert results[3:6] == [[2, 5, 0, 0, 8], [2, 4, 0, 0, 8], [2, 2.5, 0, 0, 8]]
    assert results[6:8] == [[7, 0, 8], [4, 0, 8]]
    np.testing.assert_allclose(results[8], [7 / 3, 0, 8])


# --- ties -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reducer", "sign"), [("max", 1.0), ("min", -1.0)])
def test_ties_share_evenly(reducer, sign):
    topology = into([0, 0, 0, 0, 1, 1], 3)
    m = gk.Tensor(sign * np.array([7.0, 3, 7, 7, 5, 5]), requires_grad=True)
    y = message_passing(topology, lambda edge: getattr(agg, reducer)(edge.m), edge={"m": m})
    (y * gk.Tensor([6.0, 1.0, 9.0])).sum().backward()
    np.testing.assert_array_equal(m.grad.numpy(), [2, 0, 2, 2, 0.5, 0.5])


def test_parallel_edges_share_what_their_sender_gets():
    topology = gk.Topology.from_edges([0, 0, 1, 2], [0, 0, 0, 0], num_nodes=3)
    x = gk.Tensor([1.0, 1.0, 0.0], requires_grad=True)
    message_passing(topology, lambda src: agg.max(src.x), src={"x": x}).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [2 / 3, 1 / 3, 0], rtol=1e-15)


def test_ties_of_features():
    x = gk.Tensor([[2.0, 2.0, 1.0]], requires_grad=True)
    message_passing(into([0], 1), lambda src: agg.sum(src.x.max(-1)), src={"x": x}).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0.5, 0.5, 0]])
    pair = gk.Tensor([3.0], requires_grad=True)
    message_passing(into([0], 1), lambda src: agg.sum(np.maximum(src.x, 3.0)), src={"x": pair}).sum().backward()
    np.testing.assert_array_equal(pair.grad.numpy(), [0.5])


def test_all_messages_tie_at_a_receiver():
    x = gk.Tensor([4.0, 5.0], requires_grad=True)
    topology = gk.Topology.from_edges([0, 1, 0], [0, 0, 1], num_nodes=2)
    message_passing(topology, lambda dst: agg.max(dst.x), dst={"x": x}).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1])


def test_products_with_zeros():
    m = gk.Tensor([2.0, 0, 5, 0, 0, 3], requires_grad=True)
    message_passing(into([0, 0, 0, 1, 1, 2], 4), lambda edge: agg.prod(edge.m), edge={"m": m}).sum().backward()
    np.testing.assert_array_equal(m.grad.numpy(), [0, 10, 0, 0, 0, 1])


def test_equal_messages_have_no_spread():
    m = gk.Tensor([0.1, 0.1, 0.1, 1.0, 2.0], requires_grad=True)
    y = message_passing(into([0, 0, 0, 1, 1], 2), lambda edge: agg.std(edge.m), edge={"m": m})
    np.testing.assert_allclose(y.numpy(), [0, 0.5], atol=1e-15)
    y.sum().backward()
    np.testing.assert_allclose(m.grad.numpy(), [0, 0, 0, -0.5, 0.5], atol=1e-15)


# --- NaN and infinities -----------------------------------------------------------------------------------------------

EVERY = ["sum", "mean", "max", "min", "prod", "var", "std", "logsumexp"]


@pytest.mark.parametrize("reducer", EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_with_its_receiver(reducer, bad):
    messages, receivers = np.array([1.0, bad, 2.0, 3.0]), [0, 1, 1, 3]
    found = reduced(reducer, messages, receivers, 4)
    clean = reduced(reducer, np.nan_to_num(messages, nan=1.0, posinf=1.0), receivers, 4)
    assert not (reducer != "min" and np.isfinite(found[1])) or (reducer == "min" and found[1] == 2.0)
    if np.isnan(bad):
        assert np.isnan(found[1])
    np.testing.assert_array_equal(found[[0, 2, 3]], clean[[0, 2, 3]])


def test_nan_in_a_softmax_stays_with_its_receiver():
    scores = np.array([0.0, np.nan, 1.0, 2.0])
    weights = message_passing(into([0, 1, 1, 2], 3), lambda edge: agg.softmax(edge.s), edge={"s": scores}).numpy()
    np.testing.assert_array_equal(np.isnan(weights), [False, True, True, False])
    assert weights[[0, 3]].tolist() == [1, 1]


def test_minus_infinity_switches_an_edge_off():
    s = gk.Tensor([0.2, 0, 0.2, -2.1, 3.2, 7, -1, -np.inf], requires_grad=True)
    topology = into([0, 1, 0, 1, 1, 2, 4, 4], 5)
    weights = message_passing(topology, lambda src: agg.softmax(src.s), src={"s": s})
    by_sender = dict(zip(topology.senders.tolist(), weights.numpy()))
    assert (by_sender[6], by_sender[7]) == (1, 0)
    (weights * np.arange(8.0)).sum().backward()
    assert np.isfinite(s.grad.numpy()).all()
    np.testing.assert_array_equal(s.grad.numpy()[[5, 6, 7]], 0)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_softmax_of_nothing_but_minus_infinity_is_0(backwards):
    s = gk.Tensor([-np.inf, -np.inf, 1.0], requires_grad=True)
    v = gk.Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    y = message_passing(
        into([0, 0, 1], 3), lambda src, edge: agg.sum(agg.softmax(edge.s)[..., None] * src.v), src={"v": v},
        edge={"s": s},
    )  # fmt: skip
    np.testing.assert_array_equal(y.numpy(), [[0, 0], [5, 6], [0, 0]])
    if backwards:
        y.sum().backward()
        np.testing.assert_array_equal(s.grad.numpy(), [0, 0, 0])
        np.testing.assert_array_equal(v.grad.numpy(), [[0, 0], [0, 0], [1, 1]])


def test_logsumexp_of_extremes():
    m = gk.Tensor([1000.0, 1000.0, -np.inf, -np.inf, -1000.0], requires_grad=True)
    y = message_passing(into([0, 0, 1, 1, 2], 4), lambda edge: agg.logsumexp(edge.m), edge={"m": m})
    np.testing.assert_allclose(y.numpy(), [1000 + LN2, -np.inf, -1000, -np.inf])
    (y[0] + y[2]).backward()
    np.testing.assert_array_equal(m.grad.numpy(), [0.5, 0.5, 0, 0, 1])


def test_infinite_factors_leave_receivers_without_edges_alone():
    x, w = np.array([1.0, 2.0]), np.array([np.inf, np.inf, np.nan])
    topology = gk.Topology.from_edges([0, 1], [0, 0], num_senders=2, num_receivers=3)
    y = message_passing(topology, lambda src, dst: agg.sum(src.x * dst.w), src={"x": x}, dst={"w": w}).numpy()
    np.testing.assert_array_equal(y, [np.inf, 0, 0])


# --- nothing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reducer", EVERY)
@pytest.mark.parametrize(("num_senders", "num_receivers"), [(3, 2), (3, 0), (0, 2), (0, 0)])
@pytest.mark.parametrize("to", ["receivers", "senders", "graphs"])
def test_without_edges(reducer, num_senders, num_receivers, to):
    topology = gk.Topology.from_edges([], [], num_senders=num_senders, num_receivers=num_receivers)
    x, r = (gk.Tensor(np.ones((n, 4)), requires_grad=True) for n in (num_senders, num_receivers))

    def program(src, dst, params):
        return getattr(agg, reducer)(src.x * dst.x, to=to), agg.sum((src.x - dst.x) @ params.w, to=to)

    w = gk.Tensor(np.ones((4, 2)), requires_grad=True)
    y, z = message_passing(topology, program, src={"x": x}, dst={"x": r}, params={"w": w})
    rows = {"receivers": num_receivers, "senders": num_senders, "graphs": 1}[to]
    empty = {"prod": 1, "logsumexp": -np.inf}.get(reducer, 0)
    np.testing.assert_array_equal(y.numpy(), np.full((rows, 4), empty))
    np.testing.assert_array_equal(z.numpy(), np.zeros((rows, 2)))
    z.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.zeros((4, 2)))
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("reducer", EVERY)
def test_without_features(reducer):
    topology = into([0, 0, 1], 3)
    x = gk.Tensor(np.ones((3, 0)), requires_grad=True)
    y = message_passing(topology, lambda src: getattr(agg, reducer)(src.x), src={"x": x})
    assert y.shape == (3, 0)
    y.sum().backward()
    assert x.grad.shape == (3, 0)
    product = message_passing(topology, lambda src, params: agg.sum(src.x @ params.w), src={"x": x},
                              params={"w": np.ones((0, 2))})  # fmt: skip
    np.testing.assert_array_equal(product.numpy(), np.zeros((3, 2)))


# --- what comes back --------------------------------------------------------------------------------------------------


def test_structures_and_levels(rng):
    topology = into([0, 0, 1], 4)
    x, w = rng.normal(size=(3, 2)), rng.normal(size=3)

    def program(src, dst, edge):
        total = agg.sum(src.x)
        return {"receivers": total + dst.b, "edges": edge.w * total[0], "senders": src.x + 1, "all": 5.0}

    b = np.arange(8.0).reshape(4, 2)
    y = message_passing(topology, program, src={"x": x}, dst={"b": b}, edge={"w": w})
    assert {name: value.shape for name, value in y.items()} == {
        "receivers": (4, 2), "edges": (3,), "senders": (3, 2), "all": (4,)
    }  # fmt: skip
    np.testing.assert_allclose(y["receivers"].numpy()[[2, 3]], b[[2, 3]])
    np.testing.assert_allclose(y["edges"].numpy(), w * np.array([x[0] + x[1]] * 2 + [x[2]])[:, 0])
    assert y["all"].numpy().tolist() == [5] * 4
    assert type(message_passing(topology, lambda src: [src.x, agg.sum(src.x)], src={"x": x})) is list
    assert type(message_passing(topology, lambda src: (agg.sum(src.x),), src={"x": x})) is tuple


@pytest.mark.parametrize("to", ["receivers", "senders", "graphs"])
@pytest.mark.parametrize("level", ["src", "dst", "edge"])
def test_a_softmax_has_one_row_per_edge(level, to, rng):
    g = gk.batch([gk.path(3), gk.empty(1), gk.from_edges([0, 1, 1], [0, 0, 0], num_nodes=2)])
    given = {level: {"x": rng.normal(size=(g.num_edges if level == "edge" else g.num_nodes, 2))}}
    names = {"src": lambda src: agg.softmax(src.x, to), "dst": lambda dst: agg.softmax(dst.x, to)}
    function = names.get(level, lambda edge: agg.softmax(edge.x, to))
    found = message_passing(g, function, **given).numpy()
    (expected,) = naive.run(lambda _: lambda **k: naive.softmax(k[level].x, to), g, given)
    assert found.shape == (g.num_edges, 2)
    np.testing.assert_allclose(found, expected.array(), atol=1e-14)


def test_the_widest_dtype_counts():
    topology, single, double = into([0, 1], 2), np.ones(2, np.float32), np.ones(2)
    assert message_passing(topology, lambda src: agg.sum(src.x), src={"x": single}).dtype == np.float32
    assert message_passing(topology, lambda edge: agg.sum(edge.k * 0.5), edge={"k": np.arange(2)}).dtype == np.float32
    x = gk.Tensor(single, requires_grad=True)
    y = message_passing(topology, lambda src, edge: agg.sum(src.x * edge.w), src={"x": x}, edge={"w": double})
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == (np.float64, np.float32)
    assert message_passing(topology, lambda src: agg.sum(src.x[..., None] * double), src={"x": single}).dtype == float


def test_masks_and_kinds():
    topology = into([0, 0, 1, 1], 2)
    edge = {"kind": np.array([0, 2, 1, 2]), "on": np.array([True, False, True, True]), "w": np.array([1.0, 2, 4, 8])}

    def program(edge, globals):
        chosen = np.where(edge.kind == 2, 10.0 * edge.w, np.where(edge.on & ~(edge.kind == 0), edge.w, 0.5))
        flags = np.where(globals.flag, np.where(edge.on, edge.on, edge.kind > 1), False)
        return agg.sum(chosen), agg.mean(-np.where(edge.w > 1, edge.kind, edge.on)), agg.sum(flags)

    found = message_passing(topology, program, edge=edge, globals={"flag": np.array([True])})
    assert [y.numpy().tolist() for y in found] == [[20.5, 84], [-1.5, -1.5], [2, 2]]


def test_the_oracle_itself():
    """The naive interpreter, against numbers written down."""
    topology = gk.Topology.from_edges([0, 1, 2], [1, 1, 0], num_nodes=3)
    given = {"src": {"x": np.array([1.0, 2.0, 4.0])}, "dst": {"x": np.array([10.0, 20.0, 30.0])}}

    def make(gk):
        def program(src, dst):
            return gk.agg.sum(src.x * dst.x), src.x - dst.x, gk.agg.degree(), gk.agg.max(src.x, to="senders")

        return program

    found = [rows.array().tolist() for rows in naive.run(make, topology, given)]
    assert found == [[40, 60, 0], [-6, -19, -18], [1, 2, 0], [1, 2, 4]]
