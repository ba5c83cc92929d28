"""What every benchmark shares: the synthetic graph, the stopwatch, and workers that are timed in turns.

Only numpy, scipy and the standard library are imported here, so that the scripts in ``peers/`` can use this file
from an environment that has torch and no gnnkit. A comparison counts only within one run: the sides are processes
of their own that take turns (one burst each, round after round), so that noise of a shared machine meets all alike.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

# nodes, undirected pairs drawn, features, hidden channels, classes
SIZES = {"cora-size": (2708, 5278, 1433, 64, 7), "arxiv-size": (169343, 1166243, 128, 128, 40)}


def power_law_graph(n: int, m: int, seed: int = 0) -> sp.csr_matrix:
    """Return a symmetric CSR adjacency [n, n] of unit weights: receivers uniform, senders Zipf-like (exponent 0.6).

    Hubs come from the law, both directions are present, duplicates are merged. The draws are in a fixed order, so that
    the same ``seed`` gives the same graph in every script, ours and the peers'.
    """
    rng = np.random.default_rng(seed)
    p = np.arange(1, n + 1) ** -0.6
    senders = rng.permutation(n)[rng.choice(n, m, p=p / p.sum())]
    receivers = rng.integers(0, n, m)
    a = sp.coo_matrix((np.ones(m, np.float32), (receivers, senders)), shape=(n, n))
    a = (a + a.T).tocsr()
    a.data[:] = 1
    return a


def with_self_loops(a: sp.csr_matrix) -> sp.csr_matrix:
    """Return ``a`` with a unit diagonal and sorted columns; DGL's layers expect the loops in the graph."""
    coo = a.tocoo()
    keep = coo.row != coo.col
    diagonal = np.arange(a.shape[0])
    rows, columns = np.concatenate([coo.row[keep], diagonal]), np.concatenate([coo.col[keep], diagonal])
    looped = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=a.shape)
    looped.sort_indices()
    return looped


def median_ms(f: Callable[[], Any], repeats: int = 7, warmup: int = 2) -> float:
    """Return the median wall-clock milliseconds of ``repeats`` calls after ``warmup`` unmeasured ones."""
    for _ in range(warmup):
        f()
    return float(np.median([seconds(f) for _ in range(repeats)]) * 1e3)


def interleaved_ms(sides: dict[str, Callable[[], Any]], repeats: int = 7, warmup: int = 2) -> dict[str, float]:
    """Return the median milliseconds of each callable, taken in turns (all once, then all again)."""
    for _ in range(warmup):
        for f in sides.values():
            f()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, f in sides.items():
            times[name].append(seconds(f))
    return {name: float(np.median(t) * 1e3) for name, t in times.items()}


def seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def peak_megabytes() -> int:
    """Return the peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def serve(run_once: Callable[..., Any], about: dict[str, Any] | None = None) -> None:
    """Be a worker: answer every line ``k`` on stdin with the seconds of ``k`` runs, until stdin ends.

    A worker with several jobs takes lines ``k job``, and its ``run_once`` the job.
    """
    answer = sys.stdout
    print(json.dumps({"ready": True, **(about or {})}), file=answer, flush=True)
    for line in sys.stdin:
        count, *job = line.strip().split(" ", 1)
        run = functools.partial(run_once, *job)
        times = [seconds(run) for _ in range(int(count))]
        print(json.dumps({"seconds": times, "peak_mb": peak_megabytes()}), file=answer, flush=True)


class Worker:
    """A process that runs one side of a comparison and waits silently while the others have their turn."""

    def __init__(self, name: str, python: str, arguments: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.name, self.times, self.peak_mb = name, [], 0  # type: tuple[str, list[float], int]
        self.process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.about = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # a library may greet on stdout first
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        raise RuntimeError(f"the worker {self.name!r} ended with exit code {self.process.wait()} before it answered")

    def run(self, count: int, keep: bool = True, job: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count} {job}".strip() + "\n")
        self.process.stdin.flush()
        answer = self._read()
        self.peak_mb = answer["peak_mb"]
        if keep:
            self.times += answer["seconds"]

    @property
    def median_ms(self) -> float:
        return float(np.median(self.times) * 1e3)

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=60)


@contextlib.contextmanager
def workers(sides: dict[str, tuple[str, list[str]]]) -> Iterator[list[Worker]]:
    """Start one worker per side (name -> python, arguments), one after the other, and end them all."""
    started: list[Worker] = []
    try:
        for name, (python, arguments) in sides.items():
            started.append(Worker(name, python, arguments))
        yield started
    finally:
        for worker in started:
            worker.close()


def take_turns(
    sides: Sequence[Worker],
    rounds: int,
    burst: int,
    warmup: int = 1,
    rest: float = 0.05,
    wake: int = 0,
    job: str = "",
) -> None:
    """Let every worker run ``burst`` times, round after round; the first ``warmup`` rounds are not counted.

    With ``wake``, every turn begins with so many runs that are not counted: while the others had theirs, the memory of
    a process that waits may have been taken back by the system, and its threads have gone to sleep.
    """
    for turn in range(rounds + warmup):
        for worker in sides:
            if wake:
                worker.run(wake, keep=False, job=job)
            worker.run(burst, keep=turn >= warmup, job=job)
            time.sleep(rest)  # idle threads of the side before (OpenMP spins) go to sleep first


def machine() -> str:
    """Return one line on the processor and the number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, Python {platform.python_version()}, numpy {np.__version__}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a plain aligned table; numbers are right-aligned."""
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = [
        "  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths))) for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
