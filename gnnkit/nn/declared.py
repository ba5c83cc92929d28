"""Declared symmetry: the vocabulary in which a module says what it promises, and what modules promise together.

The names of the groups are those of ``gnnkit.symmetry.GROUPS``, whose checker holds a module to its word. Imports only
the error tree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from gnnkit.errors import InvalidArgumentError, type_name, unknown_name

NAMES = (
    "nodes",
    "edges",
    "union",
    "reversal",
    "torus",
    "translation",
    "flip",
    "rot90",
    "euclidean",
    "rotation",
    "reflection",
    "shift",
    "channels",
)
WORDS = ("equivariant", "invariant")
SHIFTS = ("torus", "translation")  # what the step is about

# Cyclic shifts, mirrors and turns of a grid are relabellings of its nodes; the rest are parts of the motions of space.
PART_OF = {
    "torus": "nodes",
    "flip": "nodes",
    "rot90": "nodes",
    "rotation": "euclidean",
    "reflection": "euclidean",
    "shift": "euclidean",
}


def _each_axis(function: Any, *values: Any) -> Any:
    """``function`` of numbers, or of each axis where one of the values is a tuple."""
    axes = {len(value) for value in values if isinstance(value, tuple)}
    if not axes:
        return function(*values)
    (count,) = axes
    columns = [value if isinstance(value, tuple) else (value,) * count for value in values]
    found = tuple(function(*column) for column in zip(*columns))
    return found[0] if len(set(found)) == 1 else found


class Symmetry(Mapping[str, str]):
    """What a module promises: a mapping from the name of a group to "equivariant" or "invariant".

    Parameters
    ----------
    declared : mapping of str to str
        Name of a group of ``gnnkit.symmetry.GROUPS`` -> "equivariant" (``f(g.x) = g.f(x)``) or "invariant"
        (``f(g.x) = f(x)``). What is not named is not promised.
    step : int or one per axis
        Shifts of a grid ("torus", "translation") are promised by multiples of so many pixels: the stride, as a rule.
    scale : int, Fraction or one per axis
        Pixels of the output for one pixel of the input: 1/2 behind a stride of 2. It says how steps add up.

    Raises
    ------
    UnknownNameError
        If there is no group of that name.
    InvalidArgumentError
        If a word is neither "equivariant" nor "invariant", or it is no mapping.

    Notes
    -----
    It compares equal to a plain dict of the same words. A module may declare a plain dict as well. For "edges" node and
    global outputs do not change and edge outputs follow their edges; for an "invariant" of nodes, grids or positions,
    globals do not change, while the fields of nodes of a returned graph still belong to their nodes.

    Examples
    --------
    >>> import gnnkit as gk
    >>> print(gk.nn.Conv2d(3, 8, 3, stride=2).symmetry)
    union        equivariant
    torus        equivariant, by steps of 2
    translation  equivariant, by steps of 2
    >>> gk.nn.GlobalPool("sum").symmetry["nodes"]
    'invariant'
    """

    __slots__ = ("_declared", "scale", "step")

    def __init__(self, declared: Mapping[str, str] | None = None, *, step: Any = 1, scale: Any = 1) -> None:
        declared = {} if declared is None else declared
        if not isinstance(declared, Mapping):
            raise InvalidArgumentError(
                "A declared symmetry maps names of groups to 'equivariant' or 'invariant'. "
                f"Got {declared!r} ({type_name(declared)}). Write for instance {{'nodes': 'equivariant'}}."
            )
        for name, word in declared.items():
            if name not in NAMES:
                raise unknown_name("group", name, NAMES)
            if word not in WORDS:
                raise InvalidArgumentError(
                    f"A declared symmetry is 'equivariant' or 'invariant'. Got {word!r} for {name!r}. "
                    "Leave a group out of which nothing is promised."
                )
        self._declared = {name: declared[name] for name in NAMES if name in declared}
        self.step, self.scale = _each_axis(int, step), _each_axis(Fraction, scale)

    def __getitem__(self, name: str) -> str:
        return self._declared[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Symmetry) and any(name in self for name in SHIFTS) and self.step != other.step:
            return False
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, more: Mapping[str, str]) -> Symmetry:
        """The same and more; what both name is as in ``more``."""
        return Symmetry({**self, **more}, step=self.step, scale=self.scale)

    def without(self, *names: str) -> Symmetry:
        """The same without the groups of these names."""
        kept = {name: word for name, word in self.items() if name not in names}
        return Symmetry(kept, step=self.step, scale=self.scale)

    def promises(self, name: str) -> str | None:
        """The word for a group that is declared, or that is part of a declared one; None for others.

        A shift of a torus, for instance, is a relabelling of its nodes.
        """
        if name in self:
            return self[name]
        whole = PART_OF.get(name)
        if whole == "nodes" and "edges" not in self:
            return None
        return self.get(whole) if whole is not None else None

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        lines = [f"{name:{width}}  {word}{self._by(name)}" for name, word in self.items()]
        return "\n".join(lines) if lines else "nothing declared"

    def _by(self, name: str) -> str:
        return f", by steps of {self.step}" if name in SHIFTS and self.step != 1 else ""

    def __repr__(self) -> str:
        step = f", step={self.step}" if any(self._by(name) for name in self) else ""
        return f"Symmetry({self._declared}{step})"


EQUIVARIANT = Symmetry({"nodes": "equivariant", "edges": "invariant", "union": "equivariant"})
INVARIANT = Symmetry({"nodes": "invariant", "edges": "invariant", "union": "equivariant"})
UNKNOWN = Symmetry()
MESSAGE_PASSING = EQUIVARIANT | {"euclidean": "invariant"}  # of positions in space, which are not looked at
# The features alone: not even the direction of edges is looked at.
NODEWISE = MESSAGE_PASSING | {"reversal": "equivariant"}
# Each node by itself, whatever its graph holds besides: also where pixels leave an image and others come in.
POINTWISE = NODEWISE | {"translation": "equivariant"}


def declared_by(module: Any) -> Symmetry:
    """The symmetry that a module declares, as a :class:`Symmetry`; a plain dict is read and checked."""
    found = module if isinstance(module, Symmetry) else module.symmetry
    return found if isinstance(found, Symmetry) else Symmetry(found)


def composed(modules: Iterable[Any]) -> Symmetry:
    """What modules (or symmetries) promise that are applied one after the other: that which each of them promises.

    Equivariant after equivariant stays so, and one invariant among them makes the whole invariant: a readout. Positions
    in space that one of the modules moves come out moved, so the whole is equivariant. Steps multiply: two strides of 2
    promise shifts by 4.
    """
    parts = [declared_by(module) for module in modules]
    declared = _common(parts) if parts else dict(POINTWISE | {"channels": "equivariant"})
    step: Any = 1
    scale: Any = 1
    for part in parts:
        step = _each_axis(_least_step, step, scale, part.step)
        scale = _each_axis(lambda before, by: Fraction(before) * Fraction(by), scale, part.scale)
    return Symmetry(declared, step=step, scale=scale)


def together(parts: Iterable[Symmetry]) -> Symmetry:
    """What branches promise whose outputs are added: that which each of them promises, if they agree on the grid."""
    parts = list(parts)
    step: Any = 1
    for part in parts:
        step = _each_axis(math.lcm, step, part.step)
    symmetry = Symmetry(_common(parts), step=step, scale=parts[0].scale)
    return symmetry if all(part.scale == parts[0].scale for part in parts) else symmetry.without(*SHIFTS)


def around(outer: Symmetry, networks: Iterable[Any]) -> Symmetry:
    """What a layer promises that calls networks on rows: of nodes, of edges, of graphs.

    A network that looks at several rows at once (batch statistics in training, a norm per graph, which takes bare rows
    for one graph) lets the graphs of a batch see each other.
    """
    for network in networks:
        inner = declared_by(network)
        if inner.promises("nodes") is None:
            return UNKNOWN
        outer = outer if "translation" in inner else outer.without("union")  # which only what is pointwise promises
    return outer


def _common(parts: list[Symmetry]) -> dict[str, str]:
    """The groups that some part names and all of them promise; what follows from another of them is left out."""
    common: dict[str, str] = {}
    for name in NAMES:
        words = {part.promises(name) for part in parts}
        if None in words or not any(name in part for part in parts):
            continue
        word = "invariant" if "invariant" in words else "equivariant"
        if "equivariant" in words and PART_OF.get(name, name) == "euclidean":
            word = "equivariant"  # somebody moved the positions, which come out
        if Symmetry(common).promises(name) != word:
            common[name] = word
    return common


def _least_step(step: int, scale: Any, inner: int) -> int:
    """The least shift that is a multiple of ``step`` and, times ``scale``, one of ``inner``."""
    needed = Fraction(inner) / Fraction(scale)
    return math.lcm(step, needed.numerator)
