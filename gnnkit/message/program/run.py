"""Run a planned program on arrays: values of nodes by numpy, sweeps over the edges by kernels or in chunks.

Imports the plan, its engines and kernels; knows nothing of the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.message.program import chunks, exact, fused, patterns
from gnnkit.message.program.compute import aligned, compute
from gnnkit.message.program.nodes import Step, node_steps, with_early
from gnnkit.message.program.plan import Plan, Sweep, arguments, is_leaf, make_plan
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol
from gnnkit.message.segments import segment_sum


@lru_cache(maxsize=512)
def plan_for(outputs: tuple[Symbol, ...], known: frozenset[Symbol]) -> Plan:
    """The plan of some outputs, with what is computed per node before every stage."""
    plan = make_plan(outputs, known)
    have = set(known)
    for stage in [*plan.stages, []]:
        leaves = [x for sweep in stage for x in sweep.leaves] if stage else [o for o in outputs if is_leaf(o)]
        steps = node_steps(leaves, have)
        if stage:
            steps = with_early(steps, leaves, [o for o in outputs if is_leaf(o) and o not in have], have)
        plan.steps.append(steps)
        have |= {x for step in steps for x in (step.values if step.rows is None else step.rows.sinks)}
        have |= {sink for sweep in stage for sink in sweep.sinks}
    needed = set(outputs)
    for stage, steps in zip(reversed([*plan.stages, []]), reversed(plan.steps)):
        plan.later.append(frozenset(needed))
        needed |= {x for step in steps for x in _read_by(step)} | {x for sweep in stage for x in sweep.leaves}
    plan.later.reverse()
    return plan


def _read_by(step: Step) -> set[Symbol]:
    found = {a for x in step.values for a in (x, *arguments(x))}
    return found if step.rows is None else found | set(step.rows.leaves)


def evaluate(
    outputs: Sequence[Symbol],
    inputs: Mapping[Symbol, Any],
    setting: Setting,
    values: dict[Symbol, Any],
    keep: Collection[Symbol] = (),
    remember: Callable[[Symbol, Callable[[], Any]], Any] = lambda sink, build: build(),
) -> list[Any]:
    """Return the arrays of ``outputs``.

    Parameters
    ----------
    outputs : sequence of Symbol
    inputs : Symbol -> array
        Every input that the outputs depend on, in the dtype of the run.
    setting : Setting
    values : Symbol -> array
        What is known already. At the end it holds what ``keep`` names.
    keep : collection of Symbol
        Values that are wanted afterwards; all others are freed as soon as nothing reads them.
    remember : callable
        ``remember(sink, build)`` may return what an earlier run has built for a sum of constants.
    """
    plan = plan_for(tuple(outputs), frozenset(x for x in values if x.op != "input"))
    values.update(inputs)
    with np.errstate(all="ignore"):
        for stage, steps, later in zip([*plan.stages, []], plan.steps, plan.later):
            for step in steps:
                _run_step(step, values, setting)
            for sweep in stage:
                for leaf in sweep.leaves:
                    node_value(leaf, values, setting)
                _run_sweep(sweep, values, setting, remember)
            for x in [x for x in values if x not in later and x not in keep]:
                del values[x]
        return [_output(o, values, setting) for o in outputs]


def _output(x: Symbol, values: dict[Symbol, Any], setting: Setting) -> Any:
    value = np.asarray(node_value(x, values, setting))
    return value if value.dtype == setting.dtype else value.astype(setting.dtype)


def _run_step(step: Step, values: dict[Symbol, Any], setting: Setting) -> None:
    rows = step.rows
    if rows is not None and fused.uses_kernel(rows, setting):
        for leaf in rows.leaves:
            node_value(leaf, values, setting)
        found = _run_kernel(rows, values, setting)
        if found is not None:
            values.update(found)
            return
    for x in step.values:
        node_value(x, values, setting)


def _run_sweep(sweep: Sweep, values: dict[Symbol, Any], setting: Setting, remember: Any) -> None:
    direct, rest = resolved(sweep)
    for sink, way in direct.items():
        values[sink] = remember(sink, lambda way=way: way(values, setting))
    if rest is None:
        return
    if len(rest.sinks) == 1 and rest.sinks[0].op == "aggregate":
        (sink,) = rest.sinks
        values[sink] = remember(sink, lambda: run_engine(rest, values, setting)[sink])
    else:
        values.update(run_engine(rest, values, setting))


def resolved(sweep: Sweep) -> tuple[dict[Symbol, patterns.Direct], Sweep | None]:
    """The sums that a kernel of the ground floor computes, and the sweep that the others need; kept with the sweep."""
    if sweep.resolved is None:
        direct = {sink: way for sink in sweep.sinks if (way := patterns.match(sink)) is not None}
        if len(sweep.sinks) > 1 and any(sink.op != "aggregate" for sink in direct):
            direct = {}  # dot products beside a sum: one sweep reads the rows of both ends once
        left = [sink for sink in sweep.sinks if sink not in direct]
        rest = sweep if not direct else Sweep(sweep.side, left).settle() if left else None
        sweep.resolved = (direct, rest)
    return sweep.resolved


def run_engine(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting) -> dict[Symbol, Any]:
    """The generated kernel of a sweep where there is one, else chunks."""
    if K.sums_are_exact() and exact.needs_care(sweep):
        return exact.run_sweep(sweep, values, setting, run_engine)
    found = _run_kernel(sweep, values, setting)
    return chunks.run_sweep(sweep, values, setting) if found is None else found


def _run_kernel(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting) -> dict[Symbol, Any] | None:
    if not fused.uses_kernel(sweep, setting):
        return None
    try:
        return fused.run_kernel(sweep, values, setting)
    except fused.compiler_errors() as error:
        fused.give_up(sweep, error)
        return None


def node_value(x: Symbol, values: dict[Symbol, Any], setting: Setting) -> Any:
    """The value of something that is not computed per edge; its sums over edges must be there."""
    stack = [x]
    while stack:
        y = stack[-1]
        if y in values:
            stack.pop()
            continue
        read = arguments(y)
        missing = [a for a in read if a not in values]
        if missing:
            stack.extend(missing)
        else:
            values[y] = _node(y, [values[a] for a in read], setting)
            stack.pop()
    return values[x]


def _node(y: Symbol, args: list[Any], setting: Setting) -> Any:
    if y.op == "number":
        return setting.dtype.type(y.info)
    if y.op == "eps":
        return setting.dtype.type(np.finfo(setting.dtype).eps)
    if y.op == "degree":
        return setting.degree(y.info)
    if y.op == "guard":
        return _guard(y, args[0], setting)
    if y.op == "lift":
        return K.segment_repeat(args[0], setting.pointer(y.info))
    if y.op == "pool":
        rows = np.ascontiguousarray(args[0])
        flat = segment_sum(rows.reshape(len(rows), y.size), indptr=setting.pointer(y.args[0].level))
        return flat.reshape(len(flat), *y.shape)
    count = setting.count(y.args[0].level) if y.op in ("total", "contract") else setting.count(y.level)
    return compute(y, args, count, setting.dtype)


def _guard(y: Symbol, value: Any, setting: Setting) -> Any:
    """A factor that was taken out of a sum, with 1 (0 in derivatives) where the sum has no terms."""
    level, fill = y.info
    if not setting.has_empty(level):
        return value
    has_edges = (setting.degree(level) > 0).reshape(-1, *(1,) * y.ndim)
    return np.where(has_edges, aligned(value, y, y.ndim), setting.dtype.type(fill))
