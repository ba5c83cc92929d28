"""What a group and one of its elements are. Knows graphs; the groups themselves are beside this file.

An element is bound to the graph it was drawn for. It knows the graphs on the left (one; several for a disjoint union),
the graph on the right, and how values move from left to right: rows change places, and numbers within a row may change
too (a rotation). From f on the left graphs follows what f must be on the right one, and the same for gradients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gnnkit.errors import DTypeError, GroupError, InvalidArgumentError, UnknownNameError, type_name, unknown_name
from gnnkit.graph import Graph

LEVELS = ("nodes", "edges", "globals")
BARE = "output"  # the name of a result that is one array
Edges = tuple[np.ndarray, np.ndarray]
Key = tuple[str, str]  # (level, field name); a parameter is ("parameter", its name)

SYNONYMS = {  # what others call a group, letters and digits alone
    "nodes": ("permutation", "permutations", "relabelling", "relabeling", "sn", "nodepermutation"),
    "edges": ("edgeorder", "edgepermutation", "reordering"),
    "union": ("batch", "batches", "batching", "disjointunion", "minibatch"),
    "reversal": ("reverse", "transpose", "direction"),
    "torus": ("cyclic", "cyclicshift", "roll"),
    "translation": ("translations", "pixelshift"),
    "flip": ("mirror", "flips"),
    "rot90": ("quarterturn", "quarterturns", "p4", "c4"),
    "rotation": ("rotations", "rotate"),
    "reflection": ("reflections", "reflect"),
    "shift": ("shifts",),
}
SPACE = {
    "e": "All motions of space are group='euclidean'.",
    "se": "Motions without reflections are group=('euclidean', {'reflect': False}).",
    "o": "Motions that keep the origin are group=('euclidean', {'move': False}).",
    "so": "Rotations are group='rotation'.",
    "t": "Translations of space are group='shift', those of images 'translation' or 'torus'.",
}


class Element:
    """One element of a group, acting on one graph.

    Attributes
    ----------
    lefts : list of Graph
        Where the function is evaluated first: the graph; for a disjoint union its parts.
    right : Graph
        The graph after the element has acted.
    moves_nodes : bool
        Whether nodes change places, so that only globals can be invariant.
    """

    moves_nodes = False

    def __init__(self, lefts: Sequence[Graph], right: Graph) -> None:
        self.lefts = list(lefts)
        self.right = right

    def rows(self, level: str, values: list[np.ndarray], frames: list[Graph], frame: Graph) -> np.ndarray:
        """Move the rows of ``values``, one array for each left graph, to where they belong on the right.

        Rows of edges are in the caller's order. ``frames`` are the graphs that the left values belong to, ``frame`` the
        one of the right: the inputs themselves, or the graphs that the function returned.
        """
        return values[0]

    def values(self, level: str, name: str, array: np.ndarray, *, linear: bool, given: bool) -> np.ndarray:
        """Act on the numbers within each row of an input (``given``) or of a result.

        ``linear`` leaves shifts out, as cotangents and gradients need. The rest must keep lengths (a permutation, a
        rotation): gradients are moved by it as values are. Check other maps with ``gradients=False``.
        """
        return array

    def edges(self, frames: list[Graph], frame: Graph) -> Edges | None:
        """The senders and receivers that the right graph must have, or None where edges follow from the nodes."""
        senders, receivers, _ = frames[0].to_edges()
        return senders, receivers

    def valid(self, level: str, frame: Graph) -> np.ndarray | None:
        """Which rows on the right can be compared; None for all."""
        return None

    def problem(self, frames: list[Graph], frame: Graph) -> str:
        """Why the graph returned on the right cannot be the moved one; "" if it can."""
        return ""

    def problem_of_sizes(self, sizes: np.ndarray, frame: Graph) -> str:
        """Why the graphs of a batch that came back have the wrong numbers of nodes."""
        found = np.diff(frame.node_ptr)
        if np.array_equal(sizes, found):
            return ""
        texts = [", ".join(map(str, each[:12].tolist())) or "no" for each in (sizes, found)]
        return f"a result with graphs of {texts[0]} nodes expected, with graphs of {texts[1]} nodes found"

    def check_result(self, keys: Iterable[Key], bare: bool, expect: str) -> None:
        """Refuse a result for which the expectation says nothing."""
        if expect == "invariant" and self.moves_nodes and not bare and not any(key[0] == "globals" for key in keys):
            raise GroupError(
                "Only globals of a returned graph can be invariant where nodes change places. "
                f"The function returned a graph with {', '.join(' '.join(key) for key in keys)} and no globals. "
                "Use expect='equivariant', or return the invariant value itself with output='globals'."
            )

    def describe(self) -> str:
        """The element in words."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.describe()


