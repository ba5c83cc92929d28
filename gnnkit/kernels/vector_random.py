"""The fair and unfair coins of dropout, a vector of them at a time. Imports simd, vector_math, vector_rows.

Use it through :mod:`gnnkit.kernels.vectors`; the specification is :func:`gnnkit.kernels.twins.elementwise.dropout`.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gnnkit.kernels.simd import INT32, INT64, _splat
from gnnkit.kernels.vector_math import Lanes
from gnnkit.kernels.vector_rows import Mask, _vec_of

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def _signed(number):
    """The signed integer with the bits of ``number``: what an llvmlite constant takes."""
    return number - (1 << 64) if number >> 63 else number


def _shifted(z, places):
    """``z ^ (z >> places)`` of unsigned numbers."""
    return z ^ Lanes(z.builder, z.builder.lshr(z.value, z.constant(places).value))


@intrinsic
def kept(typingctx, x, state, position, threshold):
    """The Mask of what dropout keeps of the numbers ``position ..`` of an array like ``x``; position is even.

    Number p is kept where its half (the low one for even p) of output p // 2 of splitmix64 reaches ``threshold``;
    ``state`` is the generator's before output 0.
    """
    lanes = _vec_of(x).lanes

    def codegen(context, builder, sig, values):
        count, gamma = lanes // 2, ir.Constant(INT64, _signed(GOLDEN_GAMMA))
        outputs = builder.add(builder.lshr(values[2], ir.Constant(INT64, 1)), ir.Constant(INT64, 1))
        start = builder.add(values[1], builder.mul(outputs, gamma))
        steps = [_signed(GOLDEN_GAMMA * k % 2**64) for k in range(count)]
        z = Lanes(builder, _splat(builder, start, count)) + Lanes(
            builder, ir.Constant(ir.VectorType(INT64, count), steps)
        )
        for places, factor in ROUNDS:
            z = _shifted(z, places) * _signed(factor)
        halves = builder.bitcast(_shifted(z, 31).value, ir.VectorType(INT32, lanes))
        return builder.icmp_unsigned(">=", halves, _splat(builder, values[3], lanes))

    return Mask(lanes)(x, types.uint64, types.int64, types.uint32), codegen
