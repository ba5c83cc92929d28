"""What ``gnnkit train`` tells and writes: the task, the accuracy, the files, what to try next. Imports learn and nn."""

from __future__ import annotations

import copy
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from gnnkit import __version__
from gnnkit.cli.console import write_json
from gnnkit.cli.predictions import prediction_rows, write_csv
from gnnkit.cli.problem import Problem
from gnnkit.learn import NodeClassifier, Report


def describe(problem: Problem, model: str, values: dict[str, Any]) -> str:
    """Return three lines: what is learnt on, who is tested on, and with what."""
    g = problem.graph
    parts = ", ".join(f"{count:,} {part}" for part, count in problem.counts().items())
    known = int((problem.y >= 0).sum())
    unlabelled = f", {g.num_nodes - known:,} nodes without a label" if known < g.num_nodes else ""
    settings = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    return (
        f"Graph     {problem.name}: {g.num_nodes:,} nodes, {g.num_edges:,} directed edges, {g.x.shape[1]:,} features, "
        f"{len(problem.classes)} classes{unlabelled}\n"
        f"Split     {problem.protocol}: {parts}\n"
        f"Model     {model}: {settings}"
    )


def conclusion(report: Report) -> str:
    """Return the accuracy, and over what."""
    if len(report.accuracies) > 1:
        return (
            f"Accuracy  test {100 * report.mean:.2f} +- {100 * report.std:.2f} % "
            f"(mean and standard deviation of {len(report.accuracies)} seeds, {report.seconds:.1f} s)"
        )
    history = report.histories[0]
    validation = f", validation {100 * report.val_accuracies[0]:.1f} %" if report.val_accuracies else ""
    epoch = f"epoch {history.best_epoch + 1} of {len(history)}"
    return f"Accuracy  test {100 * report.mean:.1f} %{validation} ({epoch}, {report.seconds:.1f} s)"


def result(report: Report, problem: Problem) -> dict[str, Any]:
    """Return everything about the runs that the JSON and the model file keep."""
    return {
        "gnnkit": __version__,
        **report.to_dict(),
        "dataset": problem.name,  # an own graph has no name in the report
        "classes": problem.classes,
        "num_nodes": problem.graph.num_nodes,
        "num_edges": problem.graph.num_edges,
        "num_features": int(problem.graph.x.shape[1]),
        "num_train": problem.counts()["train"],
        "num_val": problem.counts()["val"],
        "num_test": problem.counts()["test"],
    }


def with_class_names(estimator: NodeClassifier, classes: list[str]) -> NodeClassifier:
    """Return the estimator, which learnt codes, with the names of its classes: those that had training nodes."""
    named = copy.copy(estimator)
    named.classes_ = np.array(classes)[estimator.classes_]
    return named


def prediction_facts(problem: Problem) -> dict[str, Any]:
    """Return what ``gnnkit predict`` must know to make the same features from another file."""
    return {
        "dataset": problem.dataset,
        "label": problem.label,
        "files": None if problem.files is None else problem.files.names(),
        "recipe": None if problem.recipe is None else problem.recipe.to_json(),
    }


def write_all(
    report: Report,
    problem: Problem,
    *,
    save: Path | None,
    plot: Path | None,
    json: Path | None,
    predictions: Path | None,
) -> dict[str, Path]:
    """Write what was asked for, the model first; return what -> where."""
    facts, written = result(report, problem), {}
    best = report.best
    assert best is not None
    named = with_class_names(best, problem.classes)
    if save is not None:
        metadata: dict[str, Any] = {"gnnkit.cli": {**facts, "graph": prediction_facts(problem)}}
        if problem.recipe is not None:  # by which learn knows that the x of a graph is not what the model takes
            metadata["gnnkit.features"] = problem.recipe.describe()
        named.save(save, metadata=metadata)
        written["Saved"] = save
    if plot is not None:
        from gnnkit.plot import training_curve

        training_curve(best.history_, plot, title=f"{report.model} on {problem.name}")
        written["Picture"] = plot
    if predictions is not None:
        names = range(problem.graph.num_nodes) if problem.node_names is None else problem.node_names
        probabilities = best.predict_proba(np.arange(problem.graph.num_nodes))
        write_csv(
            predictions, prediction_rows(names, probabilities, named.classes_.tolist(), problem.classes, problem.y)
        )
        if str(predictions) != "-":
            written["Predicted"] = predictions
    if json is not None:
        write_json(json, facts)
        if str(json) != "-":
            written["Numbers"] = json
    return written


def next_steps(problem: Problem, model: str, *, save: Path | None, predicted: bool, several: bool) -> str:
    """Return commands that make sense after this one."""
    if problem.files is not None and problem.files.edges is not None:
        nodes = problem.files.nodes
        where = f"--edges {quote(str(problem.files.edges))}" + (f" --nodes {quote(str(nodes))}" if nodes else "")
    else:
        where = quote(problem.name)
    steps = []
    if save is not None:
        steps += [] if predicted else [f"gnnkit predict {quote(str(save))} {where} --out predictions.csv"]
        steps.append(f"gnnkit info {quote(str(save))}")
    if problem.dataset is not None:
        if save is None:
            steps.append(f"gnnkit train {where} --model {model} --save m.safetensors --plot curve.png")
        steps.append(f"gnnkit train {where} --model {'gat' if model == 'gcn' else 'gcn'}")
        if not several:
            steps.append(f"gnnkit train {where} --model {model} --seeds 20 --json out.json")
    elif save is None:
        steps.append("the same command with --save m.safetensors, then: gnnkit predict m.safetensors " + where)
    return "\n".join(["", "Try next", *(f"  {step}" for step in steps)])


def learning_graph(problem: Problem) -> Any:
    """Return the problem as one graph: the labels and masks as fields beside the features."""
    masks = {f"{part}_mask": np.asarray(mask) for part, mask in problem.masks.items()}
    return problem.graph.replace(nodes={"y": problem.y, **masks})
