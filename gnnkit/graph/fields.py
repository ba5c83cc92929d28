"""Field values: what may be one, and the few row operations floor 2 needs on any of them.

A value is a numpy array, a Tensor (keeps its gradient) or, on nodes, a SparseMatrix. Features are opaque
rows here: only the leading dimension, the dtype kind and the absence of NaN are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from gnnkit import autodiff
from gnnkit.errors import DTypeError, ImmutableError, InvalidFeatureError, ShapeError, UnknownFieldError
from gnnkit.graph.topology import Topology, frozen

COUNT = {"nodes": "num_nodes", "edges": "num_edges", "globals": "num_graphs"}
ENTRY = {"nodes": "node", "edges": "edge", "globals": "graph"}


class FieldMap(dict[str, Any]):
    """Read-only map from field names to values; an absent name is an error that lists what exists."""

    __slots__ = ("level",)

    def __init__(self, level: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.level = level

    def __missing__(self, name: str) -> NoReturn:
        known = ", ".join(repr(key) for key in self) or "none"
        raise UnknownFieldError(
            f"A field must exist to be read. The graph has no {ENTRY[self.level]} field {name!r}; it has: {known}. "
            f"Add it with g.replace({self.level}={{{name!r}: values}})."
        )

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmutableError(
            f"The fields of a Graph never change. Got an attempt to change g.{self.level}. "
            f"Make a new graph with g.replace({self.level}={{name: values}}) or g.without(name)."
        )

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    update = pop = popitem = clear = setdefault = _refuse  # type: ignore[assignment]

    def __copy__(self) -> FieldMap:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return FieldMap, (self.level, dict(self))


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a Tensor of the tape."""
    return isinstance(value, autodiff.Tensor)


def is_sparse(value: Any) -> bool:
    """Whether ``value`` is a SparseMatrix."""
    return isinstance(value, autodiff.SparseMatrix)


def raw(value: Any) -> np.ndarray:
    """The numpy array behind an array or a Tensor."""
    return value.data if is_tensor(value) else value


def as_field(value: Any, level: str, name: str, count: int) -> Any:
    """Return ``value`` as a field of ``count`` rows: frozen array, Tensor or SparseMatrix. Cheap; no NaN check."""
    if type(value) is not np.ndarray:
        value = _convert(value, level, name)
    if value.ndim == 0 or value.shape[0] != count:
        _wrong_length(value, level, name, count)
    if type(value) is not np.ndarray:
        return value
    if value.dtype.kind in "OV":
        _refuse_objects(value, level, name)
    return frozen(value)


def _convert(value: Any, level: str, name: str) -> Any:
    if is_tensor(value):
        return value
    if is_sparse(value) or (hasattr(value, "tocsr") and hasattr(value, "nnz")):
        if level != "nodes":
            raise DTypeError(
                f"Only nodes take sparse features. Got {type(value).__name__} for the {ENTRY[level]} field {name!r}. "
                "Make it dense with .toarray()."
            )
        return value if is_sparse(value) else autodiff.SparseMatrix.from_scipy(value)
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"A field must be a plain array. Got a masked array for the {ENTRY[level]} field {name!r}. "
            "Fill it with .filled(value) and keep the mask as a field of its own."
        )
    try:
        array = np.asarray(value)
    except ValueError as reason:
        raise InvalidFeatureError(
            f"All rows of a field must have the same shape. The {ENTRY[level]} field {name!r} has rows of unequal "
            f"lengths. Pad them, or split them into several fields."
        ) from reason
    if array.dtype.kind in "US" and isinstance(value, (list, tuple)):
        _refuse_mixed(np.asarray(value, dtype=object).reshape(-1), level, name, len(value))
    return array


def _refuse_mixed(items: np.ndarray, level: str, name: str, count: int) -> None:
    # numpy would turn numbers among strings into strings
    kind = bytes if isinstance(items[0] if len(items) else "", bytes) else str
    position = next((k for k, item in enumerate(items) if not isinstance(item, kind)), None)
    if position is not None:
        item, entry = items[position], ENTRY[level]
        raise InvalidFeatureError(
            f"All values of a field must be of one kind. The {entry} field {name!r} holds strings and, first at "
            f"{entry} {position * count // len(items)}, {item!r} of type {type(item).__name__}. "
            f"Convert all to one kind."
        )


