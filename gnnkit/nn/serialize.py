"""Saving and loading models: one safetensors file, no pickle, no code. Imports the specification and the files helper.

The file's metadata hold the specification (class names and constructor arguments), the version, and a sha256 over
specification and tensors, so that a changed byte is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnnkit.errors import FileFormatError, GnnkitError, InvalidArgumentError
from gnnkit.files import atomic_write, read_bytes
from gnnkit.nn.module import Module, registered_classes
from gnnkit.nn.spec import build, specification

_ENTRY = "gnnkit-model"
_FORMAT_VERSION = "1"
_PLAIN = (bool, int, float, str, tuple, type(None))
_MAX_HEADER = 100_000_000  # the limit of the format itself


@dataclass(frozen=True)
class ModelFile:
    """The checked content of a model file, before anything is built from it.

    Attributes
    ----------
    spec : dict
        What :func:`gnnkit.nn.build` takes.
    tensors : dict of str to ndarray
        Parameters and buffers by name.
    settings : dict
        ``decay`` and ``requires_grad`` of the parameters where these were changed after the constructor.
    version : str
        Version of gnnkit that wrote it.
    metadata : dict
        What the caller of :func:`save_model` added.
    """

    spec: dict[str, Any]
    tensors: dict[str, np.ndarray]
    settings: dict[str, dict[str, Any]]
    version: str
    metadata: dict[str, Any]


def save_model(model: Module, path: str | os.PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a model to one safetensors file, completely or not at all.

    Parameters
    ----------
    model : Module
        Built from arguments that a file can hold (no functions).
    path
        Where; an existing file is replaced.
    metadata : mapping, optional
        Anything JSON-able to keep with it (data set, accuracy, class names).

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    SaveError
        If the file cannot be written (folder missing, disk full); nothing is left behind.
    InvalidArgumentError
        If the model could not be loaded again: an argument is a function, or sub-modules or settings (the rate of a
        dropout, say) were changed after the constructor ran. Nothing is written.

    Examples
    --------
    >>> import gnnkit as gk
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> model = gk.nn.Sequential(gk.nn.Linear(2, 3, rng=0), gk.nn.Tanh())
    >>> gk.nn.save_model(model, path).name
    'model.safetensors'
    >>> x = np.ones((1, 2), dtype="float32")
    >>> bool((gk.nn.load_model(path)(x).numpy() == model(x).numpy()).all())
    True
    """
    import safetensors.numpy

    from gnnkit import __version__

    spec_text = _json(specification(model), "model")
    twin = _check_rebuild(model, json.loads(spec_text))
    extra = _json(dict(metadata or {}), "metadata")
    tensors = {name: np.array(array, order="C") for name, array in model.state_dict().items()}
    header = {
        "format": _FORMAT_VERSION,
        "gnnkit": __version__,
        "spec": spec_text,
        "settings": json.dumps(_changed_settings(model, twin)),
        "metadata": extra,
    }
    header["sha256"] = _digest(header, tensors)
    # One entry only: the library writes several in random order, and the same model shall be the same bytes.
    entry = {_ENTRY: json.dumps(header, sort_keys=True)}
    return atomic_write(path, safetensors.numpy.save(tensors, metadata=entry))


