"""Parallel edges made one: ``coalesce``, and the row reduction it shares with ``to_undirected``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gnnkit import autodiff
from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, unknown_name
from gnnkit.graph.fields import is_tensor, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin
from gnnkit.graph.parallel import same_as_before
from gnnkit.graph.topology import Topology
from gnnkit.graph.transforms.rebuild import with_topology

REDUCERS = ("sum", "mean", "max", "min", "prod", "first")
Reduce = str | Mapping[str, str]


def coalesce(g: Graph, *, reduce: Reduce = "sum") -> Graph:
    """Merge parallel edges into one.

    Parameters
    ----------
    g : Graph
    reduce : str or mapping from field name to str
        What becomes of the edge fields: "sum", "mean", "max", "min", "prod" or "first" (in the caller's order; the
        only one for strings and dates). Booleans take "max" (any) and "min" (all).

    Returns
    -------
    Graph
        Each merged edge stands where the first of its parts stood. ``g`` itself if no edges are parallel.

    Notes
    -----
    Tensors keep their gradient (max and min share it evenly over ties; "prod" is for arrays). Edge keys of a
    multigraph are forgotten.

    Examples
    --------
    >>> import gnnkit as gk
    >>> g = gk.from_edges([0, 1, 0], [1, 0, 1], num_nodes=2, e=[1.0, 5.0, 2.0])
    >>> gk.transforms.coalesce(g).to_edges()
    (array([0, 1], dtype=int32), array([1, 0], dtype=int32), {'e': array([3., 5.])})
    """
    check_reduce(g, reduce)
    repeated = same_as_before(g.topology)
    if not repeated.any():
        return g
    old = g.topology
    starts = np.flatnonzero(~repeated)
    runs = np.append(starts, old.num_edges)
    indptr = np.searchsorted(starts, old.indptr).astype(np.int64)
    first = np.minimum.reduceat(old.edge_order, starts)  # by the caller's order, in which parallel edges need not stand
    topology = Topology.trusted(indptr, old.indices[starts], old.num_senders, seats(first, old.num_edges))
    fields = {
        name: take_rows(value, old.caller_order[first])
        if reducer_of(reduce, name) == "first"
        else reduce_runs(value, runs, reducer_of(reduce, name), name)
        for name, value in g.edges.items()
    }
    origin: Any = g.origin
    if isinstance(origin, Origin) and origin.partner is not None:
        partner = topology.edge_order[partners(topology)][topology.caller_order]
        origin = replace(origin, partner=partner, edge_keys=None, multigraph=None)
        # Both directions of an undirected edge must hold the same bits, whatever the order of their sums.
        source = topology.caller_order[np.minimum(partner, np.arange(len(partner)))][topology.edge_order]
        fields = {name: take_rows(value, source) for name, value in fields.items()}
    elif origin is not None:
        origin = origin.without_edges()
    return with_topology(g, topology, fields, origin=origin)


def partners(topology: Topology) -> np.ndarray:
    """Canonical position of the reverse of every edge, the k-th of parallel ones with the k-th; -1 if it has none.

    A self-loop is its own reverse. O(num_edges log num_edges).
    """
    if topology.num_edges == 0:
        return np.zeros(0, np.int64)
    n = np.int64(topology.num_nodes)
    forward = topology.receivers * n + topology.senders  # ascending: this is the canonical order
    by_sender = topology.transpose_permutation
    reverse = topology.transpose()
    backward = reverse.receivers * n + reverse.senders  # ascending as well, so the search below walks through memory
    positions = np.arange(len(forward))
    begins = np.append(True, backward[1:] != backward[:-1])
    rank = positions - np.maximum.accumulate(np.where(begins, positions, 0))
    seat = np.searchsorted(forward, backward) + rank
    there = forward[np.minimum(seat, len(forward) - 1)] == backward
    found = np.empty(len(forward), np.int64)
    found[by_sender] = np.where(there & (seat < len(forward)), seat, -1)
    return found


def seats(chosen: np.ndarray, count: int) -> np.ndarray:
    """Rank of every entry of ``chosen`` (distinct, 0 <= i < count) among them, without sorting."""
    mask = np.zeros(count, bool)
    mask[chosen] = True
    return (np.cumsum(mask) - 1)[chosen]


def check_reduce(g: Graph, reduce: Reduce) -> None:
    """Raise for an unknown reducer or field, or a mapping that leaves an edge field out."""
    for name in reduce.values() if isinstance(reduce, Mapping) else (reduce,):
        if name not in REDUCERS:
            raise unknown_name("reducer", name, REDUCERS)
    unknown = [name for name in reduce if name not in g.edges] if isinstance(reduce, Mapping) else []
    if unknown:
        raise InvalidArgumentError(
            f"reduce must name edge fields. Got {unknown[0]!r}; the edge fields are {list(g.edges)}. Correct the name."
        )
    missing = [name for name in g.edges if isinstance(reduce, Mapping) and name not in reduce]
    if missing:
        raise InvalidArgumentError(
            f"reduce must name a reducer for every edge field. Got none for {', '.join(map(repr, missing))}. "
            "Add it, or give one name for all."
        )


def reducer_of(reduce: Reduce, field: str) -> str:
    """The reducer of one field."""
    return reduce[field] if isinstance(reduce, Mapping) else reduce


def reduce_runs(value: Any, indptr: np.ndarray, reducer: str, name: str) -> Any:
    """Reduce rows ``indptr[i] <= k < indptr[i + 1]`` of a field to one, for non-empty runs; not for "first"."""
    if is_tensor(value):
        return _reduce_tensor(value, indptr, reducer)
    kind = value.dtype.kind
    if kind == "b" and reducer in ("max", "min"):
        return _segments(reducer, value.astype(np.uint8), indptr).astype(bool)
    if kind not in "iufc" or (kind == "c" and reducer in ("max", "min")):
        raise DTypeError(
            f"Only {'real ' if kind == 'c' else ''}numbers can be reduced by {reducer!r}. "
            f"The edge field {name!r} is {value.dtype}. "
            f"Use reduce={{{name!r}: 'first', ...}}" + (", 'max' (any) or 'min' (all)." if kind == "b" else ".")
        )
    return _segments(reducer, value, indptr)


def _segments(reducer: str, value: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    return getattr(K, f"segment_{reducer}")(value, indptr)


def _reduce_tensor(value: Any, indptr: np.ndarray, reducer: str) -> Any:
    """Differentiable sum, mean, max and min out of scatter_add, with the gradient shared evenly over ties."""
    counts = np.diff(indptr)
    runs = np.repeat(np.arange(len(counts)), counts)
    shape = (-1,) + (1,) * (value.ndim - 1)
    if reducer == "sum":
        return autodiff.scatter_add(value, runs, len(counts))
    if reducer == "mean":
        return autodiff.scatter_add(value, runs, len(counts)) / counts.reshape(shape).astype(value.dtype)
    if reducer == "prod":
        raise DTypeError(
            "The product of parallel edges is offered for arrays. Got a Tensor. Use sum, mean, max, min or first."
        )
    best = _segments(reducer, value.data, indptr)
    winner = value.data == best[runs]
    ties = K.segment_sum(winner.astype(value.dtype), indptr)
    share = np.where(winner, 1 / ties[runs], 0).astype(value.dtype)
    return autodiff.scatter_add(value * share, runs, len(counts))
