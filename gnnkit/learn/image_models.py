"""The networks that the estimators of images know by name. May import nn."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from gnnkit import nn
from gnnkit.errors import DTypeError, InvalidArgumentError, ShapeError, type_name, unknown_name
from gnnkit.learn.image_stack import ImageStack

ModelLike = str | nn.Module | Callable[[int, int], nn.Module]
_ARCHITECTURES: dict[str, dict[str, type[nn.Module]]] = {
    "images": {"cnn": nn.SmallCNN, "lenet": nn.LeNet, "resnet": nn.ResNet},
    "pixels": {"unet": nn.UNet},
}
_LEAST_SIDE = 12  # of LeNet: padded convolution, halved to 6, less 4, halved to 1
_GIVEN = ("self", "in_channels", "classes", "rng", "dtype", "size", "ndim")  # not for the user to choose


def build_image_model(
    model: ModelLike, kind: str, stack: ImageStack, classes: int, options: dict[str, Any] | None
) -> nn.Module:
    """Build, or copy, the network of an estimator.

    Parameters
    ----------
    model : str, Module, or function of (in_channels, num_classes)
    kind : "images" or "pixels"
        What gets a label.
    stack : ImageStack
        The images to learn from: their channels, axes and size.
    classes : int
    options : dict, optional
        More arguments of a named network.

    Raises
    ------
    UnknownNameError
        If there is no such network, or it has no such argument.
    InvalidArgumentError
        If options come without a name, or the network needs images of one size.
    """
    if isinstance(model, str):
        return _named(model, kind, stack, classes, options or {})
    if options:
        raise InvalidArgumentError(
            f"model_options are arguments of a network by name. Got {sorted(options)} with a model of your own. "
            "Pass them to its constructor."
        )
    if isinstance(model, nn.Module):
        return copy.deepcopy(model)  # what the caller gave must stay as it is: clones share it
    if callable(model):
        return model(stack.channels, classes)
    raise DTypeError(
        "model is a name, a gk.nn.Module, or a function of (in_channels, num_classes). "
        f"Got {type_name(model)}. Pass for example model={next(iter(_ARCHITECTURES[kind]))!r}."
    )


def _named(name: str, kind: str, stack: ImageStack, classes: int, options: dict[str, Any]) -> nn.Module:
    known = _ARCHITECTURES[kind]
    if name not in known:
        raise unknown_name("model", name, known)
    takes = inspect.signature(known[name].__init__).parameters
    for option in options:
        if option in _GIVEN or option not in takes:
            raise unknown_name(f"option of the model {name!r}", option, [each for each in takes if each not in _GIVEN])
    given: dict[str, Any] = {}
    if "ndim" in takes:
        given["ndim"] = stack.grid.ndim
    if "size" in takes:
        if stack.size is None:
            raise InvalidArgumentError(
                f"The model {name!r} needs images of one size. Got several. Use model='cnn', which takes any sizes."
            )
        if min(stack.size) < _LEAST_SIDE:
            raise ShapeError(
                f"The model {name!r} needs images of at least {_LEAST_SIDE} x {_LEAST_SIDE}: it halves them twice and "
                f"cuts their edges. Got {' x '.join(map(str, stack.size))}. Use model='cnn', which takes any sizes."
            )
        given["size"] = stack.size
    return known[name](stack.channels, classes, **given, **options)
