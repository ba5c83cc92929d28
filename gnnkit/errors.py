"""The exception tree of gnnkit: one sentence each on when it is raised. Imports nothing of gnnkit.

Every message is three sentences: what must hold, what came, what to do. Each class also derives from the
built-in exception a caller would expect, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GnnkitError(Exception):
    """Base of every exception that gnnkit raises on purpose."""

    def __str__(self) -> str:  # KeyError would print the repr of its argument
        return str(self.args[0]) if self.args else ""


class InvalidGraphError(GnnkitError, ValueError):
    """Raised when senders, receivers, counts or pointers do not describe a graph."""


class InvalidFeatureError(GnnkitError, ValueError):
    """Raised when the values of a feature or a label cannot be used (NaN, mixed kinds, a layer's wrong input)."""


class UnknownFieldError(GnnkitError, KeyError, AttributeError):
    """Raised when a graph has no field of the requested name."""


class ImmutableError(GnnkitError, AttributeError, TypeError):
    """Raised when something is assigned to a graph or topology, which never change."""


class ShapeError(GnnkitError, ValueError):
    """Raised when two shapes must agree and do not."""


class DTypeError(GnnkitError, TypeError):
    """Raised when an array is of a kind (integer, boolean, object) that the operation cannot take."""


class UnknownNameError(GnnkitError, ValueError):
    """Raised when a model, data set, reducer or option of that name does not exist."""


class InvalidArgumentError(GnnkitError, ValueError):
    """Raised when an argument lies outside its range."""


class GradientError(GnnkitError, RuntimeError):
    """Raised when a derivative is asked for that does not exist or that disagrees with its check."""


class ProgramError(GnnkitError, TypeError):
    """Raised when a message program does something that cannot be traced, such as an ``if`` on the value of an edge."""


class TrainingError(GnnkitError, RuntimeError):
    """Raised when training cannot go on: the loss is not finite."""


class GroupError(InvalidArgumentError):
    """Raised when a symmetry group cannot act on a graph or on a result, so that nothing would be checked."""


class SymmetryError(GnnkitError, AssertionError):
    """Raised when a function does not have the symmetry that was asserted; the text is the whole report."""


class FileFormatError(GnnkitError, ValueError):
    """Raised when a file is truncated, tampered with, or of another format."""


class FileMissingError(GnnkitError, FileNotFoundError):
    """Raised when a file that must exist does not."""


class SaveError(GnnkitError, OSError):
    """Raised when a file could not be written; nothing partial is left behind."""


class ChecksumError(GnnkitError, ValueError):
    """Raised when the content of a data file does not have the published sha256."""


class DownloadError(GnnkitError, ConnectionError):
    """Raised when a data set is neither in the cache nor reachable."""


class NotFittedError(GnnkitError, ValueError, AttributeError):
    """Raised when an estimator is asked to predict before ``fit``."""


class MissingDependencyError(GnnkitError, ImportError):
    """Raised when an optional package is needed that is not installed."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Return (not raise) the error for an unknown ``name`` of some ``kind``, with the closest known names.

    Examples
    --------
    >>> print(unknown_name("data set", "coar", ["cora", "pubmed"]))
    A data set must be one of: cora, pubmed. Got 'coar'. Did you mean 'cora'?
    """
    names = sorted(known)
    if not names:
        return UnknownNameError(f"No {kind} exists here. Got {name!r}. Leave it out, or add it first.")
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    advice = f"Did you mean {' or '.join(repr(c) for c in close)}?" if close else "Choose one of these names."
    article = "An" if kind[:1].lower() in "aeiou" else "A"
    return UnknownNameError(f"{article} {kind} must be one of: {', '.join(names)}. Got {name!r}. {advice}")


def type_name(value: object) -> str:
    """Return the name of a value's type, with the package it comes from where that is neither Python nor gnnkit.

    Examples
    --------
    >>> from fractions import Fraction
    >>> type_name(3), type_name(Fraction(1))
    ('int', 'fractions.Fraction')
    """
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package in ("builtins", "gnnkit", "__main__") else f"{package}.{kind.__name__}"


def graph_advice(value: object, otherwise: str) -> str:
    """Return what to do with a ``value`` that should have been a gk.Graph; it may be one of networkx."""
    foreign = any(kind.__module__.partition(".")[0] == "networkx" for kind in type(value).__mro__)
    return "Convert it with gk.from_networkx(G)." if foreign else otherwise


def require_package(package: str, extra: str, purpose: str) -> MissingDependencyError:
    """Return the error for a missing optional ``package`` that ``purpose`` needs (extra: ``gnnkit[extra]``)."""
    return MissingDependencyError(
        f"{purpose} needs the package {package!r}. It is not installed. Install it with: pip install 'gnnkit[{extra}]'"
    )
