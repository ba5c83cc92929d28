"""Which coarse pixels a fine pixel is made of, and with which weights: bipartite topologies between two grids.

They depend on sizes, masks and the mode alone, so layers keep them with the topology of a graph. Imports graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from gnnkit.errors import InvalidGraphError
from gnnkit.graph import Grid, Topology
from gnnkit.graph.grids.recent import Recent

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]  # receivers (fine cells, ascending), senders (coarse cells), weights


@dataclass(frozen=True, eq=False)
class Resampling:
    """A linear map from coarse pixels to fine ones.

    Attributes
    ----------
    topology : Topology
        From the coarse pixels to the fine ones.
    shares : None or float64 [num_edges]
        Weight of each edge; None: 1.
    """

    topology: Topology
    shares: np.ndarray | None
    _typed: dict[str, np.ndarray] = field(default_factory=dict)

    def weights(self, dtype: Any) -> np.ndarray | None:
        """The weights in this dtype, the same read-only array every time."""
        if self.shares is None:
            return None
        key = np.dtype(dtype).char
        if key not in self._typed:
            array = self.shares.astype(dtype)
            array.flags.writeable = False
            self._typed[key] = array
        return self._typed[key]


def resample(coarse: Grid, fine: Grid, scale: tuple[int, ...], mode: str) -> Resampling:
    """The map from ``coarse`` to ``fine``, ``scale`` times as many pixels along each axis (or a rest more or less).

    Modes are "nearest", "zero" and "bilinear"; see :class:`gnnkit.nn.Upsample`.
    """
    check_sizes(coarse, fine, scale)
    receivers, senders, weights = _all_images(coarse, fine, scale, mode)
    some = np.ones(len(receivers), bool)
    if fine.mask is not None:
        some &= fine.mask[receivers]
    if coarse.mask is not None:
        some &= coarse.mask[senders]
    if not some.all():
        receivers, senders, weights = receivers[some], senders[some], weights[some]
    receivers = receivers if fine.node_of_cell is None else fine.node_of_cell[receivers]
    senders = senders if coarse.node_of_cell is None else coarse.node_of_cell[senders]
    indptr = np.zeros(fine.num_nodes + 1, np.int64)
    np.cumsum(np.bincount(receivers, minlength=fine.num_nodes), out=indptr[1:])
    index_type = np.int32 if coarse.num_nodes < 2**31 else np.int64
    topology = Topology.trusted(indptr, senders.astype(index_type), coarse.num_nodes)
    if mode != "bilinear":
        return Resampling(topology, None)
    if not some.all():  # of the pixels around, only some exist: their weights make up 1
        weights = weights / np.bincount(receivers, weights, minlength=fine.num_nodes)[receivers]
    return Resampling(topology, weights)


def check_sizes(coarse: Grid, fine: Grid, scale: tuple[int, ...]) -> None:
    """Refuse a fine grid that pooling by ``scale`` would not have taken to the coarse one."""
    pairs = list(dict.fromkeys(zip(coarse.sizes, fine.sizes)))
    alike = coarse.ndim == fine.ndim and coarse.num_graphs == fine.num_graphs
    fits = alike and all(
        little in (large // s, -(-large // s)) for small, big in pairs for little, large, s in zip(small, big, scale)
    )
    if not fits:
        raise InvalidGraphError(
            f"Upsampling by {scale} must lead to images of about so many times the size, as many as there are. The "
            f"graph is on {coarse!r}, onto is on {fine!r}. Pass as onto the graph that was pooled by this scale."
        )


def _all_images(coarse: Grid, fine: Grid, scale: tuple[int, ...], mode: str) -> Edges:
    """The edges of all images between cells, masks left aside."""
    if not fine.num_graphs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    if coarse.is_uniform and fine.is_uniform:
        receivers, senders, weights = _one_image(coarse.size, fine.size, scale, mode)
        count = fine.num_graphs
        into, out = np.arange(count)[:, None] * math.prod(fine.size), np.arange(count)[:, None] * math.prod(coarse.size)
        return (receivers + into).reshape(-1), (senders + out).reshape(-1), np.tile(weights, count)
    parts = [_one_image(small, big, scale, mode) for small, big in zip(coarse.sizes, fine.sizes)]
    return (
        np.concatenate([part[0] + start for part, start in zip(parts, fine.cell_ptr[:-1])]),
        np.concatenate([part[1] + start for part, start in zip(parts, coarse.cell_ptr[:-1])]),
        np.concatenate([part[2] for part in parts]),
    )


_recent: Recent[Edges] = Recent(most=64, most_bytes=1 << 26, least=1)


def _one_image(coarse: tuple[int, ...], fine: tuple[int, ...], scale: tuple[int, ...], mode: str) -> Edges:
    key = coarse, fine, scale, mode
    return _recent.get(key, lambda: _edges_of_image(*key), lambda edges: sum(array.nbytes for array in edges))


def _edges_of_image(coarse: tuple[int, ...], fine: tuple[int, ...], scale: tuple[int, ...], mode: str) -> Edges:
    axes = [_along_axis(*sizes, mode) for sizes in zip(coarse, fine, scale)]
    taps, weights = reduce(_product, [(taps, weights, small) for (taps, weights), small in zip(axes, coarse)])[:2]
    row, column = np.nonzero(weights)
    edges = row.astype(np.int64), taps[row, column], weights[row, column]
    for array in edges:
        array.flags.writeable = False
    return edges


def _along_axis(coarse: int, fine: int, scale: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Coarse cells [fine, taps] that each fine cell of one axis hears, and their weights; 0 for no edge."""
    cells = np.arange(fine)
    last = max(coarse - 1, 0)
    there = float(coarse > 0)
    if mode == "zero":
        first = (cells % scale == 0) & (cells // scale < coarse)
        return np.minimum(cells // scale, last)[:, None], first[:, None].astype(float)
    if mode == "nearest":
        return np.minimum(cells // scale, last)[:, None], np.full((fine, 1), there)
    place = np.clip((cells + 0.5) / scale - 0.5, 0, last)  # centres of pixels on centres, clamped at the edge
    below = np.floor(place).astype(np.int64)
    share = place - below
    taps = np.stack([below, np.minimum(below + 1, last)], axis=1)
    return taps, np.stack([1 - share, share], axis=1) * there


def _product(first: Any, rest: Any) -> Any:
    """Two axes as one, in C order."""
    (taps, weights, size), (more_taps, more_weights, more) = first, rest
    shape = len(taps) * len(more_taps), taps.shape[1] * more_taps.shape[1]
    joined = (taps[:, None, :, None] * more + more_taps[None, :, None, :]).reshape(shape)
    return joined, (weights[:, None, :, None] * more_weights[None, :, None, :]).reshape(shape), size * more
