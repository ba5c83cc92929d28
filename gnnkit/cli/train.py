"""``gnnkit train``: learn to classify the nodes of a graph, say how well, save what was asked for.

Options only become arguments here; the work is in problem (what is learnt) and runs (how), which are imported when the
command runs so that ``--help`` is quick.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnkit.cli import options as opt
from gnnkit.cli.console import INTERRUPTED, check_writable, fails_clearly, note, say, write_json
from gnnkit.errors import InvalidArgumentError, require_package

if TYPE_CHECKING:
    from gnnkit.cli.problem import Problem
    from gnnkit.cli.runs import Plan, Run

MODELS = ("gcn", "sage", "gat", "gatv2", "gin", "sgc", "appnp", "cheb", "graphconv", "mlp")
HYPER = "Hyper-parameters (default: those of the paper for this data set)"
OUT = "What to write"


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
      gnnkit train cora --save m.safetensors --plot curve.png --json out.json
      gnnkit train citeseer --model gat --seeds 20
      gnnkit train club.graphml --label club --features age,income
      gnnkit train --edges edges.csv --source u --target v \\
                   --nodes nodes.csv --id id --label y --features 'f_*'
    """
    start = time.perf_counter()
    check_writable(save, plot, json, checkpoint)
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise require_package("matplotlib", "plot", "--plot")
    if resume and checkpoint is None:
        raise InvalidArgumentError(
            "--resume goes on from a checkpoint. Got no --checkpoint. Add --checkpoint FILE, the file of the first run."
        )
    from gnnkit.cli.problem import Columns, Shares, load_problem
    from gnnkit.cli.readers import Files
    from gnnkit.cli.runs import best_run, make_plan, record, train_all

    columns = Columns(label, opt.split_names(features), opt.split_names(one_hot), split, scale)
    files = Files(graph, edges, nodes, source, target, id, weight, directed)
    problem = load_problem(files, columns, Shares(val_share, test_share, split_seed))
    typed = {"hidden": hidden, "layers": layers, "dropout": dropout, "lr": lr, "weight_decay": weight_decay}
    typed |= {"epochs": epochs, "patience": patience}
    plan = make_plan(model, problem, typed)
    quiet = str(json) == "-"
    tell = note if quiet else say
    tell(describe(problem, plan))
    runs: list[Run] = []
    chosen = list(range(seed, seed + seeds))
    # One run shows its epochs; many show a line each.
    for run in train_all(
        plan, problem, chosen, checkpoint=checkpoint, resume=resume, progress=None if seeds == 1 else False
    ):
        runs.append(run)
        if seeds > 1:
            note(f"seed {run.seed} ({len(runs)} of {seeds}): {scores(run)}, {run.seconds:.1f} s")
    kept = best_run(runs)
    result = record(plan, problem, runs, time.perf_counter() - start)
    written = write_all(result, kept, problem, save=save, plot=plot, json=json)
    tell(conclusion(result, runs, kept))
    for what, path in written.items():
        tell(f"{what:<9} {path}")
    tell(next_steps(plan, problem, files, save=save, plot=plot, seeds=seeds))
    if any(run.interrupted for run in runs):
        more = f" Go on with: --checkpoint {checkpoint} --resume" if checkpoint is not None else ""
        note(f"Stopped by Ctrl-C; the best weights so far were kept.{more}")
        raise typer.Exit(INTERRUPTED)


def describe(problem: Problem, plan: Plan) -> str:
    """Return two lines: what is learnt on, and with what."""
    g = problem.graph
    parts = ", ".join(f"{count:,} {part}" for part, count in problem.counts().items())
    known = int((problem.y >= 0).sum())
    unlabelled = f", {g.num_nodes - known:,} nodes without a label" if known < g.num_nodes else ""
    settings = ", ".join(f"{name} {value}" for name, value in plan.values.items() if value is not None)
    return (
        f"Graph     {problem.name}: {g.num_nodes:,} nodes, {g.num_edges:,} directed edges, {g.x.shape[1]:,} features, "
        f"{len(problem.classes)} classes{unlabelled}\n"
        f"Split     {problem.protocol}: {parts}\n"
        f"Model     {plan.model}: {settings}"
    )


def scores(run: Run) -> str:
    parts = [("test", run.test_accuracy), ("validation", run.val_accuracy)]
    text = ", ".join(f"{name} {100 * value:.1f} %" for name, value in parts if value is not None)
    return text or "no nodes to test on"


def conclusion(result: dict[str, Any], runs: list[Run], kept: Run) -> str:
    """Return the accuracy, and over what."""
    test = result["test_accuracy"]
    history = kept.classifier.history_
    if len(runs) == 1:
        text = f"Accuracy  {scores(kept)} (epoch {history.best_epoch + 1} of {len(history)}, {result['seconds']:.1f} s)"
    elif test["mean"] is None:
        text = f"Accuracy  no nodes to test on ({len(runs)} seeds, {result['seconds']:.1f} s)"
    else:
        text = (
            f"Accuracy  test {100 * test['mean']:.2f} +- {100 * test['std']:.2f} % "
            f"(mean and standard deviation of {len(runs)} seeds, {result['seconds']:.1f} s)"
        )
    return text


def write_all(
    result: dict[str, Any], kept: Run, problem: Problem, *, save: Path | None, plot: Path | None, json: Path | None
) -> dict[str, Path]:
    """Write what was asked for, the model first; return what -> where."""
    written: dict[str, Path] = {}
    if save is not None:
        kept.classifier.save(save, metadata={"gnnkit.cli": {**result, "graph": prediction_facts(problem)}})
        written["Saved"] = save
    if plot is not None:
        from gnnkit.plot import training_curve

        training_curve(kept.classifier.history_, plot, title=f"{result['model']} on {problem.name}, seed {kept.seed}")
        written["Picture"] = plot
    if json is not None:
        write_json(json, {**result, "saved_seed": kept.seed if save is not None else None})
        if str(json) != "-":
            written["Numbers"] = json
    return written


def prediction_facts(problem: Problem) -> dict[str, Any]:
    """What ``gnnkit predict`` must know to make the same features from another file."""
    return {
        "dataset": problem.dataset,
        "label": problem.label,
        "files": None if problem.files is None else problem.files.names(),
        "recipe": None if problem.recipe is None else problem.recipe.to_json(),
    }


def next_steps(plan: Plan, problem: Problem, files: Any, *, save: Path | None, plot: Path | None, seeds: int) -> str:
    """Return commands that make sense after this one."""
    where = str(files.graph) if files.graph is not None else f"--edges {files.edges} --nodes {files.nodes}"
    steps = []
    if save is not None:
        steps.append(f"gnnkit predict {save} {where} --out predictions.csv")
        steps.append(f"gnnkit info {save}")
    elif problem.dataset is not None:
        steps.append(f"gnnkit train {where} --model {plan.model} --save m.safetensors --plot curve.png")
    if problem.dataset is not None:
        other = "gat" if plan.model == "gcn" else "gcn"
        steps.append(f"gnnkit train {where} --model {other}")
        if seeds == 1:
            steps.append(f"gnnkit train {where} --model {plan.model} --seeds 20 --json out.json")
    return "\n".join(["", "Try next", *(f"  {step}" for step in steps)]) if steps else ""
