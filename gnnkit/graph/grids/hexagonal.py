"""The plan of a hexagonal grid: odd rows lie half a cell to the right, so even and odd rows have other senders.

Cells are found in axial steps (row, diagonal): a step down one row goes down-right on odd rows as on even ones once
the column is counted along the diagonal, q = column - floor(row / 2).
"""

from __future__ import annotations

import numpy as np

from gnnkit.errors import InvalidArgumentError
from gnnkit.graph.grids.stencil import Stencil
from gnnkit.graph.topology import frozen
from gnnkit.kernels import StencilPart


def check_hexagonal(size: tuple[int, ...], border: str) -> None:
    """A hexagonal torus closes only if the last row lies as the row before the first would."""
    if border == "wrap" and size[0] % 2:
        raise InvalidArgumentError(
            "A hexagonal torus must have an even number of rows, or its first and last row do not fit together. "
            f"Got {size[0]} rows. Add or drop a row, or use border='zero'."
        )


def hexagonal_parts(
    size: tuple[int, ...], stencil: Stencil, reverse: bool, table_bytes: int
) -> tuple[StencilPart, ...]:
    """The plan for one image, in strips of an even number of rows; those away from the border are copies."""
    height, width = size
    steps = -stencil.offsets if reverse else stencil.offsets
    if height * width == 0:
        return ()
    lines = max(2, table_bytes // (4 * len(steps) * width) // 2 * 2)
    reach = stencil.radius + stencil.radius % 2  # an even number of rows above the first of a strip
    strips: dict[tuple[bool, int], list[tuple[int, int]]] = {}
    for top in range(0, height, lines):
        stop = min(top + lines, height)
        inner = top >= reach and stop + stencil.radius <= height
        # strips at the border are counted from the image's first row, each a part of its own
        strips.setdefault((inner, stop - top if inner else top), []).append((top, stop))
    parts = []
    for (inner, _), places in strips.items():
        top, stop = places[0]
        table = _table(size, steps, stencil.border, top, stop)
        base = np.array([place[0] - reach if inner else 0 for place in places], np.int64) * width
        table = np.where(table >= 0, table - base[0], -1)
        used = (table >= 0).any(axis=1)
        parts.append(
            StencilPart(
                frozen(np.ascontiguousarray(table[used], np.int32 if height * width < 2**31 else np.int64)),
                None,
                frozen(np.flatnonzero(used).astype(np.int32)),
                frozen(base),
                frozen(np.array([place[0] for place in places], np.int64) * width),
            )
        )
    return tuple(parts)


def _table(size: tuple[int, ...], steps: np.ndarray, border: str, top: int, stop: int) -> np.ndarray:
    """Cell of every step from every cell of the rows top <= row < stop; -1 beyond a border of "zero"."""
    height, width = size
    row, column = (each.reshape(-1) for each in np.mgrid[top:stop, 0:width])
    diagonal = column - row // 2
    other = row + steps[:, :1]
    beside = diagonal + steps[:, 1:] + other // 2
    if border == "wrap":  # going once round leads height / 2 cells along the diagonal, back to the same column
        return other % height * width + beside % width
    inside = (other >= 0) & (other < height) & (beside >= 0) & (beside < width)
    return np.where(inside, other * width + beside, -1)
