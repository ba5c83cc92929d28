"""Vectors of float64 made from rows of float32 or float64, for sums in more digits than their terms have.

What :mod:`gnnkit.kernels.vectors` is to generated kernels, this is to the exact sums: reads widen, writes narrow,
products are rounded (never fused with an addition), magnitudes compare as integers, so that NaN counts as larger than
infinity. Use it in jitted functions, with Vecs of the dtype float64. Imports vector_rows.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gnnkit.kernels.simd import INT64, _splat
from gnnkit.kernels.vector_math import Lanes
from gnnkit.kernels.vector_rows import VECTOR_BITS, Mask, Vec, _address, _matrix, _read, _refuse, _write

WIDE = Vec(types.float64, VECTOR_BITS // 64)
MAGNITUDE, EXPONENT = 0x7FFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000


def _need_wide(*kinds):
    if any(kind != WIDE for kind in kinds):
        _refuse(f"Wide vectors are {WIDE}; got {', '.join(map(str, kinds))}.")


@intrinsic
def load(typingctx, x, row, column, n):
    """``x[row, column:column + n]`` as float64, zero from lane n on; n is at most the lanes of a wide vector."""
    _matrix(x)

    def codegen(context, builder, sig, values):
        pointer = _address(context, builder, sig, values)
        narrow = _read(builder, pointer, values[3], ir.VectorType(pointer.type.pointee, WIDE.lanes))
        wide = context.get_value_type(WIDE)
        return narrow if narrow.type == wide else builder.fpext(narrow, wide)

    return WIDE(x, types.int64, types.int64, types.int64), codegen


@intrinsic
def splat(typingctx, x, row, column):
    """``x[row, column]`` as float64 in every lane."""
    _matrix(x)

    def codegen(context, builder, sig, values):
        number = builder.load(_address(context, builder, sig, values))
        number = number if number.type == ir.DoubleType() else builder.fpext(number, ir.DoubleType())
        return _splat(builder, number, WIDE.lanes)

    return WIDE(x, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, out, row, column, n, value):
    """``out[row, column:column + n]`` = the first n lanes of value, rounded to the dtype of ``out``."""
    _matrix(out, written=True)
    _need_wide(value)

    def codegen(context, builder, sig, values):
        pointer = _address(context, builder, sig, values)
        kind = ir.VectorType(pointer.type.pointee, WIDE.lanes)
        narrow = values[4] if values[4].type == kind else builder.fptrunc(values[4], kind)
        _write(builder, pointer, values[3], narrow)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, types.int64, value), codegen


@intrinsic
def product(typingctx, a, b):
    """``a * b``, rounded: no later addition sees more of it."""
    _need_wide(a, b)

    def codegen(context, builder, sig, values):
        return builder.fmul(*values)

    return WIDE(a, b), codegen


@intrinsic
def larger_magnitude(typingctx, top, value):
    """The larger of ``top`` (not negative) and ``abs(value)``, NaN being larger than infinity."""
    _need_wide(top, value)

    def codegen(context, builder, sig, values):
        top_, value_ = (Lanes(builder, v).bits() for v in values)
        magnitude = value_ & MAGNITUDE
        above = builder.icmp_signed(">", magnitude.value, top_.value)
        return Lanes(builder, above).select(magnitude, top_).floats(Lanes(builder, values[0])).value

    return WIDE(top, value), codegen


@intrinsic
def power_below(typingctx, top):
    """The largest power of two that is at most ``top``; 0 of 0 and of what is smaller than every normal number."""
    _need_wide(top)

    def codegen(context, builder, sig, values):
        return (Lanes(builder, values[0]).bits() & EXPONENT).floats(Lanes(builder, values[0])).value

    return WIDE(top), codegen


@intrinsic
def every(typingctx, mask):
    """Whether all lanes of a Mask are set."""
    if mask != Mask(WIDE.lanes):
        _refuse(f"every takes a Mask of {WIDE.lanes} lanes; got {mask}.")

    def codegen(context, builder, sig, values):
        bits = builder.bitcast(values[0], ir.IntType(WIDE.lanes))
        return builder.icmp_signed("==", bits, ir.Constant(bits.type, -1))

    return types.boolean(mask), codegen


@intrinsic
def zeros(typingctx):
    """Zero in every lane."""

    def codegen(context, builder, sig, values):
        return ir.Constant(context.get_value_type(WIDE), [0.0] * WIDE.lanes)

    return WIDE(), codegen


@intrinsic
def lanes(typingctx):
    """How many numbers a wide vector holds; a constant."""

    def codegen(context, builder, sig, values):
        return ir.Constant(INT64, WIDE.lanes)

    return types.int64(), codegen
