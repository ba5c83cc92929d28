"""The element-wise kernels in plain numpy: the specification of kernels/elementwise.py. Imports only numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of the splitmix64 generator (Steele, Lea, Flood 2014)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def dropout_constants(key: int, rate: float, dtype: np.dtype[Any]) -> tuple[np.uint64, np.uint32, Any]:
    """State before position 0, threshold (half a hash at or above it keeps) and scale of the kept elements.

    The key is hashed first, so that keys 1, 2, 3 do not give shifted copies of one pattern. Needs a rate below 1.
    """
    start = splitmix64(np.array([(int(key) + _GOLDEN_GAMMA) & _MASK], np.uint64))[0]
    return start, np.uint32(int(rate * 2.0**32)), dtype.type(1.0 / (1.0 - rate))


def dropout(x: ArrayLike, key: int, rate: float) -> NDArray[Any]:
    x = np.asarray(x)
    out = np.zeros(x.shape, x.dtype)
    if rate >= 1:
        return out
    start, threshold, scale = dropout_constants(key, rate, x.dtype)
    counter = np.arange(1, x.size // 2 + 2, dtype=np.uint64)
    halves = splitmix64(start + counter * np.uint64(_GOLDEN_GAMMA)).astype("<u8", copy=False).view("<u4")
    kept = (halves[: x.size] >= threshold).reshape(x.shape)
    np.multiply(x, scale, out=out, where=kept)
    return out


def adam_constants(
    dtype: np.dtype[Any], *, lr: float, beta1: float, beta2: float, eps: float, step: int,
    weight_decay: float = 0.0, decoupled: bool = False,
) -> NDArray[Any]:  # fmt: skip
    """Everything of one Adam step that is the same for all elements, computed in double precision."""
    shrink = 1.0 - lr * weight_decay if decoupled else 1.0
    added = 0.0 if decoupled else weight_decay
    step_size, root = lr / (1.0 - beta1**step), math.sqrt(1.0 - beta2**step)
    return np.array([beta1, 1.0 - beta1, beta2, 1.0 - beta2, step_size, root, eps, shrink, added], dtype)


def adam_update(
    param: NDArray[Any], grad: ArrayLike, m: NDArray[Any], v: NDArray[Any], *,
    lr: float, beta1: float, beta2: float, eps: float, step: int,
    weight_decay: float = 0.0, decoupled: bool = False,
) -> None:  # fmt: skip
    b1, one_minus_b1, b2, one_minus_b2, step_size, root, eps_, shrink, added = adam_constants(
        param.dtype, lr=lr, beta1=beta1, beta2=beta2, eps=eps, step=step, weight_decay=weight_decay, decoupled=decoupled
    )
    gradient = np.asarray(grad).astype(param.dtype, copy=False) + added * param
    m[...] = b1 * m + one_minus_b1 * gradient
    v[...] = b2 * v + one_minus_b2 * gradient * gradient
    param[...] = shrink * param - step_size * m / (np.sqrt(v) / root + eps_)


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.dtype.kind != "f":
        logits = logits.astype(np.float64)
    if logits.size == 0:
        return np.zeros(len(logits), logits.dtype), np.zeros(logits.shape, logits.dtype)
    top = logits.max(axis=1, keepdims=True)
    top = np.where(np.isinf(top), 0, top).astype(logits.dtype)
    exponentials = np.exp(logits - top)
    totals = exponentials.sum(axis=1, keepdims=True)
    chosen = np.take_along_axis(logits, labels.reshape(-1, 1), axis=1)
    return (np.log(totals) + (top - chosen))[:, 0], exponentials / totals


def elu(x: ArrayLike, alpha: float = 1.0) -> NDArray[Any]:
    x = np.asarray(x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype, copy=False)


def elu_adjoint(g: ArrayLike, y: ArrayLike, alpha: float = 1.0) -> NDArray[Any]:
    g, y = np.asarray(g), np.asarray(y)
    return np.where(y > 0, g, g * (y + alpha)).astype(g.dtype, copy=False)


def elu_dropout(x: ArrayLike, alpha: float, key: int, rate: float) -> NDArray[Any]:
    return dropout(elu(x, alpha), key, rate)


def elu_dropout_adjoint(g: ArrayLike, y: ArrayLike, alpha: float, key: int, rate: float) -> NDArray[Any]:
    g, y = np.asarray(g), np.asarray(y)
    if rate >= 1:
        return np.zeros(g.shape, g.dtype)
    _, _, scale = dropout_constants(key, rate, y.dtype)
    return elu_adjoint(dropout(g, key, rate), y / scale, alpha)


def cross_entropy_adjoint(g: ArrayLike, labels: ArrayLike, probabilities: ArrayLike) -> NDArray[Any]:
    g, labels, probabilities = np.asarray(g), np.asarray(labels), np.asarray(probabilities)
    hits = np.zeros_like(probabilities)
    hits[np.arange(len(labels)), labels] = 1
    return g[:, None] * (probabilities - hits)


def relu_adjoint(g: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    return np.asarray(g) * (np.asarray(y) > 0)


def tanh_adjoint(g: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    g, y = np.asarray(g), np.asarray(y)
    return g * ((1 - y) * (1 + y))
