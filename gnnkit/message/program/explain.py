"""`program.explain`: the plan of a program in words and numbers, and the code generated for it.

Imports the plan, its engines and the derivative; runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gnnkit.kernels import backend
from gnnkit.message.program import chunks, fused
from gnnkit.message.program.apply import brought_along, constant_inputs, derivative, needed_by
from gnnkit.message.program.codegen import Kernel
from gnnkit.message.program.plan import Plan, Sweep
from gnnkit.message.program.run import plan_for, resolved
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import ROWS, Symbol, describe
from gnnkit.message.program.table import TABLE
from gnnkit.message.program.tracing import Trace

FREE = ("reshape", "stop", "custom", "rows", "broadcast_to", "getitem", "transpose", "input", "number", "degree")


@dataclass
class Step:
    """One line of a plan."""

    what: str  # "sweep" over edges, "pass" over the rows of nodes, "neighbour sum", or one operation
    rows: str  # what it has one row of
    gives: str
    engine: str
    flops: float
    moved: float  # bytes read and written, gathered rows counted each
    made: float  # bytes of the arrays that it makes
    note: str = ""


@dataclass
class Explanation:
    """What :meth:`MessageProgram.explain` returns; prints as a table.

    Attributes
    ----------
    forward, backward : list of Step
        In the order in which they run; backward for all floating inputs.
    peak : int
        Bytes of everything that one forward and backward pass makes, if all of it were held at once: an upper bound.
    edge_arrays : list of str
        Arrays of one row per edge that exist in full: outputs per edge and their gradients.
    remembered : list of str
        Sums of constant inputs that are kept with the topology from the second call on, with their bytes.
    source : str
        The generated numba code.
    """

    name: str
    setting: Setting
    forward: list[Step] = field(default_factory=list)
    backward: list[Step] = field(default_factory=list)
    edge_arrays: list[str] = field(default_factory=list)
    remembered: list[str] = field(default_factory=list)
    chunk_bytes: int = 0
    source: str = ""

    @property
    def peak(self) -> int:
        return int(sum(step.made for step in (*self.forward, *self.backward))) + self.chunk_bytes

    @property
    def flops(self) -> float:
        return sum(step.flops for step in (*self.forward, *self.backward))

    @property
    def fallbacks(self) -> list[str]:
        """Sweeps without a generated kernel, and why."""
        return [step.note for step in (*self.forward, *self.backward) if step.engine == "chunks"]

    def __repr__(self) -> str:
        t = self.setting.topology
        lines = [
            f"{self.name} on {t.num_edges} edges, {t.num_senders} senders, {t.num_receivers} receivers, "
            f"{self.setting.dtype}, {backend.current_backend()} backend"
        ]
        for title, steps in (("forward", self.forward), ("backward, for all floating inputs", self.backward)):
            lines += ["", title, *_table(steps)]
        lines += ["", f"arrays made by one forward and backward pass: {_bytes(self.peak)}"]
        lines.append(f"arrays of one row per edge: {', '.join(self.edge_arrays) or 'none'}")
        lines.append(f"kept with the topology where inputs are constant: {', '.join(self.remembered) or 'nothing'}")
        lines.append(f"no kernel for: {'; '.join(self.fallbacks) or 'nothing'}")
        return "\n".join(lines)


def explain(program: Any, found: Trace, inputs: Sequence[Symbol], setting: Setting) -> Explanation:
    """Describe the plan of a traced program and of its derivative."""
    result = Explanation(repr(program), setting)
    sources: list[str] = []
    outputs, wrt = tuple(found.outputs), tuple(i for i, x in enumerate(inputs) if x.kind == "f")
    extras = brought_along(outputs, tuple(inputs), wrt) if wrt else ()
    plan = plan_for(outputs + extras, frozenset())
    result.forward = _steps(plan, setting, sources, result)
    result.edge_arrays = [f"output {describe(o)} {list(o.shape)}" for o in outputs if o.level == "edge"]
    there = {x for step in plan.steps for part in step for x in (part.values if part.rows is None else part.rows.sinks)}
    there |= {sink for stage in plan.stages for sweep in stage for sink in sweep.sinks}
    for index in range(len(outputs)) if wrt else ():
        gradients, _ = derivative(outputs, tuple(inputs), wrt, index)
        asked = tuple(g for g in gradients if g is not None)
        known = needed_by(gradients) & there
        result.backward += _steps(plan_for(asked, frozenset(known)), setting, sources, result)
        result.edge_arrays += [f"gradient of {describe(inputs[i])}" for i in wrt if inputs[i].level == "edge"]
    result.source = "\n\n".join(sources)
    return result


def _steps(plan: Plan, setting: Setting, sources: list[str], result: Explanation) -> list[Step]:
    """In the order of a run: what is computed per node, then the sweeps that read it, stage after stage."""
    steps: list[Step] = []
    for stage, parts in zip([*plan.stages, []], plan.steps):
        for part in parts:
            if part.rows is not None and isinstance(fused.kernel_of(part.rows), Kernel):
                steps.append(_pass(part.rows, setting, sources))
            else:
                steps += [_node(x, setting) for x in part.values if x.op not in FREE]
        for sweep in stage:
            steps += _sweep(sweep, setting, sources, result)
    return steps


def _node(x: Symbol, setting: Setting) -> Step:
    item, rows = setting.dtype.itemsize, setting.count(x.level)
    read = sum(setting.count(a.level) * a.size for a in x.args)
    flops, made = _flops(x) * _work_rows(x, setting), rows * x.size * item
    return Step(describe(x), ROWS[x.level], str(list(x.shape)), "numpy", flops, read * item + made, made)


def _pass(rows: Sweep, setting: Setting, sources: list[str]) -> Step:
    """One pass over the rows of nodes."""
    kernel = fused.kernel_of(rows)
    assert isinstance(kernel, Kernel)
    sources.append(kernel.source)
    count, item = setting.count(rows.level), setting.dtype.itemsize
    made = count * sum(s.size for s in rows.sinks) * item
    moved = made + item * sum(setting.count(x.level) * x.size for x in rows.leaves)
    gives = ", ".join(f"{describe(s)} {list(s.shape)}" for s in rows.sinks)
    engine = "kernel" if fused.uses_kernel(rows, setting) else "numpy"
    return Step("pass", ROWS[rows.level], gives, engine, count * sum(_flops(x) for x in rows.inner), moved, made)


def _sweep(sweep: Sweep, setting: Setting, sources: list[str], result: Explanation) -> list[Step]:
    direct, rest = resolved(sweep)
    item, edges = setting.dtype.itemsize, setting.topology.num_edges
    steps = []
    for sink in direct:
        rows = setting.count(sink.level)
        moved = edges * (sink.size * item + 4) + rows * sink.size * item
        made = rows * sink.size * item
        what = "neighbour sum" if sink.op == "aggregate" else "dot products"
        gives = f"{describe(sink)} {list(sink.shape)}"
        sources.append(f"# {gives} comes from the library's own kernel of the {what}; nothing is generated.\n")
        steps.append(Step(what, ROWS[sink.level], gives, "kernel", 2.0 * edges * sink.size, moved, made))
        _remember(sink, made, result)
    if rest is None:
        return steps
    kernel = fused.kernel_of(rest)
    sides = [s.info[1] if s.op == "aggregate" else s.level for s in rest.sinks]
    made = sum(setting.count(side) * s.size * item for s, side in zip(rest.sinks, sides))
    gathered = sum(x.size for x in rest.leaves if x.level in ("src", "dst", "edge")) * item + 4
    flops = edges * (sum(_flops(x) for x in rest.inner) + sum(s.size for s in rest.sinks))
    gives = ", ".join(f"{describe(s)} {list(s.shape)}" for s in rest.sinks)
    engine, note = "kernel", ""
    if isinstance(kernel, Kernel):
        sources.append(kernel.source)
        if not fused.uses_kernel(rest, setting):
            engine = "numpy"
            note = "so few numbers that numpy is quicker" if backend.current_backend() == "numba" else "numpy backend"
    else:
        passes = [found.source for _, found in chunks.passes_of(rest, setting) if found is not None]
        compiled = f"; {len(passes)} passes over the chunks are compiled" if passes else ""
        engine, note = "chunks", f"{gives}: {kernel}{compiled}"
        sources.append(f"# {gives} is computed in chunks of edges: {kernel}.\n")
        sources += passes
    if engine != "kernel":
        result.chunk_bytes = max(result.chunk_bytes, chunks.numbers_at_once(rest, setting) * item)
    steps.append(Step("sweep", ROWS[rest.side], gives, engine, flops, edges * gathered + made, made, note))
    if len(rest.sinks) == 1 and rest.sinks[0].op == "aggregate":
        _remember(rest.sinks[0], made, result)
    return steps


def _remember(sink: Symbol, made: float, result: Explanation) -> None:
    leaves = constant_inputs(sink)
    if leaves and not any(x.info[0] == "adjoint" for x in leaves):
        result.remembered.append(f"{describe(sink)} of {', '.join(describe(x) for x in leaves)} ({_bytes(made)})")


def _work_rows(x: Symbol, setting: Setting) -> int:
    """Rows that an operation works through: those of its argument for a sum over all of them."""
    return setting.count(x.args[0].level if x.op in ("total", "pool", "contract") and x.args else x.level)


def _flops(x: Symbol) -> float:
    """Floating-point operations per row, roughly: an exponential counts 10."""
    if x.op == "call":
        return TABLE[x.info].flops * x.size
    if x.op == "matmul":
        return 2.0 * x.size * x.args[0].shape[-1]
    if x.op == "contract":
        return 2.0 * x.args[0].size * x.args[1].shape[-1]
    if x.op in FREE:
        return 0.0
    return float(max([x.size, *(a.size for a in x.args)]))


def _table(steps: Sequence[Step]) -> list[str]:
    head = ("step", "by", "gives", "engine", "MFLOP", "moves", "makes", "")
    rows = [
        (s.what, s.rows, s.gives, s.engine, f"{s.flops / 1e6:.1f}", _bytes(s.moved), _bytes(s.made), s.note)
        for s in steps
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in (head, *rows)]


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
