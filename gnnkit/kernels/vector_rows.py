"""The numba types Vec and Mask, and how a Vec is read from and written to a matrix. Imports simd, vector_math.

Use all of this through :mod:`gnnkit.kernels.vectors`, which says what a Vec is.
"""

from __future__ import annotations

import math
import operator

from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.extending import intrinsic, models, register_model

from gnnkit.kernels import simd, vector_math
from gnnkit.kernels.simd import INT32, _pointer, _row, _splat
from gnnkit.kernels.vector_math import Lanes, first_lanes

VECTOR_BITS = simd.VECTOR_BITS or 128  # LLVM cuts vectors into what the machine has, down to single numbers
BIT = ir.IntType(1)


class Vec(types.Type):
    """The numba type of a vector of ``lanes`` floats."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Vec({dtype}, {lanes})")


class Mask(types.Type):
    """The numba type of a vector of ``lanes`` bits."""

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__(f"Mask({lanes})")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        number = ir.FloatType() if kind.dtype.bitwidth == 32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(number, kind.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(BIT, kind.lanes))


def _refuse(text):
    raise errors.TypingError(text)


def _vec_of(x):
    """The Vec that holds numbers of ``x``, an array or a Vec."""
    if isinstance(x, Vec):
        return x
    if not isinstance(x, types.Array) or x.dtype not in (types.float32, types.float64):
        _refuse(f"Vectors hold numbers of float32 or float64 arrays; got {x}.")
    return Vec(x.dtype, VECTOR_BITS // x.dtype.bitwidth)


def _matrix(x, written=False):
    """The Vec for the rows of ``x``, which must be a C-contiguous matrix."""
    vec = _vec_of(x)
    if not isinstance(x, types.Array) or x.ndim != 2 or x.layout != "C" or (written and not x.mutable):
        _refuse(f"Vectors are read from C-contiguous matrices and written to writeable ones; got {x}.")
    return vec


def _as_vector(context, builder, kind, value, vec):
    """``value`` of numba type ``kind``, a Vec or a number, as a vector of the Vec type ``vec``."""
    if isinstance(kind, Vec):
        return value
    return _splat(builder, context.cast(builder, value, kind, vec.dtype), vec.lanes)


# --- memory


def _address(context, builder, sig, values):
    """Pointer to args[0][args[1], args[2]]."""
    return _row(builder, _pointer(context, builder, sig.args[0], values[0]), values[1], values[2])


def _whole(builder, n, vector):
    return builder.icmp_signed("==", n, ir.Constant(simd.INT64, vector.count))


def _masked(builder, name, pointer, n, vector, *values):
    """Call llvm.masked.load or llvm.masked.store on the first n lanes."""
    kind = "i" if isinstance(vector.element, ir.IntType) else "f"
    alignment, mask = ir.Constant(INT32, _itemsize(vector)), first_lanes(builder, n, vector)
    address = builder.bitcast(pointer, vector.as_pointer())
    if name == "load":
        result, arguments = vector, [address, alignment, mask, ir.Constant(vector, None)]
    else:
        result, arguments = ir.VoidType(), [*values, address, alignment, mask]
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    full_name = f"llvm.masked.{name}.v{vector.count}{kind}{8 * _itemsize(vector)}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), arguments)


def _read(builder, pointer, n, vector):
    """The n numbers at ``pointer``; a plain load where they fill the vector."""
    with builder.if_else(_whole(builder, n, vector), likely=True) as (plain, partial):
        with plain:
            address = builder.bitcast(pointer, vector.as_pointer())
            full = builder.load(address, align=_itemsize(vector))
            from_plain = builder.block
        with partial:
            part = _masked(builder, "load", pointer, n, vector)
            from_partial = builder.block
    value = builder.phi(vector)
    value.add_incoming(full, from_plain)
    value.add_incoming(part, from_partial)
    return value


def _write(builder, pointer, n, value):
    """Store the first n lanes at ``pointer``."""
    with builder.if_else(_whole(builder, n, value.type), likely=True) as (plain, partial):
        with plain:
            builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=_itemsize(value.type))
        with partial:
            _masked(builder, "store", pointer, n, value.type, value)


def _itemsize(vector):
    return 4 if vector.element in (ir.FloatType(), INT32) else 8


@intrinsic
def lanes(typingctx, x):
    """How many numbers of the dtype of ``x`` one vector holds; a constant."""
    count = _vec_of(x).lanes

    def codegen(context, builder, sig, values):
        return ir.Constant(simd.INT64, count)

    return types.int64(x), codegen


@intrinsic
def load(typingctx, x, row, column, n):
    """The Vec ``x[row, column:column + n]``, zero from lane n on."""
    vec = _matrix(x)

    def codegen(context, builder, sig, values):
        pointer = _address(context, builder, sig, values)
        return _read(builder, pointer, values[3], context.get_value_type(vec))

    return vec(x, types.int64, types.int64, types.int64), codegen


def _writer(name, combine, doc):
    """An intrinsic (out, row, column, n, value): ``combine`` gives what to store from what is there and the value."""

    def typing(typingctx, out, row, column, n, value):
        vec = _matrix(out, written=True)
        if not isinstance(value, types.Number) and value != vec:
            _refuse(f"A row of {out} takes a {vec} or a number; got {value}.")

        def codegen(context, builder, sig, values):
            pointer = _address(context, builder, sig, values)
            new = _as_vector(context, builder, sig.args[4], values[4], vec)
            if combine is not None:
                old = _read(builder, pointer, values[3], new.type)
                new = combine(Lanes(builder, old), Lanes(builder, new)).value
            _write(builder, pointer, values[3], new)
            return context.get_dummy_value()

        return types.void(out, types.int64, types.int64, types.int64, types.unliteral(value)), codegen

    return _named(typing, name, doc)


def _named(typing, name, doc):
    typing.__name__, typing.__qualname__, typing.__doc__ = name, name, doc
    return intrinsic(typing)


store = _writer("store", None, "out[row, column:column + n] = the first n lanes of value.")
accumulate = _writer("accumulate", operator.add, "out[row, column:column + n] += the first n lanes of value.")
keep_larger = _writer(
    "keep_larger", vector_math.larger, "Raise out[row, column:column + n] to value where larger; NaN wins."
)


@intrinsic
def put(typingctx, out, row, column, number):
    """``out[row, column] = number``."""
    _matrix(out, written=True)

    def codegen(context, builder, sig, values):
        builder.store(values[3], _address(context, builder, sig, values))
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, out.dtype), codegen


@intrinsic
def splat(typingctx, x, row, column):
    """The Vec with ``x[row, column]`` in every lane."""
    vec = _matrix(x)

    def codegen(context, builder, sig, values):
        return _splat(builder, builder.load(_address(context, builder, sig, values)), vec.lanes)

    return vec(x, types.int64, types.int64), codegen


# --- memory, past the caches


EDGE = max(simd.VECTOR_BITS, 128) // 8  # bytes that a vector stored past the caches is aligned to


def _write_past(builder, pointer, value):
    """Store a whole vector past the caches, at an aligned place."""
    written = builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=EDGE)
    written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(INT32, 1)]))


def _stream(builder, pointer, n, value, past_caches):
    address = builder.ptrtoint(pointer, simd.INT64)
    aligned = builder.icmp_unsigned("==", builder.and_(address, simd._int(EDGE - 1)), simd._int(0))
    past = builder.and_(past_caches, builder.and_(aligned, _whole(builder, n, value.type)))
    with builder.if_else(past) as (around, through):
        with around:
            _write_past(builder, pointer, value)
        with through:
            _write(builder, pointer, n, value)


@intrinsic
def stream(typingctx, out, row, column, n, value, past_caches):
    """Like a store of the first n lanes of ``value``; past the caches if ``past_caches``.

    A store reads its cache lines first, which for whole lines that nobody needs soon is half of the traffic. It goes
    past the caches where the vector is whole and its place aligned. Call :func:`settle` when all is written.
    """
    vec = _matrix(out, written=True)
    if value != vec:
        _refuse(f"A row of {out} takes a {vec}; got {value}.")

    def codegen(context, builder, sig, values):
        _stream(builder, _address(context, builder, sig, values), values[3], values[4], values[5])
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, types.int64, value, types.boolean), codegen


@intrinsic
def settle(typingctx):
    """Wait until all that was streamed is in memory, for the threads that read it."""

    def codegen(context, builder, sig, values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def constant(typingctx, x, number):
    """The Vec of the dtype of ``x`` with ``number`` in every lane."""
    vec = _vec_of(x)

    def codegen(context, builder, sig, values):
        return _splat(builder, values[1], vec.lanes)

    return vec(x, vec.dtype), codegen


@intrinsic
def zeros(typingctx, x):
    """The Vec of the dtype of ``x`` with zero in every lane."""
    vec = _vec_of(x)

    def codegen(context, builder, sig, values):
        return ir.Constant(context.get_value_type(vec), [0.0] * vec.lanes)

    return vec(x), codegen


@intrinsic
def total(typingctx, value, n):
    """Sum of the first n lanes, folded in halves: the order depends on the number of lanes alone."""
    if not isinstance(value, Vec):
        _refuse(f"The sum of lanes needs a Vec; got {value}.")

    def codegen(context, builder, sig, values):
        vector, count = values[0].type, value.lanes
        nothing = ir.Constant(vector, [-0.0] * count)  # the only number that adding never changes
        rest = builder.select(first_lanes(builder, values[1], vector), values[0], nothing)
        while count > 1:
            count //= 2
            halves = [
                builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(INT32, count), list(part)))
                for part in (range(count), range(count, 2 * count))
            ]
            rest = builder.fadd(*halves)
        return builder.extract_element(rest, ir.Constant(INT32, 0))

    return value.dtype(value, types.int64), codegen


@intrinsic
def highest(typingctx, value, n):
    """Largest of the first n lanes; NaN if one of them is."""
    if not isinstance(value, Vec):
        _refuse(f"The largest of lanes needs a Vec; got {value}.")

    def codegen(context, builder, sig, values):
        vector, count = values[0].type, value.lanes
        nothing = ir.Constant(vector, [-math.inf] * count)
        rest = builder.select(first_lanes(builder, values[1], vector), values[0], nothing)
        while count > 1:
            count //= 2
            low, high = (
                Lanes(builder, builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(INT32, count), list(part))))
                for part in (range(count), range(count, 2 * count))
            )
            rest = vector_math.larger(low, high).value
        return builder.extract_element(rest, ir.Constant(INT32, 0))

    return value.dtype(value, types.int64), codegen


@intrinsic
def first(typingctx, value, n):
    """``value`` with zeros in the lanes from n on."""
    if not isinstance(value, Vec):
        _refuse(f"Lanes are kept of a Vec; got {value}.")

    def codegen(context, builder, sig, values):
        nothing = ir.Constant(values[0].type, [0.0] * value.lanes)
        return builder.select(first_lanes(builder, values[1], values[0].type), values[0], nothing)

    return value(value, types.int64), codegen


@intrinsic
def lane(typingctx, value):
    """The number in the first lane."""
    if not isinstance(value, Vec):
        _refuse(f"A lane is taken of a Vec; got {value}.")

    def codegen(context, builder, sig, values):
        return builder.extract_element(values[0], ir.Constant(INT32, 0))

    return value.dtype(value), codegen
