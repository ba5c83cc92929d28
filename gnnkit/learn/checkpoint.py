"""Checkpoints: the whole state of a training run in one safetensors file, to go on with the same bits.

A state is a tree of dicts and lists with arrays, numbers and texts as leaves. Arrays become tensors of the file, the
rest one JSON text in its header; nothing is ever executed while reading. May import nothing above errors and files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError, InvalidArgumentError
from gnnkit.files import atomic_write, read_bytes

_FORMAT = "gnnkit-checkpoint-1"


class Checkpoint:
    """Where and how often :func:`~gnnkit.learn.fit` saves its whole state.

    Parameters
    ----------
    path : str or path
        One file, replaced as a whole each time; a crash while saving leaves the previous one.
    every : int
        Epochs between two savings. It is also saved at the end and on Ctrl-C.

    Notes
    -----
    The file holds the parameters, the best parameters so far, the optimiser, the schedule, the states of all random
    generators, the stopping rule and the history. ``fit(..., checkpoint=Checkpoint(path), resume=True)`` with the same
    model, data and settings then ends with the same bits as a run that was never interrupted.

    Examples
    --------
    >>> from gnnkit.learn import Checkpoint
    >>> Checkpoint("run.safetensors", every=10)
    Checkpoint('run.safetensors', every=10)
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = 10) -> None:
        if isinstance(every, bool) or int(every) != every or every < 1:
            raise InvalidArgumentError(
                f"every is a number of epochs, at least 1. Got {every!r}. Pass for example Checkpoint(path, every=10)."
            )
        self.path, self.every = Path(path), int(every)

    def save(self, state: dict[str, Any]) -> Path:
        """Write ``state`` completely or not at all."""
        return save_tree(self.path, state)

    def load(self) -> dict[str, Any]:
        """Read the state back."""
        return load_tree(self.path)

    def exists(self) -> bool:
        """True if there is a file to resume from."""
        return self.path.is_file()

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, every={self.every})"


def save_tree(path: str | os.PathLike[str], tree: Any) -> Path:
    """Write a tree of dicts, lists, arrays, numbers and texts as one safetensors file."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    skeleton = _pack(tree, tensors, "")
    text = json.dumps(skeleton)
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    metadata = {"format": _FORMAT, "tree": text, "sha256": _digest(text, tensors)}
    return atomic_write(path, save(tensors, metadata=metadata))


def load_tree(path: str | os.PathLike[str]) -> Any:
    """Read what :func:`save_tree` wrote.

    Raises
    ------
    FileMissingError
        If there is no such file.
    FileFormatError
        If it is truncated, was changed after it was written, or is not a checkpoint.
    """
    from safetensors.numpy import load

    data = read_bytes(path, purpose="checkpoint")
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']!r}")
        if header["sha256"] != _digest(header["tree"], tensors):
            raise ValueError("its content does not have the sha256 written in it")
        return _unpack(json.loads(header["tree"]), tensors)
    except Exception as error:  # the reader raises a type of its own for each kind of damage
        raise FileFormatError(
            f"A checkpoint is a whole safetensors file written by gk.learn.Checkpoint. '{path}' is not ({error}). "
            "Delete it and start again, or take an older copy."
        ) from error


def _digest(tree: str, tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.str}".encode())
        digest.update(tensors[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _pack(node: Any, tensors: dict[str, NDArray[Any]], name: str) -> Any:
    if isinstance(node, np.ndarray):
        tensors[name] = node
        return {"$": "array", "name": name, "shape": list(node.shape)}
    if isinstance(node, dict):
        items = [[_key(key), _pack(value, tensors, f"{name}/{key}")] for key, value in node.items()]
        return {"$": "dict", "items": items}
    if isinstance(node, list | tuple):
        return [_pack(value, tensors, f"{name}/{number}") for number, value in enumerate(node)]
    if isinstance(node, np.generic):
        node = node.item()
    if isinstance(node, float) and not math.isfinite(node):
        return {"$": "float", "value": str(node)}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise InvalidArgumentError(
        f"A checkpoint holds arrays, numbers and texts in dicts and lists. Got {type(node).__name__} at '{name}'. "
        "Convert it in the state_dict of the object it belongs to."
    )


def _key(key: Any) -> Any:
    if isinstance(key, str | int) and not isinstance(key, bool):
        return key
    raise InvalidArgumentError(
        f"Keys in a checkpoint are texts or whole numbers. Got {key!r}. Convert it in the state_dict it belongs to."
    )


def _unpack(node: Any, tensors: dict[str, NDArray[Any]]) -> Any:
    if isinstance(node, list):
        return [_unpack(value, tensors) for value in node]
    if isinstance(node, dict):
        if node["$"] == "array":
            return tensors[node["name"]].reshape(node["shape"])
        if node["$"] == "float":
            return float(node["value"])
        return {key: _unpack(value, tensors) for key, value in node["items"]}
    return node
