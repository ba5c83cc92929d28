"""Checkpoints: exact resume, whole files, clear errors."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import FileFormatError, FileMissingError, InvalidArgumentError, SaveError, ShapeError
from gnnkit.learn import Checkpoint, GraphBatches, Task, fit
from gnnkit.learn.checkpoint import load_tree, save_tree


def network(width: int = 8) -> gk.nn.Module:
    return gk.nn.Sequential(
        gk.nn.Linear(6, width), gk.nn.BatchNorm(width), gk.nn.ReLU(), gk.nn.Dropout(0.5), gk.nn.Linear(width, 2)
    )


def tasks() -> tuple[Task, Task]:
    rng = np.random.default_rng(0)
    g = gk.cycle(20).replace(x=rng.normal(size=(20, 6)).astype("float32"))
    y = rng.integers(0, 2, 20)
    return Task(g, y, mask=np.arange(12)), Task(g, y, mask=np.arange(12, 20))


def run(epochs: int, **options):
    model = network()
    train, validation = tasks()
    history = fit(model, train, validation=validation, epochs=epochs, random_state=7, weight_decay=1e-3, **options)
    return model, history


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def without_time(history):
    return {k: history[k] for k in history if k != "seconds"}


SCHEDULES = {
    "no schedule": None,
    "cosine": lambda opt: gk.nn.CosineLR(opt, epochs=20),
    "plateau": lambda opt: gk.nn.ReduceOnPlateau(opt, patience=1),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_ten_and_ten_epochs_are_twenty(tmp_path, schedule, optimizer):
    whole, whole_history = run(20, schedule=schedule, optimizer=optimizer)
    checkpoint = Checkpoint(tmp_path / "run.safetensors", every=4)
    run(10, schedule=schedule, optimizer=optimizer, checkpoint=checkpoint)
    parts, parts_history = run(20, schedule=schedule, optimizer=optimizer, checkpoint=checkpoint, resume=True)
    assert same(whole.state_dict(), parts.state_dict())
    assert without_time(whole_history) == without_time(parts_history)
    assert whole_history.best_epoch == parts_history.best_epoch


def test_resume_after_a_crash_between_two_savings(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.safetensors", every=3)

    def crash(epoch, row):
        if epoch == 7:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(20, checkpoint=checkpoint, callback=crash)
    assert len(checkpoint.load()["history"]) > 0
    parts, history = run(20, checkpoint=checkpoint, resume=True)
    whole, whole_history = run(20)
    assert same(whole.state_dict(), parts.state_dict())
    assert without_time(history) == without_time(whole_history)


def test_resume_of_shuffled_batches(tmp_path):
    graphs = [gk.cycle(n).replace(x=np.full((n, 1), n, "float32")) for n in range(3, 13)]
    data = GraphBatches(graphs, np.arange(10) % 2, batch_size=3)

    def train(epochs, **options):
        model = gk.nn.Sequential(gk.nn.Dropout(0.3), gk.nn.GlobalPool("mean", head=gk.nn.Linear(1, 2)))
        fit(model, data, epochs=epochs, random_state=1, **options)
        return model.state_dict()

    path = tmp_path / "run.safetensors"
    train(3, checkpoint=path)
    assert same(train(8, checkpoint=path, resume=True), train(8))


def test_a_finished_run_is_not_trained_again(tmp_path):
    path = tmp_path / "run.safetensors"
    model, history = run(6, checkpoint=path, patience=2)
    calls = []
    again, read = run(6, checkpoint=path, patience=2, resume=True, callback=lambda epoch, row: calls.append(epoch))
    assert not calls and len(read) == len(history) and same(model.state_dict(), again.state_dict())


def test_resume_of_another_schedule_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    run(2, checkpoint=path, schedule=SCHEDULES["cosine"])
    with pytest.raises(InvalidArgumentError, match="disagrees about: schedule"):
        run(5, checkpoint=path, resume=True, schedule=lambda opt: gk.nn.CosineLR(opt, epochs=50))


def test_ctrl_c_in_the_last_epoch_leaves_nothing_to_resume(tmp_path):
    whole, whole_history = run(60, patience=3, lr=0.1)
    assert whole_history.stopped == "patience"
    last = len(whole_history) - 1
    path = tmp_path / "run.safetensors"

    # As the file is after Ctrl-C in the very epoch in which patience ran out.
    run(last + 1, patience=3, lr=0.1, checkpoint=path)
    state = load_tree(path)
    state["history"] = state["history"].replace('"stopped": "patience"', '"stopped": "interrupted"')
    save_tree(path, state)
    again, history = run(60, patience=3, lr=0.1, checkpoint=path, resume=True)
    assert history.stopped == "patience" and len(history) == len(whole_history)
    assert same(again.state_dict(), whole.state_dict())
    _, history = run(60, patience=20, lr=0.1, checkpoint=path, resume=True)
    assert len(history) > len(whole_history)


def test_missing_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(FileMissingError, match="checkpoint must exist"):
        run(5, checkpoint=path, resume=True)
    run(2, checkpoint=path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match=r"whole safetensors file written by gk.learn.Checkpoint"):
        run(5, checkpoint=path, resume=True)
    for place in (len(data) - 5, data.index(b"history") + 40):  # a weight, a number of the history
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(FileFormatError, match="whole safetensors file"):
            run(5, checkpoint=path, resume=True)
    gk.nn.save_model(network(), path)
    with pytest.raises(FileFormatError, match="is not"):
        run(5, checkpoint=path, resume=True)


def test_resume_refuses_another_model_or_other_settings(tmp_path):
    path = tmp_path / "run.safetensors"
    run(2, checkpoint=path)
    train, validation = tasks()
    with pytest.raises(ShapeError, match="Build the model with the arguments"):
        fit(network(9), train, validation=validation, checkpoint=path, resume=True, random_state=7)
    with pytest.raises(InvalidArgumentError, match="disagrees about: schedule"):
        run(5, checkpoint=path, resume=True, schedule=SCHEDULES["cosine"])
    for other, value in (("lr", 0.5), ("clip_norm", 1.0), ("eval_every", 2), ("monitor", "train_loss")):
        with pytest.raises(InvalidArgumentError, match=rf"disagrees about: {other}; it has {other} .*, and this run"):
            run(5, checkpoint=path, resume=True, **{other: value})
    with pytest.raises(InvalidArgumentError, match="disagrees about: random_state"):
        fit(network(), train, validation=validation, weight_decay=1e-3, checkpoint=path, resume=True, random_state=8)
    swapped = {"weight_decay": 1e-3, "checkpoint": path, "resume": True, "random_state": 7}
    with pytest.raises(InvalidArgumentError, match="disagrees about: training data, validation data"):
        fit(network(), validation, validation=train, **swapped)
    warm = Task(train.graph.replace(x=train.graph.x + 1), train.target, mask=train.rows)
    with pytest.raises(InvalidArgumentError, match="disagrees about: training data"):
        fit(network(), warm, validation=validation, **swapped)
    with pytest.raises(InvalidArgumentError, match="every is a number of epochs"):
        Checkpoint(path, every=0)


def test_nothing_is_left_behind_where_nothing_can_be_written(tmp_path):
    with pytest.raises(SaveError, match="nothing was left behind"):
        run(2, checkpoint=tmp_path / "no such folder" / "run.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_trees_survive_exactly(tmp_path):
    tree = {
        "a": [1, 2.5, None, True, "text", float("inf")],
        "big": 2**127 + 1,
        "arrays": {"x/y": np.arange(6, dtype="float32").reshape(2, 3), 3: np.zeros((0, 2)), "scalar": np.array(4.0)},
        "empty": {},
    }
    read = load_tree(save_tree(tmp_path / "tree.safetensors", tree))
    assert read["a"] == tree["a"] and read["big"] == tree["big"] and read["empty"] == {}
    for key, array in tree["arrays"].items():
        assert read["arrays"][key].dtype == array.dtype and np.array_equal(read["arrays"][key], array)
        assert read["arrays"][key].shape == array.shape
    with pytest.raises(InvalidArgumentError, match="Got set at '/a'"):
        save_tree(tmp_path / "tree.safetensors", {"a": {1}})