def _wrong_length(value: Any, level: str, name: str, count: int) -> NoReturn:
    entry = ENTRY[level]
    if value.ndim == 0:
        kind = type(raw(value).item()).__name__
        raise ShapeError(
            f"The {entry} field {name!r} must be an array with one row per {entry} ({COUNT[level]}={count}). "
            f"Got a single value of type {kind}. Give an array; remove a field with g.without({name!r})."
        )
    rows = value.shape[0]
    first = f"{entry} {rows} has no row" if rows < count else f"row {count} belongs to no {entry}"
    raise ShapeError(
        f"The {entry} field {name!r} must have one row per {entry} ({COUNT[level]}={count}). "
        f"Got shape {tuple(value.shape)}: {first}. Give {count} rows, or correct {COUNT[level]}."
    )


def _refuse_objects(value: np.ndarray, level: str, name: str) -> NoReturn:
    row, what = _first_odd(value)
    raise InvalidFeatureError(
        f"A field must hold numbers, booleans, strings or dates of one kind. The {ENTRY[level]} field {name!r} has "
        f"dtype {value.dtype}; the first {ENTRY[level]} that breaks it is {ENTRY[level]} {row} with {what}. "
        "Give every row the same kind and length."
    )


def _first_odd(value: np.ndarray) -> tuple[int, str]:
    first = value[0] if len(value) else None
    for row, item in enumerate(value):
        if type(item) is not type(first) or item is None:
            return row, f"{item!r} of type {type(item).__name__}"
    return 0, f"{first!r} of type {type(first).__name__}"


def first_nan_row(value: Any) -> int | None:
    """Row of the first NaN in a float or complex value, or None."""
    if is_sparse(value):
        matrix = value.to_scipy()
        bad = np.isnan(matrix.data) if matrix.data.dtype.kind in "fc" else np.zeros(0, bool)
        return int(np.searchsorted(matrix.indptr, np.argmax(bad), side="right")) - 1 if bad.any() else None
    array = raw(value)
    if array.dtype.kind not in "fc" or array.size == 0:
        return None
    with np.errstate(invalid="ignore"):
        if not np.isnan(array.min()):  # a minimum carries NaN along, without a boolean array of the same size
            return None
    rows = np.isnan(array).reshape(len(array), int(np.prod(array.shape[1:]))).any(axis=1)
    return int(np.argmax(rows)) if rows.any() else None


def take_rows(value: Any, index: np.ndarray) -> Any:
    """``value[index]`` along the first dimension for any field value; a Tensor keeps its gradient."""
    if is_tensor(value):
        return autodiff.take_rows(value, index)
    if is_sparse(value):
        return value.take_rows(index)
    return np.take(value, index, axis=0)


def edges_as_given(topology: Topology, edges: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Senders, receivers and edge fields in the order of the caller."""
    if topology.is_caller_ordered:
        return topology.senders, topology.receivers, dict(edges)
    order = topology.caller_order
    fields = {name: take_rows(value, order) for name, value in edges.items()}
    return topology.senders[order], topology.receivers[order], fields


def slice_rows(value: Any, start: int, stop: int) -> Any:
    """``value[start:stop]`` for any field value; a Tensor keeps its gradient, an array is not copied."""
    if is_sparse(value):
        return value.take_rows(np.arange(start, stop))
    return value[start:stop]


def concatenate(values: Sequence[Any]) -> Any:
    """Rows of all ``values`` one after another; differentiable if any of them is a Tensor."""
    if any(is_sparse(value) for value in values):
        ends = np.cumsum([0] + [value.nnz for value in values])
        pointers = [value.indptr[1:] + start for value, start in zip(values, ends)]
        indices = np.concatenate([value.indices for value in values])
        data = np.concatenate([value.data for value in values])
        shape = (sum(len(value) for value in values), values[0].shape[1])
        return autodiff.SparseMatrix.trusted(np.concatenate([[0], *pointers]), indices, data, shape)
    return np.concatenate(values)


def first_unequal(array: np.ndarray, left: np.ndarray, right: np.ndarray) -> int | None:
    """First k where rows ``array[left[k]]`` and ``array[right[k]]`` differ (two NaN count as equal), or None."""
    return first_difference(array[left], array[right])


def first_difference(one: np.ndarray, other: np.ndarray) -> int | None:
    """First row where two arrays of the same shape differ (two NaN count as equal), or None."""
    differ = (one != other) & ~((one != one) & (other != other))
    rows = differ.reshape(len(one), int(np.prod(one.shape[1:]))).any(axis=1)
    return int(np.argmax(rows)) if rows.any() else None


def describe(value: Any) -> str:
    """Short text such as ``float32[3, 5]`` for reprs and reports."""
    prefix = "sparse " if is_sparse(value) else ""
    return f"{prefix}{value.dtype}[{', '.join(str(n) for n in value.shape)}]"
