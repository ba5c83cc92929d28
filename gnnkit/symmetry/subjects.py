"""What is checked: a module, a message program or a function, brought to one dtype and run on graphs.

A module is copied, so that the user's model never changes. Other kinds of models are adapted beside this file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, graph_advice, type_name
from gnnkit.graph import Graph
from gnnkit.message.program.program import MessageProgram
from gnnkit.symmetry.groups.base import LEVELS, Key
from gnnkit.symmetry.outcome import Outcome, differentiate, read


class Subject:
    """Something that can be checked. Adapters define :meth:`evaluate`.

    Attributes
    ----------
    name : str
        How reports speak of it.
    notes : list of str
        What a reader of the report must know about how it was run.
    """

    name: str
    output: str | None
    notes: list[str]

    def at(self, dtype: np.dtype[Any], output: str | None) -> Subject:
        """A copy that computes in ``dtype`` and whose arrays are at level ``output``."""
        raise NotImplementedError

    def evaluate(self, graph: Graph, *, seed: int, gradients: bool) -> Outcome:
        """Run it on ``graph``; with ``gradients`` the outcome has a pullback, or the reason why not."""
        raise NotImplementedError


class FunctionSubject(Subject):
    """A callable of a graph; a module (anything with ``named_parameters`` and ``astype``) is copied and converted."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = _name_of(function)
        self.output = None
        self.notes = []
        self.parameters: dict[str, Tensor] = {}
        self._stochastic = False

    def at(self, dtype: np.dtype[Any], output: str | None) -> Subject:
        other = FunctionSubject(self.function)
        other.output = output
        if isinstance(self.function, MessageProgram):
            other.function = _program_on_graph(self.function)
        elif hasattr(self.function, "named_parameters") and hasattr(self.function, "astype"):
            other._take_module(self.function, dtype)
        return other

    def _take_module(self, module: Any, dtype: np.dtype[Any]) -> None:
        try:
            module = copy.deepcopy(module)
        except Exception as error:
            raise InvalidArgumentError(
                "A module is copied before it is checked, so that it never changes. "
                f"Copying {type_name(module)} failed: {error}. Pass a function that calls it: lambda g: model(g)."
            ) from error
        module.astype(dtype)
        stochastic = [part for part in module.modules() if getattr(part, "stochastic", False)]
        for part in stochastic:  # two draws are never equal: only the function without them has a symmetry
            part.training = False
        self._stochastic = bool(stochastic)
        if stochastic:
            names = sorted({type(part).__name__ for part in stochastic})
            self.notes.append(f"{', '.join(names)}: checked in evaluation mode, seeded alike on both sides")
        self.function = module
        self.parameters = dict(module.named_parameters())

    def evaluate(self, graph: Graph, *, seed: int, gradients: bool) -> Outcome:
        variables: dict[Key, Tensor] = {}
        if gradients:
            graph, variables = with_variables(graph)
        if self._stochastic:
            self.function.seed(seed)  # type: ignore[attr-defined]
        outcome = read(self.function(graph), graph, self.output)
        if gradients:
            for name, parameter in self.parameters.items():
                if parameter.requires_grad:
                    variables["parameter", name] = parameter
            differentiate(outcome, graph, variables)
        return outcome


def as_subject(function: Any) -> Subject:
    """Wrap what the user passed.

    Raises
    ------
    DTypeError
        If it cannot be called; the text names the adapter it may need.
    """
    if isinstance(function, Subject):
        return function
    foreign = any(kind.__module__.partition(".")[0] == "torch" for kind in type(function).__mro__)
    if callable(function) and not isinstance(function, type) and not foreign:
        return FunctionSubject(function)
    if foreign:
        raise DTypeError(
            f"A module of torch needs an adapter. Got {type_name(function)}. "
            "Pass gk.symmetry.from_torch(module), which says how to call it."
        )
    if hasattr(function, "predict") and not isinstance(function, type):
        advice = "Wrap an estimator with gk.symmetry.from_estimator(estimator, method='predict')."
    else:
        advice = "Pass a gk.nn.Module, a message program, or a function of a graph."
    raise DTypeError(f"What is checked must be callable. Got {type_name(function)}. {advice}")


def as_given(graph: Any, dtype: np.dtype[Any]) -> Graph:
    """A graph from the user as arrays in ``dtype``; integers, labels and sparse features stay as they are."""
    if not isinstance(graph, Graph):
        raise DTypeError(
            f"Symmetry is checked on graphs. Got {type_name(graph)}. "
            + graph_advice(graph, "Pass a gk.Graph, a list of them, or a hypothesis strategy of them.")
        )
    changed: dict[str, dict[str, Any]] = {level: {} for level in LEVELS}
    for level in LEVELS:
        for name, value in getattr(graph, level).items():
            if isinstance(value, Tensor):
                value = value.data
            if value.dtype.kind == "f" and value.dtype != dtype:
                value = value.astype(dtype)
            if value is not getattr(graph, level)[name]:
                changed[level][name] = value
    return graph.replace(nodes=changed["nodes"], edges=changed["edges"], globals=changed["globals"])


def with_variables(graph: Graph) -> tuple[Graph, dict[Key, Tensor]]:
    """The graph with every floating field as a Tensor that requires a gradient, and these Tensors."""
    variables: dict[Key, Tensor] = {}
    fields: dict[str, dict[str, Any]] = {level: {} for level in LEVELS}
    for level in LEVELS:
        for name, value in getattr(graph, level).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                variables[level, name] = fields[level][name] = Tensor(value, requires_grad=True)
    return graph.replace(nodes=fields["nodes"], edges=fields["edges"], globals=fields["globals"]), variables


def _program_on_graph(program: MessageProgram) -> Callable[[Graph], Any]:
    """Call a message program with the fields of the graph under the names that its function reads."""

    def call(graph: Graph) -> Any:
        given = {"src": graph.nodes, "dst": graph.nodes, "edge": graph.edges, "globals": graph.globals}
        return program(graph, **{name: given[name] for name in program._names if name in given})

    return call


def _name_of(function: Any) -> str:
    if hasattr(function, "named_parameters"):
        return " ".join(repr(function).split())
    return getattr(function, "__name__", type(function).__name__)
