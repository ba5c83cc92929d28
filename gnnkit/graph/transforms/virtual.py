"""Virtual nodes: one more node in every graph, joined to all others: any two nodes are two steps apart through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidFeatureError
from gnnkit.graph.fields import concatenate, is_sparse, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.topology import Topology
from gnnkit.graph.transforms.loops import filled


def add_virtual_node(
    g: Graph,
    *,
    fill: Any = 0.0,
    edge_fill: Any = 1.0,
    label_fill: int = -1,
    name: str = "is_virtual",
) -> Graph:
    """Add to every graph a node with an edge to and from each of its nodes.

    Parameters
    ----------
    g : Graph
        One graph or a batch; the virtual node comes last in each of its graphs.
    fill : number, or mapping from field name to value or row
        What floating node fields hold there. A mapping names every node field that it does not leave to
        ``label_fill`` or False.
    edge_fill : number, or mapping from field name to value or row
        What the edge fields hold on the new edges, as in :func:`add_self_loops`.
    label_fill : int
        What integer node fields hold there unless ``fill`` names them: -1 means "no label" to the estimators. Boolean
        fields (masks) get False.
    name : str
        Boolean node field to write: which nodes are virtual.

    Returns
    -------
    Graph
        The edges in the caller's order, then those to the virtual nodes, then those from them.

    Raises
    ------
    InvalidFeatureError, DTypeError
        When a fill lacks a field or does not fit one (texts need one).
    InvalidArgumentError
        When the graph has a node field ``name`` already.

    Notes
    -----
    A graph without nodes gets its virtual node alone. Globals stay; names given by networkx are forgotten, and a grid
    becomes a list of edges. With it any two nodes of a graph reach each other in two layers; the virtual node's own
    degree is the number of nodes, which layers that normalise by degree take into account.

    References
    ----------
    Gilmer et al., Neural message passing for quantum chemistry, ICML 2017, section 5.2 ("master node"; there its edges
    are of a type of their own, here ``edge_fill`` can mark them).

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> g = gk.transforms.add_virtual_node(gk.path(3).replace(x=np.ones((3, 1))))
    >>> g
    Graph(num_nodes=4, num_edges=10, x=float64[4, 1], is_virtual=bool[4])
    >>> g.nodes["is_virtual"], g.x[3]
    (array([False, False, False,  True]), array([0.]))
    """
    if name in g.nodes:
        raise InvalidArgumentError(
            f"The field that marks virtual nodes must be new. The graph has a node field {name!r}. Pass another name=."
        )
    count = g.num_graphs
    place = np.arange(g.num_nodes) + g.node_graph  # every graph before moves the nodes on by one
    hub = g.node_ptr[1:] + np.arange(count)
    own_hub = hub[g.node_graph]
    senders, receivers, fields = g.to_edges()
    senders = np.concatenate([place[senders], place, own_hub])
    receivers = np.concatenate([place[receivers], own_hub, place])
    num_nodes = g.num_nodes + count
    topology = Topology.sort(senders, receivers, num_senders=num_nodes, num_receivers=num_nodes)
    order = np.empty(num_nodes, np.int64)  # of the rows: old ones, then the new ones
    order[place], order[hub] = np.arange(g.num_nodes), g.num_nodes + np.arange(count)
    _check_names(fill, g.nodes, "fill", "node")
    _check_names(edge_fill, fields, "edge_fill", "edge")
    nodes = {
        key: take_rows(concatenate([value, _node_rows(key, value, fill, label_fill, count)]), order)
        for key, value in g.nodes.items()
    }
    virtual = np.zeros(num_nodes, bool)
    virtual[hub] = True
    edges = {
        key: take_rows(concatenate([value, filled(key, value, edge_fill, 2 * g.num_nodes)]), topology.edge_order)
        for key, value in fields.items()
    }
    node_ptr = g.node_ptr + np.arange(count + 1)
    return Graph.trusted(topology, {**nodes, name: virtual}, edges, g.globals, node_ptr=node_ptr)


def _node_rows(name: str, value: Any, fill: Any, label_fill: int, count: int) -> Any:
    """The rows of the virtual nodes in one field."""
    if is_sparse(value):
        return _sparse_rows(name, value, fill, count)
    kind = raw(value).dtype.kind
    named = isinstance(fill, Mapping) and name in fill
    if not named and kind in "biu":
        return filled(name, value, {"b": False, "i": label_fill, "u": max(label_fill, 0)}[kind], count)
    return filled(name, value, fill, count)


def _sparse_rows(name: str, value: Any, fill: Any, count: int) -> Any:
    given = fill.get(name, 0.0) if isinstance(fill, Mapping) else fill
    if np.any(np.asarray(given)):
        raise InvalidFeatureError(
            f"Sparse rows of virtual nodes must be zero. fill gives {given!r} to the node field {name!r}. "
            "Pass fill=0.0, or make the field dense with .toarray()."
        )
    empty = value.take_rows(np.zeros(0, np.int64))
    return type(value).trusted(np.zeros(count + 1, np.int64), empty.indices, empty.data, (count, value.shape[1]))


def _check_names(fill: Any, fields: Mapping[str, Any], argument: str, entry: str) -> None:
    unknown = [key for key in fill if key not in fields] if isinstance(fill, Mapping) else []
    if unknown:
        raise InvalidFeatureError(
            f"{argument} must name {entry} fields. Got {unknown[0]!r}; the {entry} fields are {list(fields)}. "
            "Correct the name."
        )
