"""Dense products: what numpy computes, every row alone, the same bits for every number of threads, BLAS restored."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.kernels import products, row_products

SHAPES = [
    (700, 300, 16),
    (16, 50000, 7),
    (300, 2000, 40),
    (5000, 64, 7),
    (40, 9000, 40),
    (3000, 300, 16),
    (200, 900, 1500),
    (600, 2500, 500),
    (3, 2, 4),
    (0, 5, 3),
    (5, 0, 3),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_numpy_in_every_layout(rng, shape, dtype):
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    exact = a.astype("float64") @ b.astype("float64")
    scale = np.finfo(dtype).eps * np.sqrt(k + 1) * 20
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b)):
            for out in (K.matmul(left, right), K.contract_rows(left.T, right)):
                assert out.dtype == dtype and out.shape == (m, n)
                np.testing.assert_allclose(out, exact, atol=scale, rtol=scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_of_ours_do_not_change_a_bit(rng, shape):
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype("float32"), rng.normal(size=(k, n)).astype("float32")
    before, results = K.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            K.set_num_threads(threads)
            results.append(K.matmul(a, b).tobytes() + K.contract_rows(a.T, b).tobytes())
    finally:
        K.set_num_threads(before)
    assert len(set(results)) == 1


def rows_that_differ(product, x, b, rng):
    """How many rows of ``product(x, b)`` have other bits in a part of x, or among shuffled rows of it."""
    whole, count = product(x, b), len(x)
    start = int(rng.integers(0, count))
    stop = int(rng.integers(start, count)) + 1
    shuffle = rng.permutation(count)
    part, shuffled = product(x[start:stop], b), product(np.asfortranarray(x[shuffle]), b)
    return int((part != whole[start:stop]).any(axis=1).sum() + (shuffled != whole[shuffle]).any(axis=1).sum())


sizes = st.one_of(st.integers(1, 40), st.integers(1, 300))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(st.integers(1, 20), st.integers(1, 600)),
    inner=st.one_of(sizes, st.integers(1, 1500)),
    columns=sizes,
    dtype=st.sampled_from(["float32", "float64"]),
    transposed=st.booleans(),
    backend=st.sampled_from(["numba", "numpy"]),
    seed=st.integers(0, 9),
)
def test_a_row_has_the_same_bits_among_any_other_rows(rows, inner, columns, dtype, transposed, backend, seed):
    rng = np.random.default_rng(seed)
    x, b = rng.normal(size=(rows, inner)).astype(dtype), rng.normal(size=(inner, columns)).astype(dtype)
    with K.use_backend(backend):
        assert rows_that_differ(K.matmul, x, np.asfortranarray(b) if transposed else b, rng) == 0


@pytest.mark.parametrize("columns", [16, 48, 128, 130])
@pytest.mark.parametrize("inner", [24, 700])
def test_results_past_the_caches_have_the_same_bits(rng, monkeypatch, columns, inner):
    """Of 130 columns the last tile is no whole vector, and 700 are more than one stretch: those stay in the caches."""
    rows = 5_000_000 // (inner * columns) + 203
    x, b = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, inner), (inner, columns)))
    through = K.matmul(x, b)
    monkeypatch.setattr(row_products, "PAST_BYTES", 0)
    np.testing.assert_array_equal(K.matmul(x, b), through)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(st.integers(1, 20), st.integers(1, 700)),
    inner=st.integers(1, 40),
    columns=st.one_of(st.integers(1, 40), st.integers(1, 140)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 9),
)
def test_sums_over_rows_of_whole_numbers_are_exact(rows, inner, columns, dtype, seed):
    """Every size of tile, block and piece; a number that is left out, added twice or read beyond the end shows."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-9, 10, (rows, width)) for width in (inner, columns))
    before = products.WHOLE, products.SHORTEST_PIECE
    products.WHOLE, products.SHORTEST_PIECE = 1 << 8, 16
    try:
        found = products._sum_of_pieces(a.astype(dtype), b.astype(dtype))
    finally:
        products.WHOLE, products.SHORTEST_PIECE = before
    assert found.dtype == dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, a.T @ b)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_sum_over_rows_keeps_what_is_not_finite_in_its_column(backend):
    a, b = np.ones((70_000, 13), "float32"), np.ones((70_000, 7), "float32")
    a[40_000, 12], b[69_999, 6], b[3, 0] = np.nan, np.inf, -np.inf
    with K.use_backend(backend), np.errstate(invalid="ignore"):
        found = K.contract_rows(a, b)
    expected = np.full((13, 7), 70_000.0)
    expected[:, 6], expected[:, 0], expected[12] = np.inf, -np.inf, np.nan
    np.testing.assert_array_equal(found, expected)


def test_a_product_whose_rounding_depends_on_the_rows_is_noticed(rng):
    x, b = rng.normal(size=(50, 7)), rng.normal(size=(7, 5))

    def by_count(x, b):
        return (x @ b) * (1 + len(x) * np.finfo(x.dtype).eps)

    def by_place(x, b):
        return x @ b + np.where(np.arange(len(x)) % 4 == 3, 1e-15, 0.0)[:, None]

    assert rows_that_differ(by_count, x, b, rng) > 0 and rows_that_differ(by_place, x, b, rng) > 0


