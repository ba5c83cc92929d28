"""What a person names as ``module:Name``: found in their folder, built with the arguments that they typed.

Their own code runs, as it would under ``python``; what they type as arguments is read as plain values and never run.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gnnkit.cli.blame import one_line, where
from gnnkit.errors import FileMissingError, GnnkitError, InvalidArgumentError, UnknownNameError

SHOWN = 12  # names
READY = "gin = gk.nn.GINConv(gk.nn.MLP([3, 4])) in layers.py is checked as layers.py:gin"
FORM = "Write for instance layers:MyConv, layers.py:MyConv or gnnkit.nn:GCNConv."


def load_target(text: str, arguments: str | None, *, seed: int | None = None) -> tuple[Any, int | None]:
    """Return the module or function that ``module:Name`` names, and the channels that ``arguments`` say it takes.

    A class is built with ``arguments``, and if it is a gk.nn.Module its parameters are drawn with ``seed``. A function
    is called with them if there are any, or if it takes none: it makes what is meant. Anything else stays as it is.
    """
    found, name = find_target(text)
    positional, named = read_arguments(arguments)
    if isinstance(found, type) or (callable(found) and _makes(found, bool(positional or named))):
        made = _called(found, text, positional, named)
        if isinstance(found, type) and seed is not None:
            _draw_parameters(made, name, seed)
        return made, _typed_channels(found, positional, named)
    if positional or named:
        raise InvalidArgumentError(
            f"Only a class or a function can be built. Got --args for {name}, which is ready made. Leave --args out."
        )
    return found, None


def find_target(text: str) -> tuple[Any, str]:
    """Return what ``module:Name`` names, as it stands there, and the name."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise InvalidArgumentError(f"What to check is named module:Name. Got {text!r}. {FORM}")
    found: Any = import_module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise _no_such(place, found, part)
        found = getattr(found, part)
    return found, name


def _typed_channels(made: Any, positional: list[Any], named: dict[str, Any]) -> int | None:
    """The ``in_channels`` or ``channels`` among the arguments, by name or by place."""
    try:
        given = inspect.signature(made).bind_partial(*positional, **named).arguments
    except (TypeError, ValueError):
        return None
    return next((given[name] for name in ("in_channels", "channels") if type(given.get(name)) is int), None)


def _no_such(place: str, found: Any, name: str) -> UnknownNameError:
    known = sorted(key for key, value in vars(found).items() if callable(value) and not key.startswith("_"))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    lost = f"{place} has no class or function {name!r}."
    if close:
        return UnknownNameError(f"Did you mean {' or '.join(map(repr, close))}? {lost}")
    shown = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
    return UnknownNameError(f"{lost} There are: {shown or 'none'}.")


def import_module(place: str) -> ModuleType:
    """Import a module by its dotted name, or a file by its path, as seen from the current folder."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if place.endswith(".py") and not Path(place).is_file():
        raise FileMissingError(f"A file that is to be imported must exist. There is no '{place}'. {FORM}")
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and place.split(".")[0] == error.name.split(".")[0]:
            raise InvalidArgumentError(
                f"A module must be importable from the current folder. There is no {error.name!r}. {FORM}"
            ) from None
        raise _broken(place, error) from error
    except Exception as error:
        raise _broken(place, error) from error


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _broken(place: str, error: Exception) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"A module must import without errors. Importing {place!r} raised {type(error).__name__}{where(error)}: "
        f'{one_line(error)}. Mend it there, or look into it with: python -c "import {Path(place).stem}"'
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
    except (SyntaxError, ValueError, AssertionError):
        raise InvalidArgumentError(
            f"Arguments are plain values separated by commas. Got --args {text!r}. Write for instance --args "
            "'in_channels=3, out_channels=4', with quotes around texts: \"reducer='max'\". What takes a layer or a "
            f"function is made in a file: {READY}."
        ) from None
    return positional, named


def _makes(function: Any, arguments: bool) -> bool:
    """Whether a function is there to make what is checked, and is not that itself."""
    if not inspect.isfunction(function):
        return False
    return arguments or not inspect.signature(function).parameters


def _called(made: Any, text: str, positional: list[Any], named: dict[str, Any]) -> Any:
    name = text.rpartition(":")[2]
    try:
        return made(*positional, **named)
    except Exception as error:
        if isinstance(error, GnnkitError) and not where(error):
            raise
        raise InvalidArgumentError(
            f"{name} must be built from the arguments that are given. It raised {type(error).__name__}{where(error)}: "
            f"{one_line(error)}. Give what it needs with --args; it is {name}{_signature(made)}. Where it takes a layer"
            f" or a function, make it in a file: {READY}."
        ) from error


def _draw_parameters(made: Any, name: str, seed: int) -> None:
    from gnnkit.nn.module import Module

    if not isinstance(made, Module) or type(made).reset_parameters is not Module.reset_parameters:
        return
    try:
        made.reset_parameters(seed)
    except Exception as error:
        raise InvalidArgumentError(
            f"The parameters of a class are drawn with --seed. {name}.reset_parameters({seed}) raised "
            f"{type(error).__name__}{where(error)}: {one_line(error)}. Mend it there, or check an instance."
        ) from error


def _signature(made: Any) -> str:
    """The signature without annotations, which say more about typing than about what to type."""
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):
        return "(...)"
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(inspect.Signature(bare))
