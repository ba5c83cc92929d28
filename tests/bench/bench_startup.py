"""The first impression: seconds of ``import gnnkit``, ``gnnkit --help`` and ``gnnkit train cora``, warm and cold.

    python tests/bench/bench_startup.py

Every figure is the wall-clock time of a fresh process. "warm": the compiled kernels are in the cache on disk.
"empty kernel cache": NUMBA_CACHE_DIR is a new folder, so that every kernel is compiled. Nothing of the user is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import machine, seconds, table

TARGETS = {"import gnnkit": 0.7, "gnnkit --help": 0.5, "train, warm": 4.0, "train, empty kernel cache": 25.0}
GNNKIT = [sys.executable, "-m", "gnnkit"]


def run(command: list[str], cache: Path, folder: Path) -> str:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    return done.stderr


def wall(command: list[str], cache: Path, folder: Path, repeats: int) -> list[float]:
    return [seconds(lambda: run(command, cache, folder)) for _ in range(repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default="cora")
    parser.add_argument("--model", default="gcn")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    train = [*GNNKIT, "train", args.data, "--model", args.model, "--save", "m.safetensors"]
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as name:
        folder, cache = Path(name), Path(name) / "kernels"
        times = {"python -c pass": wall([sys.executable, "-c", "pass"], cache, folder, args.repeats)}
        times["import gnnkit"] = wall([sys.executable, "-c", "import gnnkit"], cache, folder, args.repeats)
        times["gnnkit --help"] = wall([*GNNKIT, "--help"], cache, folder, args.repeats)
        times["train, empty kernel cache"] = wall(train, cache, folder, 1)
        times["train, warm"] = wall(train, cache, folder, args.repeats)
    medians = {what: float(np.median(t)) for what, t in times.items()}
    rows = [[what, f"{t:.2f}", TARGETS.get(what, "")] for what, t in medians.items()]
    print(f"train = gnnkit {' '.join(train[3:])} (one seed)")
    print(table(["what", "seconds", "goal, under"], rows))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "seconds": medians}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
