"""A sweep whose sums must not depend on their order: values per edge by the usual engines, sums by pre-rounded kernels.

A generated kernel adds along the edges as they come. Here it (or a chunk) computes what is to be added as an output per
edge, or, where that is a number per edge and head times the rows of the other end, that number alone; then kernels of
the ground floor add. Imports the plan, patterns and kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.message.program.compute import spread
from gnnkit.message.program.patterns import is_weight, weighted_rows
from gnnkit.message.program.plan import Sweep, is_leaf
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

Engine = Callable[[Sweep, Mapping[Symbol, Any], Setting], dict[Symbol, Any]]


def needs_care(sweep: Sweep) -> bool:
    """Whether a sweep over edges adds something up, or finds the largest of values that may be zeros of both signs."""
    return sweep.level == "edge" and any(_is_reduced(sink) for sink in sweep.sinks)


def _is_reduced(sink: Symbol) -> bool:
    return sink.op == "aggregate" and sink.info[0] in ("sum", "max") and sink.info[1] != "graph"


def run_sweep(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting, engine: Engine) -> dict[Symbol, Any]:
    """Compute the sinks of a sweep from the values of its leaves; ``engine`` runs what is left of it."""
    if sweep.exact is None:
        sweep.exact = _split(sweep)
    products, per_edge = sweep.exact
    known = dict(values)
    if per_edge is not None:
        known.update(engine(per_edge, values, setting))
    found: dict[Symbol, Any] = {}
    for sink in sweep.sinks:
        if not _is_reduced(sink):
            found[sink] = known[sink]
        elif sink in products:
            weight, rows = products[sink]
            found[sink] = weighted_rows(sink, rows, weight, known, setting)
        else:
            found[sink] = _reduced(sink, _per_edge(sink.args[0], known, setting), setting)
    return found


def _split(sweep: Sweep) -> tuple[dict[Symbol, tuple[Symbol, Symbol]], Sweep | None]:
    """The sums of weighted rows among the sinks, and the sweep that computes what all sinks need per edge."""
    products = {sink: pair for sink in sweep.sinks if _is_reduced(sink) and (pair := _weight_and_rows(sink))}
    sinks: dict[Symbol, None] = {}
    for sink in sweep.sinks:
        needed = products[sink][0] if sink in products else sink.args[0] if _is_reduced(sink) else sink
        if needed is sink or not is_leaf(needed):
            sinks[needed] = None
    return products, Sweep(sweep.side, list(sinks)).settle() if sinks else None


def _weight_and_rows(sink: Symbol) -> tuple[Symbol, Symbol] | None:
    message, other = sink.args[0], "src" if sink.info[1] == "dst" else "dst"
    if sink.info[0] != "sum" or message.op != "call" or message.info != "multiply":
        return None
    for weight, rows in (message.args, message.args[::-1]):
        if rows.level == other and weight.level == "edge" and is_weight(weight, rows):
            return weight, rows
    return None


def _per_edge(x: Symbol, values: Mapping[Symbol, Any], setting: Setting) -> np.ndarray:
    """A value as one row per edge, in the order of the topology."""
    topology, value = setting.topology, values[x]
    if x.level in ("src", "dst"):
        return K.gather(value, topology.indices if x.level == "src" else topology.receivers)
    return spread(value, x, topology.num_edges, x.shape) if x.level == "const" else value


def _reduced(sink: Symbol, messages: np.ndarray, setting: Setting) -> np.ndarray:
    """The sum or maximum of values per edge [num_edges, ...] at the receivers, or at the senders."""
    topology = setting.topology
    rows = np.ascontiguousarray(messages, setting.dtype).reshape(topology.num_edges, sink.size)
    indptr = topology.indptr
    if sink.info[1] == "src":
        indptr, rows = topology.transpose().indptr, K.gather(rows, topology.transpose_permutation)
    reduce = K.segment_sum if sink.info[0] == "sum" else K.segment_max
    return reduce(rows, indptr).reshape(len(indptr) - 1, *sink.shape)
