"""LLVM intrinsics for convolutions: a tile of sums stays in registers. Imports simd and vector_rows.

A processor multiplies and adds far faster than it loads and stores. So a tile of rows times vectors of sums is kept
in registers while everything that is added to it goes past: for each number of a sender and each vector of weights
that is loaded, a whole row or column of the tile is updated.

Which numbers go past is told by tables of addresses, made beforehand (see jit/stencil_addresses.py): of the features
that a slot of the stencil reads at each row, and of the row of the result. So a tile knows nothing of images, borders
or strides; rows of a tile may lie anywhere.
"""

from __future__ import annotations

import contextlib

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gnnkit.kernels import simd, vector_rows
from gnnkit.kernels.simd import INT64, _int, _multiply_add, _pointer, _splat

# 32 vector registers hold 24 sums, two vectors of weights and what is broadcast; 16 registers hold half of that.
MANY_REGISTERS = simd.MAX_TILES == 16
ROWS = 12  # rows of a tile of sums are a multiple or a divisor of this
WIDE_ROWS = 12 if MANY_REGISTERS else 6  # rows of a tile of two vectors
# rows of a tile of one vector of channels with weights of their own, and lengths of runs of slots: a run of 7 keeps its
# 7 weights in registers too. 14 divides the usual sides of images, and a run cannot cross the end of a line.
RUN_ROWS = 7
RUNS = (3, 5, 7)
# channels of a tile of outer products; the smaller one wastes less on the usual powers of two
FEW_CHANNELS, MANY_CHANNELS = (8, 12) if MANY_REGISTERS else (4, 6)


def _array(context, builder, sig, values, k):
    return _pointer(context, builder, sig.args[k], values[k]).data


def _row_length(context, builder, sig, values, k):
    """Length of the rows of a matrix."""
    return cgutils.unpack_tuple(builder, _pointer(context, builder, sig.args[k], values[k]).shape)[1]


def _vector_at(builder, pointer, vector):
    return builder.bitcast(pointer, vector.as_pointer())


@contextlib.contextmanager
def _loop(builder, begin, end, sums):
    """``for k in range(begin, end)`` with ``sums``, a list of vectors, carried around.

    Yields (k, sums inside); assign the new sums to the slice. Afterwards ``sums`` holds the results.
    """
    before = builder.block
    body, after = builder.append_basic_block("round"), builder.append_basic_block("rounds_done")
    builder.cbranch(builder.icmp_signed("<", begin, end), body, after)
    builder.position_at_end(body)
    k = builder.phi(INT64)
    inside = [builder.phi(value.type) for value in sums]
    carried = list(inside)
    yield k, carried
    following = builder.add(k, _int(1))
    last = builder.block
    simd._loop_branch(builder, builder.icmp_signed("<", following, end), body, after)
    for phi, first, value in zip([k, *inside], [begin, *sums], [following, *carried]):
        phi.add_incoming(first, before)
        phi.add_incoming(value, last)
    builder.position_at_end(after)
    for p, value in enumerate(carried):
        result = builder.phi(value.type)
        result.add_incoming(sums[p], before)
        result.add_incoming(value, last)
        sums[p] = result


@intrinsic
def address(typingctx, array):
    """Where the numbers of ``array`` begin in memory. The array must outlive every use of the address."""

    def codegen(context, builder, sig, values):
        return builder.ptrtoint(_array(context, builder, sig, values, 0), INT64)

    return types.int64(array), codegen


def _fetch(builder, there):
    """Ask for the cache line at address ``there`` to come into the second-level cache."""
    simd._prefetch(builder, builder.inttoptr(there, ir.IntType(8).as_pointer()), 1, 1, level=2)


