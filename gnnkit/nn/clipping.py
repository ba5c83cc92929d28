"""Clipping of gradients between backward and step. Imports the module base and the error tree."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gnnkit.errors import GradientError, InvalidArgumentError
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


def clip_grad_norm(parameters: Module | Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients together so that their joint Euclidean norm is at most ``max_norm``.

    Parameters
    ----------
    parameters : Module or iterable of Parameter
        Those without a gradient count as 0.
    max_norm : float
        Positive.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    GradientError
        If the norm is NaN or infinite; the first such parameter is named.

    References
    ----------
    Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013.

    Examples
    --------
    >>> import gnnkit as gk
    >>> w = gk.nn.Parameter([0.0, 0.0])
    >>> (w * [3.0, 4.0]).sum().backward()
    >>> gk.nn.clip_grad_norm([w], 1.0), w.grad.numpy().round(4).tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    _check_limit("max_norm", max_norm)
    gradients = _gradients(parameters)
    squares = {name: float(np.sum(np.square(g, dtype=np.float64))) for name, g in gradients.items()}
    norm = float(np.sqrt(sum(squares.values())))
    if not np.isfinite(norm):
        name = next(name for name, square in squares.items() if not np.isfinite(square))
        raise GradientError(
            f"Clipping needs finite gradients. That of parameter {name!r} holds NaN or infinity. "
            "Lower the learning rate, or look for a log or a division by 0."
        )
    if norm > max_norm:
        for gradient in gradients.values():
            gradient *= max_norm / norm
    return norm


def clip_grad_value(parameters: Module | Iterable[Parameter], max_value: float) -> None:
    """Limit every value of every gradient to +-``max_value``.

    Examples
    --------
    >>> import gnnkit as gk
    >>> w = gk.nn.Parameter([0.0, 0.0])
    >>> (w * [3.0, 0.25]).sum().backward()
    >>> gk.nn.clip_grad_value([w], 1.0)
    >>> w.grad.numpy().tolist()
    [1.0, 0.25]
    """
    _check_limit("max_value", max_value)
    for gradient in _gradients(parameters).values():
        np.clip(gradient, -max_value, max_value, out=gradient)


def _gradients(parameters: Module | Iterable[Parameter]) -> dict[str, np.ndarray]:
    if isinstance(parameters, Module):
        named = dict(parameters.named_parameters())
    else:
        named = {str(number): parameter for number, parameter in enumerate(parameters)}
    found = {}
    for name, parameter in named.items():
        if parameter.grad is not None:
            if not parameter.grad.data.flags.writeable:  # a broadcast gradient is a view of one number
                parameter.grad.data = parameter.grad.data.copy()
            found[name] = parameter.grad.data
    return found


def _check_limit(name: str, value: float) -> None:
    if not value > 0:
        raise InvalidArgumentError(f"{name} must be positive. Got {value!r}. Use for example 1.0.")
