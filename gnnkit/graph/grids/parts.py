"""The plan of a grid topology: parts that the stencil kernels run. Knows kernels, grids and stencils.

A plan is made for one image, cut into strips so that its tables stay small, and laid down on every image of the
batch; where a mask leaves out cells, the tables of the images are narrowed to those that exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gnnkit.graph.grids.axes import AxisPart, forward_axes, reversed_axes
from gnnkit.graph.grids.grid import Grid, Size
from gnnkit.graph.grids.hexagonal import hexagonal_parts
from gnnkit.graph.grids.recent import Recent
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.topology import frozen
from gnnkit.kernels import StencilPart

TABLE_BYTES = 1 << 20  # of one table; a strip of an image has at least one row, however long
SMALL_COLUMNS = 1 << 14  # parts of fewer columns in all are joined with their like of other images

Plan = tuple[StencilPart, ...]


def build_plan(senders: Grid, receivers: Grid, stencil: Stencil, *, reverse: bool) -> Plan:
    """The plan from one grid to another; ``reverse``: of the stencil's edges turned round."""
    image_grid, out_grid = (receivers, senders) if reverse else (senders, receivers)
    if image_grid.mask is None and out_grid.mask is None:
        return _unmasked_plan(senders, receivers, image_grid, stencil, reverse)
    return _masked_plan(senders, receivers, image_grid, stencil, reverse)


# ------------------------------------------------------------------ one image
_recent: Recent[Plan] = Recent(most=128, most_bytes=1 << 28)  # a mask needs the table of the whole image


def image_parts(size: Size, stencil: Stencil, reverse: bool, table_bytes: int = TABLE_BYTES) -> Plan:
    """The plan for one image of this size; ``reverse``: of the edges turned round."""
    key = size, stencil, reverse, table_bytes
    return _recent.get(key, lambda: _image_parts(*key), lambda plan: sum(part.table.nbytes for part in plan))


def _image_parts(size: Size, stencil: Stencil, reverse: bool, table_bytes: int) -> Plan:
    if stencil.lattice == "hexagonal":
        return hexagonal_parts(size, stencil, reverse, table_bytes)
    out = stencil.output_size(size)
    axes = reversed_axes(size, stencil) if reverse else forward_axes(size, stencil)
    into, onto = (out, size) if reverse else (size, out)
    parts: list[StencilPart] = []
    for first in axes[0]:
        for rest in _products(axes[1:], stencil.kernel_size[1:], into[1:], onto[1:]):
            parts += _strips(first, rest, into, onto, math.prod(stencil.kernel_size[1:]), table_bytes)
    return tuple(parts)


def _products(axes: Sequence[list[AxisPart]], kernel: tuple[int, ...], into: Size, onto: Size) -> Iterable[AxisPart]:
    """The parts of several axes together, positions in C order."""
    if not axes:
        yield AxisPart(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 1), np.int64))
        return
    for first in axes[0]:
        for rest in _products(axes[1:], kernel[1:], into[1:], onto[1:]):
            taps = _outer(first.taps, rest.taps, math.prod(kernel[1:]))
            rows = _outer(first.rows, rest.rows, math.prod(onto[1:]))
            yield AxisPart(taps, rows, _outer_table(first.table, rest.table, math.prod(into[1:])))


def _outer(first: np.ndarray, rest: np.ndarray, stride: int) -> np.ndarray:
    return (first[:, None] * stride + rest).reshape(-1)


def _outer_table(first: np.ndarray, rest: np.ndarray, stride: int) -> np.ndarray:
    """Combine positions [slots, columns] of two axes; absent where either is."""
    dtype: type[np.signedinteger[Any]] = np.int32 if (int(first.max(initial=0)) + 1) * stride < 2**31 else np.int64
    start = np.where(first >= 0, first * stride, -1).astype(dtype)[:, None, :, None]
    inner = rest.astype(dtype)[None, :, None, :]
    table = np.where((start < 0) | (inner < 0), dtype(-1), start + inner)
    return table.reshape(len(first) * len(rest), -1)


