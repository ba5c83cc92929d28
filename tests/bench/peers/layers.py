"""PyTorch Geometric's side of ``bench_layers.py``: the same layers, one forward and backward a run; no gnnkit."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import serve

warnings.filterwarnings("ignore")
C, E, RELATIONS = 64, 16, 4


def mlp(*widths: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(widths)):
        layers += [torch.nn.ReLU()] * (k > 0) + [torch.nn.Linear(a, b)]
    return torch.nn.Sequential(*layers)


def layers(degrees: torch.Tensor) -> dict[str, tuple[Callable[[], torch.nn.Module], str]]:
    from torch_geometric import nn
    from torch_geometric.nn.models.schnet import CFConv

    aggregators, scalers = ["mean", "max", "min", "std"], ["identity", "amplification", "attenuation"]
    filters = torch.nn.Sequential(torch.nn.Linear(50, C), torch.nn.Softplus(), torch.nn.Linear(C, C))
    return {
        "GCN": (lambda: nn.GCNConv(C, C, cached=True), ""),
        "SAGE, mean": (lambda: nn.SAGEConv(C, C), ""),
        "SAGE, max": (lambda: nn.SAGEConv(C, C, aggr="max"), ""),
        "GIN": (lambda: nn.GINConv(mlp(C, C, C)), ""),
        "GINE": (lambda: nn.GINEConv(mlp(C, C, C), edge_dim=E), "e"),
        "GAT, 8 heads": (lambda: nn.GATConv(C, C // 8, heads=8), ""),
        "GATv2, 8 heads": (lambda: nn.GATv2Conv(C, C // 8, heads=8), ""),
        "Transformer, 8 heads": (lambda: nn.TransformerConv(C, C // 8, heads=8), ""),
        "ResGated": (lambda: nn.ResGatedGraphConv(C, C), ""),
        "GatedGraph, 3 steps": (lambda: nn.GatedGraphConv(C, 3), ""),
        "PNA": (lambda: nn.PNAConv(C, C, aggregators, scalers, deg=degrees), ""),
        "Cheb, K=3": (lambda: nn.ChebConv(C, C, 3), ""),
        "TAG, K=3": (lambda: nn.TAGConv(C, C, K=3), ""),
        "ARMA": (lambda: nn.ARMAConv(C, C), ""),
        "RGCN, 4 relations": (lambda: nn.RGCNConv(C, C, RELATIONS), "kind"),
        "CG": (lambda: nn.CGConv(C, dim=E), "e"),
        "GMM, 4 kernels": (lambda: nn.GMMConv(C, C, E, 4), "e"),
        "NN, 16 channels": (lambda: nn.NNConv(16, 16, mlp(E, 32, 256)), "e16"),
        "EdgeConv, 1 layer, max": (lambda: nn.EdgeConv(mlp(2 * C, C)), ""),
        "EdgeConv, 2 layers, max": (lambda: nn.EdgeConv(mlp(2 * C, C, C)), ""),
        "SchNet": (lambda: CFConv(C, C, C, filters, 10.0), "pos"),
    }


def job_of(path: str) -> Callable[[str], None]:
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: torch.from_numpy(array) for name, array in data.items()}
    edges = arrays["edges"].long()
    known = layers(torch.bincount(torch.bincount(edges[1], minlength=len(arrays["x"]))))
    made: dict[str, Callable[[], None]] = {}

    def build(name: str) -> Callable[[], None]:
        make, reads = known[name]
        x = (arrays["x"][:, :16] if reads == "e16" else arrays["x"]).clone().requires_grad_()
        layer = make()

        def rest() -> tuple[torch.Tensor, ...]:
            if reads == "pos":  # distances and their Gaussians are part of our layer
                distance = (arrays["pos"][edges[0]] - arrays["pos"][edges[1]]).norm(dim=1)
                centres = torch.linspace(0, 10, 50)
                return distance, torch.exp(-12.0 * (distance[:, None] - centres) ** 2)
            return {"e": (arrays["e"],), "e16": (arrays["e"],), "kind": (arrays["kind"].long(),)}.get(reads, ())

        def run() -> None:
            layer.zero_grad()
            x.grad = None
            y = layer(x, edges, *rest())
            y.backward(torch.ones_like(y))

        return run

    def job(name: str) -> None:
        if name not in made:
            made.clear()
            made[name] = build(name)
        made[name]()

    return job


if __name__ == "__main__":
    torch.manual_seed(0)
    serve(job_of(sys.argv[1]), {"versions": f"torch {torch.__version__}", "threads": torch.get_num_threads()})
