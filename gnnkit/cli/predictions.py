"""Predictions as rows, one per node, and as a CSV file: what `train --predictions` and `predict --out` write."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer


def prediction_rows(
    names: Sequence[Hashable],
    probabilities: np.ndarray,
    columns: Sequence[str],
    classes: Sequence[str],
    y: np.ndarray | None,
) -> list[dict[str, Any]]:
    """Return one dictionary per node: node, predicted, probability, and the label where there are labels.

    ``columns`` are the classes that the model tells apart, ``classes`` those that the codes ``y`` stand for.
    """
    best = probabilities.argmax(axis=1)
    rows = []
    for k, name in enumerate(names):
        row: dict[str, Any] = {"node": name, "predicted": columns[best[k]]}
        row["probability"] = round(float(probabilities[k, best[k]]), 6)
        if y is not None:
            row["label"] = classes[y[k]] if y[k] >= 0 else None
        rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows as CSV, whole or not at all; ``-`` is stdout."""
    import csv
    import io

    from gnnkit.files import atomic_write

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["node", "predicted", "probability"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if str(path) == "-":
        typer.echo(text.getvalue(), nl=False)
    else:
        atomic_write(path, text.getvalue().encode())
