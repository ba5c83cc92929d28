"""The command line on small real graphs: what works end to end, what it prints, what it refuses without writing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import gnnkit as gk
from gnnkit import nn
from gnnkit.cli import app
from gnnkit.cli.train import MODELS
from gnnkit.errors import InvalidFeatureError

CLUB = "--label club --features age,@degree --epochs 40"
LISTS = (
    "--edges edges.csv --source u --target v --nodes nodes.csv --id name --label club --features age,f_* --epochs 40"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the karate club as club.graphml and as edges.csv + nodes.csv."""
    monkeypatch.chdir(tmp_path)
    G = nx.karate_club_graph()
    rng = np.random.default_rng(0)
    for node, data in G.nodes(data=True):
        data["age"] = float(20 + rng.integers(40))
        data["job"] = ["teacher", "student"][node % 2]
        data["f_one"], data["f_two"] = int(data["club"] == "Mr. Hi"), node % 3
    nx.write_graphml(G, tmp_path / "club.graphml")
    edges = [f"p{u},p{v},{d['weight']}" for u, v, d in G.edges(data=True)]
    columns = ("club", "age", "job", "f_one", "f_two")
    nodes = [",".join([f"p{n}", *(str(d[c]) for c in columns)]) for n, d in G.nodes(data=True)]
    (tmp_path / "edges.csv").write_text("\n".join(["u,v,w", *edges]) + "\n")
    (tmp_path / "nodes.csv").write_text("\n".join(["name," + ",".join(columns), *nodes]) + "\n")
    return tmp_path


def gnnkit(line: str, columns: int = 200) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, line.split())


def works(line: str, columns: int = 200) -> str:
    result = gnnkit(line, columns)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def new_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"club.graphml", "edges.csv", "nodes.csv"}


@pytest.mark.parametrize("command", ["", "train", "predict", "info", "check", "data", "data list", "data show"])
def test_help_teaches(command: str) -> None:
    text = works(f"{command} --help")
    assert "gnnkit" in text
    if command and command != "data":
        assert "Examples" in text


def test_the_models_in_the_help_are_all_there_are() -> None:
    assert sorted(MODELS) == nn.models.names()


def test_data_list_and_show() -> None:
    listed = works("data list")
    assert "cora" in listed and "node classification" in listed and "Apache-2.0" in listed
    narrow = works("data list", 80).splitlines()
    assert max(map(len, narrow)) <= 80 and any(
        line.split() == ["pubmed", "19,717", "88,648", "node", "classification", "bundled"] for line in narrow
    )
    assert works("data show karate").startswith("# Zachary's karate club")


def test_train_on_a_data_set_says_accuracy_and_what_next(folder: Path) -> None:
    text = works("train karate --epochs 30")
    assert "34 nodes, 156 directed edges" in text
    assert "public split: 2 train, 0 val, 32 test" in text and "monitor" not in text
    assert "Accuracy  test" in text
    assert "gnnkit train karate --model gat" in text
    assert new_files(folder) == set()


def test_train_writes_model_picture_and_numbers(folder: Path) -> None:
    text = works("train karate --epochs 30 --seeds 3 --save m.safetensors --plot curve.png --json out.json")
    assert new_files(folder) == {"m.safetensors", "curve.png", "out.json"}
    assert "Saved     m.safetensors" in text and "Picture   curve.png" in text and "of 3 seeds" in text
    assert "gnnkit predict m.safetensors karate" in text
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((folder / "out.json").read_text())
    assert (found["dataset"], found["model"], found["seeds"]) == ("karate", "gcn", [0, 1, 2])
    assert found["hyper_parameters"]["hidden"] == 16 and found["hyper_parameters"]["epochs"] == 30
    assert found["test_accuracy_mean"] == pytest.approx(np.mean(found["test_accuracy"]))
    assert found["test_accuracy_std"] == pytest.approx(np.std(found["test_accuracy"]))
    assert len(found["test_accuracy"]) == 3 and found["seconds"] > 0 and "public split" in found["protocol"]


