"""Explicit vectors: accuracy, operators, tails, memory next to an array, every vector width, the on-disk cache.

Run as a program (in processes of their own, see below) this file checks itself at another vector width.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from vector_streams import check_streams, guarded_page, streamed, v_lanes

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit

DTYPES = (np.float32, np.float64)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# what row of `every_function` is what, and how many units in the last place it may be wrong
FUNCTIONS = {
    "exp": (np.exp, 1), "expm1": (np.expm1, 2), "log": (np.log, 1), "log1p": (np.log1p, 1), "tanh": (np.tanh, 2.5),
    "sigmoid": (_sigmoid, 2.5), "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2),
    "sqrt": (np.sqrt, 0.5), "floor": (np.floor, 0), "ceil": (np.ceil, 0), "trunc": (np.trunc, 0),
    "rint": (np.rint, 0), "abs": (np.abs, 0), "sign": (np.sign, 0),
}  # fmt: skip
BY_C_LIBRARY = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "arcsinh": np.arcsinh, "arccosh": np.arccosh, "arctanh": np.arctanh,
    "erf": special.erf,
}  # fmt: skip
FUNCTIONS |= {name: (exact, 4) for name, exact in BY_C_LIBRARY.items()}
PAIRS = {
    "maximum": (np.maximum, 0), "minimum": (np.minimum, 0),
    "power": (np.power, 4), "arctan2": (np.arctan2, 4), "hypot": (np.hypot, 4),
}  # fmt: skip


def _every_function():
    """A kernel that stores FUNCTIONS of a and PAIRS of a and b, one row each."""
    lines = [f"v.store(out, {row}, c, n, v.{name}(x))" for row, name in enumerate(FUNCTIONS)]
    lines += [f"v.store(out, {row}, c, n, v.{name}(x, y))" for row, name in enumerate(PAIRS, len(FUNCTIONS))]
    body = "\n        ".join(lines)
    text = f"""
def every_function(a, b, out):
    for c in range(0, a.shape[1], v.lanes(a)):
        n = min(v.lanes(a), a.shape[1] - c)
        x, y = v.load(a, 0, c, n), v.load(b, 0, c, n)
        {body}
