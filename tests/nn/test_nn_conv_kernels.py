"""Layers on a graph large enough for generated kernels: what numpy computes in chunks, and the same bits always."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K

NUM_NODES, NUM_EDGES = 300, 6000
AGGREGATORS = ("mean", "max", "min", "std", "var", "sum")

# name: (layer, whether it reads e)
LAYERS = {
    "edge conv": (lambda: gk.nn.EdgeConv(gk.nn.Linear(16, 8, rng=0)), False),
    "edge conv of two layers": (lambda: gk.nn.EdgeConv(gk.nn.MLP([16, 8, 8], rng=0), reducer="mean"), False),
    "nn conv": (lambda: gk.nn.NNConv(8, 8, gk.nn.MLP([4, 8, 64], activation="tanh", rng=0), rng=0), True),
    "gmm": (lambda: gk.nn.GMMConv(8, 8, edge_channels=4, kernels=3, rng=0), True),
    "cg": (lambda: gk.nn.CGConv(8, edge_channels=4, rng=0), True),
    "transformer": (lambda: gk.nn.TransformerConv(8, 4, heads=2, rng=0), False),
    "transformer edges": (lambda: gk.nn.TransformerConv(8, 4, heads=2, edge_channels=4, rng=0), True),
    "gated graph": (lambda: gk.nn.GatedGraphConv(8, 8, num_layers=2, rng=0), False),
    "residual gated": (lambda: gk.nn.ResGatedGraphConv(8, 8, rng=0), False),
    "egnn": (lambda: gk.nn.EGNNConv(8, 8, rng=0), False),
    "schnet": (lambda: gk.nn.SchNetConv(8, 8, gaussians=8, cutoff=3.0, rng=0), False),
    "sage max": (lambda: gk.nn.SAGEConv(8, 8, reducer="max", rng=0), False),
    "gine": (lambda: gk.nn.GINEConv(gk.nn.Linear(8, 8, rng=0), in_channels=8, edge_channels=4, rng=0), True),
    "gat": (lambda: gk.nn.GATConv(8, 4, heads=2, dropout=0.5, rng=0).seed(1), False),
    "gat edges": (lambda: gk.nn.GATConv(8, 4, heads=2, concat=False, edge_channels=4, rng=0), True),
    "gatv2": (lambda: gk.nn.GATv2Conv(8, 4, heads=2, dropout=0.5, rng=0).seed(1), False),
    "gatv2 edges": (lambda: gk.nn.GATv2Conv(8, 4, heads=2, edge_channels=4, rng=0), True),
    "mpnn": (lambda: gk.nn.MPNN(gk.nn.MLP([20, 8, 8], rng=0), gk.nn.Linear(16, 8, rng=1), reducer="max"), True),
    "interaction": (
        lambda: gk.nn.InteractionNetwork(gk.nn.MLP([16, 8, 8], rng=0), gk.nn.Linear(16, 8, rng=1)),
        False,
    ),
    "pna": (lambda: gk.nn.PNAConv(8, 8, delta=2.0, rng=0), False),
    "pna edges": (
        lambda: gk.nn.PNAConv(8, 8, delta=2.0, aggregators=AGGREGATORS, edge_channels=4, towers=2, rng=0),
        True,
    ),
    "pna layers": (lambda: gk.nn.PNAConv(8, 8, delta=2.0, message_layers=2, towers=2, rng=0), False),
    "rgcn": (lambda: gk.nn.RGCNConv(8, 8, num_relations=50, relation="kind", rng=0), False),
    "rgcn bases": (lambda: gk.nn.RGCNConv(8, 8, num_relations=50, relation="kind", num_bases=2, rng=0), False),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


def make_graph(name):
    """Two hubs, self-loops, parallel edges, and a third of the nodes without an edge."""
    rng = np.random.default_rng(0)
    busy = NUM_NODES * 2 // 3
    receivers = np.where(rng.random(NUM_EDGES) < 0.3, rng.integers(0, 2, NUM_EDGES), rng.integers(0, busy, NUM_EDGES))
    senders = rng.integers(0, busy, NUM_EDGES)
    geometric = {"pos": rng.normal(size=(NUM_NODES, 3))} if name in ("egnn", "schnet") else {}
    e = rng.normal(size=(NUM_EDGES, 4)) if LAYERS[name][1] else None
    x = rng.normal(size=(NUM_NODES, 8))
    return gk.from_edges(senders, receivers, x=x, e=e, nodes=geometric, edges={"kind": rng.integers(0, 50, NUM_EDGES)})


def results(name):
    graph = make_graph(name)
    layer = LAYERS[name][0]().astype("float64")
    fields = {"x": gk.tensor(graph.x, requires_grad=True)}
    if "pos" in graph.nodes:
        fields["pos"] = gk.tensor(graph.nodes["pos"], requires_grad=True)
    e = {"e": gk.tensor(graph.e, requires_grad=True)} if LAYERS[name][1] else {}
    out = layer(graph.replace(nodes=fields, edges=e))
    loss = np.sin(out.x).sum()
    found = {"out": out.x.numpy()}
    if "pos" in out.nodes:
        loss = loss + np.sin(out.nodes["pos"]).sum()
        found["out pos"] = gk.autodiff.as_array(out.nodes["pos"])
    loss.backward()
    leaves = {**fields, **e, **dict(layer.named_parameters())}
    return found | {key: leaf.grad.numpy() for key, leaf in leaves.items() if leaf.grad is not None}


@every_layer
def test_kernels_compute_what_numpy_does(name):
    fast = results(name)
    with K.use_backend("numpy"):
        plain = results(name)
    assert fast.keys() == plain.keys()
    for key, value in plain.items():
        np.testing.assert_allclose(fast[key], value, rtol=1e-9, atol=1e-10, err_msg=key)


@every_layer
def test_the_number_of_threads_changes_no_bit(name):
    threads = K.get_num_threads()
    try:
        found = []
        for number in (1, 2, 4):
            K.set_num_threads(number)
            found.append(results(name))
    finally:
        K.set_num_threads(threads)
    for other in found[1:]:
        for key, value in found[0].items():
            np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_forces_can_be_learnt():
    """The derivative of an energy by the positions, differentiated again by the parameters."""
    graph = make_graph("schnet")
    model = gk.nn.Sequential(gk.nn.EGNNConv(8, 8, update_positions=False, rng=0), gk.nn.SchNetConv(8, 1, cutoff=3.0))
    model.astype("float64")

    def learnt():
        force = gk.grad(lambda pos: model(graph.replace(nodes={"pos": pos})).x.sum())(
            gk.tensor(graph.nodes["pos"], requires_grad=True)
        )
        model.zero_grad()
        (force**2).sum().backward()
        return {
            key: parameter.grad.numpy() for key, parameter in model.named_parameters() if parameter.grad is not None
        }

    fast = learnt()
    with K.use_backend("numpy"):
        plain = learnt()
    assert any(value.any() for value in plain.values())
    for key, value in plain.items():
        np.testing.assert_allclose(fast[key], value, rtol=1e-8, atol=1e-8 * abs(value).max(), err_msg=key)
