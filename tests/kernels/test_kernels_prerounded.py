"""Sums whose order does not matter: the same bits for every order, the twin's bits, and as right as any other sum."""

from __future__ import annotations

import math
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.kernels import prerounded, prerounded_products, rounding
from gnnkit.kernels.twins import prerounded as twins

BACKENDS = ["numba", "numpy"]
DTYPES = ["float32", "float64"]


def bits(array):
    """The bits of floats as integers, every NaN the same."""
    array = np.ascontiguousarray(array)
    return np.where(np.isnan(array), 0, array.view(f"u{array.itemsize}"))


def assert_same_bits(left, right):
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(bits(left), bits(right))


@st.composite
def terms(draw, elements=None):
    """A matrix [n, columns] of one dtype, tame or wild, and a permutation of its rows."""
    dtype = draw(st.sampled_from(DTYPES))
    n, columns = draw(st.integers(0, 40)), draw(st.integers(0, 20))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    spread = draw(st.sampled_from([0, 3, 20 if dtype == "float32" else 150]))
    values = (rng.normal(size=(n, columns)) * 10.0 ** rng.integers(-spread, spread + 1, (n, columns))).astype(dtype)
    for special in draw(st.lists(st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-320, -1e300]), max_size=3)):
        if values.size:
            with np.errstate(over="ignore"):
                values.reshape(-1)[rng.integers(values.size)] = np.asarray(special).astype(dtype)
    return values, rng.permutation(n)


@given(terms())
@settings(max_examples=300, deadline=None)
def test_no_order_of_the_terms_shows_and_both_backends_have_the_same_bits(drawn):
    values, order = drawn
    indptr = np.array([0, len(values)])
    with np.errstate(all="ignore"):
        found = prerounded.row_sums(indptr, None, values, None)
        columns = prerounded.column_sums(values).astype(values.dtype)
        assert_same_bits(prerounded.row_sums(indptr, None, values[order], None), found)
        assert_same_bits(prerounded.row_sums(indptr, order.astype(np.int32), values, None), found)
        assert_same_bits(prerounded.column_sums(values[order]).astype(values.dtype), columns)
        with K.use_backend("numpy"):
            assert_same_bits(prerounded.row_sums(indptr, None, values, None), found)
            assert_same_bits(prerounded.column_sums(values).astype(values.dtype), columns)
        assert_same_bits(found[0] + values.dtype.type(0), columns + values.dtype.type(0))


