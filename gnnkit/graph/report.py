"""What a graph looks like, counted: the answer of ``Graph.report()``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnkit.graph.fields import ENTRY, describe, is_sparse, raw
from gnnkit.graph.origin import node_label
from gnnkit.graph.parallel import same_as_before
from gnnkit.graph.topology import Topology

if TYPE_CHECKING:
    from gnnkit.graph.graph import Graph


@dataclass(frozen=True)
class GraphReport:
    """Counts of a graph; ``print`` shows them as a table.

    Attributes
    ----------
    num_nodes, num_edges, num_graphs : int
    num_isolated : int
        Nodes with no edge to or from another node (a self-loop alone does not count as company).
    isolated_nodes : int [num_isolated]
    num_self_loops : int
    num_duplicates : int
        Edges beyond the first between the same sender and receiver.
    is_symmetric : bool
        Every edge has its reverse.
    num_components, largest_component : int
        Weakly connected components, and the number of nodes of the largest.
    in_degree : tuple of int, float, int
        Least, mean and greatest number of incoming edges.
    fields : dict
        "nodes.x" -> text with dtype and shape.
    num_bytes : int
        Memory of topology and fields.
    """

    num_nodes: int
    num_edges: int
    num_graphs: int
    num_isolated: int
    isolated_nodes: np.ndarray
    num_self_loops: int
    num_duplicates: int
    is_symmetric: bool
    num_components: int
    largest_component: int
    in_degree: tuple[int, float, int]
    fields: dict[str, str]
    num_bytes: int
    first_isolated: str = ""

    def __str__(self) -> str:
        isolated = f"{self.num_isolated:,}" + (f" (first: {self.first_isolated})" if self.num_isolated else "")
        low, mean, high = self.in_degree
        rows = [
            ("graphs", f"{self.num_graphs:,}"),
            ("nodes", f"{self.num_nodes:,}"),
            ("edges", f"{self.num_edges:,} directed"),
            ("symmetric", "yes" if self.is_symmetric else "no"),
            ("isolated nodes", isolated),
            ("self-loops", f"{self.num_self_loops:,}"),
            ("duplicate edges", f"{self.num_duplicates:,}"),
            ("components", f"{self.num_components:,} (largest: {self.largest_component:,} nodes)"),
            ("in-degree", f"{low:,} to {high:,}, mean {mean:.2f}"),
            *self.fields.items(),
            ("memory", size_text(self.num_bytes)),
        ]
        width = max(len(key) for key, _ in rows)
        return "\n".join(f"{key:<{width}}  {value}" for key, value in rows)

    __repr__ = __str__


def build_report(g: Graph) -> GraphReport:
    """Count everything once, vectorised."""
    topology = g.topology
    loops = topology.self_loops()
    own = np.bincount(topology.receivers[loops], minlength=g.num_nodes)
    isolated = np.flatnonzero(topology.in_degree() + topology.out_degree() - 2 * own == 0)
    components = component_labels(g)
    sizes = np.bincount(components) if len(components) else np.zeros(0, int)
    degrees = topology.in_degree()
    return GraphReport(
        num_nodes=g.num_nodes,
        num_edges=g.num_edges,
        num_graphs=g.num_graphs,
        num_isolated=len(isolated),
        isolated_nodes=isolated,
        num_self_loops=int(loops.sum()),
        num_duplicates=int(same_as_before(topology).sum()),
        is_symmetric=topology.is_symmetric(),
        num_components=len(sizes),
        largest_component=int(sizes.max(initial=0)),
        in_degree=(int(degrees.min()), float(degrees.mean()), int(degrees.max())) if len(degrees) else (0, 0.0, 0),
        fields={f"{level}.{name}": field_text(value) for level in ENTRY for name, value in getattr(g, level).items()},
        num_bytes=topology_bytes(topology) + field_bytes(getattr(g, level) for level in ENTRY),
        first_isolated=node_label(g.origin, int(isolated[0])) if len(isolated) else "",
    )


def component_labels(g: Graph) -> np.ndarray:
    """Weakly connected component of every node, int32 [num_nodes]."""
    if g.num_nodes == 0:
        return np.zeros(0, np.int32)
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    topology = g.topology
    ones = np.ones(topology.num_edges, np.int8)
    rows = sparse.csr_array((ones, topology.indices, topology.indptr), shape=(g.num_nodes, g.num_nodes))
    return connected_components(rows, directed=True, connection="weak")[1]


def field_text(value: Any) -> str:
    """Dtype, shape and density of a field."""
    if not is_sparse(value):
        return describe(value)
    size = max(int(np.prod(value.shape)), 1)
    return f"{describe(value)}, {100 * value.nnz / size:.2f} % stored"


def topology_bytes(topology: Topology) -> int:
    """Memory of the edges, without what is cached; none for a grid, whose edges follow from its stencil."""
    if topology.graph_ptr is not None:
        return 0
    order = 0 if topology.is_caller_ordered else topology.edge_order.nbytes
    return topology.indptr.nbytes + topology.indices.nbytes + order


def field_bytes(maps: Iterable[Mapping[str, Any]]) -> int:
    """Memory of the values in field maps."""
    return sum(value.nbytes if is_sparse(value) else raw(value).nbytes for fields in maps for value in fields.values())


def size_text(count: int) -> str:
    """A number of bytes as a person reads it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
