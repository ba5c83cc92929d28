"""Reading one image: arrays, Tensors, PIL images and files, as floats. PIL is imported only for files."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from gnnkit.errors import DTypeError, FileFormatError, FileMissingError, require_package
from gnnkit.graph.fields import is_tensor, raw

# Modes of PIL whose numbers are not channel values of their own: a palette, or other colour spaces.
_CONVERTED = {"P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}


def read_image(value: Any) -> Any:
    """Return an image as a float array (or Tensor), uint8 in [0, 1], booleans as 0 and 1."""
    if type(value) is np.ndarray and value.dtype.kind == "f":
        return value
    if is_tensor(value):
        return value if value.dtype.kind == "f" else _as_float(raw(value))
    if isinstance(value, (str, os.PathLike)):
        value = _open(value)
    elif _is_pil(value):
        value = _from_pil(value)
    return _as_float(value)


def is_foreign(value: Any) -> bool:
    """Whether ``value`` is a path or an image of PIL rather than an array."""
    return isinstance(value, (str, os.PathLike)) or _is_pil(value)


def _as_float(value: Any) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            "An image must be a plain array. Got a masked array, whose mask would be lost. "
            "Pass its data as image and ~image.mask as mask=, True where a pixel exists."
        )
    array = np.asarray(value)
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if array.dtype.kind == "b":
        return array.astype(np.float32)
    if array.dtype.kind == "f":
        return array
    kind = f"dtype {array.dtype}" if array.dtype.kind in "iuc" else f"{type(value).__name__} of dtype {array.dtype}"
    raise DTypeError(
        f"An image must hold floats, uint8 (0 to 255) or booleans. Got {kind}, whose range is not known. "
        "Convert it, for instance with image.astype('float32') / largest_value."
    )


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # whoever has such an image has imported it
    return module is not None and isinstance(value, module.Image)


def _from_pil(image: Any) -> np.ndarray:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in _CONVERTED:
        image = image.convert(_CONVERTED[image.mode])
    return np.asarray(image)


def _open(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise require_package("pillow", "image", "Reading an image file") from None
    if not os.path.isfile(path):
        raise FileMissingError(
            f"An image file must exist. There is no file {os.fspath(path)!r}. Check the path, or pass an array."
        )
    try:
        with Image.open(path) as image:
            return _from_pil(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as reason:
        raise FileFormatError(
            f"An image file must be whole and of a format that PIL reads. {os.fspath(path)!r} is not: {reason}. "
            "Save it again, for instance as PNG."
        ) from reason
