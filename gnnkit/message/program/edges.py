"""Loops over values without feature axes: every lane of a vector is an edge of its own.

One number per edge in a vector of sixteen lanes would leave fifteen idle, which tells where an exponential is computed.
So what such a loop reads from the nodes at the other end is first put side by side, edge after edge. Imports what
spells values, the schedule and symbols.
"""

from __future__ import annotations

from gnnkit.message.program.layout import Unfit
from gnnkit.message.program.plan import operands
from gnnkit.message.program.schedule import Loop
from gnnkit.message.program.symbols import BOOL, Symbol
from gnnkit.message.program.writing import Reader, Writer, expression, far_leaves, far_matrices, fetch_rows, vector


def scattered_leaves(writer: Writer, loops: list[Loop]) -> list[Symbol]:
    """Leaves of these loops whose numbers do not lie side by side in the order of the edges."""
    found: dict[Symbol, None] = {}
    for loop in loops:
        if not loop.space:
            found |= dict.fromkeys(x for x in writer.leaves_of(loop) if x in far_leaves(writer, loop))
            if writer.edge != "k":
                found |= dict.fromkeys(x for x in writer.leaves_of(loop) if x.level == "edge")
    return list(found)


def write_gathering(writer: Writer) -> None:
    """Put what the loops over edges read side by side, for one block."""
    w = writer.write
    if not writer.gathered:
        return
    if (far_matrices(writer) or writer.edge != "k") and not writer.fetches:
        w(3, "for k in range(first, first + count):")
        fetch_rows(writer, 4)
    w(3, "for p in range(0, count, lanes):")
    w(4, "n = min(lanes, count - p)")
    for x, buffer in writer.gathered.items():
        matrix, row, place = writer.place(x)
        rows = "other" if row == "j" else "order"
        w(4, f"v.store({buffer}, 0, p, lanes, v.gather({matrix}, {rows}, first + p, {place}0, n))")


class EdgeReader(Reader):
    """How a loop with one edge in every lane reads a value."""

    def read(self, x: Symbol) -> str:
        if x in self.known:
            return self.known[x]
        writer = self.writer
        if x.op == "number":
            return writer.names[x]
        if writer.layout.spaces[x]:
            raise Unfit("a value that is broadcast along an axis it does not have")
        matrix, row, place = writer.place(x)
        if x in writer.buffers or x in writer.gathered:
            text = f"v.load({writer.buffers.get(x) or writer.gathered[x]}, 0, p, lanes)"
        elif writer.is_by_row(x):
            text = f"v.load({matrix}, first + p, 0, n)"
        else:
            text = f"v.splat({matrix}, {row}, {place}0)"
        name = f"{writer.names[x]}_"
        writer.write(self.depth, f"{name} = ({text} != 0.0)" if x.kind == BOOL else f"{name} = {text}")
        self.known[x] = name
        return name


def write_loop_of_edges(writer: Writer, map_: Loop | None, fold: Loop | None) -> None:
    """As many edges at once as a vector has lanes: the map fills buffers and writes outputs per edge, the fold sums."""
    w = writer.write
    w(3, "for p in range(0, count, lanes):")
    w(4, "n = min(lanes, count - p)")
    reader = EdgeReader(writer, Loop(()), 4)
    if map_ is not None:
        _compute(writer, map_, reader)
        for sink in map_.sinks:
            _write_output(writer, sink, reader)
    if fold is not None:
        _compute(writer, fold, reader)
        for sink in fold.sinks:
            _add_lanes(writer, sink, reader)


def _compute(writer: Writer, loop: Loop, reader: EdgeReader) -> None:
    for x in loop.items:
        if x in reader.known:  # by the map before the fold
            continue
        if x.op == "feature_sum":  # over axes of length one
            value = vector(reader.read(writer.layout.reads(x)[0]), x.args[0])
        else:
            writer.write(4, f"{writer.names[x]} = {expression(x, reader)}")
            value = reader.known[x] = writer.names[x]
        if x in writer.buffers:
            value = f"v.number({value}, like)" if x.kind == BOOL else value
            writer.write(4, f"v.store({writer.buffers[x]}, 0, p, lanes, {value})")


def _write_output(writer: Writer, sink: Symbol, reader: EdgeReader) -> None:
    value, out, w = reader.read(writer.layout.value(sink)), writer.outs[sink], writer.write
    value = f"v.number({value}, like)" if sink.kind == BOOL else vector(value, sink)
    if writer.edge == "k":
        w(4, f"v.store({out}, first + p, 0, n, {value})")
        return
    w(4, f"v.store(scattered, 0, 0, lanes, {value})")
    w(4, "for b in range(n):")
    w(5, f"v.put({out}, simd.position(order, first + p + b), 0, v.lane(v.splat(scattered, 0, b)))")


def _add_lanes(writer: Writer, sink: Symbol, reader: EdgeReader) -> None:
    """The sum or maximum of the lanes goes to the row of the result."""
    (message,) = operands(sink)
    value = vector(reader.read(writer.layout.value(message)), message)
    out = writer.outs[sink]
    if sink.info[0] == "sum":
        writer.write(4, f"v.put({out}, i, 0, v.lane(v.splat({out}, i, 0)) + v.total({value}, n))")
    else:
        writer.write(4, f"v.keep_larger({out}, i, 0, 1, v.highest({value}, n))")
