"""Higher-dimensional Weisfeiler-Leman tests: colours of k-tuples of nodes, for small graphs.

Imports graph, the error tree, colour refinement and the numbering of multisets.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, InvalidGraphError, type_name, unknown_name
from gnnkit.graph import Graph
from gnnkit.symmetry.multisets import Ids, joined_keys, multiset_ids, pair_ids, ranks, span
from gnnkit.symmetry.refinement import colour_refinement, first_colours, graphs_of

VARIANTS = ("folklore", "oblivious")
MAX_ENTRIES = 1 << 24  # of (tuple, node) pairs in both graphs: some seconds a round and below a gigabyte


def wl_equivalent(
    first: Graph,
    second: Graph,
    k: int = 1,
    *,
    variant: str = "folklore",
    node_field: str | None = "x",
    edge_field: str | None = "e",
) -> bool:
    """Whether the k-dimensional Weisfeiler-Leman test fails to tell two graphs apart.

    Parameters
    ----------
    first, second : Graph
        Single graphs, of any number of components; a batch is several graphs, and refused.
    k : int
        1 is colour refinement. Larger k colour all k-tuples of nodes.
    variant : str
        For k of at least 2, what refines the colour of a tuple v. "folklore" (k-FWL): the multiset, over all nodes w,
        of the k colours of v with w in place of its 1st, ..., k-th node. "oblivious" (k-WL in most papers on graph
        networks): k multisets over w, one for each place.
    node_field, edge_field : str, optional
        As in :func:`colour_refinement`.

    Returns
    -------
    bool
        True: not told apart. Isomorphic graphs are never told apart; False proves that two graphs differ.

    Raises
    ------
    InvalidGraphError
        If something is no single graph.
    InvalidArgumentError
        If ``k`` is no whole number of at least 1, or the graphs are too large for it.
    UnknownNameError
        If there is no such variant.

    Notes
    -----
    Oblivious (k+1)-WL tells apart the same graphs as folklore k-FWL, for k of at least 1: counting the 1 of colour
    refinement, "3-WL" of papers such as Maron et al. is ``k=2`` here, and oblivious 2-WL is no stronger than colour
    refinement (both are tested here). Each k is strictly stronger than the one before.

    The first colour of a tuple says which of its nodes are equal, their features, and the edges between them, in both
    directions, self-loops and parallel edges included: so for directed graphs k=1 looks at both directions too. Exact,
    as in :func:`colour_refinement`. A round takes about num_nodes^(k+1) entries for each graph; more than 2^24 in both
    (200 nodes for k=2, 53 for k=3) are refused.

    References
    ----------
    Cai, Fürer and Immerman, An optimal lower bound on the number of variables for graph identification, Combinatorica
    1992 (folklore). Morris et al., Weisfeiler and Leman go neural, AAAI 2019, and Maron et al., Provably powerful graph
    networks, NeurIPS 2019 (oblivious). Huang and Villar, A short tutorial on the Weisfeiler-Lehman test and its
    variants, ICASSP 2021 (how they compare).

    Examples
    --------
    >>> import gnnkit as gk
    >>> triangles, hexagon = gk.symmetry.pairs.two_triangles_and_hexagon()
    >>> [gk.symmetry.wl_equivalent(triangles, hexagon, k) for k in (1, 2)]
    [True, False]
    >>> gk.symmetry.wl_equivalent(triangles, hexagon, 2, variant="oblivious")
    True
    """
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InvalidArgumentError(f"k must be a whole number of at least 1. Got {k!r}. Pass k=1, 2 or 3.")
    pair = [single_graph(first), single_graph(second)]
    if first.num_nodes != second.num_nodes:
        return False
    if k == 1:
        refined = colour_refinement(pair, node_field=node_field, edge_field=edge_field, direction="both")
        return refined.same(0, 1)
    entries = 2 * first.num_nodes ** (int(k) + 1)
    if entries > MAX_ENTRIES:
        raise InvalidArgumentError(
            f"A test of {k}-tuples must fit 2^24 pairs of tuple and node. Two graphs of {first.num_nodes} nodes have "
            f"{entries:,}. Use a smaller k, or smaller graphs (up to {_largest(int(k))} nodes)."
        )
    return _tuples_agree(pair, int(k), variant, first_colours(pair, node_field, edge_field))


def wl_level(first: Graph, second: Graph, *, up_to: int = 3, **options: Any) -> int | None:
    """The smallest k for which the k-dimensional test tells two graphs apart.

    Parameters
    ----------
    first, second : Graph
    up_to : int
        Largest k that is tried.
    **options
        Of :func:`wl_equivalent`, such as ``variant="oblivious"``.

    Returns
    -------
    int or None
        None if none does up to there; they may be isomorphic.

    Raises
    ------
    InvalidGraphError, InvalidArgumentError, UnknownNameError
        As :func:`wl_equivalent`.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.symmetry.wl_level(*gk.symmetry.pairs.shrikhande_and_rook())
    3
    """
    return next((k for k in range(1, up_to + 1) if not wl_equivalent(first, second, k, **options)), None)


def single_graph(graph: Any) -> Graph:
    """The graph itself, if it is one."""
    (graph,) = graphs_of(graph if isinstance(graph, Graph) else [graph])
    if graph.num_graphs != 1:
        raise InvalidGraphError(
            f"A comparison must be between two single graphs. Got a batch of {graph.num_graphs} "
            f"({type_name(graph)}). Take one of gk.unbatch(g), or make one graph of its parts: senders, receivers, _ = "
            "g.to_edges(), then gk.from_edges(senders, receivers, num_nodes=g.num_nodes, x=g.x)."
        )
    return graph


def _largest(k: int) -> int:
    n = int((MAX_ENTRIES / 2) ** (1 / (k + 1))) + 1
    while 2 * n ** (k + 1) > MAX_ENTRIES:
        n -= 1
    return n


def _tuples_agree(pair: list[Graph], k: int, variant: str, first: tuple[Ids, Ids]) -> bool:
    """Refine the colours of the k-tuples of both graphs together until the histograms differ or nothing splits."""
    n = pair[0].num_nodes
    colours, count = _atomic_types(pair, k, *first), 0
    step = _folklore if variant == "folklore" else _oblivious
    while True:
        one, other = (np.bincount(part, minlength=span(colours)) for part in np.split(colours, 2))
        if not np.array_equal(one, other):
            return False
        if span(colours) == count or not n:
            return True
        count = span(colours)
        colours = pair_ids(colours, step(colours, n, k))


def _atomic_types(pair: list[Graph], k: int, node_colours: Ids, edge_colours: Ids) -> Ids:
    """Numbers of the k-tuples of both graphs by their nodes' equality, features and edges: [2 * n^k]."""
    n = pair[0].num_nodes
    relation = _relations(pair, node_colours, edge_colours).reshape(2, n, n)
    places = np.indices((n,) * k).reshape(k, n**k)
    columns = [relation[:, places[i], places[j]].reshape(-1) for i in range(k) for j in range(k)]
    return reduce(pair_ids, columns)


