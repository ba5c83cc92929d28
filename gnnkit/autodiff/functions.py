"""Activations and soft reductions as operations, with derivatives computed from the result where that is possible.

Arrays in, arrays out; Tensors in, Tensors out. Imports primitives and numpy (scipy for `gelu`, when called).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gnnkit import kernels
from gnnkit.autodiff.nodes import defvjp
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.rules.reductions import kept_shape
from gnnkit.autodiff.rules.reductions import sum as axis_sum
from gnnkit.autodiff.tensors import as_array, is_tensor
from gnnkit.errors import InvalidArgumentError
from gnnkit.kernels import blockwise


@primitive
def relu(x: Any) -> Any:
    """Return the larger of x and 0.

    Notes
    -----
    The derivative at 0 is 0 (``np.maximum(x, 0)`` gives one half there). NaN stays NaN.

    References
    ----------
    Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.relu(gk.tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """
    return np.maximum(x, 0)


def _relu_rule(g: Any, y: Any, x: Any) -> Any:
    if is_tensor(g) or is_tensor(y):  # to be differentiated again
        return g * (as_array(y) > 0)
    return kernels.relu_adjoint(g, y)


defvjp(relu, _relu_rule, keep="y")


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Return x where it is positive, ``slope * x`` elsewhere.

    Parameters
    ----------
    x : array or Tensor
        Floating, any shape.
    slope : float
        At least 0. The derivative at 0 is ``slope``.

    References
    ----------
    Maas et al. (2013), Rectifier nonlinearities improve neural network acoustic models.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.leaky_relu(gk.tensor([-1.0, 2.0]), 0.2)
    Tensor([-0.2,  2. ])
    """
    if not slope >= 0:
        raise InvalidArgumentError(
            f"The slope of leaky_relu must be at least 0. Got {slope!r}. Choose a small positive number such as 0.2."
        )
    return _leaky_relu(x, float(slope))


@primitive
def _leaky_relu(x: Any, slope: float) -> Any:
    if 0 < slope <= 1:  # infinity times 0 would be NaN
        return blockwise(lambda x: np.maximum(x, slope * x), x)
    if slope == 0:
        return np.maximum(x, 0)
    return blockwise(lambda x: np.where(x > 0, x, slope * x), x)


# with slope >= 0 the result has the sign of x
def _leaky_relu_rule(g: Any, y: Any, x: Any, slope: float) -> Any:
    return blockwise(_leaky_relu_adjoint, g, y, slope)


def _leaky_relu_adjoint(g: Any, y: Any, slope: float) -> Any:
    positive = as_array(y) > 0
    if slope <= 1:
        return g * np.maximum(positive, y.dtype.type(slope))
    return g * np.where(positive, y.dtype.type(1), y.dtype.type(slope))


defvjp(_leaky_relu, _leaky_relu_rule, keep="y")
_leaky_relu.op.name = "leaky_relu"  # type: ignore[attr-defined]


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    x : array or Tensor
        Floating, any shape.
    alpha : float
        At least 0. The derivative at 0 is ``alpha``.

    References
    ----------
    Clevert et al. (2016), Fast and accurate deep network learning by exponential linear units.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.elu(gk.tensor([-1.0, 2.0]))
    Tensor([-0.63212056,  2.        ])
    """
    if not alpha >= 0:
        raise InvalidArgumentError(f"The alpha of elu must be at least 0. Got {alpha!r}. The usual choice is 1.")
    return _elu(x, float(alpha))


@primitive
def _elu(x: Any, alpha: float) -> Any:
    return kernels.elu(x, alpha)


def _elu_rule(g: Any, y: Any, x: Any, alpha: float) -> Any:
    if is_tensor(g) or is_tensor(y):  # to be differentiated again
        return np.where(as_array(y) > 0, g, g * (y + alpha))
    return kernels.elu_adjoint(g, y, alpha)


defvjp(_elu, _elu_rule, keep="y")
_elu.op.name = "elu"  # type: ignore[attr-defined]


@primitive
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), accurate and without overflow for every x.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.sigmoid(gk.tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0. , 0.5, 1. ])
    """
    return blockwise(lambda x: np.exp(np.minimum(x, 0)) / (1.0 + np.exp(-np.absolute(x))), x)


defvjp(sigmoid, lambda g, y, x: blockwise(lambda g, y: g * (y * (1 - y)), g, y), keep="y")


@primitive
def softplus(x: Any) -> Any:
    """Return log(1 + exp(x)), a smooth relu.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.softplus(gk.tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    return blockwise(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.absolute(x))), x)


defvjp(softplus, lambda g, y, x: g * sigmoid(x), keep="0")


@primitive
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent, as ``np.tanh``.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.tanh(gk.tensor([0.0]))
    Tensor([0.])
    """
    return blockwise(np.tanh, x)


def _tanh_rule(g: Any, y: Any, x: Any) -> Any:
    if is_tensor(g) or is_tensor(y):  # to be differentiated again
        return g * (1 - y * y)
    return kernels.tanh_adjoint(g, y)


defvjp(tanh, _tanh_rule, keep="y")


def silu(x: Any) -> Any:
    """Return x * sigmoid(x), also called swish.

    References
    ----------
    Elfwing et al. (2018), Sigmoid-weighted linear units for neural network function approximation.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.silu(gk.tensor([0.0, 1000.0]))
    Tensor([   0., 1000.])
    """
    return x * sigmoid(x)


@primitive
def erf(x: Any) -> Any:
    """Return the error function.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.autodiff.erf(gk.tensor([0.0, 10.0]))
    Tensor([0., 1.])
    """
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


defvjp(erf, lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-(x * x)), keep="0")


