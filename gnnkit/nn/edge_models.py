"""An edge model inside of a message program: what a GraphNetwork block computes for each edge, without gathered rows.

A network of linear layers and activations runs per edge on the features of both ends, where they are; any other module
is called with gathered, concatenated features by the block itself. Imports message programs and the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.graph import Graph
from gnnkit.message import agg, message_program
from gnnkit.nn.conv.networks import Step, edge_product, flat, run, steps, traceable, weights
from gnnkit.nn.inputs import input_features
from gnnkit.nn.linear import Linear
from gnnkit.nn.module import Module, is_observed

# what an edge model may read: (fields of the graph, name there, argument of the program)
PLACES = {
    "e": ("edges", "e", "edge"),
    "sender_x": ("nodes", "x", "src"),
    "receiver_x": ("nodes", "x", "dst"),
    "u": ("globals", "u", "globals"),
}


def runs_inside(model: Module | None) -> bool:
    """Whether a message program can hold the model: it starts with a Linear and has only those and activations."""
    layers = [] if model is None else list(flat(model))
    return bool(layers) and type(layers[0]) is Linear and traceable(layers)


def edge_values(model: Module, reads: Sequence[str], graph: Graph, reducer: Any = None) -> Tensor | None:
    """``model([what it reads])`` of every edge, reduced at the receivers if ``reducer`` is given.

    Parameters
    ----------
    model : Module
        Maps features [num_edges, channels] to features.
    reads : sequence of {"e", "sender_x", "receiver_x", "u"}
        What is concatenated.
    graph : Graph
        Has the fields.
    reducer : str, optional
        How the values become one row per receiver.

    Returns
    -------
    Tensor [num_edges, ...] or [num_nodes, ...], or None
        None where it takes the general way: another kind of module or reducer, or features that it would refuse.
    """
    if not runs_inside(model) or not (reducer is None or reducer in agg.REDUCERS):
        return None
    if is_observed():  # a summary, which lists the model as a layer of its own, with what it is called with
        return None
    if reducer is None and "e" not in reads and not {"sender_x", "receiver_x"} <= set(reads):
        return None  # it has one value per node, to be gathered as it is
    first, *rest = flat(model)
    assert isinstance(first, Linear)
    values = _inputs(model, first, reads, graph)
    if values is None:
        return None
    given: dict[str, dict[str, Any]] = {"src": {}, "dst": {}, "edge": {}, "globals": {}}
    params, start = weights(rest), 0
    for name, value in zip(reads, values):
        argument, start, rows = PLACES[name][2], start + value.shape[1], first.weight[start : start + value.shape[1]]
        if argument == "edge":
            given[argument]["e"], params["edge"] = value, rows
        else:  # linear maps of what stands at a node or a graph are taken there
            given[argument]["part"] = value @ rows
    if first.bias is not None:
        params["first"] = first.bias
    return _program(tuple(reads), first.bias is not None, steps(rest), reducer)(graph, **given, params=params)


def _inputs(model: Module, first: Linear, reads: Sequence[str], graph: Graph) -> list[Tensor] | None:
    """What the model reads, in its dtype; None if the graph lacks a field or one is not of the right shape."""
    values = []
    for name in reads:
        level, field, _ = PLACES[name]
        if field not in getattr(graph, level):
            return None
        value = input_features(getattr(graph, level)[field], None, first.weight.dtype, model, field=name)
        if isinstance(value, SparseMatrix) or value.ndim != 2:
            return None
        values.append(value)
    return values if sum(value.shape[1] for value in values) == first.in_channels else None


@cache
def _program(reads: tuple[str, ...], bias: bool, rest: tuple[Step, ...], reducer: str | None) -> Any:
    """One program for all models of the same kinds of layers."""

    def edge_model(src: Any, dst: Any, edge: Any, globals: Any, params: Any) -> Any:
        ends = {"src": src, "dst": dst, "globals": globals}
        hidden = params.first if bias else 0.0
        for name in reads:
            argument = PLACES[name][2]
            part = edge_product(edge.e, params.edge) if argument == "edge" else ends[argument].part
            hidden = hidden + part
        value = run(rest, hidden, params)
        return value if reducer is None else agg.reduce(value, reducer)

    return message_program(edge_model)
