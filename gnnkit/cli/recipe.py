"""How features are made from columns, written down so that ``predict`` makes the same ones. Imports tables and graph.

A recipe is fixed at training (columns after ``*`` is resolved, categories, means and deviations) and kept as JSON in
the model file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gnnkit.cli.tables import NodeTable
from gnnkit.errors import InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph import Graph

STRUCTURE = ("@degree", "@identity")  # features that need no column
SCALES = ("standard", "l1", "none")


@dataclass(frozen=True)
class Recipe:
    """Which columns become features, in this order: ``columns``, @degree, ``one_hot``, @identity.

    ``mean`` and ``std`` (columns and @degree) are those of the training graph, for ``scale="standard"``; one-hot and
    identity columns are left as they are.
    """

    columns: list[str]
    one_hot: dict[str, list[str]]
    structure: list[str]
    scale: str
    num_nodes: int
    mean: list[float]
    std: list[float]

    @property
    def num_features(self) -> int:
        return len(self.feature_names())

    def feature_names(self) -> list[str]:
        """Name every column of the features."""
        named = [*self.columns, *(["@degree"] if "@degree" in self.structure else [])]
        named += [f"{name}={value}" for name, values in self.one_hot.items() for value in values]
        if "@identity" in self.structure:
            named += [f"@identity={k}" for k in range(self.num_nodes)]
        return named

    def describe(self) -> str:
        """Say in a few words what the features are."""
        named = [*self.columns, *self.one_hot, *self.structure]
        shown = ", ".join(named[:12]) + (f" and {len(named) - 12} more" if len(named) > 12 else "")
        return f"{shown} (scale: {self.scale})"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def features(self, graph: Graph, table: NodeTable) -> np.ndarray:
        """Return the features float32 [num_nodes, num_features] of a graph with the same columns."""
        if "@identity" in self.structure and graph.num_nodes != self.num_nodes:
            raise ShapeError(
                f"@identity features name every node, so the graph must be the one of training. It had "
                f"{self.num_nodes} nodes and this one has {graph.num_nodes}. Train with --features @degree, or with "
                "columns, for a model that fits other graphs."
            )
        measured = _measured(self.columns, self.structure, graph, table)
        if self.scale == "standard":
            measured = (measured - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        parts = [measured, *(table.one_hot(name, values) for name, values in self.one_hot.items())]
        if "@identity" in self.structure:
            parts.append(np.eye(graph.num_nodes, dtype=np.float32))
        x = np.concatenate(parts, axis=1)
        if self.scale == "l1":
            total = np.abs(x).sum(1, keepdims=True)
            x = x / np.where(total > 0, total, 1)
        return x


def write_recipe(
    graph: Graph, table: NodeTable, *, features: Sequence[str], one_hot: Sequence[str], scale: str = "standard"
) -> Recipe:
    """Fix the recipe of a training graph: resolve ``*``, collect categories, measure mean and deviation."""
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    structure = [name for name in features if name.startswith("@")]
    for name in structure:
        if name not in STRUCTURE:
            raise unknown_name("feature without a column", name, STRUCTURE)
    columns = table.select([name for name in features if not name.startswith("@")])
    categories = {name: table.categories(name) for name in table.select(one_hot)}
    if not columns and not categories and not structure:
        have = f"{table.where} has the columns: {', '.join(table.columns)}" if table.columns else "there are no columns"
        raise InvalidArgumentError(
            f"A model learns from features. None were named; {have}. Name some with --features a,b or --features "
            "'prefix*', or use what needs no column: --features @degree or --features @identity."
        )
    measured = _measured(columns, structure, graph, table)
    mean, std = measured.mean(0, dtype=np.float64), measured.std(0, dtype=np.float64)
    std[std == 0] = 1  # a constant column becomes zero
    standard = scale == "standard"
    return Recipe(
        columns=columns,
        one_hot=categories,
        structure=structure,
        scale=scale,
        num_nodes=graph.num_nodes,
        mean=mean.tolist() if standard else [],
        std=std.tolist() if standard else [],
    )


def _measured(columns: list[str], structure: list[str], graph: Graph, table: NodeTable) -> np.ndarray:
    values = table.numbers(columns)
    if "@degree" in structure:
        degree = np.log1p(graph.topology.in_degree()).astype(np.float32)[:, None]  # hubs do not drown the rest
        values = np.concatenate([values, degree], axis=1)
    return values
