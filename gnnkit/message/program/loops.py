"""The two kinds of loops of a generated kernel: maps from edge to edge, folds from column to column.

Imports what spells values, the schedule and symbols.
"""

from __future__ import annotations

from gnnkit.message.program.layout import Space
from gnnkit.message.program.plan import operands
from gnnkit.message.program.schedule import CHEAP, Loop
from gnnkit.message.program.symbols import BOOL, Symbol
from gnnkit.message.program.writing import Reader, Writer, expression, far_leaves, fetch_rows, position, vector

# Sums that stay in registers two vectors at a time: AVX2 has 16 registers, and what is added takes some.
MOST_SUMS = 4

# --- loops over features ----------------------------------------------------------------------------------------------


def _open_outer(writer: Writer, space: Space, depth: int, begin: str = "0") -> int:
    """Write the loop over the outer of two axes from ``begin``, if there are two; return the depth inside."""
    if len(space) < 2:
        return depth
    writer.write(depth, f"for a in range({begin}, d{space[0]}):")
    return depth + 1


def _open_columns(writer: Writer, space: Space, depth: int, begin: str = "0") -> int:
    """Write the loop over the vectors of the inner axis from column ``begin``; return the depth inside."""
    writer.write(depth, f"for c in range({begin}, d{space[-1]}, lanes):")
    writer.write(depth + 1, f"n = min(lanes, d{space[-1]} - c)")
    return depth + 1


def _open_edges(writer: Writer, loop: Loop, depth: int) -> int:
    """Write the loop over the edges of a block; return the depth inside."""
    w = writer.write
    w(depth, "for b in range(count):")
    w(depth + 1, "k = first + b")
    far = far_leaves(writer, loop)
    if far:
        w(depth + 1, "j = simd.position(other, k)")
    return depth + 1


def write_map(writer: Writer, loop: Loop) -> None:
    """From edge to edge: fill buffers, sum over features, write outputs per edge."""
    w, space = writer.write, loop.space
    sums = [x for x in loop.items if x.op == "feature_sum"]
    depth = outside = _open_edges(writer, loop, 3)
    if not writer.fetches:
        fetch_rows(writer, depth)
    # sums over the outer axis stay in registers if the columns are the outer loop
    columns_first = bool(sums) and all(_by_column(x, space, writer) for x in sums)
    if columns_first:
        depth = between = _open_columns(writer, space, depth)
        for x in sums:
            w(depth, f"{_sum_name(x, writer)} = v.zeros(like)")
        depth = _open_outer(writer, space, depth)
    else:
        for x in sums:
            _start_sum(writer, x, space, depth)
        depth = _open_outer(writer, space, depth, _write_summed_heads(writer, loop, depth))
        for x in sums:
            if len(space) == 2 and writer.layout.spaces[x] == space[:1]:
                w(depth, f"{_sum_name(x, writer)} = v.zeros(like)")
        depth = _open_columns(writer, space, depth)
    reader = Reader(writer, loop, depth)
    for x in loop.items:
        if x.op == "feature_sum":
            value = reader.read(writer.layout.reads(x)[0])
            if columns_first:
                w(depth, f"{_sum_name(x, writer)} = {_sum_name(x, writer)} + {vector(value, x.args[0])}")
            else:
                _add_to_sum(writer, x, space, value, depth)
            continue
        w(depth, f"{writer.names[x]} = {expression(x, reader)}")
        reader.known[x] = writer.names[x]
        if x in writer.buffers:
            _keep(writer, x, space, _as_floats(x, reader), depth)
    for sink in loop.sinks:
        value, out = _as_floats(sink, reader), writer.outs[sink]
        w(depth, f"v.stream({out}, {writer.edge}, {position(space, space)}, n, {value}, {writer.past(sink)})")
    for x in sorted(sums, key=lambda x: not writer.layout.spaces[x]):  # those that end in the loop over rows first
        if columns_first:
            w(between, f"v.store({writer.buffers[x]}, b, c, lanes, {_sum_name(x, writer)})")
        else:
            _end_sum(writer, x, space, outside)


def _as_floats(x: Symbol, reader: Reader) -> str:
    """A value as it is stored."""
    value = reader.read(reader.writer.layout.value(x))
    return f"v.number({value}, {reader.like})" if x.kind == BOOL else vector(value, x, reader.like)


