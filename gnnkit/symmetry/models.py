"""What the measures of this floor need of a model, found by duck typing: modules stand one floor above.

A copy in double precision and in evaluation mode, and its answers as arrays. Imports autodiff, graph and errors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gnnkit.autodiff import as_array
from gnnkit.errors import InvalidArgumentError, UnknownNameError, type_name, unknown_name
from gnnkit.graph import Graph

LEVELS = ("nodes", "globals")


def working_copy(model: Any, dtype: DTypeLike) -> Any:
    """A copy of a module in this dtype and in evaluation mode; any other callable as it is."""
    if not callable(model):
        raise InvalidArgumentError(
            f"A model must be callable with a graph. Got {type_name(model)}. Pass a gk.nn.Module or a function."
        )
    if not is_module(model):
        return model
    return copy.deepcopy(model).astype(dtype).eval()


def is_module(model: Any) -> bool:
    """Whether this is a module: it has parameters, a dtype and modes."""
    return all(callable(getattr(model, name, None)) for name in ("named_parameters", "astype", "eval"))


def answer(model: Callable[[Graph], Any], graph: Graph, output: str | None) -> Any:
    """What ``model`` says about ``graph``: a Tensor or array of rows for the nodes, or for the graph.

    A returned graph is read at ``g.x`` for "nodes" and ``g.u`` for "globals"; other values must be named.
    """
    check_level(output)
    result = model(graph)
    if isinstance(result, Graph):
        level = output or ("globals" if "u" in result.globals and "u" not in graph.globals else "nodes")
        return result.u if level == "globals" else result.x
    if output is None:
        raise InvalidArgumentError(
            "What an array means must be said, shapes never decide. The model returned "
            f'{type_name(result)} of shape {np.shape(result)}. Pass output="nodes" or output="globals".'
        )
    return result


def check_level(output: str | None) -> None:
    """Refuse what is neither None nor the name of a level."""
    if output is not None and output not in LEVELS:
        raise unknown_level(output)


def unknown_level(output: Any) -> UnknownNameError:
    """The error for an unknown level."""
    return unknown_name("output", output, LEVELS)


def rows(value: Any) -> NDArray[Any]:
    """The answer as an array of rows [num_rows, channels], float64."""
    array = np.asarray(as_array(value), np.float64)
    if not array.ndim:
        return array.reshape(1, 1)
    return array.reshape(len(array), int(np.prod(array.shape[1:])))