def _strips(
    first: AxisPart, rest: AxisPart, into: Size, onto: Size, kernel_rest: int, table_bytes: int
) -> list[StencilPart]:
    """Cut along the first axis; strips that differ only in their place become copies of one part."""
    sender_row, receiver_row = math.prod(into[1:]), math.prod(onto[1:])
    slots, columns = len(first.taps) * len(rest.taps), len(rest.rows)
    if columns == 0 or len(first.rows) == 0:
        return []
    height = max(1, table_bytes // (4 * slots * columns))
    groups: dict[tuple[bytes, bytes], list[tuple[int, int, int]]] = {}
    for start in range(0, len(first.rows), height):
        strip, lines = first.table[:, start : start + height], first.rows[start : start + height]
        present = strip >= 0
        low = int(strip[present].min()) if present.any() else 0
        key = np.where(present, strip - low, -1).tobytes(), (lines - lines[0]).tobytes()
        groups.setdefault(key, []).append((start, low, int(lines[0])))
    whole = len(rest.rows) == receiver_row
    parts = []
    for copies in groups.values():
        start, low, top = copies[0]
        strip, lines = first.table[:, start : start + height], first.rows[start : start + height] - top
        table = _outer_table(np.where(strip >= 0, strip - low, -1), rest.table, sender_row)
        consecutive = whole and np.array_equal(lines, np.arange(len(lines)))
        rows = None if consecutive else _outer(lines, rest.rows, receiver_row)
        offsets = _outer(first.taps, rest.taps, kernel_rest)
        sender_base = np.array([copy[1] for copy in copies], np.int64) * sender_row
        receiver_base = np.array([copy[2] for copy in copies], np.int64) * receiver_row
        parts += make_part(table, rows, offsets, sender_base, receiver_base)
    return parts


def make_part(
    table: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
    sender_base: np.ndarray,
    receiver_base: np.ndarray,
) -> list[StencilPart]:
    """A part without the slots that are absent everywhere; none at all if nothing is left."""
    used = (table >= 0).any(axis=1)
    if not used.any() or not len(sender_base):
        return []
    if not used.all():
        table, offsets = table[used], offsets[used]
    if rows is not None:
        rows = frozen(rows.astype(np.int32 if int(rows.max()) < 2**31 else np.int64))
    narrow = np.int32 if table.dtype == np.int32 or int(table.max()) < 2**31 else np.int64
    return [
        StencilPart(
            frozen(np.ascontiguousarray(table, narrow)),
            rows,
            frozen(offsets.astype(np.int32)),
            frozen(sender_base.astype(np.int64)),
            frozen(receiver_base.astype(np.int64)),
        )
    ]


# ------------------------------------------------------------------ batches
def _unmasked_plan(senders: Grid, receivers: Grid, image_grid: Grid, stencil: Stencil, reverse: bool) -> Plan:
    if image_grid.is_uniform:
        if image_grid.num_graphs == 0:
            return ()
        parts = image_parts(image_grid.size, stencil, reverse)
        return tuple(_laid(part, senders.node_ptr[:-1], receivers.node_ptr[:-1]) for part in parts)
    images: dict[Size, list[int]] = {}
    for i, size in enumerate(image_grid.sizes):
        images.setdefault(size, []).append(i)
    placed = []
    for size, index in images.items():
        for position, part in enumerate(image_parts(size, stencil, reverse)):
            placed.append((position, _laid(part, senders.node_ptr[index], receivers.node_ptr[index])))
    return _joined(placed)


def _laid(part: StencilPart, senders: np.ndarray, receivers: np.ndarray) -> StencilPart:
    """A part of one image on every image that begins at these nodes."""
    if len(part.sender_base) == 1 and len(senders) == 1 and not senders[0] and not receivers[0]:
        return part
    return StencilPart(
        part.table,
        part.rows,
        part.offsets,
        frozen((senders[:, None] + part.sender_base).reshape(-1)),
        frozen((receivers[:, None] + part.receiver_base).reshape(-1)),
    )


def _joined(placed: list[tuple[int, StencilPart]]) -> Plan:
    """Join small parts of different images, each of the same position in the plan of its image.

    Parts of one image keep their order, and no receiver comes twice into one part.
    """
    groups: dict[tuple[int, object], list[StencilPart]] = {}
    for number, (position, part) in enumerate(placed):
        small = part.table.shape[1] * len(part.sender_base) < SMALL_COLUMNS
        groups.setdefault((position, part.offsets.tobytes() if small else number), []).append(part)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])  # stable
    return tuple(part for _, parts in ordered for part in (parts if len(parts) == 1 else [_one_table(parts)]))


