"""Python values to one array and back: what the doors of networkx and pandas share.

``pack`` turns the values of one attribute into an array and remembers how they were held; ``unpack`` gives them
back. Nothing is guessed: values of different kinds, lengths or containers are refused, naming the first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import DTypeError, InvalidFeatureError, unknown_name
from gnnkit.graph.fields import ENTRY, is_sparse, raw
from gnnkit.graph.origin import Attribute, Column

Label = Callable[[int], str]
Selection = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None

# Exactly what a Python scalar becomes in numpy, so that a Python scalar on the way out comes back as the same dtype.
_PYTHON_DTYPES = {np.dtype(kind) for kind in (np.int64, np.float64, np.bool_, np.complex128)}
_KIND_NAMES = {
    "b": "a boolean",
    "i": "an integer",
    "f": "a float",
    "c": "a complex number",
    "U": "a string",
    "S": "bytes",
}


class _Odd(Exception):
    """The value at ``row`` does not go with the others, because of ``reason``."""

    def __init__(self, row: int, reason: str) -> None:
        self.row, self.reason = row, reason


def _kind(cls: type) -> str | None:
    """Kind of a scalar class, or None for what an array cannot hold."""
    if issubclass(cls, np.generic):
        kind = np.dtype(cls).kind
        return None if kind in "OV" else {"u": "i"}.get(kind, kind)
    for base, kind in ((bool, "b"), (int, "i"), (float, "f"), (complex, "c"), (str, "U"), (bytes, "S")):
        if issubclass(cls, base):
            return kind
    return None


def pack(values: Sequence[Any], *, name: Hashable, level: str, label: Label) -> tuple[np.ndarray, Attribute]:
    """Put one attribute of all nodes (edges) into an array [num_values, ...].

    Raises
    ------
    InvalidFeatureError
        When the values are not of one kind and shape; the text names the first that differs.
    """
    try:
        array, container = _pack(values)
    except _Odd as odd:
        entry = ENTRY[level]
        raise InvalidFeatureError(
            f"The attribute {name!r} must have the same kind and shape on every {entry}. "
            f"{label(odd.row)[:1].upper()}{label(odd.row)[1:]} has {_brief(values[odd.row])}: {odd.reason}. "
            f"Correct it, or choose the attributes to read (leave {name!r} out)."
        ) from None
    return array, Attribute(name, array.shape[1:], array.dtype, container)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _pack(values: Sequence[Any]) -> tuple[np.ndarray, str]:
    if not len(values):
        return np.zeros(0), "python"
    if isinstance(values[0], np.ndarray):
        return _pack_arrays(values), "ndarray"
    if isinstance(values[0], (list, tuple)):
        shape, containers = _structure(values[0])
        leaves = _flatten(values, shape, containers)
        array, _ = _pack_scalars(leaves, per_row=int(np.prod(shape)) or 1)
        return array.reshape(len(values), *shape), "/".join(cls.__name__ for cls in containers)
    return _pack_scalars(values, per_row=1)


def _pack_arrays(values: Sequence[Any]) -> np.ndarray:
    first = values[0]
    for row, value in enumerate(values):
        if type(value) is not np.ndarray or value.dtype.kind in "OV":
            raise _Odd(row, "not a plain numeric, boolean, string or date array")
        if value.shape != first.shape:
            raise _Odd(row, f"shape {value.shape} where the first has {first.shape}")
        if value.dtype != first.dtype and not (value.dtype.kind == first.dtype.kind and value.dtype.kind in "US"):
            raise _Odd(row, f"dtype {value.dtype} where the first has {first.dtype}")
    return np.stack(values)


def _structure(value: Any) -> tuple[tuple[int, ...], list[type]]:
    shape: list[int] = []
    containers: list[type] = []
    while type(value) in (list, tuple):
        shape.append(len(value))
        containers.append(type(value))
        if not value:
            break
        value = value[0]
    return tuple(shape), containers


def _flatten(values: Sequence[Any], shape: tuple[int, ...], containers: list[type]) -> list[Any]:
    leaves: list[Any] = []

    def walk(value: Any, depth: int, row: int) -> None:
        same = type(value) is containers[depth]
        if not same or len(value) != shape[depth]:
            raise _Odd(row, f"where the first has a {containers[depth].__name__} of length {shape[depth]}")
        if depth + 1 == len(containers):
            leaves.extend(value)
        else:
            for item in value:
                walk(item, depth + 1, row)

    for row, value in enumerate(values):
        if not containers:  # a subclass of list or tuple, such as a named tuple
            raise _Odd(row, "only plain lists and tuples can be given back")
        walk(value, 0, row)
    return leaves


def _pack_scalars(leaves: Sequence[Any], *, per_row: int) -> tuple[np.ndarray, str]:
    if not len(leaves):
        return np.zeros(0), "python"
    classes = set(map(type, leaves))
    kinds = {cls: _kind(cls) for cls in classes}
    first = kinds[type(leaves[0])]
    odd = {cls for cls, kind in kinds.items() if kind is None or (kind != first and {kind, first} != {"i", "f"})}
    if odd:
        position, value = next((i, leaf) for i, leaf in enumerate(leaves) if type(leaf) in odd)
        if kinds[type(value)] is None:
            raise _Odd(position // per_row, f"an array cannot hold a {type(value).__name__}")
        raise _Odd(position // per_row, f"{_KIND_NAMES.get(str(kinds[type(value)]), 'a date')} among others")
    container = "numpy" if all(issubclass(cls, np.generic) for cls in classes) else "python"
    return _exact_array(leaves, set(kinds.values()), per_row), container


def _exact_array(leaves: Sequence[Any], kinds: set[str | None], per_row: int) -> np.ndarray:
    """An array equal to ``leaves`` entry by entry; what numpy would alter silently is refused."""
    if kinds <= {"U", "S"}:
        for position, leaf in enumerate(leaves):
            if leaf[-1:] in ("\0", b"\0"):
                raise _Odd(position // per_row, "an array drops a zero character at the end")
        return np.array(leaves)
    if kinds == {"i", "f"}:
        for position, leaf in enumerate(leaves):
            if isinstance(leaf, (int, np.integer)) and abs(int(leaf)) > 2**53:
                raise _Odd(position // per_row, "an integer too large to stand exactly among floats")
        return np.array(leaves, dtype=np.float64)
    array = np.array(leaves)
    if kinds == {"i"} and array.dtype.kind not in "iu":
        low, high = (0, 2**64) if min(leaves) >= 0 else (-(2**63), 2**63)
        large = next((i for i, leaf in enumerate(leaves) if not low <= leaf < high), None)
        if large is not None:
            raise _Odd(large // per_row, "an integer too large for 64 bits")
        return np.array(leaves, dtype=np.uint64)  # numpy makes floats of integers on both sides of 2**63
    return array


def unpack(array: np.ndarray, attribute: Attribute) -> list[Any]:
    """The values that ``pack`` was given."""
    array = array.astype(attribute.dtype, copy=False)
    if attribute.container == "python":
        return array.tolist()
    if attribute.container == "numpy":
        return list(array)
    if attribute.container == "ndarray":
        return [np.array(row) for row in array]
    containers = attribute.container.split("/")
    values = array.tolist()
    return values if "tuple" not in containers else [_contain(value, containers) for value in values]


def _contain(value: list[Any], containers: Sequence[str]) -> Any:
    items = value if len(containers) == 1 else [_contain(item, containers[1:]) for item in value]
    return tuple(items) if containers[0] == "tuple" else items


def unpack_field(name: str, value: Any, column: Column | None) -> dict[Hashable, list[Any]]:
    """Attributes (name -> values) that a field goes out as: as it came in, or under its own name if it is new."""
    array = value.toarray() if is_sparse(value) else raw(value)
    if column is None or not column.fits(array.shape[1:], array.dtype):
        return {name: _default(array)}
    if not column.stacked:
        return {column.attributes[0].name: unpack(array, column.attributes[0])}
    out: dict[Hashable, list[Any]] = {}
    start = 0
    for attribute in column.attributes:
        width = int(np.prod(attribute.shape))
        part = array[:, start : start + width].reshape(len(array), *attribute.shape)
        out[attribute.name] = unpack(part, attribute)
        start += width
    return out


def added(out: dict[Hashable, Any], key: Hashable, values: Any, level: str) -> None:
    """Put ``values`` under ``key``, which no other field may have taken."""
    if key in out:
        raise InvalidFeatureError(
            f"Every {ENTRY[level]} field must go out under a name of its own. Two of them would be called {key!r}. "
            f"Rename one, or drop it with g.without(...)."
        )
    out[key] = values


def _default(array: np.ndarray) -> list[Any]:
    if array.ndim > 1:
        return [np.array(row) for row in array]
    return array.tolist() if array.dtype in _PYTHON_DTYPES or array.dtype.kind in "US" else list(array)


def read_fields(
    available: Iterable[Hashable],
    selection: Selection,
    get: Callable[[Any], tuple[np.ndarray, Attribute]],
    *,
    level: str,
    dtype: DTypeLike | None,
) -> tuple[dict[str, np.ndarray], dict[str, Column]]:
    """Fields from attributes: every one (None), those listed, or field -> attribute(s) stacked in columns."""
    names = list(available)
    if selection is None:
        selection = {_text(name, level): name for name in names}  # type: ignore[misc]
    elif isinstance(selection, str):
        selection = {selection: selection}
    elif not isinstance(selection, Mapping):
        selection = {name: name for name in selection}
    fields: dict[str, np.ndarray] = {}
    columns: dict[str, Column] = {}
    for field, wanted in selection.items():
        stacked = not isinstance(wanted, str)
        parts = []
        for name in wanted if stacked else (wanted,):
            if names and name not in names:
                raise unknown_name(f"{ENTRY[level]} attribute", name, map(str, names))
            parts.append(get(name))
        value = _stack(field, parts, level) if stacked else parts[0][0]
        if dtype is not None and (stacked or value.dtype.kind == "f"):
            value = value.astype(dtype)
        fields[field] = value
        columns[field] = Column(tuple(part[1] for part in parts), stacked, value.shape[1:], value.dtype)
    return fields, columns


def _text(name: Hashable, level: str) -> str:
    if not isinstance(name, str):
        raise DTypeError(
            f"A field is named by a string. Got the {ENTRY[level]} attribute {name!r}. "
            "Rename the attribute, or choose those to read."
        )
    return name


def _stack(field: str, parts: list[tuple[np.ndarray, Attribute]], level: str) -> np.ndarray:
    if not parts:
        raise InvalidFeatureError(
            f"A field must be made of at least one attribute. The {ENTRY[level]} field {field!r} lists none. Name some."
        )
    for array, attribute in parts:
        if array.dtype.kind not in "biuf":
            raise DTypeError(
                f"Only numbers can be stacked in columns. The attribute {attribute.name!r} for the field {field!r} has "
                f"dtype {array.dtype}. Give it a field of its own."
            )
    return np.concatenate([array.reshape(len(array), int(np.prod(array.shape[1:]))) for array, _ in parts], axis=1)
