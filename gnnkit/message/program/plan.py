"""The order of work: which sums over edges run in one sweep, and what each sweep reads. Imports symbols only.

Values of nodes are computed one by one. Everything per edge belongs to a *sweep*: one pass over the edges of a
topology, by receivers or (on the transpose) by senders, that ends in sums and maxima per node, in an output per
edge, or in the gradient of a shared matrix. Sweeps that need the results of others come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnnkit.message.program.derive import topological
from gnnkit.message.program.symbols import Symbol


@dataclass
class Sweep:
    """One pass over the edges."""

    side: str  # whose rows it owns: "dst", "src" or "graph"; or that it passes over the "rows of" one
    sinks: list[Symbol] = field(default_factory=list)  # aggregates, contractions, and outputs per edge
    inner: list[Symbol] = field(default_factory=list)  # per edge, each after its arguments
    leaves: list[Symbol] = field(default_factory=list)  # values of nodes, inputs per edge, constants
    kernel: Any = None  # what is generated for it, once it has been asked for
    resolved: Any = None  # which of its sums need no sweep, once that has been asked for
    exact: Any = None  # what it computes per edge where sums must not depend on their order
    steps: Any = None  # how it computes a chunk of edges, once it has done so

    @property
    def level(self) -> str:
        """What it passes over: the edges, or the rows of a level."""
        return self.side.removeprefix("rows of ") if self.side.startswith("rows of ") else "edge"

    @property
    def other(self) -> str:
        """The level at the other end of its edges, whose rows it finds by index; none for passes over rows."""
        return {"dst": "src", "src": "dst"}.get(self.side, "")

    def settle(self) -> Sweep:
        """Fill in what the sinks are computed from."""
        order = topological([a for sink in self.sinks for a in operands(sink)], stop=is_leaf, reads=arguments)
        self.inner = [x for x in order if not is_leaf(x)]
        self.leaves = [x for x in order if is_leaf(x)]
        return self


def operands(sink: Symbol) -> tuple[Symbol, ...]:
    """What is computed per edge for a sink."""
    return sink.args if sink.op in ("aggregate", "contract") else (sink,)


def arguments(x: Symbol) -> tuple[Symbol, ...]:
    """What a value is computed from: of one with a derivative of its own, the first argument."""
    return x.args[:1] if x.op == "custom" else x.args


def is_leaf(x: Symbol) -> bool:
    """Whether a sweep is given this value: anything but what is computed per edge."""
    return x.level != "edge" or x.op == "input"


@dataclass
class Plan:
    """Sweeps in order; what is computed per node follows from what they ask for."""

    outputs: Sequence[Symbol]
    stages: list[list[Sweep]]
    nodes: list[Symbol]  # everything of a level other than edge, each after its arguments
    depth: dict[Symbol, int]  # how many stages lie behind a value
    steps: list[list[Any]] = field(default_factory=list)  # of work per node, before every stage and at the end
    later: list[frozenset[Symbol]] = field(default_factory=list)  # what is read after every stage, and at the end


def is_sink(x: Symbol) -> bool:
    return x.op == "aggregate" or (x.op == "contract" and x.info == "edge")


def make_plan(outputs: Sequence[Symbol], known: Iterable[Symbol] = ()) -> Plan:
    """Plan the outputs; values in ``known`` are there already."""
    have = set(known)
    order = topological(outputs, stop=lambda x: x in have)
    order = [x for x in order if x not in have]
    depth: dict[Symbol, int] = dict.fromkeys(have, 0)
    stages: dict[int, dict[str, Sweep]] = {}
    edge_outputs = {o for o in outputs if o.level == "edge" and o.op != "input"}

    def put(sink: Symbol, side: str, at: int) -> None:
        stages.setdefault(at, {}).setdefault(side, Sweep(side)).sinks.append(sink)

    for x in order:
        below = max((depth[a] for a in x.args), default=0)
        if is_sink(x):
            depth[x] = below + 1
            put(x, x.info[1] if x.op == "aggregate" else "dst", depth[x])
        else:
            depth[x] = below
            if x in edge_outputs:
                put(x, "dst", below + 1)
    _delay(stages, order, depth, edge_outputs)
    _join_outputs(stages, edge_outputs)
    planned = [[sweep.settle() for sweep in stages[at].values()] for at in sorted(stages)]
    return Plan(outputs, planned, [x for x in order if x.level != "edge"], depth)


def _delay(
    stages: dict[int, dict[str, Sweep]], order: Sequence[Symbol], depth: dict[Symbol, int], edge_outputs: set[Symbol]
) -> None:
    """Move sinks into a later sweep by the same side, if nothing needs them before: the edges are read once less."""
    needed: dict[Symbol, int] = {}  # the stage that reads a value
    for x in reversed(order):
        at = depth[x] if is_sink(x) else needed.get(x)
        if x in edge_outputs:
            at = depth[x] + 1 if at is None else min(at, depth[x] + 1)
        for a in x.args:
            if at is not None:
                needed[a] = min(needed.get(a, at), at)
    for at in sorted(stages, reverse=True):
        for side, sweep in list(stages[at].items()):
            for sink in list(sweep.sinks):
                until = needed.get(sink, max(stages) + 1)
                later = [b for b in stages if at < b < until and side in stages[b]]
                if later:
                    sweep.sinks = [other for other in sweep.sinks if other is not sink]  # == is a symbol
                    stages[max(later)][side].sinks.append(sink)
            if not sweep.sinks:
                del stages[at][side]


def _has_products(sweep: Sweep) -> bool:
    """Whether a sweep multiplies by matrices edge by edge."""
    return any(x.op == "matmul" for x in Sweep(sweep.side, list(sweep.sinks)).settle().inner)


def _join_outputs(stages: dict[int, dict[str, Sweep]], edge_outputs: set[Symbol]) -> None:
    """Where a sweep by receivers is left with nothing that is theirs, a sweep by senders computes it too.

    Outputs per edge are nobody's, and gradients of shared matrices, which join a sweep with matrix products of its own.
    """
    for at in sorted(stages):
        sweep = stages[at].get("dst")
        if sweep is None or any(sink not in edge_outputs and sink.op != "contract" for sink in sweep.sinks):
            continue
        later = [b for b in stages if b >= at and "src" in stages[b]]
        contracts = any(sink.op == "contract" for sink in sweep.sinks)
        if later and not (contracts and not _has_products(stages[min(later)]["src"])):
            stages[min(later)]["src"].sinks.extend(sweep.sinks)
            del stages[at]["dst"]
    for at in [at for at in stages if not stages[at]]:
        del stages[at]