def _normal_cdf(x: Any) -> Any:
    return 0.5 + 0.5 * erf(x * math.sqrt(0.5))


@primitive
def gelu(x: Any) -> Any:
    """Return x times the normal distribution function of x (the exact form, not the tanh approximation).

    References
    ----------
    Hendrycks and Gimpel (2016), Gaussian error linear units.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.gelu(gk.tensor([0.0, 1.0]))
    Tensor([0.        , 0.84134475])
    """
    return blockwise(lambda x: x * _normal_cdf(x), x)


def _gelu_rule(g: Any, y: Any, x: Any) -> Any:
    return blockwise(_gelu_adjoint, g, x)


def _gelu_adjoint(g: Any, x: Any) -> Any:
    return g * (_normal_cdf(x) + x * np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi)))


defvjp(gelu, _gelu_rule, keep="0")


# --- soft reductions --------------------------------------------------------------------------------------------
def _finite_max(x: Any, axis: Any) -> Any:
    """The largest value along an axis, 0 where that is infinite or where there is none: what to subtract first."""
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(top), top, 0.0).astype(x.dtype, copy=False)


@primitive
def softmax(x: Any, axis: Any = -1) -> Any:
    """Return exp(x) divided by its sum along an axis.

    Parameters
    ----------
    x : array or Tensor
        Floating, any shape. ``-inf`` gives weight 0.
    axis : int or tuple of int
        Values along it sum to one. A row of nothing but ``-inf`` gives zeros.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.softmax(gk.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]])
    """
    e = np.exp(x - _finite_max(x, axis))
    total = axis_sum(e, axis, True)
    e /= np.where(total == 0, 1.0, total)
    return e


defvjp(softmax, lambda g, y, x, axis=-1: y * (g - axis_sum(g * y, axis, True)), keep="y")


@primitive
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """Return the logarithm of :func:`softmax`, accurate where the softmax is near 0.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.log_softmax(gk.tensor([0.0, 1000.0]))
    Tensor([-1000.,     0.])
    """
    shifted = x - _finite_max(x, axis)
    total = axis_sum(np.exp(shifted), axis, True)
    return shifted - np.log(np.where(total == 0, 1.0, total))  # of no channels, or of -inf only, it is 0


defvjp(log_softmax, lambda g, y, x, axis=-1: g - np.exp(y) * axis_sum(g, axis, True), keep="y")


@primitive
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the logarithm of the sum of exp(x) along an axis (default: of all values).

    Notes
    -----
    Of no values, or of ``-inf`` only, it is ``-inf``, with derivative 0.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.logsumexp(gk.tensor([1000.0, 1000.0]))
    Tensor(1000.69314718)
    """
    top = _finite_max(x, axis)
    with np.errstate(divide="ignore"):
        y = np.log(axis_sum(np.exp(x - top), axis, True)) + top
    return y if keepdims else np.squeeze(y, axis=axis)


def _logsumexp_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    shape = kept_shape(x.shape, axis)
    y = np.reshape(y, shape)
    return np.reshape(g, shape) * np.exp(x - np.where(np.isneginf(as_array(y)), 0.0, y))


defvjp(logsumexp, _logsumexp_rule, keep="0y")
