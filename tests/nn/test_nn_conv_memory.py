"""A training step of the layers that work edge by edge holds no array of one row of features per edge."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import gnnkit as gk

NUM_NODES, NUM_EDGES, CHANNELS = 500, 100_000, 64
ROWS = NUM_EDGES * CHANNELS * 4  # bytes of an array [num_edges, channels] of float32

LAYERS = {
    "sage max": (lambda: gk.nn.SAGEConv(64, 64, reducer="max", rng=0), False),
    "gine": (lambda: gk.nn.GINEConv(gk.nn.Linear(64, 64, rng=0), in_channels=64, edge_channels=4, rng=0), True),
    "gat": (lambda: gk.nn.GATConv(64, 16, heads=4, rng=0), False),
    "gatv2": (lambda: gk.nn.GATv2Conv(64, 16, heads=4, rng=0), False),
    "gatv2 edges": (lambda: gk.nn.GATv2Conv(64, 16, heads=4, edge_channels=4, rng=0), True),
    "pna": (lambda: gk.nn.PNAConv(64, 64, delta=5.0, rng=0), False),
    "pna edges": (lambda: gk.nn.PNAConv(64, 64, delta=5.0, edge_channels=4, rng=0), True),
    "rgcn": (lambda: gk.nn.RGCNConv(64, 64, num_relations=4, relation="kind", rng=0), False),
    "rgcn bases": (lambda: gk.nn.RGCNConv(64, 64, num_relations=4, relation="kind", num_bases=2, rng=0), False),
    "tag": (lambda: gk.nn.TAGConv(64, 64, rng=0), False),
    "arma": (lambda: gk.nn.ARMAConv(64, 64, layers=2, rng=0), False),
    "mpnn": (lambda: gk.nn.MPNN(gk.nn.Linear(132, 64, rng=0), gk.nn.Linear(128, 64, rng=1)), True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_array_of_features_per_edge(name):
    build, with_edges = LAYERS[name]
    rng = np.random.default_rng(0)
    senders, receivers = rng.integers(0, NUM_NODES, (2, NUM_EDGES))
    graph = gk.from_edges(
        senders,
        receivers,
        x=rng.normal(size=(NUM_NODES, CHANNELS)).astype("float32"),
        e=rng.normal(size=(NUM_EDGES, 4)).astype("float32") if with_edges else None,
        edges={"kind": rng.integers(0, 4, NUM_EDGES)},
    )
    layer = build()

    def step():
        x = gk.tensor(graph.x, requires_grad=True)
        layer(graph.replace(x=x)).x.sum().backward()

    step()  # compiles, and builds what is kept with the topology
    tracemalloc.start()
    try:
        step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * ROWS, f"{peak / 1e6:.1f} MB against {ROWS / 1e6:.1f} MB of one array"
