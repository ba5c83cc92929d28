"""Metrics: plain numpy functions of ``(y_true, y_pred or y_score)`` that refuse unequal shapes.

May import errors and the sums of autodiff. The training loop reads the table at the end, which says what each metric
wants from the output of a model (classes, scores or values) and whether more is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.autodiff.rules.reductions import mean
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, unknown_name


def _pair(y_true: ArrayLike, y_other: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as arrays of one and the same shape that holds at least one row."""
    true, other = np.asarray(y_true), np.asarray(y_other)
    if true.shape != other.shape:
        raise ShapeError(
            f"{name} compares two arrays of the same shape. Got y_true of shape {true.shape} and predictions of shape "
            f"{other.shape}. Reshape one of them yourself: gnnkit does not broadcast labels against predictions."
        )
    if true.size == 0:
        raise InvalidArgumentError(
            f"{name} needs at least one row. Got empty arrays of shape {true.shape}. Check the mask or the split."
        )
    if (true.dtype.kind in "US") != (other.dtype.kind in "US") and "O" not in (true.dtype.kind, other.dtype.kind):
        raise DTypeError(
            f"{name} compares texts with texts or numbers with numbers. Got y_true of dtype {true.dtype} and "
            f"predictions of dtype {other.dtype}. Convert one of them: y.astype(str)."
        )
    return true, other


def _finite(scores: NDArray[Any], name: str) -> NDArray[Any]:
    if scores.dtype.kind == "f" and not np.isfinite(scores).all():
        bad = int(np.flatnonzero(~np.isfinite(scores.ravel()))[0])
        raise InvalidFeatureError(
            f"{name} needs finite scores. Got {scores.ravel()[bad]} at flat position {bad}. "
            "Find out why the model produced it, or drop the row."
        )
    return scores


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of equal entries.

    Parameters
    ----------
    y_true, y_pred : array_like [num_rows] or [num_rows, num_labels], any kind that compares with ``==``
        With two axes every entry counts by itself (not: all labels of a row right).

    Raises
    ------
    ShapeError
        If the shapes differ.
    InvalidArgumentError
        If there are no rows.

    Examples
    --------
    >>> from gnnkit.learn import accuracy
    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    true, pred = _pair(y_true, y_pred, "accuracy")
    return float(np.count_nonzero(true == pred) / true.size)


def f1(y_true: ArrayLike, y_pred: ArrayLike, *, average: str = "macro") -> float:
    """F1 score, the harmonic mean of precision and recall, over classes or labels.

    Parameters
    ----------
    y_true, y_pred : array_like [num_rows] of classes, or [num_rows, num_labels] of 0 and 1
    average : "macro" or "micro"
        Mean of the F1 of every class; or one F1 from the summed counts (which for one class per row is the accuracy).

    Notes
    -----
    The classes are those that occur in either array. A class never predicted nor present would be 0/0 and counts 0.

    Examples
    --------
    >>> from gnnkit.learn import f1
    >>> f1([0, 0, 1, 1], [0, 1, 1, 1], average="micro")
    0.75
    >>> round(f1([0, 0, 1, 1], [0, 1, 1, 1]), 4)
    0.7333
    """
    true, pred = _pair(y_true, y_pred, "f1")
    if average not in ("macro", "micro"):
        raise unknown_name("F1 average", average, ("macro", "micro"))
    if true.ndim == 1:
        hits, total = _overlaps(true, pred)
    else:
        t, p = true.astype(bool), pred.astype(bool)
        hits, total = (t & p).sum(axis=0), t.sum(axis=0) + p.sum(axis=0)
    if average == "micro":
        hits, total = hits.sum(keepdims=True), total.sum(keepdims=True)
    return float(np.mean(2.0 * hits / np.maximum(total, 1)))


