"""The record of a training run: one list per column, one row per epoch. May import errors only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from gnnkit.errors import FileFormatError, unknown_name


class History:
    """What happened in every epoch, and why training ended.

    Reads like a dict of lists: ``history["val_loss"]`` has one number per epoch (``nan`` in epochs without
    evaluation, see ``eval_every``). Columns are ``train_loss``, ``lr``, ``seconds`` (of that epoch) and, for the sets
    given, ``val_loss``, ``val_<metric>``, ``test_loss``, ``test_<metric>``.

    Attributes
    ----------
    best_epoch : int
        Index, from 0, of the epoch whose weights the model now has, as in ``history["val_loss"][history.best_epoch]``;
        -1 before the first epoch. What is printed or drawn counts epochs from 1.
    stopped : str
        Why training ended: "epochs" (all done), "patience", "interrupted", "callback" or "" (still running).
    interrupted : bool
        True if Ctrl-C ended the run.
    seconds : float
        Time of all epochs together.

    Examples
    --------
    >>> from gnnkit.learn import History
    >>> history = History()
    >>> history.append({"train_loss": 0.7, "val_loss": 0.8, "seconds": 0.5})
    >>> history.append({"train_loss": 0.4, "val_loss": 0.6, "seconds": 0.5})
    >>> history.best_epoch = 1
    >>> history["val_loss"], len(history), history.seconds
    ([0.8, 0.6], 2, 1.0)
    >>> history.best["val_loss"]
    0.6
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}
        self.best_epoch = -1
        self.stopped = ""
        self._length = 0

    def append(self, row: Mapping[str, float]) -> None:
        """Add the numbers of one epoch; columns that are missing in ``row``, or new with it, are filled with nan."""
        for name in row:
            if name not in self.columns:
                self.columns[name] = [math.nan] * self._length
        for name, column in self.columns.items():
            column.append(row.get(name, math.nan))
        self._length += 1

    @property
    def interrupted(self) -> bool:
        """True if Ctrl-C ended the run."""
        return self.stopped == "interrupted"

    @property
    def seconds(self) -> float:
        """Time of all epochs together."""
        return float(sum(self.columns.get("seconds", ())))

    @property
    def best(self) -> dict[str, float]:
        """The row of the best epoch (empty before the first)."""
        return self.row(self.best_epoch) if self.best_epoch >= 0 else {}

    def row(self, epoch: int) -> dict[str, float]:
        """All columns of one epoch."""
        return {name: column[epoch] for name, column in self.columns.items()}

    def keys(self) -> list[str]:
        """Names of the columns, in the order in which they first came."""
        return list(self.columns)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.columns:
            raise unknown_name("history column", name, self.columns)
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        """Number of epochs."""
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, nan as None."""
        plain = {k: [None if math.isnan(v) else v for v in column] for k, column in self.columns.items()}
        return {"columns": plain, "epochs": self._length, "best_epoch": self.best_epoch, "stopped": self.stopped}

    def to_json(self) -> str:
        """The whole record as JSON; numbers survive exactly."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> History:
        """The record that :meth:`to_json` wrote."""
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise _malformed(error) from error

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """The record that :meth:`to_dict` gave."""
        history = cls()
        try:
            history.columns = {
                str(k): [math.nan if v is None else float(v) for v in column] for k, column in data["columns"].items()
            }
            history._length = int(data["epochs"])
            history.best_epoch, history.stopped = int(data["best_epoch"]), str(data["stopped"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _malformed(error) from error
        return history

    def __repr__(self) -> str:
        if not self._length:
            return "History(no epochs)"
        shown = [0, 1, *range(self._length - 3, self._length), self.best_epoch]
        if self._length > 12:
            shown += [round(self._length * part / 6) for part in range(1, 6)]
        epochs = sorted({e for e in shown if 0 <= e < self._length}) if self._length > 8 else range(self._length)
        names = [name for name in self.columns if name not in ("seconds", "lr")]
        table = [["epoch", *names], *([str(e + 1), *(_short(self.columns[n][e]) for n in names)] for e in epochs)]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in table]
        lines = [f"{line}  <- best" if row[0] == str(self.best_epoch + 1) else line for line, row in zip(lines, table)]
        end = f", ended by {self.stopped}" if self.stopped else ""
        return f"History of {self._length} epochs in {self.seconds:.2f} s{end}\n" + "\n".join(lines)


def _malformed(error: Exception) -> FileFormatError:
    return FileFormatError(
        f"A history is what History.to_json wrote. Got something else ({error!r}). Save the history again."
    )


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