def test_json_on_stdout_is_only_json() -> None:
    result = gnnkit("train karate --epochs 5 --json -")
    assert json.loads(result.stdout)["dataset"] == "karate"
    assert "Accuracy" in result.stderr


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains(model: str) -> None:
    assert "Accuracy" in works(f"train karate --model {model} --epochs 3")


@pytest.mark.parametrize("line", [f"club.graphml {CLUB}", LISTS])
def test_own_graph_from_training_to_predictions(folder: Path, line: str) -> None:
    text = works(f"train {line} --save m.safetensors --seed 3")
    assert "random split by class, 60% / 20% / 20%, split seed 0" in text
    where = "club.graphml" if "graphml" in line else "--edges edges.csv --nodes nodes.csv"
    # Column names, scaling and classes come from the model file: none is typed again.
    shown = works(f"predict m.safetensors {where} --out p.csv --json p.json")
    assert "on all labelled nodes" in shown
    rows = (folder / "p.csv").read_text().splitlines()
    assert rows[0] == "node,predicted,probability,label" and len(rows) == 35
    assert {row.split(",")[1] for row in rows[1:]} <= {"Mr. Hi", "Officer"}
    found = json.loads((folder / "p.json").read_text())
    assert found["classes"] == ["Mr. Hi", "Officer"] and len(found["predictions"]) == 34
    assert found["predictions"][0]["node"] in ("0", "p0")
    described = works("info m.safetensors")
    assert "GCNConv" in described and "Mr. Hi, Officer" in described and "age" in described


def test_a_pattern_never_reaches_the_label(folder: Path) -> None:
    works("train club.graphml --label f_one --features f_* --one-hot job --epochs 5 --save m.safetensors")
    recipe = nn.read_model_file("m.safetensors").metadata["gnnkit.cli"]["graph"]["recipe"]
    assert recipe["columns"] == ["f_two"] and recipe["one_hot"] == {"job": ["student", "teacher"]}
    result = gnnkit("train club.graphml --label f_one --features f_one,age")
    assert result.exit_code == 2 and "What is to be predicted cannot be a feature" in result.stderr


def test_nodes_without_a_label_are_predicted_not_learnt_from(folder: Path) -> None:
    lines = (folder / "nodes.csv").read_text().splitlines()
    lines[1] = lines[1].replace("Mr. Hi", "")
    (folder / "nodes.csv").write_text("\n".join(lines))
    assert "1 nodes without a label" in works(f"train {LISTS} --save m.safetensors")
    works("predict m.safetensors --edges edges.csv --nodes nodes.csv --out p.csv")
    first = (folder / "p.csv").read_text().splitlines()[1].split(",")
    assert first[0] == "p0" and first[1] in ("Mr. Hi", "Officer") and first[3] == ""


def test_split_by_a_column_and_edge_weights(folder: Path) -> None:
    lines = (folder / "nodes.csv").read_text().splitlines()
    parts = ["train", "val", "test", ""]
    lines = [lines[0] + ",part", *(f"{line},{parts[k % 4]}" for k, line in enumerate(lines[1:]))]
    (folder / "nodes.csv").write_text("\n".join(lines))
    text = works(f"train {LISTS} --split part --weight w --save m.safetensors")
    assert "split by column 'part': 9 train, 9 val, 8 test" in text and "edge_weight weight" in text
    works("predict m.safetensors --edges edges.csv --nodes nodes.csv --out p.csv")


