"""`grad` and `value_and_grad`: functions in, derivative functions out; nest them for higher derivatives.

Imports the tape, the Tensor and the reverse pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gnnkit.autodiff.backward import reverse, seed_of
from gnnkit.autodiff.nodes import Node, defvjp, mode, recording
from gnnkit.autodiff.primitives import primitive
from gnnkit.autodiff.tensors import Tensor
from gnnkit.errors import DTypeError, GradientError, InvalidArgumentError


@primitive
def variable(x: Any) -> Any:
    """The value of an outer variable under a node of its own, so that nested derivatives are kept apart."""
    return x


defvjp(variable, lambda g, y, x: g, keep="")


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to every array in nested lists, tuples and dicts."""
    if isinstance(tree, dict):
        return {k: _map(function, v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [_map(function, v) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree)


def _as_variable(value: Any) -> Tensor:
    if isinstance(value, Tensor) and value.requires_grad:
        return variable(value)
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind != "f":
        raise DTypeError(
            f"Derivatives exist with respect to floating values only. Got {value!r} of dtype {array.dtype}. "
            f"Convert it first, for example with float() or .astype('float64')."
        )
    return Tensor(array, requires_grad=True)


def _reachable(root: Node, targets: frozenset[Node]) -> tuple[set[Node], bool]:
    """Return the nodes between ``root`` and ``targets``, and whether the tape leads to other leaves too."""
    seen, stack, others = {root}, [root], False
    while stack:
        node = stack.pop()
        if node in targets:
            continue
        others = others or node.op is None
        for _, parent, _, _ in node.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    wanted = set(targets)
    for node in sorted(seen, key=lambda n: n.order):
        if any(parent in wanted for _, parent, _, _ in node.parents):
            wanted.add(node)
    return wanted, others


def value_and_grad(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return a function that computes ``function`` and its derivative.

    Parameters
    ----------
    function : callable
        Returns one value (a scalar Tensor). Its arguments number ``argnums`` are floating arrays, or nested lists,
        tuples and dicts of such arrays.
    argnums : int or tuple of int
        Which positional arguments to differentiate; a tuple gives a tuple of derivatives.

    Returns
    -------
    callable
        Takes the arguments of ``function`` and returns ``(value, derivative)``; the derivative has the structure of
        the argument.

    Raises
    ------
    GradientError
        If the function returns more than one value.
    DTypeError
        If an argument to be differentiated is not floating.

    Notes
    -----
    Arrays in, arrays out; Tensors in, Tensors out. Where the function also uses other Tensors that require a gradient
    (parameters, or the variable of an outer ``grad``), Tensors come back in any case, so that they can be
    differentiated further; within ``no_grad()`` they do not require a gradient. ``.grad`` is never touched.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> loss = lambda p: np.sum((p["w"] * np.array([1.0, 2.0]) + p["b"]) ** 2)
    >>> value, derivative = gk.value_and_grad(loss)({"w": np.array([1.0, 1.0]), "b": np.array(0.5)})
    >>> float(value)
    8.5
    >>> derivative["w"], float(derivative["b"])
    (array([ 3., 10.]), 8.0)
    """
    numbers = (argnums,) if isinstance(argnums, int | np.integer) else tuple(argnums)

    @functools.wraps(function)
    def compute(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if any(not -len(args) <= n < len(args) for n in numbers):
            raise InvalidArgumentError(
                f"argnums must name positional arguments. Got argnums={argnums} and {len(args)} arguments. "
                f"Pass the arguments to be differentiated by position."
            )
        further = mode.recording
        with recording(True):
            picked = [_map(_as_variable, args[n]) for n in numbers]
            given = list(args)
            for n, value in zip(numbers, picked):
                given[n] = value
            result = function(*given, **kwargs)
            variables: list[Tensor] = []
            _map(variables.append, picked)
            value, found, traced = _differentiate(result, variables, further)

        keep = traced or any(isinstance(v, Tensor) for n in numbers for v in _leaves(args[n]))
        gradients = iter([_out(g, further, keep) for g in found])
        trees = tuple(_map(lambda _: next(gradients), p) for p in picked)
        return _out(value, further, keep), trees[0] if isinstance(argnums, int | np.integer) else trees

    return compute


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    _map(found.append, tree)
    return found


def _differentiate(result: Any, variables: list[Tensor], further: bool) -> tuple[Any, list[Any], bool]:
    """Return value, gradients and whether both can be differentiated with respect to something else."""
    if not isinstance(result, Tensor):
        if np.size(result) != 1:
            raise GradientError(
                f"A function to be differentiated returns one value. Got shape {np.shape(result)}. Reduce it first."
            )
        return result, [np.zeros_like(v.data) for v in variables], False
    if result.size != 1:
        raise GradientError(
            f"A function to be differentiated returns one value. Got shape {result.shape}. "
            f"Reduce it first (.sum(), .mean())."
        )
    if result._node is None:
        return result, [np.zeros_like(v.data) for v in variables], False
    targets = frozenset(v._node for v in variables if v._node is not None)
    wanted, others = _reachable(result._node, targets)
    traced = others or any(node.op is not None for node in targets)
    create_graph = traced and further
    seed = seed_of(result, None, create_graph=create_graph)
    with recording(create_graph):
        found = reverse(result._node, seed, targets=targets, wanted=wanted, create_graph=create_graph)
    gradients = [found.get(v._node, np.zeros_like(v.data)) for v in variables]  # type: ignore[arg-type]
    return result, gradients, traced


def _out(value: Any, further: bool, keep: bool) -> Any:
    """Hand a result out as the caller expects it: a Tensor, a detached Tensor, or an array."""
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if not keep:
        return array[()]
    return value if isinstance(value, Tensor) and further else Tensor(array)


def grad(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return a function that computes the derivative of ``function``; see :func:`value_and_grad`.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> float(gk.grad(np.sin)(0.0))
    1.0
    >>> third = gk.grad(gk.grad(gk.grad(lambda x: x**4)))
    >>> float(third(2.0))
    48.0
    """
    both = value_and_grad(function, argnums)

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return derivative
