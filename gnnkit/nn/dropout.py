"""Dropout of features. May import autodiff, graph and the module base."""

from __future__ import annotations

from typing import Any

from gnnkit import autodiff
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.nn.declared import POINTWISE
from gnnkit.nn.inputs import FeatureModule, input_features
from gnnkit.nn.module import Module, is_observed


class Dropout(FeatureModule):
    """While training, set each value to 0 with probability ``rate`` and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        Probability of being dropped, in [0, 1).

    Notes
    -----
    At evaluation, and with rate 0, the input passes unchanged. Of a sparse matrix the stored values are dropped, as in
    the code of the GCN paper: zeros stay zero either way. The numbers come from the module's own generator: call
    ``model.seed(0)`` for the same masks in each run. What it promises holds at evaluation; while training it holds for
    the distribution, not for two draws.

    References
    ----------
    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 2014.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> layer = gk.nn.Dropout(0.5).seed(0)
    >>> y = layer(np.ones((2, 50))).numpy()
    >>> sorted({float(v) for v in y.ravel()})
    [0.0, 2.0]
    >>> float(layer.eval()(np.ones((2, 50))).numpy().min())
    1.0
    """

    stochastic = True
    symmetry = POINTWISE | {"channels": "equivariant"}

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_rate(rate)

    def features(self, x: Any, graph: Graph | None) -> Any:
        x = input_features(x, None, None, self)
        if not self.training or self.rate == 0.0:
            return x
        return autodiff.dropout(x, self.rate, rng=self.generator)

    def extra_repr(self) -> str:
        return f"{self.rate:g}"


def joins(layer: Module, following: Module) -> bool:
    """Whether ``following`` is a Dropout at work that ``layer`` can apply in its own pass, by ``then_dropout``.

    Its class itself must define that, as what inherits it may compute something else; nobody may be watching; and no
    method may be replaced in one of the two modules (one that is replaced in the class is not noticed).
    """
    replaced = {"forward", "features", "function"} & (vars(layer).keys() | vars(following).keys())
    return (
        "then_dropout" in vars(type(layer))
        and type(following) is Dropout
        and following.training
        and following.rate > 0
        and not is_observed()
        and not replaced
    )


def check_rate(rate: float, name: str = "rate") -> float:
    """Return a dropout probability if it lies in [0, 1)."""
    if not 0.0 <= rate < 1.0:
        raise InvalidArgumentError(
            f"A dropout {name} must lie in [0, 1). Got {rate!r}. Use for example 0.5 to drop half of the values."
        )
    return float(rate)
