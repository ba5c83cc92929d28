"""Sums over edges that a kernel of the ground floor computes as it is: neighbour sums, and sums of a field of edges.

Imports symbols, kernels and the plan's idea of a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.message.memory import is_frozen, remember
from gnnkit.message.program.setting import Setting
from gnnkit.message.program.symbols import Symbol

Direct = Callable[[dict[Symbol, Any], Setting], Any]


def match(sink: Symbol) -> Direct | None:
    """The ready-made way to compute a sink, if there is one."""
    if sink.op != "aggregate":
        return _match_dot(sink)
    if sink.info[0] != "sum" or sink.info[1] == "graph":
        return None
    to, message = sink.info[1], sink.args[0]
    other = "src" if to == "dst" else "dst"
    if message.level == other:
        return partial(weighted_rows, sink, message, None)
    if message.op == "call" and message.info == "multiply":
        for weight, rows in (message.args, message.args[::-1]):
            if rows.level == other and weight.op == "input" and weight.level == "edge" and is_weight(weight, rows):
                return partial(weighted_rows, sink, rows, weight)
    return None


def _match_dot(sink: Symbol) -> Direct | None:
    """The dot product of the features of both ends, for every edge."""
    x = sink.args[0] if sink.op == "reshape" else sink
    if x.op != "feature_sum" or x.size != 1 or x.args[0].op != "call" or x.args[0].info != "multiply":
        return None
    for mine, theirs in (x.args[0].args, x.args[0].args[::-1]):
        if mine.level == "dst" and theirs.level == "src" and mine.shape == theirs.shape:
            return partial(_edge_dot, sink, mine, theirs)
    return None


def _edge_dot(sink: Symbol, mine: Symbol, theirs: Symbol, values: dict[Symbol, Any], setting: Setting) -> Any:
    t = setting.topology
    rows = (np.ascontiguousarray(values[x]).reshape(setting.count(x.level), x.size) for x in (mine, theirs))
    return K.edge_dot(t.indptr, t.indices, *rows).reshape(t.num_edges, *sink.shape)


def is_weight(weight: Symbol, rows: Symbol) -> bool:
    """Whether it is one number per edge, or one per edge and head for rows [heads, channels]."""
    if weight.kind != "f":
        return False
    if weight.size == 1:
        return weight.ndim <= rows.ndim
    return rows.ndim == 2 and weight.ndim == 2 and weight.shape == (rows.shape[0], 1)


def weighted_rows(
    sink: Symbol, rows: Symbol, weight: Symbol | None, values: dict[Symbol, Any], setting: Setting
) -> Any:
    topology = setting.topology
    x = values[rows]
    w = None
    if weight is not None:
        w = values[weight]
        if sink.info[1] == "src":
            w = _permuted(w, topology)
        w = w.reshape((len(w), *(() if weight.size == 1 else weight.shape[:1])))
    t = topology if sink.info[1] == "dst" else topology.transpose()
    return K.neighbour_sum(t.indptr, t.indices, np.ascontiguousarray(x), w).reshape(t.num_receivers, *sink.shape)


def _permuted(weights: np.ndarray, topology: Any) -> np.ndarray:
    """Weights in the order of the transpose; of a cached normalisation, permuted once and not at every step."""
    if not is_frozen(weights):
        return K.gather(weights, topology.transpose_permutation)
    return remember(topology, "permuted", weights, lambda: K.gather(weights, topology.transpose_permutation))
