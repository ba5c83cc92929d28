"""The ``gnnkit`` command: its sub-commands and nothing else. Imports typer and the command files, all of them light."""

from __future__ import annotations

from typing import Annotated

import typer

from gnnkit.cli.check import check
from gnnkit.cli.console import say
from gnnkit.cli.data import data_app
from gnnkit.cli.info import info
from gnnkit.cli.predict import predict
from gnnkit.cli.train import train

app = typer.Typer(
    name="gnnkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Graph networks on the command line: train, predict, look at data, check symmetry.

    \b
    Start here:
      gnnkit train cora --save m.safetensors --plot curve.png
      gnnkit predict m.safetensors cora --out predictions.csv

    Every command has examples in its own help: gnnkit train --help
    """,
)
app.command()(train)
app.command()(predict)
app.command()(info)
app.command()(check)
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        from gnnkit import __version__

        say(f"gnnkit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of gnnkit itself; ``--version`` acts in its callback."""
