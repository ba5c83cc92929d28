"""What both doors of convolution do with a plan: arrays as the loops take them, blocks, chunks. Imports floor 0.

Blocks and chunks depend on shapes alone, never on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels.arrays import positions, read_only
from gnnkit.kernels.stencils import StencilPart

# Bytes of a block's features and of its addresses that stay in a second-level cache beside a slab of weights.
BLOCK_BYTES = 1 << 18
ADDRESS_BYTES = 1 << 16
# Most chunks, and multiplications that are worth one: some 80 microseconds, several times what starting it takes.
CHUNKS = 16
CHUNK_WORK = 1 << 22
LONGEST_BLOCK = 1152
NO_ROWS = {dtype: read_only(np.empty(0, dtype)) for dtype in (np.dtype(np.int32), np.dtype(np.int64))}


class PartArrays(NamedTuple):
    """The arrays of a part as the loops take them, and its number of rows through all repetitions."""

    table: NDArray[Any]
    rows: NDArray[Any]
    offsets: NDArray[Any]
    sender_base: NDArray[np.int64]
    receiver_base: NDArray[np.int64]
    total: int


def part_arrays(part: StencilPart) -> PartArrays:
    table = positions(part.table)
    rows = NO_ROWS[table.dtype] if part.rows is None else read_only(part.rows, table.dtype)
    sender_base, receiver_base = read_only(part.sender_base, np.int64), read_only(part.receiver_base, np.int64)
    offsets = read_only(part.offsets, np.int32)
    return PartArrays(table, rows, offsets, sender_base, receiver_base, table.shape[1] * len(sender_base))


def block_rows(slots: int, row_bytes: int, tile_rows: int) -> int:
    """Rows of a block, whole tiles: its features and its table of addresses should stay in cache."""
    wanted = min(ADDRESS_BYTES // (8 * max(slots, 1)), BLOCK_BYTES // max(row_bytes, 1), LONGEST_BLOCK)
    return max(wanted // tile_rows, 4) * tile_rows


def chunk_count(rows: int, slots: int, channels: int, columns: int) -> int:
    """How many chunks a part is worth; looking up a sender costs about as much as two of its channels."""
    return min(CHUNKS, rows * slots * (channels + 2) * columns // CHUNK_WORK)


def even_bounds(count: int, parts: int, multiple: int = 1) -> list[int]:
    """Boundaries of at most ``parts`` pieces of 0..count, all but the last a multiple of ``multiple``."""
    step = -(-count // (parts * multiple)) * multiple
    return [*range(0, count, step), count] if count else [0]


def tail_copy(x: NDArray[Any], beyond: int) -> tuple[NDArray[Any], int, int]:
    """A copy of the last rows of ``x``, for loops that read up to ``beyond`` numbers after the end of a row.

    Returns
    -------
    copy : [numbers]
        Zeros, at least one row and ``beyond`` of them, then the last rows, then ``beyond`` more zeros.
    last : int
        The first row that must be read from the copy; the number of rows if none must.
    shift : int
        How many bytes further than in ``x`` that row begins in the copy.
    """
    num_rows, size = x.shape
    count = min(num_rows, -(-beyond // size)) if size else 0
    begin = size + beyond
    copy = np.zeros(begin + count * size + beyond, x.dtype)
    if count:
        copy[begin : begin + count * size] = x[num_rows - count :].reshape(-1)
    last, itemsize = num_rows - count, x.dtype.itemsize
    return copy, last, copy.ctypes.data - x.ctypes.data + (begin - last * size) * itemsize
