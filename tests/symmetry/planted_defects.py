"""Functions with a well-known defect each, the symmetry that it breaks, and graphs on which it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gnnkit as gk


def random_graph(seed=0, nodes=9, edges=22, ties=False, **fields):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, size=(nodes, 2)).astype(float) if ties else rng.normal(size=(nodes, 2))
    return gk.from_edges(
        rng.integers(0, nodes, edges), rng.integers(0, nodes, edges), num_nodes=nodes, x=x, nodes=fields or None
    )


def weights_per_neighbour(g):
    """The k-th incoming edge of a node has the k-th weight, as an image's kernel has."""
    place = np.arange(g.num_edges) - g.topology.indptr[g.receivers]
    messages = gk.take_rows(g.x, g.senders) * (1.0 + place)[:, None]
    return gk.scatter_add(messages, g.receivers, g.num_nodes)


def last_writer_wins(g):
    """``out[r] = max(out[r], x[s])`` with fancy indexing: of equal receivers only the last is written."""
    senders, receivers, _ = g.to_edges()
    out = np.zeros(g.x.shape)
    out[receivers] = np.maximum(out[receivers], np.asarray(g.x)[senders])
    return out


def statistics_of_the_batch(g):
    """Every graph is centred by the mean over all nodes of the batch."""
    return g.x - np.mean(g.x, axis=0, keepdims=True) if g.num_nodes else g.x


def readout_without_trailing_graphs(g):
    """The number of graphs is taken from the largest graph number that has a node."""
    count = int(g.node_graph.max()) + 1 if g.num_nodes else 0
    return gk.scatter_add(g.x, g.node_graph, count)


def recurrent_over_neighbours(g):
    """A recurrent network reads the neighbours in the order in which they are stored."""
    rows = []
    for i in range(g.num_nodes):
        state = np.zeros(2)
        for k in range(g.topology.indptr[i], g.topology.indptr[i + 1]):
            state = np.tanh(0.5 * state + g.x[g.senders[k]])
        rows.append(gk.tensor(state) if isinstance(state, np.ndarray) else state)
    return np.stack(rows) if rows else g.x


def recurrent_over_given_edges(g):
    """The same, in the order in which the user gave the edges."""
    senders, receivers, _ = g.to_edges()
    x, state = np.asarray(g.x), np.zeros(g.x.shape)
    for s, r in zip(senders, receivers):
        state[r] = np.tanh(0.5 * state[r] + x[s])
    return state


def absolute_positions(g):
    """A layer that should know distances only also reads where its neighbour is."""
    offset = gk.take_rows(g.nodes["pos"], g.senders) - gk.take_rows(g.nodes["pos"], g.receivers)
    distance = np.sum(offset * offset, axis=1, keepdims=True)
    message = gk.take_rows(g.x, g.senders) * distance + np.tanh(gk.take_rows(g.nodes["pos"], g.senders))[:, :1]
    return g.replace(x=gk.scatter_add(message, g.receivers, g.num_nodes))


@gk.primitive
def segment_first_max(x, indptr, senders):
    out = np.zeros((len(indptr) - 1, x.shape[1]))
    for i in range(len(out)):
        if indptr[i] < indptr[i + 1]:
            out[i] = x[senders[indptr[i] : indptr[i + 1]]].max(axis=0)
    return out


def _to_the_first(g, y, x, indptr, senders):
    gradient = np.zeros(x.shape)
    for i in range(len(indptr) - 1):
        if indptr[i] < indptr[i + 1]:
            near = senders[indptr[i] : indptr[i + 1]]
            first = near[x[near].argmax(axis=0)]
            gradient[first, np.arange(x.shape[1])] += g[i]
    return gradient


gk.defvjp(segment_first_max, _to_the_first)


def gradient_to_the_first_maximum(g):
    """The forward pass is right; of several neighbours with the largest value only the first gets the gradient."""
    return segment_first_max(g.x, g.topology.indptr, g.senders)


@dataclass(frozen=True)
class Defect:
    function: Any
    graphs: Callable[[], Any]
    group: Any = "nodes"
    output: str | None = "nodes"
    kind: str = "output"
    options: dict[str, Any] = field(default_factory=dict)

    def check(self, **options):
        arguments = {"group": self.group, "output": self.output, **self.options, **options}
        return gk.symmetry.check(self.function, self.graphs(), **arguments)


def points():
    rng = np.random.default_rng(1)
    return random_graph(pos=rng.normal(size=(9, 3)))


def reflected_image():
    return gk.from_image(np.random.default_rng(0).normal(size=(6, 7, 2)), border="reflect")


DEFECTS = {
    "per-neighbour weights": Defect(weights_per_neighbour, random_graph),
    "last-writer-wins max": Defect(last_writer_wins, random_graph, group="edges"),
    "batch statistics by hand": Defect(statistics_of_the_batch, random_graph, group="union"),
    "batch statistics of BatchNorm": Defect(gk.nn.BatchNorm(2), random_graph, group="union", output=None),
    "readout without trailing graphs": Defect(
        readout_without_trailing_graphs, random_graph, group="union", output="globals", kind="shape"
    ),
    "recurrent over neighbours": Defect(recurrent_over_neighbours, random_graph),
    "recurrent over given edges": Defect(recurrent_over_given_edges, random_graph, group="edges"),
    "absolute positions": Defect(absolute_positions, points, group="shift", output=None),
    "absolute positions, euclidean": Defect(
        absolute_positions, points, group="euclidean", output=None, options={"expect": "invariant"}
    ),
    "reflect padding on a torus": Defect(gk.nn.Conv2d(2, 2, 3, rng=0), reflected_image, group="torus", output=None),
    "gradient to the first maximum": Defect(
        gradient_to_the_first_maximum, lambda: random_graph(ties=True), kind="gradient"
    ),
}
