"""``gnnkit check``: is a person's own layer or function equivariant, as it declares? A table, and a counterexample.

Heavy imports happen when the command runs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnkit.cli.blame import one_line, where
from gnnkit.cli.console import check_writable, fails_clearly, note, print_table, say
from gnnkit.cli.options import split_names
from gnnkit.errors import (
    GnnkitError,
    GroupError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    UnknownFieldError,
    require_package,
    type_name,
)

if TYPE_CHECKING:
    from gnnkit.cli.samples import Sample
    from gnnkit.symmetry import Report

PICTURES = (".png", ".svg", ".pdf")
FAILED = 1  # as a test that fails; what was typed wrongly is 2
WHAT, GRAPHS, HOW = "What is checked", "On which graphs", "How"
SHOWN = 60  # characters of a name
UNFIT = (ShapeError, UnknownFieldError, InvalidFeatureError)  # what a graph that does not fit makes gnnkit raise


@fails_clearly
def check(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:NAME", help="A class, function or instance: layers:MyConv or layers.py:MyConv."),
    ],
    args: Annotated[
        str | None,
        typer.Option(metavar="VALUES", help="Arguments to build it: 'in_channels=3, out_channels=4'."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Groups to check, 'nodes,union', or --group several times; else those it declares.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="equivariant or invariant; else as declared.", rich_help_panel=WHAT),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="What the rows are that a function returns: nodes, edges or globals.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--eval", help="Check in evaluation mode; else as built.", rich_help_panel=WHAT)
    ] = False,
    step: Annotated[
        int | None,
        typer.Option(min=1, help="Shift images by multiples of it: the stride.", rich_help_panel=WHAT),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            min=0, help="Columns of x; else in_channels in --args or of the layer, or 3.", rich_help_panel=GRAPHS
        ),
    ] = None,
    edge_channels: Annotated[int, typer.Option(min=0, help="Columns of e.", rich_help_panel=GRAPHS)] = 0,
    global_channels: Annotated[int, typer.Option(min=0, help="Columns of u.", rich_help_panel=GRAPHS)] = 0,
    dimensions: Annotated[
        int,
        typer.Option(
            min=0, help="Columns of the positions 'pos'; else 3 where a group moves them.", rich_help_panel=GRAPHS
        ),
    ] = 0,
    categories: Annotated[
        int | None,
        typer.Option(min=1, help="x holds whole numbers below this.", rich_help_panel=GRAPHS),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="All graphs are images of this size: 28x28.", rich_help_panel=GRAPHS),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A data set instead: cora, mutag, ...", rich_help_panel=GRAPHS),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(metavar="FIELDS", help="Fields of the data set to leave out: 'e'.", rich_help_panel=GRAPHS),
    ] = None,
    cases: Annotated[
        int,
        typer.Option(min=1, help="Pairs of a graph and a move to try, at least one per graph.", rich_help_panel=HOW),
    ] = 50,
    seed: Annotated[
        int, typer.Option(min=0, help="Draws graphs, moves, and the parameters of a class.", rich_help_panel=HOW)
    ] = 0,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="DTYPE",
            help="float64 or float32, in which it computes; float64 tells a defect from rounding.",
            rich_help_panel=HOW,
        ),
    ] = "float64",
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative error that passes.", rich_help_panel=HOW)
    ] = None,
    gradients: Annotated[bool, typer.Option(help="Compare gradients too.", rich_help_panel=HOW)] = True,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the first counterexample (.png, .svg, .pdf).", rich_help_panel=HOW),
    ] = None,
) -> None:
    """Check the symmetry of your own layer or function, outputs and gradients.

    A layer is held to what it declares in its attribute symmetry, each group on
    small random graphs with every corner case. A failure comes with the smallest
    counterexample found. The exit code is 0 if all hold, 1 if one fails, 2 if
    something was typed wrongly.

    \b
    Groups:
      nodes, edges         nodes get other numbers, edges another order
      union                graphs become one batch
      reversal             edges point the other way
      torus, translation   images are shifted: on a torus, away from the border
      flip, rot90          images are mirrored, turned by 90 degrees
      euclidean            positions move: rotation, reflection and shift, which
                           are groups of their own too
      channels             the columns of x change places

    \b
    Examples:
      gnnkit check layers.py:MyConv --args 'in_channels=3, out_channels=4'
      gnnkit check layers:MyConv --args '3, 4' --group nodes --draw found.png
      gnnkit check layers:total --group nodes --expect invariant --output globals
      gnnkit check gnnkit.nn:Conv2d --args '3, 8, 3, stride=2'
      gnnkit check gnnkit.nn:GCNConv --args '7, 2' --data mutag --without e

    A layer that is built from another one is made in a file, gin =
    gk.nn.GINConv(gk.nn.MLP([3, 4])), and checked as layers.py:gin
    """
    check_writable(draw)
    if draw is not None and draw.suffix.lower() not in PICTURES:
        raise InvalidArgumentError(
            f"A counterexample is drawn as one of: {', '.join(PICTURES)}. Got --draw '{draw}'. Change its ending."
        )
    if draw is not None and importlib.util.find_spec("matplotlib") is None:
        raise require_package("matplotlib", "plot", "--draw")
    from gnnkit.cli.samples import Sample, dimensions_for
    from gnnkit.cli.target import load_target

    subject, typed = load_target(target, args, seed=seed)
    _check_callable(subject, target)
    if evaluation:
        subject = _evaluated(subject)
    promised = _promises(subject, group, expect)
    channels = typed if channels is None else channels
    dimensions = dimensions or dimensions_for(promised)
    shape = (channels, edge_channels, global_channels, dimensions, categories, size)
    sample = Sample(data, split_names(without), *shape, step, seed)
    options = {"cases": cases, "rng": seed, "dtype": dtype, "tolerance": tolerance, "gradients": gradients}
    options["output"] = output
    say(f"{_shown(subject)}: {dtype}, on {sample.describe()}\n")
    reports = {name: _report(subject, name, word, sample, options) for name, word in promised.items()}
    _print(reports, promised)
    failed = [report for report in reports.values() if not isinstance(report, str) and not report.passed]
    for report in failed:
        say(f"\n{report}")
    if draw is not None:
        if failed:
            from gnnkit import plot

            plot.counterexample(failed[0], draw)
            say(f"\nPicture   {draw}")
        else:
            note("\nNothing failed, so there is nothing to draw.")
    if failed:
        raise typer.Exit(FAILED)


def _check_callable(subject: Any, target: str) -> None:
    from gnnkit.symmetry import Subject

    if not callable(subject) and not isinstance(subject, Subject):
        raise InvalidArgumentError(
            f"What is checked must be called with a graph. {target} is {type_name(subject)!r}, which cannot be called. "
            "Name a layer (its class, or an instance), a message program or a function."
        )


def _promises(subject: Any, group: Sequence[str] | None, expect: str | None) -> dict[str, str]:
    """What is to be checked: group -> expectation."""
    from gnnkit.nn.held import promised

    if expect not in (None, "equivariant", "invariant"):
        raise InvalidArgumentError(f"--expect is equivariant or invariant. Got {expect!r}. Leave it out as declared.")
    names = split_names(",".join(group or ()))
    if not names and not getattr(subject, "symmetry", None):
        from gnnkit.symmetry import GROUPS

        raise InvalidArgumentError(
            f"What is checked must be declared or named. {_shown(subject)} declares no symmetry, and there is no "
            f"--group. Add --group nodes (there are: {', '.join(GROUPS)}), or to a class: symmetry = gk.nn.EQUIVARIANT"
        )
    return promised(subject, names or None, expect)


def _report(subject: Any, name: str, word: str, sample: Sample, options: dict[str, Any]) -> Report | str:
    """The report, or in words why there is none."""
    from gnnkit import symmetry

    try:
        graphs = sample.graphs(subject, name, options["cases"])
        return symmetry.check(subject, graphs, group=sample.group(subject, name), expect=word, **options)
    except GroupError as error:
        return str(error)
    except Exception as error:
        if isinstance(error, GnnkitError) and not isinstance(error, UNFIT) and not where(error):
            raise  # of what was typed
        raise InvalidArgumentError(
            f"What is checked must run on the graphs. {_shown(subject)} raised {type(error).__name__}{where(error)}: "
            f"{one_line(error)}. {_advice(error)}"
        ) from error


def _advice(error: Exception) -> str:
    """What to do about what was raised while checking."""
    if isinstance(error, UNFIT):
        return (
            "If the graphs are to blame, give others: --channels (columns of x), --edge-channels (of e), --dimensions "
            "(of pos), --global-channels (of u), --categories, --size or --data."
        )
    return "Mend that line." if where(error) else "Try it on one graph in Python, which shows the whole traceback."


def _print(reports: dict[str, Report | str], promised: dict[str, str]) -> None:
    rows = []
    for name, report in reports.items():
        if isinstance(report, str):
            rows.append([name, promised[name], "", "", "", "not checked"])
            continue
        verdict = "passed" if report.passed else "FAILED"
        rows.append(
            [name, report.expect, f"{report.max_error:.1e}", f"{report.tolerance:.1e}", str(report.cases), verdict]
        )
    print_table(["group", "expected", "largest error", "tolerance", "cases", "result"], rows)
    unchecked = {name: report for name, report in reports.items() if isinstance(report, str)}
    for name, reason in unchecked.items():
        note(f"\n{name} was not checked: {reason}")
    if unchecked and len(unchecked) == len(reports):
        raise InvalidArgumentError("Something must be checked. None of the groups could. See the reasons above.")
    reasons = {
        r.gradients.partition(": ")[2] for r in reports.values() if not isinstance(r, str) and "NOT" in r.gradients
    }
    for reason in sorted(reasons):
        note(f"\nGradients were not compared: {reason}")


def _evaluated(subject: Any) -> Any:
    if not hasattr(subject, "eval"):
        raise InvalidArgumentError(f"Only a module has an evaluation mode. Got {_shown(subject)}. Leave out --eval.")
    return subject.eval()


def _shown(subject: Any) -> str:
    name = getattr(subject, "__name__", None) or " ".join(repr(subject).split())
    return name if len(name) <= SHOWN else name[: SHOWN - 3] + "..."
