"""Does a model tell two graphs apart? A separation is compared with the noise that relabelling the nodes makes.

Imports graph, the error tree and what this floor knows of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import InvalidArgumentError, type_name
from gnnkit.graph import Graph
from gnnkit.symmetry.groups import GROUPS
from gnnkit.symmetry.models import answer, check_level, is_module, rows, working_copy
from gnnkit.symmetry.subjects import as_given
from gnnkit.symmetry.tuples import single_graph

_NOISE, _ROUNDING, _INVARIANT = 10.0, 1e4, 1e6  # times the noise; times eps * size: told apart; no rounding any more
_DIRECTIONS = 8


@dataclass(frozen=True)
class Draw:
    """One draw of parameters: how far apart, how noisy, and what counts as apart."""

    separation: float
    noise: float
    threshold: float
    invariant: bool

    @property
    def distinguished(self) -> bool:
        """Whether the separation is beyond the threshold, and the model invariant."""
        return self.invariant and self.separation > self.threshold


@dataclass(frozen=True)
class Distinction:
    """The answer of :func:`distinguishes`; true in an ``if`` where the graphs are told apart.

    Attributes
    ----------
    distinguished : bool
        Whether some draw of parameters tells the graphs apart.
    invariant : bool
        Whether the output of every draw stays the same, up to rounding, when the nodes are renumbered.
    separation : float
        Smallest distance between the outputs on the two graphs, over relabellings, of the draw that separates best.
    noise : float
        Largest distance of that draw between two outputs on relabellings of the same graph.
    threshold : float
        What the separation must exceed.
    draws : tuple of Draw
        All draws.
    output : str or None
        The output that was compared.
    relabellings : int
        Relabellings of each graph, beside the graph as it came.
    """

    distinguished: bool
    invariant: bool
    separation: float
    noise: float
    threshold: float
    draws: tuple[Draw, ...]
    output: str | None
    relabellings: int

    def __bool__(self) -> bool:
        return self.distinguished

    def __str__(self) -> str:
        count = sum(draw.distinguished for draw in self.draws)
        of = f" ({count} of {len(self.draws)} draws of parameters)" if len(self.draws) > 1 else ""
        what = {"nodes": "outputs of nodes, as a multiset", "globals": "outputs of the graph"}[self.output or "nodes"]
        if not self.invariant:
            verdict = "NOT INVARIANT: renumbering the nodes changes the output, so a difference says nothing."
            advice = "Find out why with gk.symmetry.check(model, graph)."
        elif self.distinguished:
            verdict, advice = f"TOLD APART{of}.", "So they are not isomorphic, features included."
        else:
            verdict = f"NOT TOLD APART{of}."
            advice = "Ask gk.symmetry.wl_level(g1, g2) whether message passing could; try several draws=."
        return (
            f"{verdict}\n  separation {self.separation:9.2e}   between the two graphs ({what})\n"
            f"  noise      {self.noise:9.2e}   between {self.relabellings} relabellings of one graph\n"
            f"  threshold  {self.threshold:9.2e}   ten times the noise, or 10,000 roundings\n  {advice}"
        )

    def __repr__(self) -> str:
        flag = "" if self.invariant else ", invariant=False"
        return (
            f"Distinction(distinguished={self.distinguished}, separation={self.separation:.2e}, "
            f"noise={self.noise:.2e}{flag})"
        )


def distinguishes(
    model: Any,
    first: Graph | tuple[Graph, Graph],
    second: Graph | None = None,
    *,
    output: str | None = None,
    draws: int | None = None,
    relabellings: int = 5,
    dtype: str = "float64",
    rng: int | np.random.Generator | None = 0,
) -> Distinction:
    """Whether a model gives two graphs outputs that differ by more than rounding.

    Parameters
    ----------
    model : callable
        A :class:`gnnkit.nn.Module`, or any function of a Graph that returns a Graph, a Tensor or an array. A module is
        copied, converted to ``dtype`` and used in evaluation mode; yours stays as it is.
    first, second : Graph
        Single graphs, with the features that the model reads. Or both as one pair, in place of the first.
    output : str, optional
        "globals": the model's ``u``, or the array it returns for the graph. "nodes": the multiset of the rows of ``x``,
        in which nodes have no order; graphs of different sizes then are infinitely far apart. None, for models that
        return a graph: "globals" if they made a ``u``, else "nodes".
    draws : int, optional
        Try that many random parameters (``reset_parameters``): a difference in any draw counts, since expressiveness
        asks whether there are parameters that tell the graphs apart. None: the parameters as they are.
    relabellings : int
        How often each graph is renumbered at random to measure the noise.
    dtype : str
        Precision, of the module and of the floating fields of the graphs.
    rng : int or Generator, optional

    Returns
    -------
    Distinction
        Prints as a short text; true in an ``if`` where the graphs are told apart.

    Raises
    ------
    InvalidGraphError
        If something is no single graph.
    InvalidArgumentError, UnknownNameError
        If the model returns an array and ``output`` is not given, there is no such output, ``draws`` are asked of
        something that has no ``reset_parameters``, or a number is negative.

    Notes
    -----
    The distance between two outputs of a graph is the largest absolute difference. Between two multisets of rows it is
    the largest difference of sorted values over all channels and eight fixed random directions, which is zero exactly
    for equal multisets (but for directions of probability zero) and never larger than a change of the rows: a sliced
    distance, so that rounding cannot exchange two rows and look like a difference. A model whose output changes by more
    than rounding when nodes are renumbered is reported as not invariant, and as telling nothing apart.

    "Not told apart" holds for the parameters that were tried; only :func:`wl_equivalent` proves that no network of
    message passing can. Graphs without nodes are legal.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> hexagon, prism = gk.symmetry.pairs.hexagon_and_prism()
    >>> def walks(graph):
    ...     return gk.message.neighbour_sum(graph.topology, gk.message.neighbour_sum(graph.topology, graph.x))
    >>> gk.symmetry.distinguishes(walks, hexagon, prism, output="nodes")
    Distinction(distinguished=True, separation=5.00e+00, noise=0.00e+00)
    >>> bool(gk.symmetry.distinguishes(walks, *gk.symmetry.pairs.two_triangles_and_hexagon(), output="nodes"))
    False
    """
    check_level(output)
    pair = [as_given(single_graph(g), np.dtype(dtype)) for g in _two(first, second)]
    rng = np.random.default_rng(rng)
    copied = working_copy(model, dtype)
    _check_counts(model, draws, relabellings)
    if output is None:
        result = copied(pair[0])
        made = isinstance(result, Graph) and "u" in result.globals and "u" not in pair[0].globals
        output = "globals" if made else "nodes" if isinstance(result, Graph) else None
    versions = [[g, *(relabelled(g, rng) for _ in range(relabellings))] for g in pair]
    found = []
    for _ in range(1 if draws is None else draws):
        if draws is not None:
            copied.reset_parameters(rng)
        found.append(_compare(copied, versions, output, dtype))
    best = max(found, key=lambda draw: (draw.distinguished, draw.separation - draw.threshold))
    invariant = all(draw.invariant for draw in found)
    told = invariant and any(draw.distinguished for draw in found)
    shown = best if invariant else max(found, key=lambda draw: draw.noise)
    return Distinction(
        told, invariant, shown.separation, shown.noise, shown.threshold, tuple(found), output, relabellings
    )


def _two(first: Any, second: Any) -> tuple[Any, Any]:
    if second is not None:
        return first, second
    if isinstance(first, tuple | list) and len(first) == 2:
        return first[0], first[1]
    came = f"a {type_name(first)} of {len(first)}" if isinstance(first, tuple | list) else f"one {type_name(first)}"
    raise InvalidArgumentError(
        f"Two graphs are told apart, or not. Got {came}. Pass distinguishes(model, first, second), or a pair of graphs."
    )


def relabelled(graph: Graph, rng: np.random.Generator) -> Graph:
    """The graph with its nodes renumbered at random."""
    element = GROUPS["nodes"].sample(graph, rng)
    return graph if element is None else element.right  # there is one way to number a single node


def _check_counts(model: Any, draws: int | None, relabellings: int) -> None:
    for name, value in (("draws", draws), ("relabellings", relabellings)):
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise InvalidArgumentError(f"{name} must be a whole number of at least 1. Got {value!r}. Pass {name}=5.")
    if draws is not None and not (is_module(model) and callable(getattr(model, "reset_parameters", None))):
        raise InvalidArgumentError(
            "Random draws need a model with reset_parameters(rng). The model has none. "
            "Leave draws= out, or pass a gk.nn.Module."
        )


def _compare(model: Any, versions: list[list[Graph]], output: str | None, dtype: str) -> Draw:
    answers = [[rows(answer(model, g, output)) for g in group] for group in versions]
    distance = _multisets if output == "nodes" else _arrays
    noise = max(distance(group[0], other) for group in answers for other in group[1:])
    separation = min(distance(one, other) for one in answers[0] for other in answers[1])
    size = max((float(np.abs(a).max()) for group in answers for a in group if a.size), default=0.0)
    rounding = float(np.finfo(dtype).eps) * size
    invariant = noise <= _INVARIANT * rounding or noise == 0
    return Draw(separation, noise, max(_NOISE * noise, _ROUNDING * rounding), bool(invariant))


def _arrays(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one - other).max(initial=0.0))


def _multisets(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape:
        return float("inf")
    axes = np.random.default_rng(0).normal(size=(one.shape[1], _DIRECTIONS))
    axes = np.hstack([np.eye(one.shape[1]), axes / np.maximum(np.abs(axes).sum(axis=0), 1e-300)])
    return float(np.abs(np.sort(one @ axes, axis=0) - np.sort(other @ axes, axis=0)).max(initial=0.0))
