"""Columns of a person's own file, as numbers and as classes. Imports the error tree only.

A :class:`NodeTable` is what a GraphML file and a CSV file have in common: node names, and columns of raw values. The
person names the columns; nothing here guesses one. Every error names the file, the node and the column.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import io
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit.errors import FileFormatError, InvalidFeatureError, UnknownNameError
from gnnkit.files import read_bytes

NO_NODES = "(no --nodes)"  # where the columns of an edge list without a table of nodes would be
_SHOWN = 20  # names of columns listed in an error


@dataclass(frozen=True)
class NodeTable:
    """Named columns of nodes; a missing value is None. ``where`` is the file, for error texts."""

    names: Sequence[Hashable]
    columns: dict[str, list[Any]]
    where: str
    index: dict[Hashable, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {name: k for k, name in enumerate(self.names)})

    def column(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise unknown_column(name, self.columns, self.where)
        return self.columns[name]

    def select(self, patterns: Sequence[str]) -> list[str]:
        """Return the columns that ``patterns`` name: a name, or a name with ``*`` for any text."""
        chosen: list[str] = []
        for pattern in patterns:
            found = [pattern] if pattern in self.columns else fnmatch.filter(self.columns, pattern)
            if not found:
                raise unknown_column(pattern, self.columns, self.where)
            chosen += [name for name in found if name not in chosen]
        return chosen

    def numbers(self, columns: Sequence[str]) -> np.ndarray:
        """Return the columns as float32 [num_nodes, num_columns]; every value must be a finite number."""
        values = np.empty((len(self.names), len(columns)), np.float32)
        for place, name in enumerate(columns):
            bad = fill_numbers(values[:, place], self.column(name))
            if bad is not None:
                raise InvalidFeatureError(
                    f"A feature must be a number (below 3.4e38) for every node. Node {self.names[bad]!r} has "
                    f"{_shown(self.columns[name][bad])} in the column {name!r} of {self.where}. Fill it in, leave the "
                    "column out of --features, or name it in --one-hot if it holds categories."
                )
        return values

    def categories(self, name: str) -> list[str]:
        """Return the different values of a column as text, sorted."""
        return sorted({_text(value) for value in self.column(name) if value is not None}, key=_natural)

    def one_hot(self, name: str, categories: Sequence[str]) -> np.ndarray:
        """Return float32 [num_nodes, len(categories)]; a missing value is a row of zeros."""
        codes = self.codes(name, categories, "category", "Train again with that value among the data.")
        values = np.zeros((len(codes), len(categories)), np.float32)
        known = np.flatnonzero(codes >= 0)
        values[known, codes[known]] = 1
        return values

    def labels(self, name: str, classes: Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
        """Return the code of every node's class (int64, -1 where the label is missing) and the class names."""
        column = self.column(name)
        broken = next((v for v in column if isinstance(v, float) and not v.is_integer()), None)
        if broken is not None:
            raise InvalidFeatureError(
                f"A label must be the name of a class. The column {name!r} of {self.where} holds the number {broken}. "
                "Name a column of classes; to predict numbers, use gk.NodeRegressor in Python."
            )
        if classes is None:
            classes = self.categories(name)
            if len(classes) < 2:
                raise InvalidFeatureError(
                    f"The labels must name at least two classes. The column {name!r} of {self.where} has "
                    f"{f'only {classes[0]!r}' if classes else 'no value at all'}. "
                    "Check the name of the column, or fill in the labels that you know."
                )
        return self.codes(name, classes, "class", "Check that the model was trained for this label."), list(classes)

    def codes(self, name: str, known: Sequence[str], kind: str, advice: str) -> np.ndarray:
        """Return the place of every value in ``known`` (int64, -1 where it is missing)."""
        code = {text: k for k, text in enumerate(known)}
        codes = np.full(len(self.names), -1, np.int64)
        for k, value in enumerate(self.column(name)):
            if value is None:
                continue
            if _text(value) not in code:
                raise InvalidFeatureError(
                    f"A {kind} of the column {name!r} must be one of: {', '.join(known[:_SHOWN])}. Node "
                    f"{self.names[k]!r} of {self.where} has {_text(value)!r}. {advice}"
                )
            codes[k] = code[_text(value)]
        return codes


def unknown_column(name: str, known: Sequence[str] | dict[str, Any], where: str) -> UnknownNameError:
    """Return (not raise) the error for a column that is not there; it lists those that are."""
    names = list(known)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not names:
        advice = "Add a table of nodes: --nodes FILE --id COLUMN" if where.endswith(NO_NODES) else "Check the file."
        return UnknownNameError(
            f"A column must be in {where}. It has none to choose from, and {name!r} was asked for. {advice}"
        )
    advice = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Name one of these."
    if "*" in name and not close:
        advice = "Name one of these, or a beginning of them followed by *."
    return UnknownNameError(f"A column of {where} must be one of: {shown}. Got {name!r}. {advice}")


def read_csv(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a CSV file (``.tsv``: separated by tabs) by the names in its first line.

    Values are texts; an empty one is None. Spaces around a value do not count.

    Raises
    ------
    FileMissingError, FileFormatError
        If there is no such file, it is not UTF-8, has no or a doubled name, or a line of another length.
    """
    try:
        text = read_bytes(path, purpose="table").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"A table must be text in UTF-8. '{path}' is not (byte {error.start}). Save it again as CSV, UTF-8."
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        return _columns(reader, path)
    except csv.Error as error:
        raise FileFormatError(
            f"A table must be plain CSV. '{path}' is not, near line {reader.line_num} ({error}). Look for a quotation "
            "mark that is never closed, or a value that is no value."
        ) from error


def _columns(reader: Any, path: Path) -> dict[str, list[Any]]:
    header = [name.strip() for name in next(reader, [])]
    if not header or len(set(header)) != len(header) or "" in header:
        raise FileFormatError(
            f"The first line of a table must name every column once. '{path}' starts with {header}. Give each column "
            "a name of its own, separated by commas (tabs in a .tsv file)."
        )
    columns: dict[str, list[Any]] = {name: [] for name in header}
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise FileFormatError(
                f"Every line of a table must have one value per column. Line {reader.line_num} of '{path}' has "
                f"{len(row)} and there are {len(header)} columns. Correct that line."
            )
        for name, value in zip(header, row):
            columns[name].append(value.strip() or None)
    return columns


def fill_numbers(out: np.ndarray, column: list[Any]) -> int | None:
    """Write a column of raw values into ``out`` [num_rows]; return the first row that is no finite number, or None."""
    with np.errstate(over="ignore"):
        try:
            out[:] = column
            if np.isfinite(out).all():
                return None
        except (TypeError, ValueError, OverflowError):
            pass
        # A number may also be too large for the dtype.
        return next(k for k, v in enumerate(column) if not (_is_number(v) and np.isfinite(out.dtype.type(float(v)))))


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers first and by size, then words: 2 comes before 10."""
    return (0, float(text), text) if _is_number(text) else (1, 0.0, text)
