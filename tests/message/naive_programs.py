"""A naive interpreter of message programs: one numpy operation per edge and per node, in float64. Imports numpy only.

It says what a message program means. A `Rows` holds a list of small arrays, one for every edge (or sender, receiver,
graph, or one for all); an operation loops over them; `agg` loops over the edges of every receiver. The functions that
the engine traces run on `Rows` unchanged, with `naive.agg` and `naive.gk` in the place of gnnkit's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


@dataclass(frozen=True, eq=False)
class Edges:
    """Which edges there are, and to which graph every node belongs."""

    senders: list[int]
    receivers: list[int]
    num_senders: int
    num_receivers: int
    sender_graph: list[int]
    receiver_graph: list[int]
    num_graphs: int

    def count(self, level):
        return {
            "all": 1, "graph": self.num_graphs, "src": self.num_senders, "dst": self.num_receivers,
            "edge": len(self.senders),
        }[level]  # fmt: skip

    def owner(self, k, level):
        """The receiver, sender or graph of edge k."""
        return {
            "src": self.senders[k], "dst": self.receivers[k], "graph": self.receiver_graph[self.receivers[k]],
        }[level]  # fmt: skip


def edges_of(graph):
    """Edges of a Graph or Topology, in canonical order."""
    topology = getattr(graph, "topology", graph)
    single = topology is graph
    senders, receivers = topology.num_senders, topology.num_receivers
    return Edges(
        topology.senders.tolist(),
        topology.receivers.tolist(),
        senders,
        receivers,
        [0] * senders if single else graph.node_graph.tolist(),
        [0] * receivers if single else graph.node_graph.tolist(),
        1 if single else graph.num_graphs,
    )


class Rows(NDArrayOperatorsMixin):
    """A value of a program: a numpy array for every row of its level; ``like`` is one more, for levels without rows."""

    def __init__(self, edges, level, rows, like=None):
        self.edges, self.level = edges, level
        self.rows = [np.asarray(row) for row in rows]
        self.like = self.rows[0] if self.rows else np.asarray(like)
        assert len(self.rows) == edges.count(level)

    def at(self, level):
        """One array for every row of a finer level."""
        e = self.edges
        if self.level == level:
            return self.rows
        if self.level == "all":
            return self.rows * e.count(level)
        if level == "edge":
            return [self.rows[e.owner(k, self.level)] for k in range(e.count("edge"))]
        assert self.level == "graph"
        return [self.rows[g] for g in (e.sender_graph if level == "src" else e.receiver_graph)]

    def array(self):
        """All rows in one array [rows, ...]."""
        return np.stack(self.rows) if self.rows else np.zeros((0, *self.like.shape))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return each_row(getattr(ufunc, method), *inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return each_row(function, *args, **kwargs)

    def __getitem__(self, index):
        return each_row(lambda row: row[index], self)

    def __getattr__(self, name):  # sum, mean, max, min, reshape, transpose
        if name not in ("sum", "mean", "max", "min", "reshape", "transpose"):
            raise AttributeError(name)
        return lambda *args, **kwargs: each_row(lambda row: getattr(row, name)(*args, **kwargs), self)

    @property
    def T(self):
        return self.transpose()


def each_row(function, *args, **kwargs):
    """Call ``function`` once for every row, with the row of every `Rows` among the arguments."""
    found = list(values_in(args))
    edges = found[0].edges
    levels = {v.level for v in found}
    ends = levels - {"all", "graph"}
    level = "edge" if len(ends) > 1 else ends.pop() if ends else "graph" if "graph" in levels else "all"
    spread = {id(v): [*v.at(level), v.like] for v in found}
    with np.errstate(all="ignore"):
        rows = [function(*pick(args, spread, i), **kwargs) for i in range(edges.count(level) + 1)]
    return Rows(edges, level, rows[:-1], rows[-1])


def values_in(args):
    for arg in args:
        if isinstance(arg, Rows):
            yield arg
        elif isinstance(arg, tuple | list):
            yield from values_in(arg)


def pick(args, spread, i):
    return [
        spread[id(a)][i] if isinstance(a, Rows) else pick(a, spread, i) if isinstance(a, tuple | list) else a
        for a in args
    ]


# --- over the edges of a receiver -------------------------------------------------------------------------------------


def messages_of(value, to):
    """The level of ``to``, and for everyone there the messages of its edges, one after the other."""
    level = {"receivers": "dst", "senders": "src", "graphs": "graph"}[to]
    groups = [[] for _ in range(value.edges.count(level))]
    for k, message in enumerate(value.at("edge")):
        groups[value.edges.owner(k, level)].append(message)
    return level, groups


def reducer(one, empty):
    """An aggregation: ``one`` reduces a list of messages, ``empty`` is the result without any."""

    def reduce(value, to="receivers"):
        level, groups = messages_of(value, to)
        nothing = np.full(value.like.shape, float(empty))
        with np.errstate(all="ignore"):
            rows = [one(np.stack(g).astype(float)) if g else nothing for g in groups]
        return Rows(value.edges, level, rows, nothing)

    return reduce


def _logsumexp(messages):
    top = messages.max(0)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.exp(messages - top).sum(0)) + top


def _prod(messages):
    return math.prod(list(messages[1:]), start=messages[0])


def softmax(value, to="receivers"):
    level, groups = messages_of(value, to)
    rows = []
    for k, message in enumerate(value.at("edge")):
        group = np.stack(groups[value.edges.owner(k, level)])
        top = group.max(0)
        top = np.where(np.isfinite(top), top, 0.0)
        total = np.exp(group - top).sum(0)
        rows.append(np.exp(message - top) / np.where(total == 0, 1.0, total))
    return Rows(value.edges, "edge", rows, value.like)


def agg_for(edges):
    """What stands for ``gk.agg``."""

    def degree(to="receivers"):
        return agg.sum(Rows(edges, "all", [np.float64(1.0)]), to)

    agg = SimpleNamespace(
        sum=reducer(lambda m: m.sum(0), 0),
        mean=reducer(lambda m: m.mean(0), 0),
        max=reducer(lambda m: m.max(0), 0),
        min=reducer(lambda m: m.min(0), 0),
        prod=reducer(_prod, 1),
        var=reducer(lambda m: m.var(0), 0),
        std=reducer(lambda m: m.std(0), 0),
        logsumexp=reducer(_logsumexp, -np.inf),
        softmax=softmax,
        degree=degree,
    )
    return agg


def _rowwise(function):
    return lambda value, *args, **kwargs: each_row(lambda row: function(row, *args, **kwargs), value)


def gk_for(edges):
    """What stands for ``gk``: the functions that programs use, and ``agg``."""
    return SimpleNamespace(
        agg=agg_for(edges),
        relu=_rowwise(lambda x: np.where(x > 0, x, 0.0)),
        leaky_relu=_rowwise(lambda x, slope=0.01: np.where(x > 0, x, slope * x)),
        elu=_rowwise(lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))),
        sigmoid=_rowwise(lambda x: 1 / (1 + np.exp(-x))),
        softplus=_rowwise(lambda x: np.log(1 + np.exp(x))),
        gelu=_rowwise(lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
        softmax=_rowwise(lambda x, axis=-1: np.exp(x) / np.exp(x).sum(axis, keepdims=True)),
        logsumexp=_rowwise(lambda x, axis=-1: np.log(np.exp(x).sum(axis))),
    )


# --- running ----------------------------------------------------------------------------------------------------------

LEVELS = {"src": "src", "dst": "dst", "edge": "edge", "globals": "graph", "params": "all"}


def fields_for(edges, given):
    """``{namespace: {name: array}}`` as the objects that a program gets as its arguments."""
    return {
        namespace: SimpleNamespace(
            **{
                name: Rows(edges, LEVELS[namespace], [wide(a)] if namespace == "params" else wide(a), sample(a))
                for name, a in members.items()
            }
        )
        for namespace, members in given.items()
    }


def wide(value):
    value = np.asarray(value)
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def sample(array):
    return np.ones(np.shape(array)[1:], np.asarray(array).dtype)


def run(make, graph, given):
    """Result of the program that ``make(gk)`` returns, one edge after the other.

    Parameters
    ----------
    make : callable
        Given gnnkit or what stands for it here, the message function.
    graph : Graph or Topology
    given : {namespace: {name: array}}

    Returns
    -------
    Rows, or a tuple of them
    """
    edges = edges_of(graph)
    result = make(gk_for(edges))(**fields_for(edges, given))
    results = result if isinstance(result, tuple) else (result,)
    return tuple(Rows(edges, "dst", r.at("dst"), r.like) if r.level == "all" else r for r in results)
