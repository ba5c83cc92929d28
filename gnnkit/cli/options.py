"""The options that commands share, each written once: names, help texts, completion. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

OWN = "Your own graph"


def complete_dataset(incomplete: str) -> list[str]:
    """Names of data sets that begin with what was typed."""
    from gnnkit.datasets import list as list_cards

    return [name for name in list_cards().names if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with what was typed."""
    from gnnkit.learn.presets import PRESETS

    return [name for name in PRESETS if name.startswith(incomplete)]


def split_names(text: str | None) -> list[str]:
    """Return the names in a list separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


GraphArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="GRAPH",
        help="A data set by name (see: gnnkit data list) or a .graphml, .gml or .gexf file.",
        autocompletion=complete_dataset,
        show_default=False,
    ),
]
EdgesOption = Annotated[
    Path | None,
    typer.Option("--edges", metavar="FILE", help="Edge list (.csv, or .tsv) instead of GRAPH.", rich_help_panel=OWN),
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="COLUMN", help="Edge list: where an edge starts.", rich_help_panel=OWN),
]
TargetOption = Annotated[
    str | None, typer.Option("--target", metavar="COLUMN", help="Edge list: where it ends.", rich_help_panel=OWN)
]
NodesOption = Annotated[
    Path | None,
    typer.Option("--nodes", metavar="FILE", help="Table of nodes for an edge list.", rich_help_panel=OWN),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Table of nodes: the name used in the edge list.", rich_help_panel=OWN),
]
DirectedOption = Annotated[
    bool,
    typer.Option(
        "--directed",
        help="Edge list: keep each edge one way, source to target; else missing reverses are added.",
        rich_help_panel=OWN,
    ),
]
WeightOption = Annotated[
    str | None,
    typer.Option("--weight", metavar="COLUMN", help="Edge weights, for models that use them.", rich_help_panel=OWN),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="COLUMN",
        help="The class of a node; nodes without one are not learnt from.",
        rich_help_panel=OWN,
    ),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="COLUMNS",
        help="Numbers to learn from: 'age,income', 'word_*', and @degree or @identity, which need no column.",
        rich_help_panel=OWN,
    ),
]
OneHotOption = Annotated[
    str | None,
    typer.Option("--one-hot", metavar="COLUMNS", help="Categories to learn from: 'job,city'.", rich_help_panel=OWN),
]
ScaleOption = Annotated[
    str,
    typer.Option(
        "--scale", help="standard: mean 0, deviation 1 per column; l1: sum 1 per node; none.", rich_help_panel=OWN
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON (- for stdout).")
]
