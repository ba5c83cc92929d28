"""A small directed graph with positions, for the tests of geometric convolutions."""

from __future__ import annotations

import conv_cases
import numpy as np

import gnnkit as gk

# Directed, with a self-loop at 2, the edge 0 -> 1 twice, a hub 3, no edge into 4, and node 5 isolated.
SENDERS = np.array([0, 0, 1, 2, 3, 2, 4, 1, 0, 2])
RECEIVERS = np.array([1, 1, 0, 2, 2, 3, 3, 3, 3, 1])
NUM_NODES, NUM_EDGES = 6, 10


def make_graph(rng, channels=3, edge_channels=None, dimensions=3, dtype="float64"):
    e = None if edge_channels is None else rng.normal(size=(NUM_EDGES, edge_channels)).astype(dtype)
    x = rng.normal(size=(NUM_NODES, channels)).astype(dtype)
    pos = rng.normal(size=(NUM_NODES, dimensions)).astype(dtype)
    return gk.from_edges(SENDERS, RECEIVERS, num_nodes=NUM_NODES, x=x, e=e, nodes={"pos": pos})


def randomised(layer, rng):
    return conv_cases.randomised(layer, rng, scale=0.7)


def states(graph):
    return graph.x.numpy(), gk.autodiff.as_array(graph.nodes["pos"])
