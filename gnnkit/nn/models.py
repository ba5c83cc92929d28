"""Whole models by name, with the architectures of their papers. Imports the layers.

Hyper-parameters are arguments; the values that reproduce a published result stand with the training presets.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.nn.activations import ELU, ReLU
from gnnkit.nn.containers import Sequential
from gnnkit.nn.conv import (
    APPNP,
    ChebConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    GraphConv,
    SAGEConv,
    SGConv,
)
from gnnkit.nn.dropout import Dropout
from gnnkit.nn.linear import MLP, Linear
from gnnkit.nn.module import Module
from gnnkit.nn.pool import GlobalPool

Builder = Callable[..., Sequential]


def build(
    name: str,
    in_channels: int,
    out_channels: int,
    *,
    rng: int | np.random.Generator | None = None,
    dtype: DTypeLike = np.float32,
    **hyper: Any,
) -> Sequential:
    """Build a model by name: a graph in, the graph with ``out_channels`` scores per node out.

    Parameters
    ----------
    name : str
        "gcn", "sage", "gat", "gatv2", "gin", "sgc", "appnp", "cheb", "graphconv" or "mlp".
    in_channels, out_channels : int
        Channels of ``x``; number of classes or targets.
    rng : None, int or numpy.random.Generator
        Draws the parameters, then seeds the dropout; the same seed gives the same bits.
    dtype
        Dtype of the parameters.
    **hyper
        Hyper-parameters of the model; see :func:`hyperparameters` for the names and defaults of each.

    Returns
    -------
    Sequential
        Its layers can be read, indexed, summarised and saved.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    InvalidArgumentError
        If the model has no such hyper-parameter.

    Notes
    -----
    Where the paper decays the weights of the first layer only (GCN, Cheb, APPNP), the others have ``decay = 0``, so
    that an optimiser with ``weight_decay`` does the same.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.models.build("gcn", 1433, 7, hidden=16, rng=0)
    Sequential(
      (0): Dropout(0.5)
      (1): GCNConv(1433, 16)
      (2): ReLU()
      (3): Dropout(0.5)
      (4): GCNConv(16, 7)
    )
    """
    if name not in _BUILDERS:
        raise unknown_name("model", name, _BUILDERS)
    known = hyperparameters(name)
    odd = sorted(set(hyper) - set(known))
    if odd:
        raise InvalidArgumentError(
            f"The model {name!r} has the hyper-parameters {', '.join(known)}. Got {', '.join(odd)}. "
            "Leave it out, or choose a model that has it."
        )
    rng = np.random.default_rng(rng)
    model = _BUILDERS[name](in_channels, out_channels, {"rng": rng, "dtype": dtype}, **hyper)
    return model.seed(rng)


def names() -> list[str]:
    """Return the names that :func:`build` knows.

    Examples
    --------
    >>> import gnnkit as gk
    >>> "gcn" in gk.nn.models.names()
    True
    """
    return sorted(_BUILDERS)


def hyperparameters(name: str) -> dict[str, Any]:
    """Return the hyper-parameters of a model and their defaults.

    Parameters
    ----------
    name : str
        Model name.

    Raises
    ------
    UnknownNameError
        If no model has that name.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.nn.models.hyperparameters("appnp")
    {'hidden': 64, 'layers': 2, 'dropout': 0.5, 'K': 10, 'alpha': 0.1, 'edge_weight': None}
    """
    if name not in _BUILDERS:
        raise unknown_name("model", name, _BUILDERS)
    parameters = inspect.signature(_BUILDERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


# --- architectures: (in_channels, out_channels, {rng, dtype}, *, hyper-parameters) ----------------------------------


def _widths(in_channels: int, hidden: int, layers: int, out_channels: int) -> list[tuple[int, int]]:
    if layers < 1:
        raise InvalidArgumentError(f"A model needs at least 1 layer. Got layers={layers!r}. The papers use 2.")
    channels = [in_channels, *[hidden] * (layers - 1), out_channels]
    return list(pairwise(channels))


def _stack(convolutions: list[Module], dropout: float) -> Sequential:
    """Dropout, convolution, ReLU, ..., dropout, convolution."""
    layers: list[Module] = []
    for position, convolution in enumerate(convolutions):
        layers += [Dropout(dropout)] if dropout else []
        layers += [convolution] if position == len(convolutions) - 1 else [convolution, ReLU()]
    return Sequential(*layers)


def _decay_first_only(model: Sequential) -> Sequential:
    first = True
    for layer in model:
        for parameter in layer.parameters():
            parameter.decay = parameter.decay if first else 0.0
        first = first and not any(True for _ in layer.parameters())
    return model


def _gcn(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 16,
    layers: int = 2,
    dropout: float = 0.5,
    edge_weight: str | None = None,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    return _decay_first_only(_stack([GCNConv(a, b, edge_weight=edge_weight, **base) for a, b in widths], dropout))


def _sage(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    reducer: str = "mean",
    edge_weight: str | None = None,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    return _stack([SAGEConv(a, b, reducer=reducer, edge_weight=edge_weight, **base) for a, b in widths], dropout)


def _graphconv(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    edge_weight: str | None = None,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    return _stack([GraphConv(a, b, edge_weight=edge_weight, **base) for a, b in widths], dropout)


def _cheb(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 16,
    layers: int = 2,
    dropout: float = 0.5,
    K: int = 3,
    edge_weight: str | None = None,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    convolutions: list[Module] = [ChebConv(a, b, K=K, edge_weight=edge_weight, **base) for a, b in widths]
    return _decay_first_only(_stack(convolutions, dropout))


def _attention(layer: type[GATConv] | type[GATv2Conv]) -> Builder:
    def attention(
        in_channels: int,
        out_channels: int,
        base: dict[str, Any],
        *,
        hidden: int = 8,
        layers: int = 2,
        heads: int = 8,
        out_heads: int = 1,
        dropout: float = 0.6,
        attention_dropout: float | None = None,
    ) -> Sequential:
        """``heads`` of ``hidden`` channels, concatenated, ELU; the last layer averages ``out_heads``."""
        drop = dropout if attention_dropout is None else attention_dropout
        modules: list[Module] = []
        for position, (fan_in, fan_out) in enumerate(_widths(in_channels, hidden, layers, out_channels)):
            first, last = position == 0, position == layers - 1
            modules += [Dropout(dropout)] if dropout else []
            width = fan_in if first else fan_in * heads
            count = out_heads if last else heads
            modules.append(layer(width, fan_out, heads=count, concat=not last, dropout=drop, **base))
            modules += [] if last else [ELU()]
        return Sequential(*modules)

    return attention


def _gin(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    norm: str | None = "batch",
    train_eps: bool = False,
    readout: str | None = None,
    edge_weight: str | None = None,
) -> Sequential:
    """GIN layers with MLPs of two layers, then a linear map of each node; of each graph if ``readout`` is a reducer."""
    modules: list[Module] = []
    for fan_in, fan_out in _widths(in_channels, hidden, layers, hidden):
        mlp = MLP([fan_in, hidden, fan_out], norm=norm, **base)
        modules += [GINConv(mlp, train_eps=train_eps, edge_weight=edge_weight, dtype=base["dtype"]), ReLU()]
    last = [Dropout(dropout)] if dropout else []
    head = [*last, Linear(hidden, out_channels, **base)]
    return Sequential(*modules, *(head if readout is None else [GlobalPool(readout, head=Sequential(*head))]))


def _sgc(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    K: int = 2,
    edge_weight: str | None = None,
) -> Sequential:
    return Sequential(SGConv(in_channels, out_channels, K=K, edge_weight=edge_weight, **base))


def _appnp(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    K: int = 10,
    alpha: float = 0.1,
    edge_weight: str | None = None,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    model = _decay_first_only(_stack([Linear(a, b, **base) for a, b in widths], dropout))
    model.append(APPNP(K=K, alpha=alpha, dropout=dropout, edge_weight=edge_weight))
    return model


def _mlp(
    in_channels: int,
    out_channels: int,
    base: dict[str, Any],
    *,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
) -> Sequential:
    widths = _widths(in_channels, hidden, layers, out_channels)
    return _stack([Linear(a, b, **base) for a, b in widths], dropout)


_BUILDERS: dict[str, Builder] = {
    "gcn": _gcn,
    "sage": _sage,
    "gat": _attention(GATConv),
    "gatv2": _attention(GATv2Conv),
    "gin": _gin,
    "sgc": _sgc,
    "appnp": _appnp,
    "cheb": _cheb,
    "graphconv": _graphconv,
    "mlp": _mlp,
}
