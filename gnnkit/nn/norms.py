"""Norms over the nodes or the channels: BatchNorm, LayerNorm, RMSNorm. May import autodiff, graph, message.

All norms share one pattern: subtract a mean, divide by a spread, scale and shift. Scale and shift start at 1 and 0 and
are not decayed. ``eps`` is explicit; with ``eps=0`` a spread of 0 divides by 1, so constant features become 0, not NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.autodiff import Tensor
from gnnkit.autodiff.columns import standardise_columns
from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Graph
from gnnkit.message.segments import segment_mean, segment_repeat
from gnnkit.nn.declared import NODEWISE, POINTWISE, Symmetry
from gnnkit.nn.inputs import FeatureModule, features_of, input_features, require_dense
from gnnkit.nn.linear import check_count
from gnnkit.nn.module import Module
from gnnkit.nn.parameter import Parameter


class Norm(FeatureModule):
    """Base of the norms: the number of channels, ``eps``, and the learnt scale and shift.

    It promises what holds for statistics of each graph.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    eps : float
        Added to the variance under the root (RMSNorm: to the root), at least 0.
    affine : bool
        Whether to learn a scale (start 1) and a shift (start 0), without weight decay.
    """

    scale: Parameter | None
    shift: Parameter | None

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True, dtype: DTypeLike = np.float32) -> None:
        self.channels = check_count("channels", channels)
        if not eps >= 0:
            raise InvalidArgumentError(f"eps must be at least 0. Got {eps!r}. Use for example 1e-5.")
        self.eps = float(eps)
        self.scale = Parameter(np.ones(channels), dtype=dtype, decay=0.0) if affine else None
        self.shift = Parameter(np.zeros(channels), dtype=dtype, decay=0.0) if affine else None

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return self._alike(NODEWISE)

    def _alike(self, promised: Symmetry) -> Symmetry:
        """Without scale and shift all channels are alike."""
        return promised if self.scale is not None else promised | {"channels": "equivariant"}

    def initialise(self, rng: np.random.Generator) -> None:
        if self.scale is not None:
            self.scale.assign(np.ones(self.channels))
        if self.shift is not None:
            self.shift.assign(np.zeros(self.channels))

    def features(self, x: Any, graph: Graph | None) -> Tensor:
        dtype = None if self.scale is None else self.scale.dtype
        x = require_dense(input_features(x, self.channels, dtype, self), self)
        y = self.normalise(x, graph) if x.size else x  # a mean over nothing does not exist, and nobody needs it
        if self.scale is not None:
            y = y * self.scale
        return y if self.shift is None else y + self.shift

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        """Return ``x`` normalised; ``x`` has at least one value."""
        raise NotImplementedError

    def work(self, graph_in: Any, graph_out: Any) -> float:
        # mean, centre, square, mean, divide, scale, shift
        return 7.0 * float(np.prod(features_of(graph_out).shape))


class BatchNorm(Norm):
    """Normalise each channel over all nodes of the batch.

    ``y = scale * (x - mean) / sqrt(variance + eps) + shift``, mean and (biased) variance over every axis but the last.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    eps : float
        Added to the variance.
    momentum : float
        Weight of the newest batch in the running statistics, in [0, 1].
    affine : bool
        Whether to learn scale and shift.
    center_only : bool
        Subtract the mean and divide by nothing (Salimans and Kingma's mean-only form).

    Notes
    -----
    While training it uses the statistics of the batch and updates ``running_mean`` and ``running_variance`` (the
    latter unbiased, as PyTorch does); at evaluation it uses these, so a node's output does not depend on the others.
    A batch of one node is legal: its variance is 0, so the output is ``shift``, and the biased variance 0 enters the
    running one. A batch without nodes gives an empty output and leaves the running statistics alone. Differences from
    the paper: none in the map; the running statistics are exponential means rather than means over the data set.

    References
    ----------
    Ioffe and Szegedy, Batch normalization, ICML 2015.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> norm = gk.nn.BatchNorm(1, eps=0.0).astype("float64")
    >>> norm(np.array([[1.0], [7.0], [7.0], [9.0]])).numpy().ravel().round(4)
    array([-1.6667,  0.3333,  0.3333,  1.    ])
    """

    running_mean: np.ndarray
    running_variance: np.ndarray

    def __init__(
        self,
        channels: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        center_only: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(channels, eps=eps, affine=affine, dtype=dtype)
        if not 0.0 <= momentum <= 1.0:
            raise InvalidArgumentError(
                f"momentum must lie in [0, 1], the weight of the newest batch. Got {momentum!r}. Use for example 0.1."
            )
        self.momentum = float(momentum)
        self.center_only = bool(center_only)
        self.register_buffer("running_mean", np.zeros(channels, dtype=dtype))
        self.register_buffer("running_variance", np.ones(channels, dtype=dtype))

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        """At evaluation every node by itself; while training the graphs of a batch share their statistics."""
        return self._alike(NODEWISE.without("union")) if self.training else POINTWISE

    def initialise(self, rng: np.random.Generator) -> None:
        super().initialise(rng)
        self.running_mean[...] = 0.0
        self.running_variance[...] = 1.0

    def features(self, x: Any, graph: Graph | None) -> Tensor:
        if not self.training or self.center_only:
            return super().features(x, graph)
        x = require_dense(
            input_features(x, self.channels, None if self.scale is None else self.scale.dtype, self), self
        )
        if not x.size:
            return super().features(x, graph)
        count, memo = x.size // self.channels, dict[str, Any]()
        scale = np.ones(self.channels, x.dtype) if self.scale is None else self.scale
        shift = np.zeros(self.channels, x.dtype) if self.shift is None else self.shift
        rows = x.reshape(count, self.channels)
        y = standardise_columns(rows, scale, shift, eps=self.eps, memo=memo)
        self._remember(memo["mean"], memo["variance"], count)
        return y.reshape(x.shape)

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        if not self.training:
            mean, variance = self.running_mean.astype(x.dtype), self.running_variance.astype(x.dtype)
            return x - mean if self.center_only else (x - mean) / spread(variance, self.eps)
        count = x.size // self.channels
        mean = _channel_mean(x, count)
        centred = x - mean
        self._remember(mean.data, _channel_mean(centred.data**2, count), count)
        return centred

    def _remember(self, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
        unbiased = variance * (count / (count - 1)) if count > 1 else variance
        for running, newest in ((self.running_mean, mean), (self.running_variance, unbiased)):
            running += (self.momentum * (newest - running)).astype(running.dtype)


class LayerNorm(Norm):
    """Normalise each node over its channels, or each graph over all its nodes and channels.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    over : {"channels", "graph"}
        "channels": every node alone, as in transformers and ConvNeXt. "graph": all nodes and channels of each graph
        together ("space and channels"), which keeps differences of length between the nodes.
    eps : float
        Added to the variance.
    affine : bool
        Whether to learn scale and shift, one per channel.

    Notes
    -----
    Training and evaluation are the same. Graphs of a batch do not see each other. A node with one channel becomes
    ``shift``. A bare array counts as one graph.

    References
    ----------
    Ba, Kiros and Hinton, Layer normalization, arXiv 1607.06450, 2016.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.LayerNorm(4, eps=0.0).astype("float64")(np.array([[1.0, 7.0, 7.0, 9.0]])).numpy().round(4)
    array([[-1.6667,  0.3333,  0.3333,  1.    ]])
    """

    def __init__(
        self,
        channels: int,
        *,
        over: str = "channels",
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(channels, eps=eps, affine=affine, dtype=dtype)
        if over not in ("channels", "graph"):
            raise unknown_name("choice of over", over, ("channels", "graph"))
        self.over = over

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return self._alike(POINTWISE if self.over == "channels" else NODEWISE)

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        if self.over == "channels":
            centred = x - np.mean(x, axis=-1, keepdims=True)
            return centred / spread(np.mean(centred**2, axis=-1, keepdims=True), self.eps)
        indptr = graph_segments(x, graph)
        centred = x - segment_repeat(segment_mean(_row_mean(x), indptr=indptr), indptr=indptr)
        variance = segment_mean(_row_mean(centred**2), indptr=indptr)
        return centred / segment_repeat(spread(variance, self.eps), indptr=indptr)


class RMSNorm(Norm):
    """Divide each node by the root mean square of its channels: ``scale * x / (rms(x) + eps)``.

    Parameters
    ----------
    channels : int
        Length of the last axis.
    eps : float
        Added to the root, so that a node of zeros stays zero.
    affine : bool
        Whether to learn a scale. There is no shift, as in the paper.

    Notes
    -----
    Nothing is subtracted. A node of zeros gives zeros, and the gradient there is ``g * scale / eps`` (with ``eps=0``:
    ``g * scale``), finite. Differences from the paper: ``eps``, which the paper leaves out; PyTorch adds it under the
    root.

    References
    ----------
    Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np
    >>> gk.nn.RMSNorm(2, eps=0.0).astype("float64")(np.array([[1.0, 7.0]])).numpy()
    array([[0.2, 1.4]])
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True, dtype: DTypeLike = np.float32) -> None:
        super().__init__(channels, eps=eps, affine=affine, dtype=dtype)
        self.shift = None

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return self._alike(POINTWISE)

    def normalise(self, x: Tensor, graph: Graph | None) -> Tensor:
        square = np.mean(x**2, axis=-1, keepdims=True)
        some = square.data > 0  # the root has no derivative at 0: keep it away from the tape there
        root = np.sqrt(np.where(some, square, 1.0)) * some
        total = root + self.eps
        return x / np.where(total.data > 0, total, 1.0)


