"""The protocol of the tables in papers: one fixed split, many seeds, test accuracy at the best validation epoch.

May import the estimators' parts, presets and nn. Used by the command line, the examples and the README.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit.autodiff import as_array
from gnnkit.errors import InvalidArgumentError, TrainingError, UnknownFieldError
from gnnkit.files import atomic_write
from gnnkit.graph import Graph
from gnnkit.learn.checkpoint import Checkpoint
from gnnkit.learn.history import History
from gnnkit.learn.nodes import NodeClassifier
from gnnkit.learn.presets import preset

MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass
class Report:
    """Test accuracy of every seed, and all that is needed to run it again.

    Attributes
    ----------
    accuracies : list of float
        One per seed, test nodes at the best validation epoch.
    best : NodeClassifier
        The estimator of the seed with the best validation (accuracy, then loss); ready to predict and save.
    histories : list of History
        One per seed.
    """

    model: str
    dataset: str
    protocol: str
    hyper_parameters: dict[str, Any]
    seeds: list[int]
    accuracies: list[float] = field(default_factory=list)
    val_accuracies: list[float] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    best: NodeClassifier | None = field(default=None, repr=False)

    @property
    def mean(self) -> float:
        """Mean test accuracy over the seeds."""
        return float(np.mean(self.accuracies)) if self.accuracies else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation over the seeds (population; 0 for one seed)."""
        return float(np.std(self.accuracies)) if self.accuracies else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Everything but histories and models, JSON-able."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "protocol": self.protocol,
            "hyper_parameters": {k: v for k, v in self.hyper_parameters.items() if _is_plain(v)},
            "seeds": self.seeds[: len(self.accuracies)],
            "test_accuracy": self.accuracies,
            "test_accuracy_mean": None if np.isnan(self.mean) else self.mean,
            "test_accuracy_std": None if np.isnan(self.std) else self.std,
            "val_accuracy": self.val_accuracies,
            "best_epochs": [history.best_epoch for history in self.histories],
            "epochs": [len(history) for history in self.histories],
            "seconds": self.seconds,
            "interrupted": self.interrupted,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as JSON; written to ``path`` too if given."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            atomic_write(path, (text + "\n").encode())
        return text

    def __str__(self) -> str:
        if not self.accuracies:
            return f"{self.model} on {self.dataset}: interrupted before the first seed was done"
        spread = f" +- {100 * self.std:.1f}" if len(self.accuracies) > 1 else ""
        count = f"{len(self.accuracies)} seed{'s' if len(self.accuracies) > 1 else ''}"
        return (
            f"{self.model} on {self.dataset}: test accuracy {100 * self.mean:.1f}{spread} % "
            f"({count}, {self.seconds:.1f} s)\n{self.protocol}"
        )


