"""Norms within each graph of a batch: InstanceNorm, GraphNorm. May import autodiff, graph, message and the norms.

The nodes of a graph are consecutive, so a mean per graph is a mean per segment: batching graphs changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.errors import ShapeError
from gnnkit.graph import Graph
from gnnkit.message.segments import segment_mean, segment_repeat
from gnnkit.nn.declared import NODEWISE
from gnnkit.nn.inputs import layer_name
from gnnkit.nn.norms import Norm, graph_segments, spread
from gnnkit.nn.parameter import Parameter


class InstanceNorm(Norm):
    """Normalise each channel over the nodes of each graph by itself.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    eps : float
        Added to the variance.
    affine : bool
        Whether to learn scale and shift.

    Notes
    -----
    Training and evaluation are the same: there are no running statistics. A graph of one node becomes ``shift``; an
    empty graph stays empty. A bare array counts as one graph. Differences from the paper: nodes take the place of
    pixels.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky, Instance normalization, arXiv 1607.08022, 2016.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> norm = gk.nn.InstanceNorm(1, eps=0.0).astype("float64")
    >>> norm(np.array([[1.0], [7.0], [7.0], [9.0]])).numpy().ravel().round(4)
    array([-1.6667,  0.3333,  0.3333,  1.    ])
    """

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        _require_matrix(x, self)
        indptr = graph_segments(x, graph)
        centred = x - segment_repeat(segment_mean(x, indptr=indptr), indptr=indptr)
        variance = segment_mean(centred**2, indptr=indptr)
        return centred / segment_repeat(spread(variance, self.eps), indptr=indptr)


class GraphNorm(Norm):
    """InstanceNorm that learns, per channel, how much of the mean to subtract.

    ``y = scale * (x - mean_scale * mean) / sqrt(mean((x - mean_scale * mean)^2) + eps) + shift``, per graph.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    eps : float
        Added to the variance.
    affine : bool
        Whether to learn scale and shift; ``mean_scale`` (start 1) is always learnt.

    Notes
    -----
    Subtracting the whole mean can erase structure: on a regular graph the sum over neighbours of a constant is lost.
    One and zero nodes as in :class:`~gnnkit.nn.InstanceNorm`. Differences from the paper: none.

    References
    ----------
    Cai et al., GraphNorm: a principled approach to accelerating graph neural network training, ICML 2021.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> norm = gk.nn.GraphNorm(1, eps=0.0).astype("float64")
    >>> norm.mean_scale.assign([0.0])
    >>> norm(np.array([[1.0], [7.0]])).numpy().ravel()
    array([0.2, 1.4])
    """

    symmetry = NODEWISE  # type: ignore[assignment]

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True, dtype: DTypeLike = np.float32) -> None:
        super().__init__(channels, eps=eps, affine=affine, dtype=dtype)
        self.mean_scale = Parameter(np.ones(channels), dtype=dtype, decay=0.0)

    def initialise(self, rng: np.random.Generator) -> None:
        super().initialise(rng)
        self.mean_scale.assign(np.ones(self.channels))

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        _require_matrix(x, self)
        if x.dtype != self.mean_scale.dtype:  # without scale and shift nothing converted it before
            x = x.astype(self.mean_scale.dtype)
        indptr = graph_segments(x, graph)
        mean = segment_mean(x, indptr=indptr) * self.mean_scale
        centred = x - segment_repeat(mean, indptr=indptr)
        variance = segment_mean(centred**2, indptr=indptr)
        return centred / segment_repeat(spread(variance, self.eps), indptr=indptr)


def _require_matrix(x: Any, layer: Norm) -> None:
    if x.ndim != 2:
        raise ShapeError(
            f"{layer_name(layer)} needs features of shape [num_nodes, {layer.channels}]. Got shape {list(x.shape)}. "
            "Reshape the axes between nodes and channels into one of them."
        )
