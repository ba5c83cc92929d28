"""Layers that pass messages, each in a few forms: what the contract of all layers and the catalogue are run on."""

from __future__ import annotations

import gnnkit as gk

CHANNELS, EDGE_CHANNELS, GLOBAL_CHANNELS = 3, 2, 2

# name: (constructor taking rng, state that it reads)
LAYERS = {
    "gcn widening": (lambda rng: gk.nn.GCNConv(3, 5, rng=rng), "x"),
    "gcn narrowing": (lambda rng: gk.nn.GCNConv(3, 1, rng=rng), "x"),
    "gcn weighted": (lambda rng: gk.nn.GCNConv(3, 2, edge_weight="w", rng=rng), "x"),
    "sage mean": (lambda rng: gk.nn.SAGEConv(3, 4, rng=rng), "x"),
    "sage mean weighted": (lambda rng: gk.nn.SAGEConv(3, 4, edge_weight="w", rng=rng), "x"),
    "sage max": (lambda rng: gk.nn.SAGEConv(3, 4, reducer="max", rng=rng), "x"),
    "sage sum": (lambda rng: gk.nn.SAGEConv(3, 1, reducer="sum", rng=rng), "x"),
    "graph conv": (lambda rng: gk.nn.GraphConv(3, 4, edge_weight="w", rng=rng), "x"),
    "gin": (lambda rng: gk.nn.GINConv(gk.nn.MLP([3, 4, 2], activation="tanh", rng=rng), train_eps=True), "x"),
    "gine": (
        lambda rng: gk.nn.GINEConv(
            gk.nn.MLP([3, 4, 2], activation="tanh", rng=rng), in_channels=3, edge_channels=2, rng=rng
        ),
        "xe",
    ),
    "gat": (lambda rng: gk.nn.GATConv(3, 2, heads=2, rng=rng), "x"),
    "gat edges": (lambda rng: gk.nn.GATConv(3, 2, heads=2, concat=False, edge_channels=2, rng=rng), "xe"),
    "gatv2": (lambda rng: gk.nn.GATv2Conv(3, 2, heads=2, rng=rng), "x"),
    "gatv2 edges": (lambda rng: gk.nn.GATv2Conv(3, 2, heads=2, edge_channels=2, self_loops=False, rng=rng), "xe"),
    "sgc": (lambda rng: gk.nn.SGConv(3, 2, K=2, rng=rng), "x"),
    "appnp": (lambda rng: gk.nn.APPNP(K=3, alpha=0.2, edge_weight="w"), "x"),
    "cheb widening": (lambda rng: gk.nn.ChebConv(3, 4, K=3, lambda_max=1.8, rng=rng), "x"),
    "cheb narrowing": (lambda rng: gk.nn.ChebConv(3, 1, K=4, edge_weight="w", rng=rng), "x"),
    "tag": (lambda rng: gk.nn.TAGConv(3, 4, K=2, rng=rng), "x"),
    "tag weighted": (lambda rng: gk.nn.TAGConv(3, 1, K=3, normalise=False, edge_weight="w", rng=rng), "x"),
    "gcn2": (
        lambda rng: gk.nn.Sequential(
            gk.nn.Linear(3, 4, rng=rng),
            gk.nn.KeepFeatures("x_0"),
            gk.nn.GCN2Conv(4, layer=1, rng=rng),
            gk.nn.Tanh(),
            gk.nn.GCN2Conv(4, layer=2, shared_weights=False, edge_weight="w", rng=rng),
        ),
        "x",
    ),
    "arma": (lambda rng: gk.nn.ARMAConv(3, 2, stacks=2, layers=2, activation="tanh", rng=rng), "x"),
    "arma shared": (
        lambda rng: gk.nn.ARMAConv(3, 4, layers=3, shared_weights=True, activation=None, edge_weight="w", rng=rng),
        "x",
    ),
    "rgcn": (lambda rng: gk.nn.RGCNConv(3, 4, num_relations=3, relation="kind", rng=rng), "x"),
    "rgcn bases": (
        lambda rng: gk.nn.RGCNConv(3, 2, num_relations=3, relation="kind", num_bases=2, reducer="sum", rng=rng),
        "x",
    ),
    "rgcn basis": (lambda rng: gk.nn.RGCNConv(3, 2, num_relations=3, relation="kind", num_bases=1, rng=rng), "x"),
    "rgcn blocks": (lambda rng: gk.nn.RGCNConv(3, 6, num_relations=3, relation="kind", num_blocks=3, rng=rng), "x"),
    "pna": (lambda rng: gk.nn.PNAConv(3, 4, delta=0.9, towers=2, rng=rng), "x"),
    "pna edges": (
        lambda rng: gk.nn.PNAConv(
            3,
            3,
            delta=0.9,
            aggregators=["sum", "var"],
            scalers=["identity", "linear"],
            towers=3,
            divide_input=True,
            edge_channels=2,
            update_layers=2,
            rng=rng,
        ),
        "xe",
    ),
    "graph network": (
        lambda rng: gk.nn.GraphNetwork(
            edge_model=gk.nn.MLP([10, 4, 2], activation="tanh", rng=rng),
            node_model=gk.nn.MLP([9, 4, 3], activation="tanh", rng=rng),
            global_model=gk.nn.MLP([7, 4, 2], activation="tanh", rng=rng),
            node_inputs=("x", "received", "sent", "u"),
            aggregate_sent="mean",
            aggregate_nodes_to_globals="std",
        ),
        "xeu",
    ),
    "deep sets": (
        lambda rng: gk.nn.DeepSets(
            gk.nn.MLP([3, 4, 2], activation="tanh", rng=rng), gk.nn.Linear(2, 2, rng=rng), reducer="mean"
        ),
        "x",
    ),
    "interaction network": (
        lambda rng: gk.nn.InteractionNetwork(
            gk.nn.MLP([8, 4, 2], activation="tanh", rng=rng), gk.nn.Linear(5, 3, rng=rng), edge_features=True
        ),
        "xe",
    ),
    "mpnn": (
        lambda rng: gk.nn.MPNN(
            gk.nn.MLP([8, 4, 2], activation="tanh", rng=rng),
            gk.nn.Linear(5, 3, rng=rng),
            gk.nn.Linear(3, 1, rng=rng),
            steps=2,
            reducer="max",
        ),
        "xe",
    ),
    "edge conv": (lambda rng: gk.nn.EdgeConv(gk.nn.MLP([6, 4, 2], activation="tanh", rng=rng)), "x"),
    "edge conv of one product": (lambda rng: gk.nn.EdgeConv(gk.nn.Linear(6, 2, rng=rng), reducer="mean"), "x"),
    "edge conv with a norm": (
        lambda rng: gk.nn.EdgeConv(gk.nn.MLP([6, 4, 2], norm="layer", activation="tanh", rng=rng), reducer="sum"),
        "x",
    ),
    "nn conv": (lambda rng: gk.nn.NNConv(3, 2, gk.nn.MLP([2, 4, 6], activation="tanh", rng=rng), rng=rng), "xe"),
    "nn conv by matrices": (
        lambda rng: gk.nn.NNConv(
            3, 2, gk.nn.Sequential(gk.nn.Linear(2, 6, rng=rng), gk.nn.Tanh()), reducer="max", rng=rng
        ),
        "xe",
    ),
    "gmm": (lambda rng: gk.nn.GMMConv(3, 2, edge_channels=2, own_weight=True, rng=rng), "xe"),
    "cg": (lambda rng: gk.nn.CGConv(3, rng=rng), "x"),
    "cg edges": (lambda rng: gk.nn.CGConv(3, edge_channels=2, rng=rng), "xe"),
    "transformer": (lambda rng: gk.nn.TransformerConv(3, 2, heads=2, rng=rng), "x"),
    "transformer edges": (
        lambda rng: gk.nn.TransformerConv(3, 2, heads=2, concat=False, beta=False, edge_channels=2, rng=rng),
        "xe",
    ),
    "gated graph": (lambda rng: gk.nn.GatedGraphConv(3, 4, num_layers=2, edge_weight="w", rng=rng), "x"),
    "residual gated": (lambda rng: gk.nn.ResGatedGraphConv(3, 2, rng=rng), "x"),
    "residual gated edges": (lambda rng: gk.nn.ResGatedGraphConv(3, 2, edge_channels=2, rng=rng), "xe"),
    "global pool": (lambda rng: gk.nn.GlobalPool("mean", head=gk.nn.Linear(3, 2, rng=rng)), "x"),
    "model": (
        lambda rng: gk.nn.Sequential(gk.nn.GCNConv(3, 4, rng=rng), gk.nn.Tanh(), gk.nn.SAGEConv(4, 2, rng=rng)),
        "x",
    ),
}
