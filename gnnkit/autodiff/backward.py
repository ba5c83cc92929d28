"""The reverse pass: adjoints flow from a result back to the leaves, latest operation first.

Plain passes run the rules on raw arrays; with `create_graph` the same rules run on Tensors, so that the pass itself is
recorded and can be differentiated. Nodes are visited by a heap over their creation order: no recursion, each once.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gnnkit import kernels
from gnnkit.autodiff.nodes import Leaf, Node, recording
from gnnkit.autodiff.rules.reductions import sum as total
from gnnkit.autodiff.tensors import Tensor, as_array, recorded
from gnnkit.errors import GradientError, ShapeError


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum an adjoint over the axes along which its argument of ``shape`` was broadcast."""
    extra = g.ndim - len(shape)
    if extra > 0:
        g = total(g, tuple(range(extra)))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return total(g, axes, True) if axes else g


def reverse(
    root: Node,
    seed: Any,
    *,
    targets: frozenset[Node] = frozenset(),
    wanted: set[Node] | None = None,
    create_graph: bool = False,
    visit: Callable[[Node, Any], None] | None = None,
) -> dict[Node, Any]:
    """Propagate the adjoint ``seed`` of ``root`` to the leaves and ``targets``.

    Parameters
    ----------
    root, seed
        Node and its adjoint: an array, or a Tensor if ``create_graph``.
    targets
        Nodes at which the pass stops, as at leaves.
    wanted
        If given, only these nodes receive adjoints.
    create_graph
        Run the rules on Tensors.
    visit
        Called with every node and its final adjoint, in the order of the reverse schedule.

    Returns
    -------
    dict
        Adjoint of every leaf and target that was reached. Arrays in it belong to the caller.
    """
    found: dict[Node, Any] = {}
    adjoints: dict[Node, Any] = {root: seed}
    owned: set[Node] = set()  # nodes whose adjoint is a buffer of ours, into which more may be added
    heap = [(-root.order, root)]
    while heap:
        node = heappop(heap)[1]
        g = adjoints.pop(node)
        if visit is not None:
            visit(node, g)
        op = node.op
        if op is None or node in targets:
            found[node] = g
            continue
        args, kwargs, y = node.args, node.kwargs, node.output
        if create_graph:
            args = list(args)
            for i, parent, _, _ in node.parents:
                if type(args[i]) is np.ndarray:
                    args[i] = recorded(args[i], parent)
            if type(y) is np.ndarray:
                y = recorded(y, node)
        for i, parent, shape, dtype in node.parents:
            if wanted is not None and parent not in wanted:
                continue
            if op.adds is not None and parent in owned and op.adds(adjoints[parent], g, *args):
                continue
            if op.each is not None:
                new = op.each(i, g, y, *args, **kwargs)
            else:
                new = op.rules[i](g, y, *args, **kwargs)  # type: ignore[misc]
            if new is None:
                continue
            if new.shape != shape:
                new = _reshaped(new, shape, op, i)
            if new.dtype != dtype:
                new = new.astype(dtype)
            previous = adjoints.get(parent)
            if previous is None:
                if parent.op is None and not create_graph and op.adds is None and _is_shared(new, g, y, args):
                    new = np.array(new)
                adjoints[parent] = new
                heappush(heap, (-parent.order, parent))
                if op.adds is not None and type(new) is np.ndarray:
                    owned.add(parent)
            elif create_graph:
                adjoints[parent] = previous + new
            elif parent in owned:
                if previous.ndim:
                    kernels.add_in_place(previous, new)
                else:
                    np.add(previous, new, out=previous)
            else:
                total = adjoints[parent] = kernels.blockwise(np.add, previous, new)
                if type(total) is np.ndarray:
                    owned.add(parent)
        owned.discard(node)
    return found


def _is_shared(new: Any, g: Any, y: Any, args: Any) -> bool:
    """Whether an adjoint is a view or an array that somebody else holds too, so that a leaf must not keep it."""
    return new is g or new is y or type(new) is not np.ndarray or new.base is not None or any(new is a for a in args)


def _reshaped(new: Any, shape: tuple[int, ...], op: Any, argument: int) -> Any:
    came = new.shape
    if op.broadcasts:
        new = unbroadcast(new, shape)
    if new.shape != shape:
        raise GradientError(
            f"A derivative rule must return the shape of its argument. Rule {argument} of {op.name} returned "
            f"{came} for an argument of shape {shape}. Correct the rule (see defvjp; broadcasts=True sums back)."
        )
    return new


def seed_of(result: Tensor, gradient: ArrayLike | Tensor | None, *, create_graph: bool = False) -> Any:
    """Check and convert the adjoint that a backward pass starts from."""
    if gradient is None:
        if result.size != 1:
            raise GradientError(
                f"backward() without an adjoint needs a result with one value. Got shape {result.shape}. "
                f"Reduce it first (.sum(), .mean()), or pass backward(gradient) of that shape."
            )
        seed = np.ones(result.shape, result.dtype)
    else:
        given = as_array(gradient)
        if given.shape != result.shape:
            raise ShapeError(
                f"The adjoint of a result has its shape, {result.shape}. Got shape {given.shape}. "
                f"Pass an array of shape {result.shape}."
            )
        if isinstance(gradient, Tensor) and create_graph:
            return gradient.astype(result.dtype)
        seed = given.astype(result.dtype)  # a copy: the pass may hand its adjoint on to a leaf
    return Tensor(seed) if create_graph else seed


def backward(result: Tensor, gradient: ArrayLike | Tensor | None = None, *, create_graph: bool = False) -> None:
    """Add the derivative of ``result`` to ``.grad`` of every leaf; see :meth:`Tensor.backward`."""
    node = result._node
    if node is None:
        raise GradientError(
            f"backward() needs a result that depends on a Tensor with requires_grad=True. Got a constant of shape "
            f"{result.shape}. Set requires_grad on its inputs, and compute it outside of no_grad()."
        )
    seed = seed_of(result, gradient, create_graph=create_graph)
    with recording(create_graph):
        for leaf, g in reverse(node, seed, create_graph=create_graph).items():
            owner = leaf.owner() if isinstance(leaf, Leaf) else None
            if owner is None:  # nobody can ask for this gradient any more
                continue
            # a recorded adjoint may be shared with other leaves, or a view; optimisers write into gradients
            new = np.copy(g) if isinstance(g, Tensor) else Tensor(g)
            owner.grad = new if owner.grad is None else owner.grad + new
