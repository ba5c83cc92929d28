"""stencil_sum and stencil_outer: the grid and the edges agree, each is the derivative of the other, to any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import errors
from gnnkit import kernels as K
from gnnkit.graph.grids import Grid, Stencil, grid_topology
from gnnkit.message import reversed_weight, stencil_outer, stencil_sum

several = settings(max_examples=40, deadline=None)


@st.composite
def problems(draw):
    """Any edges with offsets, parallel ones and self-loops too, and arrays that fit."""
    senders, receivers, offsets = (draw(st.integers(1, 5)) for _ in range(3))
    groups, inside, out = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(0, 2))
    ends = st.tuples(st.integers(0, senders - 1), st.integers(0, receivers - 1), st.integers(0, offsets - 1))
    edges = np.array(draw(st.lists(ends, max_size=12)), int).reshape(-1, 3)
    topology = gk.Topology.from_edges(edges[:, 0], edges[:, 1], num_senders=senders, num_receivers=receivers)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x, y = rng.normal(size=(senders, groups * inside)), rng.normal(size=(receivers, groups * out))
    weight = rng.normal(size=(offsets, inside, groups * out))
    return topology, edges[topology.edge_order, 2], groups, x, y, weight


def loops(topology, offset, groups, x, y, weight):
    """Both sums by their definitions."""
    inside, out = weight.shape[1], weight.shape[2] // groups
    total, outer = np.zeros(y.shape), np.zeros(weight.shape)
    for s, r, k in zip(topology.senders, topology.receivers, offset):
        for g in range(groups):
            left, right = slice(g * inside, (g + 1) * inside), slice(g * out, (g + 1) * out)
            total[r, right] += x[s, left] @ weight[k][:, right]
            outer[k][:, right] += np.outer(x[s, left], y[r, right])
    return total, outer


@several
@given(problem=problems())
def test_edges_by_the_definition(problem):
    topology, offset, groups, x, y, weight = problem
    total, outer = loops(topology, offset, groups, x, y, weight)
    got = stencil_sum(topology, x, weight, offset=offset, groups=groups)
    np.testing.assert_allclose(got.numpy(), total, rtol=0, atol=1e-12)
    got = stencil_outer(topology, x, y, num_offsets=len(weight), offset=offset, groups=groups)
    np.testing.assert_allclose(got.numpy(), outer, rtol=0, atol=1e-12)


@several
@given(problem=problems())
def test_three_ways_to_one_number(problem):
    """<y, sum(x, w)> = <x, sum of the transpose(y, w')> = <w, outer(x, y)>."""
    topology, offset, groups, x, y, weight = problem
    turned = offset[topology.transpose_permutation]
    forward = np.sum(y * stencil_sum(topology, x, weight, offset=offset, groups=groups).numpy())
    back = stencil_sum(topology.transpose(), y, reversed_weight(weight, groups), offset=turned, groups=groups)
    outer = stencil_outer(topology, x, y, num_offsets=len(weight), offset=offset, groups=groups)
    assert forward == pytest.approx(np.sum(x * back.numpy()), abs=1e-11)
    assert forward == pytest.approx(np.sum(weight * outer.numpy()), abs=1e-11)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("where", ["grid", "transposed grid", "edges"])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "border": "reflect"}, {"padding": "valid", "dilation": 2}])
