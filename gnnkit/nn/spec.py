"""From a module to its specification (JSON-able) and back. Imports the module base only; runs no code from a file.

A specification holds class names and constructor arguments. Only classes of ``gnnkit.nn`` and those the caller passes
can be built from one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gnnkit.errors import FileFormatError, GnnkitError, InvalidArgumentError, UnknownNameError, unknown_name
from gnnkit.nn.module import Module, registered_classes

_SKIPPED = frozenset({"self", "rng"})  # the state that an rng drew is saved as tensors, not as a seed
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def bound_arguments(module: Module) -> dict[str, Any]:
    """Return the constructor's arguments of ``module`` by name, defaults filled in, ``rng`` left out."""
    positional, keywords = module._arguments
    signature = inspect.signature(type(module).__init__)
    bound = signature.bind(module, *positional, **keywords)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        elif name not in _SKIPPED and not (kind is inspect.Parameter.VAR_POSITIONAL and not value):
            found[name] = value
    if "dtype" in found and next(module.parameters(), None) is not None:
        found["dtype"] = str(module.dtype)  # what astype() made of it since
    return found


def shown_arguments(module: Module) -> str:
    """Return the arguments that differ from their defaults, as one would type them."""
    parameters = inspect.signature(type(module).__init__).parameters
    shown = []
    for name, value in module.arguments().items():
        known = parameters.get(name)
        if known is not None and known.default is inspect.Parameter.empty and known.kind in _POSITIONAL:
            shown.append(repr(value))
        elif known is None or not _same(known.default, value):
            shown.append(f"{name}={value!r}")
    return ", ".join(shown)


def specification(module: Module) -> dict[str, Any]:
    """Return the JSON-able specification of ``module``: its class and constructor arguments, nested.

    Raises
    ------
    InvalidArgumentError
        If an argument is something that a file cannot hold (a function, an open file).
    """
    return _encode_module(module, {})


def build(spec: Mapping[str, Any], classes: Iterable[type[Module]] = ()) -> Module:
    """Build the module that a specification describes, with freshly drawn parameters.

    Parameters
    ----------
    spec
        What :meth:`Module.config` returned, also after a trip through JSON.
    classes
        Your own Module classes that it mentions. Nothing else than these and ``gnnkit.nn`` is ever built.

    Raises
    ------
    UnknownNameError
        If it names a class that is neither in ``gnnkit.nn`` nor in ``classes``.
    FileFormatError
        If it is no specification, or a class does not take its arguments.

    Examples
    --------
    >>> import gnnkit as gk
    >>> model = gk.nn.Sequential(gk.nn.Linear(4, 8), gk.nn.ELU())
    >>> gk.nn.build(model.config())
    Sequential(
      (0): Linear(4, 8)
      (1): ELU()
    )
    """
    own = {cls.__name__: cls for cls in classes}
    return _build_module(spec, own, [])


def _encode_module(module: Module, seen: dict[int, int]) -> dict[str, Any]:
    if id(module) in seen:
        return {"shared": seen[id(module)]}
    seen[id(module)] = len(seen)
    cls = type(module)
    custom = registered_classes().get(cls.__name__) is not cls
    spec: dict[str, Any] = {"class": cls.__name__}
    if custom:
        spec["custom"] = True
    spec["arguments"] = {
        name: _encode(value, f"argument {name!r} of {cls.__name__}", seen) for name, value in module.arguments().items()
    }
    return spec


def _encode(value: Any, where: str, seen: dict[int, int]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Module):
        return _encode_module(value, seen)
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, where, seen) for item in value]}
    if isinstance(value, list):
        return [_encode(item, where, seen) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encode(item, where, seen) for key, item in value.items()}}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return str(np.dtype(value))
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": value.tolist(), "dtype": str(value.dtype), "shape": list(value.shape)}
    raise InvalidArgumentError(
        f"The specification of a model holds numbers, strings, lists and modules. The {where} is a "
        f"{type(value).__name__}. Write a Module subclass that makes it, and pass that class when you load the model."
    )


def _build_module(spec: Any, own: Mapping[str, type[Module]], built: list[Module | None]) -> Module:
    if isinstance(spec, Mapping) and set(spec) == {"shared"}:
        return _shared(spec["shared"], built)
    if not (isinstance(spec, Mapping) and isinstance(spec.get("arguments"), Mapping) and "class" in spec):
        raise FileFormatError(
            f"A specification has a class and its arguments. Got {str(spec)[:80]}. Use what Module.config() returned."
        )
    cls = _find_class(spec["class"], bool(spec.get("custom")), own)
    position = len(built)
    built.append(None)  # numbered outer before inner, as when it was written
    arguments = {name: _decode(value, own, built) for name, value in spec["arguments"].items()}
    built[position] = module = _construct(cls, arguments)
    return module


def _shared(position: Any, built: list[Module | None]) -> Module:
    module = built[position] if isinstance(position, int) and 0 <= position < len(built) else None
    if module is None:
        raise FileFormatError(
            f"A shared module must have been described before. Got a reference to number {position!r} of "
            f"{len(built)}. The specification is damaged: use what Module.config() returned."
        )
    return module


def _find_class(name: Any, custom: bool, own: Mapping[str, type[Module]]) -> type[Module]:
    known = own if custom else registered_classes()
    if name in known:
        return known[name]
    if custom:
        raise UnknownNameError(
            f"A class that is not part of gnnkit must be passed by you. The specification names {name!r} and "
            f"classes=[{', '.join(own)}] were given. Import it and pass classes=[{name}]."
        )
    raise unknown_name("module class", name, known)


def _decode(value: Any, own: Mapping[str, type[Module]], built: list[Module | None]) -> Any:
    if isinstance(value, list):
        return [_decode(item, own, built) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "tuple" in value:
        return tuple(_decode(item, own, built) for item in value["tuple"])
    if "dict" in value:
        return {key: _decode(item, own, built) for key, item in value["dict"].items()}
    if "array" in value:
        return np.array(value["array"], dtype=value["dtype"]).reshape(value["shape"])
    return _build_module(value, own, built)


def _construct(cls: type[Module], arguments: dict[str, Any]) -> Module:
    positional: list[Any] = []
    keywords = dict(arguments)
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if parameter.kind in _POSITIONAL and name in keywords:
            positional.append(keywords.pop(name))
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional.extend(keywords.pop(name, ()))
    try:
        return cls(*positional, **keywords)
    except GnnkitError:
        raise
    except Exception as error:
        raise FileFormatError(
            f"A specification must fit the constructor of its class. {cls.__name__} was given "
            f"{', '.join(arguments) or 'nothing'} and answered: {error}. Check that the versions of the code agree."
        ) from error


def _same(default: Any, value: Any) -> bool:
    if isinstance(default, type) and issubclass(default, np.generic):
        return np.dtype(default) == value
    return default is value or (type(default) is type(value) and bool(np.all(default == value)))
