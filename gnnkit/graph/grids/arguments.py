"""Reading the arguments of grids and stencils: counts per axis, sizes, paddings. Knows the errors only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError
from gnnkit.graph.checks import as_count

MAX_AXES = 3


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def items_of(value: Any, name: str) -> list[Any]:
    """The entries of a sequence, read once."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise DTypeError(
            f"{name} must be an integer or one integer per axis. Got {value!r} of type {type(value).__name__}. "
            f"Give for instance {name}=3 or {name}=(3, 3)."
        )
    return list(value)


def as_positive(value: Any, name: str) -> int:
    """Return ``value`` as an int of at least 1."""
    count = as_count(value, name)
    if count < 1:
        raise InvalidArgumentError(f"{name} must be 1 or more. Got {count}. Give for instance {name}=1.")
    return count


def per_axis(value: Any, name: str, ndim: int) -> tuple[int, ...]:
    """One positive integer per axis; a single integer counts for every axis."""
    if is_integer(value):
        return (as_positive(value, name),) * ndim
    values = items_of(value, name)
    if len(values) != ndim:
        raise ShapeError(
            f"{name} must have one entry per axis, {ndim}. Got {tuple(values)!r} with {len(values)}. "
            f"Give {ndim} integers, or one for all axes."
        )
    return tuple(as_positive(item, name) for item in values)


def as_ndim(ndim: Any) -> int:
    """Return the number of axes, from 1 to 3."""
    ndim = as_count(ndim, "ndim")
    if not 1 <= ndim <= MAX_AXES:
        raise InvalidArgumentError(
            f"A grid must have 1, 2 or 3 axes. Got {ndim}. Put further axes into the channels, or into the batch."
        )
    return ndim


def common_ndim(ndim: Any, values: dict[str, Any]) -> int:
    """The number of axes, as given or as the arguments that list one entry per axis have it."""
    if ndim is not None:
        return as_ndim(ndim)
    lengths = {name: len(items_of(value, name)) for name, value in values.items() if not _is_scalar(value)}
    if not lengths:
        raise InvalidArgumentError(
            f"A stencil must know its number of axes. Got integers only ({_listed(values)}) and ndim=None. "
            "Pass ndim=2 for images, or one entry per axis such as kernel_size=(3, 3)."
        )
    if len(set(lengths.values())) > 1:
        raise ShapeError(
            f"All arguments must have the same number of axes. Got {_listed(lengths)} entries. "
            "Give as many entries everywhere, or single integers."
        )
    return as_ndim(next(iter(lengths.values())))


def _is_scalar(value: Any) -> bool:
    return is_integer(value) or isinstance(value, str)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def as_padding(padding: Any, ndim: int) -> str | tuple[tuple[int, int], ...]:
    """Return "same", or (before, after) of every axis."""
    if isinstance(padding, str):
        if padding == "same":
            return "same"
        if padding == "valid":
            return ((0, 0),) * ndim
        raise InvalidArgumentError(
            f"padding must be 'same', 'valid', an integer, or integers per axis. Got {padding!r}. Choose one of these."
        )
    if is_integer(padding):
        count = as_count(padding, "padding")
        return ((count, count),) * ndim
    values = items_of(padding, "padding")
    if len(values) != ndim:
        raise ShapeError(
            f"padding must have one entry per axis, {ndim}. Got {tuple(values)!r} with {len(values)}. "
            "Give an integer or a pair (before, after) for every axis."
        )
    return tuple(_pair(item) for item in values)


def _pair(item: Any) -> tuple[int, int]:
    if is_integer(item):
        count = as_count(item, "padding")
        return count, count
    pair = items_of(item, "padding")
    if len(pair) != 2:
        raise ShapeError(
            f"The padding of an axis must be an integer or a pair (before, after). Got {tuple(pair)!r}. "
            "Give two integers."
        )
    return as_count(pair[0], "padding"), as_count(pair[1], "padding")


def as_size(size: Any) -> tuple[int, ...]:
    """The number of cells along every axis of one image."""
    size = tuple(as_count(item, "size") for item in items_of(size, "size"))
    as_ndim(len(size))
    return size


def size_text(size: tuple[int, ...]) -> str:
    """A size as a person writes it: ``28 x 28``."""
    return " x ".join(str(n) for n in size)
