"""What a convolution needs to know of the network that it was given: its steps, and its work. Imports the layers.

A network of linear layers and element-wise activations can be written inside a message program, where its steps run
per edge without arrays of one row per edge. Anything else (a norm over all edges, a module of your own) cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gnnkit import autodiff
from gnnkit.nn.activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from gnnkit.nn.containers import Identity, Sequential
from gnnkit.nn.dropout import Dropout
from gnnkit.nn.linear import MLP, Linear
from gnnkit.nn.module import Module

# What a program calls for an activation: a function of gnnkit.autodiff, and the attribute with its second argument.
ELEMENTWISE: dict[type[Module], tuple[Callable[..., Any], str | None]] = {
    ELU: (autodiff.elu, "alpha"),
    GELU: (autodiff.gelu, None),
    LeakyReLU: (autodiff.leaky_relu, "slope"),
    ReLU: (autodiff.relu, None),
    SiLU: (autodiff.silu, None),
    Sigmoid: (autodiff.sigmoid, None),
    Softplus: (autodiff.softplus, None),
    Tanh: (autodiff.tanh, None),
}

NARROW = 16  # channels

Step = tuple[Any, ...]  # (has a bias,) of a Linear; (function, *further arguments) of an activation


def flat(network: Module) -> Iterator[Module]:
    """Yield the layers of a network in order, those of nested containers too; what does nothing is left out."""
    if type(network) in (Sequential, MLP):
        for layer in network:  # type: ignore[attr-defined]
            yield from flat(layer)
    elif not (type(network) is Identity or (type(network) is Dropout and not (network.training and network.rate))):
        yield network


def traceable(layers: list[Module]) -> bool:
    """Whether each layer treats every row for itself, in operations that a message program knows."""
    return all(type(layer) is Linear or type(layer) in ELEMENTWISE for layer in layers)


def in_channels(network: Module) -> int | None:
    """The channels that a network takes, or None if its first layer does not say."""
    first = next(flat(network), None)
    return first.in_channels if isinstance(first, Linear) else None


def steps(layers: list[Module]) -> tuple[Step, ...]:
    """The layers as plain values without their parameters: all that distinguishes the programs of two networks."""

    def step(layer: Module) -> Step:
        if isinstance(layer, Linear):
            return (layer.bias is not None,)
        function, argument = ELEMENTWISE[type(layer)]
        return (function,) if argument is None else (function, getattr(layer, argument))

    return tuple(map(step, layers))


def weights(layers: list[Module]) -> dict[str, Any]:
    """The parameters of the linear layers, named by their position, for :func:`run`."""
    found: dict[str, Any] = {}
    for position, layer in enumerate(layers):
        if isinstance(layer, Linear):
            found[f"weight_{position}"] = layer.weight
            if layer.bias is not None:
                found[f"bias_{position}"] = layer.bias
    return found


def run(steps: tuple[Step, ...], hidden: Any, params: Any) -> Any:
    """The :func:`steps` of a network on a symbol of a message program, with the parameters of :func:`weights`."""
    for position, (step, *arguments) in enumerate(steps):
        if callable(step):
            hidden = step(hidden, *arguments)
        else:
            hidden = hidden @ params[f"weight_{position}"]
            hidden = hidden + params[f"bias_{position}"] if step else hidden
    return hidden


def edge_product(e: Any, weight: Any) -> Any:
    """``e @ weight`` inside of a message program, [channels] by [channels, ...].

    A few products written out run in the loop over the edges; more are quicker in chunks, by the matrix product.
    """
    if e.shape[0] <= NARROW:
        return (e.reshape(e.shape[0], *(1,) * (weight.ndim - 1)) * weight).sum(axis=0)
    flat = e @ weight.reshape(weight.shape[0], weight.size // max(weight.shape[0], 1))
    return flat.reshape(weight.shape[1:])


def linear_layers(network: Module | None) -> list[Linear]:
    """The linear layers of a network, in order."""
    return [] if network is None else [layer for layer in network.modules() if isinstance(layer, Linear)]


def network_work(network: Module | None, rows: float) -> float:
    """Operations of the linear layers of a network on so many rows."""
    return float(sum(2.0 * rows * layer.in_channels * layer.out_channels for layer in linear_layers(network)))
