"""Classic pairs of graphs that look alike: what each kind of network can and cannot tell apart. Imports graph only.

Every function returns two graphs with as many nodes as each other that are not isomorphic. Edges run in both
directions. All nodes have the same feature, ``x`` of ones [num_nodes, 1], unless the function says otherwise.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidGraphError, graph_advice, type_name
from gnnkit.graph import Graph, batch, complete, cycle, from_edges
from gnnkit.graph.report import component_labels

__all__ = [
    "cfi",
    "coloured_cubes",
    "decalin_and_bicyclopentyl",
    "hexagon_and_prism",
    "shrikhande_and_rook",
    "two_triangles_and_hexagon",
]

Pair = tuple[Graph, Graph]


def two_triangles_and_hexagon() -> Pair:
    """Two triangles beside each other, and a ring of six.

    Every node has two neighbours that all look alike: colour refinement, and with it every network of message passing,
    sees no difference. Told apart by: a triangle count, return probabilities of random walks
    (:func:`gnnkit.transforms.random_walk_encoding`), the diameter, or 2-FWL.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.symmetry.pairs.two_triangles_and_hexagon()
    (Graph(num_nodes=6, num_edges=12, x=float32[6, 1]), Graph(num_nodes=6, num_edges=12, x=float32[6, 1]))
    """
    triangles = batch([cycle(3), cycle(3)])
    return _plain(triangles.senders, triangles.receivers, 6), _undirected([(i, (i + 1) % 6) for i in range(6)], 6)


def decalin_and_bicyclopentyl() -> Pair:
    """The carbon skeletons of two molecules: two hexagons that share an edge, and two pentagons joined by one.

    Both have two atoms with three neighbours, which are neighbours, and eight with two: colour refinement sees no
    difference. Told apart by: the lengths of their rings, return probabilities of random walks, or 2-FWL.

    References
    ----------
    Sato, A survey on the expressive power of graph neural networks, 2020, figure 3.

    Examples
    --------
    >>> import gnnkit as gk
    >>> decalin, bicyclopentyl = gk.symmetry.pairs.decalin_and_bicyclopentyl()
    >>> decalin.num_edges, bicyclopentyl.num_edges
    (22, 22)
    """
    decalin = [(i, (i + 1) % 10) for i in range(10)] + [(0, 5)]
    rings = [(i, (i + 1) % 5) for i in range(5)]
    return _undirected(decalin, 10), _undirected([*rings, *((a + 5, b + 5) for a, b in rings), (0, 5)], 10)


def hexagon_and_prism() -> Pair:
    """A ring of six, and a prism over a triangle: the numbers of neighbours are 2 and 3, and of edges 12 and 18.

    The first round of colour refinement tells them apart, and so does a sum over neighbours. A mean, a maximum, and
    attention see only ones in both, and GCN's normalisation cancels equal degrees.

    References
    ----------
    Xu et al., How powerful are graph neural networks?, ICLR 2019, section 5.2, on regular graphs.

    Examples
    --------
    >>> import gnnkit as gk
    >>> [set(g.topology.in_degree().tolist()) for g in gk.symmetry.pairs.hexagon_and_prism()]
    [{2}, {3}]
    """
    hexagon = [(i, (i + 1) % 6) for i in range(6)]
    prism = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)]
    return _undirected(hexagon, 6), _undirected(prism, 6)


def coloured_cubes() -> Pair:
    """A cube with four nodes of each of two colours, in two ways; ``x`` is one-hot, [8, 2].

    In the first every node has one neighbour of its own colour and two of the other, in the second two of its own and
    one of the other. A maximum sees both colours at every node of both; a mean, a sum, and colour refinement see
    the difference.

    References
    ----------
    Xu et al., How powerful are graph neural networks?, ICLR 2019, section 5.3: a maximum learns sets, a mean
    distributions, a sum multisets.

    Examples
    --------
    >>> import gnnkit as gk
    >>> [g.x.sum(axis=0).tolist() for g in gk.symmetry.pairs.coloured_cubes()]
    [[4.0, 4.0], [4.0, 4.0]]
    """
    corners = np.arange(8)
    edges = [(i, i ^ bit) for i in range(8) for bit in (1, 2, 4) if i < i ^ bit]
    crossed, face = (corners ^ (corners >> 1)) & 1, corners & 1
    cube = _undirected(edges, 8)
    return cube.replace(x=np.eye(2, dtype=np.float32)[crossed]), cube.replace(x=np.eye(2, dtype=np.float32)[face])


def shrikhande_and_rook() -> Pair:
    """The two strongly regular graphs of 16 nodes, 6 neighbours, and 2 common neighbours of any two nodes.

    The Shrikhande graph, and the moves of a rook on a 4 x 4 board. Neither colour refinement, nor 2-FWL, nor return
    probabilities tell them apart. Told apart by 3-FWL, or by counting cliques of four: the rook's graph has them
    (its rows and columns), the other has not.

    References
    ----------
    Shrikhande, The uniqueness of the L2 association scheme, Annals of Mathematical Statistics 1959. Arvind et al., On
    Weisfeiler-Leman invariance, 2020.

    Examples
    --------
    >>> import gnnkit as gk
    >>> shrikhande, rook = gk.symmetry.pairs.shrikhande_and_rook()
    >>> gk.symmetry.wl_equivalent(shrikhande, rook, 2), gk.symmetry.wl_equivalent(shrikhande, rook, 3)
    (True, False)
    """
    places = [(i, j) for i in range(4) for j in range(4)]
    steps = {(1, 0), (3, 0), (0, 1), (0, 3), (1, 1), (3, 3)}
    shrikhande, rook = [], []
    for a, b in combinations(range(16), 2):
        (i, j), (k, m) = places[a], places[b]
        if ((k - i) % 4, (m - j) % 4) in steps:
            shrikhande.append((a, b))
        if i == k or j == m:
            rook.append((a, b))
    return _undirected(shrikhande, 16), _undirected(rook, 16)


def cfi(base: Graph | None = None) -> Pair:
    """The pair of Cai, Fürer and Immerman over a base graph: told apart only by tests that are strong enough.

    Every node of the base becomes a cloud of nodes, one for each even set of its edges. Two nodes of neighbouring
    clouds are joined if both of their sets hold the base edge between them, or neither. The second graph is twisted:
    node 0 of the base has the odd sets instead. It does not matter which one is twisted.

    Parameters
    ----------
    base : Graph, optional
        Connected, undirected, without self-loops and parallel edges. Default: four nodes, all joined, which gives two
        graphs of 16 nodes.

    Returns
    -------
    tuple of Graph
        With sum over the base's nodes of 2^(degree - 1) nodes each.

    Raises
    ------
    InvalidGraphError
        If the base is no such graph.
    InvalidArgumentError
        If a node of the base has more than 16 neighbours: its cloud would have over 32,768 nodes.

    Notes
    -----
    k-FWL tells them apart exactly if the base's treewidth is at most k: over a ring, k=2 (over a ring of three they
    are two triangles and a hexagon); over the complete graph of n nodes, k = n - 1 (over four they
    are the rook's and the Shrikhande graph). Over a tree, of treewidth 1, k=1
    is enough. Differences from the paper: its gadgets have two nodes for each end of an edge, whose place is taken
    by edges between the clouds here, and its clouds are coloured.

    References
    ----------
    Cai, Fürer and Immerman, An optimal lower bound on the number of variables for graph identification, Combinatorica
    1992. Roberson, Oddomorphisms and homomorphism indistinguishability over graphs of bounded degree, 2022 (this form).

    Examples
    --------
    >>> import gnnkit as gk
    >>> even, twisted = gk.symmetry.pairs.cfi(gk.complete(4))
    >>> even.num_nodes, even.num_edges, gk.symmetry.wl_level(even, twisted)
    (16, 96, 3)
    """
    base = _checked_base(complete(4) if base is None else base)
    return _clouds(base, twisted=None), _clouds(base, twisted=0)


def _clouds(base: Graph, *, twisted: int | None) -> Graph:
    topology = base.topology
    rows = [topology.indices[a:b].tolist() for a, b in zip(topology.indptr[:-1], topology.indptr[1:])]
    members = []  # (base node, its neighbours along the chosen edges)
    for node, row in enumerate(rows):
        odd = int(node == twisted)
        for size in range(odd, len(row) + 1, 2):
            members += [(node, frozenset(chosen)) for chosen in combinations(row, size)]
    clouds: list[list[int]] = [[] for _ in rows]
    for number, (node, _) in enumerate(members):
        clouds[node].append(number)
    edges = [
        (a, b)
        for node, row in enumerate(rows)
        for other in row
        if node < other
        for a in clouds[node]
        for b in clouds[other]
        if (other in members[a][1]) == (node in members[b][1])
    ]
    return _undirected(edges, len(members))


def _checked_base(base: Graph) -> Graph:
    if not isinstance(base, Graph):
        raise InvalidGraphError(
            f"The base must be a gk.Graph. Got {type_name(base)}. "
            + graph_advice(base, "Pass for example gk.cycle(4).")
        )
    topology = base.topology
    ends = topology.receivers.astype(np.int64) * base.num_nodes + topology.senders
    parts = len(np.unique(component_labels(base)))
    wrong = [
        name
        for name, bad in (
            ("directed edges", not topology.is_symmetric()),
            ("self-loops", topology.has_self_loops()),
            ("parallel edges", len(np.unique(ends)) < len(ends)),
            (f"{parts} connected parts", parts != 1),
        )
        if bad
    ]
    if wrong:
        raise InvalidGraphError(
            f"The base must be connected and simple, with its edges in both directions. It has {' and '.join(wrong)}. "
            "Use gk.transforms.to_undirected, remove_self_loops, coalesce and largest_component."
        )
    degree = int(topology.in_degree().max(initial=0))
    if degree > 16:
        raise InvalidArgumentError(
            f"Nodes of the base must have at most 16 neighbours, as their clouds have 2^(degree - 1) nodes. Got one of "
            f"degree {degree}. Use a sparser base, such as gk.grid(3, 3)."
        )
    return base


def _undirected(edges: list[tuple[int, int]], num_nodes: int) -> Graph:
    ends = np.array(edges, np.int64).reshape(-1, 2)
    return from_edges(ends[:, 0], ends[:, 1], x=np.ones((num_nodes, 1), np.float32), undirected=True)


def _plain(senders: np.ndarray, receivers: np.ndarray, num_nodes: int) -> Graph:
    forward = senders < receivers
    return _undirected(list(zip(senders[forward].tolist(), receivers[forward].tolist())), num_nodes)


def __dir__() -> list[str]:
    return sorted(__all__)
