"""Graphs for property tests, as strategies of hypothesis (imported inside): all the corners that graphs have.

What is drawn shrinks to few nodes, few edges and simple values. The function here makes a strategy; the kinds of graphs
are listed in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import unknown_name
from gnnkit.graph import Graph, batch, from_edges
from gnnkit.symmetry.shrink import hypothesis_or_error

__all__ = ["KINDS", "graphs"]

Pairs = list[tuple[int, int]]

KINDS = ("empty", "edgeless", "isolated", "hub", "loops", "parallel", "disconnected", "regular", "any")
TWINS: tuple[tuple[int, Pairs], ...] = (  # regular pairs that colour refinement cannot tell apart
    (6, [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]),
    (6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]),
    (8, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4)]),
    (8, [(i, (i + 1) % 8) for i in range(8)]),
)


def graphs(
    *,
    max_nodes: int = 8,
    channels: int | None = 3,
    edge_channels: int | None = None,
    global_channels: int | None = None,
    dimensions: int | None = None,
    kinds: Sequence[str] = KINDS,
    batches: bool = False,
    undirected: bool = False,
    dtype: DTypeLike = "float64",
) -> Any:
    """A strategy of graphs.

    Parameters
    ----------
    max_nodes : int
        Of one graph; the regular pairs have 6 and 8 nodes and are left out below that.
    channels, edge_channels, global_channels : int, optional
        Channels of ``x``, ``e`` and ``u``; None: no such field.
    dimensions : int, optional
        Coordinates of a node field ``pos``; None: no such field.
    kinds : sequence of str
        Which of: "empty" (no nodes), "edgeless", "isolated" (some nodes without edges), "hub" (one node hears or tells
        all), "loops", "parallel" (edges that occur several times, with features of their own), "disconnected",
        "regular" (two triangles, a hexagon, two squares, an octagon), "any".
    batches : bool
        Draw batches of up to three graphs, empty ones among them and at the end.
    undirected : bool
        Give every edge its reverse.
    dtype : dtype
        Of all fields.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Graph

    Raises
    ------
    MissingDependencyError
        If hypothesis is not installed.
    UnknownNameError
        If there is no such kind.

    Examples
    --------
    >>> import gnnkit as gk
    >>> strategy = gk.symmetry.strategies.graphs(max_nodes=5)
    >>> gk.symmetry.check(gk.nn.GCNConv(3, 2, rng=0), strategy, cases=50).passed
    True
    """
    hypothesis_or_error("Drawing graphs")
    from hypothesis import strategies as st

    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of graph", kind, KINDS)
    widths = {"x": channels, "e": edge_channels, "u": global_channels, "pos": dimensions}

    @st.composite
    def one(draw: Any) -> Graph:
        kind = draw(st.sampled_from(list(kinds)))
        n, pairs = _edges(draw, st, kind, max_nodes)
        seed = draw(st.integers(0, 2**16))
        return _graph(n, pairs, widths, np.random.default_rng(seed), seed, undirected, dtype)

    @st.composite
    def several(draw: Any) -> Graph:
        parts = draw(st.lists(one(), min_size=1, max_size=3))
        nothing = _graph(0, [], widths, np.random.default_rng(0), 0, undirected, dtype)
        if draw(st.booleans()):
            parts.insert(draw(st.integers(0, len(parts))), nothing)
        if draw(st.booleans()):
            parts.append(nothing)
        return batch(parts)

    return several() if batches else one()


def _edges(draw: Any, st: Any, kind: str, max_nodes: int) -> tuple[int, Pairs]:
    """Number of nodes and edges of one graph of a kind."""
    twins = [pair for pair in TWINS if pair[0] <= max_nodes]
    if kind == "empty" or max_nodes < 1:
        return 0, []
    if kind == "regular" and twins:
        n, ring = draw(st.sampled_from(twins))
        return n, ring + [(r, s) for s, r in ring]
    n = draw(st.integers(1, max_nodes))
    if kind == "edgeless":
        return n, []
    top = n - 1
    if kind == "isolated":
        top = max(n // 2 - 1, 0)
    nodes = st.integers(0, top)
    if kind == "disconnected" and n > 1:
        cut = draw(st.integers(1, n - 1))
        sides = [st.integers(0, cut - 1), st.integers(cut, top)]
        within = st.one_of(*[st.tuples(side, side) for side in sides])
        return n, draw(st.lists(within, max_size=2 * n))
    pairs = draw(st.lists(st.tuples(nodes, nodes), max_size=2 * n))
    if kind == "hub":
        centre, out = draw(nodes), draw(st.booleans())
        pairs += [(centre, i) if out else (i, centre) for i in range(n)]
    if kind == "loops":
        pairs += [(i, i) for i in draw(st.lists(nodes, min_size=1, max_size=n))]
    if kind == "parallel" and pairs:
        pairs += draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4))
    return n, pairs


def _graph(
    n: int,
    pairs: Pairs,
    widths: dict[str, int | None],
    rng: np.random.Generator,
    seed: int,
    undirected: bool,
    dtype: DTypeLike,
) -> Graph:
    def values(rows: int, name: str) -> np.ndarray | None:
        width = widths[name]
        if width is None:
            return None
        if seed % 4 == 0:  # small whole numbers: ties, zeros and equal rows
            return rng.integers(-1, 3, size=(rows, width)).astype(dtype)
        return rng.standard_normal((rows, width)).astype(dtype)

    x, position = values(n, "x"), values(n, "pos")
    return from_edges(
        [s for s, _ in pairs],
        [r for _, r in pairs],
        num_nodes=n,
        x=x,
        e=values(len(pairs), "e"),
        u=values(1, "u"),
        nodes=None if position is None else {"pos": position},
        undirected=undirected,
    )


def __dir__() -> list[str]:
    return sorted(__all__)
