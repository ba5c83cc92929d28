"""Which values of a sweep are computed in which loop. Imports symbols, the layout and the plan.

A block of edges of one row is worked through by two kinds of loops. A *map* goes from edge to edge and leaves values in
buffers: what is read in a loop over other features, sums over features, outputs per edge. A *fold* goes from column
to column and keeps the running sum (or maximum) of all edges in a register; values that cost little are computed
in it again rather than kept. Maps run first, so folds find every buffer filled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gnnkit.message.program.layout import Layout, Space
from gnnkit.message.program.plan import Sweep, operands
from gnnkit.message.program.symbols import Symbol

# of which more than one evaluation per edge is not worth a buffer
CHEAP = {"add", "subtract", "multiply", "negative", "square", "absolute", "relu", "maximum", "minimum", "where"}
CHEAP |= {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
CHEAP |= {"logical_and", "logical_or", "logical_not"}


@dataclass
class Loop:
    """A loop over the features of one space: the values it computes, in order, and the sinks that it feeds."""

    space: Space
    items: list[Symbol] = field(default_factory=list)
    sinks: list[Symbol] = field(default_factory=list)


@dataclass
class Schedule:
    """The loops of a block of edges, and the values that wait in buffers."""

    maps: list[Loop]
    folds: list[Loop]
    buffers: list[Symbol]


def schedule(sweep: Sweep, layout: Layout) -> Schedule:
    """Share the values of a sweep out among loops."""
    needed = _mapped(sweep, layout)
    maps = _maps(sweep, layout, needed)
    kept = _waiting([*maps, *_folds(sweep, layout, needed, set())], layout)
    folds = _folds(sweep, layout, needed, kept)
    waiting = _waiting([*maps, *folds], layout)
    return Schedule(maps, folds, [x for x in layout.inner if x in waiting])


def _waiting(loops: list[Loop], layout: Layout) -> set[Symbol]:
    """Values that are read in another loop than the one that computes them."""
    inner = set(layout.inner)
    found: set[Symbol] = set()
    for loop in loops:
        own = {x for x in loop.items if x.op != "feature_sum"}
        ends = [layout.value(s if s.op != "aggregate" else operands(s)[0]) for s in loop.sinks]
        read = [*ends, *(a for x in loop.items for a in layout.reads(x))]
        found |= {a for a in read if a in inner and a not in own}
        found |= {x for x in loop.items if x.op == "feature_sum"}
    return found


def _folds(sweep: Sweep, layout: Layout, needed: set[Symbol], kept: set[Symbol]) -> list[Loop]:
    """One loop for the aggregates of every space; values in ``kept`` are in buffers anyway."""
    folds: dict[Space, Loop] = {}
    for sink in sweep.sinks:
        if sink.op == "aggregate":
            x = layout.value(operands(sink)[0])
            loop = folds.setdefault(layout.spaces[x], Loop(layout.spaces[x]))
            loop.sinks.append(sink)
            _inline(x, loop, layout, needed, kept)
    return list(folds.values())


def home(x: Symbol, layout: Layout) -> Space:
    """The loop that a value is computed in: a sum over features belongs to that of its argument."""
    return layout.spaces[layout.reads(x)[0] if x.op == "feature_sum" else x]


def _mapped(sweep: Sweep, layout: Layout) -> set[Symbol]:
    """Values that a map has to compute."""
    inner = set(layout.inner)
    needed = {x for x in layout.inner if x.op == "feature_sum"} | {
        layout.value(s) for s in sweep.sinks if s.op != "aggregate"
    }
    for x in layout.inner:
        needed |= {a for a in layout.reads(x) if a in inner and layout.spaces[a] != home(x, layout)}
    for x in reversed(layout.inner):
        if x in needed:
            needed |= {a for a in layout.reads(x) if a in inner}
    return needed


def _maps(sweep: Sweep, layout: Layout, needed: set[Symbol]) -> list[Loop]:
    """Loops for the needed values, as few as a greedy choice finds."""
    waiting = [x for x in layout.inner if x in needed]
    outputs = [s for s in sweep.sinks if s.op != "aggregate"]
    available = set(sweep.leaves)
    loops: list[Loop] = []
    while waiting:
        offers = {space: _ready(space, waiting, available, layout) for space in {home(x, layout) for x in waiting}}
        offers = {space: loop for space, loop in offers.items() if loop.items}
        unfinished = [
            space for space, loop in offers.items() if len(loop.items) < sum(home(x, layout) == space for x in waiting)
        ]
        # a loop all of whose values are ready may wait for none; one that others wait for goes first
        chosen = min(unfinished or offers, key=lambda space: (len(space), space))
        if unfinished and len(unfinished) < len(offers):
            feeding = [space for space in offers if _feeds(offers[space], waiting, layout)]
            chosen = min(feeding or unfinished, key=lambda space: (len(space), space))
        loop = offers[chosen]
        done = set(loop.items)
        loop.sinks = [s for s in outputs if layout.value(s) in done and layout.value(s).op != "feature_sum"]
        available |= done
        waiting = [x for x in waiting if x not in done]
        loops.append(loop)
    written = {s for loop in loops for s in loop.sinks}
    # inputs that are returned, and sums over features, which are known when their loop has ended
    return [*loops, *(Loop(layout.spaces[sink], [], [sink]) for sink in outputs if sink not in written)]


def _ready(space: Space, waiting: list[Symbol], available: set[Symbol], layout: Layout) -> Loop:
    """All that can be computed in one loop over ``space`` now."""
    loop = Loop(space)
    inside: set[Symbol] = set()
    for x in waiting:
        if home(x, layout) == space and all(a in available or a in inside for a in layout.reads(x)):
            loop.items.append(x)
            if x.op != "feature_sum":  # whose result is there when the loop has ended
                inside.add(x)
    return loop


def _feeds(loop: Loop, waiting: list[Symbol], layout: Layout) -> bool:
    """Whether a value of another space waits for this loop."""
    ready = set(loop.items)
    return any(
        home(x, layout) != loop.space and x not in ready and any(a in ready for a in layout.reads(x)) for x in waiting
    )


def _inline(x: Symbol, loop: Loop, layout: Layout, needed: set[Symbol], kept: set[Symbol]) -> None:
    """Add to a fold what ``x`` is computed from there, each value after its arguments."""
    if x.level != "edge" or x.op in ("input", "feature_sum") or layout.spaces[x] != loop.space:
        return
    if any(x is item for item in loop.items):
        return
    if x in needed and (x in kept or not _is_cheap(x, layout)):
        return
    for a in layout.reads(x):
        _inline(a, loop, layout, needed, kept)
    loop.items.append(x)


def _is_cheap(x: Symbol, layout: Layout) -> bool:
    """Whether computing ``x`` again, within its loop, takes a few instructions."""
    if x.op == "input" or x.level != "edge" or x.op == "feature_sum":
        return True
    if x.op == "call" and x.info not in CHEAP:
        return False
    return all(layout.spaces[a] != layout.spaces[x] or _is_cheap(a, layout) for a in layout.reads(x))
