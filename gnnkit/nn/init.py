"""Initialisers: functions (shape, rng) -> float64 array. Import numpy and the error tree only.

They draw in float64 whatever the parameter's dtype, so that a model in float32 and one in float64 start from the same
values. ``shape`` is ``[in, out]`` (or ``[..., in, out]``) as in ``x @ weight``: fan-in is the second last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gnnkit.errors import ShapeError

Initialiser = Callable[[Sequence[int], np.random.Generator], np.ndarray]


def glorot_uniform(shape: Sequence[int], rng: np.random.Generator, *, gain: float = 1.0) -> np.ndarray:
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)): keeps the variance forward and backward.

    Parameters
    ----------
    shape
        ``[..., fan_in, fan_out]``; leading axes (heads) are independent blocks.
    rng
        Where the numbers come from.
    gain
        Factor for the non-linearity that follows.

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.

    Examples
    --------
    >>> import numpy as np
    >>> w = glorot_uniform((3, 3), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 1.0), w.shape
    (True, (3, 3))
    """
    fan_in, fan_out = _fans(shape)
    bound = gain * np.sqrt(6.0 / max(fan_in + fan_out, 1))
    return rng.uniform(-bound, bound, tuple(shape))


def glorot_normal(shape: Sequence[int], rng: np.random.Generator, *, gain: float = 1.0) -> np.ndarray:
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)); see :func:`glorot_uniform`."""
    fan_in, fan_out = _fans(shape)
    return rng.normal(0.0, gain * np.sqrt(2.0 / max(fan_in + fan_out, 1)), tuple(shape))


def kaiming_uniform(shape: Sequence[int], rng: np.random.Generator, *, slope: float = 0.0) -> np.ndarray:
    """Uniform in +-sqrt(6 / ((1 + slope^2) fan_in)): keeps the variance forward through (leaky) ReLUs.

    ``slope=sqrt(5)`` gives +-1 / sqrt(fan_in), the customary start of a linear layer in PyTorch.

    References
    ----------
    He et al., Delving deep into rectifiers, ICCV 2015.
    """
    bound = np.sqrt(6.0 / ((1.0 + slope**2) * max(_fans(shape)[0], 1)))
    return rng.uniform(-bound, bound, tuple(shape))


def kaiming_normal(shape: Sequence[int], rng: np.random.Generator, *, slope: float = 0.0) -> np.ndarray:
    """Normal with standard deviation sqrt(2 / ((1 + slope^2) fan_in)); see :func:`kaiming_uniform`."""
    return rng.normal(0.0, np.sqrt(2.0 / ((1.0 + slope**2) * max(_fans(shape)[0], 1))), tuple(shape))


def uniform(shape: Sequence[int], rng: np.random.Generator, *, bound: float = 1.0) -> np.ndarray:
    """Uniform in +-bound."""
    return rng.uniform(-bound, bound, tuple(shape))


def normal(shape: Sequence[int], rng: np.random.Generator, *, std: float = 1.0) -> np.ndarray:
    """Normal with mean 0 and standard deviation ``std``."""
    return rng.normal(0.0, std, tuple(shape))


def zeros(shape: Sequence[int], rng: np.random.Generator | None = None) -> np.ndarray:
    """All zeros; draws nothing."""
    return np.zeros(tuple(shape))


def ones(shape: Sequence[int], rng: np.random.Generator | None = None) -> np.ndarray:
    """All ones; draws nothing."""
    return np.ones(tuple(shape))


def orthogonal(shape: Sequence[int], rng: np.random.Generator, *, gain: float = 1.0) -> np.ndarray:
    """Orthonormal rows or columns (whichever is shorter) times ``gain``, for ``shape`` of two axes.

    References
    ----------
    Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural networks, ICLR 2014.
    """
    if len(shape) != 2:
        raise ShapeError(
            f"An orthogonal start is a matrix. Got shape {list(shape)}. Draw each matrix of a stack on its own."
        )
    rows, columns = shape
    if min(rows, columns) == 0:
        return np.zeros((rows, columns))
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform over orthogonal matrices
    return gain * (q if rows >= columns else q.T)


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) == 0:
        raise ShapeError(
            "A scaled start needs at least one axis, as it depends on fan-in. Got shape []. "
            "Use init.zeros or init.ones."
        )
    return (shape[-2], shape[-1]) if len(shape) > 1 else (shape[0], 1)
