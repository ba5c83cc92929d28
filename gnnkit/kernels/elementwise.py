"""Doors of the fused element-wise kernels: dropout, ELU, Adam, softmax cross-entropy. Imports only floor 0.

Each pass over a large array costs its bytes; these kernels do in one pass what numpy would do in four to ten.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.parallel import parallel_rows
from gnnkit.kernels.twins import elementwise as twins

SHORT = 1 << 10  # elements that numpy handles as fast


def dropout(x: ArrayLike, key: int, rate: float) -> NDArray[Any]:
    """Set elements to zero with probability ``rate`` and scale the others by ``1 / (1 - rate)``.

    Parameters
    ----------
    x : float [...]
    key : int
        Seed of the pattern, taken modulo 2**64. Draw a new one from a Generator for every application.
    rate : float
        In ``0 .. 1``; 0 returns a copy, 1 returns zeros.

    Returns
    -------
    [...] of the dtype of ``x``

    Notes
    -----
    No mask is stored: whether element ``p`` (position in C order) is kept is decided by a counter hash, the low
    (even ``p``) or high half of output ``p // 2`` of the splitmix64 generator seeded by the hash of ``key``. Both
    backends and every number of threads give the same bits.
    The map is linear and diagonal, so it is its own adjoint under the same key.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.dropout(np.ones(8), 7, 0.5)
    array([0., 2., 0., 2., 2., 2., 0., 2.])
    """
    x = np.asarray(x)
    if x.dtype not in FAST_FLOATS or rate >= 1 or backend.current_backend() == "numpy":
        return twins.dropout(x, key, rate)
    out = empty(x.shape, x.dtype)
    start_state, threshold, scale = twins.dropout_constants(key, rate, x.dtype)
    args = (start_state, threshold, scale, read_only(x).reshape(1, -1), out.reshape(1, -1))
    parallel_rows(backend.loops("elementwise").dropout, (x.size + 1) // 2, args, width=2)
    return out


def adam_update(
    param: NDArray[Any],
    grad: ArrayLike,
    m: NDArray[Any],
    v: NDArray[Any],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    step: int,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """One Adam step in place: overwrites ``param``, ``m`` and ``v``.

    Parameters
    ----------
    param, m, v : float [...]
        C-contiguous, of one dtype and shape: the parameter, its first and its second moment.
    grad : float [...]
    lr, beta1, beta2, eps : float
    step : int
        Counts from 1.
    weight_decay : float
        Factor of the parameter that is added to the gradient (Adam), or subtracted from the parameter times ``lr``
        (``decoupled``: AdamW).
    decoupled : bool

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. Loshchilov and Hutter, "Decoupled weight
    decay regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> p, m, v = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
    >>> K.adam_update(p, np.array([3.0, -3.0]), m, v, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, step=1)
    >>> p.round(6)
    array([0.9, 1.1])
    """
    grad = np.asarray(grad)
    settings: dict[str, Any] = {
        "lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "step": step,
        "weight_decay": weight_decay, "decoupled": decoupled,
    }  # fmt: skip
    arrays = (param, m, v)
    usual = param.dtype in FAST_FLOATS and all(a.flags.c_contiguous and a.dtype == param.dtype for a in arrays)
    if not usual or backend.current_backend() == "numpy":
        twins.adam_update(param, grad, m, v, **settings)
        return
    constants = twins.adam_constants(param.dtype, **settings)
    flat = (read_only(grad, param.dtype).reshape(-1), param.reshape(-1), m.reshape(-1), v.reshape(-1))
    parallel_rows(backend.loops("elementwise").adam_update, param.size, (read_only(constants), *flat), width=4)


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cross-entropy of every row between its softmax and its label, and the softmax itself.

    Parameters
    ----------
    logits : float [num_rows, num_classes]
    labels : int [num_rows]
        Class of each row, in ``0 .. num_classes``.

    Returns
    -------
    loss : [num_rows]
        ``-log(probabilities[i, labels[i]])``, computed without overflow or underflow.
    probabilities : [num_rows, num_classes]
        The derivative of ``loss[i]`` by the logits is ``probabilities[i]`` minus the one-hot label.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> loss, p = K.softmax_cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    >>> loss.round(6), p
    (array([6.93147e-01, 1.00000e+03]), array([[0.5, 0.5],
           [1. , 0. ]]))
    """
    logits, labels = np.asarray(logits), read_only(labels, np.int64)
    if logits.dtype not in FAST_FLOATS or logits.size == 0 or backend.current_backend() == "numpy":
        return twins.softmax_cross_entropy(logits, labels)
    loss, probabilities = np.empty(len(logits), logits.dtype), np.empty(logits.shape, logits.dtype)
    args = (read_only(logits), labels, loss, probabilities)
    parallel_rows(backend.loops("elementwise").softmax_cross_entropy, len(logits), args, width=4 * logits.shape[1])
    return loss, probabilities


