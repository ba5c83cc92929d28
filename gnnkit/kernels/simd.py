"""LLVM vector intrinsics for the kernels that LLVM does not vectorise well itself. May import numba; nothing of gnnkit.

Reason: in ``out[i, f] += w * x[j, f]`` LLVM must assume that ``out`` may overlap ``x`` and does not know how many
features there are, so it stores and reloads the sum of every feature at every edge. :func:`row_sum` keeps the sums of
a whole row in vector registers instead: about half the time of the plain loop. :func:`dot` is a reduction, which
LLVM may not reorder without fastmath.

A vector lane is one feature, and a feature is summed in the order of its row, so every vector width (and the plain
loop) gives the same sums. A width that is no multiple of the vector is covered by one more vector that overlaps
the last but one; both write the same numbers there. Widths below one vector use halves, quarters, ... of it.
"""

from __future__ import annotations

import os
import platform

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

INT64, INT32 = ir.IntType(64), ir.IntType(32)
CACHE_LINE = 64
# multiply and add may fuse (the result is only more exact); nothing is said about NaN, infinity or order
FUSE = ("contract",)


def _vector_bits() -> int:
    """Width of this machine's vector registers; GNNKIT_SIMD=0|128|256|512 overrides it (0: plain loops)."""
    wanted = os.environ.get("GNNKIT_SIMD", "")
    if wanted in ("0", "128", "256", "512"):
        return int(wanted)
    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # llvmlite cannot tell; 128 bits exist on every 64-bit processor
        return 128
    if features.get("avx512f"):
        return 512
    return 256 if features.get("avx2") else 128


VECTOR_BITS = _vector_bits()
# How many vectors of sums stay in registers: AVX-512 and ARM have 32 of them, AVX2 and SSE 16, and the features and
# weights being added need a few.
MAX_TILES = 16 if VECTOR_BITS == 512 or platform.machine().lower() in ("arm64", "aarch64") else 12


def lanes_of(itemsize):
    """Numbers of ``itemsize`` bytes in one vector."""
    return VECTOR_BITS // (8 * itemsize)


