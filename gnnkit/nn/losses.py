"""Losses: functions of predictions and targets that return one number. May import autodiff and the error tree.

They never broadcast: predictions and targets of unequal shapes are refused, as are targets that mean "unknown"
(label -1, NaN) where the mask asks for them. The result is a scalar Tensor in the dtype of the predictions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gnnkit import autodiff
from gnnkit.autodiff import Tensor, as_array
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError


def cross_entropy(
    logits: Any,
    labels: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean negative log-probability of the right class.

    Parameters
    ----------
    logits
        Tensor or array [num_nodes, num_classes], floating, before any softmax.
    labels
        Integers [num_nodes] in ``0 .. num_classes - 1``. Labels outside the mask are not looked at (-1 is fine there).
    mask
        Which nodes count: booleans [num_nodes], or integer node indices. None: all.
    weight
        Floats [num_classes]; the mean is then weighted by the weight of each node's class.
    label_smoothing : float
        In [0, 1): share of the target spread evenly over the classes.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ShapeError
        If labels are not ``[num_nodes]`` (a column ``[num_nodes, 1]`` is refused), or the mask does not fit.
    DTypeError
        If labels are not integers or logits not floating.
    InvalidFeatureError
        If a label under the mask is negative or too large; the node is named.
    InvalidArgumentError
        If the mask selects nothing: a mean over nothing does not exist.

    References
    ----------
    Label smoothing: Szegedy et al., Rethinking the Inception architecture, CVPR 2016.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> logits = np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))
    >>> round(gk.nn.cross_entropy(logits, np.array([1, 0])).item(), 4)   # (-ln 0.75 - ln 0.5) / 2
    0.4904
    >>> round(gk.nn.cross_entropy(logits, np.array([1, -1]), mask=[True, False]).item(), 4)
    0.2877
    """
    logits = _floating(logits, "logits")
    classes = np.asarray(as_array(labels))
    if logits.ndim != 2 or classes.shape != logits.shape[:1]:
        raise ShapeError(
            "Logits must be [num_nodes, num_classes] and labels [num_nodes]. Got logits of shape "
            f"{list(logits.shape)} and labels of shape {list(classes.shape)}. {_label_advice(classes)}"
        )
    if classes.dtype.kind in "USTO":
        raise DTypeError(
            f"Labels must be integers. Got dtype {classes.dtype}, names of classes. "
            "Number them with names, y = np.unique(y, return_inverse=True)."
        )
    if classes.dtype.kind not in "iu":
        raise DTypeError(
            f"Labels must be integers. Got dtype {classes.dtype}. Use y.astype('int64') if they are class numbers, "
            "or gk.nn.mse_loss for a regression."
        )
    nodes = _selected(mask, classes.shape[0])
    num_classes = logits.shape[1]
    _check_labels(classes, nodes, num_classes)
    if nodes is not None:
        logits, classes = autodiff.take_rows(logits, nodes), classes[nodes]
    classes = classes.astype(np.int64, copy=False)
    if weight is None and not label_smoothing:
        return autodiff.cross_entropy_rows(logits, classes).mean()
    return _weighted_cross_entropy(logits, classes, _class_weights(weight, num_classes), label_smoothing)


def _weighted_cross_entropy(logits: Tensor, labels: np.ndarray, weight: np.ndarray | None, smoothing: float) -> Tensor:
    if not 0.0 <= smoothing < 1.0:
        raise InvalidArgumentError(
            f"label_smoothing must lie in [0, 1). Got {smoothing!r}. Use for example 0.1, or 0 for none."
        )
    num_classes = logits.shape[1]
    # The whole loss is linear in log-probabilities: put its coefficients in one constant array.
    target = np.full(logits.shape, smoothing / num_classes)
    target[np.arange(len(labels)), labels] += 1.0 - smoothing
    total = float(len(labels))
    if weight is not None:
        target *= weight
        total = float(axis_sum(weight[labels]))
        if total <= 0:
            raise InvalidArgumentError(
                "A weighted mean needs a positive total weight. The classes under the mask have weights that add to "
                f"{total:g}. Give the classes that occur a positive weight."
            )
    log_probabilities = autodiff.log_softmax(logits, axis=-1)
    return -(log_probabilities * (target / total).astype(logits.dtype)).sum()


def mse_loss(predictions: Any, targets: ArrayLike, *, mask: ArrayLike | None = None) -> Tensor:
    """Mean squared difference.

    Parameters
    ----------
    predictions
        Tensor or array of any shape, floating.
    targets
        Numbers of the same shape.
    mask
        Rows that count (booleans [num_nodes] or indices), or booleans of the shape of the targets. None: all.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ShapeError
        If the shapes differ: ``[n, 1]`` against ``[n]`` would silently compare every pair.
    InvalidFeatureError
        If a target under the mask is NaN; the node is named.
    InvalidArgumentError
        If the mask selects nothing.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])).item()
    2.0
    """
    difference = _difference(predictions, targets, mask)
    return (difference**2).mean()


