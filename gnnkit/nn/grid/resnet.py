"""ResNet: residual blocks of two convolutions, halving the image from stage to stage; with or without its skips.

Imports layers and the blocks of architectures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import InvalidArgumentError
from gnnkit.graph import Graph
from gnnkit.nn.activations import activation_named
from gnnkit.nn.containers import Residual, Sequential
from gnnkit.nn.declared import Symmetry, composed
from gnnkit.nn.grid.blocks import Kit, checked_widths
from gnnkit.nn.grid.pooling import MeanPool
from gnnkit.nn.linear import Linear, check_count
from gnnkit.nn.module import Module
from gnnkit.nn.pool import GlobalPool


class ResNet(Module):
    """Classify images of any size with a stack of residual blocks; logits in ``u`` [num_graphs, classes].

    A convolution, stages of ``blocks`` blocks each, the mean over all pixels, a linear map. A block is ``activation(x +
    norm(conv(activation(norm(conv(x))))))``. The first block of every stage but the first steps by 2 and changes the
    channels; its skip is the mean over the same windows, and a linear map of it.

    Parameters
    ----------
    in_channels, classes : int
    widths : sequence of int
        Channels of each stage.
    blocks : int or one per stage
        Residual blocks of each stage. With three stages of n blocks there are 6 n + 2 layers: 3 blocks make ResNet-20.
    skip : bool
        False leaves out the skips: a plain net of the same layers, which is hard to train when it is deep.
    norm : "batch", "layer", "instance", ... or None
    activation : str
    ndim : int
        Axes of the grid.
    border : None, "zero", "wrap", "reflect" or "edge"
        Of the convolutions; None: that of the graph.
    rng, dtype
        As of :class:`Conv2d`.

    Notes
    -----
    Images of different sizes may share a batch, without padding, and images may have holes (a mask); "batch" norm
    takes the statistics of all their pixels. Differences from the paper, of its ResNets for small images: the skip of
    a block that changes the channels is a projection (its option B) of means over windows, where the paper picks every
    second pixel, which a mask may have left out.

    References
    ----------
    He et al., Deep residual learning for image recognition, CVPR 2016.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> net = gk.nn.ResNet(1, 10, widths=(8, 16), blocks=1, rng=0)
    >>> net(gk.from_image([np.ones((28, 28, 1), "float32"), np.ones((9, 13, 1), "float32")])).u.shape
    (2, 10)
    """

    hops = float("inf")

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int | Sequence[int] = 3,
        skip: bool = True,
        norm: str | None = "batch",
        activation: str = "relu",
        ndim: int = 2,
        border: str | None = None,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        rng = np.random.default_rng(rng)
        widths = checked_widths(widths)
        counts = _per_stage(blocks, len(widths))
        kit = Kit(ndim, norm, activation, border, rng, dtype)
        self.stem = Sequential(*kit.unit(in_channels, widths[0]))
        layers: list[Module] = []
        inside = widths[0]
        for stage, (width, count) in enumerate(zip(widths, counts)):
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(_block(kit, inside, width, stride, skip))
                inside = width
        self.blocks = Sequential(*layers)
        self.head = GlobalPool("mean", head=Linear(inside, classes, rng=rng, dtype=dtype))

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        return composed([self.stem, self.blocks, self.head])

    def forward(self, graph: Graph) -> Graph:
        return self.head(self.blocks(self.stem(graph)))


def _block(kit: Kit, inside: int, out: int, stride: int, skip: bool) -> Module:
    branch = Sequential(*kit.unit(inside, out, stride=stride), *kit.normed(out, out))
    if not skip:
        return Sequential(*branch, activation_named(kit.activation))
    projection: list[Module] = []
    if stride != 1:  # with the window of the branch: where pixels are missing, both have the same ones
        projection.append(MeanPool(3, stride=stride, padding="same", border=kit.border))
    if projection or inside != out:
        projection += kit.normed(inside, out, 1)
    return Sequential(
        Residual(branch, Sequential(*projection) if projection else None), activation_named(kit.activation)
    )


def _per_stage(blocks: int | Sequence[int], stages: int) -> tuple[int, ...]:
    counts = (blocks,) * stages if isinstance(blocks, int | np.integer) else tuple(blocks)
    if len(counts) != stages:
        raise InvalidArgumentError(
            f"blocks must be one number, or one for each of the {stages} stages in widths. Got {blocks!r}. "
            "Give as many numbers as widths."
        )
    return tuple(check_count("blocks", count) for count in counts)
