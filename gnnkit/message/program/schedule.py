"""Which values of a sweep are computed in which loop. Imports symbols, the layout and the plan.

A *nest* is one loop over the features of one space: scalars, one dimension, or two. Nests run one after the other for
every edge; values go between them through small buffers. Few nests mean that features are read once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gnnkit.message.program.layout import Layout, Space
from gnnkit.message.program.plan import Sweep, arguments, operands
from gnnkit.message.program.symbols import Symbol


@dataclass
class Nest:
    """One loop nest: the values it computes, in order, and the sinks that it feeds."""

    space: Space
    items: list[Symbol] = field(default_factory=list)
    sinks: list[Symbol] = field(default_factory=list)


def schedule(sweep: Sweep, layout: Layout) -> list[Nest]:
    """Share the values of a sweep out among as few nests as a greedy choice finds."""
    waiting = list(sweep.inner)
    sinks = list(sweep.sinks)
    available = set(sweep.leaves)
    nests: list[Nest] = []
    while waiting or sinks:
        offers = {space: _ready(space, waiting, sinks, available, layout) for space in _spaces(waiting, sinks, layout)}
        complete = [s for s, nest in offers.items() if _count(nest) == _demand(s, waiting, sinks, layout)]
        # a space whose values are all ready comes last of all: others may want to join its loop
        useful = [s for s in offers if _count(offers[s])]
        partial = [s for s in useful if s not in complete]
        chosen = min(partial or useful, key=len)
        if partial and complete:  # something waits for others: run first what others can wait for
            chosen = min(useful, key=lambda s: (s not in _feeds_others(offers, waiting, sinks, layout), len(s)))
        nest = offers[chosen]
        done = set(nest.items)
        available |= done
        waiting = [x for x in waiting if x not in done]
        fed = set(nest.sinks)
        sinks = [x for x in sinks if x not in fed]
        nests.append(nest)
    return nests


def home(x: Symbol, layout: Layout) -> Space:
    """The loop that a value is computed in: a sum over features belongs to that of its argument."""
    return layout.spaces[x.args[0] if x.op == "feature_sum" else x]


def _spaces(waiting: list[Symbol], sinks: list[Symbol], layout: Layout) -> set[Space]:
    return {home(x, layout) for x in waiting} | {layout.spaces[operands(x)[0]] for x in sinks}


def _demand(space: Space, waiting: list[Symbol], sinks: list[Symbol], layout: Layout) -> int:
    values = sum(home(x, layout) == space for x in waiting)
    return values + sum(layout.spaces[operands(x)[0]] == space for x in sinks)


def _count(nest: Nest) -> int:
    return len(nest.items) + len(nest.sinks)


def _feeds_others(offers: dict[Space, Nest], waiting: list[Symbol], sinks: list[Symbol], layout: Layout) -> set[Space]:
    """Spaces whose ready values are read by values of another space that still wait."""
    found = set()
    for space, nest in offers.items():
        ready = set(nest.items)
        for x in waiting:
            if x not in ready and home(x, layout) != space and any(a in ready for a in x.args):
                found.add(space)
        for sink in sinks:
            if layout.spaces[operands(sink)[0]] != space and operands(sink)[0] in ready:
                found.add(space)
    return found


def _ready(space: Space, waiting: list[Symbol], sinks: list[Symbol], available: set[Symbol], layout: Layout) -> Nest:
    """All that can be computed in one loop over ``space`` now."""
    nest = Nest(space)
    inside: set[Symbol] = set()
    for x in waiting:
        if home(x, layout) == space and all(a in available or a in inside for a in arguments(x)):
            nest.items.append(x)
            if x.op != "feature_sum":  # whose result is there when the loop has ended
                inside.add(x)
    for sink in sinks:
        (x,) = operands(sink)[:1]
        if layout.spaces[x] == space and (x in available or x in inside):
            nest.sinks.append(sink)
    return nest
