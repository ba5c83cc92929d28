"""Colour refinement, the 1-dimensional Weisfeiler-Leman test: what message passing can tell apart, exactly.

Imports graph, the error tree and the numbering of multisets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnkit.errors import (
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    graph_advice,
    type_name,
    unknown_name,
)
from gnnkit.graph import Graph
from gnnkit.graph.fields import concatenate, is_sparse, raw
from gnnkit.symmetry.multisets import Ids, joined_keys, multiset_ids, pair_ids, ranks, row_ids, span

DIRECTIONS = ("in", "out", "both")
_STATE = ("x", "e")  # fields that a graph may lack: then all its nodes, or edges, are alike


@dataclass(frozen=True, eq=False)
class ColourRefinement:
    """The colours that refinement gave to the nodes of one or several graphs.

    Attributes
    ----------
    colours : int64 [num_nodes]
        Colour of every node, of all graphs one after another: 0, 1, ... without gaps. Two nodes of one call have the
        same colour exactly where refinement cannot tell them apart; renumbering the nodes renumbers no colour.
    history : tuple of int64 [num_nodes]
        The colours after 0, 1, 2, ... rounds, the last one being ``colours``. Colours only ever split.
    node_ptr : int64 [num_graphs + 1]
        Graph ``i`` holds the nodes ``node_ptr[i] <= n < node_ptr[i + 1]``.
    rounds : int
        Rounds in which some colour split.
    stable : bool
        Whether a further round would split nothing; False only if ``rounds=`` stopped it.
    """

    colours: Ids
    history: tuple[Ids, ...]
    node_ptr: Ids
    rounds: int
    stable: bool

    @property
    def num_colours(self) -> int:
        """Number of different colours."""
        return int(self.colours.max()) + 1 if len(self.colours) else 0

    def per_graph(self) -> list[Ids]:
        """The colours of each graph."""
        return [self.colours[a:b] for a, b in zip(self.node_ptr[:-1], self.node_ptr[1:])]

    def partition(self) -> list[Ids]:
        """The nodes of each colour, ascending."""
        order = np.argsort(self.colours, kind="stable")
        ends = np.cumsum(np.bincount(self.colours, minlength=self.num_colours))
        return np.split(order, ends[:-1]) if len(order) else []

    def histograms(self) -> Ids:
        """How often each colour occurs in each graph, int64 [num_graphs, num_colours]."""
        rows = [np.bincount(part, minlength=self.num_colours) for part in self.per_graph()]
        return np.array(rows, np.int64).reshape(len(rows), self.num_colours)

    def same(self, first: int, second: int) -> bool:
        """Whether two of the graphs have every colour equally often: refinement cannot tell them apart."""
        histograms = self.histograms()
        return bool(np.array_equal(histograms[first], histograms[second]))

    def __repr__(self) -> str:
        graphs = "" if len(self.node_ptr) == 2 else f"num_graphs={len(self.node_ptr) - 1}, "
        return (
            f"ColourRefinement({graphs}num_nodes={len(self.colours)}, num_colours={self.num_colours}, "
            f"rounds={self.rounds}, stable={self.stable})"
        )


def colour_refinement(
    graphs: Graph | Sequence[Graph],
    *,
    node_field: str | None = "x",
    edge_field: str | None = "e",
    direction: str = "in",
    rounds: int | None = None,
    keep_history: bool = True,
) -> ColourRefinement:
    """Colour the nodes by what they see: the 1-dimensional Weisfeiler-Leman test.

    Every round gives two nodes different colours if their colours differed, or if the multisets of (colour of the edge,
    colour of the neighbour) over their edges differ, until no colour splits.

    Parameters
    ----------
    graphs : Graph or sequence of Graph
        Coloured together, so that colours can be compared between them. A batch is the graphs it holds.
    node_field : str, optional
        Node field whose rows, compared exactly, are the first colours. None, or "x" where no graph has one: all alike.
    edge_field : str, optional
        Edge field whose rows are the colours of the edges. None, or "e" where no graph has one: all alike.
    direction : str
        "in": a node sees the senders of its incoming edges, as a layer of message passing does; "out": the receivers
        of its outgoing edges; "both": each side by itself. The same for undirected graphs without edge fields.
    rounds : int, optional
        Stop after that many, as a network of that many layers; None: go on until nothing splits.
    keep_history : bool
        Keep the colours of every round: ``rounds * num_nodes`` numbers.

    Returns
    -------
    ColourRefinement

    Raises
    ------
    InvalidGraphError
        If something is no graph.
    InvalidFeatureError, ShapeError
        If only some graphs have the field, or its rows have several shapes.
    UnknownNameError, InvalidArgumentError
        If there is no such direction, or ``rounds`` is negative.

    Notes
    -----
    Exact: colours are numbered by sorting, so no collision of hashes decides. One round takes O(num_edges
    log num_edges) in numpy alone, hubs included; there are at most num_nodes - 1 rounds (a long path takes half of
    them), usually fewer than ten. A self-loop is a neighbour like others; parallel edges count as often as they
    occur. Isolated nodes keep their first colour, no nodes give no colours. Global state ``u`` is not looked at.

    A network of message passing with L layers gives equal outputs to nodes whose colours are equal after L rounds in
    direction "in" (if its messages read nothing but ``x`` and ``e``); sums with an injective update, as in
    :class:`gnnkit.nn.GINConv`, can tell apart all others.

    References
    ----------
    Weisfeiler and Leman, The reduction of a graph to canonical form, 1968. Xu et al., How powerful are graph neural
    networks?, ICLR 2019. Morris et al., Weisfeiler and Leman go neural, AAAI 2019. Differences: classic refinement
    looks at both directions of directed graphs, which is ``direction="both"`` here.

    Examples
    --------
    >>> import gnnkit as gk
    >>> path = gk.symmetry.colour_refinement(gk.path(5))
    >>> path
    ColourRefinement(num_nodes=5, num_colours=3, rounds=2, stable=True)
    >>> path.partition()
    [array([0, 4]), array([1, 3]), array([2])]
    >>> triangles = gk.batch([gk.cycle(3), gk.cycle(3)])
    >>> gk.symmetry.colour_refinement([gk.path(6), gk.cycle(6)]).same(0, 1)
    False
    """
    parts = graphs_of(graphs)
    if direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    if rounds is not None and (not isinstance(rounds, int | np.integer) or rounds < 0):
        raise InvalidArgumentError(
            f"rounds must be a whole number, at least 0, or None. Got {rounds!r}. Leave it out to refine until stable."
        )
    node_colours, edge_colours = first_colours(parts, node_field, edge_field)
    sides = [_side(parts, edge_colours, reverse) for reverse in _reversals(direction)]
    colours = ranks(node_colours)
    history, count, done = [colours], span(colours), 0
    stable = False
    while rounds is None or done < rounds:
        finer = colours
        for side in sides:
            finer = pair_ids(finer, side.seen(colours))
        if span(finer) == count or not len(colours):
            stable = True
            break
        colours, count, done = finer, span(finer), done + 1
        history = [*history, colours] if keep_history else [colours]
    node_ptr = _joined_ptr([g.node_ptr for g in parts])
    return ColourRefinement(colours, tuple(history), node_ptr, done, stable)


@dataclass(frozen=True)
class _Side:
    """The edges of all graphs by the node that looks along them."""

    indptr: Ids
    neighbours: Ids
    edge_colours: Ids

    def seen(self, colours: Ids) -> Ids:
        """A number for the multiset of (edge colour, neighbour's colour) of every node."""
        return multiset_ids(self.indptr, joined_keys(self.edge_colours, colours[self.neighbours]))


def _reversals(direction: str) -> list[bool]:
    return {"in": [False], "out": [True], "both": [False, True]}[direction]


def _side(parts: list[Graph], edge_colours: Ids, reverse: bool) -> _Side:
    pointers, neighbours, order = [], [], []
    nodes = edges = 0
    for g in parts:
        topology = g.topology.transpose() if reverse else g.topology
        pointers.append(np.asarray(topology.indptr, np.int64))
        neighbours.append(np.asarray(topology.indices, np.int64) + nodes)
        order.append((g.topology.transpose_permutation if reverse else np.arange(g.num_edges)) + edges)
        nodes, edges = nodes + g.num_nodes, edges + g.num_edges
    return _Side(_joined_ptr(pointers), _concatenated(neighbours), edge_colours[_concatenated(order)])


def _joined_ptr(pointers: list[Any]) -> Ids:
    """Boundaries of one list after the other."""
    ends = np.cumsum([0] + [int(pointer[-1]) for pointer in pointers])
    return np.concatenate([[0], *(np.asarray(p[1:], np.int64) + end for p, end in zip(pointers, ends))]).astype(
        np.int64
    )


def _concatenated(arrays: list[Any]) -> Ids:
    return np.concatenate([np.zeros(0, np.int64), *arrays]).astype(np.int64)


def graphs_of(graphs: Any) -> list[Graph]:
    """The graphs that were passed, one or several."""
    parts = [graphs] if isinstance(graphs, Graph) else list(graphs) if isinstance(graphs, list | tuple) else None
    wrong = next((part for part in ([graphs] if parts is None else parts) if not isinstance(part, Graph)), None)
    if parts is None or wrong is not None:
        raise InvalidGraphError(
            f"Colours are given to the nodes of a gk.Graph or a list of them. Got {type_name(wrong)}. "
            + graph_advice(wrong, "Pass a gk.Graph; a TypedGraph by its to_homogeneous().")
        )
    return parts


def first_colours(parts: list[Graph], node_field: str | None, edge_field: str | None) -> tuple[Ids, Ids]:
    """The colours of nodes and edges before the first round, numbered over all graphs together."""
    return _field_colours(parts, "nodes", node_field), _field_colours(parts, "edges", edge_field)


def _field_colours(parts: list[Graph], level: str, name: str | None) -> Ids:
    count = sum(g.num_nodes if level == "nodes" else g.num_edges for g in parts)
    having = [g for g in parts if name in getattr(g, level)]
    if name is None or (not having and name in _STATE):
        return np.zeros(count, np.int64)
    if having and len(having) < len(parts):
        lacking = next(i for i, g in enumerate(parts) if name not in getattr(g, level))
        raise InvalidFeatureError(
            f"All graphs must have the field {name!r} of {level}, or none. Graph {lacking} has none, others have. "
            f"Add it there, or pass {level[:-1]}_field=None to look at the edges alone."
        )
    fields = [getattr(g, level)[name] for g in parts]  # the error for an unknown name comes from here
    shapes = {tuple(field.shape[1:]) for field in fields}
    if len(shapes) > 1:
        raise ShapeError(
            f"Rows of the field {name!r} of {level} must have one shape in all graphs to be compared. "
            f"Got the shapes {sorted(shapes)}. Compare graphs with the same features."
        )
    if len({is_sparse(field) for field in fields}) > 1:
        fields = [field.to_scipy().toarray() if is_sparse(field) else raw(field) for field in fields]
    if not fields:
        return np.zeros(0, np.int64)
    return row_ids(concatenate([field if is_sparse(field) else raw(field) for field in fields]))
