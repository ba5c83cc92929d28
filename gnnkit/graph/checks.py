"""Checks at the door: counts, edge endpoints, rows. Imports ``gnnkit.errors`` and numpy only.

Every function either returns a clean value or raises an error that names the first offending edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidGraphError, ShapeError


def as_count(value: Any, name: str) -> int:
    """Return ``value`` as a Python int of at least 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise DTypeError(
            f"{name} must be an integer. Got {value!r} of type {type(value).__name__}. Give a count such as {name}=5."
        )
    if value < 0:
        raise InvalidArgumentError(f"{name} must be 0 or more. Got {value}. Give the true count.")
    if value >= 2**48:  # its row pointers alone would be petabytes; numpy's own errors are cryptic up here
        raise InvalidArgumentError(f"{name} must be a count that memory can hold. Got {value}. Give the true count.")
    return int(value)


def as_index(values: Any, name: str, *, entry: str = "edge") -> np.ndarray:
    """Return ``values`` as a one-dimensional integer array; an empty input of any dtype is an empty index."""
    values = getattr(values, "data", values) if hasattr(values, "requires_grad") else values
    if isinstance(values, np.ma.MaskedArray):
        raise DTypeError(
            f"{name} must be a plain array. Got a masked array, whose mask would be lost. "
            f"Pass {name}.compressed(), or leave out what is masked on both ends."
        )
    try:
        array = np.asarray(values)
    except ValueError as reason:
        raise ShapeError(
            f"{name} must be one flat list of integers. Got lists of unequal lengths. Give one number per {entry}."
        ) from reason
    if array.ndim != 1:
        hint = (
            "Pass the two rows as senders and receivers."
            if array.ndim == 2 and array.shape[0] == 2
            else "Flatten it to one dimension."
        )
        raise ShapeError(f"{name} must be one-dimensional, one integer per {entry}. Got shape {array.shape}. {hint}")
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.dtype.kind == "b":
        raise DTypeError(
            f"{name} must hold node indices (integers). Got booleans, {entry} 0 has {array[0]}. "
            "Turn a mask into indices with np.flatnonzero(mask)."
        )
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name} must hold node indices (integers). Got dtype {array.dtype}, {entry} 0 has {array[0]}. "
            "Convert whole numbers with .astype(np.int64); names go through from_networkx or from_pandas."
        )
    return array


def in_range(index: np.ndarray, limit: int) -> bool:
    """Whether every entry of a non-empty or empty ``index`` lies in 0 <= i < limit."""
    return index.size == 0 or (int(index.min()) >= 0 and int(index.max()) < limit)


def check_lengths(senders: np.ndarray, receivers: np.ndarray) -> None:
    """Raise unless there are as many senders as receivers."""
    if len(senders) != len(receivers):
        first = min(len(senders), len(receivers))
        missing = "receiver" if len(receivers) < len(senders) else "sender"
        raise ShapeError(
            f"senders and receivers must have one entry per edge each. Got {len(senders)} senders and "
            f"{len(receivers)} receivers, so edge {first} has no {missing}. Give lists of equal length."
        )


def check_endpoints(
    senders: np.ndarray,
    receivers: np.ndarray,
    *,
    num_senders: int,
    num_receivers: int,
    counts: tuple[str, str] | None = None,
) -> None:
    """Raise naming the first edge whose sender or receiver is not an existing node.

    ``counts`` is what the caller knows the two numbers of nodes as.
    """
    if in_range(senders, num_senders) and in_range(receivers, num_receivers):
        return
    bad_sender = (senders < 0) | (senders >= num_senders)
    bad_receiver = (receivers < 0) | (receivers >= num_receivers)
    edge = int(np.argmax(bad_sender | bad_receiver))
    side, value, limit = (
        ("sender", int(senders[edge]), num_senders)
        if bad_sender[edge]
        else ("receiver", int(receivers[edge]), num_receivers)
    )
    if counts is not None:
        count = counts[side == "receiver"]
    else:
        count = "num_nodes" if num_senders == num_receivers else f"num_{side}s"
    span = f"from 0 to {limit - 1} ({count}={limit})" if limit else f"but there are no nodes ({count}=0)"
    advice = (
        "Negative indices are not wrapped; correct the edge."
        if value < 0
        else f"Correct the edge, or give the true {count} (at least {value + 1})."
    )
    raise InvalidGraphError(
        f"Every {side} must be a node index {span}. "
        f"Edge {edge} ({int(senders[edge])} -> {int(receivers[edge])}) has {side} {value}. {advice}"
    )


def check_indptr(indptr: np.ndarray, num_edges: int) -> int:
    """Raise unless ``indptr`` rises from 0 to ``num_edges``; return the number of rows."""
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != num_edges:
        ends = f"starts at {indptr[0]} and ends at {indptr[-1]}" if len(indptr) else "is empty"
        raise InvalidGraphError(
            f"indptr must start at 0 and end at the number of edges, {num_edges}. It {ends}. "
            "Give one entry more than there are receivers."
        )
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        row = int(np.argmax(falls))
        raise InvalidGraphError(
            f"indptr must not decrease. Row {row} runs from {indptr[row]} to {indptr[row + 1]}. Correct indptr."
        )
    return len(indptr) - 1


def check_rows(indptr: np.ndarray, indices: np.ndarray, num_senders: int) -> None:
    """Raise unless every row holds existing senders in ascending order."""
    receivers = np.repeat(np.arange(len(indptr) - 1), (indptr[1:] - indptr[:-1]).astype(np.int64))
    if not in_range(indices, num_senders):
        check_endpoints(indices, receivers, num_senders=num_senders, num_receivers=len(indptr) - 1)
    falls = (indices[1:] < indices[:-1]) & (receivers[1:] == receivers[:-1])
    if falls.any():
        edge = int(np.argmax(falls)) + 1
        raise InvalidGraphError(
            f"The senders of each receiver must be ascending. Receiver {receivers[edge]} has sender {indices[edge]} "
            f"after {indices[edge - 1]} (edge {edge}). Use Topology.from_edges, which sorts."
        )


def check_permutation(order: np.ndarray, num_edges: int) -> np.ndarray:
    """Return ``order`` if it holds every position once, else raise."""
    if len(order) != num_edges:
        raise ShapeError(
            f"edge_order must have one entry per edge, {num_edges}. Got {len(order)}. Give a permutation of the edges."
        )
    seen = np.zeros(num_edges, bool)
    if in_range(order, num_edges):
        seen[order] = True
    if not seen.all():
        raise InvalidGraphError(
            f"edge_order must hold every position 0 to {num_edges - 1} once. Position {int(np.argmin(seen))} is "
            "missing or an entry is out of range. Give a permutation of the edges."
        )
    return order