def mae_loss(predictions: Any, targets: ArrayLike, *, mask: ArrayLike | None = None) -> Tensor:
    """Mean absolute difference; see :func:`mse_loss`. The derivative where they agree is 0.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.mae_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])).item()
    1.0
    """
    return abs(_difference(predictions, targets, mask)).mean()


def huber_loss(predictions: Any, targets: ArrayLike, *, mask: ArrayLike | None = None, delta: float = 1.0) -> Tensor:
    """Mean of d^2 / 2 for |d| <= delta, and delta (|d| - delta / 2) beyond; see :func:`mse_loss`.

    References
    ----------
    Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 1964.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.huber_loss(np.array([0.0, 0.0]), np.array([1.0, 3.0])).item()   # (0.5 + 2.5) / 2
    1.5
    """
    if not delta > 0:
        raise InvalidArgumentError(f"delta must be positive. Got {delta!r}. Use for example 1.0.")
    difference = _difference(predictions, targets, mask)
    size = abs(difference)
    losses: Any = np.where(size <= delta, difference**2 * 0.5, (size - 0.5 * delta) * delta)
    return losses.mean()


def bce_with_logits(
    logits: Any, targets: ArrayLike, *, mask: ArrayLike | None = None, positive_weight: ArrayLike | None = None
) -> Tensor:
    """Mean binary cross-entropy of independent yes/no targets, from logits; finite for any finite logit.

    Parameters
    ----------
    logits
        Tensor or array of any shape, floating, before any sigmoid.
    targets
        Of the same shape: booleans, 0/1, or probabilities in [0, 1].
    mask
        Rows that count (booleans [num_nodes] or indices), or booleans of the shape of the targets, for targets that
        are known in part (Tox21). None: all.
    positive_weight
        Factor on the positive part, against rare positives: a number of at least 0, or one per channel [channels] for
        targets [num_nodes, channels].

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ShapeError, InvalidFeatureError, InvalidArgumentError
        As :func:`mse_loss`; also if a target under the mask lies outside [0, 1], or ``positive_weight`` does not fit.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.bce_with_logits(np.array([1000.0, -1000.0]), np.array([1, 0])).item()
    0.0
    """
    shape = np.shape(targets)
    factor = None if positive_weight is None else _positive_weights(positive_weight, shape)
    logits, targets = _matched(logits, targets, mask)
    outside = np.argwhere((targets < 0) | (targets > 1))
    if len(outside):
        place = tuple(int(i) for i in outside[0])
        raise InvalidFeatureError(
            f"Binary targets must lie in [0, 1]. The entry {list(place)} under the mask is {targets[place]:g}. "
            "Recode the classes as 0 and 1, or use gk.nn.cross_entropy for more than two."
        )
    if factor is None:
        return (autodiff.softplus(logits) - logits * targets).mean()
    if factor.ndim and targets.shape[1:] != shape[1:]:  # a mask of single entries has flattened them
        factor = np.broadcast_to(factor, shape).reshape(-1)[np.flatnonzero(as_array(mask))]
    positive = (factor * targets).astype(logits.dtype)
    return (autodiff.softplus(-logits) * positive + autodiff.softplus(logits) * (1 - targets)).mean()


def _difference(predictions: Any, targets: ArrayLike, mask: ArrayLike | None) -> Tensor:
    predictions, values = _matched(predictions, targets, mask)
    return predictions - values


def _matched(predictions: Any, targets: ArrayLike, mask: ArrayLike | None) -> tuple[Tensor, np.ndarray]:
    """Return predictions and targets under the mask, of one shape and dtype, at least one value each."""
    predictions = _floating(predictions, "predictions")
    values = as_array(targets)
    if predictions.shape != values.shape:
        raise ShapeError(
            f"Predictions and targets must have one shape. Got predictions {list(predictions.shape)} and targets "
            f"{list(values.shape)}. Use y[:, None] or predictions[:, 0] to make them agree."
        )
    if values.dtype.kind not in "fiub":
        raise DTypeError(f"Targets must be numbers. Got dtype {values.dtype}. Convert them with y.astype('float32').")
    chosen = None if mask is None else np.asarray(as_array(mask))
    if chosen is not None and chosen.dtype == bool and chosen.shape == values.shape and values.ndim > 1:
        index: Any = np.flatnonzero(chosen)
        predictions, values = predictions.reshape((-1,)), values.reshape(-1)
        unit = "entry"
    else:
        index = _selected(mask, values.shape[0] if values.ndim else 0)
        unit = "node"
    if index is not None:
        if not len(index):
            _refuse_empty()
        predictions, values = autodiff.take_rows(predictions, index), values[index]
    if not values.size:
        _refuse_empty()
    _refuse_nan(values, index, unit)
    return predictions, values.astype(predictions.dtype, copy=False)


