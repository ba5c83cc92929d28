"""From a model's output to numbers: which loss, which metrics, one forward for all sets that share a graph.

May import nn and the floors below. The training loop and the estimators both read models through this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit import nn
from gnnkit.autodiff import as_array, no_grad
from gnnkit.errors import DTypeError, ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.learn.metrics import Metric, resolve_metric
from gnnkit.learn.tasks import LEVELS, Task, as_tasks

Loss = Callable[[Any, Any], Any]

# name -> (function of nn, the metrics shown when the caller names none)
LOSSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cross_entropy": ("cross_entropy", ("accuracy",)),
    "bce": ("bce_with_logits", ("roc_auc",)),
    "mse": ("mse_loss", ("rmse",)),
    "mae": ("mae_loss", ("mae",)),
    "huber": ("huber_loss", ("mae",)),
}


def resolve_loss(loss: str | Loss) -> tuple[Loss, tuple[str, ...]]:
    """The loss function and the metrics that go with it by default."""
    if callable(loss):
        return loss, ()
    if loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)
    name, metrics = LOSSES[loss]
    return getattr(nn, name), metrics


def resolve_metrics(metrics: str | Metric | Sequence[str | Metric] | None, default: tuple[str, ...]) -> list[Metric]:
    """The metrics asked for, or those of the loss."""
    if metrics is None:
        metrics = default
    if isinstance(metrics, str | Metric) or callable(metrics):  # a bare function is refused by its own message
        return [resolve_metric(metrics)]  # type: ignore[arg-type]
    return [resolve_metric(metric) for metric in metrics]


def read_output(model: Any, task: Task) -> Any:
    """Run ``model`` on the task's graph and return the prediction, one row per node or graph (a Tensor or array)."""
    return _prediction(model(task.graph), task)


def _prediction(output: Any, task: Task) -> Any:
    if isinstance(output, Graph):
        output = output.x if task.level == "nodes" else output.u
    if not hasattr(output, "shape"):
        raise DTypeError(
            f"A model returns a graph whose {LEVELS[task.level]} holds the prediction, or the prediction itself. "
            f"Got {type(output).__name__}. Return graph.replace({LEVELS[task.level]}=...)."
        )
    if len(output.shape) == 0 or output.shape[0] != task.num_rows:
        raise ShapeError(
            f"A model predicts one row for each of the {task.num_rows} {task.level}. Got shape {tuple(output.shape)}. "
            f"Check the readout of the model, and level={task.level!r} of the task."
        )
    return output


def cast_target(task: Task, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The counted targets; floating ones in the dtype of the model, so that nothing is promoted behind its back."""
    return task.counted.astype(dtype, copy=False) if task.counted.dtype.kind == "f" else task.counted


class Evaluator:
    """Loss and metrics of several sets; sets on the same graph share one forward pass.

    Parameters
    ----------
    sets : dict of str to list of Task
        Column prefix -> its tasks, for example ``{"val": [task], "test": [task]}``.
    loss : callable
        ``loss(outputs, targets)``.
    metrics : sequence of Metric
    """

    def __init__(self, sets: dict[str, list[Task]], loss: Loss, metrics: Sequence[Metric]) -> None:
        self.sets, self.loss, self.metrics = sets, loss, metrics
        self._targets: dict[str, NDArray[Any]] = {}
        uses = Counter(id(task.graph) for tasks in sets.values() for task in tasks)
        self._shared = {key for key, count in uses.items() if count > 1}

    def __call__(self, model: Any) -> dict[str, float]:
        """The row ``{"val_loss": ..., "val_accuracy": ..., "test_loss": ...}``; the caller sets the mode."""
        row: dict[str, float] = {}
        outputs: dict[int, Any] = {}
        with no_grad():
            for name, tasks in self.sets.items():
                if name not in self._targets:
                    self._targets[name] = _joined([cast_target(task, model.dtype) for task in tasks])
                output = _joined([self._rows(model, task, outputs) for task in tasks])
                target = self._targets[name]
                row[f"{name}_loss"] = float(as_array(self.loss(output, target)))
                for metric in self.metrics:
                    row[f"{name}_{metric.name}"] = metric(target, output)
        return row

    def _rows(self, model: Any, task: Task, outputs: dict[int, Any]) -> NDArray[Any]:
        key = id(task.graph)
        result = outputs[key] if key in outputs else model(task.graph)
        if key in self._shared:  # other outputs are not kept: a set of images has one for every batch
            outputs[key] = result
        output = as_array(_prediction(result, task))
        return output if task.rows is None else output[task.rows]


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def evaluate(
    model: Any,
    data: Any,
    *,
    loss: str | Loss = "cross_entropy",
    metrics: str | Metric | Sequence[str | Metric] | None = None,
) -> dict[str, float]:
    """Loss and metrics of a model on one data set, in evaluation mode and without a tape.

    Parameters
    ----------
    model : Module
    data : Task, list of Task, or GraphBatches
        All counted rows together make one number (not: the mean over batches).
    loss, metrics
        As in :func:`~gnnkit.learn.fit`.

    Returns
    -------
    dict of str to float
        ``{"loss": ..., "<metric>": ...}``.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> g = gk.path(2).replace(x=np.array([[2.0, 0.0], [0.0, 2.0]], dtype="float32"))
    >>> gk.learn.evaluate(gk.nn.Identity(), gk.learn.Task(g, [0, 0]))["accuracy"]
    0.5
    """
    function, default = resolve_loss(loss)
    evaluator = Evaluator({"": as_tasks(data, "data")}, function, resolve_metrics(metrics, default))
    training = model.training
    row = evaluator(model.eval())
    model.train(training)
    return {name.lstrip("_"): value for name, value in row.items()}
