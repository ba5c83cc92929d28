"""How a generated kernel spells values: names, positions in rows, reads, and the expression of every operation.

Imports the layout, the schedule and symbols.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from gnnkit.message.program.layout import Layout, Space, Unfit
from gnnkit.message.program.plan import Sweep, operands
from gnnkit.message.program.schedule import Loop
from gnnkit.message.program.symbols import BOOL, Symbol

EXPRESSIONS = {
    "add": "({0} + {1})", "subtract": "({0} - {1})", "multiply": "({0} * {1})", "divide": "({0} / {1})",
    "negative": "(-{0})", "reciprocal": "(1.0 / {0})", "square": "({0} * {0})", "relu": "v.maximum({0}, 0.0)",
    "absolute": "v.abs({0})", "isnan": "v.is_nan({0})", "isfinite": "v.is_finite({0})",
    "less": "({0} < {1})", "less_equal": "({0} <= {1})", "greater": "({0} > {1})", "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})", "not_equal": "({0} != {1})",
    "logical_and": "({0} & {1})", "logical_or": "({0} | {1})", "logical_not": "(~{0})",
}  # fmt: skip
LOGICAL = ("logical_and", "logical_or", "logical_not")
# the same of truth values, where false is less than true
MASKS = {
    "equal": "(~({0} ^ {1}))", "not_equal": "({0} ^ {1})", "less": "(~{0} & {1})", "greater": "({0} & ~{1})",
    "less_equal": "(~{0} | {1})", "greater_equal": "({0} | ~{1})", "where": "(({0} & {1}) | (~{0} & {2}))",
}  # fmt: skip
POWERS = {3.0: "({0} * {0} * {0})", 4.0: "(({0} * {0}) * ({0} * {0}))", 0.5: "v.sqrt({0})", -1.0: "(1.0 / {0})"}
POWERS |= {-2.0: "(1.0 / ({0} * {0}))", -0.5: "(1.0 / v.sqrt({0}))", 1.0: "{0}", 2.0: "({0} * {0})"}
PLAIN = (-1.0, 0.0, 0.5, 1.0, 2.0)  # numbers that stand in the source


@dataclass
class Writer:
    """Lines of source and the names of values."""

    sweep: Sweep
    layout: Layout
    edge: str = "k"  # the edge that position k of the sweep stands for
    names: dict[Symbol, str] = field(default_factory=dict)
    outs: dict[Symbol, str] = field(default_factory=dict)
    buffers: dict[Symbol, str] = field(default_factory=dict)
    packed: list[Symbol] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    fetches: bool = False  # whether a loop that has been written fetches rows ahead of their use
    gathered: dict[Symbol, str] = field(default_factory=dict)  # buffers of leaves that a loop over edges reads
    several: set[int] = field(default_factory=set)  # numbers of vectors that are worked on as one
    lines: list[str] = field(default_factory=list)

    def write(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def is_by_row(self, x: Symbol) -> bool:
        """Whether a leaf has a row for everything that is passed over; in a chunk all have but constants."""
        return x.level == self.sweep.level or (self.sweep.level == "chunk" and x.level != "const")

    def place(self, x: Symbol) -> tuple[str, str, str]:
        """Matrix and row that a value is read from, and where its numbers begin there (before a position)."""
        if x in self.buffers:
            return self.buffers[x], "b", ""
        name, side = self.names[x], self.sweep.side
        if x.level == "const":
            return name, "0", ""
        if x in set(self.packed):  # == of symbols is a symbol
            return "packed", "j", f"at_{name} + "
        if self.is_by_row(x):
            return name, self.edge, ""
        own = (x.level == "src") == (side == "src")
        return name, "i" if own else "j", ""

    def streams(self, x: Symbol) -> bool:
        """Whether ``x`` comes from memory row by row: in a pass over nodes or graphs, which no cache may hold."""
        return self.sweep.level not in ("edge", "chunk") and x.level == self.sweep.level and x not in self.buffers

    def past(self, sink: Symbol) -> str:
        """Whether a result is written past the caches."""
        return f"past[{self.outs[sink].removeprefix('out')}]"

    def leaves_of(self, loop: Loop) -> list[Symbol]:
        """What a loop reads that is not computed in the kernel."""
        read = [a for x in loop.items for a in self.layout.reads(x)]
        read += [self.layout.value(operands(s)[0]) for s in loop.sinks]
        leaves = set(self.sweep.leaves)
        return list(dict.fromkeys(a for a in read if a in leaves and a.op != "number"))


def leaf_name(x: Symbol, writer: Writer) -> str:
    base = (
        "_".join(str(part) for part in x.info[:2])
        if x.op == "input"
        else f"{x.level}_{x.info if x.op == 'call' else x.op}"
    )
    base = re.sub(r"\W", "_", base)
    taken = set(writer.names.values())
    return next(n for n in (base, *(f"{base}_{i}" for i in range(2, 1000))) if n not in taken)


def number_name(x: Symbol, writer: Writer) -> str:
    """A plain number as it is, any other as an argument of the kernel."""
    if x.info in PLAIN or not math.isfinite(x.info):
        return number_text(x.info)
    writer.numbers.append(x.info)
    return f"number{len(writer.numbers) - 1}"


def number_text(value: float) -> str:
    return f"({value!r})" if value < 0 or math.isnan(value) else repr(value)


def volume(space: Space) -> str:
    return " * ".join(f"d{d}" for d in space) or "1"


def position(of: Space, within: Space) -> str:
    """Where in a row of a value of space ``of`` the current features of a loop over ``within`` begin."""
    if not of:
        return "0"
    if of == within:
        return "c" if len(of) == 1 else f"a * d{of[1]} + c"
    return "a" if of[0] == within[0] and len(within) == 2 else "c"


def far_leaves(writer: Writer, loop: Loop) -> set[Symbol]:
    """The leaves of the nodes at the other end of the edges that a loop reads."""
    return {a for a in writer.leaves_of(loop) if a.level == writer.sweep.other}


def far_matrices(writer: Writer) -> list[str]:
    """The matrices that hold the rows of the nodes at the other end."""
    far = [x for x in writer.sweep.leaves if x.level == writer.sweep.other]
    return list(dict.fromkeys("packed" if x in set(writer.packed) else writer.names[x] for x in far))


def fetch_rows(writer: Writer, depth: int, condition: str = "") -> None:
    """Fetch whole rows of the other end ahead of their use: in the first loop over the edges, in its first round.

    Where edges are found by index too, what they read and the single numbers that they write are fetched as well.
    """
    calls = [f"simd.prefetch_row({matrix}, jj)" for matrix in far_matrices(writer)]
    if calls:
        calls.insert(0, "jj = simd.position(other, min(k + ahead, last))")
    if writer.edge != "k":
        sweep = writer.sweep
        numbers = [x for x in sweep.sinks if x.op != "aggregate" and not writer.layout.spaces[writer.layout.value(x)]]
        places = [writer.names[x] for x in sweep.leaves if x.level == "edge"] + [writer.outs[x] for x in numbers]
        calls.append("e = simd.position(order, min(k + ahead, last))")
        calls += [f"simd.prefetch_row({matrix}, e)" for matrix in places]
    if calls and condition:
        writer.write(depth, f"if {condition}:")
        depth += 1
    for call in calls:
        writer.write(depth, call)
    writer.fetches = True


class Reader:
    """How a loop reads a value: computed here, a leaf, or a buffer."""

    def __init__(self, writer: Writer, loop: Loop, depth: int, vectors: int = 1, *, heads: bool = False) -> None:
        self.writer, self.loop, self.depth = writer, loop, depth
        self.vectors, self.heads = vectors, heads  # at a time: those of several indices of the outer axis, or adjacent
        self.step = f"d{loop.space[1]}" if heads else "lanes"  # from one of them to the next
        self.like = "like"  # what constants are shaped after
        if vectors > 1:
            self.like = f"like{vectors}"
            writer.several.add(vectors)
        self.known: dict[Symbol, str] = {}

    def read(self, x: Symbol) -> str:
        if x in self.known:
            return self.known[x]
        if x.op == "number":
            return self.writer.names[x]
        matrix, row, begin = self.writer.place(x)
        of, within = self.writer.layout.spaces[x], self.loop.space
        if not set(of) <= set(within):
            raise Unfit("a value that is broadcast along an axis it does not have")
        place = begin + position(of, within)
        if x in self.writer.buffers and not of:  # one number per edge: the edges of a block lie side by side
            row, place = "0", "b"
        name = f"{matrix}_" if matrix != "packed" else f"{self.writer.names[x]}_"
        if self.writer.streams(x) and of == within:
            fetch = f"simd.prefetch_line({matrix}, {row} + ahead, {place}"
            if self.vectors == 1:
                self.writer.write(self.depth, f"{fetch})")
            else:
                self.writer.write(self.depth, f"for line in range({self.vectors}):")
                self.writer.write(self.depth + 1, f"{fetch} + line * {self.step})")
        text = self._text(x, matrix, row, place)
        self.writer.write(self.depth, f"{name} = ({text} != 0.0)" if x.kind == BOOL else f"{name} = {text}")
        self.known[x] = name
        return name

    def _text(self, x: Symbol, matrix: str, row: str, place: str) -> str:
        of, within = self.writer.layout.spaces[x], self.loop.space
        is_splat = not (of and of[-1] == within[-1])
        if self.vectors == 1 and is_splat:
            return f"v.splat({matrix}, {row}, {place})"
        if self.vectors == 1:
            whole = x in self.writer.buffers and len(of) == 1
            return f"v.load({matrix}, {row}, {place}, {'lanes' if whole else 'n'})"
        if is_splat:
            step = "1" if of and self.heads else "0"
            return f"v.splat_several({matrix}, {row}, {place}, {step}, {self.like})"
        step = "0" if len(of) == 1 and self.heads else self.step
        return f"v.load_several({matrix}, {row}, {place}, {step}, {self.like})"


def expression(x: Symbol, reader: Reader) -> str:
    """Source of one value."""
    values, like = [reader.read(a) for a in reader.writer.layout.reads(x)], reader.like
    kinds = [a.kind for a in x.args]
    if x.op == "call" and x.info in LOGICAL:  # numbers count as true where they are not zero
        values = [text if kind == BOOL else f"({text} != 0.0)" for text, kind in zip(values, kinds)]
    elif x.op == "call" and x.info in MASKS and BOOL in kinds:
        first = 1 if x.info == "where" else 0
        if all(kind == BOOL for kind in kinds[first:]):
            return MASKS[x.info].format(*values)
    if x.op in ("stop", "custom", "reshape", "broadcast_to"):
        return vector(values[0], x.args[0], like)
    if x.op == "cast":
        return f"v.number({values[0]}, {like})"
    if x.op == "guard":
        return f"v.where({values[1]} > 0.0, {vector(values[0], x.args[0], like)}, {number_text(x.info[1])})"
    if x.info == "power" and x.args[1].op == "number" and x.args[1].info in POWERS:
        return POWERS[x.args[1].info].format(values[0])
    if all(a.op == "number" for a in x.args[1 if x.info == "where" else 0 :]):
        values[-1] = vector(values[-1], x.args[-1], like)
    if x.info in EXPRESSIONS:
        return EXPRESSIONS[x.info].format(*values)
    return f"v.{x.info}({', '.join(values)})"


def vector(value: str, x: Symbol, like: str = "like") -> str:
    return f"v.constant({like}, {value})" if x.op == "number" else value