def _refuse_nan(values: np.ndarray, index: np.ndarray | None, unit: str) -> None:
    bad = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if bad.any():
        row = int(np.argwhere(bad)[0][0]) if values.ndim else 0
        number = row if index is None else int(index[row])
        raise InvalidFeatureError(
            f"Targets that count must be known. The target of {unit} {number} is NaN ({int(bad.sum())} such values). "
            "Leave it out with mask=."
        )


def _selected(mask: ArrayLike | None, num_nodes: int) -> np.ndarray | None:
    """Return the indices that a mask selects, or None for all; refuse a selection of nothing."""
    if mask is None:
        if num_nodes == 0:
            _refuse_empty()
        return None
    chosen = np.asarray(as_array(mask))
    if chosen.dtype == bool:
        if chosen.shape != (num_nodes,):
            raise ShapeError(
                f"A boolean mask must have one entry per node, [{num_nodes}]. Got shape {list(chosen.shape)}. "
                "Use the mask of this graph, or integer node indices."
            )
        nodes = np.flatnonzero(chosen)
    elif chosen.size == 0:
        nodes = np.zeros(0, dtype=np.int64)
    elif chosen.dtype.kind in "iu" and chosen.ndim == 1:
        nodes = chosen.astype(np.int64)
        bad = (nodes < 0) | (nodes >= num_nodes)
        if bad.any():
            raise InvalidArgumentError(
                f"Node indices of a mask must lie in 0 .. {num_nodes - 1}. Got {nodes[bad][0]} at position "
                f"{int(np.argmax(bad))}. Use indices of this graph."
            )
        if len(nodes) == num_nodes > 2 and nodes.max() <= 1:
            raise InvalidArgumentError(
                "A mask with one entry per node must hold booleans; integers are node indices. Got only 0 and 1 for "
                f"{num_nodes} nodes. Use mask.astype(bool), or name each node once."
            )
    else:
        raise DTypeError(
            f"A mask holds booleans [num_nodes] or integer node indices. Got dtype {chosen.dtype} and shape "
            f"{list(chosen.shape)}. Use mask.astype(bool) if it holds 0 and 1."
        )
    if not len(nodes):
        _refuse_empty()
    return nodes


def _refuse_empty() -> None:
    raise InvalidArgumentError(
        "A mean loss needs at least one node. The mask selects none (or there are no nodes). "
        "Check the mask, or leave such graphs out of the batch."
    )


def _check_labels(labels: np.ndarray, nodes: np.ndarray | None, num_classes: int) -> None:
    used = labels if nodes is None else labels[nodes]
    bad = (used < 0) | (used >= num_classes)
    if bad.any():
        first = int(np.argmax(bad))
        node = first if nodes is None else int(nodes[first])
        raise InvalidFeatureError(
            f"Labels under the mask must lie in 0 .. {num_classes - 1}. Node {node} has label {used[first]} "
            f"({int(bad.sum())} such nodes). Leave unlabelled nodes out with mask=, or give the model more classes."
        )


def _class_weights(weight: ArrayLike | None, num_classes: int) -> np.ndarray | None:
    if weight is None:
        return None
    values = np.asarray(as_array(weight), dtype=np.float64)
    if values.shape != (num_classes,) or not (values >= 0).all():
        raise ShapeError(
            f"Class weights must be {num_classes} numbers of at least 0. Got shape {list(values.shape)}. "
            "Give one weight per class."
        )
    return values


def _positive_weights(weight: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(as_array(weight), dtype=np.float64)
    if values.shape not in ((), shape[-1:] if len(shape) > 1 else ()) or not (values >= 0).all():
        raise ShapeError(
            f"positive_weight must be a number of at least 0, or one per channel of the targets. Got shape "
            f"{list(values.shape)}, smallest {values.min(initial=np.inf):g}, for targets {list(shape)}. "
            "Give one factor, or one per column."
        )
    return values


def _label_advice(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "Use y[:, 0] for a column of labels."
    return "Use y.argmax(axis=1) for one-hot rows, and gk.nn.bce_with_logits for several labels per node."


def _floating(values: Any, name: str) -> Tensor:
    found = values if isinstance(values, Tensor) else Tensor(values)
    if found.dtype.kind != "f":
        raise DTypeError(
            f"A loss needs floating {name}. Got dtype {found.dtype} and shape {list(found.shape)}. "
            f"Pass the output of the model before argmax."
        )
    return found
