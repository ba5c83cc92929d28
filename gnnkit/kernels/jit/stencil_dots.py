"""Numba loops of stencil_sum for few results: every result is a dot product over the channels of lines of slots.

A vector of results would be mostly empty, a vector of channels is full. Slots that are absent at the ends of a line
are passed over, which saves half of the work where an image grows, as in the gradient of a convolution without padding.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit import stencil_tiles as tiles
from gnnkit.kernels.jit.stencil_addresses import fill_targets
from gnnkit.kernels.jit.stencil_lines import _lanes_between, _read_lanes
from gnnkit.kernels.jit.stencil_tiles import address
from gnnkit.kernels.simd import INT32, _int, _multiply_add
from gnnkit.kernels.vector_rows import VECTOR_BITS

VECTOR_BYTES = VECTOR_BITS // 8
MANY, SOME = 6, 4  # results of a tile of one row; the rest are taken one by one, for FEW_ROWS rows at once
FEW_ROWS = 4


def _fold(builder, vectors):
    """The sums of the lanes of each of ``vectors``, a power of two of them, as the lanes of one vector.

    Each is folded in halves, whatever the others are.
    """
    segments, length = 1, vectors[0].type.count
    while length > 1:
        half = length // 2
        pairs = zip(vectors[::2], vectors[1::2]) if len(vectors) > 1 else [(vectors[0], vectors[0])]
        both = 2 if len(vectors) > 1 else 1
        folded = []
        for a, b in pairs:
            ways = []
            for first in (0, half):
                starts = [s * length + first for s in range(both * segments)]
                lanes = [start + k for start in starts for k in range(half)]
                ways.append(builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)))
            folded.append(builder.fadd(*ways))
        vectors, segments, length = folded, both * segments, half
    return vectors[0]


def dot_tile(rows, columns):
    """The intrinsic that computes ``columns`` results of ``rows`` rows.

    tile(sources, begins, ends, row, line_vectors, panel, position, targets, target_offset, fresh, first): for row <= j
    < row + rows and line l, multiply the numbers begins[l, j] <= k < ends[l, j] at the address sources[l, j] with
    panel[position + (line_vectors[0, l] + k // lanes, column, k % lanes)], and add them, each lane on its own until the
    end, to targets[j][:columns] (if fresh to first[:columns], moved as the target).
    """
    index = types.int64

    @intrinsic
    def tile(typingctx, sources, begins, ends, row, line_vectors, panel, position, targets, shift, fresh, first):
        def codegen(context, builder, sig, values):
            row_, position_, shift_, fresh_ = values[3], values[6], values[8], values[9]
            vector, lanes, itemsize = tiles._vector_type(context, panel.dtype)
            from_, low, high, starts = (tiles._array(context, builder, sig, values, k) for k in (0, 1, 2, 4))
            width = tiles._row_length(context, builder, sig, values, 0)
            weights = builder.gep(tiles._array(context, builder, sig, values, 5), [position_])
            lines = tiles._row_length(context, builder, sig, values, 4)
            sums = [ir.Constant(vector, [0.0] * lanes)] * (rows * columns)
            with tiles._loop(builder, _int(0), lines, sums) as (line, sums_of_line):
                place = builder.add(builder.mul(line, width), row_)
                places = [builder.add(place, _int(r)) for r in range(rows)]
                source, begin, end = (
                    [builder.load(builder.gep(table, [p])) for p in places] for table in (from_, low, high)
                )
                least, most = begin[0], end[0]
                for b, e in zip(begin[1:], end[1:]):
                    least = builder.select(builder.icmp_signed("<", b, least), b, least)
                    most = builder.select(builder.icmp_signed(">", e, most), e, most)
                start = builder.load(builder.gep(starts, [line]))
                first_v = builder.sdiv(least, _int(lanes))
                stop_v = builder.sdiv(builder.add(most, _int(lanes - 1)), _int(lanes))
                with tiles._loop(builder, first_v, stop_v, sums_of_line) as (v, sums_):
                    at = builder.mul(v, _int(lanes))
                    far = builder.mul(at, _int(itemsize))
                    xs = []
                    for s, b, e in zip(source, begin, end):
                        mask = _lanes_between(builder, builder.sub(b, at), builder.sub(e, at), vector)
                        xs.append(_read_lanes(builder, builder.add(s, far), mask, vector))
                    there = builder.gep(weights, [builder.mul(builder.add(start, v), _int(columns * lanes))])
                    ws = tiles._read_all(builder, there, vector, columns, itemsize)
                    for r, x in enumerate(xs):
                        for c, w in enumerate(ws):
                            sums_[r * columns + c] = _multiply_add(builder, x, w, sums_[r * columns + c])
            count = 1 << (rows * columns - 1).bit_length()
            result = _fold(builder, sums + [sums[0]] * (count - rows * columns))
            goals = tiles._pointers(
                builder, tiles._array(context, builder, sig, values, 7), row_, _int(1), rows, shift_, vector.element
            )
            begun = tiles._moved(builder, tiles._array(context, builder, sig, values, 10), shift_)
            is_fresh = builder.icmp_signed("!=", fresh_, _int(0))
            added = []
            for r, goal in enumerate(goals):
                old = builder.select(is_fresh, begun, goal)
                for c in range(columns):
                    value = builder.extract_element(result, ir.Constant(INT32, r * columns + c))
                    added.append(builder.fadd(builder.load(builder.gep(old, [_int(c)])), value))
            for k, value in enumerate(added):  # only now: several rows may have one goal
                builder.store(value, builder.gep(goals[k // columns], [_int(k % columns)]))
            return context.get_dummy_value()

        arguments = (sources, begins, ends, index, line_vectors, panel, index, targets, index, index, first)
        return types.void(*arguments), codegen

    return tile


many_tile, some_tile, one_tile = dot_tile(1, MANY), dot_tile(1, SOME), dot_tile(FEW_ROWS, 1)


@jit
def spread_runs(run_bounds, runs, inner, base, low, high):
    """At every column j, line k reads numbers low[k, j] .. high[k, j] after number base[k, j]; see Lines."""
    for k in range(len(run_bounds) - 1):
        for r in range(run_bounds[k], run_bounds[k + 1]):
            column, first_pixel, step, first, last = runs[r]
            stop = runs[r + 1, 0] if r + 1 < run_bounds[k + 1] else base.shape[1]
            for j in range(column, stop):
                base[k, j] = (first_pixel + step * (j - column)) * inner
                low[k, j], high[k, j] = first * inner, last * inner


@jit
def fill_lines(sender_base, begin, end, memory, inner, size, base, low, high, sources, begins, ends):
    """What line k reads at row begin + j: numbers begins[k, j] .. ends[k, j] after the address sources[k, j]."""
    num_rows = base.shape[1]
    for k in range(len(base)):
        t = begin
        while t < end:
            b = t // num_rows
            j = t - b * num_rows
            count = min(num_rows - j, end - t)
            start = memory + sender_base[b] * inner * size
            # slices, because an index that could be negative keeps LLVM from vectors
            here, there = base[k, j : j + count], sources[k, t - begin : t - begin + count]
            for q in range(count):
                there[q] = start + here[q] * size
            begins[k, t - begin : t - begin + count] = low[k, j : j + count]
            ends[k, t - begin : t - begin + count] = high[k, j : j + count]
            t += count


@jit
def dot_blocks(
    row_start, row_stop, tile_start, tile_stop, base, low, high, line_vectors, total_vectors, rows, sender_base,
    receiver_base, x, inner, panels, columns, block, fresh, starts, out,
):  # fmt: skip
    """Rows row_start..row_stop of a part, and tiles of columns: first those of MANY, then one of SOME, then of one.

    Panels are [tile, vector of the lines, column of the tile, lane].
    """
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    lines, num_rows = base.shape
    padded = block + FEW_ROWS
    sources = np.empty((lines, padded), np.int64)
    begins, ends = np.empty((lines, padded), np.int64), np.empty((lines, padded), np.int64)
    targets = np.empty(padded, np.int64)
    many = columns // MANY
    some = 1 if columns - many * MANY >= SOME else 0
    new, far = int(fresh), np.iinfo(np.int64).max
    for begin in range(row_start, row_stop, block):
        end = min(begin + block, row_stop)
        count = end - begin
        fill_lines(sender_base, begin, end, address(x), inner, size, base, low, high, sources, begins, ends)
        fill_targets(rows, receiver_base, num_rows, begin, end, address(out), columns * size, far, 0, targets)
        for q in range(count, -(-count // FEW_ROWS) * FEW_ROWS):  # a tile that is not full does its last row again
            targets[q] = targets[count - 1]
            for k in range(lines):
                for table in (sources, begins, ends):
                    table[k, q] = table[k, count - 1]
        for tile in range(tile_start, tile_stop):
            column = tile * MANY if tile <= many else many * MANY + some * SOME + (tile - many - some)
            at, position = column * size, column * total_vectors * lanes
            if tile < many:
                for j in range(count):
                    many_tile(sources, begins, ends, j, line_vectors, panels, position, targets, at, new, starts)
            elif tile < many + some:
                for j in range(count):
                    some_tile(sources, begins, ends, j, line_vectors, panels, position, targets, at, new, starts)
            else:
                for j in range(0, count, FEW_ROWS):
                    one_tile(sources, begins, ends, j, line_vectors, panels, position, targets, at, new, starts)
