"""The table of the README: six graph networks on three citation networks, 20 seeds each, beside the published values.

    python examples/citation_table.py                                          everything, two cells at a time
    python examples/citation_table.py --models gcn --datasets cora --seeds 3   a quick look, under a minute
    python examples/citation_table.py --json table.json   keeps every seed's accuracy and every setting; a later run
                                                          trains only the cells whose settings are not in that file

Protocol: the public split (20 labelled nodes per class, 500 validation and 1000 test nodes). Every seed draws the
initial parameters and the dropout; the test accuracy is that of the epoch which is best on the validation nodes. The
hyper-parameters are those of gnnkit.learn.presets, which says where they come from.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from typing import Any

import gnnkit as gk

DATASETS = ("cora", "citeseer", "pubmed")
# Per model, in the order of the data sets: the least mean this library holds itself to, what was published, and where.
REFERENCES = {
    "gcn": ((81.3, 70.3, 79.0), (81.5, 70.3, 79.0), "Kipf and Welling 2017, table 2"),
    "gat": ((82.6, 71.5, 78.5), (83.0, 72.5, 79.0), "Velickovic et al. 2018, table 2"),
    "sgc": ((80.8, 71.7, 78.8), (81.0, 71.9, 78.9), "Wu et al. 2019, table 2"),
    "appnp": ((83.3, 71.5, 79.5), (83.3, 71.8, 80.1), "Fey and Lenssen 2019, table 1 (its own paper has other splits)"),
    "sage": ((81.0, 70.0, 78.0), ("-", "-", "-"), "none on this split"),
    "cheb": ((80.5, 69.5, 74.5), (81.2, 69.6, 73.8), "Kipf and Welling 2017, table 3 (their K=2)"),
}


def run_cell(model: str, dataset: str, seeds: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one model on one data set, once per seed; return the report as plain values."""

    def tell(seed: int, accuracy: float) -> None:
        print(f"  {model} {dataset} seed {seed}: {100 * accuracy:.1f}", file=sys.stderr, flush=True)

    graph = gk.datasets.load(dataset)
    report = gk.learn.run_seeds(
        graph, model, dataset=dataset, seeds=seeds, split="public split", progress=False, on_seed=tell, **changes
    )
    return report.to_dict()


def run_cells(cells: list[tuple[str, str]], jobs: int, *settings: Any) -> Iterator[dict[str, Any]]:
    """Run the cells, ``jobs`` at a time, each on one thread; yield the reports as they come."""
    if jobs == 1 or len(cells) < 2:
        yield from (run_cell(*cell, *settings) for cell in cells)
        return
    os.environ.update(GNNKIT_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # read by the children
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run_cell, *cell, *settings) for cell in cells]):
            yield future.result()


def kept_cells(path: str | None, cells: list[tuple[str, str]], seeds: int, changes: dict[str, Any]) -> dict[Any, Any]:
    """The reports in an earlier file that were made with this version, these seeds and these hyper-parameters."""
    if not path or not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    reports = {(report["model"], report["dataset"]): report for report in content["cells"]}
    same_version = content["gnnkit"] == gk.__version__
    wanted = {cell: (list(range(seeds)), gk.learn.preset(*cell, **changes)) for cell in cells if same_version}
    return {c: r for c, r in reports.items() if wanted.get(c) == (r["seeds"], r["hyper_parameters"])}


def as_table(reports: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Markdown: one row per model and data set, then how each was trained."""
    machine = f"gnnkit {gk.__version__}, {platform.machine()}, {os.cpu_count()} cores"
    lines = [f"Test accuracy in %, mean +- standard deviation over the seeds; {machine}.", ""]
    lines += ["| model | data set | accuracy | seeds | target | published | source | epochs | seconds | date |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for (model, dataset), report in reports.items():
        targets, published, source = REFERENCES[model]
        place, mean = DATASETS.index(dataset), 100 * report["test_accuracy_mean"]
        missed = "" if mean >= targets[place] else " (missed)"
        lines.append(
            f"| {model} | {dataset} | {mean:.2f} +- {100 * report['test_accuracy_std']:.2f} | {len(report['seeds'])} | "
            f"{targets[place]}{missed} | {published[place]} | {source} | "
            f"{sum(report['epochs']) / len(report['epochs']):.0f} | {report['seconds']:.0f} | {report['date']} |"
        )
    lines += ["", "Protocols and hyper-parameters:", ""]
    for (model, dataset), report in reports.items():
        settings = ", ".join(f"{key} {value}" for key, value in report["hyper_parameters"].items() if value is not None)
        lines.append(f"- {model} on {dataset}: {report['protocol']}. {settings}.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(REFERENCES), default=list(REFERENCES))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 .. n-1 (default 20)")
    parser.add_argument("--epochs", type=int, help="at most so many, instead of those of the presets")
    parser.add_argument("--jobs", type=int, default=2, help="cells trained at the same time, one thread each")
    parser.add_argument("--json", help="write all results to this file, after every cell; keep those that still hold")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.jobs, options.epochs or 1) < 1:
        parser.error("--seeds, --epochs and --jobs must be at least 1")

    changes = {} if options.epochs is None else {"epochs": options.epochs}
    cells = [(model, dataset) for model in options.models for dataset in options.datasets]
    start, date = time.perf_counter(), f"{datetime.now(UTC):%Y-%m-%d}"
    done = kept_cells(options.json, cells, options.seeds, changes)
    longest_first = sorted(set(cells) - set(done), key=lambda c: (c[1] == "pubmed", c[0] in ("gat", "appnp"), c))[::-1]
    for report in run_cells(longest_first, options.jobs, options.seeds, changes):
        done[report["model"], report["dataset"]] = report = {"date": date, **report}
        name, mean = f"{report['model']} on {report['dataset']}", 100 * report["test_accuracy_mean"]
        clock = f"{time.perf_counter() - start:.0f} s"
        print(f"[{len(done)}/{len(cells)}, {clock}] {name}: {mean:.2f}", file=sys.stderr, flush=True)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump({"gnnkit": gk.__version__, "cells": list(done.values())}, file, indent=2)
    reports = {cell: done[cell] for cell in cells}
    print(as_table(reports))
    print(f"\nSeconds of all cells together: {sum(report['seconds'] for report in reports.values()):.0f}.")
    return reports


if __name__ == "__main__":
    main()
