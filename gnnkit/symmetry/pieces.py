"""Smaller graphs out of a graph: some of its nodes, edges and graphs, an image cropped, no node at all."""

from __future__ import annotations

import numpy as np

from gnnkit.graph import Graph, Grid, GridTopology, grid_topology
from gnnkit.graph.fields import take_rows
from gnnkit.graph.parallel import canonical_edges


def is_image(graph: Graph) -> bool:
    """Whether the nodes are the cells of one grid."""
    return isinstance(graph.topology, GridTopology) and not graph.topology.is_bipartite


def restricted(graph: Graph, nodes: np.ndarray, edges: np.ndarray, graphs: np.ndarray) -> Graph:
    """The graph of the nodes, edges (caller's order) and graphs of the batch that the masks keep; edges are listed.

    A node stays only if its graph does, an edge only if both its ends do.
    """
    nodes = nodes & graphs[graph.node_graph]
    senders, receivers, fields = graph.to_edges()
    edges = edges & nodes[senders] & nodes[receivers]
    kept, kept_edges, kept_graphs = np.flatnonzero(nodes), np.flatnonzero(edges), np.flatnonzero(graphs)
    number = np.cumsum(nodes) - 1
    chosen = {name: take_rows(value, kept_edges) for name, value in fields.items()}
    ends = number[senders[kept_edges]], number[receivers[kept_edges]]
    topology, chosen = canonical_edges(*ends, chosen, num_senders=len(kept), num_receivers=len(kept))
    ptr = None
    if len(kept_graphs) != 1:
        sizes = np.bincount(graph.node_graph[kept], minlength=graph.num_graphs)[kept_graphs]
        ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Graph.trusted(
        topology,
        {name: take_rows(value, kept) for name, value in graph.nodes.items()},
        chosen,
        {name: take_rows(value, kept_graphs) for name, value in graph.globals.items()},
        node_ptr=ptr,
    )


def cropped(graph: Graph, size: tuple[int, ...], graphs: np.ndarray) -> Graph:
    """The images that ``graphs`` keeps, cut to at most ``size`` from their first corner; holes stay holes."""
    topology = graph.topology
    assert isinstance(topology, GridTopology)
    grid = topology.grid
    kept_graphs = np.flatnonzero(graphs)
    inside = (grid.coordinates() < np.asarray(size)).all(axis=1) & graphs[graph.node_graph]
    sizes = [tuple(min(n, m) for n, m in zip(grid.sizes[i], size)) for i in kept_graphs.tolist()]
    mask = None
    if grid.mask is not None:
        cells = [
            grid.mask[grid.cell_ptr[i] : grid.cell_ptr[i + 1]].reshape(grid.sizes[i])[tuple(slice(m) for m in small)]
            for i, small in zip(kept_graphs.tolist(), sizes)
        ]
        mask = np.concatenate([cell.reshape(-1) for cell in cells])
    smaller = Grid.trusted(tuple(sizes), mask=mask, lattice=grid.lattice)
    kept = np.flatnonzero(inside)
    return Graph.trusted(
        grid_topology(smaller, topology.stencil),
        {name: take_rows(value, kept) for name, value in graph.nodes.items()},
        None,
        {name: take_rows(value, kept_graphs) for name, value in graph.globals.items()},
    )


def emptied(graph: Graph) -> Graph:
    """One graph without nodes that has the same fields, to stand beside ``graph`` in a batch."""
    first = np.arange(graph.num_graphs) == 0
    if is_image(graph):
        return cropped(graph, (0,) * graph.topology.grid.ndim, first)  # type: ignore[attr-defined]
    return restricted(graph, np.zeros(graph.num_nodes, bool), np.zeros(graph.num_edges, bool), first)
