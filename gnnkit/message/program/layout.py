"""How the features of a sweep's values lie in loops: which axes are the same axis, and which values share a loop.

A kernel is generated for values with at most two feature axes that are longer than one. Axes that meet in an operation
are one axis (a *dimension* of the kernel, whose length is given when it runs). Imports symbols and the plan.
"""

from __future__ import annotations

from gnnkit.message.program.plan import Sweep, arguments, operands
from gnnkit.message.program.symbols import Symbol

Space = tuple[int, ...]  # the dimensions of a value, outer one first; at most two
ELEMENTWISE = ("call", "cast", "stop", "custom", "broadcast_to", "guard")


class Unfit(Exception):
    """No kernel is generated for this sweep; the text says why."""


class Layout:
    """The space of every value of a sweep.

    Attributes
    ----------
    spaces : Symbol -> tuple of int
        Which dimensions the value has.
    sizes : dict of int to int
        Length of each dimension in this program.
    inner : list of Symbol
        What is computed per edge, each after its arguments; without other names for the same value.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._parent: list[int] = []
        self._axes: dict[Symbol, tuple[int | None, ...]] = {}
        self._length: list[int] = []
        for leaf in sweep.leaves:
            self._axes[leaf] = self._new(leaf.shape)
        for x in sweep.inner:
            self._axes[x] = self._place(x)
        for sink in sweep.sinks:
            if sink.op == "contract":
                raise Unfit("the gradient of a matrix shared by all edges is a matrix product")
        roots = sorted({self._root(a) for axes in self._axes.values() for a in axes if a is not None})
        names = {root: i for i, root in enumerate(roots)}
        self.sizes = {names[root]: self._length[root] for root in roots}
        self.spaces: dict[Symbol, Space] = {}
        for x, axes in self._axes.items():
            space = tuple(names[self._root(a)] for a in axes if a is not None)
            if len(space) > 2 or len(set(space)) < len(space):
                raise Unfit(f"values of {len(space)} feature axes ({list(x.shape)})")
            self.spaces[x] = space
        self._check_orders(sweep)
        self._other_names: dict[Symbol, Symbol] = {}
        for x in sweep.inner:
            (first, *_) = arguments(x)
            if x.op in ("reshape", "stop", "custom") and first.op != "number" and self.spaces[first] == self.spaces[x]:
                self._other_names[x] = self.value(first)
        self.inner = [x for x in sweep.inner if x not in self._other_names]

    def value(self, x: Symbol) -> Symbol:
        """The symbol that is computed for ``x``: what a reshape changes is not seen in a kernel."""
        return self._other_names.get(x, x)

    def reads(self, x: Symbol) -> list[Symbol]:
        """What a value is computed from."""
        return [self.value(a) for a in arguments(x)]

    def _check_orders(self, sweep: Sweep) -> None:
        """An outer dimension must not be an inner one elsewhere, and every sink is stored as it is computed."""
        pairs = {space for space in self.spaces.values() if len(space) == 2}
        if any((b, a) in pairs for a, b in pairs):
            raise Unfit("values whose feature axes are exchanged")
        for sink in sweep.sinks:
            for x in operands(sink):
                if x.size != sink.size:
                    raise Unfit("an aggregate of another shape than its message")

    def _new(self, shape: tuple[int, ...]) -> tuple[int | None, ...]:
        axes: list[int | None] = []
        for n in shape:
            if n == 1:
                axes.append(None)
                continue
            axes.append(len(self._parent))
            self._parent.append(len(self._parent))
            self._length.append(n)
        return tuple(axes)

    def _root(self, axis: int) -> int:
        while self._parent[axis] != axis:
            axis = self._parent[axis]
        return axis

    def _unite(self, a: int | None, b: int | None) -> None:
        if a is not None and b is not None:
            first, second = sorted((self._root(a), self._root(b)))
            self._parent[second] = first

    def _place(self, x: Symbol) -> tuple[int | None, ...]:
        if x.op in ELEMENTWISE:
            axes = self._new(x.shape)
            for a in arguments(x):
                for mine, theirs in zip(reversed(axes), reversed(self._axes[a])):
                    self._unite(mine, theirs)
            return axes
        if x.op == "feature_sum":
            (a,) = x.args
            return tuple(None if i - x.ndim in x.info else axis for i, axis in enumerate(self._axes[a]))
        if x.op == "reshape":
            kept = [axis for axis in self._axes[x.args[0]] if axis is not None]
            lengths = [n for n in x.shape if n != 1]
            if [self._length[axis] for axis in kept] != lengths:
                raise Unfit(f"a reshape from {list(x.args[0].shape)} to {list(x.shape)} on the edges")
            rest = iter(kept)
            return tuple(None if n == 1 else next(rest) for n in x.shape)
        names = {"matmul": "a matrix product", "concatenate": "joining features", "getitem": "picking features"}
        raise Unfit(f"{names.get(x.op, x.op)} on the edges")
