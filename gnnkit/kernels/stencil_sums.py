"""Door of convolution, stencil_sum: message passing whose weight is chosen by the edge's offset. Imports only floor 0.

It is its own adjoint in the features, on the transposed plan with transposed weights; the derivative by the weights
is :func:`gnnkit.kernels.stencil_outer`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import FAST_FLOATS, empty, read_only
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
from gnnkit.kernels.stencil_dots import add_dots, dots_pay
from gnnkit.kernels.stencils import StencilPart
from gnnkit.kernels.twins import stencil_sums as twins

# Bytes of weights that go past a block of rows at a time, so that they stay in a second-level cache meanwhile.
SLAB_BYTES = 1 << 19
# Numbers of a weight that is packed by several threads.
LARGE_WEIGHT = 1 << 17
# Rows below which a chunk would rather take fewer columns than fewer rows: each chunk reads all its weights.
SHORTEST_CHUNK = 192

_known_steps: dict[int, tuple[weakref.ref[NDArray[Any]], NDArray[np.int8]]] = {}


def stencil_sum(
    parts: Sequence[StencilPart],
    x: ArrayLike,
    weight: ArrayLike,
    *,
    num_receivers: int,
    groups: int = 1,
    bias: ArrayLike | None = None,
) -> NDArray[Any]:
    """Sum over the edges of a plan, each sender multiplied by the weight of its edge's offset.

    Parameters
    ----------
    parts : sequence of StencilPart
        Receivers within one part are distinct.
    x : [num_senders, in_channels]
        float32 or float64 on the fast path (others run on the numpy twin).
    weight : [num_offsets, in_channels // groups, out_channels]
        May be a transposed view.
    num_receivers : int
    groups : int
        Channels g * in_channels // groups .. of ``x`` go to channels g * out_channels // groups .. of the result.
    bias : [out_channels], optional
        What every sum begins with, instead of zero.

    Returns
    -------
    [num_receivers, out_channels]
        The bias, or zero, for a receiver without edges.

    Notes
    -----
    A receiver adds its edges in the order of parts, slots and channels, with fused multiply-adds where the machine has
    them (where each of several groups has one result: every channel alone first, then the channels in order). So the
    bits depend neither on the number of threads nor on the position of the receiver. An absent edge adds nothing,
    whatever is not finite.

    Examples
    --------
    A row of three pixels, each the sum of its left neighbour and twice itself:

    >>> import numpy as np
    >>> from gnnkit import kernels as K
    >>> table = np.array([[-1, 0, 1], [0, 1, 2]], np.int32)
    >>> part = K.StencilPart(table, None, np.array([0, 1], np.int32), np.array([0]), np.array([0]))
    >>> weight = np.array([[[1.0]], [[2.0]]])
    >>> K.stencil_sum((part,), np.array([[1.0], [10.0], [100.0]]), weight, num_receivers=3)
    array([[  2.],
           [ 21.],
           [210.]])
    """
    x, weight = np.asarray(x), np.asarray(weight)
    first = np.zeros(weight.shape[2], weight.dtype) if bias is None else np.asarray(bias)
    dtype = np.result_type(x, weight, first)
    if dtype not in FAST_FLOATS or backend.current_backend() == "numpy":
        out = twins.stencil_sum(parts, x, weight, num_receivers=num_receivers, groups=groups)
        return out if bias is None else out + first
    x, weight, first = read_only(x, dtype), weight.astype(dtype, copy=False), read_only(first, dtype)
    out = empty((num_receivers, weight.shape[2]), dtype)
    arrays = [part_arrays(part) for part in parts] if out.size and weight.shape[1] else []
    # as many rows as receivers are every receiver once: then sums begin with the bias instead of what is in memory
    whole = len(arrays) > 0 and arrays[0].total == num_receivers
    if not whole:
        out[:] = first
    for k, part in enumerate(arrays):
        if part.total:
            _add_part(part, x, weight, groups, first if whole and k == 0 else None, out)
    return out


def _add_part(
    part: PartArrays, x: NDArray[Any], weight: NDArray[Any], groups: int, first: NDArray[Any] | None, out: NDArray[Any]
) -> None:
    """Add a part to ``out``, or to rows ``first`` if that is given; then ``out`` need not hold anything yet."""
    loops = backend.loops("stencil_sums")
    inner, out_size = weight.shape[1:]
    if inner == 1 and groups > 1:
        # several results of each channel: as many copies of the channel, each with weights of its own
        wide = x if groups == out_size else np.repeat(x, out_size // groups, axis=1)
        done = _depthwise(loops, part, wide, weight, first, out)
    elif out_size == groups > 1:
        done = _depthwise_merged(loops, part, x, weight, first, out)
    elif groups == 1 and dots_pay(part, inner, out_size, loops.VECTOR_BYTES // x.dtype.itemsize):
        chunks = chunk_count(part.total, len(part.table), inner, out_size)
        done = add_dots(
            part, x, weight, first, out, lambda run, tiles, rows: _run_chunks(run, part.total, tiles, chunks, rows)
        )
    else:
        done = _dense(loops, part, x, weight, groups, first, out)
    if not done:
        if first is not None:
            out[:] = first
        weight = read_only(weight).reshape(len(weight), inner, groups, out_size // groups)
        args = (*part[:5], x.reshape(-1), x.shape[1], weight, out.reshape(-1))
        run_chunks(lambda i, j: loops.careful_sum(i, j, *args), even_bounds(part.total, CHUNKS))


def _dense(
    loops: Any, part: PartArrays, x: NDArray[Any], weight: NDArray[Any], groups: int, first: NDArray[Any] | None,
    out: NDArray[Any],
) -> bool:  # fmt: skip
    """Add a part to ``out``; False, and nothing is done, if a weight is not finite."""
    table, rows, offsets, sender_base, receiver_base, total = part
    inner, columns = weight.shape[1], weight.shape[2] // groups
    size, slots = x.dtype.itemsize, len(table)
    lanes = loops.VECTOR_BYTES // size
    tiles = groups * -(-columns // (2 * lanes))
    panels = _packed(loops, weight, offsets, inner, columns, groups, lanes, 2)
    if panels is None:
        return False
    block = block_rows(slots, x.shape[1] * size, loops.ROWS)
    slab = max(1, SLAB_BYTES // (inner * min(2 * lanes, columns) * size))
    absent, flat_x, flat_out = np.zeros(x.shape[1], x.dtype), x.reshape(-1), out.reshape(-1)
    fresh, starts = first is not None, _starts(first, 2 * lanes, x.dtype)

    def run(i: int, j: int, tile: int, stop: int) -> None:
        loops.sum_blocks(
            i, j, tile, stop, table, rows, sender_base, receiver_base, flat_x, x.shape[1], panels, inner, columns,
            groups, absent, block, slab, fresh, starts, flat_out,
        )  # fmt: skip

    chunks = chunk_count(total, slots, inner, -(-columns // lanes) * lanes * groups)
    _run_chunks(run, total, tiles, chunks, loops.ROWS)
    return True


def _depthwise(
    loops: Any, part: PartArrays, x: NDArray[Any], weight: NDArray[Any], first: NDArray[Any] | None, out: NDArray[Any]
) -> bool:
    """The same where every channel has weights of its own."""
    table, rows, offsets, sender_base, receiver_base, total = part
    channels, slots, size = x.shape[1], len(table), x.dtype.itemsize
    lanes = loops.VECTOR_BYTES // size
    vectors = -(-channels // lanes)
    panels = _packed(loops, weight, offsets, 1, channels, 1, lanes, 1)
    if panels is None:
        return False
    block = block_rows(slots, channels * size, loops.RUN_ROWS)
    copy, last, shift = tail_copy(x, -channels % lanes)
    steps = _steps(loops, table)
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    fresh, starts = first is not None, _starts(first, lanes, x.dtype)

    def run(i: int, j: int, vector: int, stop: int) -> None:
        loops.depthwise_sum_blocks(
            i, j, vector, stop, table, steps, rows, sender_base, receiver_base, flat_x, channels, panels, copy, last,
            shift, block, fresh, starts, flat_out,
        )  # fmt: skip

    _run_chunks(run, total, vectors, chunk_count(total, slots, 1, vectors * lanes), loops.RUN_ROWS)
    return True


def _depthwise_merged(
    loops: Any, part: PartArrays, x: NDArray[Any], weight: NDArray[Any], first: NDArray[Any] | None, out: NDArray[Any]
) -> bool:
    """The same where a group of channels has one result: every channel alone, then the sum of each group."""
    offsets, inner, groups = weight.shape
    shape = (len(out), groups, inner)
    begun = None if first is None else np.zeros(groups * inner, x.dtype)
    wide = np.zeros(shape, x.dtype) if first is None else np.empty(shape, x.dtype)
    alone = np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(offsets, 1, groups * inner)
    if not _depthwise(loops, part, x, alone, begun, wide.reshape(len(out), -1)):
        return False
    if first is not None:
        out[:] = first
    for c in range(inner):
        out += wide[:, :, c]
    return True


def _starts(first: NDArray[Any] | None, beyond: int, dtype: Any) -> NDArray[Any]:
    """What rows begin with, and ``beyond`` numbers more: it is read in whole vectors."""
    return read_only(np.zeros(0, dtype) if first is None else np.append(first, np.zeros(beyond, dtype)))


def _steps(loops: Any, table: NDArray[Any]) -> NDArray[np.int8]:
    """How the slots of a table follow each other (see find_steps), worked out once for as long as the table lives."""
    key = id(table)
    known = _known_steps.get(key)
    if known is None or known[0]() is not table:
        steps = np.empty(table.shape, np.int8)
        loops.find_steps(table, loops.RUN_ROWS, steps)
        # a table that is not of a topology may be a view made for this call: it is forgotten with it
        known = weakref.ref(table, lambda _: _known_steps.pop(key, None)), steps
        _known_steps[key] = known
    return known[1]


def _run_chunks(run: Callable[[int, int, int, int], None], total: int, tiles: int, chunks: int, tile_rows: int) -> None:
    """Share ``total`` rows and ``tiles`` tiles of columns out into about ``chunks`` chunks."""
    if chunks < 2:
        run(0, total, 0, tiles)
        return
    row_bounds = even_bounds(total, min(chunks, max(1, total // SHORTEST_CHUNK)), tile_rows)
    tile_bounds = even_bounds(tiles, -(-chunks // (len(row_bounds) - 1)))
    pieces = len(row_bounds) - 1

    def chunk(c: int, _: int) -> None:
        q, p = divmod(c, pieces)
        run(row_bounds[p], row_bounds[p + 1], tile_bounds[q], tile_bounds[q + 1])

    run_chunks(chunk, range(pieces * (len(tile_bounds) - 1) + 1))


def _packed(
    loops: Any, weight: NDArray[Any], offsets: NDArray[Any], inner: int, columns: int, groups: int, lanes: int,
    tile_vectors: int,
) -> NDArray[Any] | None:  # fmt: skip
    """The weights as panels, or None if one is not finite."""
    # the gradient to the features comes with transposed weights: read them where they lie
    transposed = not weight.flags.c_contiguous
    source = read_only(weight.transpose(0, 2, 1) if transposed else weight).reshape(-1)
    vectors = -(-columns // lanes)
    tiles = groups * -(-vectors // tile_vectors)
    panels = empty((groups * vectors * lanes * len(offsets) * inner,), weight.dtype)
    finite = []

    def pack(first: int, stop: int) -> None:
        args = (source, transposed, offsets, inner, columns, groups, lanes, tile_vectors, panels)
        finite.append(loops.pack(first, stop, *args))

    if panels.size < LARGE_WEIGHT:
        pack(0, tiles)
    else:
        run_chunks(pack, even_bounds(tiles, CHUNKS))
    return panels if all(finite) else None
