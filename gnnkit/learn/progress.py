"""A progress line that costs next to nothing: drawn at most ten times a second, and only where a person looks.

Rich is imported when a line is really drawn.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

_PERIOD = 0.1  # seconds between two drawings


class ProgressLine:
    """Bar over epochs on stderr; ``enabled=None`` shows it when stderr is a terminal.

    Parameters
    ----------
    total : int
        Number of epochs.
    enabled : bool or None
        True forces it, False hides it.
    label : str
        Text in front of the bar.
    """

    def __init__(self, total: int, *, enabled: bool | None = None, label: str = "epoch", done: int = 0) -> None:
        self.enabled = sys.stderr.isatty() if enabled is None else enabled
        self._total, self._label, self._done = total, label, done
        self._bar: Any = None
        self._task: Any = None
        self._next = time.perf_counter() + 2 * _PERIOD if enabled is None else 0.0  # short runs draw nothing

    def update(self, epoch: float, row: dict[str, float]) -> None:
        """Tell the number of finished epochs (a fraction inside an epoch) and the latest numbers."""
        if not self.enabled or time.perf_counter() < self._next:
            return
        self._draw(epoch, row)
        self._next = time.perf_counter() + _PERIOD

    def _draw(self, epoch: float, row: dict[str, float]) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(  # fits 80 columns
                TextColumn("{task.description}"),
                MofNCompleteColumn(),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[numbers]}"),
                console=Console(stderr=True),
                auto_refresh=False,
            )
            self._task = self._bar.add_task(self._label, total=self._total, completed=self._done, numbers="")
            self._bar.start()
        shown = {name: value for name, value in row.items() if name.startswith(("train_loss", "val_"))}
        numbers = "  ".join(
            f"{name.removeprefix('train_').replace('_', ' ')} {value:.3f}"
            for name, value in list(shown.items())[:3]
            if not math.isnan(value)
        )
        self._bar.update(self._task, completed=epoch, numbers=numbers)
        self._bar.refresh()

    def close(self, epoch: int, row: dict[str, float]) -> None:
        """Draw the last state once and leave the line on the screen."""
        if self._bar is not None:
            if row:
                self._draw(epoch, row)
            self._bar.stop()
            self._bar = None
