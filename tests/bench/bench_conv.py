"""Time of convolutions, forward and forward + backward: gnnkit beside torch (default and channels-last), in one run.

    python tests/bench/bench_conv.py --peers-python PATH               all cases
    python tests/bench/bench_conv.py --peers-python PATH --cases 0 5   some of them

Every side is a process of its own that makes the same arrays; the processes take turns, round after round; each turn
begins with a run that is not counted. Backward gives the gradients of the images and of the weight. Printed: median
milliseconds, the better layout of torch divided by ours (above 1 we are faster), our GFLOP/s, and how much of the
floor that is, the time that a large product needs on this machine for the operations of the convolution.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from common import Worker, machine, table, take_turns, workers
from conv_cases import CASES, MODES
from floor import product_rate

HERE = Path(__file__).resolve().parent
OURS, LAYOUTS = "gnnkit", {"torch": "default", "torch channels-last": "channels_last"}


def measure(sides: list[Worker], job: str, rounds: int, burst: int) -> dict[str, float]:
    for worker in sides:
        worker.times.clear()
    take_turns(sides, rounds, burst, wake=1, job=job, rest=0.3)
    return {worker.name: worker.median_ms for worker in sides}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", choices=range(len(CASES)), default=range(len(CASES)))
    parser.add_argument("--peers-python", help="Python of an environment with torch")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count")
    parser.add_argument("--burst", type=int, default=5, help="runs in a turn")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    rate = product_rate()
    print(f"{machine()}; a large product runs at {rate / 1e6:.0f} GFLOP/s", flush=True)
    sides = {OURS: (sys.executable, [str(HERE / "ours_conv.py")])}
    if args.peers_python:
        peer = str(HERE / "peers" / "conv.py")
        sides |= {name: (args.peers_python, [peer, layout]) for name, layout in LAYOUTS.items()}
    rows, ratios, results = [], {mode: [] for mode in MODES}, {}
    with workers(sides) as running:
        for index in args.cases:
            case = CASES[index]
            for mode, passes in zip(MODES, (1, 3)):
                found = measure(running, f"{index} {mode}", args.rounds, args.burst)
                ours, peers = found[OURS], [ms for name, ms in found.items() if name != OURS]
                ratio = min(peers, default=math.nan) / ours
                ratios[mode].append(ratio)
                operations = passes * case.operations
                results[f"{case}, {mode}"] = found
                label = "forward" if mode == "forward" else "forward + backward"
                times = [f"{ms:.2f}" for ms in found.values()]
                speed = f"{operations / ours / 1e6:.0f}"
                rows.append([f"{case}, {label}", *times, f"{ratio:.2f}", speed, f"{operations / rate / ours:.2f}"])
                print(rows[-1], file=sys.stderr, flush=True)
    print(table(["case", *sides, "torch / ours", "GFLOP/s", "floor / ours"], rows))
    every = [ratio for mode in MODES for ratio in ratios[mode]]
    for label, values in [*ratios.items(), ("all", every)]:
        mean = math.exp(sum(map(math.log, values)) / len(values))
        print(f"torch / ours, {label}: geometric mean {mean:.2f}, least {min(values):.2f}")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "ms": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
