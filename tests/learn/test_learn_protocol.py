"""Presets and the protocol of papers: rows that build, reports that hold what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import FileMissingError, InvalidArgumentError, TrainingError, UnknownFieldError, UnknownNameError
from gnnkit.learn import PRESETS, load_estimator, preset, run_seeds


def small(n: int = 12) -> gk.Graph:
    mask = lambda *ids: np.isin(np.arange(n), ids)  # noqa: E731
    return gk.cycle(n).replace(
        x=np.eye(n, dtype="float32"),
        nodes={
            "y": (np.arange(n) >= n // 2).astype(int),
            "train_mask": mask(1, 2, 7, 8),
            "val_mask": mask(3, 4, 9, 10),
            "test_mask": mask(0, 5, 6, 11),
        },
    )


def test_rows_replace_only_what_differs():
    assert preset("gcn")["lr"] == 0.01 and preset("gcn", "cora") == preset("gcn")
    assert preset("gat", "pubmed")["out_heads"] == 8 and preset("gat", "cora")["out_heads"] == 1
    assert preset("gcn", hidden=3, patience=None)["hidden"] == 3
    with pytest.raises(UnknownNameError, match="Did you mean 'appnp'"):
        preset("apnp")


@pytest.mark.parametrize("dataset", ["", "cora", "citeseer", "pubmed"])
@pytest.mark.parametrize("model", sorted(PRESETS))
def test_every_row_trains(model, dataset):
    report = run_seeds(small(), model, dataset=dataset, seeds=1, epochs=2)
    assert 0 <= report.mean <= 1 and report.best.predict([0]).shape == (1,)


def test_every_named_model_has_a_row():
    assert sorted(PRESETS) == gk.nn.models.names()


def test_report_says_what_was_done(tmp_path):
    seen = []
    report = run_seeds(
        small(), "gcn", dataset="ring", seeds=3, epochs=5, hidden=4, split="a split of mine",
        on_seed=lambda seed, accuracy: seen.append(seed),
    )  # fmt: skip
    assert seen == [0, 1, 2] and len(report.accuracies) == len(report.histories) == 3
    data = json.loads(report.to_json(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == data
    assert data["dataset"] == "ring" and data["model"] == "gcn" and data["hyper_parameters"]["hidden"] == 4
    assert data["test_accuracy_mean"] == pytest.approx(np.mean(report.accuracies))
    assert data["test_accuracy_std"] == pytest.approx(np.std(report.accuracies))
    assert "a split of mine (4 training, 4 validation, 4 test nodes)" in data["protocol"]
    assert "gcn on ring: test accuracy" in str(report) and data["seconds"] > 0
    best = max(range(3), key=lambda i: (report.val_accuracies[i], -report.histories[i].best["val_loss"]))
    assert report.best.random_state == best


def test_accuracy_is_that_of_the_restored_weights():
    g = small()
    report = run_seeds(g, "gcn", seeds=1, epochs=30)
    ids = np.flatnonzero(g.nodes["test_mask"])
    assert report.best.score(ids, np.asarray(g.nodes["y"])[ids]) == pytest.approx(report.accuracies[0])


def test_seeds_are_reproducible_one_by_one():
    both = run_seeds(small(), "gcn", seeds=[4, 5], epochs=5)
    one = run_seeds(small(), "gcn", seeds=[5], epochs=5)
    assert one.histories[0]["train_loss"] == both.histories[1]["train_loss"]


def test_resume_of_a_run_over_seeds(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = run_seeds(small(), "gcn", seeds=2, epochs=8)
    run_seeds(small(), "gcn", seeds=2, epochs=3, checkpoint=path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-seed0.safetensors", "run-seed1.safetensors"]
    again = run_seeds(small(), "gcn", seeds=2, epochs=8, checkpoint=path, resume=True)
    assert [h["train_loss"] for h in again.histories] == [h["train_loss"] for h in whole.histories]
    with pytest.raises(FileMissingError, match="checkpoint must exist"):
        run_seeds(small(), "gcn", seeds=2, epochs=8, checkpoint=tmp_path / "other.safetensors", resume=True)


def test_interrupted_runs_keep_what_was_done():
    import os
    import signal

    calls = []

    def press(epoch, row):
        calls.append(epoch)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    report = run_seeds(small(), "gcn", seeds=4, epochs=5, callback=press)
    assert report.interrupted and len(report.accuracies) == 1 and report.to_dict()["seeds"] == [0]


def test_bad_input(tmp_path):
    g = small()
    with pytest.raises(UnknownFieldError, match="has no 'val_mask'"):
        run_seeds(g.without("val_mask"), "gcn", seeds=1)
    with pytest.raises(InvalidArgumentError, match="train_mask is boolean"):
        run_seeds(g.replace(nodes={"train_mask": np.zeros(12, bool)}), "gcn", seeds=1)
    with pytest.raises(InvalidArgumentError, match="at least one seed"):
        run_seeds(g, "gcn", seeds=0)
    with pytest.raises(UnknownNameError, match="Did you mean 'gcn'"):
        run_seeds(g, "gcnn", seeds=1)
    with pytest.raises(TrainingError, match="Seed 0 has none in 0 epochs"):
        run_seeds(g, "gcn", seeds=np.int64(1), epochs=0)
    blind = g.replace(nodes={"val_mask": np.zeros(12, bool)})
    with pytest.raises(InvalidArgumentError, match="Got patience=5 and no validation nodes"):
        run_seeds(blind, "gcn", seeds=1, patience=5)
    with pytest.raises(InvalidArgumentError, match="disagrees about: random_state, training data"):
        run_seeds(g, "gcn", seeds=[0], epochs=2, checkpoint=tmp_path / "c")
        other = g.replace(nodes={"train_mask": np.roll(g.nodes["train_mask"], 1)})
        run_seeds(other, "gcn", seeds=[1], epochs=2, checkpoint=tmp_path / "c", resume=True)


def test_the_best_model_saves_and_predicts(tmp_path):
    report = run_seeds(small(), "appnp", seeds=1, epochs=5)
    read = load_estimator(report.best.save(tmp_path / "m.safetensors"), graph=small())
    assert np.array_equal(read.predict(), report.best.predict())
