"""What a function returned, as named arrays at a level, and how to differentiate it. Knows graphs and Tensors.

A result is a Graph, an array or Tensor, or a tuple or mapping of these arrays. Values at edges are turned into the
caller's order, in which relabelled graphs can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnnkit.autodiff import SparseMatrix, Tensor
from gnnkit.errors import InvalidArgumentError, type_name, unknown_name
from gnnkit.graph import Graph
from gnnkit.symmetry.groups.base import BARE, LEVELS, Key

Gradients = dict[Key, np.ndarray]


@dataclass
class Outcome:
    """One evaluation of the function.

    Attributes
    ----------
    fields : dict
        (level, name) -> array; edges in the caller's order.
    frame : Graph
        The graph whose nodes and edges the rows are.
    bare : bool
        Whether the function returned arrays instead of a graph.
    carried : frozenset
        Fields of a returned graph that are the very fields of the input.
    problem : str
        Why the result cannot be right on its own, such as a wrong number of rows; "" if it can.
    pullback : callable or None
        From cotangents (keyed like ``fields``) to the gradients of inputs and parameters.
    reason : str
        Why there is no ``pullback``.
    """

    fields: dict[Key, np.ndarray]
    frame: Graph
    bare: bool
    carried: frozenset[Key] = frozenset()
    problem: str = ""
    pullback: Callable[[dict[Key, np.ndarray]], Gradients] | None = None
    reason: str = ""
    tensors: dict[Key, Tensor] = field(default_factory=dict)


def read(result: Any, graph: Graph, output: str | None) -> Outcome:
    """Turn what a function returned for ``graph`` into an :class:`Outcome`, without a pullback.

    Raises
    ------
    InvalidArgumentError
        If it is neither a graph nor arrays, or arrays whose level is not known.
    """
    if isinstance(result, Graph):
        return _read_graph(result, graph)
    if output is None:
        raise InvalidArgumentError(
            "A function that returns arrays must say what their rows are; the shape never decides. "
            f"Got {type_name(result)} and output=None. Pass output='nodes', 'edges' or 'globals'."
        )
    if output not in LEVELS:
        raise unknown_name("level of output", output, LEVELS)
    outcome = Outcome({}, graph, True)
    for name, value in _named(result).items():
        array, tensor = _array(value)
        outcome.fields[output, name] = _rows(array, graph, output, outcome)
        if tensor is not None and array.shape == outcome.fields[output, name].shape:
            outcome.tensors[output, name] = tensor
        elif tensor is not None:
            outcome.tensors[output, name] = tensor[None]
    return outcome


def _read_graph(result: Graph, graph: Graph) -> Outcome:
    outcome, carried = Outcome({}, result, False), set()
    for level in LEVELS:
        given = getattr(graph, level)
        for name, value in getattr(result, level).items():
            array, tensor = _array(value)
            outcome.fields[level, name] = array[result.topology.caller_order] if level == "edges" else array
            if tensor is not None:
                outcome.tensors[level, name] = tensor
            if name in given and given[name] is value:
                carried.add((level, name))
    outcome.carried = frozenset(carried)
    return outcome


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        return {str(name): value for name, value in result.items()}
    if isinstance(result, tuple):
        return {f"{BARE} {i}": value for i, value in enumerate(result)}
    return {BARE: result}


def _array(value: Any) -> tuple[np.ndarray, Tensor | None]:
    if isinstance(value, Tensor):
        return value.data, value
    if isinstance(value, SparseMatrix):
        return value.toarray(), None
    array = np.asarray(value)
    if array.dtype.kind in "OV":
        raise InvalidArgumentError(
            f"A function to be checked returns a Graph or arrays of numbers. Got {type_name(value)}. "
            "Return one of these, or check a function that does."
        )
    return array, None


def _rows(array: np.ndarray, graph: Graph, level: str, outcome: Outcome) -> np.ndarray:
    count = {"nodes": graph.num_nodes, "edges": graph.num_edges, "globals": graph.num_graphs}[level]
    if level == "globals" and count == 1 and (array.ndim == 0 or array.shape[0] != 1):
        return array[None]  # what describes one graph may come without an axis of graphs
    if array.ndim == 0 or array.shape[0] != count:
        word = {"nodes": "node", "edges": "edge", "globals": "graph"}[level]
        outcome.problem = f"the result must have one row per {word}, {count}, and has shape {list(array.shape)}"
        return array
    return array[graph.topology.caller_order] if level == "edges" else array


def differentiate(outcome: Outcome, graph: Graph, variables: Mapping[Key, Tensor]) -> None:
    """Give ``outcome`` its pullback to ``variables`` by gnnkit's tape, or the reason why there is none."""
    from gnnkit.autodiff.backward import reverse

    floating = [key for key, array in outcome.fields.items() if array.dtype.kind == "f"]
    if not floating:
        outcome.reason = "no result is floating"
        return
    lost = [key for key in floating if key not in outcome.tensors]
    if lost:
        outcome.reason = f"{' '.join(lost[0])} came back as a plain array, which does not know how it was computed"
        return

    if variables and graph.num_nodes and all(outcome.tensors[key]._node is None for key in floating):
        outcome.reason = "no result hangs on an input or parameter by the tape (gk.tensor(x) starts anew)"
        return

    def pullback(cotangents: dict[Key, np.ndarray]) -> Gradients:
        total: Any = None
        for key, cotangent in cotangents.items():
            tensor = outcome.tensors[key]
            if tensor._node is None:
                continue
            if key[0] == "edges":
                cotangent = cotangent[outcome.frame.topology.edge_order]
            part = np.sum(tensor * cotangent.astype(tensor.dtype))
            total = part if total is None else total + part
        found: dict[Any, Any] = {}
        if total is not None and total._node is not None:
            targets = frozenset(v._node for v in variables.values() if v._node is not None)
            found = reverse(total._node, np.ones((), total.dtype), targets=targets)
        gradients: Gradients = {}
        for key, variable in variables.items():
            gradient = np.asarray(found.get(variable._node, np.zeros_like(variable.data)))
            gradients[key] = gradient[graph.topology.caller_order] if key[0] == "edges" else gradient
        return gradients

    outcome.pullback = pullback
