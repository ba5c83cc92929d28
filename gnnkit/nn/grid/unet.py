"""UNet: down to coarse pixels and up again, every level joined with its like on the way up. Imports layers, blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from gnnkit.errors import unknown_name
from gnnkit.graph import Graph
from gnnkit.nn.containers import ModuleList, Sequential
from gnnkit.nn.declared import Symmetry, composed
from gnnkit.nn.grid.blocks import Kit, checked_widths
from gnnkit.nn.grid.pooling import MaxPool
from gnnkit.nn.grid.upsampling import Upsample
from gnnkit.nn.linear import Linear
from gnnkit.nn.module import Module

WAYS_UP = ("nearest", "bilinear")


class UNet(Module):
    """Label every pixel of images of any size; logits in ``x`` [num_nodes, classes].

    On the way down every level applies two convolutions and hands on the largest value of each 2 x 2 window. On the way
    up it takes the coarser level onto its own pixels, beside its own features, and applies two convolutions again.

    Parameters
    ----------
    in_channels, classes : int
    widths : sequence of int
        Channels of each level, from fine to coarse.
    skip : bool
        False leaves out the features of the way down: only the coarse pixels remember the image.
    up : "nearest" or "bilinear"
        How coarse pixels come onto fine ones, see :class:`Upsample`.
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
    Sizes need not be even, images may have holes (a mask) and different sizes in one batch: every level returns onto
    the very grid that it came from. The graph that comes out is on the grid that came in, with all its other fields.
    Differences from the paper: convolutions keep the size, so nothing is cropped; "nearest" or "bilinear" and the next
    convolution in place of a transposed one; a norm after each convolution; fewer channels.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> net = gk.nn.UNet(3, 5, widths=(4, 8), rng=0)
    >>> net(gk.from_image([np.ones((7, 10, 3), "float32"), np.ones((12, 9, 3), "float32")])).x.shape
    (178, 5)
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        widths: Sequence[int] = (16, 32, 64),
        skip: bool = True,
        up: str = "nearest",
        norm: str | None = "batch",
        activation: str = "relu",
        ndim: int = 2,
        border: str | None = None,
        rng: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if up not in WAYS_UP:
            raise unknown_name("way up", up, WAYS_UP)
        rng = np.random.default_rng(rng)
        widths = checked_widths(widths)
        kit = Kit(ndim, norm, activation, border, rng, dtype)
        self.skip = bool(skip)
        self.pool = MaxPool(2, padding="same")
        self.up = Upsample(2, mode=up)
        fan_in = (in_channels, *widths[:-1])
        self.down = ModuleList(_pair(kit, inside, width) for inside, width in zip(fan_in, widths))
        joined = [coarse + (fine if skip else 0) for fine, coarse in pairwise(widths)]
        self.rise = ModuleList(_pair(kit, inside, width) for inside, width in zip(joined, widths))
        self.head = Linear(widths[0], classes, rng=rng, dtype=dtype)

    @property
    def symmetry(self) -> Symmetry:  # type: ignore[override]
        first, *coarser = self.down
        ways: list[Module] = [first]
        for block in coarser:
            ways += [self.pool, block]
        for block in reversed(list(self.rise)):
            ways += [self.up, block]
        return composed([*ways, self.head])

    def forward(self, graph: Graph) -> Graph:
        levels = [self.down[0](graph)]
        for block in list(self.down)[1:]:
            levels.append(block(self.pool(levels[-1])))
        out = levels.pop()
        for block in reversed(list(self.rise)):
            fine = levels.pop()
            lifted = self.up(out, onto=fine)
            out = block(fine.replace(x=np.concatenate([fine.x, lifted.x], axis=-1)) if self.skip else lifted)
        return graph.replace(x=self.head(out.x))


def _pair(kit: Kit, inside: int, out: int) -> Sequential:
    return Sequential(*kit.unit(inside, out), *kit.unit(out, out))
