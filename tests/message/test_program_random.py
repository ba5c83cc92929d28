"""Random programs on random graphs: the engine against a loop over the edges, values and derivatives."""

from __future__ import annotations

import os

import naive_programs as naive
import numpy as np
import pytest
import random_programs as grammar
from hypothesis import HealthCheck, given, settings

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.message.program import fused

MORE = float(os.environ.get("GNNKIT_PROGRAM_EXAMPLES", "1"))  # times as many, for a long run
STEP = 2e-4


def examples(count):
    return settings(
        max_examples=int(count * MORE), derandomize=MORE == 1, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


def numbers(count):
    """Numbers of programs to compile, which takes a second for every kernel."""
    return pytest.mark.parametrize("number", range(int(count * MORE)))


def engine(example, given=None):
    """Outputs as Tensors."""
    return gk.message_program(example.make(gk))(example.graph, **(given or example.given))


def assert_close(found, expected, tolerance, what=""):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    size = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * size, f"{what}: {found} is not {expected}"


def as_floats(given, dtype):
    return {
        n: {f: a.astype(dtype) if a.dtype.kind == "f" else a for f, a in members.items()}
        for n, members in given.items()
    }


TOLERANCES = {np.float64: 1e-9, np.float32: 5e-4}


def check_values(example, dtypes=tuple(TOLERANCES)):
    expected = naive.run(example.make, example.graph, example.given)
    for dtype in dtypes:
        results = engine(example, as_floats(example.given, dtype))
        for name, found, rows in zip(example.outputs, results, expected, strict=True):
            assert found.dtype == dtype
            assert_close(found.numpy(), rows.array(), TOLERANCES[dtype], f"{name} in {dtype.__name__}")


@examples(300)
@given(grammar.programs())
def test_values_with_numpy(example):
    with K.use_backend("numpy"):
        check_values(example)


# --- derivatives ------------------------------------------------------------------------------------------------------


def replaced(given, place, array):
    namespace, name = place
    return {**given, namespace: {**given[namespace], name: array}}


def seeds_of(example):
    rng = np.random.default_rng(1)
    return [rng.normal(size=rows.array().shape) for rows in naive.run(example.make, example.graph, example.given)]


def naive_loss(example, given, seeds):
    results = naive.run(example.make, example.graph, given)
    return sum(float((s * r.array()).sum()) for s, r in zip(seeds, results))


def slope(example, seeds, place, direction, step):
    """Derivative in a direction by a difference of five points."""
    array = example.given[place[0]][place[1]]
    at = [
        naive_loss(example, replaced(example.given, place, array + k * step * direction), seeds) for k in (-2, -1, 1, 2)
    ]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step)


def gradients(example, seeds):
    """Gradient of the loss by every floating input, from the engine."""
    places = example.used()
    given = example.given
    for n, f in places:
        given = replaced(given, (n, f), gk.Tensor(example.given[n][f], requires_grad=True))
    results = engine(example, given)
    loss = sum((gk.Tensor(s) * y).sum() for s, y in zip(seeds, results))
    if loss.requires_grad:
        loss.backward()
    found = [given[n][f].grad for n, f in places]
    return {
        place: np.zeros_like(example.given[place[0]][place[1]]) if g is None else g.numpy()
        for place, g in zip(places, found)
    }


def check_gradients(example):
    seeds = seeds_of(example)
    rng = np.random.default_rng(2)
    for place, gradient in gradients(example, seeds).items():
        direction = rng.normal(size=gradient.shape)
        expected, again = (slope(example, seeds, place, direction, h) for h in (STEP, STEP / 2))
        size = max(1.0, abs(expected), float(np.abs(gradient).max(initial=0.0)))
        if abs(expected - again) > 1e-7 * size:
            continue  # a kink within the step
        assert abs(float((gradient * direction).sum()) - expected) <= 2e-6 * size, ".".join(place)


@examples(100)
@given(grammar.programs())
def test_gradients_with_numpy(example):
    with K.use_backend("numpy"):
        check_gradients(example)


# --- generated kernels ------------------------------------------------------------------------------------------------


@pytest.fixture
def kernels(monkeypatch):
    """Run on generated kernels, however small the graph."""
    monkeypatch.setattr(fused, "SMALL", 0)


@numbers(8)
def test_values_with_kernels(number, kernels):
    check_values(grammar.numbered(number), [np.float64])


@numbers(8)
def test_gradients_with_kernels(number, kernels):
    check_gradients(grammar.numbered(number, statements=7))


def test_sums_over_rows_and_over_all_features_in_one_loop(kernels, rng):
    topology = gk.Topology.from_edges([2, 1, 1], [0, 0, 2], num_senders=4, num_receivers=3)
    shapes = {"src": {"h": (4, 2, 1)}, "dst": {"x": (3, 1)}, "edge": {"v": (3, 2, 1)}, "params": {"w": (1, 3)}}

    @gk.message_program
    def program(src, dst, edge, params):
        return gk.agg.std((dst.x * src.h) @ params.w - edge.v)

    arrays = [rng.normal(size=s) for of in shapes.values() for s in of.values()]

    def loss(h, x, v, w):
        return program(topology, src={"h": h}, dst={"x": x}, edge={"v": v}, params={"w": w}).sum()

    assert gk.gradcheck(loss, *arrays).passed


# --- second order -----------------------------------------------------------------------------------------------------


def check_second(example):
    """Second derivatives of the engine against differences of its first, which are checked above."""
    places = example.used()
    seeds = seeds_of(example)

    def loss(*arrays):
        given = example.given
        for place, array in zip(places, arrays):
            given = replaced(given, place, array)
        return sum((s * y).sum() for s, y in zip(seeds, engine(example, given)))

    arrays = [example.given[n][f] for n, f in places]
    report = gk.gradcheck(loss, *arrays, order=2, directions=1, tolerance=1e-5)
    assert report.passed, report


@examples(25)
@given(grammar.programs(smooth=True, statements=8))
def test_second_derivatives_with_numpy(example):
    with K.use_backend("numpy"):
        check_second(example)


@numbers(2)
def test_second_derivatives_with_kernels(number, kernels):
    check_second(grammar.numbered(number, smooth=True, statements=3))
