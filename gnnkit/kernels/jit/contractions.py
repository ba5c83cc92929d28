"""Numba loops of the sum over rows ``a.T @ b``, and their LLVM intrinsic: a tile of results stays in registers.

A block of rows is small enough for a second-level cache. Its part of b is packed into panels of whole vectors; then
every tile adds up outer products of the rows of the block, and what it found is added to the result.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gnnkit.kernels.backend import jit
from gnnkit.kernels.jit.product_tiles import FEW_ROWS, WIDE_ROWS
from gnnkit.kernels.jit.products import TILE, VECTOR_BYTES, ceil_div, pack
from gnnkit.kernels.jit.stencil_tiles import (
    _add_multiples,
    _array,
    _fetch,
    _loop,
    _read_all,
    _vector_at,
    _vector_type,
    address,
)
from gnnkit.kernels.simd import _int

# Rows of a block: a panel of them (8 KB) stays in a first-level cache while all columns of a pass by, and the rows of
# the next block, which are fetched meanwhile, stay in the second.
BLOCK = 64


def contraction_tile(columns, vectors):
    """The intrinsic that adds up outer products: ``columns`` columns of a, ``vectors`` vectors of columns of b.

    tile(a, at, stride, count, last, panel, position, out, to, out_stride, fresh, line, line_step): column
    i of a, at a[at + r * stride + i] in row r of ``count``, times the vectors at panel[position + r * their width]
    gives row i of the tile, which is written to out[to + i * out_stride], or added to what is there unless ``fresh``.
    Columns beyond ``last`` are column ``last`` again, if the tile is not larger than ``FEW_ROWS``; larger ones must be
    whole. All arrays are flat. Meanwhile what lies at the addresses ``line`` + r * ``line_step`` is fetched.
    """
    index = types.int64

    @intrinsic
    def tile(typingctx, a, at, stride, count, last, panel, position, out, to, out_stride, fresh, line, line_step):
        number = out.dtype

        def codegen(context, builder, sig, values):
            _, at_, stride_, count_, last_, _, position_, _, to_, out_stride_, fresh_, line_, line_step_ = values
            vector, lanes, itemsize = _vector_type(context, number)
            source, target = _array(context, builder, sig, values, 0), _array(context, builder, sig, values, 7)
            first = builder.gep(source, [at_])
            begin = builder.gep(_array(context, builder, sig, values, 5), [position_])
            places = [_int(i) for i in range(columns)]
            if columns <= FEW_ROWS:
                places = [builder.select(builder.icmp_signed("<", i, last_), i, last_) for i in places]
            sums = [ir.Constant(vector, [0.0] * lanes)] * (columns * vectors)
            with _loop(builder, _int(0), count_, sums) as (r, sums_):
                here = builder.gep(first, [builder.mul(r, stride_)])
                _fetch(builder, builder.add(line_, builder.mul(r, line_step_)))
                place = builder.mul(r, _int(vectors * lanes))
                ys = _read_all(builder, builder.gep(begin, [place]), vector, vectors, itemsize)
                for i, other in enumerate(places):
                    _add_multiples(builder, builder.gep(here, [other]), ys, sums_, i)
            goals = []
            for place in places:
                goal = builder.gep(target, [builder.add(to_, builder.mul(place, out_stride_))])
                goals += [builder.gep(goal, [_int(v * lanes)]) for v in range(vectors)]
            with builder.if_else(builder.icmp_signed("!=", fresh_, _int(0))) as (new, old):
                with new:
                    _store_all(builder, sums, goals, itemsize)
                with old:
                    # all are read before one is written: a column that is there several times is added to once
                    before = [builder.load(_vector_at(builder, goal, vector), align=itemsize) for goal in goals]
                    added = [builder.fadd(one, other) for one, other in zip(before, sums)]
                    _store_all(builder, added, goals, itemsize)
            return context.get_dummy_value()

        arguments = (a, index, index, index, index, panel, index, out, *[index] * 5)
        return types.void(*arguments), codegen

    return tile


def _store_all(builder, sums, goals, itemsize):
    for value, goal in zip(sums, goals):
        builder.store(value, _vector_at(builder, goal, value.type), align=itemsize)


wide_tile, narrow_tile = contraction_tile(WIDE_ROWS, 2), contraction_tile(WIDE_ROWS, 1)
few_wide_tile, few_narrow_tile = contraction_tile(FEW_ROWS, 2), contraction_tile(FEW_ROWS, 1)


@jit
def contract(start, stop, a, inner, b, columns, out):
    """``out`` = a.T @ b over the rows start..stop. Arrays are flat: a [rows, inner], b [rows, columns].

    ``out`` is [inner, columns], with rows of whole vectors. While a block of rows is added up, all its tiles together
    fetch the next one: evenly, as few lines can be under way at a time.
    """
    lanes = VECTOR_BYTES // b.itemsize
    wide = ceil_div(columns, lanes) * lanes
    panels = np.empty(BLOCK * wide, b.dtype)
    tiles = ceil_div(wide, TILE * lanes) * (inner // WIDE_ROWS + ceil_div(inner % WIDE_ROWS, FEW_ROWS))
    row_of_a, row_of_b = inner * a.itemsize, columns * b.itemsize
    share = ceil_div(BLOCK * (row_of_a + row_of_b), tiles)  # bytes of the next block that every tile fetches
    for top in range(start, stop, BLOCK):
        count = min(BLOCK, stop - top)
        pack(0, columns, b[top * columns :], False, count, columns, panels)
        fresh, pace = int(top == start), ceil_div(share, count)
        line = address(a) + (top + count) * row_of_a
        end, rest = line + count * row_of_a, address(b) + (top + count) * row_of_b  # the rows of b come last
        for column in range(0, wide, TILE * lanes):
            is_wide = column + lanes < wide
            panel = column * count
            i = 0
            while i < inner:
                at, to, last = top * inner + i, i * wide + column, inner - i - 1
                ends = to, wide, fresh, line, pace
                if last + 1 >= WIDE_ROWS and is_wide:
                    wide_tile(a, at, inner, count, last, panels, panel, out, *ends)
                elif last + 1 >= WIDE_ROWS:
                    narrow_tile(a, at, inner, count, last, panels, panel, out, *ends)
                elif is_wide:
                    few_wide_tile(a, at, inner, count, last, panels, panel, out, *ends)
                else:
                    few_narrow_tile(a, at, inner, count, last, panels, panel, out, *ends)
                i += WIDE_ROWS if last + 1 >= WIDE_ROWS else FEW_ROWS
                line += share
                if line >= end:
                    line, end = line - end + rest, 1 << 62