def run_seeds(
    graph: Graph,
    model: str,
    *,
    dataset: str = "",
    seeds: int | list[int] = 20,
    split: str = "the split of the data set",
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 10,
    resume: bool = False,
    progress: bool | None = None,
    on_seed: Callable[[int, float], Any] | None = None,
    callback: Callable[[int, dict[str, float]], Any] | None = None,
    **changes: Any,
) -> Report:
    """Train ``model`` once per seed and report the test accuracy at the best validation epoch.

    Parameters
    ----------
    graph : Graph
        Node fields ``x``, ``y`` (integer classes) and the boolean masks ``train_mask``, ``val_mask``, ``test_mask``.
        A ``val_mask`` without nodes is allowed: then nothing is chosen, and the last epoch counts.
    model : str
        A named model.
    dataset : str
        Chooses the row of :data:`~gnnkit.learn.presets.PRESETS` and stands in the report.
    seeds : int or list of int
        A number n means seeds 0..n-1.
    split : str
        Words for the report: which split the masks are.
    checkpoint, every, resume
        File of a :class:`Checkpoint`; with several seeds the number of the seed is added to its name. On ``resume``
        finished seeds are read, not trained again, and seeds without a file start from nothing (one must exist).
    progress : bool, optional
        As in :func:`fit`.
    on_seed : callable, optional
        ``on_seed(seed, accuracy)`` after every seed.
    callback : callable, optional
        ``callback(epoch, row)`` after every epoch of every seed; a true result ends that seed.
    **changes
        Hyper-parameters that replace those of the preset: ``hidden=32, lr=0.02, epochs=400``.

    Returns
    -------
    Report

    Notes
    -----
    The test nodes are evaluated along the way but choose nothing: the epoch is chosen on validation nodes. Ctrl-C ends
    the seed that runs; the report holds the seeds that were done (or, if there is none, the one that was cut short).

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(6)
    >>> mask = lambda *ids: np.isin(np.arange(6), ids)
    >>> g = g.replace(x=np.eye(6, dtype="float32"), nodes={"y": np.array([0, 0, 0, 1, 1, 1]),
    ...     "train_mask": mask(0, 5), "val_mask": mask(1, 4), "test_mask": mask(2, 3)})
    >>> report = gk.learn.run_seeds(g, "gcn", seeds=2, epochs=50, dropout=0.0)
    >>> len(report.accuracies), report.hyper_parameters["hidden"]
    (2, 16)
    """
    values = preset(model, dataset, **changes)
    numbers = list(range(seeds)) if isinstance(seeds, int | np.integer) else [int(seed) for seed in seeds]
    if not numbers:
        raise InvalidArgumentError("A report needs at least one seed. Got none. Pass for example seeds=20.")
    y, (train, val, test) = _targets(graph)
    if not len(val):
        asked = [f"{name}={changes[name]!r}" for name in ("monitor", "patience") if changes.get(name) is not None]
        if asked:
            raise InvalidArgumentError(
                f"Early stopping watches validation nodes. Got {', '.join(asked)} and no validation nodes. "
                "Leave it out, or set some nodes aside (val_mask)."
            )
        values |= {"monitor": None, "patience": None}
    paths = [_seed_path(checkpoint, seed, len(numbers)) for seed in numbers]
    if resume and not any(path is not None and path.is_file() for path in paths):
        Checkpoint(checkpoint or "checkpoint.safetensors").load()  # raises the error that names the missing file
    report = Report(
        model=model,
        dataset=dataset or "graph",
        protocol=(
            f"{split} ({len(train)} training, {len(val)} validation, {len(test)} test nodes), test accuracy "
            f"{_rule(values)}"
        ),
        hyper_parameters=values,
        seeds=numbers,
    )
    start, best_key = time.perf_counter(), (-1.0, 0.0)
    for seed, path in zip(numbers, paths):
        estimator = classifier_from_preset(graph, model, values, random_state=seed, progress=progress)
        estimator.fit(
            train,
            y[train],
            validation=(val, y[val]) if len(val) else None,
            test=(test, y[test]),
            checkpoint=None if path is None else Checkpoint(path, every=every),
            resume=resume and path is not None and path.is_file(),
            callback=callback,
        )
        history = estimator.history_
        report.interrupted = history.interrupted
        if report.interrupted and (report.accuracies or history.best_epoch < 0):
            break
        if history.best_epoch < 0:
            raise TrainingError(
                f"A report reads the test accuracy at the best validation epoch. Seed {seed} has none in "
                f"{len(history)} epochs: validation was never finite, or epochs is 0. Lower lr, or train longer."
            )
        report.histories.append(history)
        report.accuracies.append(history.best["test_accuracy"])
        key = (0.0, 0.0)
        if len(val):
            report.val_accuracies.append(history.best["val_accuracy"])
            key = (history.best["val_accuracy"], -history.best["val_loss"])
        if report.best is None or key > best_key:
            report.best, best_key = estimator, key
        if on_seed is not None:
            on_seed(seed, report.accuracies[-1])
        if report.interrupted:
            break
    report.seconds = time.perf_counter() - start
    return report


def classifier_from_preset(graph: Graph, model: str, values: dict[str, Any], **more: Any) -> NodeClassifier:
    """The estimator for a row of hyper-parameters as :func:`preset` returns it."""
    own = {"model", *NodeClassifier._parameter_names()}
    direct = {k: v for k, v in values.items() if k in own}
    options = {k: v for k, v in values.items() if k not in own}
    return NodeClassifier(graph, model=model, **direct, model_options=options or None, **more)


def _rule(values: dict[str, Any]) -> str:
    watched = {"both": "loss and accuracy", "val_loss": "loss", "val_accuracy": "accuracy"}.get(
        values["monitor"], values["monitor"]
    )
    if watched is None:
        return f"after the last of {values['epochs']} epochs"
    patience = f", patience {values['patience']}" if values["patience"] else ""
    return f"at the best validation epoch (by {watched}, at most {values['epochs']} epochs{patience})"


def _targets(graph: Graph) -> tuple[np.ndarray, list[np.ndarray]]:
    for name in ("x", "y", *MASKS):
        if name not in graph.nodes:
            raise UnknownFieldError(
                f"A run needs the node fields x, y, {', '.join(MASKS)}. The graph has no {name!r}; it has "
                f"{', '.join(sorted(graph.nodes)) or 'none'}. Add it: g.replace(nodes={{{name!r}: ...}})."
            )
    masks = [np.asarray(as_array(graph.nodes[name])) for name in MASKS]
    for name, mask in zip(MASKS, masks):
        if mask.dtype != bool or mask.ndim != 1 or not (mask.any() or name == "val_mask"):
            raise InvalidArgumentError(
                f"{name} is boolean [num_nodes] with at least one node. Got dtype {mask.dtype}, shape {mask.shape}, "
                f"{np.count_nonzero(mask)} nodes. Build it with np.isin(np.arange(n), ids)."
            )
    return np.asarray(as_array(graph.nodes["y"])), [np.flatnonzero(mask) for mask in masks]


def _seed_path(checkpoint: str | os.PathLike[str] | None, seed: int, count: int) -> Path | None:
    if checkpoint is None:
        return None
    path = Path(checkpoint)
    return path if count == 1 else path.with_name(f"{path.stem}-seed{seed}{path.suffix}")


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | type(None) | list | tuple | dict)
