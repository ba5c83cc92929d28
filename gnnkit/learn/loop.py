"""The training loop: one for a big graph with masks and for mini-batches of small graphs.

May import nn, the floors below, and the small parts of this folder (tasks, evaluation, stopping, history, checkpoint).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence, Sized
from typing import Any

import numpy as np

from gnnkit import nn
from gnnkit.autodiff import take_rows
from gnnkit.errors import DTypeError, InvalidArgumentError, TrainingError, unknown_name
from gnnkit.kernels import keep_freed_memory
from gnnkit.learn.checkpoint import Checkpoint
from gnnkit.learn.evaluation import Evaluator, Loss, cast_target, read_output, resolve_loss, resolve_metrics
from gnnkit.learn.history import History
from gnnkit.learn.interrupt import InterruptGuard
from gnnkit.learn.metrics import Metric
from gnnkit.learn.progress import ProgressLine
from gnnkit.learn.settings import check_same, describe_run
from gnnkit.learn.stopping import EarlyStopping
from gnnkit.learn.tasks import Epochs, Task, as_epochs, as_tasks, first_broken_node

_COLUMNS = {"validation": "val", "test": "test"}  # argument -> beginning of its history columns
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}


def fit(
    model: Any,
    train: Any,
    *,
    validation: Any = None,
    test: Any = None,
    loss: str | Loss = "cross_entropy",
    metrics: str | Metric | Sequence[str | Metric] | None = None,
    optimizer: str | Any = "adam",
    lr: float = 0.01,
    weight_decay: float = 0.0,
    schedule: Callable[[Any], Any] | None = None,
    clip_norm: float | None = None,
    epochs: int = 200,
    patience: int | None = None,
    monitor: str | None = None,
    restore_best: bool = True,
    eval_every: int = 1,
    random_state: int | np.random.Generator | None = None,
    reset: bool = True,
    progress: bool | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[int, dict[str, float]], Any] | None = None,
) -> History:
    """Train ``model`` in place and return what happened.

    Parameters
    ----------
    model : Module
        Maps a graph to a graph whose ``x`` (level "nodes") or ``u`` (level "graphs") is the prediction, or to the
        prediction itself.
    train : Task, list of Task, or object with ``epoch(rng)``
        What to learn from; each task is one step of the optimiser. See :class:`Task` and :class:`GraphBatches`.
    validation, test : the same, optional
        Evaluated after every epoch without dropout, in one forward pass if they share a graph. Validation chooses the
        weights and may end training; test is only written down.
    loss : {"cross_entropy", "bce", "mse", "mae", "huber"} or callable
        ``loss(outputs, targets) -> scalar`` of the counted rows.
    metrics : names or :class:`Metric`, optional
        Default: what fits the loss (accuracy, roc_auc, rmse, mae).
    optimizer : {"adam", "adamw", "sgd"}, a function of the model, or an optimiser
        The names are built with ``lr`` and ``weight_decay``.
    schedule : callable, optional
        ``schedule(optimizer)`` gives an object whose ``step(value)`` is called after every epoch with the monitored
        value, for example ``lambda opt: gk.nn.CosineLR(opt, epochs=200)``.
    clip_norm : float, optional
        Largest norm of all gradients together.
    epochs : int
        Most epochs in total, those before a ``resume`` included.
    patience : int, optional
        Evaluations without improvement of ``monitor`` after which to stop.
    monitor : str, optional
        A history column, or "both" (see :class:`EarlyStopping`). Default "val_loss" with validation.
    restore_best : bool
        Give the model the weights of the best epoch at the end (needs validation or a monitor).
    eval_every : int
        Epochs between two evaluations; the last epoch is always evaluated.
    random_state : int or Generator, optional
        Draws the initial parameters (unless ``reset=False``), seeds dropout and the order of batches. None leaves the
        model as it is.
    reset : bool
        False keeps the parameters the model has: to go on training a model that already learnt something.
    progress : bool, optional
        Show a bar on stderr. Default: when it is a terminal.
    checkpoint : Checkpoint or path, optional
        Save the whole state regularly, at the end, and on Ctrl-C.
    resume : bool
        Go on from the checkpoint file, which must exist; same bits as a run without a break. Only ``epochs``,
        ``patience`` and ``restore_best`` may differ from the first run.
    callback : callable, optional
        ``callback(epoch, row)`` after every epoch; a true result ends training.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the training loss is not finite. The model then has its best weights so far.
    FileMissingError
        If ``resume`` is asked for and there is no checkpoint.
    InvalidArgumentError
        If ``resume`` is asked for with other settings or data than those of the checkpoint.

    Notes
    -----
    Ctrl-C ends training after the epoch it falls in and returns normally, with the best weights and
    ``history.interrupted``. Training loss is measured in training mode (with dropout) before each step, and averaged
    over the counted rows.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.cycle(4).replace(x=np.eye(4, dtype="float32"))
    >>> model = gk.nn.Linear(4, 2)
    >>> task = gk.learn.Task(g, [0, 1, 0, 1])
    >>> history = gk.learn.fit(model, task, validation=task, epochs=30, lr=0.1, random_state=0)
    >>> len(history), history.best["val_accuracy"]
    (30, 1.0)
    """
    whole = all(isinstance(count, int | np.integer) for count in (epochs, eval_every))
    if not whole or epochs < 0 or eval_every < 1:
        raise InvalidArgumentError(
            f"epochs is a whole number, at least 0, and eval_every at least 1. Got {epochs=}, {eval_every=}. "
            "Pass for example epochs=200, eval_every=1."
        )
    if schedule is not None and not callable(schedule):
        raise DTypeError(
            f"schedule is a function of the optimiser. Got {schedule!r}. "
            "Pass for example schedule=lambda optimizer: gk.nn.CosineLR(optimizer, epochs=200)."
        )
    if isinstance(checkpoint, str | os.PathLike):
        checkpoint = Checkpoint(checkpoint)
    if resume and checkpoint is None:
        raise InvalidArgumentError(
            "resume=True goes on from a checkpoint file. Got no checkpoint. Pass checkpoint=gk.learn.Checkpoint(path)."
        )
    batches = as_epochs(train, "train")
    loss_function, default_metrics = resolve_loss(loss)
    chosen = resolve_metrics(metrics, default_metrics)
    given = {"validation": validation, "test": test}
    sets = {_COLUMNS[name]: as_tasks(data, name) for name, data in given.items() if data is not None}
    evaluator = Evaluator(sets, loss_function, chosen)
    stopping = _stopping_rule(monitor, patience, chosen, has_validation="val" in sets)
    data_rng = _seed(model, random_state, reset=reset)
    optim = _optimizer(optimizer, model, lr, weight_decay)
    scheduler = schedule(optim) if schedule is not None else None

    history = History()
    best: dict[str, Any] | None = None
    parts = _Parts(model, optim, scheduler, stopping, data_rng)
    if checkpoint is not None:
        parts.settings = describe_run(
            {"training": batches, "validation": sets.get("val"), "test": sets.get("test")},
            optim,
            scheduler,
            loss=loss if isinstance(loss, str) else "own",
            metrics=[metric.name for metric in chosen],
            clip_norm=clip_norm,
            eval_every=eval_every,
            monitor=None if stopping is None else stopping.monitor,
            random_state=None if isinstance(random_state, np.random.Generator) else random_state,
        )
        if resume:
            history, best = parts.restore(checkpoint.load())
            # Ctrl-C may have come in an epoch that was the last one anyway, and more epochs or patience may be granted.
            history.stopped = _reason(False, stopping, history.stopped == "callback", len(history) >= epochs)
    line = ProgressLine(epochs, enabled=progress, done=len(history))
    row: dict[str, float] = {}
    finished = bool(history.stopped) or epochs == 0
    try:
        with InterruptGuard() as guard, keep_freed_memory():
            while not finished:
                epoch, start = len(history), time.perf_counter()
                parts.mode(training=True)
                train_loss = _train_epoch(model, batches, data_rng, loss_function, optim, clip_norm, line, epoch)
                row = {"train_loss": train_loss, "lr": float(optim.lr)}
                _check_finite(train_loss, epoch, batches)
                evaluated = (epoch + 1) % eval_every == 0 or epoch + 1 == epochs
                if evaluated and sets:
                    parts.mode(training=False)
                    row.update(evaluator(model))
                improved = stopping is None or (evaluated and stopping.update(row))
                if improved and stopping is not None and restore_best:
                    best = parts.weights()
                if scheduler is not None:
                    scheduler.step(_watched(row, history, stopping))
                row["seconds"] = time.perf_counter() - start
                history.append(row)
                if improved:  # only now is there such a row
                    history.best_epoch = epoch
                line.update(epoch + 1, row)
                history.stopped = _reason(
                    guard.pressed, stopping, callback is not None and callback(epoch, row), epoch + 1 >= epochs
                )
                finished = bool(history.stopped)
                if checkpoint is not None and (finished or (epoch + 1) % checkpoint.every == 0):
                    checkpoint.save(parts.state(history, best))
    except KeyboardInterrupt:  # the second Ctrl-C, or a host whose handler raises in the middle of a step
        history.stopped = "interrupted"
    finally:
        line.close(len(history), row)
        if best is not None and restore_best:
            model.load_state_dict(best)
        elif len(history):
            history.best_epoch = len(history) - 1 if not restore_best else history.best_epoch
        model.eval()
    return history


def _train_epoch(
    model: Any,
    batches: Epochs,
    rng: np.random.Generator,
    loss: Loss,
    optim: Any,
    clip_norm: float | None,
    line: ProgressLine,
    epoch: int,
) -> float:
    total, rows = 0.0, 0
    steps = len(batches) if line.enabled and isinstance(batches, Sized) else 0
    for step, task in enumerate(batches.epoch(rng)):
        optim.zero_grad()
        value = _task_loss(model, task, loss)
        value.backward()
        if clip_norm is not None:
            nn.clip_grad_norm(model, clip_norm)
        optim.step()
        total += float(value.data) * len(task.counted)
        rows += len(task.counted)
        if steps > 1:
            line.update(epoch + (step + 1) / steps, {"train_loss": total / rows})
    return total / rows if rows else math.nan


def _task_loss(model: Any, task: Task, loss: Loss) -> Any:
    output = read_output(model, task)
    if task.rows is not None:
        output = take_rows(output, task.rows)
    return loss(output, cast_target(task, output.dtype))


def _watched(row: dict[str, float], history: History, stopping: EarlyStopping | None) -> float:
    """The monitored value of this epoch, or of the last one in which it was measured."""
    column = "train_loss" if stopping is None else stopping.column
    if column in row:
        return row[column]
    return next((v for v in reversed(history.columns.get(column, [])) if not math.isnan(v)), math.nan)


def _check_finite(train_loss: float, epoch: int, data: Epochs) -> None:
    if math.isfinite(train_loss):
        return
    came = f"It is {train_loss} in epoch {epoch + 1} (counted from 1)"
    for task in data.epoch(np.random.default_rng(0)):
        node = first_broken_node(task.graph)
        if node is not None:
            raise TrainingError(
                f"The features of every node must be finite for the training loss to be so. {came}, and the features "
                f"x of node {node} are not all finite. Fill them in, or leave that node out of the graph."
            )
    raise TrainingError(
        f"The training loss must stay finite. {came}. "
        "Lower lr, pass clip_norm=1.0, or check the features and targets for extreme values."
    )


def _stopping_rule(
    monitor: str | None, patience: int | None, metrics: list[Metric], *, has_validation: bool
) -> EarlyStopping | None:
    if monitor is None:
        if has_validation:
            monitor = "val_loss"
        elif patience is not None:
            raise InvalidArgumentError(
                f"Early stopping watches a validation set. Got patience={patience} and no validation. "
                "Pass validation=gk.learn.Task(graph, y, mask=val_mask), or monitor='train_loss'."
            )
        else:
            return None
    elif monitor != "train_loss" and not has_validation:
        raise InvalidArgumentError(
            f"monitor={monitor!r} needs a validation set. Got none. Pass validation=..., or monitor='train_loss'."
        )
    columns = ["val_loss", *(f"val_{metric.name}" for metric in metrics), "train_loss", "both"]
    if monitor not in columns:
        raise unknown_name("monitor", monitor, columns)
    first = metrics[0] if metrics else None
    watched = next((m for m in metrics if monitor == f"val_{m.name}"), first if monitor == "both" else None)
    return EarlyStopping(
        monitor,
        patience,
        metric=first.name if first else None,
        higher_is_better=watched.higher_is_better if watched else None,
    )


def _seed(model: Any, random_state: int | np.random.Generator | None, *, reset: bool) -> np.random.Generator:
    """Three independent streams, so that a model with more dropout does not change the order of the batches."""
    if random_state is None:
        return np.random.default_rng()
    initial, stochastic, data = np.random.default_rng(random_state).spawn(3)
    if reset:
        model.reset_parameters(initial)
    model.seed(stochastic)
    return data


def _optimizer(optimizer: Any, model: Any, lr: float, weight_decay: float) -> Any:
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise unknown_name("optimiser", optimizer, OPTIMIZERS)
        return getattr(nn, OPTIMIZERS[optimizer])(model, lr=lr, weight_decay=weight_decay)
    return optimizer(model) if isinstance(optimizer, type) or not hasattr(optimizer, "step") else optimizer


def _reason(interrupted: bool, stopping: EarlyStopping | None, called_off: Any, done: bool) -> str:
    if interrupted:
        return "interrupted"
    if stopping is not None and stopping.should_stop:
        return "patience"
    return "callback" if called_off else "epochs" if done else ""


class _Parts:
    """Everything that must be saved for the next epoch to have the same bits."""

    def __init__(self, model: Any, optim: Any, scheduler: Any, stopping: Any, data_rng: np.random.Generator) -> None:
        self.model, self.data_rng = model, data_rng
        # Walking the tree of modules costs more than a small layer: look once, not every epoch.
        self._modules, self._parameters = list(model.modules()), list(model.named_parameters())
        self._has_buffers = any(True for _ in model.named_buffers())
        self.stateful = {"optimizer": optim, "schedule": scheduler, "stopping": stopping}
        self.settings: dict[str, str] = {}

    def mode(self, *, training: bool) -> None:
        """What ``model.train(training)`` does."""
        for module in self._modules:
            module.training = training

    def weights(self) -> dict[str, Any]:
        """What ``model.state_dict()`` returns: a copy."""
        if self._has_buffers:
            return self.model.state_dict()
        return {name: parameter.data.copy() for name, parameter in self._parameters}

    def state(self, history: History, best: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "best": best,
            "rng": {"model": self.model.rng_state(), "data": self.data_rng.bit_generator.state},
            "history": history.to_json(),
            "settings": self.settings,
            **{name: part.state_dict() for name, part in self.stateful.items() if part is not None},
        }

    def restore(self, state: dict[str, Any]) -> tuple[History, dict[str, Any] | None]:
        missing = [name for name, part in self.stateful.items() if (part is not None) != (name in state)]
        if missing:
            raise InvalidArgumentError(
                f"A run resumes with the settings it was started with. The checkpoint disagrees about: "
                f"{', '.join(missing)}. Pass the same schedule and validation, or start without resume=True."
            )
        self.model.load_state_dict(state["model"])
        check_same(state["settings"], self.settings)
        self.model.set_rng_state(state["rng"]["model"])
        self.data_rng.bit_generator.state = state["rng"]["data"]
        for name, part in self.stateful.items():
            if part is not None:
                part.load_state_dict(state[name])
        history = History.from_json(state["history"])
        return history, state["best"]