"""
    space = {"v": v, "__name__": __name__}
    exec(compile(text, __file__, "exec"), space)
    return jit(space["every_function"])


every_function = _every_function()


@jit
def every_operator(a, b, out):
    lanes = v.lanes(a)
    for c in range(0, a.shape[1], lanes):
        n = min(lanes, a.shape[1] - c)
        x, y = v.load(a, 0, c, n), v.load(b, 0, c, n)
        total = v.zeros(a)
        total += x
        total -= y * 3
        total *= 0.5
        total /= y
        less, equal = x < y, x == y
        v.store(out, 0, c, n, x + y)
        v.store(out, 1, c, n, x - y)
        v.store(out, 2, c, n, x * y)
        v.store(out, 3, c, n, x / y)
        v.store(out, 4, c, n, -x)
        v.store(out, 5, c, n, 2.5 - x)
        v.store(out, 6, c, n, 1 / y)
        v.store(out, 7, c, n, total)
        v.store(out, 8, c, n, v.number(less, a))
        v.store(out, 9, c, n, v.number(x <= y, x))
        v.store(out, 10, c, n, v.number(x > y, a))
        v.store(out, 11, c, n, v.number(x >= 0, a))
        v.store(out, 12, c, n, v.number(equal, a))
        v.store(out, 13, c, n, v.number(x != y, a))
        v.store(out, 14, c, n, v.number(less & v.is_finite(x), a))
        v.store(out, 15, c, n, v.number(less | v.is_nan(y), a))
        v.store(out, 16, c, n, v.number(~less ^ equal, a))
        v.store(out, 17, c, n, v.where(less, x, y))
        v.store(out, 18, c, n, v.where(less, 0.25, y))
        v.store(out, 19, c, n, v.where(less, x, 1))
        v.store(out, 20, c, n, v.fma(x, y, 1.0))
        v.store(out, 21, c, n, v.constant(a, 0.1))
        v.store(out, 22, c, n, v.splat(a, 0, c))
        v.store(out, 23, c, n, 7)


def operators_expected(a, b):
    one = a.dtype.type
    less = a < b
    first = np.repeat(a[:, :: v_lanes(a)], v_lanes(a), axis=1)[:, : a.shape[1]]
    rows = [
        a + b, a - b, a * b, a / b, -a, one(2.5) - a, 1 / b, (a - b * 3) * one(0.5) / b,
        less, a <= b, a > b, a >= 0, a == b, a != b, less & np.isfinite(a), less | np.isnan(b), ~less ^ (a == b),
        np.where(less, a, b), np.where(less, one(0.25), b), np.where(less, a, one(1)), a * b + one(1),
        np.full_like(a, 0.1), first, np.full_like(a, 7),
    ]  # fmt: skip
    return np.concatenate(rows).astype(a.dtype)


@jit
def first_numbers(x, n, out, best, sums):
    """Everything that touches memory, on the first n numbers of row 0."""
    value = v.load(x, 0, 0, n)
    v.store(out, 0, 0, n, value * 2.0)
    v.accumulate(out, 0, 0, n, value)
    v.keep_larger(best, 0, 0, n, value)
    v.put(sums, 0, 0, v.total(value / value, n))
    v.put(sums, 0, 1, v.total(value + 1.0, v.lanes(x)))
    v.put(sums, 0, 2, v.highest(-value, n))  # the zeros behind the first n are larger


def accuracy_grid(dtype, size):
    """Pairs of numbers of every magnitude and sign, special ones included; shape [1, ..]."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    every = np.exp(rng.uniform(math.log(info.tiny), math.log(info.max) * 0.9999, size))
    near = [rng.uniform(0, width, size) for width in (1, 3, 20, -math.log(info.tiny) * 1.06)]
    tiny = info.smallest_subnormal * rng.integers(1, 1 << 20, size).astype(np.float64)
    around_one = 1 + rng.normal(size=size) * 0.01
    odd = np.array([0, np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal, 1, 0.5, 2, 709.5, 89, 745, 103.9])
    x = np.concatenate([every, *near, tiny, around_one, odd]).astype(dtype)
    x = np.concatenate([x, -x])
    y = rng.permutation(x)
    y[::2] = rng.uniform(-4, 4, y[::2].size)  # exponents of a size that pow does not overflow with
    return x[None], y[None]


def units_wrong(result, exact):
    """Errors in units in the last place of ``result``'s dtype; infinite where NaN or infinity is misplaced."""
    dtype = result.dtype
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        same = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
        finite = np.isfinite(result) & np.isfinite(rounded)
        # a finite result beside infinity (or the other way round) is judged at the largest number
        unit = np.spacing(np.abs(np.where(finite, rounded, 1))).astype(exact.dtype)
        error = np.abs(result.astype(exact.dtype) - exact) / unit
    error = np.where(same & ~finite, 0, error)
    return np.where(finite | same, error, np.inf)


def check_functions(x, y):
    """Compare `every_function` with numpy in a wider type; return its results."""
    x, y = x.copy(), y.copy()
    x.setflags(write=False)
    out = np.empty((len(FUNCTIONS) + len(PAIRS), x.shape[1]), x.dtype)
    every_function(x, y, out)
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        for row, (name, (exact, limit)) in enumerate((FUNCTIONS | PAIRS).items()):
            arguments = [x, y] if name in PAIRS else [x]
            if name != "erf":  # scipy has no wider one
                arguments = [argument.astype(wide) for argument in arguments]
            errors = units_wrong(out[row], np.asarray(exact(*arguments), wide)[0])
            worst = int(errors.argmax())
            at = [float(argument[0, worst]) for argument in arguments]
            assert errors[worst] <= limit, f"{name}{at} = {out[row, worst]}, wrong by {errors[worst]} units"
    return out


