"""Doors for models of other libraries: estimators in the style of scikit-learn, and modules of torch."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError, MissingDependencyError, type_name
from gnnkit.graph import Graph
from gnnkit.symmetry.groups.base import LEVELS, Key
from gnnkit.symmetry.outcome import Gradients, Outcome, read
from gnnkit.symmetry.subjects import Subject

METHODS = ("predict", "predict_proba", "decision_function", "transform")


def from_estimator(
    estimator: Any, *, method: str = "predict", inputs: Callable[[Graph], Any] | None = None, target: str | None = None
) -> Subject:
    """Adapt an estimator in the style of scikit-learn to :func:`gnnkit.symmetry.check`.

    Parameters
    ----------
    estimator : object with the method
    method : {"predict", "predict_proba", "decision_function", "transform"}
        Which of its answers is checked. ``predict_proba`` and ``decision_function`` show more than labels.
    inputs : callable, optional
        From a graph to the ``X`` of the method. Default: the method's own ``graph=`` where it takes one, as the
        estimators of gnnkit do, and otherwise the node features ``graph.x``.
    target : str, optional
        A node field with labels. If given, a copy is fitted on the graph first, in every call: the check is then about
        learning and predicting together. An estimator of gnnkit (``gk.NodeClassifier``) is given the graph without that
        field, and all node ids. Default: the estimator is used as it was fitted.

    Returns
    -------
    Subject
        To be passed to ``check``, with ``output=`` for the rows of the answer. Gradients are left out, as estimators
        have none; the report says so.

    Raises
    ------
    InvalidArgumentError
        If the estimator has no such method.

    Notes
    -----
    Estimators compute in the dtype of their own; pass ``tolerance=`` if they return float64 computed in float32.
    With ``target`` give the estimator a fixed ``random_state``, or two fits differ by chance; and no dropout and no
    share of nodes held out, as both choose among the nodes by their numbers.

    Examples
    --------
    >>> import gnnkit as gk
    >>> class Doubling:
    ...     def predict(self, X):
    ...         return 2 * X[:, 0]
    >>> g = gk.path(3).replace(x=[[1.0], [2.0], [4.0]])
    >>> report = gk.symmetry.check(gk.symmetry.from_estimator(Doubling()), g, output="nodes")
    >>> report.passed, report.gradients
    (True, 'gradients were NOT compared in 20 cases: Doubling.predict is an estimator, which has none')
    """
    if not callable(getattr(estimator, method, None)):
        known = [name for name in METHODS if callable(getattr(estimator, name, None))]
        raise InvalidArgumentError(
            f"The estimator must have the method that is checked. {type_name(estimator)} has no {method!r}; it has "
            f"{', '.join(known) or 'none of ' + ', '.join(METHODS)}. Pass method= with one of these."
        )
    if target is not None and not callable(getattr(estimator, "fit", None)):
        raise InvalidArgumentError(
            f"An estimator is fitted anew where target= names its labels. {type_name(estimator)} has no 'fit'. "
            "Leave target out."
        )
    return EstimatorSubject(estimator, method, inputs, target)


class EstimatorSubject(Subject):
    """One answer of an estimator as a function of the graph."""

    def __init__(self, estimator: Any, method: str, inputs: Callable[[Graph], Any] | None, target: str | None) -> None:
        self.estimator, self.method, self.inputs, self.target = estimator, method, inputs, target
        self.name = f"{type(estimator).__name__}.{method}"
        self.output = None
        self.notes = [f"fitted anew on every graph, labels {target!r}"] if target else []

    def at(self, dtype: np.dtype[Any], output: str | None) -> Subject:
        other = EstimatorSubject(self.estimator, self.method, self.inputs, self.target)
        other.output = output
        return other

    def evaluate(self, graph: Graph, *, seed: int, gradients: bool) -> Outcome:
        estimator = self.estimator
        if self.target is not None:
            estimator = copy.deepcopy(estimator)
            self._fit(estimator, graph, self.target)
        outcome = read(self._call(getattr(estimator, self.method), graph), graph, self.output)
        outcome.reason = f"{self.name} is an estimator, which has none"
        return outcome

    def _fit(self, estimator: Any, graph: Graph, target: str) -> None:
        if target not in graph.nodes:
            names = ", ".join(map(repr, graph.nodes)) or "none"
            raise InvalidArgumentError(
                f"target= names a node field with labels. Got {target!r} beside the node fields {names}. "
                "Give the graphs such a field: graph.replace(nodes={'y': labels})."
            )
        labels = graph.nodes[target]
        if self.inputs is None and "graph" in getattr(estimator, "get_params", dict)():
            # An estimator of gnnkit: it holds the graph, and its samples are node ids.
            estimator.set_params(graph=graph.without(target))
            estimator.fit(np.arange(graph.num_nodes), labels)
        else:
            self._call(estimator.fit, graph, labels)

    def _call(self, method: Callable[..., Any], graph: Graph, *labels: Any) -> Any:
        if self.inputs is not None:
            return method(self.inputs(graph), *labels)
        if "graph" in inspect.signature(method).parameters:
            return method(*((np.arange(graph.num_nodes), *labels) if labels else ()), graph=graph)
        return method(graph.x, *labels)


def from_torch(module: Any, call: Callable[[Any, dict[str, Any]], Any] | None = None) -> Subject:
    """Adapt a module of torch to :func:`gnnkit.symmetry.check`, with gradients by torch's autograd.

    Parameters
    ----------
    module : torch.nn.Module
        Copied, and converted to the dtype of the check; it keeps its mode (call ``module.eval()`` for dropout).
    call : callable of (module, fields), optional
        How to call it. ``fields`` holds tensors: every node, edge and global field under its name, ``edge_index``
        [2, num_edges] (senders, receivers) in the caller's order with the edge fields beside it, ``batch`` [num_nodes]
        (graph of every node), and ``num_nodes``, ``num_graphs``. Default: ``module(x, edge_index)``.

    Returns
    -------
    Subject
        To be passed to ``check``. The result is a tensor, or a tuple or dict of tensors; their rows are ``output=``,
        those at edges in the caller's order.

    Raises
    ------
    MissingDependencyError
        If torch is not installed.
    InvalidArgumentError
        If ``module`` is none of torch.

    Notes
    -----
    ``torch.manual_seed`` is called alike before every evaluation, and the state of torch's generator is put back.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "Checking a module of torch needs the package 'torch'. It is not installed. "
            "Install it with: pip install torch"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise InvalidArgumentError(
            f"from_torch adapts a torch.nn.Module. Got {type_name(module)}. Pass a gnnkit module to check as it is."
        )
    return TorchSubject(module, call)


