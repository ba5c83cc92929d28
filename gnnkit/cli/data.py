"""``gnnkit data list`` and ``gnnkit data show``: the real graphs that can be loaded by name. Imports datasets."""

from __future__ import annotations

from typing import Annotated

import typer

from gnnkit.cli.console import fails_clearly, print_table, say, screen_width
from gnnkit.cli.options import complete_dataset

WIDE = 120  # columns of a screen on which a whole row of the list fits
_NARROW = ("name", "nodes", "edges", "task", "where")

data_app = typer.Typer(help="List the real graphs that come with gnnkit, or show one.", no_args_is_help=True)


@data_app.command("list")
@fails_clearly
def list_datasets() -> None:
    """List the data sets: name, size, task, where the data are; on a wide screen also classes and licence.

    \b
    Examples:
      gnnkit data list
    """
    from gnnkit import datasets

    rows = datasets.list().rows()
    columns = list(rows[0]) if screen_width() >= WIDE else _NARROW
    print_table(columns, [[row[column] for column in columns] for row in rows])
    say("\nEdges are counted in both directions. More on one of them: gnnkit data show NAME")


@data_app.command("show")
@fails_clearly
def show_dataset(
    name: Annotated[str, typer.Argument(help="A name of the list.", autocompletion=complete_dataset)],
) -> None:
    """Show the card of a data set: what it holds, where it comes from, its licence, its quirks.

    \b
    Examples:
      gnnkit data show cora
      gnnkit data show amazon_photo
    """
    from gnnkit import datasets

    say(datasets.describe(name))
    if datasets.card(name).task == "node classification":
        say(f"Train on it: gnnkit train {datasets.card(name).name}")
