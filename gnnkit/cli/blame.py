"""Where an error of a person's own code arose: the innermost line of theirs, in a few words. Imports nothing heavy."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "purelib", "platlib")]


def where(error: BaseException) -> str:
    """`` in forward, layers.py line 12`` of the innermost line that is neither gnnkit's nor an installed package's.

    Empty if there is none: then what was typed is to blame, not their code.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f" in {Path(error.filename).name} line {error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    if not own:
        return ""
    last = own[-1]
    place = f"{Path(last.filename).name} line {last.lineno}"
    return f" in {place}" if last.name == "<module>" else f" in {last.name}, {place}"


def one_line(error: BaseException) -> str:
    """The text of an error without its last full stop, so that a sentence can go on."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text.strip().rstrip(".")


def _is_own(filename: str) -> bool:
    if filename.startswith("<"):  # importlib, generated code
        return False
    path = Path(filename).resolve()
    return not any(path.is_relative_to(folder) for folder in (PACKAGE, *INSTALLED))