@given(terms())
@settings(max_examples=200, deadline=None)
def test_sums_are_right(drawn):
    values, _ = drawn
    finite = np.where(np.isfinite(values) & (np.abs(values).astype("float64") < 1e290), values, 0)
    found = prerounded.row_sums(np.array([0, len(values)]), None, finite, None)[0]
    for f, total in enumerate(found):
        column = finite[:, f].astype(np.float64)
        bound = np.finfo(values.dtype).eps * abs(math.fsum(column)) + len(column) ** 2 * 2.0**-53 * np.abs(column).max(
            initial=0.0
        )
        assert abs(float(total) - math.fsum(column)) <= bound + np.finfo(values.dtype).smallest_subnormal


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_sums(backend):
    with K.use_backend(backend), gk.exact_sums():
        for order in ([0, 1, 2, 3], [0, 2, 1, 3], [3, 1, 0, 2]):
            single = np.array([1e8, 1.0, -1e8, 1.0], "float32")[order]
            assert K.segment_sum(single, np.array([0, 4, 4])).tolist() == [2.0, 0.0]
            double = np.array([1e16, 1.0, -1e16, 0.5])[order]
            assert K.axis_sum(double) == 1.5
        assert K.segment_mean(np.array([1.0, 3.0, 5.0], "float32"), np.array([0, 2, 3, 3])).tolist() == [2.0, 5.0, 0.0]
        assert K.segment_std(np.array([1.0, 3.0]), np.array([0, 2])).tolist() == [1.0]
        assert K.segment_prod(np.array([2.0, 3.0, 7.0]), np.array([0, 2, 2, 3])).tolist() == [6.0, 1.0, 7.0]
        assert K.segment_logsumexp(np.array([1000.0, 1000.0]), np.array([0, 2, 2])).round(6).tolist() == [
            1000.693147,
            -np.inf,
        ]
        assert K.segment_softmax(np.array([0.0, 0.0, -1.0, -np.inf]), np.array([0, 2, 4])).tolist() == [0.5, 0.5, 1, 0]
        assert K.segment_sum(np.array([2, 3]), np.array([0, 2])).tolist() == [5]  # integers are exact as they are
        assert K.column_sums(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [4.0, 6.0]
        mean, variance = K.column_moments(np.array([[1.0], [7.0], [7.0], [9.0]]))
        assert (mean.tolist(), variance.tolist()) == ([6.0], [9.0])
        assert K.scatter_add(np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 3).tolist() == [2.0, 0.0, 5.0]


def test_of_zeros_of_both_signs_the_positive_one_wins_in_any_order():
    for pair in ([0.0, -0.0], [-0.0, 0.0]):
        with gk.exact_sums():
            for reduce in (K.segment_max, K.segment_min):
                assert not np.signbit(reduce(np.array(pair), np.array([0, 2])))[0]
            assert not np.signbit(gk.tensor(pair).max().numpy())
            assert not np.signbit(gk.tensor(pair).min().numpy())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_weighted_sums_over_edges(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    heads, channels = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 3, 8, 16, 17, 40]))
    senders, receivers = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    edges = int(rng.integers(0, 60)) if receivers else 0
    row = np.sort(rng.integers(0, max(receivers, 1), edges))
    indptr = np.searchsorted(row, np.arange(receivers + 1))
    indices = rng.integers(0, senders, edges)
    x = (rng.normal(size=(senders, heads, channels)) * 10.0 ** rng.integers(-5, 6, (senders, 1, 1))).astype(dtype)
    weights = rng.normal(size=(edges, heads)).astype(dtype)
    order = np.lexsort((rng.random(edges), row))
    with gk.exact_sums():
        found = K.neighbour_sum(indptr, indices, x, weights)
        assert_same_bits(K.neighbour_sum(indptr, indices[order], x, weights[order]), found)
        with K.use_backend("numpy"):
            assert_same_bits(K.neighbour_sum(indptr, indices, x, weights), found)
        for i in range(receivers):  # a row alone has the bits that it has among others
            alone = K.neighbour_sum(
                np.array([0, indptr[i + 1] - indptr[i]]),
                indices[indptr[i] : indptr[i + 1]],
                x,
                weights[indptr[i] : indptr[i + 1]],
            )
            assert_same_bits(alone[0], found[i])
    usual = K.neighbour_sum(indptr, indices, x.astype("float64"), weights.astype("float64"))
    size = K.neighbour_sum(indptr, indices, np.abs(x).astype("float64"), np.abs(weights).astype("float64"))
    assert (np.abs(found - usual) <= 4 * np.finfo(dtype).eps * size).all()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_products(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    rows, inner, columns = (data.draw(st.integers(0, n)) for n in (9, 30, 19))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a = (rng.normal(size=(rows, inner)) * 10.0 ** rng.integers(-4, 5, (rows, 1))).astype(dtype)
    b = (rng.normal(size=(inner, columns)) * 10.0 ** rng.integers(-4, 5, (1, columns))).astype(dtype)
    if a.size and b.size and data.draw(st.booleans()):
        a[rng.integers(rows), rng.integers(inner)] = data.draw(st.sampled_from([np.inf, np.nan, 0.0, -0.0]))
    order, turn = rng.permutation(inner), rng.permutation(rows)
    with np.errstate(all="ignore"):
        found = prerounded_products.matmul(a, b)
        assert_same_bits(prerounded_products.matmul(a[:, order], b[order]), found)
        assert_same_bits(prerounded_products.matmul(a[turn], b), found[turn])
        assert_same_bits(prerounded_products.matmul(np.asfortranarray(a), np.asfortranarray(b)), found)
        with K.use_backend("numpy"):
            assert_same_bits(prerounded_products.matmul(a, b), found)
        if rows:
            assert_same_bits(prerounded_products.matmul(a[:1], b), found[:1])
        wide = a.astype("float64") @ b.astype("float64")
        bound = 4 * np.finfo(dtype).eps * (np.abs(a).astype("float64") @ np.abs(b).astype("float64"))
    finite = np.isfinite(wide)
    np.testing.assert_array_equal(np.isfinite(found), finite)
    assert (np.abs(found[finite] - wide[finite]) <= bound[finite]).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_very_different_sizes_along_the_inner_axis(backend, dtype, rng):
    sizes = 10.0 ** np.linspace(
        -18, 18, 400
    )  # large numbers meet small ones: no term is near the product of the largest
    a = (rng.normal(size=(5, 400)) * sizes).astype(dtype)
    b = (rng.normal(size=(400, 6)) / sizes[:, None]).astype(dtype)
    with K.use_backend(backend), gk.exact_sums():
        found = K.matmul(a, b)
    terms = a.astype("float64")[:, :, None] * b.astype("float64")
    wanted = np.array([[math.fsum(terms[i, :, j]) for j in range(6)] for i in range(5)])
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_terms_that_are_not_finite_and_sizes_beyond_roundings(backend):
    rows = np.array([[np.inf, -1e308, -1e308], [np.inf, -np.inf, 1], [1e308, 1e308, -np.inf], [np.nan, 1, 2]])
    extreme = np.array([[1e-300, 3e-300, -1e-300], [5e-324, 5e-324, 1e-323], [1e300, 1e300, -3e300]])
    with K.use_backend(backend), gk.exact_sums():
        for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
            for values in (rows[:, order], extreme[:, order]):
                wanted = [np.inf, np.nan, -np.inf, np.nan] if values.shape == (4, 3) else [3e-300, 2e-323, -1e300]
                np.testing.assert_allclose(K.matmul(values, np.ones((3, 2)))[:, 1], wanted)
                np.testing.assert_allclose(K.axis_sum(values, 1), wanted)
                np.testing.assert_allclose(K.segment_sum(values.reshape(-1), 3 * np.arange(len(values) + 1)), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 2, 3), (3, 5)), ((4, 1, 2, 3), (5, 3, 2)),
     ((0, 3), (3, 2)), ((2, 0), (0, 3))],
)  # fmt: skip
def test_products_take_all_shapes_of_numpy(backend, left, right, rng):
    a, b = rng.normal(size=left), rng.normal(size=right)
    with K.use_backend(backend), gk.exact_sums():
        found = K.matmul(a, b)
    assert np.shape(found) == np.shape(a @ b)
    np.testing.assert_allclose(found, a @ b, atol=1e-13)
    with gk.exact_sums(), pytest.raises(ValueError, match="matmul"):
        K.matmul(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(31, 16, 1), (17, 33, 2), (31, 64, 7), (40, 64, 64), (203, 16, 1), (3, 600, 8)])
