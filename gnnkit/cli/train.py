"""``gnnkit train``: learn to classify the nodes of a graph, say how well, save what was asked for.

Options only become arguments here. The work is in problem (what is learnt), learn (how) and outcome (what came of it),
which are imported when the command runs so that ``--help`` is quick.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnkit.cli import options as opt
from gnnkit.cli.console import INTERRUPTED, check_writable, fails_clearly, note, say
from gnnkit.errors import InvalidArgumentError, require_package

if TYPE_CHECKING:
    from gnnkit.cli.problem import Problem

MODELS = ("gcn", "sage", "gat", "gatv2", "gin", "sgc", "appnp", "cheb", "graphconv", "mlp")
HYPER = "Hyper-parameters (default: those of the paper for this data set)"
OUT = "What to write"
PICTURES = (".png", ".svg", ".pdf")


@fails_clearly
def train(
    graph: opt.GraphArgument = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help=f"One of: {', '.join(MODELS)}.", autocompletion=opt.complete_model),
    ] = "gcn",
    seeds: Annotated[int, typer.Option(min=1, help="How many times, from different starts.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    hidden: Annotated[
        int | None, typer.Option(min=1, help="Hidden channels (per head).", rich_help_panel=HYPER)
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Number of layers.", rich_help_panel=HYPER)] = None,
    dropout: Annotated[float | None, typer.Option(min=0, max=0.99, help="Dropout rate.", rich_help_panel=HYPER)] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Learning rate.", rich_help_panel=HYPER)] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help="L2 penalty.", rich_help_panel=HYPER)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs.", rich_help_panel=HYPER)] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many epochs without a better validation.", rich_help_panel=HYPER),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The model, as .safetensors.", rich_help_panel=OUT)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The training curve, as .png, .svg or .pdf.", rich_help_panel=OUT),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The class of every node, as .csv (- for stdout).", rich_help_panel=OUT),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The result as JSON (- for stdout).", rich_help_panel=OUT),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the state of training every 10 epochs.", rich_help_panel=OUT),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from --checkpoint, to the same bits.", rich_help_panel=OUT)
    ] = False,
    label: opt.LabelOption = None,
    features: opt.FeaturesOption = None,
    one_hot: opt.OneHotOption = None,
    scale: opt.ScaleOption = "standard",
    edges: opt.EdgesOption = None,
    source: opt.SourceOption = None,
    target: opt.TargetOption = None,
    directed: opt.DirectedOption = False,
    weight: opt.WeightOption = None,
    nodes: opt.NodesOption = None,
    id: opt.IdOption = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Says train, val, test or nothing for each node.", rich_help_panel=opt.OWN),
    ] = None,
    val_share: Annotated[
        float, typer.Option(help="Without --split: share for validation.", rich_help_panel=opt.OWN)
    ] = 0.2,
    test_share: Annotated[
        float, typer.Option(help="Without --split: share for the test.", rich_help_panel=opt.OWN)
    ] = 0.2,
    split_seed: Annotated[int, typer.Option(min=0, help="Draws the random split.", rich_help_panel=opt.OWN)] = 0,
) -> None:
    """Train a graph network to classify the nodes of a graph.

    On a data set by name, hyper-parameters and split are those of the papers. On your own graph you name the columns;
    nothing is guessed.

    \b
    Examples:
      gnnkit train cora
      gnnkit train cora --save m.safetensors --plot curve.png --predictions predictions.csv --json out.json
      gnnkit train citeseer --model gat --seeds 20
      gnnkit train club.graphml --label club --features age,income
      gnnkit train --edges edges.csv --source u --target v \\
                   --nodes nodes.csv --id id --label y --features 'f_*'
    """
    check_writable(save, plot, predictions, json, checkpoint)
    check_picture(plot)
    if save is not None and save.suffix.lower() != ".safetensors":
        raise InvalidArgumentError(
            f"A model is written as .safetensors, by which it is known later. Got --save '{save}'. Change its ending."
        )
    if resume and checkpoint is None:
        raise InvalidArgumentError(
            "--resume goes on from a checkpoint. Got no --checkpoint. Add --checkpoint FILE, the file of the first run."
        )
    from gnnkit.cli import outcome
    from gnnkit.cli.problem import Columns, Shares, load_problem
    from gnnkit.cli.readers import Files
    from gnnkit.learn import preset, run_seeds

    columns = Columns(label, opt.split_names(features), opt.split_names(one_hot), split, scale)
    files = Files(graph, edges, nodes, source, target, id, weight, directed)
    problem = load_problem(files, columns, Shares(val_share, test_share, split_seed))
    typed = {"hidden": hidden, "layers": layers, "dropout": dropout, "lr": lr, "weight_decay": weight_decay}
    typed |= {"epochs": epochs, "patience": patience}
    changes = {**values_from_graph(problem), **{name: value for name, value in typed.items() if value is not None}}

    tell = note if "-" in (str(json), str(predictions)) else say
    tell(outcome.describe(problem, model, preset(model, problem.dataset, **changes)))
    report = run_seeds(
        outcome.learning_graph(problem),
        model,
        dataset=problem.dataset or "",
        split=problem.protocol,
        seeds=list(range(seed, seed + seeds)),
        checkpoint=checkpoint,
        resume=resume,
        progress=None if seeds == 1 else False,  # one run shows its epochs, many show a line each
        on_seed=_tell_seed if seeds > 1 else None,
        **changes,
    )
    if report.best is None:
        raise KeyboardInterrupt
    written = outcome.write_all(report, problem, save=save, plot=plot, json=json, predictions=predictions)
    tell(outcome.conclusion(report))
    for what, path in written.items():
        tell(f"{what:<9} {path}")
    tell(outcome.next_steps(problem, model, save=save, predicted=predictions is not None, several=seeds > 1))
    if report.interrupted:
        more = f" Go on with: --checkpoint {quote(str(checkpoint))} --resume" if checkpoint is not None else ""
        note(f"Stopped by Ctrl-C; the best weights so far were kept.{more}")
        raise typer.Exit(INTERRUPTED)


def _tell_seed(number: int, accuracy: float) -> None:
    note(f"seed {number}: test {100 * accuracy:.1f} %")


def check_picture(plot: Path | None) -> None:
    """Refuse a picture that could not be drawn, before any work is done for it."""
    if plot is None:
        return
    if plot.suffix.lower() not in PICTURES:
        raise InvalidArgumentError(
            f"The training curve is written as one of: {', '.join(PICTURES)}. Got --plot '{plot}'. Change its ending."
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise require_package("matplotlib", "plot", "--plot")


def values_from_graph(problem: Problem) -> dict[str, Any]:
    """Return the hyper-parameters that follow from the graph.

    A recipe has scaled the columns of an own graph already, its weights are in a field, and nothing can be monitored
    where there are no validation nodes.
    """
    values: dict[str, Any] = {}
    if problem.files is not None:
        values["normalize"] = None
        if problem.files.weight is not None:
            values["edge_weight"] = "weight"
    return values if problem.counts()["val"] else {**values, "monitor": None, "patience": None}
