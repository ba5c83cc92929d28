"""The table of hyper-parameters: every row builds its model, says only what differs, and an example prints all."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import UnknownNameError
from gnnkit.learn.presets import DEFAULT, PRESETS, preset, set_decay
from gnnkit.learn.protocol import classifier_from_preset
from gnnkit.nn import models

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "citation_table.py"
DATASETS = ("cora", "citeseer", "pubmed")
ESTIMATOR = set(gk.NodeClassifier().get_params())


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("citation_table", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dataset", [None, *DATASETS])
@pytest.mark.parametrize("model", sorted(PRESETS))
def test_every_key_belongs_to_the_estimator_or_to_the_model(model: str, dataset: str | None) -> None:
    own = {key for key in preset(model, dataset) if key not in ESTIMATOR}
    assert own <= set(models.hyperparameters(model))


def test_every_named_model_has_a_row_and_a_source() -> None:
    import gnnkit.learn.presets as module

    assert set(PRESETS) == set(models.names())
    assert all(name in (module.__doc__ or "") for name in PRESETS)


def test_a_row_of_a_data_set_lists_only_what_differs() -> None:
    for model, rows in PRESETS.items():
        for dataset, row in rows.items():
            general = {**DEFAULT, **rows["*"]} if dataset != "*" else DEFAULT
            same = {key for key, value in row.items() if key in general and general[key] == value}
            assert not same, f"{model} {dataset} repeats {sorted(same)}"


def test_later_rows_win_and_changes_win_over_all() -> None:
    row = preset("gat", "pubmed")
    assert (row["heads"], row["out_heads"], row["weight_decay"], row["optimizer"]) == (8, 8, 1e-3, "adam")
    assert preset("gat", "pubmed", weight_decay=0.0, patience=None)["weight_decay"] == 0.0
    assert preset("gat", "a graph of mine") == preset("gat")
    row["heads"] = 99  # a copy: the table stays as it is
    assert preset("gat", "pubmed")["heads"] == 8
    with pytest.raises(UnknownNameError, match="gat"):
        preset("gatt")


def test_values_of_the_papers_that_must_not_drift() -> None:
    gcn, gat, appnp = preset("gcn", "cora"), preset("gat"), preset("appnp")
    assert [gcn[k] for k in ("hidden", "dropout", "lr", "weight_decay", "epochs")] == [16, 0.5, 0.01, 5e-4, 200]
    assert [gat[k] for k in ("hidden", "heads", "out_heads", "dropout", "attention_dropout")] == [8, 8, 1, 0.6, 0.6]
    assert [gat[k] for k in ("lr", "weight_decay", "patience")] == [0.005, 5e-4, 100]
    assert [appnp[k] for k in ("hidden", "dropout", "K", "alpha", "weight_decay")] == [64, 0.5, 10, 0.1, 5e-3]


def _decays(model: str, **changes: Any) -> dict[str, float]:
    g = gk.path(4).replace(x=np.eye(4, dtype="float32"))
    estimator = classifier_from_preset(g, model, preset(model, **changes, epochs=1, monitor=None, patience=None))
    estimator.fit(np.arange(4), [0, 1, 0, 1])
    return {name: parameter.decay for name, parameter in estimator.model_.named_parameters()}


@pytest.mark.parametrize("model", ["gcn", "appnp", "cheb", "mlp"])
def test_decay_acts_on_the_first_layer_where_the_paper_says_so(model: str) -> None:
    decays = _decays(model)
    weights = [value for name, value in decays.items() if "bias" not in name]
    assert weights[0] == 1.0 and not any(weights[1:]) and len(weights) == 2


@pytest.mark.parametrize("model", ["gat", "sage"])
def test_decay_acts_on_all_weights_elsewhere_and_never_on_biases(model: str) -> None:
    assert all(value == ("bias" not in name) for name, value in _decays(model).items())


def test_decay_can_be_chosen() -> None:
    model = models.build("gcn", 3, 2, hidden=4, rng=0)
    set_decay(model, "all")
    assert {name: p.decay for name, p in model.named_parameters() if p.ndim == 2} == {"1.weight": 1.0, "4.weight": 1.0}
    set_decay(model, "first")
    assert {name: p.decay for name, p in model.named_parameters() if p.ndim == 2} == {"1.weight": 1.0, "4.weight": 0.0}
    with pytest.raises(UnknownNameError, match="decay_on"):
        set_decay(model, "firts")


def test_the_example_prints_its_table(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.json"
    settings = ["--models", "sgc", "--datasets", "cora", "--seeds", "1", "--epochs", "3", "--json", str(file)]
    reports = example.main(settings)
    printed = capsys.readouterr()
    report = reports["sgc", "cora"]
    accuracy = 100 * report["test_accuracy_mean"]
    assert report["epochs"] == [3] and 30 < accuracy < 100
    assert f"| sgc | cora | {accuracy:.2f} +- 0.00 | 1 | 80.8" in printed.out
    assert "public split (140 training, 500 validation, 1000 test nodes)" in printed.out
    assert "sgc cora seed 0" in printed.err and "[1/1" in printed.err
    written = json.loads(file.read_text())
    assert written["cells"] == [report] and written["gnnkit"] == gk.__version__
    assert example.main(settings) == reports and "seed 0" not in capsys.readouterr().err  # kept, not trained again
    assert example.main([*settings[:-3], "2", *settings[-2:]])["sgc", "cora"]["epochs"] == [2]


def test_the_example_knows_every_model_and_refuses_senseless_numbers(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(example.REFERENCES) <= set(PRESETS)
    for wrong in (["--seeds", "0"], ["--models", "gnc"], ["--datasets", "core"]):
        with pytest.raises(SystemExit):
            example.main(wrong)
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "least"), [("gcn", 0.78), ("sgc", 0.78)])
def test_one_seed_of_cora_comes_near_the_paper(model: str, least: float) -> None:
    report = gk.learn.run_seeds(gk.datasets.load("cora"), model, dataset="cora", seeds=1, progress=False)
    assert report.mean > least
