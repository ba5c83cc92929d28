"""What the edges say about position: Laplacians and random-walk encodings."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit import autodiff
from gnnkit import kernels as K
from gnnkit.errors import InvalidFeatureError, unknown_name
from gnnkit.graph.checks import as_count
from gnnkit.graph.fields import concatenate, raw, take_rows
from gnnkit.graph.graph import Graph
from gnnkit.graph.origin import Origin, appended
from gnnkit.graph.transforms.loops import remove_self_loops
from gnnkit.graph.transforms.rebuild import edge_weights, with_edges

_KINDS = ("combinatorial", "sym", "rw")
_BLOCK = 1 << 22  # entries of the dense block of walkers held at once


def laplacian(g: Graph, kind: str = "combinatorial", *, weight: str | None = None) -> Graph:
    """The Laplacian as a graph: its entries in the edge field "weight", the diagonal on self-loops.

    Parameters
    ----------
    g : Graph
    kind : str
        "combinatorial" ``D - A``, "sym" ``I - D^-1/2 A D^-1/2``, or "rw" ``I - D^-1 A``.
    weight : str, optional
        Edge field of one number per edge; None: ones.

    Returns
    -------
    Graph
        Edges of ``g`` in the caller's order, then one loop per node; "weight" is the only edge field.

    Raises
    ------
    InvalidFeatureError
        When a degree is negative and ``kind`` is "sym".

    Notes
    -----
    The degree of a node is the sum of the weights it sends, the row sum of the matrix with rows as senders; in a
    symmetric graph in and out are the same. Existing self-loops are dropped first. Entries of nodes of degree 0 are 0
    off the diagonal. As ``torch_geometric.utils.get_laplacian``, but degree 0 keeps the diagonal entry 1 in the
    normalised kinds.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.laplacian(gk.path(3)).to_edges()[2]["weight"]
    array([-1., -1., -1., -1.,  1.,  2.,  1.])
    """
    if kind not in _KINDS:
        raise unknown_name("Laplacian", kind, _KINDS)
    values = edge_weights(g, weight)
    g = remove_self_loops(g.without(*g.edges, level="edges").replace(edges={"weight": values}))
    senders, receivers, fields = g.to_edges()
    values = fields["weight"]
    degree = autodiff.scatter_add(values, senders, g.num_nodes)
    if kind == "combinatorial":
        entries, diagonal = -values, degree
    else:
        entries = _normalise(-values, degree, senders, receivers, kind)
        diagonal = np.ones(g.num_nodes, raw(values).dtype)
    nodes = np.arange(g.num_nodes)
    origin = appended(g.origin, g.num_nodes)
    if kind == "rw" and isinstance(origin, Origin):
        origin = origin.without_edges()  # its two directions differ
    ends = np.concatenate([senders, nodes]), np.concatenate([receivers, nodes])
    return with_edges(g, ends[0], ends[1], {"weight": concatenate([entries, diagonal])}, origin=origin)


def _normalise(entries: Any, degree: Any, senders: np.ndarray, receivers: np.ndarray, kind: str) -> Any:
    low = raw(degree) < 0
    if kind == "sym" and low.any():
        node = int(np.argmax(low))
        raise InvalidFeatureError(
            f"Degrees must not be negative for the symmetric Laplacian. The weights out of node {node} sum to "
            f"{raw(degree)[node]}. Use non-negative weights, or another kind."
        )
    some = raw(degree) != 0
    scale = np.where(some, np.where(some, degree, 1) ** (-0.5 if kind == "sym" else -1.0), 0)
    if kind == "rw":
        return entries * take_rows(scale, senders)
    return entries * (take_rows(scale, senders) * take_rows(scale, receivers))  # same bits in both directions


def random_walk_encoding(g: Graph, steps: int, *, weight: str | None = None, name: str = "random_walk") -> Graph:
    """Add the probabilities that a random walker is back at its node after 1, 2, ... ``steps`` steps.

    Parameters
    ----------
    g : Graph
    steps : int
    weight : str, optional
        Edge field of non-negative weights the walker chooses by; None: all outgoing edges alike.
    name : str
        Node field to write, float64 [num_nodes, steps].

    Notes
    -----
    Exact: the diagonals of the powers of ``D^-1 A``, in blocks of start nodes so that memory stays bounded; time
    O(steps * num_nodes * num_edges), meant for graphs up to some ten thousand nodes. A walker at a node without
    outgoing edges is lost: an isolated node has zeros. A self-loop is a step.

    References
    ----------
    Dwivedi et al., Graph neural networks with learnable structural and positional representations, ICLR 2022.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.transforms.random_walk_encoding(gk.path(3), 4).nodes["random_walk"]
    array([[0. , 0.5, 0. , 0.5],
           [0. , 1. , 0. , 1. ],
           [0. , 0.5, 0. , 0.5]])
    """
    steps = as_count(steps, "steps")
    topology = g.topology
    weights = np.asarray(raw(edge_weights(g, weight)), np.float64)
    out = K.scatter_add(weights, topology.senders, g.num_nodes)
    if (weights < 0).any():
        raise InvalidFeatureError(
            f"Weights of a random walk must not be negative. The edge field {weight!r} has {weights.min()}. "
            "Use non-negative weights."
        )
    scale = np.where(out > 0, 1 / np.where(out > 0, out, 1), 0)
    probability = weights * scale[topology.senders]
    encoding = np.zeros((g.num_nodes, steps))
    width = max(1, _BLOCK // max(g.num_nodes, 1))
    for start in range(0, g.num_nodes, width):
        nodes = np.arange(start, min(start + width, g.num_nodes))
        walkers = np.zeros((g.num_nodes, len(nodes)))
        walkers[nodes, nodes - start] = 1
        for step in range(steps):
            walkers = K.neighbour_sum(topology.indptr, topology.indices, walkers, probability)
            encoding[nodes, step] = walkers[nodes, nodes - start]
    return g.replace(nodes={name: encoding})
