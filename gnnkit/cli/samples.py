"""The graphs that ``gnnkit check`` looks at: small random ones with every corner case, images, or a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gnnkit.errors import InvalidArgumentError

OF_A_SET = 20  # graphs, of a data set of many
IN_SPACE = 3  # dimensions


@dataclass(frozen=True)
class Sample:
    """What a person typed about the graphs to check on."""

    data: str | None = None
    without: Sequence[str] = ()
    channels: int | None = None
    edge_channels: int = 0
    global_channels: int = 0
    dimensions: int = 0
    categories: int | None = None
    size: str | None = None
    step: int | None = None
    seed: int = 0

    def graphs(self, subject: Any, group: str, count: int) -> list[Any]:
        """The graphs on which ``group`` is checked; of small ones ``count`` different, if that is many."""
        if self.data is not None:
            return self._of_data()
        from gnnkit.nn.check_graphs import graphs_for

        return graphs_for(
            subject,
            group,
            channels=self.channels,
            edge_channels=self.edge_channels,
            global_channels=self.global_channels,
            dimensions=self.dimensions,
            categories=self.categories,
            size=self.image_size(),
            step=self.step,
            count=count,
            rng=self.seed,
        )

    def group(self, subject: Any, name: str) -> Any:
        """The group as the checker takes it."""
        from gnnkit.nn.check_graphs import group_for

        return group_for(subject, name, size=self.image_size(), step=self.step)

    def describe(self) -> str:
        """The same in words."""
        return f"the data set {self.data}" if self.data is not None else f"small random graphs of seed {self.seed}"

    def image_size(self) -> tuple[int, ...] | None:
        if self.size is None:
            return None
        try:
            return tuple(int(part) for part in self.size.lower().split("x"))
        except ValueError:
            raise InvalidArgumentError(
                f"The size of an image is written like 28x28. Got --size {self.size}. Use 16 for sequences."
            ) from None

    def _of_data(self) -> list[Any]:
        from gnnkit import datasets

        found = datasets.load(str(self.data))
        graphs = found[:OF_A_SET] if isinstance(found, list) else [found]
        return [graph.without(*self.without) for graph in graphs] if self.without else graphs


def dimensions_for(groups: Iterable[str]) -> int:
    """Columns of the positions that all graphs get because one of the groups moves them; 0 if none does."""
    from gnnkit.nn.check_graphs import POSITION_GROUPS

    return IN_SPACE if any(name in POSITION_GROUPS for name in groups) else 0