def test_a_row_times_a_matrix_has_its_bits_at_every_place(shape, dtype, rng):
    rows, inner, columns = shape
    x, matrix = rng.normal(size=(rows, inner)).astype(dtype), rng.normal(size=(inner, columns)).astype(dtype)
    order = rng.permutation(rows)
    with gk.exact_sums():
        found = K.rows_times(x, matrix)
        assert_same_bits(K.rows_times(x[order], matrix), found[order])
        assert_same_bits(K.rows_times(np.asfortranarray(x), np.asfortranarray(matrix)), found)
        for i in (0, rows // 2, rows - 1):  # BLAS has other loops for a row alone
            assert_same_bits(K.rows_times(x[i : i + 1], matrix)[0], found[i])
        with K.use_backend("numpy"):
            plain = K.rows_times(x, matrix)
            assert_same_bits(K.rows_times(x[order], matrix), plain[order])
            assert_same_bits(K.rows_times(x[-1:], matrix)[0], plain[-1])
        assert K.rows_times(x[:0], matrix).shape == (0, columns)
        assert not K.rows_times(x[:, :0], matrix[:0]).any()
        nothing = gk.tensor(np.ones((2, 3, 0), dtype)) @ gk.nn.Parameter(np.ones((0, 2)), dtype=dtype)
        assert nothing.shape == (2, 3, 2)
    np.testing.assert_allclose(found, x @ matrix, rtol=1e-3 if dtype == "float32" else 1e-11, atol=1e-5)


@pytest.mark.parametrize(
    "subscripts", ["nd,de->ne", "ni,nj->ij", "nij,nj->i", "ij,nj->ni", "nij,jin->", "ni,n->i", "ni,ni->n", "ni,mj->ij"]
)
def test_contractions_agree_with_numpy_and_have_no_order(subscripts, rng):
    sizes = {"n": 40, "m": 3, "d": 5, "e": 6, "i": 4, "j": 5}
    terms = subscripts.partition("->")[0].split(",")
    arrays = [rng.normal(size=[sizes[c] for c in term]) * 10.0 ** rng.integers(-3, 4) for term in terms]
    order = rng.permutation(40)
    moved = [np.take(a, order, t.index("n")) if "n" in t else a for a, t in zip(arrays, terms)]
    with gk.exact_sums():
        found, other = (np.einsum(subscripts, *map(gk.tensor, given)).numpy() for given in (arrays, moved))
    np.testing.assert_allclose(found, np.einsum(subscripts, *arrays), rtol=1e-10)
    output = subscripts.partition("->")[2]
    assert_same_bits(other, np.take(found, order, output.index("n")) if "n" in output else found)


def test_a_matrix_product_written_as_einsum_needs_no_array_of_all_terms():
    n, d = 4000, 200
    with gk.exact_sums():
        tracemalloc.start()
        found = np.einsum("nd,de->ne", gk.tensor(np.ones((n, d), "float32")), gk.tensor(np.ones((d, d), "float32")))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (found.numpy() == d).all()
    assert peak < 30 * n * d < 8 * n * d * d


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_along_axes_have_the_shapes_of_numpy(axis, keepdims, rng):
    values = rng.normal(size=(3, 4, 5)).astype("float32")
    found = K.axis_sum(values, axis, keepdims)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values.sum(axis=axis, keepdims=keepdims), rtol=1e-6, atol=1e-6)
    assert K.axis_sum(np.zeros((0, 3)), 0).tolist() == [0, 0, 0]
    assert K.axis_sum(np.float64(3.0)) == 3.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_mean_of_ones_is_one_and_no_float32_number_has_a_spread(dtype):
    with gk.exact_sums():
        for n in (3, 49, 1000, 70_000):  # the sum of the last does not fit float16, nor is 1 / 49 a number
            assert gk.tensor(np.ones(n, dtype)).mean().item() == 1.0
            if dtype != "float64":
                number = np.asarray(0.1, dtype)
                assert gk.tensor(np.full(n, number)).mean().numpy() == number
                assert np.std(gk.tensor(np.full(n, number))).item() == 0.0
        assert np.isnan(gk.tensor(np.ones((0,), dtype)).mean().item())


