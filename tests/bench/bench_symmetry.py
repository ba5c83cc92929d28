"""Random cases of the symmetry checker on layers that are right: none may be flagged. Prints a table.

python tests/bench/bench_symmetry.py                       10,000 cases each
python tests/bench/bench_symmetry.py --cases 100 --only GCN
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "symmetry"))

import sound_functions

import gnnkit as gk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", default="", help="part of the name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = {name: sound for name, sound in sound_functions.SOUND.items() if options.only in name}
    width = max(len(name) for name in chosen)
    print(f"gnnkit {gk.__version__}, {options.cases} random cases each, float64, seed {options.seed}")
    print(f"{'':<{width}}  flagged  largest error  tolerance  seconds  gradients")
    flagged = 0
    for name, sound in chosen.items():
        start = time.perf_counter()
        report = sound.check(cases=options.cases, rng=options.seed)
        seconds = time.perf_counter() - start
        flagged += not report.passed
        gradients = "yes" if report.gradients == "gradients were compared too" else "no"
        print(
            f"{name:<{width}}  {'no' if report.passed else 'YES':>7}  {report.max_error:13.1e}"
            f"  {report.tolerance:9.1e}  {seconds:7.1f}  {gradients}",
            flush=True,
        )
        if not report.passed:
            print(report)
    print(f"{flagged} of {len(chosen)} flagged")


if __name__ == "__main__":
    main()
