"""gnnkit's and scipy's side of ``bench_neighbour_sum.py``: the sum over neighbours, one per request."""

from __future__ import annotations

import argparse

import numpy as np
import scipy.sparse as sp
from common import serve

from gnnkit import kernels as K


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["gnnkit", "weighted", "edge_dot", "scipy"])
    parser.add_argument("data")
    parser.add_argument("width", type=int)
    args = parser.parse_args()
    with np.load(args.data, allow_pickle=False) as data:
        indptr, indices = data["indptr"], data["indices"].astype(np.int32)
    n = len(indptr) - 1
    x = np.random.default_rng(0).random((n, args.width), dtype=np.float32)
    ones = np.ones(len(indices), np.float32)
    matrix = sp.csr_matrix((ones, indices, indptr), shape=(n, n))
    run_once = {
        "gnnkit": lambda: K.neighbour_sum(indptr, indices, x),
        "weighted": lambda: K.neighbour_sum(indptr, indices, x, ones),
        "edge_dot": lambda: K.edge_dot(indptr, indices, x, x),
        "scipy": lambda: matrix @ x,
    }[args.side]
    serve(run_once, {"checksum": float(run_once().sum(dtype=np.float64)), "threads": K.get_num_threads()})


if __name__ == "__main__":
    main()
