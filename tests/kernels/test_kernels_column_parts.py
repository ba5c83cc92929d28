"""Columns of matrices that are moved: what numpy's slices give, to the last bit, for every number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from gnnkit import kernels as K

FLOATS = [np.float32, np.float64]
DTYPES = [*FLOATS, np.float16, np.int64]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", [1, 3, 8, 16, 21])
def test_copy_columns(dtype, width, rng, threads):
    source = rng.normal(size=(300_000 // width, width + 7)).astype(dtype)
    expected = np.zeros((len(source), width + 2), dtype)
    expected[:, 1:-1] = source[:, 5 : 5 + width]
    for count in (1, 2):
        threads(count)
        out = np.zeros_like(expected)
        K.copy_columns(source, 5, width, out, 1)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "place", "columns"), [(1, 1, 2), (1, 0, 1), (3, 2, 5), (8, 8, 16), (21, 4, 40)])
def test_columns_beside_zeros_and_added_columns(backend, dtype, width, place, columns, rng, threads):
    here = slice(place, place + width)
    for rows in (0, 1, 300_000 // columns):
        source = (rng.normal(size=(rows, width)) * 9).astype(dtype)
        before = (rng.normal(size=(rows, columns)) * 9).astype(dtype)
        padded, added = np.zeros_like(before), before.copy()
        padded[:, here] = source
        added[:, here] += source
        for count in (1, 2, 4):
            threads(count)
            with K.use_backend(backend):
                found, total = K.pad_columns(source, columns, place), before.copy()
                K.add_columns(source, total, place)
            assert found.dtype == dtype and found.shape == (rows, columns)
            np.testing.assert_array_equal(found, padded)
            np.testing.assert_array_equal(total, added)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "widths", [(), (3,), (1, 1, 1, 1), (8, 8, 8, 8), (8, 1, 0, 21), (1, 2, 16, 8, 5, 33), (4,) * 9]
)
def test_joined_columns(backend, dtype, widths, rng, threads):
    for rows in (0, 1, 10_001):
        parts = [(rng.normal(size=(rows, width)) * 9).astype(dtype) for width in widths]
        expected = np.concatenate([*parts, np.full((rows, 3), 7, dtype)], axis=1)
        for count in (1, 2, 4):
            threads(count)
            out = np.full_like(expected, 7)
            with K.use_backend(backend):
                K.join_columns(parts, out)
            np.testing.assert_array_equal(out, expected)


def test_columns_in_c_order_by_hand():
    assert K.contiguous(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[:, 1:]).tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert K.contiguous(np.float64(3.0)).shape == ()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_in_c_order_is_copied(backend, dtype, rng, threads):
    x = (rng.normal(size=(5_001, 40)) * 9).astype(dtype)
    views = [x[:, 3:11], x[:, 32:], x[:, ::2], x[::2, 5:30], x[::-1, 5:30], x[:, ::-1], x.T, x[:0, 3:7], x[:, 3:3]]
    views += [np.broadcast_to(x[0], x.shape), np.lib.stride_tricks.sliding_window_view(x.reshape(-1), 40)[:5_000]]
    views += [x[:, None, :8], x[:1, :30], x[:, 39:]]
    for count in (1, 2, 4):
        threads(count)
        for view in views:
            with K.use_backend(backend):
                found = K.contiguous(view)
            assert found.flags.c_contiguous and found.dtype == dtype and found.shape == view.shape
            np.testing.assert_array_equal(found, view)
    assert K.contiguous(x) is x


def test_numbers_between_bytes_are_copied_too(rng):
    table = np.zeros(40_000, [("flag", np.int8), ("x", np.float32, 3)])
    table["x"] = rng.normal(size=(40_000, 3))
    np.testing.assert_array_equal(K.contiguous(table["x"]), table["x"].copy())
