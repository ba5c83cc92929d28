"""One peer's side of ``bench_epochs.py``: a two-layer net in PyTorch Geometric or DGL, one training epoch per request.

An epoch is forward (first layer, ELU, dropout 0.5, second layer), cross-entropy over all nodes, backward, Adam. Run by
``bench_epochs.py`` with the Python of an environment that has torch; it needs no gnnkit.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import serve

warnings.filterwarnings("ignore")


def pyg_layers(model: str, channels: tuple[int, int, int]) -> torch.nn.ModuleList:
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv

    i, h, o = channels
    first, second = {
        "gcn": lambda: (GCNConv(i, h, cached=True), GCNConv(h, o, cached=True)),
        "sage": lambda: (SAGEConv(i, h), SAGEConv(h, o)),
        "gat": lambda: (GATConv(i, h // 8, heads=8), GATConv(h, o, heads=1)),
    }[model]()
    return torch.nn.ModuleList([first, second])


def dgl_layers(model: str, channels: tuple[int, int, int]) -> torch.nn.ModuleList:
    import dgl.nn as dn

    i, h, o = channels
    first, second = {
        "gcn": lambda: (dn.GraphConv(i, h), dn.GraphConv(h, o)),
        "sage": lambda: (dn.SAGEConv(i, h, "mean"), dn.SAGEConv(h, o, "mean")),
        "gat": lambda: (dn.GATConv(i, h // 8, 8), dn.GATConv(h, o, 1)),
    }[model]()
    return torch.nn.ModuleList([first, second])


def load(path: str) -> tuple[np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]:
    with np.load(path, allow_pickle=False) as data:
        return data["indptr"], data["indices"], torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).long()


def forward_of(side: str, net: torch.nn.ModuleList, path: str) -> tuple[Callable[[], torch.Tensor], torch.Tensor]:
    """Return a function that computes the logits, and the labels, with the graph in the form that ``side`` uses."""
    indptr, indices, x, y = load(path)
    n = len(indptr) - 1
    receivers = np.repeat(np.arange(n), np.diff(indptr))
    edge_index = torch.from_numpy(np.stack([indices, receivers])).long()
    graph: Any = edge_index
    if side == "pyg_csr":
        ones = torch.ones(len(indices))
        graph = torch.sparse_csr_tensor(torch.from_numpy(indptr).long(), edge_index[0], ones, size=(n, n))
    if side == "dgl":
        import dgl

        graph = dgl.graph((edge_index[0], edge_index[1]), num_nodes=n)
        graph.create_formats_()

    def pyg() -> torch.Tensor:
        return net[1](F.dropout(F.elu(net[0](x, graph)), 0.5, True), graph)

    def dgl_() -> torch.Tensor:
        return net[1](graph, F.dropout(F.elu(net[0](graph, x).flatten(1)), 0.5, True)).reshape(n, -1)

    return (dgl_ if side == "dgl" else pyg), y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["pyg", "pyg_csr", "dgl"])
    parser.add_argument("model", choices=["gcn", "sage", "gat"])
    parser.add_argument("data")
    parser.add_argument("channels", type=int, nargs=3, metavar=("IN", "HIDDEN", "CLASSES"))
    args = parser.parse_args()
    torch.manual_seed(0)
    net = (dgl_layers if args.side == "dgl" else pyg_layers)(args.model, tuple(args.channels))
    forward, y = forward_of(args.side, net, args.data)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def epoch() -> None:
        optimizer.zero_grad()
        F.cross_entropy(forward(), y).backward()
        optimizer.step()

    serve(epoch, {"versions": f"torch {torch.__version__}", "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
