"""neighbour_max: the maximum over neighbours in bounded chunks of edges, forward and backward.

Gathering the senders' rows and reducing them would hold arrays of one row per edge on the tape. Here every chunk owns
whole rows of the result, so nothing is added up across chunks. Imports the other operations of this floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff import Tensor, as_array, defvjp, is_tensor, primitive
from gnnkit.graph import Topology
from gnnkit.message.ops import aggregate, check_floating, check_rows, gather_receivers
from gnnkit.message.segments import as_tensor

CHUNK = 1 << 22  # values gathered at a time: 16 MB of float32, about the size of a cache


def _chunks(topology: Topology, width: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Cut the receivers into ranges of at most about ``CHUNK`` gathered values: (rows, edges, pointer of the range)."""
    edges = max(CHUNK // max(width, 1), 1)
    start, indptr = 0, topology.indptr
    while start < topology.num_receivers:
        stop = int(np.searchsorted(indptr, indptr[start] + edges, side="right")) - 1
        stop = min(max(stop, start + 1), topology.num_receivers)  # a row larger than a chunk is one of its own
        yield slice(start, stop), slice(indptr[start], indptr[stop]), indptr[start : stop + 1] - indptr[start]
        start = stop


@primitive
def _neighbour_max(x: Any, *, topology: Topology) -> Any:
    out = np.empty((topology.num_receivers, *x.shape[1:]), x.dtype)
    for rows, edges, indptr in _chunks(topology, math.prod(x.shape[1:])):
        out[rows] = K.segment_max(K.gather(x, topology.indices[edges]), indptr)
    return out


def _wins(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    return ((values == best) | ((values != values) & (best != best))).astype(values.dtype)


def _neighbour_max_rule(g: Any, y: Any, x: Any, *, topology: Topology) -> Any:
    best, values = as_array(y), as_array(x)
    ties = np.empty_like(best)
    width = math.prod(x.shape[1:])
    for rows, edges, indptr in _chunks(topology, width):
        gathered = K.gather(values, topology.indices[edges])
        ties[rows] = K.segment_sum(_wins(gathered, K.segment_repeat(best[rows], indptr)), indptr)
    shares = g / np.maximum(ties, 1)
    if is_tensor(g):  # to be differentiated again: who wins is constant, the rest is linear in g
        wins = _wins(values[topology.senders], best[topology.receivers])
        return aggregate(topology, gather_receivers(topology, shares) * wins, "sum", to="senders")
    reverse = topology.transpose()  # its receivers are the senders, whose gradient each chunk owns
    out = np.empty(x.shape, x.dtype)
    for rows, edges, indptr in _chunks(reverse, width):
        receivers = reverse.indices[edges]
        wins = _wins(K.segment_repeat(values[rows], indptr), K.gather(best, receivers))
        out[rows] = K.segment_sum(wins * K.gather(shares, receivers), indptr)
    return out


defvjp(_neighbour_max, _neighbour_max_rule, keep="0y")


def neighbour_max(topology: Topology, x: Any) -> Tensor:
    """Largest value over the senders of every receiver, feature by feature, in memory independent of the edges.

    Parameters
    ----------
    topology : Topology
    x : array or Tensor [num_senders, ...], floating

    Returns
    -------
    Tensor [num_receivers, ...]
        0 for a receiver without edges. Equal to ``aggregate(topology, gather_senders(topology, x), "max")``; tied
        winners share the gradient evenly.

    Raises
    ------
    ShapeError
        If ``x`` does not have one row per sender.
    DTypeError
        If ``x`` is not floating.

    Notes
    -----
    Only a derivative that is recorded itself (second order) holds arrays of one row per edge.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> gk.message.neighbour_max(g.topology, np.array([1.0, 2.0, 4.0])).numpy()
    array([0., 4., 0.])
    """
    x = check_floating(check_rows(x, topology.num_senders, "x", "sender"), "x")
    return as_tensor(_neighbour_max(x, topology=topology))
