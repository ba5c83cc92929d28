"""A class for every pixel (semantic segmentation), as a scikit-learn estimator. May import the bases of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError
from gnnkit.learn.base import store_arguments, suggests_names
from gnnkit.learn.estimator import ClassifierMixin, plain_labels
from gnnkit.learn.image_batches import Augmentation
from gnnkit.learn.image_estimator import ImageEstimator, Images, probabilities
from gnnkit.learn.image_models import ModelLike
from gnnkit.learn.image_stack import ImageStack
from gnnkit.learn.metrics import accuracy, mean_iou
from gnnkit.learn.training import Validation


class PixelClassifier(ClassifierMixin, ImageEstimator):
    """A network that gives every pixel of an image a class (semantic segmentation), as a scikit-learn estimator.

    ``X`` as for :class:`ImageClassifier`. ``y`` has the form of ``X`` without channels: an array [N, height, width], a
    list of arrays [height, width], or [num_nodes] for a graph; answers have that form too.

    Parameters
    ----------
    model : str, Module, or function of (in_channels, num_classes)
        "unet" (:class:`gnnkit.nn.UNet`, any image sizes). A Module gives logits in ``x`` [num_nodes, num_classes]; it
        is copied, and learning starts from its weights.
    ignore_label : optional
        A value of ``y`` that means "not labelled": such pixels are seen, but neither learnt from nor scored.
    model_options, augment, normalize, border, batch_size, epochs, lr, weight_decay, optimizer, schedule, clip_norm
        As for :class:`ImageClassifier`. Augmentations move labels with their pixels; where nothing moves in there is
        no label.
    validation : float or (X, y), optional
        Images that choose the best epoch: a share of X, or images of their own.
    patience, monitor, random_state, progress
        As in :func:`~gnnkit.learn.fit`; ``monitor="val_mean_iou"`` chooses by what :meth:`score` measures.

    Attributes
    ----------
    classes_ : array [num_classes]
        The labels in sorted order, without ``ignore_label``.
    model_, history_, channels_, image_size_, pixel_mean_, pixel_scale_
        As of :class:`ImageClassifier`.

    Examples
    --------
    >>> import gnnkit as gk
    >>> X, y = gk.datasets.cluttered_digits(20, size=16, source="digits", rng=0)
    >>> model = gk.PixelClassifier(model_options={"widths": (4, 8)}, epochs=2, random_state=0)
    >>> model.fit(X[:16], y[:16]).predict(X[16:]).shape
    (4, 16, 16)
    """

    _loss = "cross_entropy"
    _metrics = ("accuracy", "mean_iou")
    _level = "nodes"
    _kind_of_model = "pixels"

    @suggests_names
    def __init__(
        self,
        model: ModelLike = "unet",
        *,
        ignore_label: Any = None,
        model_options: dict[str, Any] | None = None,
        augment: Augmentation | None = None,
        normalize: str | None = "standard",
        border: str = "zero",
        batch_size: int = 8,
        epochs: int = 20,
        lr: float = 3e-3,
        weight_decay: float = 1e-2,
        optimizer: str = "adamw",
        schedule: str | Callable[[Any], Any] | None = "cosine",
        clip_norm: float | None = None,
        validation: Validation = None,
        patience: int | None = None,
        monitor: str | None = None,
        random_state: int | np.random.Generator | None = None,
        progress: bool | None = False,
    ) -> None:
        store_arguments(self, locals())

    ignore_label: Any

    def predict_proba(self, X: Images) -> Any:  # type: ignore[override]
        """Probability of every class for every pixel, [N, height, width, num_classes] or in the form of ``X``."""
        stack, logits = self._outputs(X)
        return stack.like(probabilities(logits))

    def decision_function(self, X: Images) -> Any:
        """Scores before the softmax, in the form of :meth:`predict_proba`."""
        stack, logits = self._outputs(X)
        return stack.like(logits)

    def predict(self, X: Images) -> Any:  # type: ignore[override]
        """The most likely class of every pixel, [N, height, width] or in the form of ``X``."""
        stack, logits = self._outputs(X)
        return stack.like(self._decide(logits))

    def score(self, X: Images, y: Any) -> float:  # type: ignore[override]
        """Mean intersection over union on images ``X`` with labels ``y``, see :func:`~gnnkit.learn.mean_iou`."""
        return mean_iou(*self._compared(X, y))

    def accuracy(self, X: Images, y: Any) -> float:
        """Share of the labelled pixels whose class is right."""
        return accuracy(*self._compared(X, y))

    def _compared(self, X: Images, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        stack, logits = self._outputs(X)
        labels = self._labels(y, stack)
        counted = self._labelled(labels)
        if not counted.any():
            raise InvalidArgumentError(
                f"A score needs at least one labelled pixel. Got {len(labels)} pixels, none labelled. Check y."
            )
        return labels[counted], self._decide(logits)[counted]

    def _labels(self, y: Any, stack: ImageStack) -> NDArray[Any]:
        if stack.form == "list" and isinstance(y, list | tuple):
            parts = [np.asarray(labels) for labels in y]
            wrong = next((i for i, (p, size) in enumerate(zip(parts, stack.grid.sizes)) if p.shape != size), None)
            if len(parts) != len(stack) or wrong is not None:
                came = f"{len(parts)} arrays for {len(stack)} images"
                if wrong is not None:
                    came = f"shape {parts[wrong].shape} for image {wrong} of size {stack.grid.sizes[wrong]}"
                raise ShapeError(
                    f"y holds one label for each pixel, a list of arrays [height, width] as X. Got {came}. "
                    "Pass the labels of exactly these images."
                )
            labels = np.concatenate([part.reshape(-1) for part in parts]) if parts else np.zeros(0, np.int64)
        else:
            labels = np.asarray(y)
            shape = (stack.grid.num_nodes,) if stack.form == "graph" else (len(stack), *(stack.size or ()))
            if (stack.size is None and stack.form == "list") or labels.shape != shape:
                want = f"shape {list(shape)}" if stack.size is not None or stack.form == "graph" else "a list of arrays"
                raise ShapeError(
                    f"y holds one label for each pixel, {want}. Got shape {labels.shape}. "
                    "For one label per image use gk.ImageClassifier."
                )
        return self._checked(plain_labels(labels.reshape(-1)))

    def _checked(self, labels: NDArray[Any]) -> NDArray[Any]:
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise InvalidFeatureError(
                f"A label must be a value. Got nan for {int(np.isnan(labels).sum())} pixels. "
                "Give unlabelled pixels a number of their own, such as 255, and pass ignore_label=255."
            )
        return labels

    def _labelled(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        if self.ignore_label is None:
            return np.ones(len(labels), bool)
        return np.asarray(labels != self.ignore_label)

    def _learn_classes(self, labels: NDArray[Any], stack: ImageStack, images: NDArray[np.int64]) -> None:
        theirs = labels[stack.nodes(images)]
        self.classes_ = np.unique(theirs[self._labelled(theirs)])
        if len(self.classes_) < 2:
            raise InvalidArgumentError(
                f"A classifier learns to tell at least two classes apart. Got only {self.classes_.tolist()}. "
                "Add images with another class."
            )

    def _codes_of(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        codes = np.full(len(labels), -1, np.int64)
        labelled = self._labelled(labels)
        codes[labelled] = self._codes(labels[labelled], where)
        return codes
