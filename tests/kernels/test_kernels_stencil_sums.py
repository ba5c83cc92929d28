"""stencil_sum and stencil_outer: tiles against twins and naive loops, adjoints, threads, position, NaN and inf."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.kernels import stencil_arrays
from gnnkit.kernels.twins import stencil_sums as twins

# in and out channels of a group, groups: below, at and above one and two vectors; depthwise; with a multiplier
CHANNELS = [
    (1, 1, 1), (1, 10, 1), (3, 8, 1), (10, 10, 1), (7, 16, 1), (8, 17, 1), (12, 33, 1), (16, 64, 1), (25, 70, 1),
    (40, 3, 1), (2, 3, 2), (8, 16, 3), (13, 20, 2), (1, 1, 3), (1, 1, 16), (1, 1, 37), (1, 1, 70), (1, 2, 5),
    (1, 3, 20), (2, 1, 9), (4, 1, 33), (16, 1, 1), (16, 2, 1), (16, 4, 1), (16, 6, 1), (24, 6, 1),
]  # fmt: skip


def tolerance(dtype):
    return {"rtol": 2e-4, "atol": 2e-4} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}


def image_part(height, width, copies=1, size=3):
    """A square stencil on images of one size, zeros outside: the plan of a "same" convolution."""
    row, column = np.divmod(np.arange(height * width), width)
    table = np.full((size * size, height * width), -1, np.int32)
    for i, (down, right) in enumerate(np.ndindex(size, size)):
        r, c = row + down - size // 2, column + right - size // 2
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        table[i, inside] = (r * width + c)[inside]
    bases = np.arange(copies) * height * width
    return K.StencilPart(table, None, np.arange(size * size, dtype=np.int32), bases, bases)


def random_part(rng, num_senders, num_receivers, num_offsets, slots, index=np.int32):
    """Several copies of a table with absent edges, repeated offsets and receivers left out, in any order."""
    copies = int(rng.integers(1, 4))
    senders, columns = num_senders // copies, num_receivers // copies
    chosen = rng.permutation(columns)[: rng.integers(0, columns + 1)] if rng.random() < 0.5 else None
    table = rng.integers(-1, max(senders, 1) if senders else 0, (slots, columns if chosen is None else len(chosen)))
    table[rng.random(table.shape) < 0.2] = -1
    return K.StencilPart(
        table.astype(index), None if chosen is None else chosen.astype(index),
        rng.integers(0, num_offsets, slots).astype(np.int32),
        rng.permutation(copies) * senders, rng.permutation(copies) * columns,
    )  # fmt: skip


def naive_sum(parts, x, weight, num_receivers, groups):
    """The definition, one edge and one number at a time."""
    _, inner, out_size = weight.shape
    out = np.zeros((num_receivers, out_size), x.dtype)
    for senders, receivers, k in twins.edges(parts):
        for s, r in zip(senders, receivers):
            for f in range(out_size):
                first = f // (out_size // groups) * inner
                for c in range(inner):
                    out[r, f] += x[s, first + c] * weight[k, c, f]
    return out


def naive_outer(parts, x, y, num_offsets, groups):
    inner, out_size = x.shape[1] // groups, y.shape[1]
    out = np.zeros((num_offsets, inner, out_size), x.dtype)
    for senders, receivers, k in twins.edges(parts):
        for s, r in zip(senders, receivers):
            for f in range(out_size):
                first = f // (out_size // groups) * inner
                for c in range(inner):
                    out[k, c, f] += x[s, first + c] * y[r, f]
    return out


def arrays(rng, channels, num_senders, num_receivers, num_offsets, dtype=np.float64):
    inner, columns, groups = channels
    x = rng.normal(size=(num_senders, inner * groups)).astype(dtype)
    weight = rng.normal(size=(num_offsets, inner, columns * groups)).astype(dtype)
    return x, weight, rng.normal(size=(num_receivers, columns * groups)).astype(dtype)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_row_of_three_pixels_by_hand(backend):
    table = np.array([[-1, 0, 1], [0, 1, 2]], np.int32)
    part = K.StencilPart(table, None, np.array([0, 1], np.int32), np.array([0]), np.array([0]))
    x = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    weight = np.array([[[1.0], [0.0]], [[0.0], [3.0]]])
    with K.use_backend(backend):
        assert K.stencil_sum((part,), x, weight, num_receivers=3).tolist() == [[6], [61], [610]]
        outer = K.stencil_outer((part,), x, np.array([[1.0], [2.0], [3.0]]), num_offsets=2)
        assert outer[:, :, 0].tolist() == [[32, 64], [321, 642]]


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_width_equals_twin_and_naive_loop(channels, dtype, rng):
    part, groups = image_part(5, 4, copies=2), channels[2]
    x, weight, y = arrays(rng, channels, 40, 40, 9, dtype)
    result = K.stencil_sum((part,), x, weight, num_receivers=40, groups=groups)
    outer = K.stencil_outer((part,), x, y, num_offsets=9, groups=groups)
    assert result.dtype == outer.dtype == dtype
    expected = twins.stencil_sum((part,), x, weight, num_receivers=40, groups=groups)
    np.testing.assert_allclose(result, expected, **tolerance(dtype))
    np.testing.assert_allclose(
        outer, twins.stencil_outer((part,), x, y, num_offsets=9, groups=groups), **tolerance(dtype)
    )
    if channels[0] * channels[1] * groups <= 64:
        np.testing.assert_allclose(result, naive_sum((part,), x, weight, 40, groups), **tolerance(dtype))
        np.testing.assert_allclose(outer, naive_outer((part,), x, y, 9, groups), **tolerance(dtype))


def test_is_what_scipy_correlates(rng):
    image, kernel = rng.normal(size=(9, 7)), rng.normal(size=(5, 5))
    result = K.stencil_sum(
        (image_part(9, 7, size=5),), image.reshape(-1, 1), kernel.reshape(25, 1, 1), num_receivers=63
    )
    np.testing.assert_allclose(result.reshape(9, 7), scipy.signal.correlate(image, kernel, "same"), atol=1e-12)


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_senders, num_receivers = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    num_offsets = draw(st.integers(1, 5))
    index = draw(st.sampled_from([np.int32, np.int64]))
    parts = tuple(
        random_part(rng, num_senders, num_receivers, num_offsets, draw(st.integers(0, 15)), index)
        for _ in range(draw(st.integers(0, 3)))
    )
    channels = draw(st.sampled_from([*CHANNELS, (0, 3, 1), (3, 0, 1), (0, 0, 1)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return (
        parts,
        arrays(rng, channels, num_senders, num_receivers, num_offsets, dtype),
        channels[2],
        draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(case=problems())
def test_any_plan_equals_twin(case):
    parts, (x, weight, y), groups, transposed = case
    if transposed:
        weight = np.ascontiguousarray(weight.transpose(0, 2, 1)).transpose(0, 2, 1)
    result = K.stencil_sum(parts, x, weight, num_receivers=len(y), groups=groups)
    expected = twins.stencil_sum(parts, x, weight, num_receivers=len(y), groups=groups)
    assert result.shape == expected.shape and result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, **tolerance(x.dtype))
    outer = K.stencil_outer(parts, x, y, num_offsets=len(weight), groups=groups)
    expected = twins.stencil_outer(parts, x, y, num_offsets=len(weight), groups=groups)
    assert outer.shape == expected.shape and outer.dtype == expected.dtype
    np.testing.assert_allclose(outer, expected, **tolerance(x.dtype))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("channels", [(3, 8, 1), (16, 40, 1), (1, 1, 24), (4, 6, 3)])
def test_sum_is_linear_and_outer_its_derivative(backend, channels, rng):
    part = image_part(6, 5, copies=3)
    x, weight, y = arrays(rng, channels, 90, 90, 9)
    with K.use_backend(backend):
        forward = np.sum(K.stencil_sum((part,), x, weight, num_receivers=90, groups=channels[2]) * y)
        by_weight = np.sum(weight * K.stencil_outer((part,), x, y, num_offsets=9, groups=channels[2]))
    np.testing.assert_allclose(by_weight, forward, rtol=1e-10)


def test_the_transposed_plan_with_transposed_weights_is_the_adjoint(rng):
    part = image_part(6, 5, copies=2)
    # the stencil is symmetric: edges turned round have the opposite offset
    back = K.StencilPart(part.table, None, part.offsets[::-1].copy(), part.sender_base, part.receiver_base)
    x, weight, y = arrays(rng, (12, 20, 1), 60, 60, 9)
    forward = np.sum(K.stencil_sum((part,), x, weight, num_receivers=60) * y)
    backward = np.sum(x * K.stencil_sum((back,), y, weight.transpose(0, 2, 1), num_receivers=60))
    np.testing.assert_allclose(backward, forward, rtol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 11])
@pytest.mark.parametrize("width", [3, 7, 14, 23])
@pytest.mark.parametrize("backwards", [False, True])
def test_runs_of_neighbouring_slots_change_nothing(size, width, backwards, rng):
    part = image_part(9, width, copies=3, size=size)
    if backwards:
        turned = part.table[::-1].copy(), None, part.offsets[::-1].copy()
        part = K.StencilPart(*turned, part.sender_base, part.receiver_base)
    x, weight, _ = arrays(rng, (1, 1, 20), 27 * width, 1, size * size)
    result = K.stencil_sum((part,), x, weight, num_receivers=len(x), groups=20)
    expected = twins.stencil_sum((part,), x, weight, num_receivers=len(x), groups=20)
    np.testing.assert_allclose(result, expected, **tolerance(x.dtype))
    # a tile of one row has no run, and the same bits
    for r in (0, width * 9 // 2, width * 27 - 1):
        b, j = divmod(r, width * 9)
        one = K.StencilPart(
            part.table[:, j : j + 1].copy(), None, part.offsets, part.sender_base[b : b + 1], np.zeros(1, np.int64)
        )
        assert K.stencil_sum((one,), x, weight, num_receivers=1, groups=20).tobytes() == result[r].tobytes()


def test_what_is_known_of_a_table_goes_with_it(rng):
    from gnnkit.kernels import stencil_sums

    part = image_part(8, 8)
    part.table.setflags(write=False)
    x, weight, _ = arrays(rng, (1, 1, 4), 64, 1, 9)
    before = len(stencil_sums._known_steps)
    first = K.stencil_sum((part,), x, weight, num_receivers=64, groups=4)
    assert len(stencil_sums._known_steps) == before + 1
    np.testing.assert_array_equal(K.stencil_sum((part,), x, weight, num_receivers=64, groups=4), first)
    del part
    assert len(stencil_sums._known_steps) == before


def test_borders_lines_and_steps_of_a_grid_change_nothing(rng):
    """Lines of slots that are cut, wrapped, reflected, apart, or run backwards through the image."""
    from gnnkit.graph.grids import Grid, Stencil, grid_topology

    for border in ("zero", "wrap", "reflect", "edge"):
        for stride, dilation, size in ((1, 1, 5), (2, 1, 3), (1, 2, 3), (3, 2, 2)):
            stencil = Stencil(size, ndim=2, stride=stride, dilation=dilation, border=border)
            there = grid_topology(Grid([(9, 11), (9, 11), (7, 6)]), stencil)
            for topology in (there, there.transpose()):
                for channels in ((1, 6, 1), (3, 8, 1), (6, 16, 1), (16, 1, 1), (16, 6, 1)):
                    shape = topology.num_senders, topology.num_receivers, size**2
                    x, weight, y = arrays(rng, channels, *shape)
                    result = K.stencil_sum(topology.parts, x, weight, num_receivers=len(y))
                    expected = twins.stencil_sum(topology.parts, x, weight, num_receivers=len(y))
                    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)
                    outer = K.stencil_outer(topology.parts, x, y, num_offsets=size**2)
                    expected = twins.stencil_outer(topology.parts, x, y, num_offsets=size**2)
                    np.testing.assert_allclose(outer, expected, rtol=1e-10, atol=1e-10)


LARGE = [(16, 6, 1), (16, 1, 1), (6, 16, 1), (1, 10, 1), (10, 10, 1), (24, 40, 1), (1, 1, 40), (3, 5, 4)]


@pytest.mark.parametrize("channels", LARGE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(channels, dtype, rng, threads, monkeypatch):
    monkeypatch.setattr(stencil_arrays, "CHUNK_WORK", 1 << 12)
    part = image_part(23, 29, copies=7)
    x, weight, y = arrays(rng, channels, 7 * 667, 7 * 667, 9, dtype)
    results = []
    for count in (1, 2, 4):
        threads(count)
        results.append([
            K.stencil_sum((part,), x, weight, num_receivers=len(y), groups=channels[2]).tobytes(),
            K.stencil_outer((part,), x, y, num_offsets=9, groups=channels[2]).tobytes(),
        ])  # fmt: skip
    assert results[0] == results[1] == results[2]
    expected = twins.stencil_sum((part,), x, weight, num_receivers=len(y), groups=channels[2])
    np.testing.assert_allclose(
        np.frombuffer(results[0][0], dtype).reshape(expected.shape), expected, **tolerance(dtype)
    )
    scale = np.sqrt(len(y))
    expected = twins.stencil_outer((part,), x, y, num_offsets=9, groups=channels[2])
    outer = np.frombuffer(results[0][1], dtype).reshape(expected.shape)
    np.testing.assert_allclose(outer / scale, expected / scale, **tolerance(dtype))


@pytest.mark.parametrize(
    "channels",
    [(1, 10, 1), (10, 17, 1), (16, 32, 1), (300, 40, 1), (1, 1, 40), (2, 3, 4), (40, 1, 1), (16, 6, 1), (16, 2, 1)],
)
def test_bits_do_not_depend_on_the_position_of_an_image(channels, rng):
    x, weight, _ = arrays(rng, channels, 11 * 35, 1, 9, np.float32)
    batch = K.stencil_sum((image_part(5, 7, copies=11),), x, weight, num_receivers=len(x), groups=channels[2])
    for b in range(11):
        image = x[b * 35 : (b + 1) * 35]
        alone = K.stencil_sum((image_part(5, 7),), image, weight, num_receivers=35, groups=channels[2])
        assert batch[b * 35 : (b + 1) * 35].tobytes() == alone.tobytes()


def test_many_slots_and_channels_go_past_in_slabs(rng):
    part = image_part(6, 5, size=5)
    x, weight, y = arrays(rng, (700, 40, 1), 30, 30, 25, np.float32)
    result = K.stencil_sum((part,), x, weight, num_receivers=30)
    np.testing.assert_allclose(result, twins.stencil_sum((part,), x, weight, num_receivers=30), rtol=1e-3, atol=1e-3)
    outer = K.stencil_outer((part,), x, y, num_offsets=25)
    np.testing.assert_allclose(outer, twins.stencil_outer((part,), x, y, num_offsets=25), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("where", ["x", "weight", "y"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_absent_edge_adds_nothing_whatever_is_not_finite(channels, where, value, rng):
    part, groups = image_part(5, 6, copies=2), channels[2]
    x, weight, y = arrays(rng, channels, 60, 60, 9)
    {"x": x, "weight": weight, "y": y}[where][0] = value  # pixel 0 is a corner; offset 0 is absent along two borders
    with np.errstate(invalid="ignore"):
        result = K.stencil_sum((part,), x, weight, num_receivers=60, groups=groups)
        expected = twins.stencil_sum((part,), x, weight, num_receivers=60, groups=groups)
        outer = K.stencil_outer((part,), x, y, num_offsets=9, groups=groups)
        expected_outer = twins.stencil_outer((part,), x, y, num_offsets=9, groups=groups)
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(outer, expected_outer, rtol=1e-10, atol=1e-10)
    if where != "y":
        assert np.isfinite(result).any() and not np.isfinite(result).all()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_sums_begin_with_the_bias(backend, channels, rng):
    part, groups = image_part(5, 6, copies=2), channels[2]
    x, weight, bias = arrays(rng, channels, 60, 1, 9)
    half = K.StencilPart(part.table[:4], None, part.offsets[:4], part.sender_base, part.receiver_base)
    rest = K.StencilPart(part.table[4:], None, part.offsets[4:], part.sender_base, part.receiver_base)
    expected = twins.stencil_sum((part,), x, weight, num_receivers=70, groups=groups) + bias
    with K.use_backend(backend):
        for parts, rows in (((part,), 60), ((part,), 70), ((half, rest), 60), ((), 70)):
            result = K.stencil_sum(parts, x, weight, num_receivers=rows, groups=groups, bias=bias[0])
            wanted = expected[:rows] if parts else np.tile(bias, (70, 1))
            np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-10)
        weight[0] = np.inf
        with np.errstate(invalid="ignore"):
            result = K.stencil_sum((part,), x, weight, num_receivers=60, groups=groups, bias=bias[0])
            wanted = twins.stencil_sum((part,), x, weight, num_receivers=60, groups=groups) + bias
        np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-10)


def test_other_dtypes_strides_and_read_only_arrays(rng):
    part = image_part(4, 4)
    x = np.arange(64).reshape(16, 4)[:, ::2]
    weight = rng.normal(size=(9, 2, 6))[:, :, ::2]
    expected = twins.stencil_sum((part,), x, weight, num_receivers=16)
    weight.setflags(write=False)
    np.testing.assert_allclose(K.stencil_sum((part,), x, weight, num_receivers=16), expected, rtol=1e-12)
    integers = np.ones((9, 2, 3), np.int64)
    assert K.stencil_sum((part,), x, integers, num_receivers=16).dtype == np.int64
    narrow = K.stencil_sum((part,), x.astype(np.float32), weight.astype(np.float32), num_receivers=16)
    assert narrow.dtype == np.float32
    y = expected[::-1]
    np.testing.assert_allclose(
        K.stencil_outer((part,), x, y, num_offsets=9), twins.stencil_outer((part,), x, y, num_offsets=9), rtol=1e-12
    )


def test_nothing_gives_zeros():
    none = np.zeros((0,), np.int64)
    empty = K.StencilPart(np.zeros((9, 0), np.int32), None, np.arange(9, dtype=np.int32), none, none)
    no_slots = K.StencilPart(np.zeros((0, 4), np.int32), None, np.zeros(0, np.int32), none + 0, none)
    x, weight = np.ones((4, 2)), np.ones((9, 2, 3))
    for parts in ((), (empty,), (no_slots,), (empty, no_slots)):
        assert K.stencil_sum(parts, x, weight, num_receivers=4).tolist() == [[0, 0, 0]] * 4
        assert not K.stencil_outer(parts, x, np.ones((4, 3)), num_offsets=9).any()
    assert K.stencil_sum((empty,), x[:0], weight, num_receivers=0).shape == (0, 3)
    one = K.StencilPart(np.zeros((0, 4), np.int32), None, np.zeros(0, np.int32), np.array([0]), np.array([0]))
    assert K.stencil_sum((one,), x, weight, num_receivers=4).tolist() == [[0, 0, 0]] * 4


def test_inputs_are_not_written_to(rng):
    part = image_part(5, 4)
    x, weight, y = arrays(rng, (10, 12, 1), 20, 20, 9)
    before = [a.copy() for a in (x, weight, y)]
    K.stencil_sum((part,), x, weight, num_receivers=20)
    K.stencil_outer((part,), x, y, num_offsets=9)
    for a, b in zip((x, weight, y), before):
        np.testing.assert_array_equal(a, b)
