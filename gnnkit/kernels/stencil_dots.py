"""Convolution with few results, as dot products over lines of slots: whether it pays, and its door. Only floor 0."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.kernels import backend
from gnnkit.kernels.arrays import read_only
from gnnkit.kernels.stencil_arrays import PartArrays, block_rows
from gnnkit.kernels.stencil_lines import Lines, lines_of

# Work per row in multiply-adds of vectors: to read a vector of channels, to begin a line, to end a result, and to work
# out where a slot reads.
READ_WORK, LINE_WORK, RESULT_WORK, SOURCE_WORK = 4, 8, 4, 3
MOST_COLUMNS = 12  # a vector holds more than that
WIDEST_LINES = 1 << 12  # vectors of channels: with their weights they stay in a first-level or second-level cache


def dots_pay(part: PartArrays, inner: int, columns: int, lanes: int) -> bool:
    """Whether dot products take less time than vectors of results."""
    if columns >= lanes or columns > MOST_COLUMNS:
        return False
    lines = lines_of(part.table)
    if not lines.regular:
        return False
    vectors, tiles = sum(_line_vectors(lines, inner, lanes)), _tiles(columns)
    if vectors * columns > WIDEST_LINES:
        return False
    dots = vectors * (columns + READ_WORK * tiles) + LINE_WORK * len(lines.lengths) * tiles + RESULT_WORK * columns
    return dots < len(part.table) * (inner + SOURCE_WORK)


def _line_vectors(lines: Lines, inner: int, lanes: int) -> list[int]:
    return [-(-length * inner // lanes) for length in lines.lengths]


def _tiles(columns: int) -> int:
    loops = backend.loops("stencil_dots")
    rest = columns % loops.MANY
    return columns // loops.MANY + (1 + rest - loops.SOME if rest >= loops.SOME else rest)  # type: ignore[no-any-return]


def add_dots(
    part: PartArrays, x: NDArray[Any], weight: NDArray[Any], first: NDArray[Any] | None, out: NDArray[Any],
    share_out: Callable[[Any, int, int], None],
) -> bool:  # fmt: skip
    """Add a part to ``out`` (to ``first`` if given); False, and nothing is done, if a weight is not finite.

    ``share_out(run, tiles, tile_rows)`` calls ``run`` for chunks of rows and tiles.
    """
    loops = backend.loops("stencil_dots")
    table, rows, offsets, sender_base, receiver_base, _ = part
    lines = lines_of(table)
    inner, columns = weight.shape[1:]
    size = x.dtype.itemsize
    lanes = loops.VECTOR_BYTES // size
    vectors = _line_vectors(lines, inner, lanes)
    ends = np.cumsum([0, *vectors])
    chosen = weight[offsets[::-1] if lines.backwards else offsets]
    if not np.isfinite(chosen).all():
        return False
    # the weights of each line, zeros up to the end of its last vector
    padded = np.zeros((int(ends[-1]) * lanes, columns), x.dtype)
    for begin, (i, j) in zip(ends[:-1].tolist(), itertools.pairwise(lines.bounds.tolist())):
        padded[begin * lanes : begin * lanes + (j - i) * inner] = chosen[i:j].reshape(-1, columns)
    many = columns // loops.MANY * loops.MANY
    some = many + (loops.SOME if columns - many >= loops.SOME else 0)
    bounds = [*range(0, many, loops.MANY), *range(many, some, loops.SOME), *range(some, columns), columns]
    tiles = [padded[:, i:j].reshape(-1, lanes, j - i).transpose(0, 2, 1).ravel() for i, j in itertools.pairwise(bounds)]
    panels = read_only(np.concatenate(tiles))
    starts = read_only(np.zeros(columns, x.dtype) if first is None else first)
    block = block_rows(3 * len(vectors), x.shape[1] * size, loops.FEW_ROWS)
    spread = [np.empty((len(vectors), table.shape[1]), np.int64) for _ in range(3)]
    loops.spread_runs(lines.run_bounds, lines.runs, inner, *spread)
    spans, line_vectors = [read_only(span) for span in spread], read_only(ends[None, :-1])
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)

    def run(i: int, j: int, tile: int, stop: int) -> None:
        loops.dot_blocks(
            i, j, tile, stop, *spans, line_vectors, int(ends[-1]), rows, sender_base, receiver_base, flat_x, inner,
            panels, columns, block, first is not None, starts, flat_out,
        )  # fmt: skip

    share_out(run, len(tiles), loops.FEW_ROWS)
    return True
