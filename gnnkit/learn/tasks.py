"""What the training loop consumes: a graph, its targets, the rows that count, and the level they live on.

One record serves a full-batch node task (one big graph, three masks) and a mini-batch of small graphs (a batch of
graphs, one target per graph). May import graph and the floors below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.autodiff import as_array
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    ShapeError,
    graph_advice,
    type_name,
    unknown_name,
)
from gnnkit.graph import Graph, batch

LEVELS = {"nodes": "x", "graphs": "u"}  # level -> the field of the model's output graph that is the prediction


class Task:
    """A graph with targets.

    Parameters
    ----------
    graph : Graph
    target : array_like [num_nodes, ...] or [num_graphs, ...]
        One row per node or per graph of ``graph``, also for the rows that do not count.
    mask : array_like, optional
        The rows that count: bool [num_rows], or integer row numbers (a row may occur twice). Default: every row.
    level : "nodes" or "graphs"
        Where the targets live; the model's output is read from ``x`` or ``u`` accordingly.

    Raises
    ------
    ShapeError
        If targets or mask have another number of rows than the graph.
    InvalidArgumentError
        If no row counts, or a row number is out of range.
    InvalidFeatureError
        If a counted target is nan.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> task = gk.learn.Task(gk.path(3), [0, 1, 1], mask=[True, False, True])
    >>> task
    Task(2 of 3 nodes, target int64)
    >>> task.counted
    array([0, 1])
    """

    __slots__ = ("counted", "graph", "level", "num_rows", "rows", "target")

    def __init__(self, graph: Graph, target: ArrayLike, *, mask: ArrayLike | None = None, level: str = "nodes") -> None:
        if level not in LEVELS:
            raise unknown_name("level", level, LEVELS)
        if not isinstance(graph, Graph):
            raise DTypeError(
                f"A task is about a gk.Graph. Got {type_name(graph)}. "
                + graph_advice(graph, "Make one with gk.from_edges(senders, receivers, x=...).")
            )
        self.graph, self.level = graph, level
        self.num_rows: int = graph.num_nodes if level == "nodes" else graph.num_graphs
        self.target: NDArray[Any] = np.asarray(target)
        if self.target.dtype.kind not in "biuf":
            raise DTypeError(
                f"Targets are numbers: classes 0..C-1 (integer), or values (float). Got dtype {self.target.dtype}. "
                "Encode the labels with np.unique(labels, return_inverse=True), or use gk.NodeClassifier."
            )
        if self.target.ndim == 0 or len(self.target) != self.num_rows:
            raise ShapeError(
                f"Targets have one row for each of the {self.num_rows} {level}. Got shape {self.target.shape}. "
                "Give a full-length array and choose the rows that count with mask=."
            )
        self.rows = None if mask is None else masked_rows(mask, self.num_rows, level)
        self.counted: NDArray[Any] = self.target if self.rows is None else self.target[self.rows]
        if not len(self.counted):
            raise InvalidArgumentError(
                f"At least one of the {self.num_rows} {level} must count. Got a mask that leaves none. Check the split."
            )
        if self.counted.dtype.kind == "f" and np.isnan(self.counted).any():
            bad = int(np.argwhere(np.isnan(self.counted))[0, 0])
            row = bad if self.rows is None else int(self.rows[bad])
            raise InvalidFeatureError(
                f"A counted target must be a number. Got nan for {level[:-1]} {row}. Leave that row out of the mask."
            )

    def __repr__(self) -> str:
        return f"Task({len(self.counted)} of {self.num_rows} {self.level}, target {self.target.dtype})"


def masked_rows(mask: ArrayLike, num_rows: int, level: str) -> NDArray[np.int64]:
    """The row numbers that a mask of booleans, or of row numbers, names."""
    chosen = np.asarray(mask)
    if chosen.dtype == bool:
        if chosen.shape != (num_rows,):
            raise ShapeError(
                f"A boolean mask has one entry for each of the {num_rows} {level}. Got shape {chosen.shape}. "
                "Give a full-length mask, or the row numbers as integers."
            )
        return np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
        raise DTypeError(
            f"A mask is bool [{num_rows}] or integer row numbers. Got dtype {chosen.dtype}, shape {chosen.shape}. "
            "Compare first (values > 0), or pass np.flatnonzero(values)."
        )
    rows = checked_ids(chosen, num_rows, level)
    if len(rows) == num_rows > 2 and rows.max() <= 1:
        raise InvalidArgumentError(
            f"A mask with one entry for each of the {num_rows} {level} holds booleans; integers are row numbers. Got "
            "only 0 and 1. Use mask.astype(bool)."
        )
    return rows


def checked_ids(ids: NDArray[Any], num_rows: int, level: str) -> NDArray[np.int64]:
    """Integer row numbers as int64, each inside ``[0, num_rows)``."""
    ids = ids.astype(np.int64)
    outside = (ids < 0) | (ids >= num_rows)
    if outside.any():
        bad = int(np.flatnonzero(outside)[0])
        raise InvalidArgumentError(
            f"Ids of {level} lie in [0, {num_rows}). Got {int(ids[bad])} at position {bad}. "
            "Count from zero and check which graph the ids belong to."
        )
    return ids


def first_broken_node(graph: Graph) -> int | None:
    """The first node whose features hold nan or infinity, if any does."""
    x = graph.nodes.get("x")
    if x is None or x.dtype.kind != "f":
        return None
    sparse = hasattr(x, "indptr")
    places = np.argwhere(~np.isfinite(np.asarray(x.data if sparse else as_array(x))))
    if not len(places):
        return None
    return int(np.searchsorted(x.indptr, places[0, 0], side="right") - 1 if sparse else places[0, 0])


class GraphBatches:
    """Mini-batches of small graphs, in a new order every epoch.

    Parameters
    ----------
    graphs : sequence of Graph
    target : array_like [num_graphs, ...]
    batch_size : int
    shuffle : bool
        Draw a new order every epoch from the loop's generator. Without it the batches are built once and kept.
    level : "graphs" or "nodes"
        With "nodes", ``target`` is a list of one array per graph (every node counts).

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> data = gk.learn.GraphBatches([gk.path(2), gk.path(3), gk.cycle(3)], [0, 0, 1], batch_size=2)
    >>> len(data), [task.num_rows for task in data.epoch(np.random.default_rng(0))]
    (2, [2, 1])
    """

    def __init__(
        self,
        graphs: Sequence[Graph],
        target: ArrayLike | Sequence[ArrayLike],
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        level: str = "graphs",
    ) -> None:
        if level not in LEVELS:
            raise unknown_name("level", level, LEVELS)
        self.graphs = list(graphs)
        self.target: list[Any] = list(np.asarray(target)) if level == "graphs" else [np.asarray(t) for t in target]  # type: ignore[union-attr, arg-type]
        if len(self.graphs) != len(self.target) or not self.graphs:
            raise ShapeError(
                f"Every graph has one target and there is at least one graph. Got {len(self.graphs)} graphs and "
                f"{len(self.target)} targets. Pass two sequences of the same length."
            )
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise InvalidArgumentError(
                f"batch_size is a whole number, at least 1. Got {batch_size!r}. "
                f"Pass batch_size={len(self.graphs)} for a single batch."
            )
        self.batch_size, self.shuffle, self.level = batch_size, shuffle, level
        self._kept: list[Task] | None = None

    def __len__(self) -> int:
        return -(-len(self.graphs) // self.batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[Task]:
        """The tasks of one epoch; ``rng`` decides the order."""
        if self.shuffle:
            yield from self._tasks(rng.permutation(len(self.graphs)))
            return
        if self._kept is None:
            self._kept = list(self._tasks(np.arange(len(self.graphs))))
        yield from self._kept

    def _tasks(self, order: NDArray[Any]) -> Iterator[Task]:
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            rows = [self.target[i] for i in chosen]
            target = np.stack(rows) if self.level == "graphs" else np.concatenate(rows)
            yield Task(batch([self.graphs[i] for i in chosen]), target, level=self.level)

    def __repr__(self) -> str:
        return f"GraphBatches({len(self.graphs)} graphs in {len(self)} batches of {self.batch_size})"


@runtime_checkable
class Epochs(Protocol):
    """Anything that yields the tasks of one epoch, such as :class:`GraphBatches` or a sampler of your own."""

    def epoch(self, rng: np.random.Generator) -> Iterable[Task]:
        """The tasks of one epoch; ``rng`` is the only source of randomness."""
        ...


class Fixed:
    """The same tasks in the same order every epoch."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks

    def epoch(self, rng: np.random.Generator) -> list[Task]:
        """The tasks; ``rng`` is not used."""
        return self.tasks


def as_epochs(data: Any, name: str) -> Epochs:
    """Accept a Task, a sequence of them, or an object with ``epoch(rng)``."""
    if isinstance(data, Task):
        return Fixed([data])
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, Task) for item in data):
        return Fixed(list(data))
    if isinstance(data, Epochs):
        return data
    raise DTypeError(
        f"{name} is a gk.learn.Task, a list of them, or an object with epoch(rng) such as gk.learn.GraphBatches. "
        f"Got {type(data).__name__}. Wrap the graph: gk.learn.Task(graph, y, mask=train_mask)."
    )


def as_tasks(data: Any, name: str) -> list[Task]:
    """The tasks of an evaluation set, in a fixed order."""
    if isinstance(data, GraphBatches) and data.shuffle:  # the order of an evaluation must not draw random numbers
        data = GraphBatches(data.graphs, data.target, batch_size=data.batch_size, shuffle=False, level=data.level)
    return list(as_epochs(data, name).epoch(np.random.default_rng(0)))