def _relations(pair: list[Graph], node_colours: Ids, edge_colours: Ids) -> Ids:
    """Numbers of the ordered pairs of nodes of both graphs: [2 * n * n]."""
    n = pair[0].num_nodes
    ends = [np.asarray(g.senders, np.int64) * n + g.receivers + i * n * n for i, g in enumerate(pair)]
    cells = np.concatenate(ends)
    order = np.argsort(cells, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=2 * n * n))])
    edges = multiset_ids(indptr, edge_colours[order])
    own = node_colours.reshape(2, n)
    labels = joined_keys(
        np.broadcast_to(own[:, :, None], (2, n, n)).reshape(-1), np.broadcast_to(own[:, None, :], (2, n, n)).reshape(-1)
    )
    equal = np.tile(np.eye(n, dtype=np.int64).reshape(-1), 2)
    return pair_ids(pair_ids(edges, labels), equal)


def _substituted(colours: Ids, n: int, k: int, place: int) -> Ids:
    """For every tuple of both graphs and every node w: the colour of the tuple with w at ``place``, [2, n^k, n]."""
    table = colours.reshape(2, *(n,) * k)
    moved = np.expand_dims(np.moveaxis(table, 1 + place, -1), 1 + place)
    return np.broadcast_to(moved, (2, *(n,) * (k + 1))).reshape(-1)


def _folklore(colours: Ids, n: int, k: int) -> Ids:
    entries = _substituted(colours, n, k, 0)
    for place in range(1, k):
        entries = joined_keys(entries, _substituted(colours, n, k, place))
    return _of_equal_size(entries, n)


def _oblivious(colours: Ids, n: int, k: int) -> Ids:
    return reduce(pair_ids, [_of_equal_size(_substituted(colours, n, k, place), n) for place in range(k)])


def _of_equal_size(entries: Ids, n: int) -> Ids:
    """Numbers of the multisets of ``n`` entries each."""
    if span(entries) >= 1 << 31:
        entries = ranks(entries)
    return multiset_ids(np.arange(0, len(entries) + 1, n), entries)
