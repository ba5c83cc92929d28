"""What a run was started with, in words and digests, so that a checkpoint is only resumed by the same run.

Whatever a resumed run would silently take from the file instead of from its caller stands here, and the data: another
split would train on nodes that are tested. May import tasks and autodiff.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from gnnkit.autodiff import as_array
from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph, grid_topology
from gnnkit.learn.image_batches import ImageBatches
from gnnkit.learn.tasks import Fixed, GraphBatches, Task


def describe_run(sets: dict[str, Any], optim: Any, scheduler: Any, **settings: Any) -> dict[str, str]:
    """One JSON text per setting, of a run that has not made a step yet.

    Parameters
    ----------
    sets : dict
        Name -> list of tasks, or an object with ``epoch(rng)``, or None where there is none.
    optim, scheduler
        As built; the rate of the former and the numbers of the latter are those of epoch 0.
    **settings
        Anything else that JSON can hold.
    """
    rates = {name: getattr(optim, name) for name in getattr(optim, "settings", ())}
    plan = None if scheduler is None or not hasattr(scheduler, "state_dict") else scheduler.state_dict()
    found = {**rates, **settings, "schedule": plan, **{f"{n} data": _digest(s) for n, s in sets.items()}}
    return {name: json.dumps(value, default=str, sort_keys=True) for name, value in found.items()}


def check_same(saved: dict[str, str], now: dict[str, str]) -> None:
    """Refuse to resume a run that was started with something else.

    Raises
    ------
    InvalidArgumentError
        Naming what differs.
    """
    differs = [name for name in {**saved, **now} if saved.get(name) != now.get(name)]
    if differs:
        then, given = (_listed(settings, differs) for settings in (saved, now))
        raise InvalidArgumentError(
            f"A run resumes with the settings and the data it was started with. The checkpoint disagrees about: "
            f"{', '.join(differs)}; it has {then}, and this run {given}. Pass the same, or start without resume=True."
        )


def _listed(settings: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} {settings.get(name, 'null')[:60]}" for name in names)


def _digest(data: Any) -> str | None:
    """A short sha256 of tasks: targets, rows that count, edges, and features."""
    if isinstance(data, Fixed):
        data = data.tasks
    digest = hashlib.sha256()
    if isinstance(data, GraphBatches):
        digest.update(f"{data.batch_size} {data.shuffle} {data.level}".encode())
        for graph, target in zip(data.graphs, data.target):
            _add_graph(digest, graph)
            _add(digest, target)
    elif isinstance(data, ImageBatches):
        _add_images(digest, data)
    elif isinstance(data, list):
        seen: set[int] = set()
        for task in data:
            _add_task(digest, task, seen)
    else:
        return None if data is None else type(data).__name__  # a sampler of one's own says nothing more
    return digest.hexdigest()[:16]


def _add_task(digest: Any, task: Task, seen: set[int]) -> None:
    digest.update(task.level.encode())
    _add(digest, task.counted)
    _add(digest, np.arange(task.num_rows) if task.rows is None else task.rows)
    if id(task.graph) not in seen:
        seen.add(id(task.graph))
        _add_graph(digest, task.graph)


def _add_graph(digest: Any, graph: Graph) -> None:
    for array in graph.topology.signature():
        _add(digest, array)
    for name, fields in (("x", graph.nodes), ("e", graph.edges), ("u", graph.globals)):
        if name in fields:
            value = fields[name]
            stored = (value.indptr, value.indices, value.data) if hasattr(value, "indptr") else (as_array(value),)
            for array in stored:
                _add(digest, array)


def _add_images(digest: Any, batches: ImageBatches) -> None:
    how = (batches.batch_size, batches.shuffle, batches.level, batches.augment is None)
    digest.update(str(how).encode())
    stack = batches.stack
    topology = grid_topology(stack.grid, stack.stencil)
    for array in (*topology.signature(), stack.rows, batches.images, batches.target):
        _add(digest, array)


def _add(digest: Any, array: Any) -> None:
    array = np.ascontiguousarray(array)
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8))
