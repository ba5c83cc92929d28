"""Layered layout of a directed acyclic graph: rows by longest path, few crossings, long edges around the boxes.

Plain Python over names, no drawing. The steps are those of Sugiyama, Tagawa and Toda 1981: assign layers, put a dummy
node where an edge passes a layer, order each layer by the mean place of its neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

Place = dict[Hashable, tuple[float, float]]


def layered_layout(
    nodes: Sequence[Hashable], edges: Sequence[tuple[Hashable, Hashable]], *, sweeps: int = 12
) -> tuple[Place, list[list[tuple[float, float]]]]:
    """Places (column, layer) of the nodes, and for every edge the points it runs through.

    Parameters
    ----------
    nodes : sequence
        In topological order: every edge runs from an earlier to a later one.
    edges : sequence of (from, to)
    sweeps : int
        Passes of the ordering.
    """
    layer = _layers(nodes, edges)
    chains, rows = _with_dummies(nodes, edges, layer)
    parents: dict[Hashable, list[Hashable]] = {}
    children: dict[Hashable, list[Hashable]] = {}
    for chain in chains:
        for a, b in pairwise(chain):
            children.setdefault(a, []).append(b)
            parents.setdefault(b, []).append(a)
    column = {node: float(i) for row in rows for i, node in enumerate(row)}
    for sweep in range(sweeps):
        downwards = sweep % 2 == 0
        for row in rows if downwards else rows[::-1]:
            neighbours = parents if downwards else children
            wanted = {n: _mean([column[m] for m in neighbours.get(n, [])], column[n]) for n in row}
            row.sort(key=lambda n: wanted[n])  # stable: ties keep their order
            _spread(row, wanted, column)
    middle = (min(column.values(), default=0.0) + max(column.values(), default=0.0)) / 2
    depth = {node: number for number, row in enumerate(rows) for node in row}
    place: Place = {node: (column[node] - middle, float(depth[node])) for node in column}
    return {node: place[node] for node in nodes}, [[place[node] for node in chain] for chain in chains]


def _layers(nodes: Sequence[Hashable], edges: Sequence[tuple[Hashable, Hashable]]) -> dict[Hashable, int]:
    """Longest path from the inputs; inputs themselves directly above their first use."""
    incoming: dict[Hashable, list[Hashable]] = {node: [] for node in nodes}
    outgoing: dict[Hashable, list[Hashable]] = {node: [] for node in nodes}
    for a, b in edges:
        incoming[b].append(a)
        outgoing[a].append(b)
    layer: dict[Hashable, int] = {}
    for node in nodes:
        layer[node] = max((layer[a] + 1 for a in incoming[node]), default=0)
    for node in nodes:
        if not incoming[node] and outgoing[node]:
            layer[node] = min(layer[b] for b in outgoing[node]) - 1
    return layer


def _with_dummies(
    nodes: Sequence[Hashable], edges: Sequence[tuple[Hashable, Hashable]], layer: dict[Hashable, int]
) -> tuple[list[list[Hashable]], list[list[Hashable]]]:
    rows: list[list[Hashable]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in nodes:
        rows[layer[node]].append(node)
    chains = []
    for number, (a, b) in enumerate(edges):
        chain: list[Hashable] = [a]
        for depth in range(layer[a] + 1, layer[b]):
            chain.append(("dummy", number, depth))
            rows[depth].append(chain[-1])
        chains.append([*chain, b])
    return chains, rows


def _spread(row: list[Hashable], wanted: dict[Hashable, float], column: dict[Hashable, float]) -> None:
    """As near to the wanted columns as one unit of distance (half beside a dummy) allows, keeping the order."""
    left: list[float] = []
    for i, node in enumerate(row):
        gap = _gap(row[i - 1], node) if i else 0.0
        left.append(wanted[node] if not i else max(wanted[node], left[-1] + gap))
    right = list(left)
    for i in range(len(row) - 1, -1, -1):
        limit = right[i + 1] - _gap(row[i], row[i + 1]) if i + 1 < len(row) else wanted[row[i]]
        right[i] = min(wanted[row[i]], limit)
    for node, a, b in zip(row, left, right):
        column[node] = (a + b) / 2


def _gap(a: Hashable, b: Hashable) -> float:
    dummies = sum(isinstance(n, tuple) and len(n) == 3 and n[0] == "dummy" for n in (a, b))
    return (1.0, 0.65, 0.3)[dummies]


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default
