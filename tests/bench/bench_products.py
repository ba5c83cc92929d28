"""Dense products whose rows are alone, beside one BLAS call: time, and how many rows change their bits in a batch.

Each shape is timed in turns, single-threaded and with gnnkit's threads; a figure is the median of the bursts of all
rounds. ``np.matmul`` always runs on one thread. The last column multiplies the first 20 rows alone and compares them
with the same rows of the whole product. Then sums over rows, ``a.T @ b``, by loops of our own and by BLAS in pieces.

    python tests/bench/bench_products.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit import kernels as K

SHAPES = {
    "arxiv size, hidden": (169343, 128, 128),
    "arxiv size, classes": (169343, 128, 40),
    "arxiv size, one score": (169343, 128, 1),
    "Cora, first layer": (2708, 1433, 16),
    "Cora, classes": (2708, 16, 7),
    "GAT on Cora": (2708, 128, 128),
    "32 molecules": (600, 64, 64),
    "one molecule": (20, 64, 64),
    "one molecule, narrow": (20, 16, 16),
    "one node": (1, 64, 64),
    "square": (1000, 1000, 1000),
}


SUMS = {
    "arxiv size, hidden": (169343, 128, 128),
    "arxiv size, classes": (169343, 128, 40),
    "arxiv size, 8 heads": (169343, 128, 16),
    "arxiv size, 1 head": (169343, 128, 2),
    "one output": (300000, 16, 1),
    "three channels": (1000000, 4, 3),
    "Cora, first layer": (2708, 1433, 16),
}


def seconds(function: Callable[[], Any]) -> float:
    """Time of one call, over a burst of at least 2 ms."""
    start = time.perf_counter()
    function()
    once = time.perf_counter() - start
    calls = max(1, int(2e-3 / max(once, 1e-7)))
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def numpy_backend(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    with K.use_backend("numpy"):
        return K.matmul(x, b)


def measure(rows: int, inner: int, columns: int, dtype: str, rounds: int) -> str:
    rng = np.random.default_rng(0)
    x, b = rng.normal(size=(rows, inner)).astype(dtype), rng.normal(size=(inner, columns)).astype(dtype)
    sides = {"np.matmul": np.matmul, "ours": K.matmul, "numpy backend": numpy_backend}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with K.single_threaded_blas():
        for number in range(rounds + 1):
            for name, product in sides.items():
                found = seconds(lambda product=product: product(x, b))  # type: ignore[misc]
                if number:
                    times[name].append(found)
    base, ours, twin = (statistics.median(times[name]) for name in sides)
    changed = [int((f(x[:20], b) != f(x, b)[:20]).any(axis=1).sum()) for f in sides.values()]
    return f"{base * 1e6:12.1f} {ours * 1e6:12.1f} {ours / base:7.2f} {twin / base:14.2f}   {changed}"


def measure_sum(rows: int, first: int, second: int, dtype: str, rounds: int) -> str:
    rng = np.random.default_rng(0)
    a, b = rng.random((rows, first)).astype(dtype), rng.random((rows, second)).astype(dtype)
    exact = a.T.astype(np.float64) @ b.astype(np.float64)
    found = []
    for backend in ("numba", "numpy"):
        with K.use_backend(backend):
            error = np.abs(K.contract_rows(a, b) / exact - 1).max()
            found.append((statistics.median(seconds(lambda: K.contract_rows(a, b)) for _ in range(rounds)), error))
    (ours, our_error), (blas, blas_error) = found
    return f"{blas * 1e6:12.1f} {ours * 1e6:12.1f} {ours / blas:7.2f} {our_error:11.1e} {blas_error:11.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(f"numpy {np.__version__}, {K.get_num_threads()} threads, medians of {rounds} rounds, microseconds")
    print("changed: rows of the first 20 that have other bits alone, by np.matmul, ours, the numpy backend")
    before = K.get_num_threads()
    for threads in sorted({1, before}):
        K.set_num_threads(threads)
        for dtype in ("float32", "float64"):
            print(f"\n{dtype}, {threads} threads")
            print(f"{'':24}{'np.matmul':>12} {'ours':>12} {'ratio':>7} {'numpy backend':>14}   changed")
            for name, shape in SHAPES.items():
                print(f"{name:24}{measure(*shape, dtype, rounds)}", flush=True)
            print(f"{'sums over rows':24}{'BLAS':>12} {'ours':>12} {'ratio':>7} {'our error':>11} {'of BLAS':>11}")
            for name, shape in SUMS.items():
                print(f"{name:24}{measure_sum(*shape, dtype, rounds)}", flush=True)
    K.set_num_threads(before)


if __name__ == "__main__":
    main()