def _write_summed_heads(writer: Writer, loop: Loop, depth: int) -> str:
    """Write the loop over several indices of the outer axis (heads) at once, whose sums over the inner one then share
    their foldings; return from where on they go one by one: all of them if the inner axis is not whole vectors.
    """
    w, space = writer.write, loop.space
    sums = [x for x in loop.items if x.op == "feature_sum"]
    heads = _heads_summed(writer, loop, sums)
    if not heads:
        return "0"
    w(depth, f"whole = d{space[0]} if d{space[1]} % lanes == 0 else 0")
    w(depth, f"for a in range(0, whole, {heads}):")
    reader = Reader(writer, loop, depth + 2, heads, heads=True)
    for x in sums:
        w(depth + 1, f"{_sum_name(x, writer)} = v.constant({reader.like}, 0.0)")
    w(depth + 1, f"for c in range(0, d{space[1]}, lanes):")
    to = f"{position(space, space)}, {reader.step}"
    for x in loop.items:
        if x.op == "feature_sum":
            value = vector(reader.read(writer.layout.reads(x)[0]), x.args[0], reader.like)
            w(depth + 2, f"{_sum_name(x, writer)} = {_sum_name(x, writer)} + {value}")
            continue
        w(depth + 2, f"{writer.names[x]} = {expression(x, reader)}")
        reader.known[x] = writer.names[x]
        if x in writer.buffers:
            w(depth + 2, f"v.stream_several({writer.buffers[x]}, b, {to}, {_as_floats(x, reader)}, False)")
    for sink in loop.sinks:
        out, value = writer.outs[sink], _as_floats(sink, reader)
        w(depth + 2, f"v.stream_several({out}, {writer.edge}, {to}, {value}, {writer.past(sink)})")
    for x in sums:
        w(depth + 1, f"v.put_totals({writer.buffers[x]}, b, a, {_sum_name(x, writer)})")
    return "whole"


