"""Operations with a kernel of their own: dropout, after ELU too, cross entropy of rows, rows by index.

Imports kernels and primitives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit import kernels as K
from gnnkit.autodiff.functions import elu, softmax
from gnnkit.autodiff.nodes import defvjp
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.sparse import SparseMatrix
from gnnkit.autodiff.tensors import as_array, is_tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError


def dropout(x: Any, rate: float, *, rng: np.random.Generator | int | None = None) -> Any:
    """Set values to zero at random and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    x : array, Tensor or SparseMatrix
        Floating, any shape. Of a sparse matrix, stored values are dropped.
    rate : float
        Probability of dropping a value, in [0, 1).
    rng : None, int or numpy.random.Generator
        Source of the key that decides what is kept; the same key gives the same bits for any number of threads.

    Raises
    ------
    InvalidArgumentError
        If ``rate`` is outside of [0, 1).

    Notes
    -----
    No mask is stored: the derivative recomputes it from the key.

    References
    ----------
    Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> sorted(set(gk.dropout(np.ones(100), 0.5, rng=0).tolist()))
    [0.0, 2.0]
    """
    if not 0 <= rate < 1:
        raise InvalidArgumentError(
            f"A dropout rate must lie in [0, 1). Got {rate!r}. It is the share of values that are set to zero."
        )
    if rate == 0:
        return x
    if hasattr(x, "__gnnkit_function__"):  # a value of a message program, which explains why not
        return x.__gnnkit_function__("dropout", (x, rate), {})
    key = _new_key(rng)
    if isinstance(x, SparseMatrix):
        return x.with_data(K.dropout(x.data, key, float(rate)))
    if as_array(x).dtype.kind != "f":
        raise DTypeError(
            f"Dropout scales floating values. Got dtype {as_array(x).dtype}. Convert them with .astype('float32')."
        )
    return keyed_dropout(x, key, float(rate))


def _new_key(rng: np.random.Generator | int | None) -> int:
    return int(np.random.default_rng(rng).integers(0, 2**63))


@primitive
def keyed_dropout(x: Any, key: int, rate: float) -> Any:
    return K.dropout(x, key, rate)


defvjp(keyed_dropout, lambda g, y, x, key, rate: keyed_dropout(g, key, rate), keep="")
keyed_dropout.op.name = "dropout"  # type: ignore[attr-defined]


def elu_dropout(x: Any, alpha: float, rate: float, *, rng: np.random.Generator | int | None = None) -> Any:
    """``dropout(elu(x, alpha), rate, rng=rng)`` in one pass over the values.

    Parameters
    ----------
    x : array or Tensor
        Floating, any shape.
    alpha : float
        Of :func:`elu`, at least 0.
    rate : float
        Of :func:`dropout`, in [0, 1).
    rng : None, int or numpy.random.Generator
        Source of the key; the key is the one that :func:`dropout` draws.

    Notes
    -----
    The result has the same bits as that of the two functions. Only it and the key are kept; the derivative by elu comes
    from it over its scale: where 1 / (1 - rate) is no power of two, a gradient may differ by a rounding of alpha.

    Examples
    --------
    >>> import gnnkit as gk
    >>> from gnnkit.autodiff import elu_dropout
    >>> x = gk.tensor([-1.0, 2.0, 3.0])
    >>> bool((elu_dropout(x, 1.0, 0.5, rng=0) == gk.dropout(gk.elu(x), 0.5, rng=0)).all())
    True
    """
    if not 0 < rate < 1 or not alpha >= 0 or hasattr(x, "__gnnkit_function__") or as_array(x).dtype.kind != "f":
        return dropout(elu(x, alpha), rate, rng=rng)  # nothing to fuse, or something to refuse
    return keyed_elu_dropout(x, float(alpha), _new_key(rng), float(rate))


@primitive
def keyed_elu_dropout(x: Any, alpha: float, key: int, rate: float) -> Any:
    return K.elu_dropout(x, alpha, key, rate)


def _elu_dropout_rule(g: Any, y: Any, x: Any, alpha: float, key: int, rate: float) -> Any:
    if not (is_tensor(g) or is_tensor(y)):
        return K.elu_dropout_adjoint(g, y, alpha, key, rate)
    kept = keyed_dropout(g, key, rate)  # to be differentiated again
    scale = y.dtype.type(1 / (1 - rate))
    return np.where(as_array(y) > 0, kept, kept * (y / scale + alpha))


defvjp(keyed_elu_dropout, _elu_dropout_rule, keep="y")
keyed_elu_dropout.op.name = "elu_dropout"  # type: ignore[attr-defined]


@primitive
def contiguous(x: Any) -> Any:
    """``x`` in C order, for kernels that read whole rows: a copy on several threads where it is not."""
    return K.contiguous(x)


defvjp(contiguous, lambda g, y, x: g, keep="")


def cross_entropy_rows(logits: Any, labels: Any) -> Any:
    """Return the negative log-probability of each row's label under the softmax of the row.

    Parameters
    ----------
    logits : array or Tensor, floating [num_rows, num_classes]
    labels : integer array [num_rows]
        Class of each row, in [0, num_classes).

    Returns
    -------
    array or Tensor [num_rows]

    Raises
    ------
    ShapeError, DTypeError, InvalidArgumentError
        If the shapes do not fit, labels are not integers, or a label is out of range (the first one is named).

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.cross_entropy_rows(np.array([[0.0, 0.0]]), np.array([1]))
    array([0.69314718])
    """
    labels, values = as_array(labels), as_array(logits)
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise ShapeError(
            f"Logits are [num_rows, num_classes] and labels [num_rows]. Got logits {values.shape} and labels "
            f"{labels.shape}. Give one integer label per row."
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"Labels are integers. Got dtype {labels.dtype}. Convert class numbers with .astype('int64').")
    bad = np.flatnonzero((labels < 0) | (labels >= values.shape[1]))
    if bad.size:
        raise InvalidArgumentError(
            f"Labels lie in [0, {values.shape[1]}). Label {labels[bad[0]]} of row {bad[0]} does not. "
            f"Leave such rows out, or give the logits more classes."
        )
    return row_losses(logits, labels.astype(np.int64, copy=False), {})


@primitive
def row_losses(logits: Any, labels: Any, saved: dict[str, Any]) -> Any:
    losses, saved["probabilities"] = K.softmax_cross_entropy(np.ascontiguousarray(logits), labels)
    return losses


def _row_losses_rule(g: Any, y: Any, logits: Any, labels: Any, saved: dict[str, Any]) -> Any:
    if not is_tensor(logits):  # a plain pass takes the probabilities that the forward kernel has already computed
        return K.cross_entropy_adjoint(g, labels, saved["probabilities"])
    rows = np.arange(len(labels))
    hits = np.zeros(logits.shape, logits.dtype)
    hits[rows, labels] = 1
    return g[:, None] * (softmax(logits) - hits)


defvjp(row_losses, _row_losses_rule)
row_losses.op.name = "cross_entropy_rows"  # type: ignore[attr-defined]


def take_rows(x: Any, index: Any) -> Any:
    """Return rows ``x[index]``; repeated rows add their adjoints in a fixed order.

    Parameters
    ----------
    x : array or Tensor [num_rows, ...]
    index : integer array [num_picked]
        In [0, num_rows).

    Raises
    ------
    DTypeError, InvalidArgumentError
        If the index does not hold integers, or one is out of range (the first one is named).

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.take_rows(gk.tensor([1.0, 2.0]), np.array([1, 1]))
    Tensor([2., 2.])
    """
    return pick_rows(x, _checked_index(index, np.shape(as_array(x))[0]))


@primitive
def pick_rows(x: Any, index: Any) -> Any:
    return K.gather(x, index)


def scatter_add(values: Any, index: Any, num_rows: int) -> Any:
    """Return zeros [num_rows, ...] with ``values[k]`` added to row ``index[k]``, in the order of k.

    Parameters
    ----------
    values : array or Tensor [num_values, ...]
    index : integer array [num_values]
        In [0, num_rows).
    num_rows : int

    Raises
    ------
    DTypeError, ShapeError, InvalidArgumentError
        If the index does not hold one integer per value, or one is out of range (the first one is named).

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.scatter_add(gk.tensor([1.0, 2.0]), np.array([1, 1]), 3)
    Tensor([0., 3., 0.])
    """
    index = _checked_index(index, num_rows)
    if index.shape != np.shape(as_array(values))[: index.ndim]:
        raise ShapeError(
            f"scatter_add takes one row index per value. Got values of shape {np.shape(as_array(values))} and "
            f"{index.shape} indices. Give arrays of equal length."
        )
    return add_rows(values, index, num_rows)


@primitive
def add_rows(values: Any, index: Any, num_rows: int) -> Any:
    return K.scatter_add(values, index, num_rows)


def _checked_index(index: Any, num_rows: int) -> np.ndarray:
    """The kernels trust positions: one that is out of range would read or write foreign memory."""
    array = as_array(index)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"Row indices are integers. Got dtype {array.dtype}. "
            f"{'Turn a mask into indices with np.flatnonzero(mask).' if array.dtype == bool else 'Convert them first.'}"
        )
    if array.min() < 0 or array.max() >= num_rows:
        k = int(np.argmax((array < 0) | (array >= num_rows)))
        raise InvalidArgumentError(
            f"Row indices lie in [0, {num_rows}). Index {array.flat[k]} at position {k} does not. "
            f"Correct it; negative positions are not counted from the end."
        )
    return array


pick_rows.op.name, add_rows.op.name = "take_rows", "scatter_add"  # type: ignore[attr-defined]
defvjp(pick_rows, lambda g, y, x, index: add_rows(g, index, x.shape[0]), keep="1")
defvjp(add_rows, lambda g, y, values, index, num_rows: pick_rows(g, index), keep="1")
