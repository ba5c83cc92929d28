"""Small networks that classify images: LeNet, SmallCNN. Imports layers and the blocks of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError, unknown_name
from gnnkit.graph import Stencil
from gnnkit.nn.activations import activation_named
from gnnkit.nn.containers import Sequential
from gnnkit.nn.dropout import Dropout
from gnnkit.nn.grid.blocks import Kit, checked_widths
from gnnkit.nn.grid.conv import Conv2d
from gnnkit.nn.grid.flatten import Flatten
from gnnkit.nn.grid.pooling import MaxPool, MeanPool
from gnnkit.nn.linear import MLP, Linear
from gnnkit.nn.module import Module
from gnnkit.nn.pool import GlobalPool


class LeNet(Sequential):
    """The classic for handwritten digits; logits in ``u`` [num_graphs, classes].

    Convolution 5 x 5 to 6 channels with padding "same", pooling 2 x 2, convolution 5 x 5 to 16 channels without
    padding, pooling 2 x 2, flattened, and a perceptron with 120 and 84 hidden units.

    Parameters
    ----------
    in_channels, classes : int
    size : (int, int)
        Size of all images; the perceptron needs to know it.
    activation : str
        After each convolution and hidden layer.
    pool : "mean" or "max"
    rng, dtype
        As of :class:`Conv2d`.

    Notes
    -----
    Differences from the paper: softmax and cross-entropy in place of the output units; every map of the second
    convolution sees all maps of the first; the pooling learns nothing. The paper's 32 x 32 inputs are 28 x 28 digits
    with a frame: here the first convolution pads them.

    References
    ----------
    LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 1998.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> net = gk.nn.LeNet(1, 10, rng=0)
    >>> net.num_parameters, net(gk.from_image(np.ones((64, 28, 28, 1), "float32"))).u.shape
    (61706, (64, 10))
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        *,
        size: tuple[int, int] = (28, 28),
        activation: str = "tanh",
        pool: str = "mean",
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if np.shape(size) != (2,):
            raise InvalidArgumentError(
                f"size must be (rows, columns) of all images. Got {size!r}. Pass for instance size=(28, 28)."
            )
        rng = np.random.default_rng(rng)
        rows, columns = _halved(Stencil(5, ndim=2, padding="valid").output_size(_halved(size)))
        layers: list[Module] = [
            Conv2d(in_channels, 6, 5, rng=rng, dtype=dtype),
            activation_named(activation),
            _pooling(pool),
            Conv2d(6, 16, 5, padding="valid", rng=rng, dtype=dtype),
            activation_named(activation),
            _pooling(pool),
        ]
        head = MLP([rows * columns * 16, 120, 84, classes], activation=activation, rng=rng, dtype=dtype)
        super().__init__(*layers, Flatten(head=head))


def _halved(size: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n // 2 for n in size)


def _pooling(name: str) -> Module:
    known: dict[str, type[Module]] = {"mean": MeanPool, "max": MaxPool}
    if name not in known:
        raise unknown_name("pooling", name, known)
    return known[name](2)


class SmallCNN(Sequential):
    """A small classifier of images of any size, about 70,000 parameters; logits in ``u`` [num_graphs, classes].

    A convolution 5 x 5; for each further width a pooling 2 x 2 and two convolutions 3 x 3; the mean over all pixels and
    a linear map. Every convolution is followed by its norm and activation.

    Parameters
    ----------
    in_channels, classes : int
    widths : sequence of int
        Channels from the fine pixels to the coarse ones.
    dropout : float
        Rate before the linear map.
    norm : "batch", "layer", "instance", ... or None
    activation : str
    ndim : int
        Axes of the grid.
    border : None, "zero", "wrap", "reflect" or "edge"
        Of the convolutions; None: that of the graph.
    rng, dtype
        As of :class:`Conv2d`; ``rng`` also seeds the dropout.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> net = gk.nn.SmallCNN(1, 10, rng=0)
    >>> net.num_parameters, net(gk.from_image(np.ones((4, 28, 28, 1), "float32"))).u.shape
    (70586, (4, 10))
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        *,
        widths: Sequence[int] = (16, 32, 64),
        dropout: float = 0.0,
        norm: str | None = "batch",
        activation: str = "relu",
        ndim: int = 2,
        border: str | None = None,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        rng = np.random.default_rng(rng)
        widths = checked_widths(widths)
        kit = Kit(ndim, norm, activation, border, rng, dtype)
        layers = kit.unit(in_channels, widths[0], 5)
        for inside, width in pairwise(widths):
            layers += [MaxPool(2, padding="same"), *kit.unit(inside, width), *kit.unit(width, width)]
        head: list[Module] = [Dropout(dropout)] if dropout else []
        head.append(Linear(widths[-1], classes, rng=rng, dtype=dtype))
        super().__init__(*layers, GlobalPool("mean", head=Sequential(*head)))
        self.seed(rng)
