"""Grids with their edges listed: the same graph for everything that reads edges one by one."""

from __future__ import annotations

from gnnkit.errors import DTypeError, InvalidFeatureError
from gnnkit.graph.graph import Graph
from gnnkit.graph.grids.topology import GridTopology


def to_explicit(g: Graph) -> Graph:
    """Return a grid graph on a plain topology, with the weight index of every edge as edge field "offset".

    Parameters
    ----------
    g : Graph
        On a grid, such as an image.

    Returns
    -------
    Graph
        The same nodes, edges and fields, and ``edges["offset"]`` int32 [num_edges]: which cell of the kernel the
        sender is, counted in C order.

    Raises
    ------
    DTypeError
        When the graph is no grid.
    InvalidFeatureError
        When it has an edge field "offset" already.

    Notes
    -----
    Parallel edges, where a border folds several offsets onto one sender, are ordered by offset.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> g = gk.transforms.to_explicit(gk.from_sequence(np.zeros(3)))
    >>> g.topology
    Topology(num_nodes=3, num_edges=7)
    >>> g.edges["offset"]
    array([1, 2, 0, 1, 2, 0, 1], dtype=int32)
    """
    topology = g.topology
    if not isinstance(topology, GridTopology):
        raise DTypeError(
            f"Only the edges of a grid can be made explicit. This graph has listed edges already: {topology!r}. "
            "Use it as it is, or make an image with gk.from_image."
        )
    if "offset" in g.edges:
        raise InvalidFeatureError(
            "The edge field 'offset' is what this writes. The graph has one already. "
            "Drop it with g.without('offset'), or give it another name."
        )
    plain, offset = topology.to_explicit()
    node_ptr = None if g.num_graphs == 1 else g.node_ptr
    return Graph.trusted(plain, g.nodes, {**g.edges, "offset": offset}, g.globals, node_ptr=node_ptr, origin=g.origin)
