"""gnnkit's side of ``bench_layers.py``: forward and backward of a layer, gradients by the features and parameters."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np
from common import serve

import gnnkit as gk

C, E, RELATIONS = 64, 16, 4  # channels of nodes and of edges; types of edges


def mlp(*widths: int) -> gk.nn.Module:
    layers: list[gk.nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(widths)):
        layers += [gk.nn.ReLU()] * (k > 0) + [gk.nn.Linear(a, b, rng=k)]
    return gk.nn.Sequential(*layers)


# what builds the layer, and the fields of edges and nodes that it reads beside x
LAYERS: dict[str, tuple[Callable[[], gk.nn.Module], str]] = {
    "GCN": (lambda: gk.nn.GCNConv(C, C), ""),
    "SAGE, mean": (lambda: gk.nn.SAGEConv(C, C), ""),
    "SAGE, max": (lambda: gk.nn.SAGEConv(C, C, reducer="max"), ""),
    "GIN": (lambda: gk.nn.GINConv(mlp(C, C, C)), ""),
    "GINE": (lambda: gk.nn.GINEConv(mlp(C, C, C), in_channels=C, edge_channels=E), "e"),
    "GAT, 8 heads": (lambda: gk.nn.GATConv(C, C // 8, heads=8), ""),
    "GATv2, 8 heads": (lambda: gk.nn.GATv2Conv(C, C // 8, heads=8), ""),
    "Transformer, 8 heads": (lambda: gk.nn.TransformerConv(C, C // 8, heads=8, beta=False), ""),
    "ResGated": (lambda: gk.nn.ResGatedGraphConv(C, C), ""),
    "GatedGraph, 3 steps": (lambda: gk.nn.GatedGraphConv(C, C, num_layers=3), ""),
    "PNA": (lambda: gk.nn.PNAConv(C, C, delta=2.0), ""),
    "Cheb, K=3": (lambda: gk.nn.ChebConv(C, C, K=3), ""),
    "TAG, K=3": (lambda: gk.nn.TAGConv(C, C, K=3), ""),
    "ARMA": (lambda: gk.nn.ARMAConv(C, C), ""),
    "RGCN, 4 relations": (lambda: gk.nn.RGCNConv(C, C, num_relations=RELATIONS, relation="kind"), "kind"),
    "CG": (lambda: gk.nn.CGConv(C, edge_channels=E), "e"),
    "GMM, 4 kernels": (lambda: gk.nn.GMMConv(C, C, edge_channels=E, kernels=4), "e"),
    "NN, 16 channels": (lambda: gk.nn.NNConv(16, 16, mlp(E, 32, 256)), "e16"),
    "EdgeConv, 1 layer, max": (lambda: gk.nn.EdgeConv(mlp(2 * C, C)), ""),
    "EdgeConv, 2 layers, max": (lambda: gk.nn.EdgeConv(mlp(2 * C, C, C)), ""),
    "SchNet": (lambda: gk.nn.SchNetConv(C, C, filters=C, gaussians=50, cutoff=10.0), "pos"),
    "EGNN": (lambda: gk.nn.EGNNConv(C, C, hidden=C), "pos"),
}


def job_of(path: str) -> Callable[[str], None]:
    """What runs one layer, named by the line that asks for it."""
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    made: dict[str, Callable[[], None]] = {}

    def build(name: str) -> Callable[[], None]:
        make, reads = LAYERS[name]
        fields = {"e": {"e": arrays["e"]}, "e16": {"e": arrays["e"]}, "kind": {"kind": arrays["kind"]}}.get(reads, {})
        edges = arrays["edges"]
        x = np.ascontiguousarray(arrays["x"][:, :16] if reads == "e16" else arrays["x"])
        graph = gk.from_edges(*edges, num_nodes=len(x), x=x, edges=fields)
        if reads == "pos":
            graph = graph.replace(nodes={"pos": arrays["pos"]})
        layer = make()
        layer.train()
        leaf = gk.tensor(x, requires_grad=True)

        def run() -> None:
            layer.zero_grad()
            leaf.grad = None
            y = layer(graph.replace(x=leaf)).x
            y.backward(np.ones(y.shape, np.float32))

        return run

    def job(name: str) -> None:
        if name not in made:
            made.clear()
            made[name] = build(name)
        made[name]()

    return job


if __name__ == "__main__":
    with gk.kernels.keep_freed_memory():
        serve(job_of(sys.argv[1]), {"versions": f"gnnkit {gk.__version__}"})
