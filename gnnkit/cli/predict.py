"""``gnnkit predict``: a saved model and a graph in, one class per node out.

Features are made as the model file says. Heavy imports happen when the command runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnkit.cli import options as opt
from gnnkit.cli.console import check_writable, fails_clearly, print_table, say, write_json
from gnnkit.errors import FileFormatError, InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np

    from gnnkit.cli.readers import Files
    from gnnkit.graph import Graph

_SHOWN = 10


@fails_clearly
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A file that gnnkit train --save wrote.")],
    graph: opt.GraphArgument = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="One line per node, as .csv (- for stdout).")
    ] = None,
    json: opt.JsonOption = None,
    edges: opt.EdgesOption = None,
    source: opt.SourceOption = None,
    target: opt.TargetOption = None,
    directed: opt.DirectedOption = False,
    weight: opt.WeightOption = None,
    nodes: opt.NodesOption = None,
    id: opt.IdOption = None,
    label: opt.LabelOption = None,
) -> None:
    """Predict the class of every node of a graph with a saved model.

    The model file knows which columns become features and what they were scaled by; column names given here replace
    those of training.

    \b
    Examples:
      gnnkit predict m.safetensors cora
      gnnkit predict m.safetensors cora --out predictions.csv
      gnnkit predict m.safetensors club.graphml --json predictions.json
      gnnkit predict m.safetensors --edges new_edges.csv --nodes new_nodes.csv
    """
    check_writable(out, json)
    from gnnkit.cli.predictions import prediction_rows, write_csv
    from gnnkit.cli.readers import Files
    from gnnkit.learn import NodeClassifier
    from gnnkit.nn import read_model_file

    facts = read_model_file(model).metadata.get("gnnkit.cli")
    if not isinstance(facts, dict):
        raise FileFormatError(
            f"This command needs to know how the features were made. '{model}' was not written by gnnkit train. "
            "Load it in Python: gk.learn.load_estimator or gk.nn.load_model."
        )
    typed = Files(graph, edges, nodes, source, target, id, weight, directed)
    work, names, y, test = load_graph(typed, facts, label)
    classifier = NodeClassifier.load(model, features_ready=True)
    probabilities = classifier.predict_proba(graph=work)
    rows = prediction_rows(names, probabilities, classifier.classes_.tolist(), facts["classes"], y)
    if out is not None:
        write_csv(out, rows)
    if json is not None:
        scores = accuracies(rows, y, test)
        content = {"model": str(model), "graph": graph or str(edges), "classes": facts["classes"], **scores}
        write_json(json, {**content, "predictions": rows})
    if "-" not in (str(out), str(json)):
        report(rows, facts["classes"], accuracies(rows, y, test), out, json)


def load_graph(
    typed: Files, facts: dict[str, Any], label: str | None
) -> tuple[Graph, Sequence[Hashable], np.ndarray | None, np.ndarray | None]:
    """Return the graph with features, the names of its nodes, the known labels (codes), and the test nodes."""
    import numpy as np

    from gnnkit.cli.problem import load_dataset
    from gnnkit.cli.readers import Files, is_graph_file, read, refuse_edge_list
    from gnnkit.cli.recipe import Recipe

    if typed.graph is None and typed.edges is None:
        raise InvalidArgumentError(
            "A graph to predict on must be named. Got none. Add a data set, a graph file, or --edges and --nodes."
        )
    if typed.graph is not None:
        refuse_edge_list(typed.graph, "predict MODEL")
    made = facts["graph"]
    if typed.edges is None and typed.graph is not None and not is_graph_file(typed.graph):
        if made["recipe"] is not None:
            raise InvalidArgumentError(
                f"This model makes its features from the columns of a file ({facts['dataset']}). Got the data set "
                f"{typed.graph!r}. Give it a graph with the same columns."
            )
        if label is not None or typed != Files(graph=typed.graph):
            raise InvalidArgumentError(
                f"A data set has its own features, labels and edges. Got {typed.graph!r} together with options for "
                "your own graph (--label, --nodes, --directed ...). Drop them, or name a file instead of the data set."
            )
        name, graph = load_dataset(typed.graph)
        test = graph.nodes.get("test_mask") if name == made["dataset"] else None
        y = graph.nodes.get("y") if name == made["dataset"] else None
        return graph, np.arange(graph.num_nodes).tolist(), y, test
    if made["recipe"] is None:
        raise InvalidArgumentError(
            f"This model knows the features of the data set {made['dataset']!r} only. Got a graph of your own. Train "
            "one on a graph with its columns: gnnkit train FILE --label COLUMN --features COLUMNS"
        )
    if typed.weight is not None and made["files"]["weight"] is None:
        raise InvalidArgumentError(
            f"Edge weights are for a model that learnt with them. This one did not, and got --weight {typed.weight}. "
            "Drop it, or train with --weight."
        )
    recipe = Recipe(**made["recipe"])
    graph, table = read(with_training_names(typed, made["files"]))
    # Labels are optional here: without --label they are compared only if the graph has the column of training.
    column = label if label is not None else made["label"] if made["label"] in table.columns else None
    y = None if column is None else table.labels(column, facts["classes"])[0]
    return graph.replace(x=recipe.features(graph, table)), list(table.names), y, None


def with_training_names(typed: Files, trained: dict[str, Any]) -> Files:
    """Fill in the column names of training where none were typed; which of them apply depends on the files given."""
    wanted, directed = ["weight"], typed.directed
    if typed.edges is not None:
        directed = directed or trained["directed"]  # a graph file says so itself
        wanted += ["source", "target"] + (["id"] if typed.nodes is not None else [])
    filled = {name: trained[name] for name in wanted if getattr(typed, name) is None}
    return replace(typed, **filled, directed=directed)


def accuracies(rows: list[dict[str, Any]], y: np.ndarray | None, test: np.ndarray | None) -> dict[str, float]:
    """Return the share of right predictions on the test nodes, and on all labelled nodes (training ones included)."""
    if y is None:
        return {}
    right = [row["predicted"] == row["label"] for row in rows]
    groups = {"accuracy_all_labelled": y >= 0, "test_accuracy": test}
    return {
        name: sum(r for r, m in zip(right, mask) if m) / int(mask.sum())
        for name, mask in groups.items()
        if mask is not None and mask.any()
    }


def report(
    rows: list[dict[str, Any]], classes: list[str], scores: dict[str, float], out: Path | None, json: Path | None
) -> None:
    """Print how many nodes went to each class, the accuracy, and where the predictions are."""
    if out is None and json is None:
        print_table(list(rows[0]) if rows else ["node"], [list(row.values()) for row in rows[:_SHOWN]])
        if len(rows) > _SHOWN:
            say(f"... and {len(rows) - _SHOWN:,} more nodes: --out predictions.csv")
        say()
    counts = {name: sum(row["predicted"] == name for row in rows) for name in classes}
    print_table(["class", "nodes predicted"], list(counts.items()))
    words = {
        "test_accuracy": "on the test nodes",
        "accuracy_all_labelled": "on all labelled nodes (with those of training)",
    }
    for name, text in words.items():
        if name in scores:
            say(f"Accuracy  {100 * scores[name]:.1f} % {text}")
    for path in (out, json):
        if path is not None:
            say(f"Saved     {path}")