@intrinsic
def fetch(typingctx, there):
    """Ask for the cache line at this address to come into the second-level cache."""

    def codegen(context, builder, sig, values):
        _fetch(builder, values[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _begin(builder, fresh, vector, count, read, read_new=None):
    """The sums of a tile before anything is added: zeros, or ``read_new()``, if ``fresh`` is not 0, else ``read()``."""
    with builder.if_else(builder.icmp_signed("!=", fresh, _int(0))) as (new, old):
        with new:
            begun = read_new() if read_new else [ir.Constant(vector, [0.0] * vector.count)] * count
            from_new = builder.block
        with old:
            values = read()
            from_old = builder.block
    sums = [builder.phi(vector) for _ in range(count)]
    for phi, value, first in zip(sums, values, begun):
        phi.add_incoming(first, from_new)
        phi.add_incoming(value, from_old)
    return sums


def _begin_rows(builder, fresh, goals, width, vector, vectors, starts):
    """The sums of a tile that writes to ``goals``, ``width`` numbers to each; all rows begin with ``starts`` if fresh.

    That is read in whole vectors.
    """
    lanes, itemsize = vector.count, 4 if vector.element == ir.FloatType() else 8
    rest = builder.sub(width, _int((vectors - 1) * lanes))

    def read():
        found = []
        for goal in goals:
            found += _read_all(builder, goal, vector, vectors - 1, itemsize)
            found.append(vector_rows._read(builder, builder.gep(goal, [_int((vectors - 1) * lanes)]), rest, vector))
        return found

    def read_new():
        return _read_all(builder, starts, vector, vectors, itemsize) * len(goals)

    return _begin(builder, fresh, vector, len(goals) * vectors, read, read_new)


def _moved(builder, pointer, offset):
    """``pointer``, ``offset`` bytes further."""
    return builder.inttoptr(builder.add(builder.ptrtoint(pointer, INT64), offset), pointer.type)


def _end_rows(builder, sums, goals, width, vectors):
    """Write the sums of a tile to ``goals``."""
    vector = sums[0].type
    lanes, itemsize = vector.count, 4 if vector.element == ir.FloatType() else 8
    rest = builder.sub(width, _int((vectors - 1) * lanes))
    for r, goal in enumerate(goals):
        for v in range(vectors):
            there = builder.gep(goal, [_int(v * lanes)])
            if v == vectors - 1:
                vector_rows._write(builder, there, rest, sums[r * vectors + v])
            else:
                builder.store(sums[r * vectors + v], _vector_at(builder, there, vector), align=itemsize)


def _pointers(builder, table, position, step, count, offset, number):
    """Pointers to ``number``, from ``count`` addresses of ``table``, ``step`` apart, moved by ``offset`` bytes."""
    pointers = []
    for r in range(count):
        place = builder.add(position, builder.mul(_int(r), step))
        there = builder.add(builder.load(builder.gep(table, [place])), offset)
        pointers.append(builder.inttoptr(there, number.as_pointer()))
    return pointers


def _vector_type(context, number):
    lanes = vector_rows.VECTOR_BITS // number.bitwidth
    return ir.VectorType(context.get_value_type(number), lanes), lanes, number.bitwidth // 8


def _read_all(builder, pointer, vector, vectors, itemsize):
    ahead = [builder.gep(pointer, [_int(v * vector.count)]) for v in range(vectors)]
    return [builder.load(_vector_at(builder, p, vector), align=itemsize) for p in ahead]


def _add_multiples(builder, pointer, vectors, sums, row):
    """Add the number at ``pointer`` times each of ``vectors`` to the sums of a row of a tile."""
    many = _splat(builder, builder.load(pointer), vectors[0].type.count)
    for k, value in enumerate(vectors, row * len(vectors)):
        sums[k] = _multiply_add(builder, many, value, sums[k])


def sum_tile(rows, vectors):
    """The intrinsic that adds slots to a tile of ``rows`` results of ``vectors`` vectors of channels.

    tile(sources, row, begin, end, source_offset, channels, panel, position, targets, shift, width, fresh, first):
    for row <= j < row + rows, add sources[i, j][c] * panel[position + (i, c)] over slots begin <= i < end and
    channels c, in this order, to targets[j][:width] (if fresh to first[:width], moved as the target). sources and
    targets hold addresses, which the offsets move by bytes. ``width`` ends in the last vector. Several rows with one
    target must have the same sources: they all write the same.
    """
    index = types.int64

    @intrinsic
    def tile(
        typingctx, sources, row, begin, end, offset, channels, panel, position, targets, shift, width, fresh, first
    ):
        number = panel.dtype

        def codegen(context, builder, sig, values):
            _, row_, begin_, end_, offset_, channels_, _, position_, _, shift_, width_, fresh_, _ = values
            vector, lanes, itemsize = _vector_type(context, number)
            table = _array(context, builder, sig, values, 0)
            table_width = _row_length(context, builder, sig, values, 0)
            start = builder.gep(_array(context, builder, sig, values, 6), [position_])
            target_table = _array(context, builder, sig, values, 8)
            goals = _pointers(builder, target_table, row_, _int(1), rows, shift_, vector.element)
            begin_with = _moved(builder, _array(context, builder, sig, values, 12), shift_)
            sums = _begin_rows(builder, fresh_, goals, width_, vector, vectors, begin_with)
            with _loop(builder, begin_, end_, sums) as (i, sums_of_slot):
                place = builder.add(builder.mul(i, table_width), row_)
                pointers = _pointers(builder, table, place, _int(1), rows, offset_, vector.element)
                before = builder.mul(builder.sub(i, begin_), channels_)
                panel_ = builder.gep(start, [builder.mul(before, _int(vectors * lanes))])
                with _loop(builder, _int(0), channels_, sums_of_slot) as (c, sums_):
                    line = builder.gep(panel_, [builder.mul(c, _int(vectors * lanes))])
                    weights = _read_all(builder, line, vector, vectors, itemsize)
                    for r, pointer in enumerate(pointers):
                        _add_multiples(builder, builder.gep(pointer, [c]), weights, sums_, r)
            _end_rows(builder, sums, goals, width_, vectors)
            return context.get_dummy_value()

        arguments = (sources, index, index, index, index, index, panel, index, targets, index, index, index, first)
        return types.void(*arguments), codegen

    return tile


def run_tile(rows, lengths):
    """The intrinsic that adds slots to a tile of ``rows`` results of one vector of channels, each with its own weights.

    tile(sources, row, runs, k, count, source_offset, panel, position, targets, target_offset, width, fresh, first): as
    that of :func:`sum_tile`, but lane f of slot i adds sources[i, j][f] * panel[position + (i, f)]. Slots come in
    ``count`` runs, runs[k, :] slots in each: 1 or one of ``lengths``, or minus that. In a run, slot i + 1 has at row j
    what slot i has at row j + 1 (minus: j - 1), as neighbours in an image do: then a vector is loaded once for all.
    """
    index = types.int64

    @intrinsic
    def tile(typingctx, sources, row, runs, which, count, offset, panel, position, targets, shift, width, fresh, first):
        number = panel.dtype

        def codegen(context, builder, sig, values):
            _, row_, _, which_, count_, offset_, _, position_, _, shift_, width_, fresh_, _ = values
            vector, lanes, itemsize = _vector_type(context, number)
            table = _array(context, builder, sig, values, 0)
            table_width = _row_length(context, builder, sig, values, 0)
            run_table = _array(context, builder, sig, values, 2)
            first_run = builder.mul(which_, _row_length(context, builder, sig, values, 2))
            start = builder.gep(_array(context, builder, sig, values, 6), [position_])
            target_table = _array(context, builder, sig, values, 8)
            goals = _pointers(builder, target_table, row_, _int(1), rows, shift_, vector.element)

            def add(length, i, old):
                """The sums after a run of ``length`` slots (minus: the other way) from slot i on."""
                new, slots = list(old), abs(length)
                line = builder.gep(start, [builder.mul(i, _int(lanes))])
                weights = _read_all(builder, line, vector, slots, itemsize)
                place = builder.add(builder.mul(i, table_width), row_)
                pointers = _pointers(builder, table, place, _int(1), rows, offset_, vector.element)
                # what later slots have at the last row (minus: the first), where the first slot has nothing more
                end = builder.add(place, _int(rows - 1)) if length > 0 else place
                more = _pointers(builder, table, end, table_width, slots, offset_, vector.element)[1:]
                pointers = [*pointers, *more] if length > 0 else [*reversed(pointers), *more]
                for p, pointer in enumerate(pointers):
                    x = builder.load(_vector_at(builder, pointer, vector), align=itemsize)
                    for s, weight in enumerate(weights):  # a row meets the slots in their order
                        if 0 <= p - s < rows:
                            r = p - s if length > 0 else rows - 1 - (p - s)
                            new[r] = _multiply_add(builder, x, weight, new[r])
                return new

            begin_with = _moved(builder, _array(context, builder, sig, values, 12), shift_)
            sums = [*_begin_rows(builder, fresh_, goals, width_, vector, 1, begin_with), _int(0)]
            with _loop(builder, _int(0), count_, sums) as (k, state):
                *old, i = state
                length = builder.load(builder.gep(run_table, [builder.add(first_run, k)]))
                after, single = builder.append_basic_block("run_end"), builder.append_basic_block("run_of_1")
                jump = builder.switch(length, single)
                found = []
                for kind in (1, *lengths, *(-other for other in lengths)):
                    block = single
                    if kind != 1:
                        block = builder.append_basic_block(f"run_of_{kind}")
                        jump.add_case(_int(kind), block)
                    builder.position_at_end(block)
                    new, following = add(kind, i, old), builder.add(i, _int(abs(kind)))
                    found.append((new, following, builder.block))
                    builder.branch(after)
                builder.position_at_end(after)
                for r, value in enumerate(state):
                    state[r] = builder.phi(value.type)
                    for new, following, block in found:
                        state[r].add_incoming([*new, following][r], block)
            _end_rows(builder, sums[:rows], goals, width_, 1)
            return context.get_dummy_value()

        arguments = (sources, index, runs, index, index, index, panel, index, targets, index, index, index, first)
        return types.void(*arguments), codegen

    return tile


def _add_outer(builder, source, offset, rows, ys, sums):
    """Add to ``sums`` the products of ``rows`` numbers at address ``source`` + ``offset`` with ``ys``; 0: nothing.

    The jump costs less than it saves, and what is not added cannot make a NaN.
    """
    vector = ys[0].type
    old = list(sums)
    before = builder.block
    with builder.if_then(builder.icmp_signed("!=", source, _int(0))):
        pointer = builder.inttoptr(builder.add(source, offset), vector.element.as_pointer())
        for r in range(rows):
            _add_multiples(builder, builder.gep(pointer, [_int(r)]), ys, sums, r)
        inside = builder.block
    for k, (same, new) in enumerate(zip(old, sums)):
        phi = builder.phi(vector)
        phi.add_incoming(same, before)
        phi.add_incoming(new, inside)
        sums[k] = phi


def outer_tile(rows, vectors, depthwise=False):
    """The intrinsic that adds rows to a tile of outer products: ``rows`` channels, ``vectors`` vectors of channels.

    tile(sources, slot, begin, end, source_offset, targets, target_offset, out, position, fresh): adds
    sources[slot, j][c] * targets[j][f] over rows begin <= j < end, in this order, to out[position + (c, f)] (to zeros
    if fresh) for c < rows and f < vectors * lanes: both are read beyond the end of a row. sources and targets hold
    addresses, which the offsets move by bytes; a source of 0 adds nothing. Depthwise, row r of the tile is slot + r
    and takes sources[slot + r, j][f] * targets[j][f]; there, sources must not be 0.
    """
    index = types.int64

    @intrinsic
    def tile(typingctx, sources, slot, begin, end, offset, targets, shift, out, position, fresh):
        number = out.dtype

        def codegen(context, builder, sig, values):
            _, slot_, begin_, end_, offset_, _, shift_, _, position_, fresh_ = values
            vector, lanes, itemsize = _vector_type(context, number)
            table = _array(context, builder, sig, values, 0)
            table_width = _row_length(context, builder, sig, values, 0)
            target_table = _array(context, builder, sig, values, 5)
            goal = builder.gep(_array(context, builder, sig, values, 7), [position_])
            count = rows * vectors
            line = builder.mul(slot_, table_width)
            sums = _begin(builder, fresh_, vector, count, lambda: _read_all(builder, goal, vector, count, itemsize))
            with _loop(builder, begin_, end_, sums) as (j, sums_):
                (target,) = _pointers(builder, target_table, j, _int(0), 1, shift_, vector.element)
                ys = _read_all(builder, target, vector, vectors, itemsize)
                place = builder.add(line, j)
                if depthwise:
                    pointers = _pointers(builder, table, place, table_width, rows, offset_, vector.element)
                    for r, pointer in enumerate(pointers):
                        for v, x in enumerate(_read_all(builder, pointer, vector, vectors, itemsize)):
                            sums_[r * vectors + v] = _multiply_add(builder, x, ys[v], sums_[r * vectors + v])
                else:
                    _add_outer(builder, builder.load(builder.gep(table, [place])), offset_, rows, ys, sums_)
            for k, value in enumerate(sums):
                there = builder.gep(goal, [_int(k * lanes)])
                builder.store(value, _vector_at(builder, there, vector), align=itemsize)
            return context.get_dummy_value()

        arguments = (sources, index, index, index, index, targets, index, out, index, index)
        return types.void(*arguments), codegen

    return tile
