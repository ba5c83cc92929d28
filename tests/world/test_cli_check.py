"""``gnnkit check`` on a person's own file: what it finds, what it prints, its exit codes, what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gnnkit.cli import app
from gnnkit.cli.target import load_target, read_arguments
from gnnkit.errors import InvalidArgumentError
from gnnkit.symmetry import GROUPS

OWN = '''
import numpy as np
import gnnkit as gk


class Mean(gk.nn.Module):
    symmetry = gk.nn.EQUIVARIANT

    def __init__(self, in_channels, out_channels, *, reducer="mean"):
        self.conv = gk.nn.SAGEConv(in_channels, out_channels, reducer=reducer, rng=0)

    def forward(self, graph):
        return self.conv(graph)


class LastWins(gk.nn.Module):
    """The last message to a node replaces the others."""

    symmetry = gk.nn.EQUIVARIANT

    def forward(self, graph):
        x = np.zeros(graph.x.shape)
        x[graph.receivers] = gk.autodiff.as_array(graph.x)[graph.senders]
        return graph.replace(x=x)


class Silent(gk.nn.Module):
    def forward(self, graph):
        return graph


class Shared(gk.nn.Module):
    symmetry = {"union": "equivariant"}

    def __init__(self):
        self.norm = gk.nn.BatchNorm(2)

    def forward(self, graph):
        return self.norm(graph)


class Child(gk.nn.Module):
    """Holds a layer of other channels before its own."""

    symmetry = gk.nn.EQUIVARIANT

    def __init__(self, in_channels):
        self.edges = gk.nn.Linear(9, 2)
        self.own = gk.nn.Linear(in_channels, 2)

    def forward(self, graph):
        return graph.replace(x=self.own(graph.x))


class Distances(gk.nn.Module):
    symmetry = {"nodes": "equivariant", "euclidean": "invariant"}

    def forward(self, graph):
        pos = graph.nodes["pos"]
        return graph.replace(x=(pos * pos).sum(axis=1, keepdims=True) * 0.0)


def total(graph):
    return gk.tensor(graph.x).sum(axis=0)


def first(graph):
    return gk.tensor(graph.x)[:1].sum(axis=0)


def broken(graph):
    return 1 / 0


def narrow(graph):
    return gk.nn.Linear(7, 2)(graph.x)


def typo(graph):
    return gk.message.message_passing(graph, mesage=3)


def make(channels=2):
    return Mean(channels, 2)


def ready():
    return Mean(3, 1)


@gk.message_program
def largest(src):
    return gk.agg.max(src.x)


instance = Mean(4, 2)
constant = 3
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with own_layers.py; what was imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_layers.py").write_text(OWN)
    yield tmp_path
    for name in ("own_layers", "bad", "lost"):
        sys.modules.pop(name, None)


def gnnkit(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", *words, "--cases", "15"])


def rows(result: Result) -> dict[str, list[str]]:
    """The table that was printed, by group."""
    lines = [line.split() for line in result.stdout.splitlines()]
    return {words[0]: words[1:] for words in lines if len(words) == 6 and words[-1] in ("passed", "FAILED")}


def test_a_correct_layer_is_held_to_what_it_declares() -> None:
    result = gnnkit("own_layers.py:Mean", "--args", "in_channels=3, out_channels=4")
    assert result.exit_code == 0, result.output
    found = rows(result)
    assert list(found) == ["nodes", "edges", "union"] and all(row[-1] == "passed" for row in found.values())
    assert found["edges"][0] == "invariant" and float(found["nodes"][1]) < 1e-12 and found["nodes"][3] == "15"
    assert result.stderr == ""  # gradients were compared as well


def test_a_broken_layer_fails_with_a_counterexample_and_a_picture(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = gnnkit("own_layers:LastWins", "--draw", "found.png", "--cases", "40")
    assert result.exit_code == 1
    assert rows(result)["nodes"][-1] == "FAILED"
    assert "smallest counterexample found:\n  3 nodes, 2 edges" in result.stdout
    assert "Picture   found.png" in result.stdout
    assert (folder / "found.png").read_bytes().startswith(b"\x89PNG")
    assert "Gradients were not compared: nodes x came back as a plain array" in result.stderr


def test_groups_and_expectations_of_functions() -> None:
    invariant = ("--expect", "invariant", "--output", "globals", "--group", "nodes")
    assert gnnkit("own_layers:total", *invariant).exit_code == 0
    failed = gnnkit("own_layers:first", *invariant)
    assert failed.exit_code == 1 and "first is not invariant under 'nodes'" in failed.stdout
    program = gnnkit("own_layers:largest", "--group", "nodes,edges,reversal", "--channels", "1")
    assert program.exit_code == 1
    assert [row[-1] for row in rows(program).values()] == ["passed", "passed", "FAILED"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("instance", ()), ("ready", ()), ("make", ("--args", "channels=5")), ("make", ("--args", "5"))],
)
def test_instances_and_factories(name: str, arguments: tuple[str, ...]) -> None:
    result = gnnkit(f"own_layers:{name}", *arguments)
    assert result.exit_code == 0, result.output
    assert "Mean(" in result.stdout


def test_layers_of_gnnkit_on_images_and_data_sets() -> None:
    images = gnnkit("gnnkit.nn:Conv2d", "--args", "2, 3, 3, stride=2")
    assert images.exit_code == 0 and list(rows(images)) == ["union", "torus", "translation"]
    fixed = gnnkit("gnnkit.nn:LocallyConnected2d", "--args", "2, 1, 3, size=(4, 5)", "--size", "4x5")
    assert fixed.exit_code == 0 and list(rows(fixed)) == ["union"]
    molecules = gnnkit(
        "gnnkit.nn:GCNConv", "--args", "7, 2", "--data", "mutag", "--without", "e", "--group", "nodes,union"
    )
    assert molecules.exit_code == 0 and "on the data set mutag" in molecules.stdout
    step = gnnkit("gnnkit.nn:MaxPool", "--group", "torus", "--step", "4")
    assert step.exit_code == 0


def test_batch_statistics_are_found_while_training_and_not_after() -> None:
    training, after = gnnkit("own_layers:Shared"), gnnkit("own_layers:Shared", "--eval")
    assert (training.exit_code, after.exit_code) == (1, 0), training.output + after.output


def test_what_no_graph_can_show_is_said_and_not_passed_over() -> None:
    result = gnnkit("gnnkit.nn:GCNConv", "--args", "7, 2", "--data", "mutag", "--without", "e")
    assert result.exit_code == 0 and "not checked" in result.stdout
    assert "euclidean was not checked: The group 'euclidean' needs a node field 'pos'" in result.stderr
    none = gnnkit("gnnkit.nn:GCNConv", "--args", "7, 2", "--data", "mutag", "--without", "e", "--group", "torus")
    assert none.exit_code == 2 and "None of the groups could" in none.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["own_layers"], "is named module:Name. Got 'own_layers'"),
        (["nowhere:Mean"], "There is no 'nowhere'"),
        (["nowhere.py:Mean"], "There is no 'nowhere.py'"),
        (["own_layers:Men"], "Did you mean 'Mean'?"),
        (["own_layers:Mean"], "Give what it needs with --args; it is Mean(in_channels, out_channels"),
        (["own_layers:Mean", "--args", "3, open('x')"], "Arguments are plain values"),
        (["own_layers:Mean", "--args", "3, **{}"], "Arguments are plain values"),
        (["own_layers:instance", "--args", "3"], "which is ready made"),
        (["own_layers:constant"], "own_layers:constant is 'int', which cannot be called. Name a layer"),
        (["own_layers:Silent"], "declares no symmetry, and there is no --group. Add --group nodes"),
        (["own_layers:total"], "declares no symmetry"),
        (["own_layers:total", "--group", "nodes"], "must say what their rows are"),
        (
            ["own_layers:broken", "--group", "nodes"],
            "in broken, own_layers.py line 72: division by zero. Mend",
        ),
        (["own_layers:narrow", "--group", "nodes"], "narrow raised ShapeError in narrow, own_layers.py line 76: "),
        (["own_layers:narrow", "--group", "nodes"], "give others: --channels (columns of x), --edge-channels (of e)"),
        (["own_layers:typo", "--group", "nodes"], "in typo, own_layers.py line 80: "),
        (["own_layers:typo", "--group", "nodes"], ". Mend that line."),
        (["gnnkit.nn:GCNCnv"], "Error: Did you mean 'GCNConv'"),
        (["own_layers:Xyzzy"], "own_layers has no class or function 'Xyzzy'. There are: Child, Distances, LastWins"),
        (["gnnkit.nn:GINConv"], "it is GINConv(mlp, *, eps=0.0"),
        (["gnnkit.nn:GINConv"], "gin = gk.nn.GINConv(gk.nn.MLP([3, 4])) in layers.py is checked as layers.py:gin."),
        (["gnnkit.nn:GINConv", "--args", "MLP([3, 4])"], "Got --args 'MLP([3, 4])'. Write for instance"),
        (["own_layers:instance", "--group", "nods"], "Did you mean 'nodes'"),
        (["own_layers:instance", "--expect", "equal"], "--expect is equivariant or invariant"),
        (["own_layers:instance", "--size", "8 by 8"], "written like 28x28"),
        (["own_layers:instance", "--dtype", "int"], "float32 or float64"),
        (["own_layers:instance", "--draw", "found.txt"], "drawn as one of: .png"),
        (["own_layers:instance", "--draw", "nowhere/found.png"], "which does not exist"),
        (["own_layers:total", "--eval", "--group", "nodes"], "Only a module has an evaluation mode"),
    ],
)
def test_what_is_typed_wrongly_is_said_in_one_message(words: list[str], text: str) -> None:
    result = gnnkit(*words)
    assert result.exit_code == 2, result.output
    assert text in " ".join(result.stderr.split()), result.stderr
    assert "Traceback" not in result.stderr


def test_groups_may_be_repeated_or_separated_by_commas() -> None:
    result = gnnkit("own_layers:largest", "--group", "reversal,edges", "--group", "nodes", "--channels", "1")
    assert result.exit_code == 1 and list(rows(result)) == ["reversal", "edges", "nodes"]


def test_channels_come_from_what_was_typed_and_positions_from_the_groups() -> None:
    for typed in ("5", "in_channels=5"):
        assert gnnkit("own_layers:Child", "--args", typed).exit_code == 0
    result = gnnkit("own_layers:Distances")
    assert list(rows(result)) == ["nodes", "euclidean"], result.output


def test_the_seed_draws_the_parameters_of_a_class() -> None:
    one, two, other = (
        next(load_target("own_layers:Child", "3", seed=seed)[0].parameters()).numpy() for seed in (4, 4, 5)
    )
    assert (one == two).all() and (one != other).any()


def test_the_help_lists_every_group_and_fits_80_columns() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["check", "--help"]).stdout
    assert [name for name in GROUPS if name not in shown] == []
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith("gnnkit check")]
    assert len(examples) == 5 and examples[2].endswith("--output globals") and examples[1].endswith("found.png")


def test_a_declaration_that_is_wrong_is_found_where_it_stands(folder: Path) -> None:
    (folder / "bad.py").write_text("import gnnkit as gk\n\nsymmetry = gk.nn.Symmetry({'nods': 'equivariant'})\n")
    result = gnnkit("bad.py:Mean")
    assert result.exit_code == 2 and "UnknownNameError in bad.py line 3: " in result.stderr
    (folder / "bad.py").write_text("import gnnkit as gk\nx = = 1\n")
    assert "raised SyntaxError in bad.py line 2: invalid syntax. Mend it" in gnnkit("bad.py:Mean").stderr


def test_a_file_that_does_not_import_is_named(folder: Path) -> None:
    (folder / "bad.py").write_text("import gnnkit\n1 / 0\n")
    result = gnnkit("bad.py:Mean")
    assert result.exit_code == 2 and "Importing 'bad.py' raised ZeroDivisionError" in result.stderr
    (folder / "lost.py").write_text("import no_such_package\n")
    result = gnnkit("lost:Mean")
    assert result.exit_code == 2 and "No module named 'no_such_package'" in result.stderr


def test_arguments_are_values_and_never_run() -> None:
    assert read_arguments("3, reducer='max', size=(4, 5)") == ([3], {"reducer": "max", "size": (4, 5)})
    assert read_arguments(None) == ([], {})
    for text in ("x=__import__('os')", "a b", "1) + f(2"):
        with pytest.raises(InvalidArgumentError, match=r"plain values separated by commas\. Got --args"):
            read_arguments(text)
    assert load_target("gnnkit.nn:models.build", "'gcn', 3, 2")[0].num_parameters
