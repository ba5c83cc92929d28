"""The symmetric normalisation that GCN, SGC, APPNP and Cheb share, scaled and kept per dtype. Imports graph only."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.graph import Topology
from gnnkit.graph.transforms import gcn_normalised


def normalised(
    topology: Topology, weights: Any, dtype: Any, *, self_loops: bool, factor: float = 1.0
) -> tuple[Topology, Any]:
    """Return the topology (with self-loops added) and ``factor w_ij / sqrt(d_i d_j)`` for its edges.

    ``d`` is the weighted in-degree; where it is 0 the result is 0.

    Parameters
    ----------
    topology : Topology
    weights : None, array or Tensor [num_edges]
        None means 1, and the result is cached per dtype. A Tensor keeps its gradient.
    dtype
        Dtype of the result.
    self_loops : bool
        Whether every node that has no self-loop gets one of weight 1.
    factor : float
        Scales the result, so that a recurrence needs no pass of its own for it.
    """
    if weights is not None:
        looped, values = gcn_normalised(topology, weights, self_loops, dtype=dtype)
        return looped, values if factor == 1.0 else values * factor

    def build() -> tuple[Topology, np.ndarray]:
        looped, values = gcn_normalised(topology, None, self_loops, dtype=np.float64)
        scaled = np.array(values * factor, dtype=dtype)
        scaled.flags.writeable = False  # owned and read-only: the neighbour sum keeps its transpose
        return looped, scaled

    return topology.cached(("normalised", self_loops, factor, np.dtype(dtype).str), build)