def test_large_sums_run_in_blocks(rng):
    values = rng.normal(size=(70_000, 3)).astype("float32") * 10.0 ** rng.integers(-3, 4, (70_000, 1)).astype("float32")
    order = rng.permutation(len(values))
    found = prerounded.column_sums(values)
    assert_same_bits(prerounded.column_sums(values[order]), found)
    np.testing.assert_allclose(found, values.astype("float64").sum(axis=0), rtol=1e-9)
    assert_same_bits(prerounded.row_sums(np.array([0, len(values)]), None, values, None)[0], found.astype("float32"))


def test_weight_gradients_of_stencils_do_not_depend_on_the_order_of_the_pixels(rng):
    table = np.array([[-1, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, -1]], np.int32)
    part = K.StencilPart(table, None, np.arange(3, dtype=np.int32), np.array([0, 4]), np.array([0, 4]))
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 6)).astype("float32")
    turn = np.array([4, 5, 6, 7, 0, 1, 2, 3])
    for groups in (1, 2):
        with gk.exact_sums():
            found = K.stencil_outer((part,), x, y, num_offsets=3, groups=groups)
            assert_same_bits(K.stencil_outer((part,), x[turn], y[turn], num_offsets=3, groups=groups), found)
        usual = K.stencil_outer((part,), x, y, num_offsets=3, groups=groups)
        np.testing.assert_allclose(found, usual, rtol=1e-5, atol=1e-6)


def test_the_switch_belongs_to_its_block_and_thread():
    seen = []
    assert not K.sums_are_exact()
    with gk.exact_sums():
        assert K.sums_are_exact()
        with gk.exact_sums(False):
            assert not K.sums_are_exact()
        assert K.sums_are_exact()
        thread = threading.Thread(target=lambda: seen.append(K.sums_are_exact()))
        thread.start()
        thread.join()
    assert not K.sums_are_exact()
    assert seen == [False]
    with pytest.raises(RuntimeError, match="inside"), gk.exact_sums():
        raise RuntimeError("inside")
    assert not K.sums_are_exact()


def test_what_a_rounding_leaves_is_as_small_as_promised(rng):
    for n in (1, 2, 3, 5, 9, 17, 33, 65, 1025):
        for _ in range(100):
            x, w = rng.uniform(0.8, 1.2, (2, n)).astype("float32")  # products have 48 digits, more than are kept
            w *= np.where(rng.random(n) < 0.5, -1, 1)
            terms = x.astype("float64") * w.astype("float64")
            found = twins.neighbour_sum(np.array([0, n]), None, w[:, None], 1, x[:, None])[0, 0]
            assert abs(found - math.fsum(terms)) <= n**2 * 2.0**-52 * np.abs(terms).max()


def test_a_rounding_leaves_room_for_every_sum():
    for count in (1, 2, 3, 4, 5, 1000, 2**20):
        centre = float(rounding.factor(count))
        unit = np.spacing(centre)  # of terms below 2
        assert 2.0 * count / unit <= 2.0**53
        assert centre / 1.5 >= 2.0  # so that a term never leaves the binade of the centre