def cross_entropy_adjoint(g: ArrayLike, labels: ArrayLike, probabilities: ArrayLike) -> NDArray[Any]:
    """Adjoint of :func:`softmax_cross_entropy` by the logits, from its probabilities.

    Parameters
    ----------
    g : float [num_rows]
        Adjoint of the losses.
    labels : int [num_rows]
    probabilities : float [num_rows, num_classes]

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.cross_entropy_adjoint(np.array([2.0]), np.array([1]), np.array([[0.25, 0.75]]))
    array([[ 0.5, -0.5]])
    """
    g, probabilities, labels = np.asarray(g), np.asarray(probabilities), read_only(labels, np.int64)
    usual = g.dtype == probabilities.dtype and g.dtype in FAST_FLOATS and probabilities.size > 0
    if not usual or backend.current_backend() == "numpy":
        return twins.cross_entropy_adjoint(g, labels, probabilities)
    out = np.empty(probabilities.shape, probabilities.dtype)
    args = (read_only(g), labels, read_only(probabilities), out)
    parallel_rows(backend.loops("elementwise").cross_entropy_adjoint, len(out), args, width=2 * out.shape[1])
    return out


def elu(x: ArrayLike, alpha: float = 1.0) -> NDArray[Any]:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    x : float [...]
    alpha : float

    Returns
    -------
    [...] of the dtype of ``x``

    References
    ----------
    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", ICLR
    2016.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.elu(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """
    x = np.asarray(x)
    if x.dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.elu(x, alpha)
    out = empty(x.shape, x.dtype)
    args = (float(alpha), read_only(x).reshape(1, -1), out.reshape(1, -1))
    parallel_rows(backend.loops("elementwise").elu, x.size, args, width=2)
    return out


def elu_adjoint(g: ArrayLike, y: ArrayLike, alpha: float = 1.0) -> NDArray[Any]:
    """Adjoint of :func:`elu` from its result: ``g`` where ``y`` is positive, else ``g * (y + alpha)``.

    Parameters
    ----------
    g, y : float [...]
        Adjoint of the result, and the result.
    alpha : float

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.elu_adjoint(np.array([1.0, 1.0]), np.array([-0.75, 2.0]))
    array([0.25, 1.  ])
    """
    g, y = np.asarray(g), np.asarray(y)
    usual = g.dtype == y.dtype and y.dtype in FAST_FLOATS and g.shape == y.shape
    if not usual or backend.current_backend() == "numpy":
        return twins.elu_adjoint(g, y, alpha)
    out = empty(y.shape, y.dtype)
    args = (float(alpha), *(read_only(a).reshape(1, -1) for a in (g, y)), out.reshape(1, -1))
    parallel_rows(backend.loops("elementwise").elu_adjoint, y.size, args, width=2)
    return out


def elu_dropout(x: ArrayLike, alpha: float, key: int, rate: float) -> NDArray[Any]:
    """``dropout(elu(x, alpha), key, rate)`` in one pass, with the same bits.

    Parameters
    ----------
    x : float [...]
    alpha : float
        Of :func:`elu`.
    key : int
    rate : float
        Of :func:`dropout`.

    Returns
    -------
    [...] of the dtype of ``x``

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.elu_dropout(np.array([-1.0, -1.0, 1.0, 1.0]), 1.0, 7, 0.5).round(4)
    array([ 0.    , -1.2642,  0.    ,  2.    ])
    """
    x = np.asarray(x)
    if x.dtype not in FAST_FLOATS or rate >= 1 or backend.current_backend() == "numpy":
        return twins.elu_dropout(x, alpha, key, rate)
    out = empty(x.shape, x.dtype)
    args = (*twins.dropout_constants(key, rate, x.dtype), float(alpha), read_only(x).reshape(1, -1))
    parallel_rows(backend.loops("elementwise").elu_dropout, (x.size + 1) // 2, (*args, out.reshape(1, -1)), width=4)
    return out


def elu_dropout_adjoint(g: ArrayLike, y: ArrayLike, alpha: float, key: int, rate: float) -> NDArray[Any]:
    """Adjoint of :func:`elu_dropout` from its result.

    Parameters
    ----------
    g, y : float [...]
        Adjoint of the result, and the result.
    alpha, key, rate
        What the result was computed with.

    Returns
    -------
    [...] of the dtype of ``g``

    Notes
    -----
    It is ``elu_adjoint(dropout(g, key, rate), y / scale, alpha)``: the result of :func:`elu` need not be kept. Where
    ``scale``, ``1 / (1 - rate)``, is a power of two these are the bits of the two adjoints one after the other;
    elsewhere dividing by it rounds once more. Where dropped, it is 0, even if the result of :func:`elu` was NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.elu_dropout_adjoint(np.ones(4), np.array([0.0, -1.5, 0.0, 2.0]), 1.0, 7, 0.5)
    array([0. , 0.5, 0. , 2. ])
    """
    g, y = np.asarray(g), np.asarray(y)
    usual = g.dtype == y.dtype and y.dtype in FAST_FLOATS and g.shape == y.shape and rate < 1
    if not usual or backend.current_backend() == "numpy":
        return twins.elu_dropout_adjoint(g, y, alpha, key, rate)
    out = empty(y.shape, y.dtype)
    arrays = (*(read_only(a).reshape(1, -1) for a in (g, y)), out.reshape(1, -1))
    args = (*twins.dropout_constants(key, rate, y.dtype), float(alpha), *arrays)
    parallel_rows(backend.loops("elementwise").elu_dropout_adjoint, (y.size + 1) // 2, args, width=4)
    return out


def relu_adjoint(g: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """Adjoint of the larger of x and 0 from its result: ``g`` times 1 where ``y`` is positive, else times 0.

    Parameters
    ----------
    g, y : float [...]
        Adjoint of the result, and the result.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.relu_adjoint(np.array([3.0, 3.0]), np.array([0.0, 2.0]))
    array([0., 3.])
    """
    return _by_result("relu_adjoint", g, y)


def tanh_adjoint(g: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """Adjoint of the hyperbolic tangent from its result: ``g * (1 - y**2)``.

    Parameters
    ----------
    g, y : float [...]
        Adjoint of the result, and the result.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> K.tanh_adjoint(np.array([4.0, 4.0]), np.array([0.0, 0.5]))
    array([4., 3.])
    """
    return _by_result("tanh_adjoint", g, y)


def _by_result(name: str, g: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """An element-wise adjoint that needs nothing but the result."""
    g, y = np.asarray(g), np.asarray(y)
    usual = g.dtype == y.dtype and y.dtype in FAST_FLOATS and g.shape == y.shape and y.size >= SHORT
    if not usual or backend.current_backend() == "numpy":
        return getattr(twins, name)(g, y)  # type: ignore[no-any-return]
    out = empty(y.shape, y.dtype)
    args = (*(read_only(a).reshape(1, -1) for a in (g, y)), out.reshape(1, -1))
    parallel_rows(getattr(backend.loops("elementwise"), name), y.size, args, width=2)
    return out
