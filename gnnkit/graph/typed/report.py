"""What a typed graph looks like, counted type by type: the answer of ``TypedGraph.report()``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnnkit.graph.report import component_labels, field_bytes, field_text, same_as_before, size_text, topology_bytes
from gnnkit.graph.typed.keys import RelationKey

if TYPE_CHECKING:
    from gnnkit.graph.typed.graph import TypedGraph


@dataclass(frozen=True)
class NodeReport:
    """Counts of one node type: ``isolated_nodes`` have no edge of any relation to or from another node."""

    num_nodes: int
    isolated_nodes: np.ndarray
    fields: dict[str, str]

    @property
    def num_isolated(self) -> int:
        """How many nodes have no edge to or from another node."""
        return len(self.isolated_nodes)


@dataclass(frozen=True)
class RelationReport:
    """Counts of one relation: edges, those beyond the first between the same nodes, self-loops (None between two
    types), whether every edge has its reverse (None between two types), least, mean and greatest degrees."""

    num_edges: int
    num_duplicates: int
    num_self_loops: int | None
    is_symmetric: bool | None
    in_degree: tuple[int, float, int]
    out_degree: tuple[int, float, int]
    fields: dict[str, str]


@dataclass(frozen=True)
class TypedReport:
    """Counts of a typed graph; ``print`` shows them as a table.

    Attributes
    ----------
    num_graphs : int
    nodes : mapping of node type to NodeReport
    relations : mapping of (sender type, name, receiver type) to RelationReport
    globals : dict
        Field -> text with dtype and shape.
    num_components, largest_component : int
        Weakly connected components over all relations, and the number of nodes of the largest.
    num_bytes : int
        Memory of topologies and fields.
    """

    num_graphs: int
    nodes: Mapping[str, NodeReport]
    relations: Mapping[RelationKey, RelationReport]
    globals: Mapping[str, str]
    num_components: int
    largest_component: int
    num_bytes: int

    def __str__(self) -> str:
        rows = [("graphs", f"{self.num_graphs:,}")]
        for name, node in self.nodes.items():
            rows.append((f"nodes {name}", f"{node.num_nodes:,}, isolated {node.num_isolated:,}"))
            rows += [(f"  {field}", text) for field, text in node.fields.items()]
        for key, edge in self.relations.items():
            rows.append((" -> ".join(key), _edge_text(edge)))
            rows += [(f"  {field}", text) for field, text in edge.fields.items()]
        rows += [(f"globals {field}", text) for field, text in self.globals.items()]
        rows.append(("components", f"{self.num_components:,} (largest: {self.largest_component:,} nodes)"))
        rows.append(("memory", size_text(self.num_bytes)))
        width = max(len(key) for key, _ in rows)
        return "\n".join(f"{key:<{width}}  {value}" for key, value in rows)

    __repr__ = __str__


def _edge_text(edge: RelationReport) -> str:
    parts = [f"{edge.num_edges:,} edges", f"duplicates {edge.num_duplicates:,}"]
    if edge.num_self_loops is not None:
        parts += [f"self-loops {edge.num_self_loops:,}", "symmetric" if edge.is_symmetric else "not symmetric"]
    for name, (low, mean, high) in (("in", edge.in_degree), ("out", edge.out_degree)):
        parts.append(f"{name}-degree {low:,} to {high:,}, mean {mean:.2f}")
    return "; ".join(parts)


def build_report(g: TypedGraph) -> TypedReport:
    """Count everything once, vectorised."""
    company = {name: np.zeros(count, np.int64) for name, count in g.num_nodes.items()}
    relations = {}
    for key, relation in g.relations.items():
        topology = relation.topology
        within = key[0] == key[2]
        company[key[0]] += topology.out_degree()
        company[key[2]] += topology.in_degree()
        if within:  # a self-loop alone is no company
            company[key[0]] -= 2 * np.bincount(
                topology.receivers[topology.self_loops()], minlength=len(company[key[0]])
            )
        relations[key] = RelationReport(
            num_edges=relation.num_edges,
            num_duplicates=int(same_as_before(topology).sum()),
            num_self_loops=int(topology.self_loops().sum()) if within else None,
            is_symmetric=topology.is_symmetric() if within else None,
            in_degree=_spread(topology.in_degree()),
            out_degree=_spread(topology.out_degree()),
            fields={name: field_text(value) for name, value in relation.edges.items()},
        )
    nodes = {
        name: NodeReport(
            num_nodes=g.num_nodes[name],
            isolated_nodes=np.flatnonzero(company[name] == 0),
            fields={field: field_text(value) for field, value in fields.items()},
        )
        for name, fields in g.nodes.items()
    }
    sizes = np.bincount(component_labels(g.to_homogeneous(fields=[], edge_fields=[])))
    maps = [*g.nodes.values(), *(one.edges for one in g.relations.values()), g.globals]
    return TypedReport(
        num_graphs=g.num_graphs,
        nodes=nodes,
        relations=relations,
        globals={name: field_text(value) for name, value in g.globals.items()},
        num_components=len(sizes),
        largest_component=int(sizes.max(initial=0)),
        num_bytes=sum(topology_bytes(one.topology) for one in g.relations.values()) + field_bytes(maps),
    )


def _spread(degrees: np.ndarray) -> tuple[int, float, int]:
    return (int(degrees.min()), float(degrees.mean()), int(degrees.max())) if len(degrees) else (0, 0.0, 0)
