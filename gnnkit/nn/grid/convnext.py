"""ConvNeXtBlock: a large depthwise convolution, and a perceptron for every pixel. Imports layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError
from gnnkit.nn.activations import activation_named
from gnnkit.nn.containers import Residual, Sequential
from gnnkit.nn.grid.conv import DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d
from gnnkit.nn.linear import Linear, check_count
from gnnkit.nn.module import Module
from gnnkit.nn.norms import norm_named

DEPTHWISE = {1: DepthwiseConv1d, 2: DepthwiseConv2d, 3: DepthwiseConv3d}


class ConvNeXtBlock(Residual):
    """``x + narrow(gelu(widen(norm(depthwise(x)))))``: mixes pixels per channel first, then channels per pixel.

    Parameters
    ----------
    channels : int
        Channels before and after.
    kernel_size : int or one per axis
        Of the depthwise convolution.
    expansion : int
        The hidden layer of a pixel has so many times the channels.
    ndim : int
        Axes of the grid, 1 to 3.
    norm : str or Module
        "layer", over the channels of each pixel, or another norm.
    activation : str or Module
        Between widening and narrowing.
    border : None, "zero", "wrap", "reflect" or "edge"
        Of the convolution; None: that of the graph.
    rng, dtype
        As of :class:`Conv2d`.

    Notes
    -----
    Differences from the paper: no scale per channel on the branch, and no dropping of whole branches while training.

    References
    ----------
    Liu et al., A ConvNet for the 2020s, CVPR 2022.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> block = gk.nn.ConvNeXtBlock(8, rng=0)
    >>> block(gk.from_image(np.ones((9, 9, 8), "float32"))).x.shape, block.num_parameters
    ((81, 8), 968)
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Any = 7,
        *,
        expansion: int = 4,
        ndim: int = 2,
        norm: str | Module = "layer",
        activation: str | Module = "gelu",
        border: str | None = None,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.channels = check_count("channels", channels)
        hidden = channels * check_count("expansion", expansion)
        inner = Sequential(
            _depthwise(ndim)(channels, kernel_size, border=border, rng=rng, dtype=dtype),
            norm_named(norm, channels, dtype=dtype),
            Linear(channels, hidden, rng=rng, dtype=dtype),
            activation_named(activation),
            Linear(hidden, channels, rng=rng, dtype=dtype),
        )
        super().__init__(inner)


def _depthwise(ndim: int) -> Any:
    if ndim not in DEPTHWISE:
        raise InvalidArgumentError(
            f"A grid has 1, 2 or 3 axes. Got ndim={ndim!r}. Use ndim=2 for images, 1 for sequences, 3 for volumes."
        )
    return DEPTHWISE[ndim]
