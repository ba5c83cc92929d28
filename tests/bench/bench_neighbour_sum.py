"""The hot kernel, y = A x, by feature width: gnnkit beside scipy, and beside DGL, torch CSR and PyG's way, in one run.

    python tests/bench/bench_neighbour_sum.py                            gnnkit and scipy
    python tests/bench/bench_neighbour_sum.py --peers-python PATH        and the peers
    python tests/bench/bench_neighbour_sum.py --widths 40 128 --rounds 9

The graph has ogbn-arxiv's size (169,343 nodes, 2.33 M power-law edges). Every side is a process of its own that gets
the same arrays; the processes take turns. Printed: median milliseconds, how many times as long as gnnkit's, and the
floor: the bytes that must move at least once and the bytes of all gathered rows, at the bandwidth measured here.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import SIZES, machine, power_law_graph, table, take_turns, workers
from floor import bandwidth

HERE = Path(__file__).resolve().parent
OURS = {"gnnkit": "gnnkit", "gnnkit, weighted": "weighted", "gnnkit edge_dot": "edge_dot", "scipy": "scipy"}
PEERS = {"DGL": "dgl", "torch CSR": "torch", "gather + index_add": "pyg"}


def sides_of(args: argparse.Namespace, path: Path, width: int) -> dict[str, tuple[str, list[str]]]:
    sides = {
        label: (sys.executable, [str(HERE / "ours_neighbour_sum.py"), side, str(path), str(width)])
        for label, side in OURS.items()
    }
    if args.peers_python:
        script = str(HERE / "peers" / "neighbour_sum.py")
        sides |= {label: (args.peers_python, [script, side, str(path), str(width)]) for label, side in PEERS.items()}
    return {label: side for label, side in sides.items() if label in (args.sides or sides)}


def measure(sides: dict[str, tuple[str, list[str]]], rounds: int, burst: int) -> dict[str, float]:
    with workers(sides) as running:
        sums = {w.name: w.about["checksum"] for w in running if "edge_dot" not in w.name}
        assert np.ptp(list(sums.values())) < 1e-4 * max(sums.values()), f"the sides disagree: {sums}"
        take_turns(running, rounds, burst)
        return {w.name: w.median_ms for w in running}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 40, 64, 128, 256])
    parser.add_argument("--peers-python", help="Python of an environment with torch and dgl")
    parser.add_argument("--sides", nargs="+", choices=[*OURS, *PEERS], help="only these; gnnkit among them")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count")
    parser.add_argument("--burst", type=int, default=3, help="sums in a turn")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    n, pairs = SIZES["arxiv-size"][:2]
    a = power_law_graph(n, pairs)
    speed = bandwidth()
    print(f"{machine()}\n{n} nodes, {a.nnz} edges, float32; triad {speed / 1e6:.1f} GB/s")
    results = {}
    with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as folder:
        path = Path(folder) / "graph.npz"
        np.savez(path, indptr=a.indptr.astype(np.int64), indices=a.indices.astype(np.int64))
        for width in args.widths:
            found = measure(sides_of(args, path, width), args.rounds, args.burst)
            results[str(width)] = found
            once = 4 * (3 * n * width + a.nnz)  # x in, y out (its lines are read before they are written), senders
            every = 4 * (2 * n * width + a.nnz * width + a.nnz)
            ours = found["gnnkit"]
            rows = [[side, f"{ms:.1f}", f"{ms / ours:.2f}"] for side, ms in found.items()]
            print(f"\nwidth {width}: floor {once / speed:.1f} ms if x stays in the cache, ", end="")
            print(f"{every / speed:.1f} ms if every gathered row comes from memory")
            print(table(["side", "ms", "times ours"], rows), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "ms": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
