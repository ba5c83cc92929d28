"""The two kinds of loops of a generated kernel: maps from edge to edge, folds from column to column.

Imports what spells values, the schedule and symbols.
"""

from __future__ import annotations

from gnnkit.message.program.layout import Space
from gnnkit.message.program.plan import operands
from gnnkit.message.program.schedule import Loop
from gnnkit.message.program.symbols import BOOL, Symbol
from gnnkit.message.program.writing import Reader, Writer, expression, far_leaves, position, vector

# --- loops over features ----------------------------------------------------------------------------------------------


def _open_columns(writer: Writer, space: Space, depth: int, between: tuple[str, ...] = ()) -> int:
    """Write the loops over the vectors of a space, with lines between the two; return the depth inside."""
    w = writer.write
    if len(space) == 2:
        w(depth, f"for a in range(d{space[0]}):")
        depth += 1
        for line in between:
            w(depth, line)
    w(depth, f"for c in range(0, d{space[-1]}, lanes):")
    w(depth + 1, f"n = min(lanes, d{space[-1]} - c)")
    return depth + 1


def _open_edges(writer: Writer, loop: Loop, depth: int) -> int:
    """Write the loop over the edges of a block; return the depth inside."""
    w = writer.write
    w(depth, "for b in range(count):")
    w(depth + 1, "k = first + b")
    far = far_leaves(writer, loop)
    if far:
        w(depth + 1, "j = simd.position(other, k)")
    if far - writer.fetched:
        w(depth + 1, "jj = simd.position(other, min(k + ahead, last))")
    return depth + 1


def write_map(writer: Writer, loop: Loop) -> None:
    """From edge to edge: fill buffers, sum over features, write outputs per edge."""
    w, space = writer.write, loop.space
    sums = [x for x in loop.items if x.op == "feature_sum"]
    depth = outside = _open_edges(writer, loop, 3)
    for x in sums:
        _start_sum(writer, x, space, depth)
    by_row = [x for x in sums if len(space) == 2 and writer.layout.spaces[x] == space[:1]]
    zeros = tuple(f"{_sum_name(x, writer)} = v.zeros(like)" for x in by_row)
    depth = _open_columns(writer, space, depth, between=zeros)
    reader = Reader(writer, loop, depth)
    for x in loop.items:
        if x.op == "feature_sum":
            _add_to_sum(writer, x, space, reader.read(writer.layout.reads(x)[0]), depth)
            continue
        w(depth, f"{writer.names[x]} = {expression(x, reader)}")
        reader.known[x] = writer.names[x]
        if x in writer.buffers:
            value = f"v.number({writer.names[x]}, like)" if x.kind == BOOL else writer.names[x]
            _keep(writer, x, space, value, depth)
    for sink in loop.sinks:
        place = f"{writer.outs[sink]}, {writer.edge}, {position(space, space)}, n"
        value = reader.read(writer.layout.value(sink))
        value = f"v.number({value}, like)" if sink.kind == BOOL else vector(value, sink)
        w(depth, f"v.store({place}, {value})")
    for x in sorted(sums, key=lambda x: not writer.layout.spaces[x]):  # those that end in the loop over rows first
        _end_sum(writer, x, space, outside)


def _keep(writer: Writer, x: Symbol, space: Space, value: str, depth: int) -> None:
    """Put a value into its buffer: whole vectors, which are quicker to read back than parts of them."""
    count = "lanes" if len(space) == 1 else "n"
    writer.write(depth, f"v.store({writer.buffers[x]}, b, {position(space, space)}, {count}, {value})")


def write_fold(writer: Writer, loop: Loop) -> None:
    """From column to column: the sum or maximum over the edges stays in a register."""
    w, space = writer.write, loop.space
    depth = _open_columns(writer, space, 3)
    at = {sink: f"{writer.begin(operands(sink)[0])}{position(space, space)}, n" for sink in loop.sinks}
    for sink in loop.sinks:
        w(depth, f"{_fold_name(sink, writer)} = v.load({writer.outs[sink]}, i, {at[sink]})")
    inside = _open_edges(writer, loop, depth)
    reader = Reader(writer, loop, inside)
    for x in loop.items:
        w(inside, f"{writer.names[x]} = {expression(x, reader)}")
        reader.known[x] = writer.names[x]
    for sink in loop.sinks:
        name = _fold_name(sink, writer)
        value = reader.read(writer.layout.value(operands(sink)[0]))
        w(inside, f"{name} = {name} + {value}" if sink.info[0] == "sum" else f"{name} = v.maximum({name}, {value})")
    for sink in loop.sinks:
        w(depth, f"v.store({writer.outs[sink]}, i, {at[sink]}, {_fold_name(sink, writer)})")


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
