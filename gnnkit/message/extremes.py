"""neighbour_max: the maximum over neighbours, in memory independent of the edges. A message program with a door.

Imports the other operations of this floor.
"""

from __future__ import annotations

from typing import Any

from gnnkit.autodiff import Tensor
from gnnkit.graph import Topology
from gnnkit.message.ops import check_floating, check_rows
from gnnkit.message.program import agg, message_program


@message_program
def _largest(src: Any) -> Any:
    return agg.max(src.x)


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

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.from_edges([0, 2], [1, 1], num_nodes=3)
    >>> gk.message.neighbour_max(g.topology, np.array([1.0, 2.0, 4.0])).numpy()
    array([0., 4., 0.])
    """
    x = check_floating(check_rows(x, topology.num_senders, "x", "sender"), "x")
    return _largest(topology, src={"x": x})
