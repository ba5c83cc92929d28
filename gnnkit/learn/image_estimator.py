"""What the estimators of images share: parameters, checks of images, batches, predictions.

A subclass says what a label belongs to (an image, or a pixel) and how labels become codes. May import the files beside
it, and nn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnkit import nn
from gnnkit.autodiff import as_array, no_grad
from gnnkit.errors import DTypeError, FileFormatError, InvalidArgumentError, ShapeError, unknown_name
from gnnkit.graph import Graph
from gnnkit.kernels import keep_freed_memory
from gnnkit.learn.checkpoint import Checkpoint
from gnnkit.learn.evaluation import read_output
from gnnkit.learn.image_batches import Augmentation, ImageBatches, PixelScale
from gnnkit.learn.image_models import build_image_model
from gnnkit.learn.image_stack import ImageStack
from gnnkit.learn.tasks import Task
from gnnkit.learn.training import Callback, NetworkTrainer, Validation

Images = ArrayLike | Graph | list[Any]
NORMALISERS = ("standard",)
SCHEDULES = ("cosine",)


class ImageEstimator(NetworkTrainer):
    """Base of :class:`ImageClassifier` and :class:`PixelClassifier`."""

    _samples = "images"
    _level = ""  # "graphs" or "nodes": what has a label
    channels_: int
    image_size_: tuple[int, ...] | None
    classes_: NDArray[Any]
    pixel_mean_: NDArray[np.float64] | None
    pixel_scale_: NDArray[np.float64] | None

    model_options: dict[str, Any] | None
    augment: Augmentation | None
    normalize: str | None
    border: str
    batch_size: int
    validation: Validation

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Images,
        y: Any,
        *,
        validation: Validation = None,
        test: tuple[Any, Any] | None = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        resume: bool = False,
        callback: Callback | None = None,
    ) -> Self:
        """Learn from images ``X`` and their labels ``y``.

        Parameters
        ----------
        X : array [N, H, W] or [N, H, W, C], list of images, or Graph on a grid
            Three axes are a stack of grey images. uint8 counts as 0 to 255, booleans as 0 and 1, floats as they are.
        y : labels
            As the class describes.
        validation : float or (X, y), optional
            Images that choose the best epoch; a number is a share of ``X``. Default: the constructor's.
        test : (X, y), optional
            Evaluated along the way and written to ``history_``; never used for choices.
        checkpoint, resume, callback
            As in :func:`~gnnkit.learn.fit`.
        """
        self._check_settings()
        stack = self._stack(X)
        labels = self._labels(y, stack)
        if not len(stack):
            raise InvalidArgumentError("fit needs at least one image. Got none. Check the split.")
        validation = self.validation if validation is None else validation
        chosen, held = self._split(labels, stack, validation)
        self._forget()
        self.channels_, self.image_size_ = stack.channels, stack.size
        self._learn_classes(labels, stack, chosen)
        codes = self._codes_of(labels, "y" if held is None else "validation")
        if self.normalize is not None:
            scale = PixelScale.learn(stack, chosen)
            self.pixel_mean_, self.pixel_scale_ = scale.mean, scale.scale
        model = build_image_model(self.model, self._kind_of_model, stack, len(self.classes_), self.model_options)
        self._check_outputs(model, stack)
        settings: dict[str, Any] = {
            "level": self._level,
            "batch_size": self.batch_size,
            "scale": self._scale(),
            "dtype": model.dtype,
        }
        if held is None:
            val = self._given(validation, "validation", settings)
        else:
            val = ImageBatches(stack, held, codes, shuffle=False, **settings)
        self._train(
            model,
            ImageBatches(stack, chosen, codes, augment=self.augment, **settings),
            validation=val,
            test=self._given(test, "test", settings),
            checkpoint=checkpoint,
            resume=resume,
            callback=callback,
        )
        return self

    def _split(
        self, labels: NDArray[Any], stack: ImageStack, validation: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The images to train on, and those of ``X`` to validate on."""
        everything = np.arange(len(stack))
        if validation is None:
            return everything, None
        if isinstance(validation, tuple | list):
            self._check_pair(validation)
            return everything, None
        held = self._share(labels, len(stack), validation)
        if not len(held) or len(held) == len(stack):
            raise InvalidArgumentError(
                f"Training and validation each need images. A share of {validation} of {len(stack)} images leaves "
                f"{len(stack) - len(held)} and {len(held)}. Label more images, or pass validation=(X, y)."
            )
        return np.setdiff1d(everything, held), held

    def _given(self, pair: Any, where: str, settings: dict[str, Any]) -> ImageBatches | None:
        """Images and labels of a set of its own, as batches in a fixed order."""
        if pair is None:
            return None
        stack = self._stack(pair[0])
        self._check_like_training(stack)
        labels = self._labels(pair[1], stack)
        if not len(stack):
            raise InvalidArgumentError(f"{where} needs at least one image. Got none. Check the split.")
        return ImageBatches(stack, np.arange(len(stack)), self._codes_of(labels, where), shuffle=False, **settings)

    # -- for subclasses ---------------------------------------------------------------------------------------------

    _kind_of_model = ""

    def _labels(self, y: Any, stack: ImageStack) -> NDArray[Any]:
        """The labels in one axis: of every image, or of every pixel."""
        raise NotImplementedError

    def _learn_classes(self, labels: NDArray[Any], stack: ImageStack, images: NDArray[np.int64]) -> None:
        """Set ``classes_`` from the labels of some images."""
        raise NotImplementedError

    def _codes_of(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        """Codes of labels that are all known."""
        raise NotImplementedError

    # -- checks -----------------------------------------------------------------------------------------------------

    def _stack(self, X: Any) -> ImageStack:
        return ImageStack.read(X, border=self.border, owner=type(self).__name__)

    def _check_settings(self) -> None:
        if self.normalize is not None and self.normalize not in NORMALISERS:
            raise unknown_name("value of normalize", self.normalize, NORMALISERS)
        if isinstance(self.schedule, str) and self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, SCHEDULES)
        whole = isinstance(self.batch_size, int | np.integer) and not isinstance(self.batch_size, bool)
        if not whole or self.batch_size < 1:
            raise InvalidArgumentError(
                f"batch_size is a whole number, at least 1. Got {self.batch_size!r}. Pass for example batch_size=64."
            )
        if self.augment is not None and not callable(self.augment):
            raise DTypeError(
                f"augment is a function of (graph, rng=). Got {self.augment!r}. "
                "Pass for example gk.transforms.random_shift."
            )

    def _check_outputs(self, model: Any, stack: ImageStack) -> None:
        """One image through the network, before an hour of training: it must give one score per class."""
        graph = stack.graph(np.arange(1), model.dtype)
        rows = 1 if self._level == "graphs" else graph.num_nodes
        model.eval()
        with no_grad():
            shape = tuple(read_output(model, Task(graph, np.zeros(rows), level=self._level)).shape) if rows else None
        if shape is not None and shape != (rows, len(self.classes_)):
            raise ShapeError(
                f"The model gives one score for each of the {len(self.classes_)} classes, [{rows}, "
                f"{len(self.classes_)}] for the first image. Got shape {shape}. Change its last layer."
            )

    def _check_like_training(self, stack: ImageStack) -> None:
        if len(stack) and stack.channels != self.channels_:
            raise ShapeError(
                f"Images have the channels of training, {self.channels_}. Got {stack.channels}. "
                "Convert them to the same kind, grey or colour; a single colour image needs an axis in front, X[None]."
            )
        if self.model == "lenet" and len(stack) and stack.size != self.image_size_:
            raise ShapeError(
                f"The model 'lenet' takes images of the size of training, {self.image_size_}. "
                f"Got {stack.size or 'several sizes'}. Bring them to that size, or use model='cnn', which takes any."
            )

    # -- answers ----------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> tuple[ImageStack, NDArray[Any]]:
        """The images, and the raw outputs of the network: one row per image or per pixel."""
        self._check_fitted()
        stack = self._stack(X)
        self._check_like_training(stack)
        parts = [np.zeros((0, len(self.classes_)), self.model_.dtype)]
        self.model_.eval()
        scale = self._scale()
        with no_grad(), keep_freed_memory():
            for start in range(0, len(stack), self.batch_size):
                images = np.arange(start, min(start + self.batch_size, len(stack)))
                output = self.model_(scale.apply(stack.graph(images, self.model_.dtype)))
                if isinstance(output, Graph):
                    output = output.u if self._level == "graphs" else output.x
                parts.append(np.asarray(as_array(output)))
        return stack, np.concatenate(parts)

    def _scale(self) -> PixelScale:
        return PixelScale() if self.normalize is None else PixelScale(self.pixel_mean_, self.pixel_scale_)

    def _schedule(self) -> Callable[[Any], Any] | None:
        if self.schedule == "cosine":
            epochs = max(int(self.epochs), 1)
            return lambda optimizer: nn.CosineLR(optimizer, epochs=epochs, warmup=min(1, epochs - 1))
        return self.schedule

    # -- files ------------------------------------------------------------------------------------------------------

    def _learnt(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _restore(self, learnt: dict[str, Any]) -> None:
        self.classes_ = np.array(learnt["classes"], dtype=np.dtype(learnt["dtype"]))

    def _learnt_inputs(self) -> dict[str, Any]:
        found: dict[str, Any] = {"channels": self.channels_, "size": self.image_size_}
        if self.normalize is not None:
            found |= {"mean": np.asarray(self.pixel_mean_).tolist(), "scale": np.asarray(self.pixel_scale_).tolist()}
        return {"pixels": found}

    def _restore_inputs(self, learnt: dict[str, Any]) -> None:
        pixels = learnt["pixels"]
        self.channels_ = pixels["channels"]
        self.image_size_ = None if pixels["size"] is None else tuple(pixels["size"])
        if "mean" in pixels:
            self.pixel_mean_, self.pixel_scale_ = np.array(pixels["mean"]), np.array(pixels["scale"])

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, classes: Any = ()) -> Self:
        """Read what :meth:`save` wrote; ``classes`` are your own Module classes that the model is made of.

        Raises
        ------
        FileMissingError, FileFormatError
            If the file is not there, damaged, or holds another estimator.
        """
        from gnnkit.learn.files import load_estimator

        loaded = load_estimator(path, classes=classes)
        if not isinstance(loaded, cls):
            raise FileFormatError(
                f"{cls.__name__}.load reads a {cls.__name__}. '{path}' holds a {type(loaded).__name__}. "
                "Use gk.learn.load_estimator, which reads either."
            )
        return loaded


def probabilities(logits: NDArray[Any]) -> NDArray[Any]:
    """Softmax over the last axis."""
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True)) if logits.size else logits
    return scaled / scaled.sum(axis=-1, keepdims=True)
