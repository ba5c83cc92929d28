"""The tape itself: nodes, operations, the registry of derivative rules, and the recording switch.

A node knows the operation that made a value, the arguments that its rule needs and the nodes of the arguments it
depends on; it never points at the Tensor that holds the value, so a tape is an acyclic graph that is freed as soon
as its last Tensor goes. Imports numpy and the error tree only.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from gnnkit.errors import GradientError

Rule = Callable[..., Any]

# Arrays up to this many values are kept on the tape even where no rule needs them: it costs nothing,
# and small tapes can then be printed with all their values.
SMALL = 4096

creation_counter = itertools.count()


class _Mode(threading.local):
    """Whether operations are recorded; every thread has its own switch."""

    recording = True


mode = _Mode()


class recording(ContextDecorator):
    """Switch recording on or off for a ``with`` block or a decorated function."""

    def __init__(self, flag: bool) -> None:
        self._flag = flag
        self._previous: list[bool] = []

    def _recreate_cm(self) -> recording:  # a decorated function may recurse or run in several threads
        return recording(self._flag)

    def __enter__(self) -> None:
        self._previous.append(mode.recording)
        mode.recording = self._flag

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._previous.pop()


class no_grad(recording):
    """Compute without recording: results do not require a gradient. A context manager and a decorator.

    Examples
    --------
    >>> import gnnkit as gk
    >>> w = gk.tensor([1.0, 2.0], requires_grad=True)
    >>> with gk.no_grad():
    ...     y = w * 3
    >>> y.requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


def is_grad_enabled() -> bool:
    """Return whether operations on Tensors are being recorded in this thread."""
    return mode.recording


class Stub:
    """What the tape keeps of a large array whose values no rule needs: its shape and dtype."""

    __slots__ = ("dtype", "ndim", "shape", "size")

    def __init__(self, array: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size


class Op:
    """A differentiable operation: a function of arrays and one derivative rule per argument."""

    __slots__ = ("adds", "broadcasts", "drops", "each", "elementwise", "forward", "keep_output", "name", "rules")

    def __init__(self, name: str, forward: Callable[..., Any], *, ufunc: np.ufunc | None = None) -> None:
        self.name = name
        self.forward = forward
        self.broadcasts = ufunc is not None
        self.elementwise = ufunc is not None and ufunc.signature is None  # matmul is a ufunc, but not elementwise
        self.rules: tuple[Rule | None, ...] = ()
        self.each: Rule | None = None
        # adds(total, g, *args): add the adjoint of argument 0 into an array, or refuse (False). An operation that has
        # it has a rule that returns a new array, into which more may be added.
        self.adds: Callable[..., bool] | None = None
        self.drops: tuple[int, ...] | None = ()  # arguments whose values no rule reads; None: all
        self.keep_output = True

    def __repr__(self) -> str:
        return f"Op({self.name})"


class Node:
    """One recorded value: the operation that made it, what its rules read, and the nodes it depends on."""

    __slots__ = ("__weakref__", "args", "kwargs", "name", "op", "order", "output", "parents")

    op: Op | None  # None: a leaf
    args: Any
    kwargs: Any
    # (argument number, node of the argument, its shape, its dtype) for every argument that requires a gradient
    parents: Any
    output: Any  # the value, or its Stub
    order: int  # creation counter: a node comes after everything it depends on
    name: str | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.output.shape

    def __repr__(self) -> str:
        return f"Node({self.name or (self.op.name if self.op else 'leaf')}, shape={self.shape})"


class Leaf(Node):
    """The node of a Tensor that was given, not computed. It knows its Tensor (weakly), to put the gradient there."""

    __slots__ = ("owner",)

    def __init__(self, tensor: Any, name: str | None) -> None:
        self.op, self.args, self.kwargs, self.parents = None, (), {}, ()
        self.output, self.order, self.name = Stub(tensor.data), next(creation_counter), name
        self.owner = weakref.ref(tensor)


OPS: dict[Any, Op] = {}  # every differentiable operation: numpy function, ufunc or primitive -> Op
HANDLERS: dict[Any, Callable[..., Any]] = {}  # numpy function -> our implementation for Tensors
PLAIN: set[Any] = set()  # numpy functions without a derivative: they take the arrays, and return arrays
STEPS: set[Any] = set()  # piecewise constant: the derivative is zero, the result is a Tensor without gradient


def op_of(function: Any) -> Op:
    """Return the Op behind a ufunc, numpy function or primitive; a ufunc gets one on first sight."""
    op = getattr(function, "op", None) or OPS.get(function)
    if op is None:
        if not isinstance(function, np.ufunc):
            raise GradientError(
                f"A derivative rule belongs to a ufunc or to a function decorated with @primitive. "
                f"Got {function!r}. Decorate it with gnnkit.primitive first."
            )
        op = OPS[function] = Op(function.__name__, function, ufunc=function)
    return op


def defvjp(
    function: Any,
    *rules: Rule | None,
    keep: str | None = None,
    each: Rule | None = None,
    broadcasts: bool | None = None,
) -> None:
    """Define the derivative rules of an operation, one for each positional argument.

    Parameters
    ----------
    function
        A numpy ufunc or a function decorated with :func:`primitive`.
    *rules
        Rule ``i`` is called as ``rule(g, y, *args, **kwargs)`` with the adjoint ``g`` of the result ``y``, and returns
        the adjoint of argument ``i``. ``None``: this argument is not differentiated. A rule is written with numpy
        functions and primitives: in a plain backward pass it gets arrays, with ``create_graph=True`` it gets
        Tensors, which is how second derivatives come about.
    keep
        Which values the rules read, as a string of argument digits and ``y``: ``"1y"`` for argument 1 and the
        result. Of the others they may read shape and dtype only, and the tape can free them. Default: all.
    each
        For operations of any number of arguments: one rule ``each(i, g, y, *args, **kwargs)`` instead of ``rules``.
        With any ``keep``, it reads no values of arguments.
    broadcasts
        Whether arguments broadcast, so that adjoints are to be summed back to the shape of the argument.
        Default: yes for ufuncs, no for primitives.

    Examples
    --------
    >>> import numpy as np
    >>> import gnnkit as gk
    >>> @gk.primitive
    ... def cube(x):
    ...     return x * x * x
    >>> gk.defvjp(cube, lambda g, y, x: g * 3 * x * x, keep="0")
    >>> gk.grad(lambda x: cube(x).sum())(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    op = op_of(function)
    op.rules, op.each = rules, each
    if keep is not None:
        kept = [int(c) for c in keep if c != "y"]
        op.drops = None if each else tuple(i for i, rule in enumerate(rules) if rule is not None and i not in kept)
        op.keep_output = "y" in keep
    if broadcasts is not None:
        op.broadcasts = broadcasts


def implements(*numpy_functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function stand for numpy functions when they are called with a Tensor."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for numpy_function in numpy_functions:
            HANDLERS[numpy_function] = function
        return function

    return register