def block_width(width, itemsize):
    """Columns that one call of row_sum takes: ``width`` cut evenly into as few blocks as fit the registers."""
    lanes = lanes_of(itemsize)
    num_blocks = max(1, -(-width // (MAX_TILES * lanes)))
    vectors = -(-width // lanes)
    return -(-vectors // num_blocks) * lanes


def _int(value):
    return ir.Constant(INT64, value)


def _pointer(context, builder, array_type, array):
    return context.make_array(array_type)(context, builder, array)


def _row(builder, array, row, column):
    """Pointer to array[row, column] of a C-contiguous matrix."""
    stride = cgutils.unpack_tuple(builder, array.shape)[1]
    return builder.gep(array.data, [builder.add(builder.mul(row, stride), column)])


def _load_vector(builder, pointer, offset, lanes, itemsize):
    vector = ir.VectorType(pointer.type.pointee, lanes)
    address = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
    return builder.load(address, align=itemsize)  # rows start anywhere: aligned to the number, not to the vector


def _store_vector(builder, value, pointer, offset, itemsize):
    address = builder.bitcast(builder.gep(pointer, [offset]), value.type.as_pointer())
    builder.store(value, address, align=itemsize)


def _load_index(builder, pointer, position):
    index = builder.load(builder.gep(pointer, [position]))
    return index if index.type == INT64 else builder.sext(index, INT64)


def _splat(builder, scalar, lanes):
    empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    single = builder.insert_element(empty, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(single, empty, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


def _loop_branch(builder, condition, body, after):
    """Branch back to ``body`` while the condition holds, and keep LLVM from unrolling: the sums need its registers."""
    branch = builder.cbranch(condition, body, after)
    module = builder.module
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    # a loop's node names itself first; its position tells it from the nodes of other loops while it is made
    node = module.add_metadata([disable, _int(len(module.metadata))])
    node.operands = (node, disable)
    branch.set_metadata("llvm.loop", node)


def _multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, flags=FUSE), c, flags=FUSE)


def _prefetch(builder, pointer, count, itemsize, level=1):
    """Ask for ``count`` numbers at ``pointer`` to come into the cache of this level."""
    byte_pointer = ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [byte_pointer, INT32, INT32, INT32])
    prefetch = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    read, locality, data = (ir.Constant(INT32, number) for number in (0, 4 - level, 1))
    for offset in range(0, count, CACHE_LINE // itemsize):
        address = builder.bitcast(builder.gep(pointer, [_int(offset)]), byte_pointer)
        builder.call(prefetch, [address, read, locality, data])


@intrinsic
def row_sum(typingctx, out, row, x, column, width, indices, begin, end, weights, head, weight_step, ahead):
    """``out[row, column:column + width] = sum of weights[k * weight_step, head] * x[indices[k], column:...]``.

    Over edges begin <= k < end, in that order; weight_step 0 repeats the first weight. ``width`` is at most
    MAX_TILES vectors. ``ahead`` > 0 fetches the features of the edge that many positions further into the cache.
    """
    index = types.int64
    arguments = (out, index, x, index, index, indices, index, index, weights, index, index, index)

    def codegen(context, builder, signature, values):
        types_ = signature.args
        out_, row_, x_, column_, width_, indices_, begin_, end_, weights_, head_, weight_step_, ahead_ = values
        matrix = _pointer(context, builder, types_[2], x_)
        senders = _pointer(context, builder, types_[5], indices_)
        target = _row(builder, _pointer(context, builder, types_[0], out_), row_, column_)
        weight_matrix = _pointer(context, builder, types_[8], weights_)
        heads = cgutils.unpack_tuple(builder, weight_matrix.shape)[1]
        edges = {
            "begin": begin_, "end": end_, "ahead": ahead_, "senders": senders.data,
            "last": builder.sub(cgutils.unpack_tuple(builder, senders.shape)[0], _int(1)),
            "x": builder.gep(matrix.data, [column_]), "stride": cgutils.unpack_tuple(builder, matrix.shape)[1],
            "weights": builder.gep(weight_matrix.data, [head_]), "step": builder.mul(weight_step_, heads),
        }  # fmt: skip
        itemsize = types_[2].dtype.bitwidth // 8
        lanes = lanes_of(itemsize)

        # one straight loop per number of vectors; which one is a jump on the width
        done = builder.append_basic_block("rows_done")
        vectors = builder.udiv(builder.add(width_, _int(lanes - 1)), _int(lanes))
        narrow = builder.icmp_signed("<", width_, _int(lanes))
        # widths below one vector are the cases MAX_TILES + width
        case = builder.select(narrow, builder.add(width_, _int(MAX_TILES)), vectors)
        jump = builder.switch(case, done)
        loops = {(lanes, tiles): [tiles] for tiles in range(1, MAX_TILES + 1)}
        for few in range(1, lanes):
            part = 1 << (few.bit_length() - 1)  # the largest power of two that fits
            loops.setdefault((part, 1 if part == few else 2), []).append(MAX_TILES + few)
        for (part, tiles), cases in loops.items():
            block = builder.append_basic_block(f"sum_{tiles}_of_{part}")
            for value in cases:
                jump.add_case(_int(value), block)
            builder.position_at_end(block)
            _tile_loop(builder, edges, target, width_, part, tiles, itemsize)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


def _tile_loop(builder, edges, target, width, lanes, tiles, itemsize):
    """Emit the loop over the edges of one row for ``tiles`` vectors of ``lanes`` columns, the last ending at width."""
    offsets = [_int(t * lanes) for t in range(tiles - 1)] + [builder.sub(width, _int(lanes))]
    zero = ir.Constant(ir.VectorType(edges["x"].type.pointee, lanes), [0.0] * lanes)
    before = builder.block
    body, after = (builder.append_basic_block(f"{name}_{tiles}_of_{lanes}") for name in ("edge", "row_end"))
    builder.cbranch(builder.icmp_signed("<", edges["begin"], edges["end"]), body, after)

    builder.position_at_end(body)
    k = builder.phi(INT64)
    sums = [builder.phi(zero.type) for _ in range(tiles)]
    # the features of an edge further on, across row ends too; less than a cache line is not worth the instructions
    if tiles * lanes * itemsize >= CACHE_LINE:
        with builder.if_then(builder.icmp_signed(">", edges["ahead"], _int(0))):
            next_k = builder.add(k, edges["ahead"])
            next_k = builder.select(builder.icmp_signed("<", next_k, edges["last"]), next_k, edges["last"])
            far = builder.mul(_load_index(builder, edges["senders"], next_k), edges["stride"])
            _prefetch(builder, builder.gep(edges["x"], [far]), tiles * lanes, itemsize)
    sender = _load_index(builder, edges["senders"], k)
    source = builder.gep(edges["x"], [builder.mul(sender, edges["stride"])])
    weight = builder.load(builder.gep(edges["weights"], [builder.mul(k, edges["step"])]))
    weight = _splat(builder, weight, lanes)
    added = [
        _multiply_add(builder, weight, _load_vector(builder, source, offset, lanes, itemsize), total)
        for offset, total in zip(offsets, sums)
    ]
    next_edge = builder.add(k, _int(1))
    last = builder.block
    _loop_branch(builder, builder.icmp_signed("<", next_edge, edges["end"]), body, after)
    k.add_incoming(edges["begin"], before)
    k.add_incoming(next_edge, last)

    builder.position_at_end(after)
    results = [builder.phi(zero.type) for _ in range(tiles)]
    for total, result, value in zip(sums, results, added):
        for phi, block in ((total, last), (result, last)):
            phi.add_incoming(zero, before)
            phi.add_incoming(value, block)
    for offset, result in zip(offsets, results):
        _store_vector(builder, result, target, offset, itemsize)


@intrinsic
def dot(typingctx, a, a_row, b, b_row, column, width):
    """Dot product of ``a[a_row, column:column + width]`` and ``b[b_row, column:column + width]``.

    Whole vectors first, then their lanes are folded in halves; what is left of the width joins at the first fold
    that it fills. The order depends on the width alone.
    """
    index = types.int64

    def codegen(context, builder, signature, values):
        a_, a_row_, b_, b_row_, column_, width_ = values
        left = _row(builder, _pointer(context, builder, signature.args[0], a_), a_row_, column_)
        right = _row(builder, _pointer(context, builder, signature.args[2], b_), b_row_, column_)
        itemsize = a.dtype.bitwidth // 8
        lanes = lanes_of(itemsize)

        def product(offset, count, total):
            x = _load_vector(builder, left, offset, count, itemsize)
            return _multiply_add(builder, x, _load_vector(builder, right, offset, count, itemsize), total)

        number = left.type.pointee
        zero = ir.Constant(ir.VectorType(number, lanes), [0.0] * lanes)
        # two sums, so that one multiply-add need not wait for the one before
        pairs = builder.and_(width_, _int(-2 * lanes))
        before = builder.block
        body, after = builder.append_basic_block("dot_body"), builder.append_basic_block("dot_end")
        builder.cbranch(builder.icmp_signed("<", _int(0), pairs), body, after)
        builder.position_at_end(body)
        c, first, second = builder.phi(INT64), builder.phi(zero.type), builder.phi(zero.type)
        new_first = product(c, lanes, first)
        new_second = product(builder.add(c, _int(lanes)), lanes, second)
        next_c = builder.add(c, _int(2 * lanes))
        builder.cbranch(builder.icmp_signed("<", next_c, pairs), body, after)
        builder.position_at_end(after)
        totals = [builder.phi(zero.type), builder.phi(zero.type)]
        for phi, start, value in [(c, _int(0), next_c), (first, zero, new_first), (second, zero, new_second)]:
            phi.add_incoming(start, before)
            phi.add_incoming(value, body)
        for phi, value in zip(totals, (new_first, new_second)):
            phi.add_incoming(zero, before)
            phi.add_incoming(value, body)

        total, position, size = builder.fadd(*totals), pairs, lanes
        while True:
            # add `size` more numbers if the width still holds that many, then fold the lanes in halves
            has_more = builder.icmp_signed("!=", builder.and_(width_, _int(size)), _int(0))
            start = builder.block
            with builder.if_then(has_more):
                more = product(position, size, total)
                inside = builder.block
            joined = builder.phi(total.type)
            joined.add_incoming(total, start)
            joined.add_incoming(more, inside)
            position = builder.add(position, builder.and_(width_, _int(size)))
            total = joined
            if size == 1:
                break
            size //= 2
            undefined = ir.Constant(total.type, ir.Undefined)
            halves = [
                builder.shuffle_vector(total, undefined, ir.Constant(ir.VectorType(INT32, size), list(lanes_)))
                for lanes_ in (range(size), range(size, 2 * size))
            ]
            total = builder.fadd(*halves)
        return builder.extract_element(total, ir.Constant(INT32, 0))

    return a.dtype(a, index, b, index, index, index), codegen


@intrinsic
def position(typingctx, indices, k):
    """``indices[k]`` as int64, for k that is known not to be negative: numba would test for that at every edge."""

    def codegen(context, builder, signature, values):
        array = _pointer(context, builder, signature.args[0], values[0])
        return _load_index(builder, array.data, values[1])

    return types.int64(indices, types.int64), codegen


@intrinsic
def prefetch_line(typingctx, x, row, column):
    """Fetch the cache line of ``x[row, column]`` towards the processor."""

    def codegen(context, builder, signature, values):
        matrix = _pointer(context, builder, signature.args[0], values[0])
        _prefetch(builder, _row(builder, matrix, values[1], values[2]), 1, x.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(x, types.int64, types.int64), codegen


@intrinsic
def prefetch_row(typingctx, x, row):
    """Fetch the cache lines of ``x[row]`` towards the processor."""

    def codegen(context, builder, signature, values):
        matrix = _pointer(context, builder, signature.args[0], values[0])
        begin, end = (
            builder.ptrtoint(_row(builder, matrix, at, _int(0)), INT64)
            for at in (values[1], builder.add(values[1], _int(1)))
        )
        bytes_ = ir.IntType(8).as_pointer()
        _prefetch(builder, builder.inttoptr(begin, bytes_), 1, 1)  # most rows have one line, or whole ones
        second = builder.add(builder.and_(begin, _int(-CACHE_LINE)), _int(CACHE_LINE))
        with cgutils.for_range_slice(builder, second, end, _int(CACHE_LINE)) as (address, _):
            _prefetch(builder, builder.inttoptr(address, bytes_), 1, 1)
        return context.get_dummy_value()

    return types.void(x, types.int64), codegen