@dataclass(frozen=True)
class Group:
    """A group acting on graphs: draws elements, and lists simple ones for counterexamples.

    Attributes
    ----------
    name : str
        Its name in ``gk.symmetry.GROUPS``.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> torus = gk.symmetry.GROUPS["torus"].on(step=2)
    >>> image = gk.from_image(np.array([[1.0, 2.0, 3.0, 4.0]]))
    >>> element = torus.simple(image)[0]
    >>> print(element)
    images shifted by (0, 2) pixels around the torus
    >>> element.right.x[:, 0]
    array([3., 4., 1., 2.])
    """

    name: str

    def settled(self, graphs: Sequence[Graph], evaluate: Callable[[Graph], Any]) -> Self:
        """This group with the defaults that follow from the graphs of a check and from the function.

        They stay while a counterexample is made small. ``evaluate`` gives the outcome of the function for a graph.
        """
        return self

    def draw(self, graphs: Sequence[Graph], number: int, rng: np.random.Generator) -> Graph:
        """The graph of case ``number``: each of ``graphs`` in turn."""
        return graphs[number % len(graphs)]

    def sample(self, graph: Graph, rng: np.random.Generator) -> Element | None:
        """A random element for ``graph``; None if the only one is the identity, which would show nothing.

        Raises
        ------
        GroupError
            If the group cannot act on such a graph.
        """
        raise NotImplementedError

    def simple(self, graph: Graph) -> list[Element]:
        """A few simple elements, the simplest first, among which a counterexample is looked for."""
        return []

    def check_expectation(self, expect: str) -> None:
        """Refuse an expectation that means nothing for this group."""

    def on(self, **options: Any) -> Self:
        """This group with other options, such as ``GROUPS["torus"].on(step=2)``.

        Raises
        ------
        InvalidArgumentError
            If there is no such option.
        """
        try:
            return replace(self, **options)
        except TypeError as error:
            known = ", ".join(key for key in self.__dataclass_fields__ if key != "name") or "none"
            raise InvalidArgumentError(
                f"Options of the group {self.name!r} are: {known}. Got {', '.join(options)}. Check the name."
            ) from error


def as_group(group: Any, known: dict[str, Group]) -> Group:
    """A group from its name, from ``(name, options)``, or itself."""
    if isinstance(group, Group):
        return group
    name, options = group if isinstance(group, tuple) and len(group) == 2 else (group, {})
    if not isinstance(name, str) or not isinstance(options, dict):
        raise DTypeError(
            f"A group is a name, (name, options), or a Group. Got {type_name(group)}. "
            "Pass for example group='nodes', or group=('euclidean', {'positions': 'pos'})."
        )
    if name not in known:
        advice = _meant(name)
        if advice:
            raise UnknownNameError(
                f"A symmetry group must be one of: {', '.join(sorted(known))}. Got {name!r}. {advice}"
            )
        raise unknown_name("symmetry group", name, known)
    return known[name].on(**options) if options else known[name]


def _meant(name: str) -> str:
    """What to write for a group that has another name here; "" where the name is just unknown."""
    space = re.fullmatch(r"(s?[eo]|t)\(?[n\d]\)?", name.lower())  # E(n), SE(3), so3
    if space:
        return SPACE[space[1]]
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return next((f"Did you mean {meant!r}?" for meant, others in SYNONYMS.items() if plain in others), "")


def refuse(group: Group, need: str, came: str, advice: str) -> GroupError:
    """The error for a graph on which ``group`` cannot act."""
    return GroupError(f"The group {group.name!r} needs {need}. Got {came}. {advice}")


def moved_pairs(target: np.ndarray, word: str) -> str:
    """A permutation in words: ``nodes 0 -> 2, 2 -> 0``; what stays is left out."""
    moved = np.flatnonzero(target != np.arange(len(target)))
    pairs = [f"{i} -> {target[i]}" for i in moved[:12].tolist()]
    more = f" and {len(moved) - 12} more" if len(moved) > 12 else ""
    return f"{word} {', '.join(pairs)}{more}" if pairs else f"{word} stay"
