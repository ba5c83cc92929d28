"""Dense products: what numpy computes, the same bits for every number of threads, and BLAS's settings restored."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from gnnkit import kernels as K
from gnnkit.kernels import products

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
            out = K.matmul(left, right)
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
            results.append(K.matmul(a, b).tobytes())
    finally:
        K.set_num_threads(before)
    assert len(set(results)) == 1


SCRIPT = """
import hashlib, numpy as np
from gnnkit import kernels as K
digest = hashlib.sha256()
for m, k, n in ((2708, 1433, 16), (16, 2708, 7), (1433, 2708, 16), (128, 20000, 40)):
    rng = np.random.default_rng(0)
    digest.update(K.matmul(rng.random((m, k), dtype="f4") - 0.5, rng.random((k, n), dtype="f4") - 0.5).tobytes())
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
    K.matmul(a, b[:, :600])
    tracemalloc.start()
    try:
        K.matmul(a, b)
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
