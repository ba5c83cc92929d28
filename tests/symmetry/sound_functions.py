"""Layers that have their symmetries: the checker must not flag them. Shared by the tests and by the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gnnkit as gk

GRAPHS = {"channels": 3, "max_nodes": 8}


def strategy(**options):
    return gk.symmetry.strategies.graphs(**{**GRAPHS, **options})


def images(border="zero", sizes=((6, 6), (5, 8)), channels=2):
    rng = np.random.default_rng(0)
    return [gk.from_image(rng.normal(size=(*size, channels)), border=border) for size in sizes]


def mlp(*widths):
    return gk.nn.MLP(list(widths), activation="tanh", rng=0)


@gk.message_program
def gated_difference(src, dst):
    return gk.agg.sum(gk.agg.softmax(src.x - dst.x) * src.x)


def neighbour_sum_in_numpy(g):
    out = np.zeros(g.x.shape)
    np.add.at(out, g.receivers, np.asarray(g.x)[g.senders])
    return out


@dataclass(frozen=True)
class Sound:
    """A function with its symmetry ``group``/``expect``; ``graphs`` are made when asked for."""

    function: Any
    graphs: Any
    group: Any = "nodes"
    expect: str = "equivariant"
    output: str | None = None

    def check(self, **options):
        arguments = {"group": self.group, "expect": self.expect, "output": self.output, **options}
        return gk.symmetry.check(self.function, self.graphs(), **arguments)


def _on_graphs(name, function, graphs=strategy, **options):
    return {f"{name}, {group}": Sound(function, graphs, group, **options) for group in ("nodes", "edges", "union")}


def _with_edges():
    return strategy(edge_channels=2)


def _points():
    return strategy(dimensions=3)


SOUND = {
    **_on_graphs("GCNConv", gk.nn.GCNConv(3, 2, rng=0)),
    **_on_graphs("SAGEConv mean", gk.nn.SAGEConv(3, 2, rng=0)),
    **_on_graphs("SAGEConv max", gk.nn.SAGEConv(3, 2, reducer="max", rng=0)),
    **_on_graphs("GINConv", gk.nn.GINConv(mlp(3, 4, 2), train_eps=True)),
    **_on_graphs("GATv2Conv with edges", gk.nn.GATv2Conv(3, 2, heads=2, edge_channels=2, rng=0), _with_edges),
    **_on_graphs("PNAConv", gk.nn.PNAConv(3, 2, delta=0.9, towers=1, rng=0)),
    **_on_graphs("EdgeConv max", gk.nn.EdgeConv(mlp(6, 4, 2))),
    **_on_graphs("LayerNorm over graphs", gk.nn.LayerNorm(3, over="graph")),
    **_on_graphs("GlobalPool mean", gk.nn.GlobalPool("mean", head=gk.nn.Linear(3, 2, rng=0))),
    **_on_graphs("message program with softmax", gated_difference, output="nodes"),
    **_on_graphs("sum over neighbours in numpy", neighbour_sum_in_numpy, output="nodes"),
    "GlobalPool sum, invariant": Sound(gk.nn.GlobalPool("sum"), strategy, expect="invariant"),
    "GlobalPool max of batches": Sound(gk.nn.GlobalPool("max"), lambda: strategy(batches=True), expect="invariant"),
    "sum over neighbours, reversal": Sound(
        lambda g: gk.scatter_add(gk.take_rows(g.x, g.senders), g.receivers, g.num_nodes),
        lambda: strategy(undirected=True),
        "reversal",
        output="nodes",
    ),
    "EGNNConv, euclidean": Sound(gk.nn.EGNNConv(3, 3, rng=0), _points, "euclidean"),
    "EGNNConv, nodes": Sound(gk.nn.EGNNConv(3, 3, rng=0), _points),
    "SchNetConv, euclidean": Sound(gk.nn.SchNetConv(3, 2, rng=0), _points, "euclidean", "invariant"),
    "ReLU, channels": Sound(gk.nn.ReLU(), strategy, "channels"),
    "Conv2d, torus": Sound(gk.nn.Conv2d(2, 2, 3, rng=0), lambda: images("wrap"), "torus"),
    "Conv2d of stride 2, torus": Sound(
        gk.nn.Conv2d(2, 2, 3, stride=2, rng=0), lambda: images("wrap", ((6, 6), (4, 8))), ("torus", {"step": 2})
    ),
    "two Conv2d, translation": Sound(
        gk.nn.Sequential(gk.nn.Conv2d(2, 3, 3, rng=0), gk.nn.ReLU(), gk.nn.Conv2d(3, 2, 3, rng=1)),
        lambda: images(sizes=((9, 10), (8, 9))),
        "translation",
    ),
    "MaxPool, flip": Sound(gk.nn.MaxPool(2), lambda: images(sizes=((6, 6), (4, 8))), "flip"),
    "MaxPool, rot90": Sound(gk.nn.MaxPool(2), lambda: images(sizes=((6, 6), (4, 8))), "rot90"),
    "Conv2d, union": Sound(gk.nn.Conv2d(2, 2, 3, rng=0), images, "union"),
}