def mean_iou(y_true: ArrayLike, y_pred: ArrayLike, *, ignore: Any = None) -> float:
    """Mean intersection over union of the classes, the usual score of segmentations.

    The IoU of a class is the number of entries that are of that class in both arrays, divided by the number that are in
    at least one; all entries are counted together, whatever image they are from.

    Parameters
    ----------
    y_true, y_pred : array_like of one shape, such as [num_images, height, width]
        Classes, numbers or texts.
    ignore : optional
        A value of ``y_true`` that means "not labelled": these entries are not counted.

    Raises
    ------
    ShapeError
        If the shapes differ.
    InvalidArgumentError
        If there are no entries, or all are ignored.

    Notes
    -----
    The mean is over the classes that occur in either array; one that occurs in neither would be 0/0 and does not count.

    References
    ----------
    Everingham et al., The Pascal visual object classes challenge: a retrospective, IJCV 2015.

    Examples
    --------
    >>> from gnnkit.learn import mean_iou
    >>> mean_iou([[0, 0], [1, 1]], [[0, 1], [1, 1]])  # (1/2 + 2/3) / 2
    0.5833333333333333
    """
    true, pred = (array.ravel() for array in _pair(y_true, y_pred, "mean_iou"))
    if ignore is not None:
        counted = true != ignore
        if not counted.any():
            raise InvalidArgumentError(
                f"mean_iou needs at least one labelled entry. Got {true.size} entries, all of them ignore={ignore!r}. "
                "Check the labels."
            )
        true, pred = true[counted], pred[counted]
    hits, total = _overlaps(true, pred)
    return float(np.mean(hits / (total - hits)))


