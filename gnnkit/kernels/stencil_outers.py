"""Door of stencil_outer, the derivative of a convolution by its weights. Imports only floor 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend, prerounded_products
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
from gnnkit.kernels.exactness import sums_are_exact
from gnnkit.kernels.parallel import run_chunks
from gnnkit.kernels.stencil_arrays import (
    CHUNKS,
    PartArrays,
    block_rows,
    chunk_count,
    even_bounds,
    part_arrays,
    tail_copy,
)
from gnnkit.kernels.stencil_lines import lines_of
from gnnkit.kernels.stencils import StencilPart
from gnnkit.kernels.twins import stencil_sums as twins

# Numbers of all partial sums together: beyond that, chunks share the weights among themselves rather than the rows.
PARTIAL = 1 << 20
LARGE_WEIGHT = 1 << 18  # numbers that are collected by several threads
SHORTEST_PIECE = 512  # rows that are worth partial sums of their own
# Work per row in multiply-adds of vectors: to copy one vector of a window, and to work out where a slot reads.
COPY_WORK, SOURCE_WORK = 9, 2


def stencil_outer(
    parts: Sequence[StencilPart], x: ArrayLike, y: ArrayLike, *, num_offsets: int, groups: int = 1
) -> NDArray[Any]:
    """Outer products of the features at both ends of every edge, summed over the edges of each offset.

    This is the derivative of :func:`stencil_sum` by its weights, if ``y`` is that of its result.

    Parameters
    ----------
    parts : sequence of StencilPart
    x : [num_senders, in_channels]
        float32 or float64 on the fast path (others run on the numpy twin).
    y : [num_receivers, out_channels]
    num_offsets : int
    groups : int
        Channels of each group are multiplied with those of the same group only.

    Returns
    -------
    [num_offsets, in_channels // groups, out_channels]
        Zero for an offset without edges.

    Notes
    -----
    Rows are summed in pieces that depend on the shapes alone, and the pieces in order: same bits for any number of
    threads. An absent edge adds nothing, whatever is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> table = np.array([[-1, 0, 1], [0, 1, 2]], np.int32)
    >>> part = K.StencilPart(table, None, np.array([0, 1], np.int32), np.array([0]), np.array([0]))
    >>> K.stencil_outer((part,), np.array([[1.0], [10.0], [100.0]]), np.ones((3, 1)), num_offsets=2).ravel()
    array([ 11., 111.])
    """
    x, y = np.asarray(x), np.asarray(y)
    dtype = np.result_type(x, y)
    if sums_are_exact() and dtype.kind == "f":
        return prerounded_products.stencil_outer(parts, x, y, num_offsets, groups)
    if dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        return twins.stencil_outer(parts, x, y, num_offsets=num_offsets, groups=groups)
    x, y = read_only(x, dtype), read_only(y, dtype)
    out = np.zeros((num_offsets, x.shape[1] // groups, y.shape[1]), dtype)
    if out.size:
        for part in map(part_arrays, parts):
            if part.total and len(part.table):
                _add_part(part, x, y, groups, out)
    return out


def _add_part(part: PartArrays, x: NDArray[Any], y: NDArray[Any], groups: int, out: NDArray[Any]) -> None:
    loops = backend.loops("stencil_outers")
    _, inner, out_size = out.shape
    if inner == 1 and groups > 1:
        wide = x if groups == out_size else np.repeat(x, out_size // groups, axis=1)
        found = _depthwise(loops, part, wide, y, out)
    elif out_size == groups > 1:
        alone = np.zeros((len(out), 1, x.shape[1]), x.dtype)
        found = _depthwise(loops, part, x, np.repeat(y, inner, axis=1), alone)
        if found:
            out += alone.reshape(len(out), groups, inner).transpose(0, 2, 1)
    elif groups == 1 and _windows_pay(loops, part, x, y):
        found = _windowed(loops, part, x, y, out)
    else:
        found = _dense(loops, part, x, y, groups, out)
    if not found:
        wide = out.reshape(len(out), inner, groups, out_size // groups)
        args = (*part[:5], x.reshape(-1), inner, y.reshape(-1), out_size // groups, groups, wide)
        run_chunks(lambda i, j: loops.careful_outer(i, j, *args), even_bounds(inner, CHUNKS))


def _windows_pay(loops: Any, part: PartArrays, x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether copying windows and multiplying those takes less time than multiplying the channels of every slot."""
    slots, inner, columns = len(part.table), x.shape[1], y.shape[1]
    lanes = loops.VECTOR_BYTES // x.itemsize
    if inner >= 2 * lanes:
        return False
    directly = slots * (_full(loops, inner) * -(-columns // lanes) + SOURCE_WORK)
    copies = COPY_WORK * sum(-(-length * inner // lanes) for length in lines_of(part.table).lengths)
    return -(-slots * inner // lanes) * _full(loops, columns) + copies < directly


def _tile_rows(loops: Any, count: int) -> int:
    """Rows of the tile that wastes less on ``count`` rows."""
    return min(loops.MANY_CHANNELS, loops.FEW_CHANNELS, key=lambda rows: -(-count // rows) * rows)


def _full(loops: Any, count: int) -> int:
    rows = _tile_rows(loops, count)
    return -(-count // rows) * rows


def _windowed(loops: Any, part: PartArrays, x: NDArray[Any], y: NDArray[Any], out: NDArray[Any]) -> bool:
    """The same where windows are copied together first: for few channels, which leave vectors mostly empty."""
    table, rows, offsets, sender_base, receiver_base, total = part
    lines = lines_of(table)
    if lines.backwards:
        table, offsets = lines.turned, offsets[::-1]
    windows = backend.loops("stencil_windows")
    _, inner, columns = out.shape
    slots, size = len(table), x.dtype.itemsize
    lanes, tile_rows = loops.VECTOR_BYTES // size, _tile_rows(loops, columns)
    tiles = -(-columns // tile_rows)
    numbers = -(-slots * inner // lanes) * lanes * tiles * tile_rows
    row_bounds, item_bounds = _pieces(total, tiles, numbers, chunk_count(total, slots, inner, tiles * tile_rows))
    partial = empty((len(row_bounds) - 1, numbers), x.dtype)
    y_tail, y_last, y_shift = tail_copy(y, -columns % tile_rows)
    stride = lines.stride(inner, lanes)
    block = block_rows(1, max(stride, columns) * size, 1)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)

    def run(piece: int, i: int, j: int, first: int, stop: int) -> None:
        windows.outer_windows(
            i, j, first, stop, piece, table, *lines[2:], rows, sender_base, receiver_base, flat_x, inner,
            flat_y, columns, y_last, y_shift, tile_rows, stride, block, partial,
        )  # fmt: skip

    _run_pieces(run, row_bounds, item_bounds)
    del y_tail
    # zeros stand for absent edges: see _collect
    found = np.zeros_like(out)
    windows.collect_windows(partial, offsets, columns, tile_rows, lanes, found)
    if not np.isfinite(found).all():
        return False
    out += found
    return True


def _dense(loops: Any, part: PartArrays, x: NDArray[Any], y: NDArray[Any], groups: int, out: NDArray[Any]) -> bool:
    table, rows, offsets, sender_base, receiver_base, total = part
    _, inner, out_size = out.shape
    columns, slots, size = out_size // groups, len(table), x.dtype.itemsize
    lanes = loops.VECTOR_BYTES // size
    windowed = groups > 1 and inner < loops.FEW_CHANNELS
    channels, ranks = (slots * inner, 1) if windowed else (inner, slots)
    tile_rows = _tile_rows(loops, channels)
    tiles = -(-channels // tile_rows)
    numbers = groups * -(-columns // lanes) * lanes * ranks * tiles * tile_rows
    items = ranks * groups * tiles
    row_bounds, item_bounds = _pieces(
        total, items, numbers, chunk_count(total, slots, inner, numbers // max(ranks * tiles * tile_rows, 1))
    )
    partial = empty((len(row_bounds) - 1, numbers), x.dtype)
    x_tail, x_last, x_shift = tail_copy(x, 0 if windowed else -inner % tile_rows)
    y_tail, y_last, y_shift = tail_copy(y, -columns % lanes)
    block = block_rows(1 if windowed else slots, max(channels * groups, out_size) * size, 1)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)

    def run(piece: int, i: int, j: int, first: int, stop: int) -> None:
        loops.outer_blocks(
            i, j, first, stop, piece, table, rows, sender_base, receiver_base, flat_x, inner, x_last, x_shift,
            flat_y, columns, y_last, y_shift, groups, tile_rows, windowed, block, partial,
        )  # fmt: skip

    _run_pieces(run, row_bounds, item_bounds)
    del x_tail, y_tail  # they had to live until here: the loops know only their addresses
    per_rank = slots if windowed else 1
    return _collect(loops, partial, offsets, ranks, per_rank, groups, columns, tiles * tile_rows, lanes, windowed, out)


def _depthwise(loops: Any, part: PartArrays, x: NDArray[Any], y: NDArray[Any], out: NDArray[Any]) -> bool:
    table, rows, offsets, sender_base, receiver_base, total = part
    channels, slots, size = out.shape[2], len(table), x.dtype.itemsize
    lanes = loops.VECTOR_BYTES // size
    items = -(-slots // loops.WIDE_ROWS)
    padded = items * loops.WIDE_ROWS
    columns = -(-channels // lanes) * lanes
    row_bounds, item_bounds = _pieces(total, items, columns * padded, chunk_count(total, slots, 1, columns))
    partial = empty((len(row_bounds) - 1, columns * padded), x.dtype)
    x_tail, x_last, x_shift = tail_copy(x, -channels % lanes)
    y_tail, y_last, y_shift = tail_copy(y, -channels % lanes)
    block = block_rows(slots, channels * size, 1)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)

    def run(piece: int, i: int, j: int, first: int, stop: int) -> None:
        loops.depthwise_outer_blocks(
            i, j, first, stop, piece, table, rows, sender_base, receiver_base, flat_x, channels, x_last, x_shift,
            flat_y, y_last, y_shift, x_tail, block, partial,
        )  # fmt: skip

    _run_pieces(run, row_bounds, item_bounds)
    del y_tail
    return _collect(loops, partial, offsets, 1, slots, 1, channels, padded, lanes, True, out)


def _pieces(total: int, items: int, numbers: int, chunks: int) -> tuple[list[int], list[int]]:
    """Boundaries of rows and of items: together about ``chunks`` chunks, with bounded memory for partial sums."""
    if chunks < 2:
        return [0, total], [0, items]
    pieces = min(chunks, max(1, total // SHORTEST_PIECE), max(1, PARTIAL // numbers))
    rows = even_bounds(total, pieces)
    return rows, even_bounds(items, -(-chunks // (len(rows) - 1)))


def _run_pieces(run: Any, row_bounds: list[int], item_bounds: list[int]) -> None:
    pieces = len(row_bounds) - 1

    def chunk(c: int, _: int) -> None:
        q, p = divmod(c, pieces)
        run(p, row_bounds[p], row_bounds[p + 1], item_bounds[q], item_bounds[q + 1])

    run_chunks(chunk, range(pieces * (len(item_bounds) - 1) + 1))


def _collect(
    loops: Any, partial: NDArray[Any], offsets: NDArray[Any], ranks: int, per_rank: int, groups: int, columns: int,
    channel_rows: int, lanes: int, zeros: bool, out: NDArray[Any],
) -> bool:  # fmt: skip
    """Add the partial sums to ``out``; if ``zeros`` stood for absent edges, refuse (False) where any is not finite.

    A zero times what is not finite is a NaN that no edge has sent: then the careful loop must do it all.
    """
    found = np.zeros_like(out) if zeros else out
    args = (partial, offsets, ranks, per_rank, groups, columns, channel_rows, lanes, found)
    if partial.size < LARGE_WEIGHT:
        loops.collect(0, out.shape[1], *args)
    else:
        run_chunks(lambda i, j: loops.collect(i, j, *args), even_bounds(out.shape[1], CHUNKS))
    if zeros:
        if not np.isfinite(found).all():
            return False
        out += found
    return True
