"""Checks of whole field maps: names, lengths, NaN; and how an error speaks of a node or an edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gnnkit.errors import DTypeError, InvalidFeatureError
from gnnkit.graph.fields import ENTRY, FieldMap, as_field, first_nan_row
from gnnkit.graph.origin import node_label

if TYPE_CHECKING:
    from gnnkit.graph.graph import Graph


def checked_name(name: Any, level: str) -> str:
    if not isinstance(name, str) or not name:
        raise DTypeError(
            f"The name of a field must be a non-empty string. Got {name!r} among the {ENTRY[level]} fields. Rename it."
        )
    return name


def checked_fields(fields: Mapping[str, Any] | None, level: str, count: int) -> dict[str, Any]:
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise DTypeError(
            f"{level} must map field names to arrays. Got {type(fields).__name__}. Write {level}={{'name': values}}."
        )
    return {checked_name(name, level): as_field(value, level, name, count) for name, value in fields.items()}


def refuse_nan(graph: Graph, fields: FieldMap) -> None:
    """Raise naming the first row of ``fields`` that holds a NaN."""
    refuse_nan_rows(fields, lambda row: entry_label(graph, fields.level, row))


def refuse_nan_rows(fields: FieldMap, label: Callable[[int], str]) -> None:
    """The same for the fields of anything: ``label`` says how an error speaks of a row."""
    for name, value in fields.items():
        row = first_nan_row(value)
        if row is not None:
            raise InvalidFeatureError(
                "Features must not be NaN. "
                f"The {ENTRY[fields.level]} field {name!r} has a NaN at {label(row)}. "
                "Fill or drop it, or pass allow_nan=True to keep it."
            )


def entry_label(graph: Graph, level: str, row: int) -> str:
    """How an error speaks of a row of a field: node with its name, edge by the caller's position and endpoints."""
    if level == "globals":
        return f"graph {row}"
    if level == "nodes":
        return node_label(graph.origin, row)
    topology = graph.topology
    position = int(topology.edge_order[row])
    partner = getattr(graph.origin, "partner", None)
    if partner is not None:  # speak of an undirected edge as it was given
        position = min(position, int(partner[position]))
    row = int(topology.caller_order[position])
    sender, receiver = int(topology.senders[row]), int(topology.receivers[row])
    names = getattr(graph.origin, "node_names", None)
    ends = f"{sender} -> {receiver}" if names is None else f"{names[sender]!r} -> {names[receiver]!r}"
    return f"edge {position} ({ends})"
