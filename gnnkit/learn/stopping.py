"""Which epoch is the best, and when to give up waiting for a better one. May import errors and metrics.

Three rules in one small class: the best value of one monitored column; the same with a tie broken by the validation
loss (accuracies of 500 nodes tie often); and the rule of the GAT code, which watches loss and accuracy together.
"""

from __future__ import annotations

import math
from typing import Any

from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.learn.metrics import METRICS


class EarlyStopping:
    """Follow one column of the history; say when it improved and when to stop.

    Parameters
    ----------
    monitor : str
        ``"val_loss"``, ``"val_<metric>"``, ``"train_loss"``, or ``"both"``: patience runs out when neither the
        validation loss nor the validation metric has reached its best value so far, and the best epoch is the last
        one in which both did (Velickovic et al. 2018, as in their code).
    patience : int or None
        Evaluations without improvement after which training stops; None never stops.
    metric : str or None
        The metric that ``"both"`` watches beside the loss.
    higher_is_better : bool or None
        Direction of the metric; None looks it up by name and takes everything unknown (a loss) as lower is better.

    Notes
    -----
    A metric that ties with the best so far improves if the validation loss is lower. A nan never improves.

    Examples
    --------
    >>> from gnnkit.learn import EarlyStopping
    >>> rule = EarlyStopping("val_loss", patience=2)
    >>> [rule.update({"val_loss": v}) for v in (0.9, 0.8, 0.85, 0.8)]
    [True, True, False, False]
    >>> rule.should_stop
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int | None = None,
        *,
        metric: str | None = None,
        higher_is_better: bool | None = None,
    ) -> None:
        if patience is not None and (isinstance(patience, bool) or int(patience) != patience or patience < 1):
            raise InvalidArgumentError(
                f"patience counts evaluations and is at least 1, or None for no early stopping. Got {patience!r}. "
                "Pass for example patience=100."
            )
        if monitor == "both" and metric is None:
            raise InvalidArgumentError(
                "monitor='both' watches the validation loss and one metric. Got no metric. "
                "Pass metrics=('accuracy',), or monitor='val_loss'."
            )
        self.monitor, self.patience, self.metric = monitor, patience, metric
        self.waited = 0
        self.best: tuple[float, float] = (math.inf, math.inf)  # smaller is better in both places
        self.column, self._tie = (f"val_{metric}", "val_loss") if monitor == "both" else (monitor, "val_loss")
        known = METRICS.get(self.column.split("_", 1)[-1])
        if higher_is_better is None:
            higher_is_better = known is not None and known.higher_is_better
        self._sign = -1.0 if higher_is_better else 1.0

    def update(self, row: dict[str, float]) -> bool:
        """Take the row of an evaluated epoch; True if it is the best so far."""
        if self.column not in row:
            raise unknown_name("monitor", self.monitor, [*row, "both"])
        value = (self._sign * row[self.column], row.get(self._tie, 0.0))
        improved, waiting = self._both(value) if self.monitor == "both" else self._one(value)
        self.waited = self.waited + 1 if waiting else 0
        return improved

    def _one(self, value: tuple[float, float]) -> tuple[bool, bool]:
        improved = value < self.best  # False for nan
        if improved:
            self.best = value
        return improved, not improved

    def _both(self, value: tuple[float, float]) -> tuple[bool, bool]:
        reached = [new <= old for new, old in zip(value, self.best)]
        self.best = (min(self.best[0], value[0]), min(self.best[1], value[1]))
        return all(reached), not any(reached)

    @property
    def should_stop(self) -> bool:
        """True once ``patience`` evaluations in a row brought nothing better."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Everything that :meth:`load_state_dict` needs to go on, JSON-able."""
        return {"waited": self.waited, "best": [None if math.isinf(b) else b for b in self.best]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` left off."""
        self.waited = int(state["waited"])
        first, second = (math.inf if b is None else float(b) for b in state["best"])
        self.best = (first, second)
