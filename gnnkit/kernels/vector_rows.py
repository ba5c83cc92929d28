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
    bits = 32 if vector.element == ir.FloatType() else 64
    alignment, mask = ir.Constant(INT32, bits // 8), first_lanes(builder, n, vector)
    address = builder.bitcast(pointer, vector.as_pointer())
    if name == "load":
        result, arguments = vector, [address, alignment, mask, ir.Constant(vector, [0.0] * vector.count)]
    else:
        result, arguments = ir.VoidType(), [*values, address, alignment, mask]
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    full_name = f"llvm.masked.{name}.v{vector.count}f{bits}.p0"
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
    return 4 if vector.element == ir.FloatType() else 8


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


@intrinsic
def gather(typingctx, x, rows, k, column, n):
    """The Vec of ``x[rows[k], column], x[rows[k + 1], column] ...``, n numbers, zero from lane n on."""
    vec = _matrix(x)

    def codegen(context, builder, sig, values):
        matrix, indices = (_pointer(context, builder, kind, value) for kind, value in zip(sig.args[:2], values[:2]))
        read = _gather_at_once if VECTOR_BITS == 512 else _gather_one_by_one
        return read(builder, matrix, indices, values[2:], context.get_value_type(vec))

    return vec(x, rows, types.int64, types.int64, types.int64), codegen


def _gather_one_by_one(builder, matrix, indices, where, vector):
    """Where a gathering instruction is no quicker, or not there: lanes from n on read what lane n - 1 reads."""
    k, column, n = where
    last = builder.sub(n, simd._int(1))
    result = ir.Constant(vector, [0.0] * vector.count)
    for lane_ in range(vector.count):
        at = builder.select(builder.icmp_signed("<", last, simd._int(lane_)), last, simd._int(lane_))
        row = simd._load_index(builder, indices.data, builder.add(k, at))
        number_ = builder.load(_row(builder, matrix, row, column))
        result = builder.insert_element(result, number_, ir.Constant(INT32, lane_))
    return builder.select(first_lanes(builder, n, vector), result, ir.Constant(vector, [0.0] * vector.count))


def _gather_at_once(builder, matrix, indices, where, vector):
    k, column, n = where
    lanes_, mask = vector.count, first_lanes(builder, n, vector)
    places = ir.VectorType(simd.INT64, lanes_)
    kind = ir.VectorType(indices.data.type.pointee, lanes_)
    pointer = builder.bitcast(builder.gep(indices.data, [k]), kind.as_pointer())
    bits = indices.data.type.pointee.width
    read = ir.FunctionType(kind, [pointer.type, INT32, mask.type, kind])
    load_ = cgutils.get_or_insert_function(builder.module, read, f"llvm.masked.load.v{lanes_}i{bits}.p0")
    rows = builder.call(load_, [pointer, ir.Constant(INT32, bits // 8), mask, ir.Constant(kind, [0] * lanes_)])
    rows = rows if bits == 64 else builder.sext(rows, places)
    itemsize = _itemsize(vector)
    stride = builder.mul(cgutils.unpack_tuple(builder, matrix.shape)[1], simd._int(itemsize))
    begin = builder.ptrtoint(_row(builder, matrix, simd._int(0), column), simd.INT64)
    addresses = builder.add(builder.mul(rows, _splat(builder, stride, lanes_)), _splat(builder, begin, lanes_))
    pointers = builder.inttoptr(addresses, ir.VectorType(matrix.data.type, lanes_))
    read = ir.FunctionType(vector, [pointers.type, INT32, mask.type, vector])
    name = f"llvm.masked.gather.v{lanes_}f{8 * itemsize}.v{lanes_}p0"
    gather_ = cgutils.get_or_insert_function(builder.module, read, name)
    nothing = ir.Constant(vector, [0.0] * lanes_)
    return builder.call(gather_, [pointers, ir.Constant(INT32, itemsize), mask, nothing])


# --- several vectors as one: sums of many columns stay in registers while the edges pass by


def _vectors_of(x, wide):
    """The Vec of the rows of ``x``, and how many of them the Vec ``wide`` holds."""
    vec = _matrix(x)
    if not isinstance(wide, Vec) or wide.dtype != vec.dtype or wide.lanes % vec.lanes:
        _refuse(f"Several vectors of {x}: it takes a Vec of so many times {vec.lanes} lanes; got {wide}.")
    return vec, wide.lanes // vec.lanes


def _joined(builder, vectors):
    """Vectors of one kind side by side; their number is a power of two."""
    while len(vectors) > 1:
        count = vectors[0].type.count
        order = ir.Constant(ir.VectorType(INT32, 2 * count), list(range(2 * count)))
        vectors = [builder.shuffle_vector(a, b, order) for a, b in zip(vectors[::2], vectors[1::2])]
    return vectors[0]


def _columns(builder, values, count):
    """Pointers to ``count`` vectors: values are the pointer to the first, and how many numbers lie between them."""
    return [builder.gep(values[0], [builder.mul(simd._int(k), values[1])]) for k in range(count)]


@intrinsic(prefer_literal=True)
def several(typingctx, x, count):
    """A Vec of zeros with ``count`` (a constant: 2, 4, 8 ...) times the lanes of those of the matrix ``x``."""
    vec = _matrix(x)
    if not isinstance(count, types.IntegerLiteral) or count.literal_value not in (2, 4, 8, 16):
        _refuse(f"The number of vectors is 2, 4, 8 or 16, written out; got {count}.")
    wide = Vec(vec.dtype, count.literal_value * vec.lanes)

    def codegen(context, builder, sig, values):
        return ir.Constant(context.get_value_type(wide), [0.0] * wide.lanes)

    return wide(x, count), codegen


@intrinsic
def load_several(typingctx, x, row, column, step, wide):
    """Vectors as one Vec like ``wide``: the k-th is ``x[row, column + k * step:][:lanes]``, all of which must exist."""
    vec, count = _vectors_of(x, wide)

    def codegen(context, builder, sig, values):
        pointers = _columns(builder, (_address(context, builder, sig, values), values[3]), count)
        places = [builder.bitcast(pointer, context.get_value_type(vec).as_pointer()) for pointer in pointers]
        return _joined(builder, [builder.load(place, align=vec.dtype.bitwidth // 8) for place in places])

    return wide(x, types.int64, types.int64, types.int64, wide), codegen


@intrinsic
def splat_several(typingctx, x, row, column, step, wide):
    """A Vec like ``wide`` whose k-th vector has ``x[row, column + k * step]`` in every lane."""
    vec, count = _vectors_of(x, wide)

    def codegen(context, builder, sig, values):
        pointers = _columns(builder, (_address(context, builder, sig, values), values[3]), count)
        return _joined(builder, [_splat(builder, builder.load(p), vec.lanes) for p in pointers])

    return wide(x, types.int64, types.int64, types.int64, wide), codegen


@intrinsic
def stream_several(typingctx, out, row, column, step, value, past_caches):
    """:func:`stream` the vectors of ``value``: the k-th to ``out[row, column + k * step:][:lanes]``."""
    vec, count = _vectors_of(out, value)
    _matrix(out, written=True)

    def codegen(context, builder, sig, values):
        pointers = _columns(builder, (_address(context, builder, sig, values), values[3]), count)
        for k, pointer in enumerate(pointers):
            order = ir.Constant(ir.VectorType(INT32, vec.lanes), list(range(k * vec.lanes, (k + 1) * vec.lanes)))
            part = builder.shuffle_vector(values[4], values[4], order)
            _stream(builder, pointer, simd._int(vec.lanes), part, values[5])
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, types.int64, value, types.boolean), codegen


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
