"""One peer's side of ``bench_neighbour_sum.py``: the sum over neighbours in DGL, torch CSR or gather + index_add.

Run by ``bench_neighbour_sum.py`` with the Python of an environment that has torch; it needs no gnnkit.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import serve

warnings.filterwarnings("ignore")


def sum_of(side: str, indptr: np.ndarray, indices: np.ndarray, x: torch.Tensor) -> Callable[[], Any]:
    """Return the function to time; the graph is brought into its form beforehand, as every side's is."""
    n = len(indptr) - 1
    senders = torch.from_numpy(indices).long()
    receivers = torch.from_numpy(np.repeat(np.arange(n), np.diff(indptr)))
    if side == "dgl":
        import dgl
        import dgl.ops

        graph = dgl.graph((senders, receivers), num_nodes=n)
        graph.create_formats_()
        return lambda: dgl.ops.copy_u_sum(graph, x)
    if side == "torch":
        ones = torch.ones(len(indices))
        matrix = torch.sparse_csr_tensor(torch.from_numpy(indptr).long(), senders, ones, size=(n, n))
        return lambda: matrix @ x
    return lambda: torch.zeros(n, x.shape[1]).index_add_(0, receivers, x.index_select(0, senders))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["dgl", "torch", "pyg"])
    parser.add_argument("data")
    parser.add_argument("width", type=int)
    args = parser.parse_args()
    with np.load(args.data, allow_pickle=False) as data:
        indptr, indices = data["indptr"], data["indices"]
    x = torch.from_numpy(np.random.default_rng(0).random((len(indptr) - 1, args.width), dtype=np.float32))
    run_once = sum_of(args.side, indptr, indices, x)
    serve(run_once, {"checksum": float(run_once().double().sum()), "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