def spread(variance: Any, eps: float) -> Any:
    """Return sqrt(variance + eps), and 1 where that would be 0 (``eps=0`` and constant features)."""
    total = variance + eps if eps else variance
    if eps:
        return np.sqrt(total)
    values = total.data if isinstance(total, Tensor) else total
    return np.sqrt(np.where(values > 0, total, np.ones((), dtype=values.dtype)))


def graph_segments(x: Any, graph: Graph | None) -> np.ndarray:
    """Return the pointer to the nodes of each graph; a bare array is one graph."""
    if graph is not None:
        return np.asarray(graph.node_ptr, dtype=np.int64)
    return np.array([0, x.shape[0]], dtype=np.int64)


def _channel_mean(x: Any, count: int) -> Any:
    # As one segment: exact for millions of rows, where numpy's sum down a column of float32 loses digits.
    mean = segment_mean(x.reshape(count, x.shape[-1]), indptr=np.array([0, count]))
    return mean.reshape(x.shape[-1])


def _row_mean(x: Any) -> Any:
    axes = tuple(range(1, x.ndim))
    return np.mean(x, axis=axes, keepdims=True)


def norm_named(norm: str | Module, channels: int, *, dtype: DTypeLike = np.float32) -> Module:
    """Return the norm of that name ("batch", "layer", "rms", "instance", "graph"), or the module that was passed."""
    from gnnkit.nn.graph_norms import GraphNorm, InstanceNorm

    if isinstance(norm, Module):
        return norm
    known: dict[str, type[Norm]] = {
        "batch": BatchNorm,
        "layer": LayerNorm,
        "rms": RMSNorm,
        "instance": InstanceNorm,
        "graph": GraphNorm,
    }
    if norm not in known:
        raise unknown_name("norm", norm, known)
    return known[norm](channels, dtype=dtype)