def test_resume_gives_the_bits_of_an_uninterrupted_run(folder: Path) -> None:
    works("train karate --epochs 40 --save whole.safetensors")
    works("train karate --epochs 20 --checkpoint run.safetensors")
    assert "a checkpoint of training" in works("info run.safetensors")
    works("train karate --epochs 40 --checkpoint run.safetensors --resume --save resumed.safetensors")
    whole, resumed = nn.read_model_file("whole.safetensors"), nn.read_model_file("resumed.safetensors")
    assert all((whole.tensors[name] == resumed.tensors[name]).all() for name in whole.tensors)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("train coar", "Did you mean 'cora'"),
        ("train karate --model gnc", "or 'gcn'?"),
        ("train", "Got neither a GRAPH nor --edges"),
        ("train missing.graphml --label y --features a", "'missing.graphml' does not exist"),
        ("train mutag", "is a set of 188 graphs"),
        ("train lesmis", "has no x and no y"),
        ("train karate --label club", "A data set has its own features"),
        ("train karate --resume", "Got no --checkpoint"),
        ("train karate --checkpoint none.safetensors --resume", "none.safetensors"),
        ("train club.graphml --features age", "Got no --label; club.graphml has the columns: club, age"),
        ("train club.graphml --label club", "A model learns from features"),
        ("train club.graphml --label clubs --features age", "one of: club, age, job, f_one, f_two. Got 'clubs'"),
        ("train club.graphml --label club --features agee", "Did you mean 'age'"),
        ("train club.graphml --label club --features job", "Node '0' has 'teacher' in the column 'job'"),
        ("train club.graphml --label club --features @nothing", "must be one of: @degree, @identity"),
        ("train club.graphml --label club --features age --weight w", "must be one of: weight. Got 'w'"),
        ("train club.graphml --label club --features age --nodes nodes.csv", "--nodes belongs to an edge list"),
        ("train club.graphml --label club --features age --test-share 1", "must leave something to train on"),
        ("train club.graphml --label age --features f_one --split job", "must be one of: train, val, test"),
        ("train --edges edges.csv --source u", "without --target. Add --target COLUMN; the file has: u, v, w"),
        ("train --edges edges.csv --source u --target v --label y", "must be in edges.csv (no --nodes)"),
        ("train --edges edges.csv --source u --target v --label y", "Add a table of nodes: --nodes FILE --id COLUMN"),
        ("train edges.csv --label club", "columns: u, v, w). Write: gnnkit train --edges edges.csv --source COLUMN"),
        ("train --edges edges.csv --source u --target v --nodes nodes.csv", "without --id"),
        ("train --edges edges.csv --source u --target v --nodes nodes.csv --id job", "as row 1 does"),
        ("train --edges edges.csv --source u --target v --id name --label y", "Got --id name without --nodes"),
        ("train club.graphml --label club --features age --directed", "Got --directed without --edges"),
        ("train karate --scale l1", "A data set has its own features"),
        ("train karate --split-seed 3", "has a published split. Got --val-share 0.2"),
        ("train club.graphml --label club --features age --val-share 0 --patience 3", "Got patience=3 and no valid"),
        ("train club.graphml --label club --features age --test-share 0.01", "Some nodes must be left for the test"),
        ("train karate --predictions -  --json -", "Stdout holds one result"),
        ("train karate --save model.pt", "written as .safetensors"),
        ("info missing.safetensors", "does not exist"),
        ("info club.png", "does not exist"),
        ("predict missing.safetensors karate", "does not exist"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_message_and_writes_nothing(folder: Path, line: str, text: str) -> None:
    if line.startswith("train"):
        line = line.replace("train", "train --save m.safetensors --json out.json --plot curve.png", 1)
    result = gnnkit(line)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ") and text in result.stderr
    assert "Traceback" not in result.output
    assert new_files(folder) == set()


def test_train_and_predict_write_the_same_predictions(folder: Path) -> None:
    for line in ("karate", f"club.graphml {CLUB}"):
        works(f"train {line} --epochs 20 --save m.safetensors --predictions trained.csv")
        works(f"predict m.safetensors {line.split()[0]} --out predicted.csv")
        assert (folder / "trained.csv").read_text() == (folder / "predicted.csv").read_text()
    result = gnnkit("train karate --epochs 5 --predictions -")
    assert result.stdout.startswith("node,predicted,probability,label\n") and "Accuracy" in result.stderr


@pytest.mark.parametrize("option", ["--save", "--json", "--plot", "--predictions", "--checkpoint"])
def test_an_output_that_cannot_be_written_is_refused_before_training(folder: Path, option: str) -> None:
    for place, text in (("nowhere/file.png", "does not exist"), (".", "is a folder")):
        result = gnnkit(f"train karate {option} {place}")
        assert result.exit_code == 2 and text in result.stderr
        assert "Accuracy" not in result.output
    picture = gnnkit("train karate --plot curve.txt --save m.safetensors")
    assert picture.exit_code == 2 and "one of: .png, .svg, .pdf" in picture.stderr and not new_files(folder)
    same = gnnkit("train karate --save a.x --json a.x")
    assert same.exit_code == 2 and "a file of its own" in same.stderr


def test_a_damaged_model_file_is_refused(folder: Path) -> None:
    works("train karate --epochs 3 --save m.safetensors")
    data = (folder / "m.safetensors").read_bytes()
    for damaged in (data[: len(data) // 2], data[:-1] + bytes([data[-1] ^ 1]), b"no model"):
        (folder / "broken.safetensors").write_bytes(damaged)
        for line in ("predict broken.safetensors karate --out p.csv", "info broken.safetensors"):
            result = gnnkit(line)
            assert result.exit_code == 2 and "A model file must be whole" in result.stderr
    nn.save_model(nn.Linear(2, 2), "foreign.safetensors")
    result = gnnkit("predict foreign.safetensors karate --out p.csv")
    assert result.exit_code == 2 and "was not written by gnnkit train" in result.stderr
    assert "Linear" in works("info foreign.safetensors")
    assert not (folder / "p.csv").exists()


def test_a_model_meets_only_a_graph_it_fits(folder: Path) -> None:
    works("train karate --epochs 3 --save known.safetensors")
    works(f"train club.graphml {CLUB} --save own.safetensors")
    for line, text in (
        ("predict known.safetensors club.graphml", "knows the features of the data set 'karate' only"),
        ("predict known.safetensors cora", "34"),
        ("predict own.safetensors karate", "makes its features from the columns of a file"),
        ("predict own.safetensors", "A graph to predict on must be named"),
        ("predict known.safetensors karate --nodes nodes.csv", "Drop them, or name a file"),
        ("predict known.safetensors karate --label club", "Drop them, or name a file"),
        ("predict own.safetensors club.graphml --weight weight", "This one did not, and got --weight weight"),
        ("predict own.safetensors club.graphml --directed", "Got --directed without --edges"),
    ):
        result = gnnkit(f"{line} --out p.csv")
        assert result.exit_code == 2 and text in result.stderr, result.output
    assert not (folder / "p.csv").exists()


def test_a_model_of_the_command_line_is_an_estimator_with_class_names(folder: Path) -> None:
    works("train karate --epochs 30 --save m.safetensors --predictions p.csv")
    classifier = gk.NodeClassifier.load("m.safetensors", graph=gk.datasets.load("karate"))
    assert classifier.classes_.tolist() == ["Mr. Hi", "Officer"]
    predicted = [row.split(",")[1] for row in (folder / "p.csv").read_text().splitlines()[1:]]
    assert classifier.predict().tolist() == predicted


def test_features_of_columns_are_not_taken_for_the_x_of_a_graph(folder: Path) -> None:
    works(f"train club.graphml {CLUB} --save m.safetensors")
    with pytest.raises(InvalidFeatureError, match=r"age, @degree \(scale: standard\).*gnnkit predict m.safetensors"):
        gk.NodeClassifier.load("m.safetensors", graph=gk.datasets.load("karate"))
    ready = gk.NodeClassifier.load("m.safetensors", features_ready=True)
    assert ready.classes_.tolist() == ["Mr. Hi", "Officer"]


def test_a_class_without_training_nodes_does_not_shift_the_names(folder: Path) -> None:
    rows = (folder / "nodes.csv").read_text().splitlines()
    parts = ["part", *(["train", "val", "test"][k % 3] for k in range(34))]
    lines = [f"{row},{part}" for row, part in zip(rows, parts)]
    cells = lines[1].split(",")
    lines[1] = ",".join([cells[0], "Absent", *cells[2:-1], ""])  # sorts before the others, and is in no part
    (folder / "nodes.csv").write_text("\n".join(lines) + "\n")
    works(f"train {LISTS} --split part --save m.safetensors --predictions p.csv")
    works("predict m.safetensors --edges edges.csv --nodes nodes.csv --out q.csv")
    found = [row.split(",") for row in (folder / "p.csv").read_text().splitlines()[1:]]
    assert {row[1] for row in found} == {"Mr. Hi", "Officer"} and found[0][3] == "Absent"
    assert (folder / "p.csv").read_text() == (folder / "q.csv").read_text()


def test_info_follows_the_layers_and_fits_the_screen(folder: Path) -> None:
    works("train karate --model gat --epochs 3 --save m.safetensors")
    lines = works("info m.safetensors", columns=70).splitlines()
    tensors = [line.split()[0] for line in lines if line.startswith(("1.", "4."))]
    assert tensors == list(nn.load_model("m.safetensors").state_dict()) and tensors[0][0] == "1"
    assert max(map(len, lines)) <= 70 and "attention_dropout" in "".join(lines)


def test_names_are_shown_as_they_are(folder: Path) -> None:
    (folder / "odd.csv").write_text("id,mood\na,:smile: [red]\n")
    assert ":smile: [red]" in works("info odd.csv")


def test_commands_to_try_next_can_be_pasted(folder: Path) -> None:
    (folder / "my club.graphml").write_bytes((folder / "club.graphml").read_bytes())
    line = ["train", "my club.graphml", *CLUB.split(), "--epochs", "3", "--save", "für mich.safetensors"]
    text = CliRunner().invoke(app, line).stdout
    assert "gnnkit predict 'für mich.safetensors' 'my club.graphml' --out" in text
    command = next(row for row in text.splitlines() if row.startswith("  gnnkit predict"))
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_another_rate_or_split_is_not_resumed(folder: Path) -> None:
    line = f"train club.graphml {CLUB} --epochs 5 --checkpoint run.safetensors"
    works(line)
    for other, text in (
        ("--lr 0.5", "disagrees about: lr; it has lr 0.01, and this run lr 0.5"),
        ("--split-seed 1", "disagrees about: training data"),
        ("--seed 1", "disagrees about: random_state"),
    ):
        result = gnnkit(f"{line} --resume {other} --json out.json")
        assert result.exit_code == 2 and text in result.stderr, result.output
    assert new_files(folder) == {"run.safetensors"}


def process(line: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gnnkit", *line.split()]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_end_to_end_in_processes_of_their_own(folder: Path) -> None:
    for line, text in (
        (f"train club.graphml {CLUB} --save m.safetensors --json out.json", "Accuracy"),
        ("predict m.safetensors club.graphml --out -", "node,predicted,probability,label"),
        ("info m.safetensors", "trained with gnnkit train"),
    ):
        out, err = process(line, folder).communicate(timeout=120)
        assert text in out, err
    out, err = process("train coar", folder).communicate(timeout=60)
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_keeps_the_best_weights(folder: Path) -> None:
    running = process("train karate --epochs 1000000 --checkpoint run.safetensors --save m.safetensors", folder)
    deadline = time.monotonic() + 120
    while not (folder / "run.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # the first checkpoint comes after ten epochs
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Accuracy" in out and "Stopped by Ctrl-C" in err and "--resume" in err and "Traceback" not in err
    assert "GCNConv" in works("info m.safetensors")


def test_ctrl_c_between_two_outputs_claims_nothing_that_is_not_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gnnkit.plot.training_curve", press)
    result = gnnkit("train karate --epochs 3 --save m.safetensors --plot curve.png")
    assert result.exit_code == 130 and "No file is half-written" in result.stderr
    assert "Nothing was written" not in result.stderr and new_files(folder) == {"m.safetensors"}
