"""Vectors two at a time and past the caches, checked next to memory that may not be touched."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

from gnnkit.kernels import vectors as v
from gnnkit.kernels.backend import jit


@jit
def lanes_of(x):
    return v.lanes(x)


def v_lanes(x):
    return int(lanes_of(x))


@jit
def streamed(x, out, past):
    """Row 0 twice, two vectors at a time while they last; row 1 plus the first number; row 2 from single vectors."""
    lanes = v.lanes(x)
    wide, whole = v.several(x, 2), x.shape[1] // (2 * lanes) * (2 * lanes)
    for c in range(0, whole, 2 * lanes):
        value = v.load_several(x, 0, c, lanes, wide)
        first = v.splat_several(x, 0, 0, 0, wide)
        v.stream_several(out, 0, c, lanes, value + value, past)
        v.stream_several(out, 1, c, lanes, v.where(value < 3.0, value, v.constant(wide, 3.0)) + first, past)
    for c in range(whole, x.shape[1], lanes):
        n = min(lanes, x.shape[1] - c)
        value = v.load(x, 0, c, n)
        v.stream(out, 0, c, n, value + value, past)
        v.stream(out, 1, c, n, v.where(value < 3.0, value, v.constant(x, 3.0)) + v.splat(x, 0, 0), past)
    for c in range(0, x.shape[1], lanes):
        n = min(lanes, x.shape[1] - c)
        v.stream(out, 2, c, n, v.load(x, 0, c, n), past)
    v.settle()


@jit
def by_head(x, weights, out):
    """Each half of a row times the number of its half; then the first half times the numbers, one after the other."""
    lanes, width = v.lanes(x), x.shape[1] // 2
    wide = v.several(x, 2)
    for c in range(0, width, lanes):
        rows = v.load_several(x, 0, c, width, wide)
        v.stream_several(out, 0, c, width, rows * v.splat_several(weights, 0, 0, 1, wide), False)
        rows = v.load_several(x, 0, c, 0, wide)
        v.stream_several(out, 1, c, width, rows * v.splat_several(weights, 0, 0, 1, wide), True)
    v.settle()


def check_heads(dtype):
    """Vectors that lie apart, at the end of memory that may be touched."""
    (x_page, keep_x), (out_page, keep_out) = guarded_page(), guarded_page()
    for width in range(v_lanes(np.zeros((1, 1), dtype)), 65, v_lanes(np.zeros((1, 1), dtype))):
        x, out = x_page.view(dtype)[-2 * width :].reshape(1, -1), out_page.view(dtype)[-4 * width :].reshape(2, -1)
        x[:] = np.arange(1, 2 * width + 1)
        by_head(x, np.array([[2, 3]], dtype), out)
        np.testing.assert_array_equal(out[0], np.repeat([2, 3], width) * x[0])
        np.testing.assert_array_equal(out[1], np.repeat([2, 3], width) * np.tile(x[0, :width], 2))
    del keep_x, keep_out


@jit
def totals(x, out):
    """The sums of every vector of a row: one by one, and of two, four and eight at once."""
    lanes = v.lanes(x)
    count = x.shape[1] // lanes
    two, four, eight = v.several(x, 2), v.several(x, 4), v.several(x, 8)
    for k in range(count):
        v.put(out, 0, k, v.total(v.load(x, 0, k * lanes, lanes), lanes))
    for k in range(0, count, 2):
        v.put_totals(out, 1, k, v.load_several(x, 0, k * lanes, lanes, two))
    for k in range(0, count, 4):
        v.put_totals(out, 2, k, v.load_several(x, 0, k * lanes, lanes, four))
    for k in range(0, count, 8):
        v.put_totals(out, 3, k, v.load_several(x, 0, k * lanes, lanes, eight))


def check_totals(dtype):
    """The same bits for any number at once, whatever is summed, at the end of memory that may be touched."""
    page, keep = guarded_page()
    out = page.view(dtype)[-4 * 16 :].reshape(4, 16)
    lanes = v_lanes(np.zeros((1, 1), dtype))
    x = np.random.default_rng(0).normal(size=(16, lanes)).astype(dtype)
    x[3], x[5], x[6, 1], x[7, 0], x[8, lanes // 2] = 0, -0.0, np.nan, np.inf, -np.inf
    totals(x.reshape(1, -1), out)
    for row in out[1:]:
        np.testing.assert_array_equal(row.view(np.uint8), out[0].view(np.uint8))
    usual = [0, 1, 2, 3, 4, 5, *range(9, 16)]
    np.testing.assert_allclose(out[0, usual], x[usual].sum(axis=1), atol=1e-5)
    assert np.isnan(out[0, 6]) and out[0, 7] == np.inf and out[0, 8] == -np.inf
    del keep


def guarded_page():
    """One page of memory between two that may not be touched; also what keeps it alive."""
    size = mmap.PAGESIZE
    memory = mmap.mmap(-1, 3 * size)
    middle = np.frombuffer(memory, np.uint8)[size : 2 * size]
    if sys.platform != "win32":
        library = ctypes.CDLL(None, use_errno=True)
        for page in (middle.ctypes.data - size, middle.ctypes.data + size):
            assert library.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(size), mmap.PROT_READ * 0) == 0
    return middle, memory


def check_streams(dtype):
    """Every width up to some vectors, wherever the rows begin, next to memory that may not be touched."""
    (x_page, keep_x), (out_page, keep_out) = guarded_page(), guarded_page()
    for width in range(1, 4 * v_lanes(np.zeros((1, 1), dtype)) + 2):
        x = x_page.view(dtype)[-width:]
        x[:] = np.arange(1, width + 1)
        for begin in (0, 1, 5):
            out = out_page.view(dtype)
            for past in (False, True):
                out[:] = -9
                rows = out[begin : begin + 3 * width] if begin else out[-3 * width :]
                streamed(x[None], rows.reshape(3, width), past)
                expected = np.full_like(out, -9)
                place = slice(begin, begin + 3 * width) if begin else slice(-3 * width, None)
                expected[place] = np.concatenate([2 * x, np.minimum(x, 3) + 1, x])
                np.testing.assert_array_equal(out, expected)
    del keep_x, keep_out
    check_heads(dtype)
    check_totals(dtype)