def _overlaps(true: NDArray[Any], pred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of every class that occurs: entries where both agree on it, and its count in both arrays together."""
    codes, num_classes = _class_codes(np.concatenate([true, pred]))
    t, p = codes[: true.size], codes[true.size :]
    hits = np.bincount(t[t == p], minlength=num_classes)
    total = np.bincount(t, minlength=num_classes) + np.bincount(p, minlength=num_classes)
    return hits[total > 0], total[total > 0]


def _class_codes(values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Codes from 0 for the classes in ``values``; whole numbers close together, as of pixels, need no sorting."""
    if values.dtype.kind in "iu":
        least, most = int(values.min()), int(values.max())
        if most - least < 1 << 16:
            return values.astype(np.int64) - least, most - least + 1
    classes, codes = np.unique(values, return_inverse=True)
    return codes, len(classes)


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive row scores above a negative one, ties counting half.

    Parameters
    ----------
    y_true : array_like [num_rows] of 0 and 1 (or bool); or [num_rows, num_labels]; or classes 0..C-1 [num_rows]
    y_score : array_like, same shape as ``y_true``; or [num_rows, C] when ``y_true`` holds classes
        The larger, the more likely positive. With several columns the mean over columns (one versus rest).

    Raises
    ------
    InvalidArgumentError
        If only one class occurs: the area is undefined.

    References
    ----------
    Mann and Whitney 1947: the area equals the U statistic over the number of pairs.

    Examples
    --------
    >>> from gnnkit.learn import roc_auc
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    return _by_column(_binary_roc_auc, y_true, y_score, "roc_auc")


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Average precision: precision summed over the steps of recall, rows of equal score entering together.

    Parameters and errors as in :func:`roc_auc`.

    Examples
    --------
    >>> from gnnkit.learn import average_precision
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _by_column(_binary_average_precision, y_true, y_score, "average_precision")


def _by_column(
    binary: Callable[[NDArray[Any], NDArray[Any]], float], y_true: ArrayLike, y_score: ArrayLike, name: str
) -> float:
    true, score = np.asarray(y_true), np.asarray(y_score)
    if true.ndim == 1 and score.ndim == 2 and score.shape[1] > 1 and len(true) == len(score):
        # classes against one column per class
        true = true[:, None] == np.arange(score.shape[1])
    true, score = _pair(true, score, name)
    _finite(score, name)
    if not np.isin(true, (0, 1)).all():
        raise InvalidArgumentError(
            f"{name} needs labels 0 and 1. Got the values {np.unique(true)[:6].tolist()}. "
            "Compare with the positive class first: y == positive; for classes give one score column per class."
        )
    true = true.astype(bool)
    columns = [(true, score)] if true.ndim == 1 else list(zip(true.T, score.T))
    for number, (t, _) in enumerate(columns):
        if not t.any() or (t.all() and name == "roc_auc"):
            raise InvalidArgumentError(
                f"{name} needs {'positive and negative' if name == 'roc_auc' else 'positive'} rows. "
                f"Got only {'positive' if t.any() else 'negative'} rows in column {number}. "
                "Choose a larger set, or leave this column out."
            )
    return float(np.mean([binary(t, s) for t, s in columns]))


def _binary_roc_auc(positive: NDArray[Any], score: NDArray[Any]) -> float:
    # Mean rank of each run of equal scores; the sum over the positives is the U statistic.
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2.0
    p = int(np.count_nonzero(positive))
    n = positive.size - p
    return float((rank[inverse][positive].sum() - p * (p + 1) / 2.0) / (p * n))


def _binary_average_precision(positive: NDArray[Any], score: NDArray[Any]) -> float:
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.append(np.flatnonzero(np.diff(score[order])), positive.size - 1)  # last row of each run of equal scores
    precision, recall = hits[ends] / (ends + 1.0), hits[ends] / hits[-1]
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of ``y_true``.

    Examples
    --------
    >>> from gnnkit.learn import rmse
    >>> rmse([1.0, 2.0], [1.0, 4.0])  # sqrt((0 + 4) / 2)
    1.4142135623730951
    """
    true, pred = _pair(y_true, y_pred, "rmse")
    return float(np.sqrt(mean(np.square(true.astype(float) - pred))))


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, in the unit of ``y_true``.

    Examples
    --------
    >>> from gnnkit.learn import mae
    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    true, pred = _pair(y_true, y_pred, "mae")
    return float(mean(np.abs(true.astype(float) - pred)))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination: 1 - residual / total sum of squares (mean over columns).

    Notes
    -----
    A constant column has no variance to explain: it counts 1 where predicted exactly and 0 otherwise.

    Examples
    --------
    >>> from gnnkit.learn import r2
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    true, pred = _pair(y_true, y_pred, "r2")
    true = true.astype(float)
    residual = np.atleast_1d(axis_sum(np.square(true - pred), 0))
    total = np.atleast_1d(axis_sum(np.square(true - mean(true, 0)), 0))
    # Equal values may sum to a rounding error above 0, and tiny differences square to 0.
    constant = np.atleast_1d((true == true[0]).all(axis=0)) | (total == 0)
    explained = 1.0 - residual / np.where(constant, 1.0, total)
    return float(np.mean(np.where(constant, residual == 0, explained)))


@dataclass(frozen=True)
class Metric:
    """One metric as the training loop needs it: ``needs`` is "classes", "scores" or "values" of the model's output."""

    name: str
    function: Callable[[Any, Any], float]
    needs: str
    higher_is_better: bool

    def __call__(self, target: NDArray[Any], output: NDArray[Any]) -> float:
        """Value of the metric for raw model outputs (logits for classes and scores, predictions for values)."""
        return self.function(target, _READ[self.needs](target, output))


def as_classes(target: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
    """Predicted classes: argmax of one logit per class, or the sign of one logit per yes-or-no label."""
    if target.ndim == 1 and output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(axis=1)
    return (_like(target, output) > 0).astype(target.dtype)


def as_scores(target: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
    """Scores that rank: the logit itself, the difference of two logits, or softmax columns for more classes."""
    if target.ndim == 1 and output.ndim == 2 and output.shape[1] == 2:
        return output[:, 1] - output[:, 0]
    if target.ndim == 1 and output.ndim == 2 and output.shape[1] > 2:
        # Columns are compared across rows, so logits must be normalised per row first.
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)
    return _like(target, output)


def _like(target: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
    """[n, 1] read as [n]: the only reshape that is safe."""
    return output[:, 0] if target.ndim == 1 and output.ndim == 2 and output.shape[1] == 1 else output


_READ = {"classes": as_classes, "scores": as_scores, "values": _like}

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "classes", True),
        Metric("f1_macro", f1, "classes", True),
        Metric("f1_micro", lambda y, p: f1(y, p, average="micro"), "classes", True),
        Metric("mean_iou", mean_iou, "classes", True),
        Metric("roc_auc", roc_auc, "scores", True),
        Metric("average_precision", average_precision, "scores", True),
        Metric("rmse", rmse, "values", False),
        Metric("mae", mae, "values", False),
        Metric("r2", r2, "values", True),
    )
}


def resolve_metric(metric: str | Metric) -> Metric:
    """The metric of that name; a :class:`Metric` of your own passes through."""
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str):
        raise DTypeError(
            f"A metric is a name or a gk.learn.Metric. Got {type(metric).__name__}. Say what a function needs: "
            'gk.learn.Metric("name", function, "classes", True).'
        )
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    return METRICS[metric]
