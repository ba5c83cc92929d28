"""What a person names as ``module:Name``: found in their folder, built with the arguments that they typed.

Their own code runs, as it would under ``python``; what they type as arguments is read as plain values and never run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gnnkit.errors import FileMissingError, GnnkitError, InvalidArgumentError, unknown_name

FORM = "Write for instance layers:MyConv, layers.py:MyConv or gnnkit.nn:GCNConv."


def load_target(text: str, arguments: str | None) -> Any:
    """Return the module or function that ``module:Name`` names.

    A class is built with ``arguments``. A function is called with them if there are any, or if it takes none: it makes
    what is meant. Anything else is returned as it is.
    """
    where, _, name = text.rpartition(":")
    if not where or not name:
        raise InvalidArgumentError(f"What to check is named module:Name. Got {text!r}. {FORM}")
    module = import_module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
            raise unknown_name(f"class or function of {where}", part, known)
        found = getattr(found, part)
    positional, named = read_arguments(arguments)
    if isinstance(found, type) or (callable(found) and _makes(found, bool(positional or named))):
        return _called(found, name, positional, named)
    if positional or named:
        raise InvalidArgumentError(
            f"Only a class or a function can be built. Got --args for {name}, which is ready made. Leave --args out."
        )
    return found


def import_module(where: str) -> ModuleType:
    """Import a module by its dotted name, or a file by its path, as seen from the current folder."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if where.endswith(".py"):
            return _from_file(Path(where))
        return importlib.import_module(where)
    except GnnkitError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and where.split(".")[0] == error.name.split(".")[0]:
            raise InvalidArgumentError(
                f"A module must be importable from the current folder. There is no {error.name!r}. {FORM}"
            ) from None
        raise _broken(where, error) from error
    except Exception as error:
        raise _broken(where, error) from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileMissingError(f"A file that is to be imported must exist. There is no '{path}'. {FORM}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _broken(where: str, error: Exception) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"A module must import without errors. Importing {where!r} raised {type(error).__name__}: {error}. "
        f'Look into it with: python -c "import {Path(where).stem}"'
    )


def read_arguments(text: str | None) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the named values of ``in_channels=3, out_channels=4``; only literals are read."""
    try:
        call = ast.parse(f"f({text or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        positional = [ast.literal_eval(value) for value in call.args]
        named = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg is not None}
        if len(named) != len(call.keywords):
            raise ValueError("** is not read")
    except (SyntaxError, ValueError, AssertionError) as error:
        raise InvalidArgumentError(
            f"Arguments are plain values separated by commas. Got --args {text!r} ({error}). "
            "Write for instance --args 'in_channels=3, out_channels=4', with quotes around texts: \"reducer='max'\"."
        ) from None
    return positional, named


def _makes(function: Any, arguments: bool) -> bool:
    """Whether a function is there to make what is checked, and is not that itself."""
    if not inspect.isfunction(function):
        return False
    return arguments or not inspect.signature(function).parameters


def _called(made: Any, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    try:
        return made(*positional, **named)
    except GnnkitError:
        raise
    except Exception as error:
        raise InvalidArgumentError(
            f"{name} must be built from the arguments that are given. It raised {type(error).__name__}: {error}. "
            f"Give what it needs with --args; it is {name}{_signature(made)}."
        ) from error


def _signature(made: Any) -> str:
    try:
        return str(inspect.signature(made))
    except (TypeError, ValueError):
        return "(...)"