def check_operators(x, y):
    out = np.empty((24, x.shape[1]), x.dtype)
    every_operator(x, y, out)
    with np.errstate(all="ignore"):
        expected = operators_expected(x, y)
        for row, (got, want) in enumerate(zip(out, expected)):
            if row in (7, 20):  # a fused multiply-add rounds once
                size = np.abs(x * y)[0] + 1 if row == 20 else (np.abs(x) + np.abs(3 * y))[0] / np.abs(y)[0]
                close = np.abs(got - want) <= 2 * np.finfo(x.dtype).eps * size
                assert np.all(close | ~np.isfinite(size) | ~np.isfinite(want)), row
            else:
                np.testing.assert_array_equal(got, want, err_msg=f"row {row}")
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_are_accurate_over_the_whole_range(dtype):
    check_functions(*accuracy_grid(dtype, 20_000))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), size=st.integers(1, 40))
def test_functions_and_operators_of_any_numbers(data, dtype, size):
    numbers = st.lists(st.floats(width=32 if dtype is np.float32 else 64), min_size=size, max_size=size)
    x, y = (np.array([data.draw(numbers)], dtype) for _ in range(2))
    check_functions(x, y)
    check_operators(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_operators(dtype):
    check_operators(*accuracy_grid(dtype, 500))


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, inf, nan, 0.0, -0.0, -1.0, 1e4, -1e4]], dtype)
    out = check_functions(x, x)
    by_name = dict(zip(FUNCTIONS, out))
    np.testing.assert_array_equal(by_name["exp"][:3], [0, inf, nan])
    np.testing.assert_array_equal(by_name["exp"][6:], [inf, 0])
    np.testing.assert_array_equal(by_name["log"][:6], [nan, inf, nan, -inf, -inf, nan])
    np.testing.assert_array_equal(by_name["log1p"][:6], [nan, inf, nan, 0, -0.0, -inf])
    np.testing.assert_array_equal(by_name["tanh"], [-1, 1, nan, 0, -0.0, dtype(np.tanh(-1.0)), 1, -1])
    np.testing.assert_array_equal(by_name["sigmoid"][[0, 1, 2, 3, 6, 7]], [0, 1, nan, 0.5, 1, 0])
    np.testing.assert_array_equal(by_name["sign"], [-1, 1, nan, 0, 0, -1, 1, -1])
    for name in ("tanh", "expm1", "log1p", "sqrt", "floor", "sin", "erf"):
        np.testing.assert_array_equal(np.signbit(by_name[name][3:5]), [False, True], err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_result_does_not_depend_on_its_lane(dtype):
    x, y = accuracy_grid(dtype, 100)
    out = check_functions(x, y)
    for shift in range(1, v_lanes(x) + 1):
        np.testing.assert_array_equal(check_functions(x[:, shift:], y[:, shift:]), out[:, shift:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum_of_lanes_is_folded_in_halves(dtype):
    x = np.full((1, v_lanes(np.ones((1, 1), dtype))), 0.1, dtype)
    x[0, 0] = 1e6
    sums, rest = np.zeros((1, 3), dtype), x[0] + dtype(1)
    first_numbers(x, x.size, np.zeros_like(x), np.zeros_like(x), sums)
    while rest.size > 1:
        rest = rest[: rest.size // 2] + rest[rest.size // 2 :]
    assert sums[0, 1] == rest[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_highest_of_lanes(dtype):
    lanes = v_lanes(np.ones((1, 1), dtype))
    sums = np.zeros((1, 3), dtype)
    for place in range(lanes):
        x = np.ones((1, lanes), dtype)
        for value in (-3.0, np.nan):
            x[0, place] = value
            first_numbers(x, lanes, np.zeros_like(x), np.zeros_like(x), sums)
            np.testing.assert_array_equal(sums[0, 2], np.max(-x))


def test_what_cannot_be_a_vector_is_refused_when_compiling():
    from numba.core.errors import TypingError

    sums = np.zeros((1, 3))
    for wrong in (np.zeros((2, 4), np.int64), np.zeros((2, 4), order="F")):
        with pytest.raises(TypingError, match="Vectors"):
            first_numbers(wrong, 1, np.zeros((2, 4)), np.zeros((2, 4)), sums)
    with pytest.raises(TypingError, match="matrices"):
        streamed(np.zeros((2, 4), order="F"), np.zeros((3, 4)), True)
    with pytest.raises(TypingError, match="takes a Vec"):
        streamed(np.zeros((2, 4), np.float32), np.zeros((3, 4)), True)
    fixed = np.zeros((2, 4))
    fixed.setflags(write=False)
    with pytest.raises(TypingError, match="writeable"):
        first_numbers(np.zeros((2, 4)), 1, fixed, np.zeros((2, 4)), sums)


# --- what runs in processes of its own -------------------------------------------------------------------------------


def check_tails(dtype):
    """Every n, with the numbers at the very end, then at the very start, of the memory that may be touched."""
    pages = [guarded_page() for _ in range(3)]
    x, out, best = (page.view(dtype) for page, _ in pages)
    lanes = v_lanes(np.zeros((1, 1), dtype))
    for n in range(1, lanes + 1):
        for part in (slice(0, n), slice(x.size - n, x.size)):
            x[:], out[:], best[:] = -7, -9, 1.5
            x[part] = np.arange(1, n + 1)
            best[part][n // 2] = np.nan
            sums = np.zeros((1, 3), dtype)
            first_numbers(x[part][None], n, out[part][None], best[part][None], sums)
            expected = np.full_like(out, -9)
            expected[part] = 3 * np.arange(1, n + 1)
            np.testing.assert_array_equal(out, expected)
            expected[:] = 1.5
            expected[part] = np.maximum(np.arange(1, n + 1), 1.5)
            expected[part][n // 2] = np.nan
            np.testing.assert_array_equal(best, expected)
            assert sums.tolist() == [[n, n * (n + 1) / 2 + lanes, -1]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_two_at_a_time_and_past_the_caches(dtype):
    check_streams(dtype)


def main():
    """Check all at this process's vector width; print what was compiled, the width, and a hash of all results."""
    from numba.core import event

    compiled = []

    class Count(event.Listener):
        def on_start(self, ev):
            compiled.append(ev)

        def on_end(self, ev):
            pass

    event.register("numba:compile", Count())
    digest = hashlib.sha256()
    for dtype in DTYPES:
        check_tails(dtype)
        check_streams(dtype)
        x, y = accuracy_grid(dtype, 300)
        functions, operators = check_functions(x, y), check_operators(x, y)
        operators[22] = 0  # the first number of each vector
        for out in (functions, operators):
            digest.update(np.where(np.isnan(out), 0, out).tobytes())
    print(len(compiled), v.VECTOR_BITS, digest.hexdigest())


def run(**environment):
    settings = {**os.environ, "PYTHONWARNINGS": "error", **environment}
    done = subprocess.run([sys.executable, __file__], env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    compiled, bits, digest = done.stdout.split()
    return int(compiled), int(bits), digest


def test_every_vector_width_gives_the_same_numbers(tmp_path):
    cache = str(tmp_path)
    runs = [run(GNNKIT_SIMD=bits, NUMBA_CACHE_DIR=cache) for bits in ("0", "128", "256", "512")]
    assert [bits for _, bits, _ in runs] == [128, 128, 256, 512]
    assert len({digest for *_, digest in runs}) == 1
    # a second process finds the compiled kernels on the disk, C functions included
    again = run(GNNKIT_SIMD="512", NUMBA_CACHE_DIR=cache)
    assert again == (0, *runs[-1][1:])


def test_a_processor_without_vectors_or_fused_arithmetic():
    run(GNNKIT_SIMD="256", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")


if __name__ == "__main__":
    main()
