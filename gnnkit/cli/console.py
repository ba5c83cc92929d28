"""What the command line says and where: results to stdout, everything else to stderr, an error as one message.

rich is imported only when a table is really drawn; typer is small.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from gnnkit.errors import GnnkitError, InvalidArgumentError, SaveError

Command = TypeVar("Command", bound=Callable[..., Any])

USER_ERROR = 2  # as for a mistyped option
INTERRUPTED = 130  # as a shell counts Ctrl-C


def note(text: str) -> None:
    """Tell the person something that is not the result."""
    typer.echo(text, err=True)


def say(text: str = "") -> None:
    """Print a part of the result."""
    typer.echo(text)


def fails_clearly(command: Command) -> Command:
    """Turn what gnnkit raises on purpose into one message and exit code 2; anything else is a bug with its trace."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except GnnkitError as error:
            typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(str(error), err=True)
            raise typer.Exit(USER_ERROR) from None
        except KeyboardInterrupt:
            note("Stopped before the end. No file is half-written.")  # some may be written already
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `gnnkit ... | head`: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return wrapped  # type: ignore[return-value]


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table to stdout, as wide as the screen at most; long cells go over lines, nothing is cut off."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, show_edge=False)
    for place, name in enumerate(header):
        numeric = bool(cells) and all(_looks_numeric(row[place]) for row in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # as it is: neither markup nor :emoji: names
    console = Console(width=screen_width(), highlight=False)
    console.print(table)


def screen_width() -> int:
    """Columns of the screen that somebody reads on, also through a pipe; 200 where there is none."""
    typed = os.environ.get("COLUMNS", "")
    if typed.isdecimal() and int(typed) > 0:
        return int(typed)
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        if stream is not None and stream.isatty():
            with contextlib.suppress(OSError, ValueError):
                return os.get_terminal_size(stream.fileno()).columns or 80
    return 200


def _looks_numeric(cell: str) -> bool:
    return cell in ("", "-") or cell.replace(",", "").replace(".", "", 1).lstrip("-").isdecimal()


def check_writable(*paths: Path | None) -> None:
    """Refuse an output file that could not be written, before any work is done for it."""
    if sum(str(path) == "-" for path in paths) > 1:
        raise InvalidArgumentError("Stdout holds one result. Got - for several outputs. Give all but one a file.")
    chosen = [path for path in paths if path is not None and str(path) != "-"]
    for path in chosen:
        folder = path.parent
        if path.is_dir():
            problem, advice = "is a folder", "Add the name of a file."
        elif not folder.is_dir():
            problem, advice = f"lies in '{folder}', which does not exist", "Create that folder first."
        elif not os.access(path if path.exists() else folder, os.W_OK):
            problem, advice = "may not be written by you", "Choose another folder."
        else:
            continue
        raise SaveError(f"An output file must be writable. '{path}' {problem}. {advice}")
    if len({path.resolve() for path in chosen}) != len(chosen):
        names = ", ".join(map(str, chosen))
        raise InvalidArgumentError(f"Every output needs a file of its own. Got {names}. Change one of them.")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON, whole or not at all; ``-`` is stdout."""
    import json

    from gnnkit.files import atomic_write

    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if str(path) == "-":
        typer.echo(text, nl=False)
    else:
        atomic_write(path, text.encode())
