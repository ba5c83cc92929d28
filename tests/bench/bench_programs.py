"""Message programs against kernels written by hand for the same mathematics; what compiling costs; peak memory.

    python tests/bench/bench_programs.py                     all three tables, on the arxiv-size graph
    python tests/bench/bench_programs.py --only speed        one of them: speed, compile or memory
    python tests/bench/bench_programs.py --quick             a smaller graph, a first look
    python tests/bench/bench_programs.py --explain           also print the plan of every program

speed    A user's message function (``user_programs.py``) against the best kernels we could write for it by hand
         (``hand_programs.py``): numba with vectors and prefetch, one sweep over the edges per direction, derivatives
         on paper. "forward" is a call without gradients, "forward and backward" a call and the gradients of *all*
         fields, those of edges included. Both sides take turns in one process on the same arrays and threads; the
         figures are medians. Before that their outputs and gradients are compared. Goal: at most 1.5 times.
compile  Seconds of the first call in a fresh process with empty caches (GNNKIT_CACHE for the generated source,
         NUMBA_CACHE_DIR for what numba makes of it), and of the first call in a second process that reuses them. numba
         is imported and the library's own neighbour sum compiled before. "forward and backward" comes after "forward"
         in the same process and counts what is still to be done; "kernels" are the generated ones of both.
memory   What a GAT-like program's forward and backward pass adds to the resident memory of a fresh process at its
         peak, beside the size of one array of one row per edge, [edges, heads * channels] of float32. Fields, their
         gradients and everything per node are in it.

Features are [8, 16] (heads, channels) or [128], of float32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import SIZES, interleaved_ms, machine, table

HERE = Path(__file__).resolve().parent
NODES, PAIRS = SIZES["arxiv-size"][:2]
QUICK = (20000, 140000)
COMPILE_ON = (6000, 60000)  # large enough for kernels to be used, small enough for their work not to count
GOAL = 1.5
AGREE = 1e-4  # largest difference, as a part of the largest number


def speed(nodes: int, pairs: int, repeats: int, explain: bool) -> dict[str, Any]:
    import hand_programs
    import user_programs as user

    from gnnkit import kernels as K

    by_hand = {
        "gated attention": hand_programs.attention,
        "gated sum": hand_programs.gated_sum,
        "weighted sum": hand_programs.weighted_sum,
    }
    t = user.topology(nodes, pairs)
    t.transpose()
    print(f"{t.num_nodes} nodes, {t.num_edges} edges, {K.get_num_threads()} threads, {repeats} rounds", flush=True)
    results = {name: compare(name, hand, t, repeats, explain) for name, hand in by_hand.items()}
    rows = []
    for name, found in results.items():
        for what, tail in (("forward", ""), ("forward and backward", ", learning")):
            ours, hand_ms = found[f"ours{tail}"], found[f"hand{tail}"]
            rows.append([f"{name}, {what}", f"{ours:.1f}", f"{hand_ms:.1f}", f"{ours / hand_ms:.2f}", GOAL])
    print(table(["program", "gnnkit, ms", "by hand, ms", "ratio", "goal, at most"], rows))
    worst = max(found["difference"] for found in results.values())
    print(f"largest difference of outputs and gradients, as a part of the largest: {worst:.0e}", flush=True)
    return results


def compare(name: str, hand: Callable[..., list[np.ndarray]], t: Any, repeats: int, explain: bool) -> dict[str, float]:
    """One program and its kernels by hand: the same numbers first, then the stopwatch."""
    import user_programs as user

    from gnnkit import kernels as K

    program, fields = user.PROGRAMS[name][0], user.arrays(name, t)
    learnt, flat = user.tensors(fields), {k: a.reshape(len(a), -1) for k, a in fields.items()}
    g = np.random.default_rng(1).standard_normal((t.num_nodes, user.WIDTH), dtype=np.float32)
    if explain:
        print(f"\n{program.explain(t, **user.given(learnt))}\n", flush=True)
    with K.keep_freed_memory():
        error = largest_difference(user.step(name, t, learnt, g), hand(t, flat, g))
        if error > AGREE:
            sys.exit(f"{name}: ours and the kernels by hand must agree. They differ by {error:.1e}. Mend one.")
        sides = {
            "ours": lambda: program(t, **user.given(fields)),
            "hand": lambda: hand(t, flat),
            "ours, learning": lambda: user.step(name, t, learnt, g),
            "hand, learning": lambda: hand(t, flat, g),
        }
        return {"difference": error, **interleaved_ms(sides, repeats=repeats, warmup=1)}


def largest_difference(ours: list[np.ndarray], hand: list[np.ndarray]) -> float:
    return max(float(np.abs(a.reshape(b.shape) - b).max() / np.abs(a).max()) for a, b in zip(ours, hand, strict=True))


def worker(*arguments: object, cache: str | None = None) -> dict[str, float]:
    """What ``user_programs.py`` measures in a process of its own, with its caches in the folder ``cache``."""
    env = dict(os.environ)
    if cache is not None:
        env |= {"GNNKIT_CACHE": cache, "NUMBA_CACHE_DIR": str(Path(cache) / "numba")}
    command = [sys.executable, str(HERE / "user_programs.py"), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compiling(names: list[str]) -> dict[str, Any]:
    results, rows = {}, []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="gnnkit-bench-") as cache:
            first, second = (worker("compile", name, *COMPILE_ON, cache=cache) for _ in range(2))
            files = len(list((Path(cache) / "programs").glob("*.py")))
        results[name] = {"first": first, "second": second, "kernels": files}
        for what, count in (("forward", ""), ("forward and backward", files)):
            rows.append([f"{name}, {what}", f"{first[what]:.2f}", f"{second[what]:.2f}", count])
    print(table(["program", "first process, s", "second process, s", "kernels"], rows), flush=True)
    return results


def memory(nodes: int, pairs: int) -> dict[str, Any]:
    found = worker("memory", nodes, pairs)
    ratio = found["added"] / found["one array"]
    header = ["program", "adds at its peak, MB", "one [edges, 128] array, MB", "ratio"]
    row = ["attention, forward and backward", f"{found['added']:.0f}", f"{found['one array']:.0f}", f"{ratio:.2f}"]
    print(table(header, [row]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["speed", "compile", "memory"], help="tables to print")
    parser.add_argument("--quick", action="store_true", help=f"a graph of {QUICK[0]} nodes instead of {NODES}")
    parser.add_argument("--repeats", type=int, default=7, help="rounds that count, for speed (default: %(default)s)")
    parser.add_argument("--explain", action="store_true", help="also print the plan of every program")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    nodes, pairs = QUICK if args.quick else (NODES, PAIRS)
    tables = args.only or ["speed", "compile", "memory"]
    print(machine(), flush=True)
    results: dict[str, Any] = {}
    if "speed" in tables:
        print("\nspeed: ", end="")
        results["speed"] = speed(nodes, pairs, args.repeats, args.explain)
    if "compile" in tables:
        print("\ncompile: seconds of the first calls of a process, with empty caches and with those of the one before")
        results["compile"] = compiling(["gated attention", "gated sum", "weighted sum", "attention"])
    if "memory" in tables:
        print("\nmemory:")
        results["memory"] = memory(nodes, pairs)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
