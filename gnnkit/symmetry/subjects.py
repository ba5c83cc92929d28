"""What is checked: a module, a message program or a function, brought to one dtype and run on graphs.

A module is copied, so that the user's model never changes. Other kinds of models are adapted beside this file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import DTypeError, InvalidArgumentError, graph_advice, type_name
from gnnkit.graph import Graph
from gnnkit.message.program.program import MessageProgram
from gnnkit.symmetry.groups.base import LEVELS, Key
from gnnkit.symmetry.outcome import Outcome, differentiate, read

DOORS = {
    "scipy": "Convert a sparse matrix with gk.from_scipy(A), and give it features: .replace(x=...).",
    "pandas": "Convert a table of edges with gk.from_pandas(table).",
}
ROWS_OF_PROGRAMS = {"src": "nodes", "dst": "nodes", "edge": "edges"}


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
        self.program: MessageProgram | None = None
        self._stochastic = False

    def at(self, dtype: np.dtype[Any], output: str | None) -> Subject:
        other = FunctionSubject(self.function)
        other.output = output
        if isinstance(self.function, MessageProgram):
            other.program = self.function
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
        if self.program is not None:
            result, level = _run(self.program, graph)
            outcome = read(result, graph, self.output or level)
        else:
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
    refuse_class(function)
    foreign = "torch" in _packages(function)
    if callable(function) and not foreign:
        return FunctionSubject(function)
    if foreign:
        raise DTypeError(
            f"A module of torch needs an adapter. Got {type_name(function)}. "
            "Pass gk.symmetry.from_torch(module), which says how to call it."
        )
    if hasattr(function, "predict"):
        advice = "Wrap an estimator with gk.symmetry.from_estimator(estimator, method='predict')."
    else:
        advice = "Pass a gk.nn.Module, a message program, or a function of a graph."
    raise DTypeError(f"What is checked must be callable. Got {type_name(function)}. {advice}")


def refuse_class(function: Any) -> None:
    """Refuse a class, such as a layer that was not built.

    Raises
    ------
    DTypeError
        If it is one.
    """
    if isinstance(function, type):
        name = function.__name__
        raise DTypeError(
            "What is checked is a module that was built, a message program or a function of a graph. "
            f"{name} is a class. Build it first: {name}(...)."
        )


def as_list(graphs: Any) -> list[Any]:
    """The graphs that the user gave, which may be one; what holds no graphs is refused before it is looked through.

    Raises
    ------
    DTypeError
        If it is no graph and no collection of some.
    InvalidArgumentError
        If there is none in it.
    """
    if isinstance(graphs, Graph):
        return [graphs]
    values = isinstance(graphs, Mapping | str | bytes | np.ndarray | Tensor)
    if values or _packages(graphs) & {"networkx", *DOORS} or not isinstance(graphs, Iterable):
        raise no_graph(graphs)
    found = list(graphs)
    if not found:
        raise InvalidArgumentError(
            f"A check needs at least one graph. Got an empty {type_name(graphs)}. Pass a graph or a list of them."
        )
    return found


def no_graph(value: Any) -> DTypeError:
    """The error for something that is no graph, with the way from it to one."""
    doors = [door for package, door in DOORS.items() if package in _packages(value)]
    if doors:
        advice = doors[0]
    elif isinstance(value, Mapping):
        advice = "Pass its graphs: list(graphs.values())."
    elif callable(value):
        advice = f"Call it first: {getattr(value, '__name__', 'function')}()."
    else:
        advice = "Pass a gk.Graph, a list of them, or a hypothesis strategy of them."
    return DTypeError(f"Symmetry is checked on graphs. Got {type_name(value)}. {graph_advice(value, advice)}")


def as_given(graph: Any, dtype: np.dtype[Any]) -> Graph:
    """A graph from the user as arrays in ``dtype``; integers, labels and sparse features stay as they are."""
    if not isinstance(graph, Graph):
        raise no_graph(graph)
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


def _run(program: MessageProgram, graph: Graph) -> tuple[Any, str | None]:
    """Call a message program with the fields of the graph under the names that its function reads.

    Beside the result comes the level of its rows, as the program says it; None where its results are of several.
    """
    given = {"src": graph.nodes, "dst": graph.nodes, "edge": graph.edges, "globals": graph.globals}
    fields = {name: given[name] for name in program._names if name in given}
    result = program(graph, **fields)
    trace, *_ = program._prepare(graph, *(fields.get(name) for name in (*given, "params")))
    levels = {ROWS_OF_PROGRAMS.get(symbol.level, "globals") for symbol in trace.outputs}
    return result, levels.pop() if len(levels) == 1 else None


def _packages(value: Any) -> set[str]:
    """Where the class of a value and its bases come from."""
    return {kind.__module__.partition(".")[0] for kind in type(value).__mro__}


def _name_of(function: Any) -> str:
    if hasattr(function, "named_parameters"):
        return " ".join(repr(function).split())
    return getattr(function, "__name__", type(function).__name__)