def load_model(path: str | os.PathLike[str], classes: Iterable[type[Module]] = ()) -> Module:
    """Build the model that a file describes and give it the saved parameters, bit for bit.

    Parameters
    ----------
    path
        A file written by :func:`save_model`.
    classes
        Your own Module classes that the model uses. Nothing but these and the classes of ``gnnkit.nn`` is built.

    Returns
    -------
    Module
        In evaluation mode; call ``train()`` to go on training.

    Raises
    ------
    FileMissingError
        If there is no such file.
    FileFormatError
        If it is truncated, was changed after it was written, or is no gnnkit model.
    UnknownNameError
        If it names a class that is neither in ``gnnkit.nn`` nor in ``classes``.
    """
    content = read_model_file(path)
    model = build(content.spec, classes)
    _adopt(model, content.tensors, path)
    for name, parameter in model.named_parameters():
        changed = content.settings.get(name, {})
        parameter.decay = float(changed.get("decay", parameter.decay))
        parameter.requires_grad = bool(changed.get("requires_grad", parameter.requires_grad))
    return model.eval()


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read and check a model file without building the model.

    Raises
    ------
    FileMissingError, FileFormatError
        As :func:`load_model`.
    """
    import safetensors
    import safetensors.numpy

    data = read_bytes(path, purpose="model file")
    header = _header(data, path)
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, f"its tensors cannot be read ({error})") from error
    if _digest(header, tensors) != header.get("sha256"):
        raise _damaged(path, "its content does not have the sha256 written in it")
    try:
        spec, settings, metadata = (json.loads(header[key]) for key in ("spec", "settings", "metadata"))
    except (json.JSONDecodeError, KeyError, RecursionError) as error:
        raise _damaged(path, f"its specification cannot be read ({error})") from error
    if not isinstance(settings, dict) or not all(_are_settings(value) for value in settings.values()):
        raise _damaged(path, "its settings are not those of parameters")
    tensors = {name: np.array(array) for name, array in tensors.items()}  # own, writable memory
    version = header.get("gnnkit", "?")
    return ModelFile(spec=spec, tensors=tensors, settings=settings, version=version, metadata=metadata)


def _header(data: bytes, path: str | os.PathLike[str]) -> dict[str, str]:
    if len(data) < 8:
        raise _damaged(path, f"it has only {len(data)} bytes")
    size = int.from_bytes(data[:8], "little")
    if size > min(_MAX_HEADER, len(data) - 8):
        raise _damaged(path, "its header is longer than the file, as after a broken copy")
    try:
        parsed = json.loads(data[8 : 8 + size].decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON ({error})") from error
    entries = parsed.get("__metadata__") if isinstance(parsed, dict) else None
    if not isinstance(entries, dict) or _ENTRY not in entries:
        raise FileFormatError(
            f"A gnnkit model is a safetensors file written by gnnkit.nn.save_model. '{path}' is a safetensors file "
            "of another program. Build the model yourself and use model.load_state_dict on its tensors."
        )
    try:
        header = json.loads(entries[_ENTRY])
    except (TypeError, json.JSONDecodeError, RecursionError) as error:
        raise _damaged(path, f"its description is no JSON ({error})") from error
    if not isinstance(header, dict) or not all(isinstance(value, str) for value in header.values()):
        raise _damaged(path, "its description is not one of a model")
    if header.get("format") != _FORMAT_VERSION:
        raise FileFormatError(
            f"This gnnkit reads model files of format {_FORMAT_VERSION}. '{path}' has format "
            f"{header.get('format')}, written by gnnkit {header.get('gnnkit')}. Install that version."
        )
    return header


def _damaged(path: str | os.PathLike[str], why: str) -> FileFormatError:
    if Path(path).suffix != ".safetensors":
        return FileFormatError(
            f"A model is read from a safetensors file, as gk.nn.save_model writes it. '{path}' is not a safetensors "
            f"file: {why}. Name the file that the model was saved to, or copy it again from there."
        )
    return FileFormatError(
        f"A model file must be whole and as it was written. '{path}' is not: {why}. "
        "Copy it again from its source, or save the model again."
    )


def _digest(header: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    described = {key: header[key] for key in sorted(header) if key != "sha256"}
    described["tensors"] = json.dumps([[n, str(tensors[n].dtype), list(tensors[n].shape)] for n in sorted(tensors)])
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _are_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in ("decay", "requires_grad") and isinstance(item, int | float) for name, item in value.items()
    )


def _check_rebuild(model: Module, spec: Mapping[str, Any]) -> Module:
    # A file that cannot be loaded is worse than none: find out while the model is still in memory.
    twin = build(spec, {type(module) for module in model.modules()})
    mine, theirs = _description(model), _description(twin)
    if mine != theirs:
        changed = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        raise InvalidArgumentError(
            "A model is saved as its constructor's arguments and its tensors, so these must agree. Built from its "
            f"arguments, {type(model).__name__} differs in {', '.join(changed)}. "
            "Pass what changed as arguments, or use Sequential, which may be changed later."
        )
    return twin


def _description(model: Module) -> dict[str, Any]:
    """Names and shapes of the state, the modules, and what the layers of gnnkit were told, by dotted name."""
    found: dict[str, Any] = {name: array.shape for name, array in model.state_dict().items()}
    ours = registered_classes()
    for prefix, module in model.named_modules():
        start = f"{prefix}." if prefix else ""
        found[prefix or "."] = type(module)
        if ours.get(type(module).__name__) is type(module):  # what other classes hold may be scratch
            plain = {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN)}
            found |= {f"{start}{name}": value for name, value in plain.items() if name[0] != "_" and name != "training"}
    return found


def _changed_settings(model: Module, twin: Module) -> dict[str, dict[str, Any]]:
    # Which layers decay and which are frozen are decided after the constructor; training on must go on alike.
    built = dict(twin.named_parameters())
    changed = {
        name: {
            setting: getattr(parameter, setting)
            for setting in ("decay", "requires_grad")
            if getattr(parameter, setting) != getattr(built[name], setting)
        }
        for name, parameter in model.named_parameters()
    }
    return {name: settings for name, settings in changed.items() if settings}


def _adopt(model: Module, tensors: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    # Dtypes first (a model in float64 was saved as such), then the values, checked by name and shape.
    for name, parameter in model.named_parameters():
        if name in tensors and tensors[name].dtype != parameter.dtype:
            parameter.convert(tensors[name].dtype)
    for prefix, module in model.named_modules():
        for name in module._buffer_names:
            saved = tensors.get(f"{prefix}.{name}" if prefix else name)
            if saved is not None:
                setattr(module, name, getattr(module, name).astype(saved.dtype))
    try:
        model.load_state_dict(tensors)
    except GnnkitError as error:
        raise _damaged(path, f"its tensors do not fit its own specification ({error})") from error


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"The {what} of a model file must be JSON: numbers, strings, lists, dicts with string keys. "
            f"{error}. Convert it, for example with .tolist()."
        ) from error
