"""Activation functions as modules, for use in Sequential. May import autodiff, graph and the module base.

Each works element by element (softmax: along the channels) on the node features of a graph or on an array.
"""

from __future__ import annotations

from typing import Any

from gnnkit import autodiff
from gnnkit.autodiff import Tensor
from gnnkit.errors import unknown_name
from gnnkit.graph import Graph
from gnnkit.nn.declared import POINTWISE
from gnnkit.nn.inputs import FeatureModule, require_dense
from gnnkit.nn.module import Module


class _Activation(FeatureModule):
    symmetry = POINTWISE | {"channels": "equivariant"}

    def features(self, x: Any, graph: Graph | None) -> Tensor:
        return self.function(require_dense(x, self))

    def function(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ReLU(_Activation):
    """max(x, 0), derivative 0 at 0.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.ReLU()(np.array([[-1.0, 2.0]])).numpy()
    array([[0., 2.]])
    """

    def function(self, x: Tensor) -> Tensor:
        return autodiff.relu(x)


class LeakyReLU(_Activation):
    """x where positive, ``slope * x`` elsewhere.

    Parameters
    ----------
    slope : float
        0.2 as in the GAT paper.
    """

    def __init__(self, slope: float = 0.2) -> None:
        self.slope = float(slope)

    def function(self, x: Tensor) -> Tensor:
        return autodiff.leaky_relu(x, self.slope)


class ELU(_Activation):
    """x where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    References
    ----------
    Clevert et al., Fast and accurate deep network learning by exponential linear units, ICLR 2016.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def function(self, x: Tensor) -> Tensor:
        return autodiff.elu(x, self.alpha)

    def then_dropout(self, value: Any, dropout: Any) -> Any:
        def both(x: Any, graph: Graph | None) -> Tensor:
            return autodiff.elu_dropout(require_dense(x, self), self.alpha, dropout.rate, rng=dropout.generator)

        return self._with_features(value, both)


class GELU(_Activation):
    """x times the standard normal distribution function at x.

    References
    ----------
    Hendrycks and Gimpel, Gaussian error linear units, arXiv 1606.08415, 2016.
    """

    def function(self, x: Tensor) -> Tensor:
        return autodiff.gelu(x)


class SiLU(_Activation):
    """x times sigmoid(x), also called swish.

    References
    ----------
    Elfwing et al., Sigmoid-weighted linear units, Neural Networks 2018.
    """

    def function(self, x: Tensor) -> Tensor:
        return autodiff.silu(x)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)), without overflow."""

    def function(self, x: Tensor) -> Tensor:
        return autodiff.sigmoid(x)


class Tanh(_Activation):
    """Hyperbolic tangent."""

    def function(self, x: Tensor) -> Tensor:
        return autodiff.tanh(x)


class Softplus(_Activation):
    """log(1 + exp(x)), without overflow."""

    def function(self, x: Tensor) -> Tensor:
        return autodiff.softplus(x)


class Softmax(_Activation):
    """exp(x) over its sum along the channels of each node: probabilities.

    Notes
    -----
    :func:`gnnkit.nn.cross_entropy` takes logits: do not put a Softmax before it.
    """

    def function(self, x: Tensor) -> Tensor:
        return autodiff.softmax(x, axis=-1)


class LogSoftmax(_Activation):
    """Logarithm of :class:`Softmax`, computed without under- or overflow."""

    def function(self, x: Tensor) -> Tensor:
        return autodiff.log_softmax(x, axis=-1)


_NAMES: dict[str, type[Module]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
}


def activation_named(activation: str | Module) -> Module:
    """Return the activation module of that name, or the module that was passed.

    Raises
    ------
    UnknownNameError
        With the closest known names.

    Examples
    --------
    >>> activation_named("elu")
    ELU()
    """
    if isinstance(activation, Module):
        return activation
    if activation not in _NAMES:
        raise unknown_name("activation", activation, _NAMES)
    return _NAMES[activation]()
