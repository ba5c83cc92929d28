"""The training loop: stopping, best weights, interruption, seeds, batches of graphs, bad input."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    TrainingError,
    UnknownNameError,
)
from gnnkit.learn import EarlyStopping, GraphBatches, History, Task, evaluate, fit


def ring(n: int = 12) -> gk.Graph:
    return gk.cycle(n).replace(x=np.eye(n, dtype="float32"))


def half_and_half(n: int = 12) -> tuple[Task, Task]:
    """Class = which half of the ring; every third node is validation."""
    g, y = ring(n), (np.arange(n) >= n // 2).astype(int)
    held = np.arange(n) % 3 == 1
    return Task(g, y, mask=~held), Task(g, y, mask=held)


def network(dropout: float = 0.5) -> gk.nn.Module:
    return gk.nn.Sequential(gk.nn.Linear(12, 8), gk.nn.ReLU(), gk.nn.Dropout(dropout), gk.nn.Linear(8, 2))


class Scripted(gk.nn.Module):
    """One logit pair whose validation loss follows a script: the weight counts the steps of training."""

    def __init__(self, script: list[float]) -> None:
        self.script = script
        self.weight = gk.nn.Parameter(np.zeros(1))

    def forward(self, graph: gk.Graph) -> gk.Tensor:
        step = round(float(self.weight.data[0]))
        value = 0.0 if self.training else self.script[min(step, len(self.script)) - 1]
        return self.weight * np.zeros((graph.num_nodes, 1), "float32") + np.float32(value)


class CountingStep:
    """An optimiser that adds 1 to the weight, so that the weight tells from which epoch it is."""

    lr = 1.0

    def __init__(self, model: gk.nn.Module) -> None:
        self.model = model

    def zero_grad(self) -> None:
        self.model.zero_grad()

    def step(self) -> None:
        self.model.weight.data += 1


def scripted_fit(script: list[float], **options):
    model = Scripted(script)
    task = Task(gk.path(1), [0.0])
    history = fit(
        model,
        Task(gk.path(1), np.zeros((1, 1))),
        validation=Task(gk.path(1), np.zeros((1, 1))),
        loss=lambda out, target: np.mean(np.absolute(out - target)),
        optimizer=CountingStep,
        epochs=len(script),
        **options,
    )
    assert task.num_rows == 1
    return model, history


# -- stopping and best weights ----------------------------------------------------------------------------------------


def test_best_weights_are_restored():
    model, history = scripted_fit([5.0, 3.0, 4.0, 2.0, 6.0])
    assert history["val_loss"] == [5.0, 3.0, 4.0, 2.0, 6.0]
    assert history.best_epoch == 3 and history.stopped == "epochs" and not history.interrupted
    assert model.weight.data[0] == 4  # after the fourth step
    assert not model.training


def test_weights_of_the_end_on_request():
    model, history = scripted_fit([5.0, 3.0, 4.0], restore_best=False)
    assert model.weight.data[0] == 3 and history.best_epoch == 2


def test_patience_counts_evaluations_without_improvement():
    model, history = scripted_fit([5.0, 3.0, 4.0, 4.0, 1.0], patience=2)
    assert len(history) == 4 and history.stopped == "patience"
    assert model.weight.data[0] == 2


def test_eval_every_leaves_gaps_and_evaluates_the_last_epoch():
    _, history = scripted_fit([5.0, 4.0, 3.0, 2.0, 1.0], eval_every=2)
    assert [math.isnan(v) for v in history["val_loss"]] == [True, False, True, False, False]
    assert history.best_epoch == 4


def test_rule_of_the_gat_paper():
    rule = EarlyStopping("both", patience=2, metric="accuracy")
    rows = [(1.0, 0.5), (0.9, 0.4), (1.1, 0.6), (0.8, 0.6), (1.0, 0.5), (1.0, 0.5)]
    improved = [rule.update({"val_loss": loss, "val_accuracy": acc}) for loss, acc in rows]
    assert improved == [True, False, False, True, False, False]  # kept only when both reach their best
    assert rule.should_stop  # the last two reached neither


def test_ties_of_accuracy_are_broken_by_the_loss():
    rule = EarlyStopping("val_accuracy")
    rows = [(0.5, 0.9), (0.5, 0.8), (0.5, 0.85), (0.4, 0.1), (0.5, math.nan)]
    assert [rule.update({"val_accuracy": a, "val_loss": v}) for a, v in rows] == [True, True, False, False, False]


def test_lower_is_better_for_errors():
    rule = EarlyStopping("val_rmse")
    assert [rule.update({"val_rmse": v}) for v in (2.0, 1.0, 1.5)] == [True, True, False]


def test_callback_ends_training():
    _, history = scripted_fit([3.0, 2.0, 1.0], callback=lambda epoch, row: epoch == 1)
    assert len(history) == 2 and history.stopped == "callback"


def test_schedule_and_its_column():
    train, val = half_and_half()
    history = fit(
        network(), train, validation=val, epochs=4, lr=1.0, optimizer="sgd", random_state=0,
        schedule=lambda opt: gk.nn.StepLR(opt, every=2, gamma=0.5),
    )  # fmt: skip
    assert history["lr"] == [1.0, 1.0, 0.5, 0.5]


def test_plateau_schedule_sees_the_monitored_value():
    _, history = scripted_fit_with_plateau([3.0, 3.0, 3.0, 3.0])
    assert history["lr"] == [1.0, 1.0, 1.0, 0.5]


def scripted_fit_with_plateau(script):
    return scripted_fit(script, schedule=lambda opt: gk.nn.ReduceOnPlateau(opt, patience=1, gamma=0.5))


def test_clipping_limits_the_step():
    train, _ = half_and_half()
    model = network(0.0)
    model.reset_parameters(0)
    before = np.concatenate([p.data.ravel().copy() for p in model.parameters()])
    fit(model, train, epochs=1, optimizer="sgd", lr=1.0, clip_norm=1e-3)
    moved = np.concatenate([p.data.ravel() for p in model.parameters()]) - before
    assert np.linalg.norm(moved) <= 1.001e-3


# -- interruption -----------------------------------------------------------------------------------------------------


def test_ctrl_c_finishes_the_epoch_and_keeps_the_best_weights(capsys):
    def press(epoch, row):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    model, history = scripted_fit([5.0, 1.0, 2.0, 3.0, 4.0, 5.0], callback=press)
    assert history.interrupted and history.stopped == "interrupted"
    assert len(history) in (3, 4) and history.best_epoch == 1 and model.weight.data[0] == 2
    assert "Stopping after this epoch" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_in_the_middle_of_a_step_keeps_the_best_weights():
    class Breaking(CountingStep):
        def step(self):
            super().step()
            if self.model.weight.data[0] == 4:
                raise KeyboardInterrupt

    model = Scripted([5.0, 1.0, 2.0, 3.0])
    task = Task(gk.path(1), np.zeros((1, 1)))
    history = fit(
        model, task, validation=task, epochs=9, optimizer=Breaking,
        loss=lambda out, target: np.mean(np.absolute(out - target)),
    )  # fmt: skip
    assert history.interrupted and len(history) == 3 and model.weight.data[0] == 2


# -- seeds ------------------------------------------------------------------------------------------------------------


def test_same_seed_same_bits_and_other_seed_other_bits():
    train, val = half_and_half()
    runs = []
    for seed in (3, 3, 4):
        model = network()
        fit(model, train, validation=val, epochs=5, random_state=seed)
        runs.append(np.concatenate([p.data.ravel() for p in model.parameters()]))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_reset_false_goes_on_from_the_weights_it_has():
    train, _ = half_and_half()
    model = network()
    start = model.state_dict()
    fit(model, train, epochs=0, random_state=0, reset=False)
    assert all(np.array_equal(v, start[k]) for k, v in model.state_dict().items())
    fit(model, train, epochs=0, random_state=0)
    assert any(not np.array_equal(v, start[k]) for k, v in model.state_dict().items())


# -- batches of graphs ------------------------------------------------------------------------------------------------


def cycles_and_paths() -> tuple[list[gk.Graph], np.ndarray]:
    graphs, y = [], []
    for n in range(3, 11):
        for maker, label in ((gk.cycle, 0), (gk.star, 1)):
            graphs.append(maker(n).replace(x=np.ones((n, 1), dtype="float32")))
            y.append(label)
    return graphs, np.array(y)


def graph_network() -> gk.nn.Module:
    return gk.nn.Sequential(gk.nn.GraphConv(1, 8), gk.nn.ReLU(), gk.nn.GlobalPool("mean", head=gk.nn.Linear(8, 2)))


def test_one_loop_for_batches_of_graphs():
    graphs, y = cycles_and_paths()
    data = GraphBatches(graphs, y, batch_size=5)
    model = graph_network()
    history = fit(model, data, validation=data, epochs=60, lr=0.05, random_state=0)
    assert history.best["val_accuracy"] == 1.0
    assert evaluate(model, data)["accuracy"] == 1.0
    whole = evaluate(model, Task(gk.batch(graphs), y, level="graphs"))
    assert evaluate(model, data)["loss"] == pytest.approx(whole["loss"], rel=1e-5)  # over rows, not mean of batches


def test_batches_cover_every_graph_once_in_a_seeded_order():
    graphs, y = cycles_and_paths()
    data = GraphBatches(graphs, np.arange(len(y)), batch_size=5)
    orders = [np.concatenate([t.target for t in data.epoch(np.random.default_rng(s))]) for s in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(len(y)))
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])
    fixed = GraphBatches(graphs, y, batch_size=5, shuffle=False)
    first, second = (next(iter(fixed.epoch(np.random.default_rng(seed)))) for seed in (0, 1))
    assert first is second


def test_sets_on_one_graph_share_one_forward():
    calls = []

    class Counting(gk.nn.Linear):
        def forward(self, graph):
            if not self.training:
                calls.append(graph)
            return super().forward(graph)

    train, val = half_and_half()
    fit(Counting(12, 2), train, validation=val, test=Task(train.graph, val.target, mask=[0]), epochs=3)
    assert len(calls) == 3


# -- history ----------------------------------------------------------------------------------------------------------


def test_history_json_round_trip_is_exact():
    train, val = half_and_half()
    history = fit(network(), train, validation=val, epochs=3, eval_every=2, random_state=0)
    again = History.from_json(history.to_json())
    assert again == history and again.best_epoch == history.best_epoch
    assert "<- best" in repr(history) and "train_loss" in repr(history)
    with pytest.raises(UnknownNameError, match="Did you mean 'val_loss'"):
        history["val_los"]


def test_progress_line_is_drawn_when_asked(capsys):
    train, val = half_and_half()
    fit(network(), train, validation=val, epochs=3, progress=True, random_state=0)
    assert "3/3" in capsys.readouterr().err
    fit(network(), train, validation=val, epochs=3, random_state=0)
    assert capsys.readouterr().err == ""


# -- bad input --------------------------------------------------------------------------------------------------------


def test_tasks_refuse_what_does_not_fit():
    g = ring(4)
    with pytest.raises(ShapeError, match=r"one row for each of the 4 nodes. Got shape \(3,\)"):
        Task(g, [0, 1, 0])
    with pytest.raises(ShapeError, match=r"boolean mask has one entry for each of the 4 nodes. Got shape \(3,\)"):
        Task(g, [0, 1, 0, 1], mask=[True, False, True])
    with pytest.raises(DTypeError, match="Targets are numbers"):
        Task(g, ["a", "b", "a", "b"])
    with pytest.raises(InvalidArgumentError, match="Got only 0 and 1"):  # not: row 0 and row 1, twice each
        Task(g, [0, 1, 0, 1], mask=[0, 1, 0, 1])
    with pytest.raises(DTypeError, match="mask is bool"):
        Task(g, [0, 1, 0, 1], mask=[0.5, 1.0, 0.0, 0.0])
    with pytest.raises(InvalidArgumentError, match="At least one of the 4 nodes must count"):
        Task(g, [0, 1, 0, 1], mask=np.zeros(4, bool))
    with pytest.raises(InvalidArgumentError, match=r"Ids of nodes lie in \[0, 4\). Got 4 at position 1"):
        Task(g, [0, 1, 0, 1], mask=[0, 4])
    with pytest.raises(InvalidFeatureError, match="Got nan for node 2"):
        Task(g, [0, 1, np.nan, 1])
    assert len(Task(g, [0, 1, np.nan, 1], mask=[0, 1]).counted) == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'nodes'"):
        Task(g, [0, 1, 0, 1], level="node")
    with pytest.raises(ShapeError, match="3 graphs and 2 targets"):
        GraphBatches([g, g, g], [0, 1])


def test_fit_refuses_what_does_not_fit():
    train, val = half_and_half()
    with pytest.raises(UnknownNameError, match="Did you mean 'cross_entropy'"):
        fit(network(), train, loss="crossentropy")
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        fit(network(), train, optimizer="adan")
    with pytest.raises(UnknownNameError, match="Did you mean 'val_accuracy'"):
        fit(network(), train, validation=val, monitor="val_acuracy")
    with pytest.raises(InvalidArgumentError, match="Early stopping watches a validation set"):
        fit(network(), train, patience=3)
    with pytest.raises(InvalidArgumentError, match="patience counts evaluations"):
        fit(network(), train, validation=val, patience=0)
    with pytest.raises(DTypeError, match=r"train is a gk.learn.Task.*Got Graph"):
        fit(network(), train.graph)
    with pytest.raises(ShapeError, match=r"one row for each of the 12 nodes. Got shape \(1, 2\)"):
        fit(gk.nn.Sequential(gk.nn.Linear(12, 2), gk.nn.Lambda(lambda g: g.x[:1])), train)
    with pytest.raises(InvalidArgumentError, match="resume=True goes on from a checkpoint"):
        fit(network(), train, resume=True)
    for wrong in (-1, 2.5, "3"):
        with pytest.raises(InvalidArgumentError, match="epochs is a whole number, at least 0"):
            fit(network(), train, epochs=wrong)
    with pytest.raises(DTypeError, match=r"schedule is a function of the optimiser. Got 'cosine'"):
        fit(network(), train, schedule="cosine")
    with pytest.raises(DTypeError, match=r"A metric is a name or a gk.learn.Metric. Got function"):
        fit(network(), train, validation=val, metrics=lambda y, p: 1.0)
    with pytest.raises(DTypeError, match=r"validation is a gk.learn.Task"):
        fit(network(), train, validation=train.graph)
    with pytest.raises(UnknownNameError, match="Did you mean 'graphs'"):
        GraphBatches([gk.path(2)], [0], level="graph")
    with pytest.raises(InvalidArgumentError, match=r"batch_size is a whole number, at least 1. Got 2.5"):
        GraphBatches([gk.path(2)], [0], batch_size=2.5)


def test_a_loss_that_is_not_finite_stops_with_the_best_weights():
    def explode(out, target):
        return np.mean(np.absolute(out - target)) * np.where(model.weight.data[0] == 2, np.nan, 1.0)

    model = Scripted([5.0, 4.0, 3.0])
    task = Task(gk.path(1), np.zeros((1, 1)))
    with pytest.raises(TrainingError, match=r"It is nan in epoch 3 \(counted from 1\). Lower lr"):
        fit(model, task, validation=task, loss=explode, optimizer=CountingStep, epochs=9)
    assert model.weight.data[0] == 1


def test_zero_epochs_and_a_single_node_are_legal():
    task = Task(gk.path(1).replace(x=np.ones((1, 3), "float32")), [0])
    history = fit(gk.nn.Linear(3, 2), task, epochs=0)
    assert len(history) == 0 and repr(history) == "History(no epochs)"
    assert len(fit(gk.nn.Linear(3, 2), task, epochs=2, random_state=0)) == 2
