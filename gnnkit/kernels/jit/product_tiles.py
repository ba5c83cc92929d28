"""The LLVM intrinsic of dense products: a tile of results stays in registers. Imports simd and the stencil tiles.

A result is one chain of fused multiply-adds, in the order of the inner axis, in a lane of its own. So its bits depend
on its row and its column alone, whatever tile they fall into: tiles of any sizes may be mixed.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gnnkit.kernels import vector_rows
from gnnkit.kernels.jit.stencil_tiles import WIDE_ROWS as WIDE_ROWS
from gnnkit.kernels.jit.stencil_tiles import _add_multiples, _array, _end_rows, _fetch, _loop, _read_all, _vector_type
from gnnkit.kernels.simd import _int

FEW_ROWS = 4  # rows of the tile for what is left of whole tiles


def product_tile(rows, vectors):
    """The intrinsic that multiplies ``rows`` rows by ``vectors`` vectors of columns.

    tile(x, at, stride, count, last, b, position, step, out, to, out_stride, width, fresh, past, line, line_step): row r
    reads count numbers from x[at + r * stride] on, adds its products with the vectors at b[position + c * step], and
    writes its first ``width`` sums to out[to + r * out_stride], or adds them to what is there unless ``fresh``. x, b
    and out are flat; rows beyond ``last`` are row ``last`` again, which is written several times. ``width`` ends in the
    last vector. Fresh results go past the caches if ``past``: then all vectors are whole and aligned. Meanwhile what
    lies at the addresses ``line`` + c * ``line_step`` is fetched.
    """
    index = types.int64

    @intrinsic
    def tile(
        typingctx,
        x,
        at,
        stride,
        count,
        last,
        b,
        position,
        step,
        out,
        to,
        out_stride,
        width,
        fresh,
        past,
        line,
        line_step,
    ):
        number = x.dtype

        def codegen(context, builder, sig, values):
            _, at_, stride_, count_, last_, _, position_, step_, _, to_, *rest_ = values
            out_stride_, width_, fresh_, past_, fetched, fetched_step = rest_
            vector, lanes, itemsize = _vector_type(context, number)
            source, target = _array(context, builder, sig, values, 0), _array(context, builder, sig, values, 8)
            begin = builder.gep(_array(context, builder, sig, values, 5), [position_])
            pointers, goals = [], []
            for r in range(rows):
                row = builder.select(builder.icmp_signed("<", _int(r), last_), _int(r), last_)
                pointers.append(builder.gep(source, [builder.add(at_, builder.mul(row, stride_))]))
                goals.append(builder.gep(target, [builder.add(to_, builder.mul(row, out_stride_))]))
            sums = [ir.Constant(vector, [0.0] * lanes)] * (rows * vectors)
            with _loop(builder, _int(0), count_, sums) as (c, sums_):
                line = builder.gep(begin, [builder.mul(c, step_)])
                _fetch(builder, builder.add(fetched, builder.mul(c, fetched_step)))
                columns = _read_all(builder, line, vector, vectors, itemsize)
                for r, pointer in enumerate(pointers):
                    _add_multiples(builder, builder.gep(pointer, [c]), columns, sums_, r)
            with builder.if_else(builder.icmp_signed("!=", fresh_, _int(0))) as (new, old):
                with new, builder.if_else(builder.icmp_signed("!=", past_, _int(0))) as (around, through):
                    with around:
                        for k, value in enumerate(sums):
                            goal = builder.gep(goals[k // vectors], [_int(k % vectors * lanes)])
                            vector_rows._write_past(builder, goal, value)
                    with through:
                        _end_rows(builder, sums, goals, width_, vectors)
                with old:
                    rest = builder.sub(width_, _int((vectors - 1) * lanes))
                    # all rows are read before one is written: a row that is there several times is added to once
                    before = []
                    for goal in goals:
                        before += _read_all(builder, goal, vector, vectors - 1, itemsize)
                        end = builder.gep(goal, [_int((vectors - 1) * lanes)])
                        before.append(vector_rows._read(builder, end, rest, vector))
                    added = [builder.fadd(one, other) for one, other in zip(before, sums)]
                    _end_rows(builder, added, goals, width_, vectors)
            return context.get_dummy_value()

        arguments = (x, index, index, index, index, b, index, index, out, *[index] * 7)
        return types.void(*arguments), codegen

    return tile