def _one_table(parts: list[StencilPart]) -> StencilPart:
    """One part for the copies of all ``parts`` side by side."""
    low = min(int(part.sender_base.min()) for part in parts)
    top = min(int(part.receiver_base.min()) for part in parts)
    high = max(int(part.sender_base.max()) + part.table.size for part in parts)
    dtype: type[np.signedinteger[Any]] = np.int32 if high < 2**31 else np.int64
    ends = np.cumsum([0] + [part.table.shape[1] * len(part.sender_base) for part in parts])
    table, rows = np.empty((len(parts[0].table), ends[-1]), dtype), np.empty(ends[-1], np.int64)
    for part, start, stop in zip(parts, ends[:-1], ends[1:]):
        one = part.table[:, None, :]
        base = (part.sender_base - low).astype(dtype)[:, None]
        table[:, start:stop] = np.where(one < 0, dtype(-1), one + base).reshape(len(one), -1)
        relative = np.arange(one.shape[2]) if part.rows is None else part.rows
        rows[start:stop] = ((part.receiver_base - top)[:, None] + relative).reshape(-1)
    plain = bool((rows == np.arange(len(rows))).all())
    return make_part(table, None if plain else rows, parts[0].offsets, np.array([low]), np.array([top]))[0]


# ------------------------------------------------------------------ masks
def _masked_plan(senders: Grid, receivers: Grid, image_grid: Grid, stencil: Stencil, reverse: bool) -> Plan:
    images: dict[tuple[Size, bytes, bytes], list[int]] = {}
    for i, size in enumerate(image_grid.sizes):
        images.setdefault((size, _image_mask(senders, i), _image_mask(receivers, i)), []).append(i)
    if image_grid.is_uniform and len(images) > 1:
        whole = image_parts(image_grid.size, stencil, reverse, 1 << 62)
        return tuple(part for each in whole for part in _narrowed_batch(each, senders, receivers))
    placed = []
    for (size, *_), index in images.items():
        whole = image_parts(size, stencil, reverse, 1 << 62)
        for position, part in enumerate(whole):
            narrow = _narrowed_batch(part, *(_only(grid, index[0]) for grid in (senders, receivers)))
            placed += [(position, _laid(each, senders.node_ptr[index], receivers.node_ptr[index])) for each in narrow]
    return _joined(placed)


def _only(grid: Grid, i: int) -> Grid:
    return grid if grid.num_graphs == 1 else grid.image(i)


def _image_mask(grid: Grid, i: int) -> bytes:
    return b"" if grid.mask is None else grid.mask[grid.cell_ptr[i] : grid.cell_ptr[i + 1]].tobytes()


def _narrowed_batch(part: StencilPart, senders: Grid, receivers: Grid) -> list[StencilPart]:
    """A part of one whole image (one copy), laid on every image of a batch of one size, less the absent cells."""
    count = senders.num_graphs
    dtype = np.int32 if max(senders.num_nodes, receivers.num_nodes) < 2**31 else np.int64
    rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
    rows = _nodes(receivers, dtype)[:, int(part.receiver_base[0]) + rows].reshape(-1)
    nodes = np.full((count, math.prod(senders.size) + 1), -1, dtype)
    nodes[:, :-1] = _nodes(senders, dtype)
    where = np.where(part.table >= 0, part.table + int(part.sender_base[0]), -1)  # absent entries read the last, -1
    exists = rows >= 0
    table = np.empty((len(where), int(exists.sum())), dtype)
    for slot, cells in enumerate(where):
        table[slot] = nodes[:, cells].reshape(-1)[exists]
    rows = rows[exists]
    if not len(rows):
        return []
    plain = len(rows) == rows[-1] + 1 and rows[0] == 0  # ascending, hence all of them
    base = np.zeros(1, np.int64)
    return make_part(table, None if plain else rows, part.offsets, base, base)


def _nodes(grid: Grid, dtype: type[np.signedinteger[Any]]) -> np.ndarray:
    """Node of every cell [num_graphs, cells of an image], -1 where the cell does not exist."""
    nodes = np.arange(grid.num_cells) if grid.node_of_cell is None else grid.node_of_cell
    return nodes.astype(dtype).reshape(grid.num_graphs, -1)
