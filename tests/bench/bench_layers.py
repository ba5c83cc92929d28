"""Time of every convolution, forward and backward: gnnkit beside PyTorch Geometric, in one run.

    python tests/bench/bench_layers.py --peers-python PATH                        all layers
    python tests/bench/bench_layers.py --peers-python PATH --layers GIN "SAGE, max"

One graph with hubs (10,000 nodes and 120,000 directed edges unless said otherwise), 64 channels of nodes and 16 of
edges, float32. Both sides are processes of their own that get the same arrays and take turns, layer by layer; each turn
begins with a run that is not counted. Backward gives the gradients of the features and of all parameters. Printed:
median milliseconds, and how many times as long PyTorch Geometric takes (above 1 we are faster).
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import machine, power_law_graph, table, take_turns, workers
from ours_layers import LAYERS, RELATIONS, C, E

HERE = Path(__file__).resolve().parent
ALONE = ("EGNN",)  # not a layer of PyTorch Geometric


def write_case(nodes: int, pairs: int, path: Path) -> str:
    """Write the arrays that both sides read; return a line about them."""
    graph = power_law_graph(nodes, pairs).tocoo()
    rng = np.random.default_rng(1)
    edges = np.stack([graph.col, graph.row]).astype(np.int64)
    np.savez(
        path,
        edges=edges,
        x=rng.random((nodes, C), dtype=np.float32),
        e=rng.random((edges.shape[1], E), dtype=np.float32),
        kind=rng.integers(0, RELATIONS, edges.shape[1]),
        pos=5 * rng.random((nodes, 3), dtype=np.float32),
    )
    return f"{nodes} nodes, {edges.shape[1]} directed edges, {C} channels"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = "; ".join(LAYERS)
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS), metavar="NAME", help=names)
    parser.add_argument("--peers-python", help="Python of an environment with torch and torch_geometric")
    parser.add_argument("--nodes", type=int, default=10_000, help="of the graph (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=60_000, help="undirected pairs drawn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=3, help="runs in a turn (default: %(default)s)")
    args = parser.parse_args()
    rows, ratios = [], []
    with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as folder:
        path = Path(folder) / "layers.npz"
        print(f"{machine()}; {write_case(args.nodes, args.pairs, path)}", flush=True)
        sides = {"gnnkit": (sys.executable, [str(HERE / "ours_layers.py"), str(path)])}
        if args.peers_python:
            sides["PyG"] = (args.peers_python, [str(HERE / "peers" / "layers.py"), str(path)])
        with workers(sides) as running:
            for name in args.layers:
                taking = running[:1] if name in ALONE else running
                for worker in taking:
                    worker.times.clear()
                take_turns(taking, args.rounds, args.burst, wake=1, job=name)
                found = [worker.median_ms for worker in taking]
                rows.append([name, *(f"{ms:.1f}" for ms in found)])
                if len(found) > 1:
                    ratios.append(found[1] / found[0])
                    rows[-1].append(f"{ratios[-1]:.2f}")
                rows[-1] += [""] * (2 * len(sides) - len(rows[-1]))
                print(f"{name}: {', '.join(rows[-1][1:])}", file=sys.stderr, flush=True)
    print(table(["layer", *(f"{side}, ms" for side in sides), *["PyG / ours"] * (len(sides) > 1)], rows))
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"PyG / ours: geometric mean {mean:.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
