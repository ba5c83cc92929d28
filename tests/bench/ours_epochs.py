"""gnnkit's side of ``bench_epochs.py``: the same two-layer net as the peers', one training epoch per request.

An epoch is forward (first layer, ELU, dropout 0.5, second layer), cross-entropy over all nodes, backward, Adam.
``--profile K`` runs K epochs under cProfile and prints where the time goes instead of serving requests.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from common import serve

import gnnkit as gk


def load(path: str, sparse: bool) -> tuple[gk.Graph, np.ndarray]:
    """Return the graph and the labels; sparse features keep only what is not zero, as gnnkit's own Cora does."""
    with np.load(path, allow_pickle=False) as data:
        indptr, indices, x, y = data["indptr"], data["indices"], data["x"], data["y"]
    num_nodes = len(indptr) - 1
    receivers = np.repeat(np.arange(num_nodes), np.diff(indptr))
    features = sp.csr_matrix(x) if sparse else x
    return gk.from_edges(indices, receivers, num_nodes=num_nodes, x=features), y.astype(np.int64)


def layers(model: str, channels: tuple[int, int, int]) -> gk.nn.Sequential:
    i, h, o = channels
    first, second = {
        "gcn": lambda: (gk.nn.GCNConv(i, h), gk.nn.GCNConv(h, o)),
        "sage": lambda: (gk.nn.SAGEConv(i, h), gk.nn.SAGEConv(h, o)),
        "gat": lambda: (gk.nn.GATConv(i, h // 8, heads=8), gk.nn.GATConv(h, o, heads=1)),
    }[model]()
    return gk.nn.Sequential(first, gk.nn.ELU(), gk.nn.Dropout(0.5), second)


def training_epoch(net: gk.nn.Module, graph: gk.Graph, y: np.ndarray) -> Callable[[], None]:
    optimizer = gk.nn.Adam(net, lr=0.01)
    net.train()

    def epoch() -> None:
        optimizer.zero_grad()
        gk.nn.cross_entropy(net(graph).x, y).backward()
        optimizer.step()

    return epoch


def profile(epoch: Callable[[], None], count: int) -> None:
    import cProfile
    import pstats

    epoch()
    epoch()
    with cProfile.Profile() as profiler:
        for _ in range(count):
            epoch()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", choices=["dense", "sparse"])
    parser.add_argument("model", choices=["gcn", "sage", "gat"])
    parser.add_argument("data")
    parser.add_argument("channels", type=int, nargs=3, metavar=("IN", "HIDDEN", "CLASSES"))
    parser.add_argument("--profile", type=int, default=0, metavar="K")
    args = parser.parse_args()
    graph, y = load(args.data, args.features == "sparse")
    net = layers(args.model, tuple(args.channels))
    net.seed(0)
    epoch = training_epoch(net, graph, y)
    with gk.kernels.keep_freed_memory():  # as gk.learn.fit does while it trains
        if args.profile:
            profile(epoch, args.profile)
        else:
            serve(epoch, {"versions": f"gnnkit {gk.__version__}"})


if __name__ == "__main__":
    main()
