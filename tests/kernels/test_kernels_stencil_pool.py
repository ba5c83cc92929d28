"""Maximum over windows: kernel == twin == loop over the edges, ties, NaN, adjoints, threads, empties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.graph.grids import Grid, Stencil, grid_topology

BORDERS = ("zero", "wrap", "reflect", "edge")


@st.composite
def topologies(draw):
    """A pooling of a few small images of 1 to 3 axes, some with holes."""
    ndim = draw(st.integers(1, 3))
    longest = {1: 9, 2: 6, 3: 4}[ndim]
    axes = lambda low, high: st.tuples(*[st.integers(low, high)] * ndim)  # noqa: E731
    kernel, stride = draw(axes(1, 3)), draw(axes(1, 3))
    border = draw(st.sampled_from(BORDERS))
    padding = draw(st.sampled_from(["valid", "same", 1]))
    sizes = draw(st.lists(axes(3, longest), min_size=1, max_size=3))
    if draw(st.booleans()):
        sizes = [sizes[0]] * len(sizes)
    mask = None
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        mask = [rng.random(size) < draw(st.sampled_from([0.0, 0.5, 0.9])) for size in sizes]
    return grid_topology(Grid(sizes, mask=mask), Stencil(kernel, stride=stride, padding=padding, border=border))


def by_edges(topology, x):
    """Maximum, ties and first winner of every receiver from the list of the edges."""
    edges, offset = topology.to_explicit()
    shape = topology.num_receivers, x.shape[1]
    y, ties, first = np.zeros(shape, x.dtype), np.zeros(shape, x.dtype), np.full(shape, -1, np.int32)
    for r, c in itertools.product(*map(range, shape)):
        span = slice(edges.indptr[r], edges.indptr[r + 1])
        values, ids = x[edges.senders[span], c], offset[span]
        if len(values):
            y[r, c] = np.max(values)
            wins = (values == y[r, c]) | (np.isnan(values) & np.isnan(y[r, c]))
            ties[r, c], first[r, c] = wins.sum(), ids[wins].min()
    return y, ties, first


def features(topology, channels, seed, dtype="float64", low=-2):
    """Few different values, so that ties are common."""
    return np.random.default_rng(seed).integers(low, 3, (topology.num_senders, channels)).astype(dtype)


@given(topologies(), st.sampled_from([0, 1, 3, 17]), st.integers(0, 99), st.sampled_from(["float32", "float64"]))
@settings(max_examples=60, deadline=None)
def test_kernel_and_twin_equal_the_loop_over_edges(topology, channels, seed, dtype):
    x = features(topology, channels, seed, dtype)
    if seed % 3 == 0 and x.size:
        x[seed % len(x)] = np.nan
    want, ties, first = by_edges(topology, x)
    count = topology.num_receivers
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            y, found = K.stencil_max(topology.parts, x, num_receivers=count)
            winners = K.stencil_argmax(topology.parts, x, y, num_receivers=count)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(found, ties)
        np.testing.assert_array_equal(winners, first)
        assert y.dtype == found.dtype == x.dtype
        assert winners.dtype == np.int32


@given(topologies(), st.sampled_from([1, 2, 17]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_adjoint_gives_shares_to_the_winners(topology, channels, seed):
    x = features(topology, channels, seed)
    y, _ = K.stencil_max(topology.parts, x, num_receivers=topology.num_receivers)
    rng = np.random.default_rng(seed)
    shared, values = rng.normal(size=y.shape), rng.normal(size=x.shape)
    edges, _ = topology.to_explicit()
    wins = x[edges.senders] == y[edges.receivers]
    want = np.zeros(x.shape)
    np.add.at(want, edges.senders, wins * shared[edges.receivers])
    back = topology.transpose().parts
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            found = K.stencil_max_adjoint(back, x, y, shared)
            forth = K.stencil_max_adjoint(topology.parts, y, x, values)
        np.testing.assert_allclose(found, want, atol=1e-12)
        np.testing.assert_allclose(np.sum(found * values), np.sum(shared * forth), atol=1e-10)


@given(topologies(), st.sampled_from([1, 17]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_windows_apart_are_spread_without_the_transpose(topology, channels, seed):
    if topology.num_senders and topology.out_degree().max() > 1:
        return
    x = features(topology, channels, seed)
    y, _ = K.stencil_max(topology.parts, x, num_receivers=topology.num_receivers)
    shared = np.random.default_rng(seed).normal(size=y.shape)
    want = K.stencil_max_adjoint(topology.transpose().parts, x, y, shared)
    complete = topology.num_senders > 0 and topology.out_degree().min() == 1
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            found = K.stencil_max_spread(topology.parts, x, y, shared, complete=complete)
        np.testing.assert_array_equal(found, want)


@given(topologies(), st.sampled_from([0, 1, 6, 17]), st.integers(0, 99), st.sampled_from(["float32", "float64"]))
@settings(max_examples=60, deadline=None)
def test_rows_spread_to_windows_apart_are_the_transposed_sum(topology, channels, seed, dtype):
    if topology.num_senders and topology.out_degree().max() > 1:
        return
    y = np.random.default_rng(seed).normal(size=(topology.num_receivers, channels)).astype(dtype)
    weight = np.full((topology.num_offsets, min(channels, 1), channels), 0.25, dtype)
    sizes = {"num_receivers": topology.num_senders, "groups": max(channels, 1)}
    want = K.stencil_sum(topology.transpose().parts, y, weight, **sizes)
    complete = topology.num_senders > 0 and topology.out_degree().min() == 1
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            found = K.stencil_spread(
                topology.parts, y, num_senders=topology.num_senders, factor=0.25, complete=complete
            )
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)


def test_known_answer_of_a_picture():
    image = np.array([[1.0, 5, 2, 2], [3, 4, 2, 0], [-1, -2, np.nan, 0], [-3, -4, 0, 0]])
    windows = grid_topology(Grid((4, 4)), Stencil(2, ndim=2, stride=2))
    y, ties = K.stencil_max(windows.parts, image.reshape(-1, 1), num_receivers=4)
    np.testing.assert_array_equal(y.ravel(), [5, 2, -1, np.nan])
    np.testing.assert_array_equal(ties.ravel(), [1, 3, 1, 1])
    winners = K.stencil_argmax(windows.parts, image.reshape(-1, 1), y, num_receivers=4)
    np.testing.assert_array_equal(winners.ravel(), [1, 0, 0, 0])


def test_infinities_are_values_like_others():
    windows = grid_topology(Grid((4,)), Stencil(2, ndim=1, stride=2))
    x = np.array([[-np.inf], [-np.inf], [np.inf], [0.0]])
    y, ties = K.stencil_max(windows.parts, x, num_receivers=2)
    np.testing.assert_array_equal(y.ravel(), [-np.inf, np.inf])
    np.testing.assert_array_equal(ties.ravel(), [2, 1])


def test_a_window_of_nothing_is_zero_and_won_by_nobody():
    hole = Grid((4,), mask=[False, False, True, True])
    windows = grid_topology(hole, Stencil(3, ndim=1, padding=3))
    x = np.array([[-1.0], [-2.0]])
    y, ties = K.stencil_max(windows.parts, x, num_receivers=windows.num_receivers)
    winners = K.stencil_argmax(windows.parts, x, y, num_receivers=windows.num_receivers)
    nothing = windows.in_degree() == 0
    assert (y[nothing] == 0).all()
    assert (ties[nothing] == 0).all()
    assert (winners[nothing] == -1).all()
    assert (y[~nothing] < 0).all()


@pytest.mark.parametrize("channels", [1, 10, 33])
def test_bits_do_not_depend_on_threads(threads, channels):
    topology = grid_topology(Grid((33, 31), num_graphs=5), Stencil(3, ndim=2, stride=2, border="reflect"))
    x = features(topology, channels, 1, "float32", low=-99)
    found = []
    for number in (1, 2, 3):
        threads(number)
        y, ties = K.stencil_max(topology.parts, x, num_receivers=topology.num_receivers)
        shared = np.random.default_rng(0).normal(size=y.shape).astype("float32")
        found.append((y, ties, K.stencil_max_adjoint(topology.transpose().parts, x, y, shared)))
    for other in found[1:]:
        for left, right in zip(found[0], other):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("grid", [Grid((4, 4), num_graphs=0), Grid((0, 4)), Grid((3, 3), mask=np.zeros((3, 3), bool))])
def test_no_pixels(grid):
    topology = grid_topology(grid, Stencil(2, ndim=2, stride=2))
    x = np.zeros((0, 3), "float32")
    y, ties = K.stencil_max(topology.parts, x, num_receivers=topology.num_receivers)
    assert y.shape == ties.shape == (topology.num_receivers, 3)
    assert K.stencil_max_adjoint(topology.transpose().parts, x, y, y).shape == (0, 3)
    assert K.stencil_max_spread(topology.parts, x, y, y).shape == (0, 3)
    assert K.stencil_argmax(topology.parts, x, y, num_receivers=topology.num_receivers).shape == y.shape