def test_derivatives_of_first_and_second_order(where, groups, options, rng):
    grid = grid_topology(Grid([(5, 4), (3, 6)]), Stencil((2, 2), **options))
    topology, offset = (grid, None) if "grid" in where else grid.to_explicit()
    topology = topology.transpose() if where == "transposed grid" else topology
    x = rng.normal(size=(topology.num_senders, 2 * groups))
    y = rng.normal(size=(topology.num_receivers, 3 * groups))
    weight = rng.normal(size=(4, 2, 3 * groups))

    def total(x, weight):
        return np.sum(np.sin(stencil_sum(topology, x, weight, offset=offset, groups=groups)))

    def outer(x, y):
        return np.sum(np.sin(stencil_outer(topology, x, y, num_offsets=4, offset=offset, groups=groups)))

    gk.autodiff.assert_gradients(total, x, weight, order=2, directions=2)
    gk.autodiff.assert_gradients(outer, x, y, order=2, directions=2)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_bias_is_added_once_and_has_derivatives(groups, rng):
    topology = grid_topology(Grid([(3, 4), (2, 5)]), Stencil((3, 3), padding="same"))
    edges, offset = topology.to_explicit()
    x, weight, bias = (rng.normal(size=shape) for shape in ((22, 4), (9, 4 // groups, 6), (6,)))
    expected = stencil_sum(topology, x, weight, groups=groups).numpy() + bias
    for place, options in ((topology, {}), (edges, {"offset": offset})):
        result = stencil_sum(place, x, weight, groups=groups, bias=bias, **options)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    narrow = stencil_sum(topology, x.astype("float32"), weight, groups=groups, bias=bias)
    assert narrow.dtype == np.float32

    def total(x, weight, bias):
        return np.sum(stencil_sum(topology, x, weight, groups=groups, bias=bias) ** 2)

    for order in (1, 2):
        gk.assert_gradients(total, x, weight, bias, order=order)


def test_third_derivatives(rng):
    """Of the cube of a linear function: its third derivative along one direction is 6 times the cube there."""
    topology = grid_topology(Grid((4, 3)), Stencil(3, ndim=2))
    weight, along = rng.normal(size=(9, 1, 2)), rng.normal(size=(12, 1))

    def cube(t):
        return np.sum(stencil_sum(topology, along * t, weight) ** 3)

    third = gk.grad(gk.grad(gk.grad(cube)))(np.array(0.7))
    assert float(third) == pytest.approx(6.0 * float(cube(gk.tensor(1.0)).numpy()), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_and_paths_agree(dtype, rng):
    grid = grid_topology(Grid([(6, 7), (4, 4)]), Stencil(3, ndim=2, border="wrap"))
    edges, offset = grid.to_explicit()
    x, y = (rng.normal(size=(58, n)).astype(dtype) for n in (4, 6))
    weight = rng.normal(size=(9, 2, 6)).astype(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    with K.use_backend("numpy"):
        expected = stencil_sum(grid, x, weight, groups=2), stencil_outer(grid, x, y, num_offsets=9, groups=2)
    for topology, ids in ((grid, None), (edges, offset)):
        total = stencil_sum(topology, x, weight, offset=ids, groups=2)
        outer = stencil_outer(topology, x, y, num_offsets=9, offset=ids, groups=2)
        for got, wanted in zip((total, outer), expected):
            assert got.dtype == dtype
            np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=tolerance, atol=50 * tolerance)


def test_the_order_of_the_edges_changes_no_bit(rng):
    grid = grid_topology(Grid((5, 6)), Stencil(3, ndim=2))
    edges, offset = grid.to_explicit()
    shuffle = rng.permutation(edges.num_edges)
    other = gk.Topology.from_edges(edges.senders[shuffle], edges.receivers[shuffle], num_nodes=30)
    x, weight = rng.normal(size=(30, 3)), rng.normal(size=(9, 3, 2))
    one = stencil_sum(edges, x, weight, offset=offset)
    two = stencil_sum(other, x, weight, offset=offset[shuffle][other.edge_order])
    np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_no_edges_and_no_nodes():
    for nodes in (0, 3):
        topology = gk.empty(nodes).topology
        x, weight = (
            gk.tensor(np.ones((nodes, 2)), requires_grad=True),
            gk.tensor(np.ones((4, 2, 3)), requires_grad=True),
        )
        stencil_sum(topology, x, weight, offset=np.zeros(0, int)).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.zeros((nodes, 2)))
        np.testing.assert_array_equal(weight.grad.numpy(), np.zeros((4, 2, 3)))


def test_offsets_that_are_written_into_are_noticed(rng):
    topology, offset = gk.path(3).topology, np.array([0, 1, 0, 1])
    x, weight = np.ones((3, 1)), np.array([[[1.0]], [[10.0]]])
    np.testing.assert_array_equal(stencil_sum(topology, x, weight, offset=offset).numpy().ravel(), [1.0, 11.0, 10.0])
    offset[:] = 0
    np.testing.assert_array_equal(stencil_sum(topology, x, weight, offset=offset).numpy().ravel(), [1.0, 2.0, 1.0])


# --- what is refused -----------------------------------------------------------------------------------------------

GRID = grid_topology(Grid((3,)), Stencil(3, ndim=1))
PLAIN = gk.path(3).topology
X, W = np.ones((3, 2)), np.ones((3, 2, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((GRID, X, W, {"bias": np.ones(3)}), errors.ShapeError, "one number per channel of the result"),
        ((GRID, X, W, {"bias": np.ones(4, int)}), errors.DTypeError, "float32 or float64"),
        ((GRID, X[:2], W, {}), errors.ShapeError, "one row per sender"),
        ((GRID, X[:, 0], W, {}), errors.ShapeError, r"\[nodes, channels\]"),
        ((GRID, X[:, :1], W, {}), errors.ShapeError, "channels of each group"),
        ((GRID, X, W[:2], {}), errors.ShapeError, "every offset of the stencil, 3"),
        ((GRID, X, W, {"groups": 3}), errors.ShapeError, "groups"),
        ((GRID, X, W[:, :1], {"groups": 0}), errors.ShapeError, "groups"),
        ((GRID, X, W[:, :1, :3], {"groups": 2}), errors.ShapeError, "common divisor"),
        ((GRID, X.astype(int), W, {}), errors.DTypeError, "float32 or float64"),
        ((GRID, X, W.astype(int), {}), errors.DTypeError, "float32 or float64"),
        ((GRID, X, W, {"offset": np.zeros(7, int)}), errors.InvalidArgumentError, "Leave it out"),
        ((PLAIN, X, W, {}), errors.InvalidArgumentError, "Pass the offsets"),
        ((PLAIN, X, W, {"offset": [0, 1, 2]}), errors.ShapeError, r"\[num_edges\] = \[4\]"),
        ((PLAIN, X, W, {"offset": [0.0, 1.0, 2.0, 0.0]}), errors.DTypeError, "integers"),
        ((PLAIN, X, W, {"offset": [0, 1, 3, 0]}), errors.InvalidFeatureError, "1 has 3"),
        ((PLAIN, X, W, {"offset": [0, -1, 1, 0]}), errors.InvalidFeatureError, "has -1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, match):
    topology, x, weight, options = arguments
    with pytest.raises(error, match=match):
        stencil_sum(topology, x, weight, **options)


def test_outer_checks_both_sides():
    with pytest.raises(errors.ShapeError, match="one row per receiver"):
        stencil_outer(GRID, X, X[:2], num_offsets=3)
    with pytest.raises(errors.ShapeError, match="every offset of the stencil, 3"):
        stencil_outer(GRID, X, X, num_offsets=4)
    with pytest.raises(errors.ShapeError, match="groups"):
        stencil_outer(GRID, X, X[:, :1], num_offsets=3, groups=2)
