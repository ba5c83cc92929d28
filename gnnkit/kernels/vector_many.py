"""Many numbers at once: gathered from many rows, or several vectors of a row as one Vec. Imports vector_rows.

Sums of many columns stay in registers while the edges pass by: a Vec of eight vectors is eight registers. Use all of
this through :mod:`gnnkit.kernels.vectors`.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gnnkit.kernels import simd
from gnnkit.kernels.simd import INT32, _pointer, _row, _splat
from gnnkit.kernels.vector_math import first_lanes
from gnnkit.kernels.vector_rows import VECTOR_BITS, Vec, _address, _itemsize, _masked, _matrix, _refuse, _stream

# --- from many rows


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
    rows = _masked(builder, "load", builder.gep(indices.data, [k]), n, kind)
    rows = rows if kind == places else builder.sext(rows, places)
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


# --- several vectors as one


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
    """A Vec of zeros with ``count`` (a constant: 2, 4 or 8) times the lanes of those of the matrix ``x``."""
    vec = _matrix(x)
    if not isinstance(count, types.IntegerLiteral) or count.literal_value not in (2, 4, 8):
        _refuse(f"The number of vectors is 2, 4 or 8, written out; got {count}.")
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


@intrinsic
def put_totals(typingctx, out, row, column, value):
    """``out[row, column + k]`` = the sum of the k-th vector of ``value``, with the bits that :func:`total` gives it.

    Vectors are folded in halves two by two, so that what is left of both fills a vector: fewer instructions.
    """
    vec, count = _vectors_of(out, value)
    _matrix(out, written=True)

    def codegen(context, builder, sig, values):
        lanes_ = vec.lanes
        parts = [_picked(builder, values[3], range(k * lanes_, (k + 1) * lanes_)) for k in range(count)]
        width = lanes_  # so many numbers, side by side, are left of every vector
        while width > 1:
            half = width // 2
            if len(parts) > 1:
                parts = [_joined(builder, [a, b]) for a, b in zip(parts[::2], parts[1::2])]
            starts = range(0, parts[0].type.count, width)
            low, high = (
                [_picked(builder, part, [s + first + i for s in starts for i in range(half)]) for part in parts]
                for first in (0, half)
            )
            parts = [builder.fadd(a, b) for a, b in zip(low, high)]
            width = half
        pointer = _address(context, builder, sig, values)
        simd._store_vector(builder, _joined(builder, parts), pointer, simd._int(0), vec.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, value), codegen


def _picked(builder, vector, lanes_):
    """These lanes of a vector."""
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(INT32, len(lanes_)), list(lanes_)))
