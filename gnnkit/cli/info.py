"""``gnnkit info``: what is in a file, whichever of ours it is: a model, a checkpoint, a graph, a table."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from gnnkit.cli.console import fails_clearly, print_table, say
from gnnkit.errors import FileFormatError, UnknownNameError
from gnnkit.files import read_bytes

TABLES = (".csv", ".tsv")


@fails_clearly
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model, a checkpoint, a graph file or a table.")],
) -> None:
    """Show what a file holds: layers and numbers of a model, counts and columns of a graph or a table.

    \b
    Examples:
      gnnkit info m.safetensors
      gnnkit info club.graphml
      gnnkit info nodes.csv
    """
    from gnnkit.cli.readers import GRAPH_SUFFIXES

    suffix = file.suffix.lower()
    if suffix == ".safetensors":
        show_safetensors(file)
    elif suffix in GRAPH_SUFFIXES:
        show_graph(file)
    elif suffix in TABLES:
        show_table(file)
    else:
        read_bytes(file)
        raise FileFormatError(
            f"A file is known by its ending: .safetensors, {', '.join((*GRAPH_SUFFIXES, *TABLES))}. Got '{file}'. "
            "Rename it, or for a data set use: gnnkit data show NAME"
        )


def show_safetensors(path: Path) -> None:
    data = read_bytes(path, purpose="model file")
    # A checkpoint says so in its header; everything else is checked as a model.
    if b'"gnnkit-checkpoint-1"' in data[: 8 + int.from_bytes(data[:8], "little")]:
        show_checkpoint(path)
    else:
        show_model(path)


def show_model(path: Path) -> None:
    from gnnkit import nn

    content = nn.read_model_file(path)
    total = sum(tensor.size for tensor in content.tensors.values())
    say(f"{path}: a model, {total:,} numbers, written by gnnkit {content.version}\n")
    names = list(content.tensors)
    try:
        built = nn.build(content.spec)
        say(repr(built))
        names = [name for name in built.state_dict() if name in content.tensors]  # a file keeps them in another order
    except UnknownNameError:  # made of classes that only its owner has
        say(json.dumps(content.spec, indent=2))
    say()
    named = [(name, content.tensors[name]) for name in names]
    rows = [[name, str(list(t.shape)), t.dtype, f"{t.size:,}"] for name, t in named]
    print_table(["tensor", "shape", "dtype", "numbers"], rows)
    facts = content.metadata.get("gnnkit.cli")
    if isinstance(facts, dict):
        say()
        print_table(["trained with gnnkit train", ""], _training_rows(facts))
    elif content.metadata:
        say("\nMetadata\n" + json.dumps(content.metadata, indent=2, ensure_ascii=False)[:4000])


def _training_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    from gnnkit.cli.recipe import Recipe

    made, runs = facts["graph"], len(facts["test_accuracy"])
    mean, std = 100 * facts["test_accuracy_mean"], 100 * facts["test_accuracy_std"]
    rows = [
        ("graph", f"{facts['dataset']}: {facts['num_nodes']:,} nodes, {facts['num_edges']:,} directed edges"),
        ("model", facts["model"]),
        ("hyper-parameters", ", ".join(f"{k} {v}" for k, v in facts["hyper_parameters"].items() if v is not None)),
        ("classes", ", ".join(facts["classes"])),
        ("protocol", facts["protocol"]),
        ("test accuracy", f"{mean:.2f} %" if runs == 1 else f"{mean:.2f} +- {std:.2f} %, {runs} seeds"),
    ]
    if made["recipe"] is not None:
        rows.append(("features", Recipe(**made["recipe"]).describe()))
        rows.append(("label", made["label"]))
    return rows


def show_checkpoint(path: Path) -> None:
    from gnnkit.learn import History
    from gnnkit.learn.checkpoint import load_tree

    history = History.from_json(load_tree(path)["history"])
    say(f"{path}: a checkpoint of training. Go on with: gnnkit train ... --checkpoint {quote(str(path))} --resume\n")
    say(repr(history))


def show_graph(path: Path) -> None:
    from gnnkit.cli.readers import Files, read

    graph, table = read(Files(graph=str(path)))
    say(f"{path}: a graph\n")
    say(str(graph.report()))
    say()
    _show_columns(table.columns, len(table.names), "node column")
    say(f"\nTrain on it: gnnkit train {quote(str(path))} --label COLUMN --features COLUMNS")


def show_table(path: Path) -> None:
    from gnnkit.cli.tables import read_csv

    columns = read_csv(path)
    num_rows = len(next(iter(columns.values())))
    say(f"{path}: a table of {num_rows:,} rows\n")
    _show_columns(columns, num_rows, "column")


def _show_columns(columns: dict[str, list[Any]], num_rows: int, title: str) -> None:
    if not columns:
        say("No columns.")
        return
    rows = []
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        examples = list(dict.fromkeys(str(value) for value in present[:200]))
        shown = ", ".join(examples[:4]) + (" ..." if len(examples) > 4 else "")
        rows.append([name, f"{num_rows - len(present):,}", shown[:80]])
    print_table([title, "missing", "values"], rows)
