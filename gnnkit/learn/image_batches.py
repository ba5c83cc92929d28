"""Mini-batches of images for the training loop, and what is done to pixels on the way. May import image_stack, tasks.

The order of work on a batch: pixels as floats, augmentation (in the units of the images), standardisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import DTypeError
from gnnkit.graph import Graph
from gnnkit.learn.image_stack import ImageStack, as_floats
from gnnkit.learn.tasks import Task

Augmentation = Callable[..., Graph]
_CHUNK = 1 << 16  # pixels that are summed in float64 at once


class PixelScale:
    """Mean and standard deviation of every channel, and the step that makes them 0 and 1.

    Parameters
    ----------
    mean, scale : array [channels] or None
        None leaves pixels as they are.
    """

    def __init__(self, mean: NDArray[Any] | None = None, scale: NDArray[Any] | None = None) -> None:
        self.mean, self.scale = mean, scale

    @classmethod
    def learn(cls, stack: ImageStack, images: NDArray[np.int64]) -> PixelScale:
        """Measure the pixels of some images (a channel that is constant keeps its scale, 1)."""
        count, total, squares = 0, np.zeros(stack.channels), np.zeros(stack.channels)
        step = max(1, _CHUNK * len(stack) // max(len(stack.rows), 1))
        first = None
        constant = np.ones(stack.channels, bool)
        for start in range(0, len(images), step):
            # in float32 first: uint8 and its share of 255 as floats are then learnt from as the same numbers
            pixels = as_floats(stack.pixels(images[start : start + step]), stack.dtype).astype(np.float64)
            if not len(pixels):
                continue
            first = pixels[0].copy() if first is None else first
            constant &= (pixels == first).all(axis=0)
            pixels = pixels - first  # squares of small numbers: no digits are lost where the mean is large
            count, total, squares = count + len(pixels), total + pixels.sum(axis=0), squares + (pixels**2).sum(axis=0)
        if first is None:
            return cls(np.zeros(stack.channels), np.ones(stack.channels))
        mean = total / count
        scale = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return cls(first + mean, np.where(constant | (scale == 0), 1.0, scale))

    def apply(self, graph: Graph) -> Graph:
        """The graph with standardised ``x``."""
        if self.mean is None or self.scale is None:
            return graph
        x = np.asarray(graph.x)
        values = x - self.mean.astype(x.dtype)
        values /= self.scale.astype(x.dtype)
        return graph.replace(x=values)


class ImageBatches:
    """The tasks of an epoch over images: see the training loop.

    Parameters
    ----------
    stack : ImageStack
    images : int [n]
        Which of its images take part.
    target : array
        Level "graphs": codes [len(stack)]; level "nodes": codes [num_nodes of the stack], -1 where there is no label.
    level : "graphs" or "nodes"
    batch_size : int
    scale : PixelScale
    dtype
        Of the model.
    augment : callable of (graph, rng=), optional
    shuffle : bool
        Draw a new order every epoch.
    """

    def __init__(
        self,
        stack: ImageStack,
        images: NDArray[np.int64],
        target: NDArray[Any],
        *,
        level: str,
        batch_size: int,
        scale: PixelScale,
        dtype: Any,
        augment: Augmentation | None = None,
        shuffle: bool = True,
    ) -> None:
        self.stack, self.images, self.target, self.level = stack, images, target, level
        self.batch_size, self.scale, self.dtype = batch_size, scale, dtype
        self.augment, self.shuffle = augment, shuffle

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __repr__(self) -> str:
        return f"ImageBatches({len(self.images)} images in {len(self)} batches of {self.batch_size})"

    def epoch(self, rng: np.random.Generator) -> Iterator[Task]:
        """The tasks of one epoch; ``rng`` decides the order and the augmentation."""
        order = rng.permutation(self.images) if self.shuffle else self.images
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            task = self._images(chosen, rng) if self.level == "graphs" else self._pixels(chosen, rng)
            if task is not None:
                yield task

    def _images(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Task:
        graph = self._augmented(self.stack.graph(chosen, self.dtype), rng)
        return Task(self.scale.apply(graph), self.target[chosen], level="graphs")

    def _pixels(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Task | None:
        graph = self._augmented(self.stack.graph(chosen, self.dtype, labels=self.target), rng)
        y = np.asarray(graph.nodes["y"])  # an augmentation may have moved them with their pixels
        counted = y >= 0
        if not counted.any():
            return None  # nothing to learn from in these images
        return Task(self.scale.apply(graph.without("y")), y, mask=None if counted.all() else counted)

    def _augmented(self, graph: Graph, rng: np.random.Generator) -> Graph:
        if self.augment is None:
            return graph
        changed = self.augment(graph, rng=rng)
        if not isinstance(changed, Graph) or changed.num_graphs != graph.num_graphs:
            came = changed if isinstance(changed, Graph) else type(changed).__name__
            raise DTypeError(
                f"augment(graph, rng=rng) gives a graph of the same {graph.num_graphs} images. Got {came!r}. "
                "Use gk.transforms.random_shift and its like, joined with gk.transforms.compose."
            )
        return changed
