"""The symmetric normalisation of a topology that GCN, SGC, APPNP and Cheb share, cached or differentiable.

Imports autodiff, graph and message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.autodiff import as_array, is_tensor, take_rows
from gnnkit.graph import Topology
from gnnkit.graph.transforms import gcn_normalised
from gnnkit.message import aggregate, gather_receivers, gather_senders
from gnnkit.nn.conv.base import with_self_loops


def normalised(
    topology: Topology, weights: Any, dtype: Any, *, self_loops: bool, factor: float = 1.0
) -> tuple[Topology, Any]:
    """Return the topology (with self-loops added) and ``factor w_ij / sqrt(d_i d_j)`` for its edges.

    ``d`` is the weighted in-degree; where it is not positive the result is 0.

    Parameters
    ----------
    topology : Topology
    weights : None, array or Tensor [num_edges]
        None means 1 and is cached per dtype. The normalisation is differentiated if ``weights`` is being learnt.
    dtype
        Dtype of the result.
    self_loops : bool
        Whether every node that has no self-loop gets one of weight 1.
    factor : float
        Scales the result, so that a recurrence needs no pass of its own for it.
    """
    if weights is None:

        def build() -> tuple[Topology, np.ndarray]:
            looped, exact = gcn_normalised(topology, None, self_loops)
            rounded = (exact * factor).astype(dtype)
            rounded.flags.writeable = False  # lets the neighbour sum keep its transpose
            return looped, rounded

        return topology.cached(("normalised", self_loops, factor, np.dtype(dtype).str), build)
    if is_tensor(weights) and weights.requires_grad:
        looped, exact = _differentiable(topology, weights, self_loops)
        return looped, exact if factor == 1.0 else exact * factor
    looped, exact = gcn_normalised(topology, as_array(weights), self_loops)
    return looped, (exact * factor).astype(dtype, copy=False)


def _differentiable(topology: Topology, weights: Any, self_loops: bool) -> tuple[Topology, Any]:
    if self_loops:
        looped, rows = with_self_loops(topology)
        ones = np.ones(looped.num_edges - topology.num_edges, weights.dtype)
        weights = take_rows(np.concatenate([weights, ones]), rows)
        topology = looped
    degree = aggregate(topology, weights, "sum")
    positive = degree.data > 0
    scale = np.where(positive, degree, 1.0) ** -0.5 * positive.astype(degree.dtype)
    return topology, gather_receivers(topology, scale) * weights * gather_senders(topology, scale)