@pytest.mark.parametrize("columns", [1, 2, 3, 40])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_layouts_do_not_change_a_bit(rng, backend, columns):
    x, b = rng.normal(size=(33, 600)), rng.normal(size=(600, columns))
    with K.use_backend(backend):
        wanted = K.matmul(x, b)
        for left in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
            for right in (np.asfortranarray(b), np.repeat(b, 2, axis=0)[::2]):
                np.testing.assert_array_equal(K.matmul(left, right), wanted)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_products_of_any_number_of_axes(rng, backend):
    def draw(*shape):
        return rng.normal(size=shape).astype("float32")

    cases = [
        (draw(3), draw(3)), (draw(3), draw(3, 2)), (draw(4, 3), draw(3)), (draw(5, 4, 3), draw(3, 2)),
        (draw(5, 4, 3), draw(3)), (draw(5, 4, 3), draw(5, 3, 2)), (draw(2, 5, 4, 3), draw(2, 5, 3, 2)),
        (draw(4, 3), draw(5, 3, 2)), (draw(1, 4, 3), draw(5, 3, 2)), (draw(5, 4, 3), draw(5, 2, 3).swapaxes(1, 2)),
    ]  # fmt: skip
    with K.use_backend(backend):
        for a, b in cases:
            out = K.matmul(a, b)
            assert out.dtype == np.float32
            np.testing.assert_allclose(out, np.matmul(a, b), rtol=1e-5, atol=1e-6)
        a, b = draw(3, 50, 9), draw(3, 9, 20)  # heads, nodes, channels: nodes are rows here
        np.testing.assert_array_equal(K.matmul(a[:, 7:9], b), K.matmul(a, b)[:, 7:9])


def test_values_that_are_not_finite_stay_in_their_row_and_column():
    x, b = np.ones((9, 3)), np.ones((3, 40))
    x[4, 1], b[2, 33] = np.nan, np.inf
    out = K.matmul(x, b)
    expected = np.full((9, 40), 3.0)
    expected[:, 33], expected[4] = np.inf, np.nan
    np.testing.assert_array_equal(out, expected)


def test_long_chains_are_added_in_stretches():
    count = 1 << 16  # one chain of float32 would stop growing at 2**24 ulps; stretches of 512 add up exactly
    assert K.matmul(np.full((1, count), 1.0 + 2**-12, "float32"), np.ones((count, 3), "float32"))[0, 0] == count + 16


SCRIPT = """
import hashlib, numpy as np
from gnnkit import kernels as K
digest = hashlib.sha256()
for m, k, n in ((2708, 1433, 16), (16, 2708, 7), (1433, 2708, 16), (128, 20000, 40)):
    rng = np.random.default_rng(0)
    a, b = rng.random((m, k), dtype="f4") - 0.5, rng.random((k, n), dtype="f4") - 0.5
    digest.update(K.matmul(a, b).tobytes())
    digest.update(K.contract_rows(a.T, b).tobytes())
    with K.use_backend("numpy"):
        digest.update(K.matmul(a, b).tobytes())
        digest.update(K.matmul(a, b[:, :1]).tobytes())
print(digest.hexdigest())
"""


def test_threads_of_blas_do_not_change_a_bit():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
            check=True, capture_output=True, text=True,
        ).stdout
        for threads in (1, 2, 4)
    }  # fmt: skip
    assert len(outputs) == 1 and len(outputs.pop().strip()) == 64


def test_overlapping_blocks_restore_the_threads_of_blas():
    before = [library.get_num_threads() for library in products._blas()]
    with K.single_threaded_blas():
        with K.single_threaded_blas():
            pass
        assert all(library.get_num_threads() == 1 for library in products._blas())
    assert [library.get_num_threads() for library in products._blas()] == before


def test_partial_products_stay_below_the_size_of_the_factors():
    a, b = np.ones((500, 2100), "float32"), np.ones((2100, 6000), "float32")
    for product, left in ((K.matmul, a), (K.contract_rows, np.ascontiguousarray(a.T))):
        product(left, b[:, :600])
        tracemalloc.start()
        try:
            product(left, b)
            assert tracemalloc.get_traced_memory()[1] < a.nbytes + b.nbytes
        finally:
            tracemalloc.stop()


FORKING = """
import os, threading
import numpy as np
from gnnkit import kernels as K
from gnnkit.kernels import products

before = [library.get_num_threads() for library in products._blas()]
inside, leave = threading.Event(), threading.Event()

def hold():
    with products._lock, K.keep_freed_memory():
        inside.set()
        leave.wait()

def stay():
    with K.single_threaded_blas():
        holder.start()
        inside.wait()
        leave.wait()

holder = threading.Thread(target=hold)
threading.Thread(target=stay).start()
inside.wait()
child = os.fork()
if child == 0:
    right = [library.get_num_threads() for library in products._blas()] == before
    with K.keep_freed_memory():
        right &= K.matmul(np.ones((600, 600)), np.ones((600, 2))).sum() == 600 * 600 * 2
    os._exit(0 if right else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
leave.set()
print("code", code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_another_thread_multiplies_does_not_hang_the_child():
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKING], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "code 0", result.stderr


def test_nan_and_infinity_pass_through():
    a = np.ones((600, 600), "float32")
    a[0, 0], a[1, 0] = np.nan, np.inf
    out = K.matmul(a, np.ones((600, 2), "float32"))
    assert np.isnan(out[0]).all() and np.isinf(out[1]).all() and (out[2:] == 600).all()


def test_shapes_that_do_not_fit_are_refused_by_numpy():
    with pytest.raises(ValueError, match="matmul"):
        K.matmul(np.ones((600, 600)), np.ones((500, 600)))