class TorchSubject(Subject):
    """A module of torch as a function of the graph."""

    def __init__(self, module: Any, call: Callable[[Any, dict[str, Any]], Any] | None) -> None:
        self.module, self.call = module, call
        self.name = type(module).__name__
        self.output = None
        self.notes = []

    def at(self, dtype: np.dtype[Any], output: str | None) -> Subject:
        import torch

        module = copy.deepcopy(self.module).to(getattr(torch, np.dtype(dtype).name))
        other = TorchSubject(module, self.call)
        other.output = output
        return other

    def evaluate(self, graph: Graph, *, seed: int, gradients: bool) -> Outcome:
        import torch

        fields, variables = self._fields(graph, gradients)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.call is None:
                result = self.module(fields["x"], fields["edge_index"])
            else:
                result = self.call(self.module, fields)
        tensors = _tensors(result)
        arrays = {name: _canonical(tensor.detach().numpy(), graph, self.output) for name, tensor in tensors.items()}
        outcome = read(arrays, graph, self.output)
        if gradients:
            self._differentiate(outcome, tensors, variables)
        return outcome

    def _fields(self, graph: Graph, gradients: bool) -> tuple[dict[str, Any], dict[Key, Any]]:
        import torch

        senders, receivers, edges = graph.to_edges()
        fields: dict[str, Any] = {
            "edge_index": torch.from_numpy(np.stack([senders, receivers]).astype(np.int64)),
            "batch": torch.from_numpy(np.asarray(graph.node_graph, np.int64).copy()),
            "num_nodes": graph.num_nodes,
            "num_graphs": graph.num_graphs,
        }
        variables: dict[Key, Any] = {}
        for level, values in zip(LEVELS, (graph.nodes, edges, graph.globals)):
            for name, value in values.items():
                if name in fields:
                    raise InvalidArgumentError(
                        f"Fields need names of their own for torch. {name!r} names two. Rename the field of {level}."
                    )
                if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
                    continue
                fields[name] = torch.from_numpy(value.copy())
                if gradients and value.dtype.kind == "f":
                    variables[level, name] = fields[name].requires_grad_()
        if gradients:
            for name, parameter in self.module.named_parameters():
                if parameter.requires_grad:
                    variables["parameter", name] = parameter
        return fields, variables

    def _differentiate(self, outcome: Outcome, tensors: dict[str, Any], variables: dict[Key, Any]) -> None:
        import torch

        level = self.output
        if not any(tensor.requires_grad for tensor in tensors.values()):
            outcome.reason = "the result of torch does not require a gradient"
            return

        def pullback(cotangents: dict[Key, np.ndarray]) -> Gradients:
            chosen = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
            weights = [
                torch.from_numpy(np.ascontiguousarray(cotangents[level or "", name], dtype=np.float64))
                .to(tensor.dtype)
                .reshape(tensor.shape)
                for name, tensor in chosen.items()
            ]
            found = torch.autograd.grad(list(chosen.values()), list(variables.values()), weights, allow_unused=True)
            return {
                key: np.zeros(tuple(variable.shape)) if gradient is None else gradient.numpy()
                for (key, variable), gradient in zip(variables.items(), found)
            }

        outcome.pullback = pullback


def _tensors(result: Any) -> dict[str, Any]:
    if isinstance(result, dict):
        return {str(name): value for name, value in result.items()}
    if isinstance(result, tuple | list):
        return {f"output {i}": value for i, value in enumerate(result)}
    return {"output": result}


def _canonical(array: np.ndarray, graph: Graph, output: str | None) -> np.ndarray:
    """Edges from the caller's order, in which torch saw them, to the canonical one that results are read in."""
    if output == "edges" and array.ndim and len(array) == graph.num_edges:
        return array[graph.topology.edge_order]
    return array
