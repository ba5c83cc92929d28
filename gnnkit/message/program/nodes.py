"""What is computed per node between two sweeps: element-wise work fused into one pass over the rows, the rest by numpy.

A pass over the rows of the receivers (or senders) is generated like a sweep whose edges are the rows themselves. It
reads every array once and writes what others read; what lies between stays in registers. Where a sweep goes in chunks
of edges, the element-wise work of a chunk is a pass as well, over the chunk's edges. Imports the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gnnkit.message.program.derive import topological
from gnnkit.message.program.layout import Layout, Unfit
from gnnkit.message.program.plan import Sweep, arguments, operands
from gnnkit.message.program.symbols import Symbol

FUSED = ("call", "cast", "reshape", "broadcast_to", "feature_sum", "guard", "stop", "custom")
PLAIN = ("input", "number", "aggregate", "degree", "eps")
# levels, and what a pass over their rows passes over; of few rows there are none
PASSES = {"const": "", "graph": "", "src": "src", "dst": "dst", "edge": "chunk"}

NARROW = 4  # times as wide must rows be that are read once instead of twice


@dataclass
class Step:
    """Values of nodes that are computed together: in one pass over their rows, or one after the other."""

    values: list[Symbol]  # each after its arguments
    rows: Sweep | None = None


def node_steps(wanted: Sequence[Symbol], have: Iterable[Symbol]) -> list[Step]:
    """How to compute ``wanted`` from the values that are there.

    Element-wise values form passes, as few as possible: a pass ends where something else (a matrix product, a sum over
    all nodes) needs its values.
    """
    known = set(have)
    order = topological(wanted, stop=lambda x: x in known or x.op in PLAIN, reads=arguments)
    missing = [x for x in order if x not in known and x.level != "edge" and x.op not in PLAIN]
    return _steps(missing, wanted)


def with_early(steps: list[Step], wanted: Sequence[Symbol], outputs: Iterable[Symbol], have: set[Symbol]) -> list[Step]:
    """These steps, which compute ``wanted``, and in their passes the outputs that read what a pass reads anyway.

    Only outputs that are narrow beside what is read once instead of twice (they are there for longer), and only where
    every pass can still be generated.
    """
    read = {step.rows.level: set(step.rows.leaves) for step in steps if step.rows is not None}
    early = [x for x in outputs if _is_early(x, read.get(x.level, set()), have)]
    joined = node_steps([*wanted, *early], have) if early else steps
    return joined if all(step.rows is None or _fits(step.rows) for step in joined) else steps


def _is_early(output: Symbol, read: set[Symbol], have: set[Symbol]) -> bool:
    """Whether an output can be computed now, element-wise, from rows that are ``read`` and much wider than it."""
    order = topological([output], stop=lambda x: x in have or x.op in PLAIN, reads=arguments)
    leaves = {x for x in order if x in have or x.op in PLAIN}
    is_there = output not in leaves and all(x in have or x.op != "aggregate" for x in leaves)
    inside = all(_is_fused(x) and x.level == output.level for x in order if x not in leaves)
    shared = max((x.size for x in leaves & read if x.level == output.level), default=0)
    return is_there and inside and shared >= NARROW * output.size


def _fits(rows: Sweep) -> bool:
    try:
        Layout(rows)
    except Unfit:
        return False
    return True


def edge_steps(sweep: Sweep) -> list[Step]:
    """How to compute what a sweep computes per edge, for all edges of a chunk at once."""
    return _steps(sweep.inner, [x for sink in sweep.sinks for x in operands(sink)])


def _steps(missing: Sequence[Symbol], wanted: Sequence[Symbol]) -> list[Step]:
    phase: dict[Symbol, int] = {}
    for x in missing:
        fused = _is_fused(x)
        phase[x] = max(
            (phase[a] + (_is_fused(a) != fused) for a in arguments(x) if a in phase), default=0 if fused else 1
        )
        phase[x] += phase[x] % 2 == fused  # passes have even numbers
    outside = set(wanted)
    for x in missing:
        outside |= {a for a in arguments(x) if a in phase and (phase[a] != phase[x] or a.level != x.level)}
    steps: list[Step] = []
    for number in sorted(set(phase.values())):
        here = [x for x in missing if phase[x] == number]
        if number % 2:
            steps.append(Step(here))
            continue
        for level, rows_of in PASSES.items():
            members = [x for x in here if x.level == level]
            if not members:
                continue
            rows = Sweep(f"rows of {rows_of}", [x for x in members if x in outside]) if rows_of else None
            steps.append(Step(members, None if rows is None else _settle(rows, members)))
    return steps


def _is_fused(x: Symbol) -> bool:
    return x.op in FUSED


def _settle(rows: Sweep, members: Sequence[Symbol]) -> Sweep:
    inside = set(members)
    order = topological(rows.sinks, stop=lambda x: x not in inside, reads=arguments)
    rows.inner = [x for x in order if x in inside]
    rows.leaves = [x for x in order if x not in inside]
    return rows
