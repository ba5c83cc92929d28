"""A sweep in bounded chunks of edges: gather, compute with numpy, reduce, chunk after chunk. Runs every program.

The numpy backend always works this way; with numba it is what programs fall back to whose edges need matrix products
or shapes that no kernel is generated for. Element-wise work between the products is then compiled, one pass for each.
Chunks are cut by their size alone, never by the number of threads, and each owns the rows that it writes. Imports
kernels, the plan, passes and single operations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.message.program import fused
from gnnkit.message.program.compute import compute, outer_sum, spread
from gnnkit.message.program.nodes import Step, edge_steps
from gnnkit.message.program.plan import Sweep, arguments
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

Passes = list[tuple[Step, fused.Kernel | None]]
CHUNK = 1 << 18  # numbers in the largest array of a chunk: 1 MB of float32, about a second-level cache


def run_sweep(sweep: Sweep, values: Mapping[Symbol, Any], setting: Setting) -> dict[Symbol, Any]:
    """Compute the sinks of a sweep from the values of its leaves."""
    edges = _Edges(sweep, setting)
    out = {sink: _empty(sink, setting) for sink in sweep.sinks if sink.op != "contract"}
    bounds = edges.bounds(_widest(sweep))
    if K.sums_are_exact() and any(sink.op == "contract" for sink in sweep.sinks):
        bounds = [0, len(edges.indptr) - 1]  # a sum over all edges: its order must not show, so it is taken at once
    parts: dict[Symbol, dict[int, Any]] = {sink: {} for sink in sweep.sinks if sink.op == "contract"}

    passes = passes_of(sweep, setting)

    def run(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            _chunk(sweep, edges, values, setting, start, stop, passes, out, parts)

    with K.single_threaded_blas():
        K.run_chunks(run, bounds)
    for sink, found in parts.items():
        total = np.zeros(sink.shape, setting.dtype)
        for start in bounds[:-1]:  # in the order of the rows, whoever computed them
            total += found[start]
        out[sink] = total
    return out


def _widest(sweep: Sweep) -> int:
    """Numbers per edge of the widest value; a matrix that is the same for all edges is held once."""
    return max((x.size for x in (*sweep.inner, *sweep.leaves) if x.level != "const"), default=1)


def numbers_at_once(sweep: Sweep, setting: Setting) -> int:
    """Numbers that a chunk of usual rows holds: everything that is computed or read per edge."""
    held = sum(x.size for x in (*sweep.inner, *sweep.leaves) if x.level != "const")
    return held * min(max(CHUNK // max(_widest(sweep), 1), 1), setting.topology.num_edges)


def passes_of(sweep: Sweep, setting: Setting) -> Passes:
    """What is computed per edge, in order: values with the compiled pass that gives them, or without one."""
    if sweep.steps is None:
        sweep.steps = edge_steps(sweep)
    return [(step, step.rows and fused.pass_of_chunk(step.rows, setting)) for step in sweep.steps]


def _empty(sink: Symbol, setting: Setting) -> np.ndarray:
    rows = setting.count(sink.info[1] if sink.op == "aggregate" else "edge")
    return np.empty((rows, *sink.shape), setting.dtype)


class _Edges:
    """The edges in the order of a sweep, and how its rows are cut."""

    def __init__(self, sweep: Sweep, setting: Setting) -> None:
        topology = setting.topology
        self.side, self.order = sweep.side, None
        if sweep.side == "src":
            reverse = topology.transpose()
            self.indptr, self.order = reverse.indptr, topology.transpose_permutation
            self.senders, self.receivers = reverse.receivers, reverse.indices
        else:
            self.indptr = topology.indptr if sweep.side == "dst" else setting.pointer("edge")
            self.senders, self.receivers = topology.indices, topology.receivers

    def bounds(self, width: int) -> list[int]:
        """Ranges of rows of at most about CHUNK numbers; a row larger than that is a range of its own."""
        edges, rows = max(CHUNK // max(width, 1), 1), len(self.indptr) - 1
        found = [0]
        while found[-1] < rows:
            start = found[-1]
            stop = int(np.searchsorted(self.indptr, self.indptr[start] + edges, side="right")) - 1
            found.append(min(max(stop, start + 1), rows, start + edges))
        return found


def _chunk(
    sweep: Sweep,
    edges: _Edges,
    values: Mapping[Symbol, Any],
    setting: Setting,
    start: int,
    stop: int,
    passes: Passes,
    out: dict[Symbol, Any],
    parts: dict[Symbol, dict[int, Any]],
) -> None:
    first, last = int(edges.indptr[start]), int(edges.indptr[stop])
    count = last - first
    here: dict[Symbol, Any] = {}
    for leaf in sweep.leaves:
        value = values[leaf]
        if leaf.level == "edge":
            value = value[first:last] if edges.order is None else value[edges.order[first:last]]
        elif leaf.level in ("src", "dst"):
            index = edges.senders if leaf.level == "src" else edges.receivers
            value = np.take(value, index[first:last], axis=0)
        elif leaf.level == "graph":
            index = np.searchsorted(setting.pointer("dst"), edges.receivers[first:last], side="right") - 1
            value = value[index]
        here[leaf] = value
    for step, kernel in passes:
        if kernel is not None and step.rows is not None:
            found = fused.run_pass(step.rows, kernel, here, count, setting.dtype)
            if found is not None:
                here |= found
                continue
        for x in step.values:
            here[x] = compute(x, [here[a] for a in arguments(x)], count, setting.dtype)
    pointer = edges.indptr[start : stop + 1] - first
    for sink in sweep.sinks:
        if sink.op == "contract":
            a, b = (spread(here[x], x, count, x.shape) for x in sink.args)
            parts[sink][start] = outer_sum(a, b)
        elif sink.op == "aggregate":
            rows = np.ascontiguousarray(spread(here[sink.args[0]], sink.args[0], count, sink.shape))
            out[sink][start:stop] = _reduce(rows, pointer, sink.info[0])
        else:
            place = slice(first, last) if edges.order is None else edges.order[first:last]
            out[sink][place] = spread(here[sink], sink, count, sink.shape)


def _reduce(rows: np.ndarray, pointer: np.ndarray, reducer: str) -> np.ndarray:
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    reduce = {"sum": K.segment_sum, "max": K.segment_max, "prod": K.segment_prod}[reducer]
    return reduce(flat, pointer).reshape(len(pointer) - 1, *rows.shape[1:])
