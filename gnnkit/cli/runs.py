"""The runs behind ``gnnkit train``: one model per seed, what they scored, and which one is kept.

Imports learn. No printing here: the caller is told about every finished run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit.cli.problem import PARTS, Problem
from gnnkit.errors import FileMissingError
from gnnkit.learn import Checkpoint, NodeClassifier, accuracy, preset, split_preset

_OWN_ARGUMENTS = ("hidden", "layers", "dropout")  # the rest of the model's values are its options


@dataclass(frozen=True)
class Run:
    """One trained model. Accuracies are in [0, 1], None where there are no such nodes."""

    seed: int
    classifier: NodeClassifier
    val_accuracy: float | None
    test_accuracy: float | None
    seconds: float

    @property
    def interrupted(self) -> bool:
        return self.classifier.history_.interrupted


@dataclass(frozen=True)
class Plan:
    """The model and its hyper-parameters for a problem: those of the paper, then what was typed."""

    model: str
    values: dict[str, Any]

    def classifier(self, problem: Problem, seed: int, progress: bool | None) -> NodeClassifier:
        model, training = split_preset(self.values)
        own = {name: model.pop(name) for name in _OWN_ARGUMENTS if name in model}
        return NodeClassifier(
            problem.graph,
            model=self.model,
            model_options=model,
            random_state=seed,
            progress=progress,
            **own,
            **training,
        )


def make_plan(model: str, problem: Problem, typed: dict[str, Any]) -> Plan:
    """Take the preset of ``model`` on the data set and change what was typed (None: not typed)."""
    changes = {name: value for name, value in typed.items() if value is not None}
    values = preset(model, problem.dataset, **changes)
    if problem.dataset is None:
        values["normalize"] = None  # the recipe of the columns has scaled them
    if problem.files is not None and problem.files.weight is not None:
        values["edge_weight"] = "weight"
    if not problem.masks["val"].any():
        values |= {"monitor": None, "patience": None}
    return Plan(model, values)


def checkpoint_path(path: Path, seed: int, num_seeds: int) -> Path:
    """Return the checkpoint of one seed: the file itself, or beside it ``NAME.seedK.SUFFIX`` for several seeds."""
    return path if num_seeds == 1 else path.with_name(f"{path.stem}.seed{seed}{path.suffix}")


def train_all(
    plan: Plan,
    problem: Problem,
    seeds: list[int],
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Iterator[Run]:
    """Yield one run per seed; stop after one that was interrupted."""
    paths = [None if checkpoint is None else checkpoint_path(checkpoint, seed, len(seeds)) for seed in seeds]
    if resume and not any(path is not None and path.is_file() for path in paths):
        names = ", ".join(str(path) for path in paths[:3])
        raise FileMissingError(
            f"--resume goes on from a checkpoint. There is none at {names}. "
            "Leave --resume out to start, or give --checkpoint the file of the run that stopped."
        )
    for seed, path in zip(seeds, paths):
        going_on = resume and path is not None and path.is_file()
        run = _train(plan.classifier(problem, seed, progress), problem, seed, path, going_on)
        yield run
        if run.interrupted:
            return


def _train(classifier: NodeClassifier, problem: Problem, seed: int, path: Path | None, resume: bool) -> Run:
    start = time.perf_counter()
    ids = {part: np.flatnonzero(problem.masks[part]) for part in PARTS}
    classifier.fit(
        ids["train"],
        problem.y[ids["train"]],
        validation=(ids["val"], problem.y[ids["val"]]) if len(ids["val"]) else None,
        checkpoint=None if path is None else Checkpoint(path),
        resume=resume,
    )
    predicted = classifier.predict()
    scores = {p: accuracy(problem.y[ids[p]], predicted[ids[p]]) if len(ids[p]) else None for p in PARTS}
    return Run(seed, classifier, scores["val"], scores["test"], time.perf_counter() - start)


def best_run(runs: list[Run]) -> Run:
    """Return the run to keep: the best on validation, never on test; the first one where there is no validation."""
    return max(runs, key=lambda run: (run.val_accuracy or 0.0, -run.seed))


def record(plan: Plan, problem: Problem, runs: list[Run], seconds: float) -> dict[str, Any]:
    """Return everything about the runs that JSON and the model file keep."""
    from gnnkit import __version__

    tested = [run.test_accuracy for run in runs if run.test_accuracy is not None]
    selection = "best epoch on validation" if problem.masks["val"].any() else "last epoch (no validation nodes)"
    return {
        "gnnkit": __version__,
        "dataset": problem.name,
        "num_nodes": problem.graph.num_nodes,
        "num_edges": problem.graph.num_edges,
        "num_features": int(problem.graph.x.shape[1]),
        "classes": problem.classes,
        "model": plan.model,
        "protocol": {
            "split": problem.protocol,
            **problem.counts(),
            "seeds": [run.seed for run in runs],
            "selection": selection,
            "interrupted": any(run.interrupted for run in runs),
        },
        "hyper_parameters": plan.values,
        "test_accuracy": {
            "per_seed": [run.test_accuracy for run in runs],
            "mean": float(np.mean(tested)) if tested else None,
            "std": float(np.std(tested)) if tested else None,
        },
        "val_accuracy": {"per_seed": [run.val_accuracy for run in runs]},
        "epochs": {
            "per_seed": [len(run.classifier.history_) for run in runs],
            "best": [run.classifier.history_.best_epoch for run in runs],
        },
        "seconds": seconds,
        "seconds_per_seed": [run.seconds for run in runs],
    }
