"""Images to classes, as a scikit-learn estimator: ``fit(images, labels)``. May import the bases of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError
from gnnkit.learn.base import store_arguments, suggests_names
from gnnkit.learn.estimator import ClassifierMixin, plain_labels
from gnnkit.learn.image_batches import Augmentation
from gnnkit.learn.image_estimator import ImageEstimator, Images, probabilities
from gnnkit.learn.image_models import ModelLike
from gnnkit.learn.image_stack import ImageStack
from gnnkit.learn.training import Validation, held_out_by_class


class ImageClassifier(ClassifierMixin, ImageEstimator):
    """A convolutional network that classifies images, as a scikit-learn estimator.

    ``X`` is an array [N, height, width] (a stack of grey images) or [N, height, width, channels], a list of images of
    any sizes, or a graph made with :func:`gnnkit.from_image`, where pixels may be missing. ``y`` [N] holds labels of
    any kind. Nothing is padded and nothing resized: images are graphs.

    Parameters
    ----------
    model : str, Module, or function of (in_channels, num_classes)
        "cnn" (:class:`gnnkit.nn.SmallCNN`, 70,000 parameters, any image sizes), "lenet" (one size) or "resnet". A
        Module gives logits in ``u`` [num_graphs, num_classes]; it is copied, and learning starts from its weights.
    model_options : dict, optional
        More arguments of a named model, for example ``{"widths": (16, 32)}``.
    augment : callable of (graph, rng=), optional
        Applied to every batch while learning, to pixels in the units of ``X``, such as
        ``gk.transforms.random_shift``; see :func:`gnnkit.transforms.compose`.
    normalize : "standard" or None
        "standard": from every channel its mean is taken and the rest divided by its standard deviation, both over all
        training pixels.
    border : {"zero", "wrap", "reflect", "edge"}
        What convolutions find beyond the edge; a graph as ``X`` has its own.
    batch_size : int
        Images in one step of the optimiser.
    epochs, lr, weight_decay, optimizer, clip_norm, patience, monitor, random_state, progress
        As in :func:`~gnnkit.learn.fit`.
    schedule : "cosine", callable or None
        "cosine": one epoch of rise, then half a cosine down to the last epoch.
    validation : float or (X, y), optional
        Images that choose the best epoch: a share of X (the same of every class), or images of their own.

    Attributes
    ----------
    classes_ : array [num_classes]
        The labels in sorted order.
    model_ : Module
        The trained network, graph to graph.
    history_ : History
    channels_, image_size_
        Of the training images; size None where they differ.
    pixel_mean_, pixel_scale_ : array [channels]
        With ``normalize="standard"`` only.

    Notes
    -----
    Same seed, same bits, for any number of threads.

    Examples
    --------
    >>> import gnnkit as gk
    >>> X, y = gk.datasets.load_images("digits")
    >>> model = gk.ImageClassifier(model_options={"widths": (8, 16)}, epochs=2, random_state=0)
    >>> model.fit(X[:300], y[:300]).predict(X[300:302]).shape
    (2,)
    """

    _loss = "cross_entropy"
    _level = "graphs"
    _kind_of_model = "images"

    @suggests_names
    def __init__(
        self,
        model: ModelLike = "cnn",
        *,
        model_options: dict[str, Any] | None = None,
        augment: Augmentation | None = None,
        normalize: str | None = "standard",
        border: str = "zero",
        batch_size: int = 64,
        epochs: int = 10,
        lr: float = 2e-3,
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

    def predict_proba(self, X: Images) -> NDArray[Any]:  # type: ignore[override]
        """Probability of every class [N, num_classes] for images as :meth:`fit` takes them."""
        return probabilities(self._outputs(X)[1])

    def decision_function(self, X: Images) -> NDArray[Any]:
        """Scores before the softmax [N, num_classes]."""
        return self._outputs(X)[1]

    def predict(self, X: Images) -> NDArray[Any]:  # type: ignore[override]
        """The most likely class of every image, in the words of ``fit``'s ``y``."""
        return self._decide(self._outputs(X)[1])

    def score(self, X: Images, y: ArrayLike) -> float:  # type: ignore[override]
        """Accuracy on images ``X`` with labels ``y``."""
        return super().score(X, y)  # type: ignore[arg-type]

    def _labels(self, y: Any, stack: ImageStack) -> NDArray[Any]:
        labels = plain_labels(np.asarray(y))
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(stack),):
            raise ShapeError(
                f"y holds one label for each of the {len(stack)} images in X, shape [{len(stack)}]. Got shape "
                f"{labels.shape}. For a label per pixel use gk.PixelClassifier."
            )
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise InvalidFeatureError(
                f"Every label must be known. Got nan for image {int(np.flatnonzero(np.isnan(labels))[0])}. "
                "Leave that image out of X."
            )
        return labels

    def _learn_classes(self, labels: NDArray[Any], stack: ImageStack, images: NDArray[np.int64]) -> None:
        self.classes_ = np.unique(labels[images])
        if len(self.classes_) < 2:
            raise InvalidArgumentError(
                f"A classifier learns to tell at least two classes apart. Got only {self.classes_.tolist()}. "
                "Add images of another class."
            )

    def _codes_of(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        return self._codes(labels, where)

    def _held_out(self, labels: Any, count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
        return held_out_by_class(labels, share, rng)
