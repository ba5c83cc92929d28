"""Training-epoch time of two-layer GCN, SAGE and GAT: gnnkit beside PyG (edge_index, CSR) and DGL, in one run.

    python tests/bench/bench_epochs.py --peers-python PATH                 Cora and the arxiv-size graph, all models
    python tests/bench/bench_epochs.py --data arxiv --models gcn sage      some of them
    python tests/bench/bench_epochs.py --data cora --models gcn --profile 20     where our time goes (no peers)

Every side is a process of its own that gets the same arrays from one file; the processes take turns, round after
round; each turn begins with an epoch that is not counted, and counts as many as ``burst``. Printed: median
milliseconds of an epoch, how many times as long as gnnkit's (dense features), and the peak resident memory of the
process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import SIZES, machine, power_law_graph, table, take_turns, with_self_loops, workers
from floor import epoch_floor

HERE = Path(__file__).resolve().parent
PEERS = {"PyG edge_index": "pyg", "PyG CSR": "pyg_csr", "DGL": "dgl"}
TURNS = {"cora": (9, 10), "cora-size": (9, 10), "arxiv": (5, 1)}  # rounds, epochs in a turn
Channels = tuple[int, int, int]


def write_case(name: str, folder: Path) -> tuple[Path, Channels, str, tuple[int, int]]:
    """Write the arrays of one data set; return the file, the net's channels, a line about it, nodes and edges."""
    if name == "cora":
        import gnnkit as gk

        graph = gk.datasets.load("cora")
        a = gk.to_scipy(graph)
        x = np.asarray(graph.x.toarray(), np.float32)
        y, hidden = np.asarray(graph.nodes["y"]), 64
        channels = (x.shape[1], hidden, int(y.max()) + 1)
    else:
        n, pairs, i, hidden, classes = SIZES[f"{name.removesuffix('-size')}-size"]
        a = power_law_graph(n, pairs)
        rng = np.random.default_rng(1)
        x, y = rng.random((n, i), dtype=np.float32), rng.integers(0, classes, n)
        channels = (i, hidden, classes)
    a = with_self_loops(a)
    path = folder / f"{name}.npz"
    np.savez(path, indptr=a.indptr.astype(np.int64), indices=a.indices.astype(np.int64), x=x, y=y.astype(np.int64))
    what = f"{name}: {a.shape[0]} nodes, {a.nnz} directed edges with self-loops, {channels[0]} features "
    what += f"({np.count_nonzero(x) / x.size:.1%} not zero), hidden {channels[1]}"
    return path, channels, what, (a.shape[0], a.nnz)


def our_sides(name: str, model: str, path: Path, channels: Channels) -> dict[str, tuple[str, list[str]]]:
    kinds = ["dense", "sparse"] if name == "cora" else ["dense"]
    tail = [model, str(path), *map(str, channels)]
    label = {"dense": "gnnkit", "sparse": "gnnkit, sparse features"}
    return {label[kind]: (sys.executable, [str(HERE / "ours_epochs.py"), kind, *tail]) for kind in kinds}


def peer_sides(python: str, model: str, path: Path, channels: Channels) -> dict[str, tuple[str, list[str]]]:
    tail = [model, str(path), *map(str, channels)]
    return {label: (python, [str(HERE / "peers" / "epochs.py"), side, *tail]) for label, side in PEERS.items()}


def measure(sides: dict[str, tuple[str, list[str]]], rounds: int, burst: int) -> dict[str, dict[str, float]]:
    with workers(sides) as running:
        take_turns(running, rounds, burst, wake=1)
        return {w.name: {"ms": w.median_ms, "peak_mb": w.peak_mb} for w in running}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(TURNS), default=["cora", "arxiv"])
    parser.add_argument("--models", nargs="+", choices=["gcn", "sage", "gat"], default=["gcn", "sage", "gat"])
    parser.add_argument("--peers-python", help="Python of an environment with torch, torch_geometric and dgl")
    parser.add_argument("--rounds", type=int, help="turns that count (default: 9 for Cora, 5 for arxiv)")
    parser.add_argument("--profile", type=int, default=0, metavar="K", help="profile K epochs of ours, no comparison")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    print(machine(), flush=True)
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as folder:
        for name in args.data:
            path, channels, what, counts = write_case(name, Path(folder))
            print(f"\n{what}", flush=True)
            for model in args.models:
                sides = our_sides(name, model, path, channels)
                if args.profile:
                    for python, arguments in sides.values():
                        subprocess.run([python, *arguments, "--profile", str(args.profile)], check=True)
                    continue
                if args.peers_python:
                    sides |= peer_sides(args.peers_python, model, path, channels)
                rounds, burst = TURNS[name]
                found = measure(sides, args.rounds or rounds, burst)
                results[f"{name} {model}"] = found
                ours = found["gnnkit"]["ms"]
                floor = epoch_floor(model, *counts, channels)
                rows = [[s, f"{v['ms']:.1f}", f"{v['ms'] / ours:.2f}", v["peak_mb"]] for s, v in found.items()]
                print(f"\n{model}, training epoch\n{table(['side', 'ms', 'times ours', 'peak MB'], rows)}", flush=True)
                total = sum(floor.values())
                parts = ", ".join(f"{part} {ms:.1f}" for part, ms in floor.items())
                print(f"floor {total:.1f} ms ({parts}); gnnkit / floor {ours / total:.2f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "epochs": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