def _heads_summed(writer: Writer, loop: Loop, sums: list[Symbol]) -> int:
    """How many indices of the outer axis are summed over the inner one together; 0 for none.

    Half of the registers are for sums: the rest is for what is added to them.
    """
    from gnnkit.kernels.simd import MAX_TILES  # here, since it imports numba

    space = loop.space
    if len(space) < 2 or not sums or any(writer.layout.spaces[x] != space[:1] for x in sums) or not _is_short(loop):
        return 0
    count = writer.layout.sizes[space[0]]
    return next((n for n in (8, 4, 2) if n * len(sums) <= MAX_TILES // 2 and count % n == 0), 0)


def _keep(writer: Writer, x: Symbol, space: Space, value: str, depth: int) -> None:
    """Put a value into its buffer: whole vectors, which are quicker to read back than parts of them."""
    count = "lanes" if len(space) == 1 else "n"
    writer.write(depth, f"v.store({writer.buffers[x]}, b, {position(space, space)}, {count}, {value})")


def write_fold(writer: Writer, loop: Loop) -> None:
    """From column to column: the sum or maximum over the edges stays in a register.

    Where a step is short, several vectors go through the edges at once, so that the edges are read less often: those of
    several indices of the outer axis (heads), or two side by side.
    """
    space, length, begin = loop.space, f"d{loop.space[-1]}", "0"
    is_first = not writer.fetches
    depth = 3
    if heads := _heads_at_once(writer, loop):
        begin = f"{length} // lanes * lanes"
        writer.write(depth, f"for a in range(0, d{space[0]}, {heads}):")
        writer.write(depth + 1, f"for c in range(0, {begin}, lanes):")
        _fold_edges(writer, loop, depth + 2, heads, is_first, heads=True)
    depth = _open_outer(writer, space, depth)
    if not heads and _is_short(loop) and len(loop.sinks) <= MOST_SUMS:
        begin = f"{length} // (2 * lanes) * (2 * lanes)"
        writer.write(depth, f"for c in range(0, {begin}, 2 * lanes):")
        _fold_edges(writer, loop, depth + 1, 2, is_first)
    _fold_edges(writer, loop, _open_columns(writer, space, depth, begin), 1, is_first)


def _is_short(loop: Loop) -> bool:
    return all(x.info in CHEAP for x in loop.items if x.op == "call")


def _heads_at_once(writer: Writer, loop: Loop) -> int:
    """How many indices of the outer axis go through the edges together, as many as the registers hold; 0 for none."""
    from gnnkit.kernels.simd import MAX_TILES  # here, since it imports numba

    heads = writer.layout.sizes[loop.space[0]] if len(loop.space) == 2 and _is_short(loop) else 0
    return next((n for n in (8, 4, 2) if n * len(loop.sinks) <= MAX_TILES and heads and heads % n == 0), 0)


def _fold_edges(writer: Writer, loop: Loop, depth: int, vectors: int, is_first: bool, *, heads: bool = False) -> None:
    """The sums of the columns at ``c``, over all edges of a block; those of the first block begin here."""
    w, space = writer.write, loop.space
    inside = depth + 1
    reader = Reader(writer, loop, inside, vectors, heads=heads)
    at, how = position(space, space), "n" if vectors == 1 else f"{reader.step}, {reader.like}"
    load, stream = ("v.load", "v.stream") if vectors == 1 else ("v.load_several", "v.stream_several")
    for sink in loop.sinks:
        start = f"v.constant({reader.like}, {'0.0' if sink.info[0] == 'sum' else '-inf'})"
        w(depth, f"{_fold_name(sink, writer)} = {start}")
        w(depth, "if first > begin:")
        w(depth + 1, f"{_fold_name(sink, writer)} = {load}({writer.outs[sink]}, i, {at}, {how})")
    _open_edges(writer, loop, depth)
    if is_first:
        fetch_rows(writer, inside, "c == 0" if len(space) == 1 else "a == 0 and c == 0")
    products = _products(writer, loop)
    for x in loop.items:
        if x not in products:
            w(inside, f"{writer.names[x]} = {expression(x, reader)}")
            reader.known[x] = writer.names[x]
    for sink in loop.sinks:
        name, x = _fold_name(sink, writer), writer.layout.value(operands(sink)[0])
        if x in products:
            a, b = (reader.read(factor) for factor in writer.layout.reads(x))
            w(inside, f"{name} = v.fma({a}, {b}, {name})")
        elif sink.info[0] == "sum":
            w(inside, f"{name} = {name} + {reader.read(x)}")
        else:
            w(inside, f"{name} = v.maximum({name}, {reader.read(x)})")
    for sink in loop.sinks:
        past = f"{writer.past(sink)} and first + BLOCK >= end"  # unless the next block goes on from these sums
        n = "n" if vectors == 1 else reader.step
        w(depth, f"{stream}({writer.outs[sink]}, i, {at}, {n}, {_fold_name(sink, writer)}, {past})")


def _products(writer: Writer, loop: Loop) -> set[Symbol]:
    """Products of two values that nothing but sums reads: they are multiplied and added at once."""
    read = {a for x in loop.items for a in writer.layout.reads(x)}
    read |= {writer.layout.value(operands(sink)[0]) for sink in loop.sinks if sink.info[0] != "sum"}
    products = {x for x in loop.items if x.op == "call" and x.info == "multiply" and x not in read}
    return {x for x in products if all(a.op != "number" for a in x.args)}


def _fold_name(sink: Symbol, writer: Writer) -> str:
    return f"{'sum' if sink.info[0] == 'sum' else 'top'}_{writer.outs[sink]}"


# --- sums over features -----------------------------------------------------------------------------------------------


def _sum_name(x: Symbol, writer: Writer) -> str:
    return f"s_{writer.names[x]}"


def _by_column(x: Symbol, space: Space, writer: Writer) -> bool:
    """Whether only the outer of two axes is summed over: then the sums are a row of a buffer."""
    left = writer.layout.spaces[x]
    return left != space and len(left) == 1 and left[0] == space[-1]


def _start_sum(writer: Writer, x: Symbol, space: Space, depth: int) -> None:
    """Before the loops over features."""
    left = writer.layout.spaces[x]
    if _by_column(x, space, writer):
        writer.write(depth, f"for c in range(0, d{left[0]}, lanes):")
        writer.write(depth + 1, f"v.store({writer.buffers[x]}, b, c, min(lanes, d{left[0]} - c), v.zeros(like))")
    elif not left:
        writer.write(depth, f"{_sum_name(x, writer)} = v.zeros(like)")


def _add_to_sum(writer: Writer, x: Symbol, space: Space, value: str, depth: int) -> None:
    value = vector(value, x.args[0])
    if writer.layout.spaces[x] == space:  # over axes of length one
        _keep(writer, x, space, value, depth)
    elif _by_column(x, space, writer):
        writer.write(depth, f"v.accumulate({writer.buffers[x]}, b, c, n, {value})")
    else:
        name = _sum_name(x, writer)
        writer.write(depth, f"{name} = {name} + v.first({value}, n)")


def _end_sum(writer: Writer, x: Symbol, space: Space, depth: int) -> None:
    """After the loop over the features that are summed."""
    left = writer.layout.spaces[x]
    if left == space or _by_column(x, space, writer):
        return
    place, at = ("b, a", depth + 1) if left else ("0, b", depth)
    writer.write(at, f"v.put({writer.buffers[x]}, {place}, v.total({_sum_name(x, writer)}, lanes))")
