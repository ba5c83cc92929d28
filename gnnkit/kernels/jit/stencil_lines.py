"""LLVM intrinsics for lines of slots: pixels beside each other are read as one vector. Imports simd and the tiles.

Which lanes of the vector are pixels that exist is told by a mask; memory of other lanes is not touched.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gnnkit.kernels.jit import stencil_tiles as tiles
from gnnkit.kernels.simd import INT32, _int


def _lanes_between(builder, begin, end, vector):
    """A mask of the lanes begin <= k < end, from its bits: that is quicker than comparing numbers of lanes."""
    count = vector.count
    below = []
    for k in (begin, end):
        k = builder.select(builder.icmp_signed("<", k, _int(0)), _int(0), k)
        k = builder.select(builder.icmp_signed(">", k, _int(count)), _int(count), k)
        below.append(builder.sub(builder.shl(_int(1), k), _int(1)))
    bits = builder.and_(below[1], builder.not_(below[0]))
    return builder.bitcast(builder.trunc(bits, ir.IntType(count)), ir.VectorType(ir.IntType(1), count))


def _read_lanes(builder, source, mask, vector):
    """The numbers of a vector at the address ``source``; 0 for lanes outside ``mask``, whose memory is not touched."""
    itemsize = 4 if vector.element == ir.FloatType() else 8
    pointer = builder.inttoptr(source, vector.as_pointer())
    signature = ir.FunctionType(vector, [pointer.type, INT32, mask.type, vector])
    name = f"llvm.masked.load.v{vector.count}f{8 * itemsize}.p0"
    load = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(load, [pointer, ir.Constant(INT32, itemsize), mask, ir.Constant(vector, [0.0] * vector.count)])


@intrinsic
def copy_line(typingctx, source, step, begin, end, width, rows, out, position, stride):
    """out[position + j * stride + k] = number k at the address source + j * step, for 0 <= j < rows, 0 <= k < width.

    Numbers outside begin <= k < end are 0. So are those that follow up to the end of a vector, of a half or a quarter
    of one if ``width`` is that small: short stores cross fewer cache lines.
    """
    index = types.int64

    def codegen(context, builder, sig, values):
        source_, step_, begin_, end_, width_, rows_, _, position_, stride_ = values
        whole, lanes, itemsize = tiles._vector_type(context, out.dtype)
        data = tiles._array(context, builder, sig, values, 6)
        done = builder.append_basic_block("copied")
        for part in (lanes // 4, lanes // 2, lanes):
            vector = ir.VectorType(whole.element, part)
            fits, wider = builder.append_basic_block(f"by_{part}"), done
            if part == lanes:
                builder.branch(fits)
            else:
                wider = builder.append_basic_block(f"beyond_{part}")
                builder.cbranch(builder.icmp_signed("<=", width_, _int(part)), fits, wider)
            builder.position_at_end(fits)
            vectors = builder.sdiv(builder.add(width_, _int(part - 1)), _int(part))
            with tiles._loop(builder, _int(0), vectors, []) as (v, _):
                at = builder.mul(v, _int(part))
                mask = _lanes_between(builder, builder.sub(begin_, at), builder.sub(end_, at), vector)
                from_ = builder.add(source_, builder.mul(at, _int(itemsize)))
                to = builder.gep(data, [builder.add(position_, at)])
                with tiles._loop(builder, _int(0), rows_, []) as (j, _):
                    value = _read_lanes(builder, builder.add(from_, builder.mul(j, step_)), mask, vector)
                    there = tiles._vector_at(builder, builder.gep(to, [builder.mul(j, stride_)]), vector)
                    builder.store(value, there, align=itemsize)
            builder.branch(done)
            builder.position_at_end(wider)
        return context.get_dummy_value()

    arguments = (index, index, index, index, index, index, out, index, index)
    return types.void(*arguments), codegen
