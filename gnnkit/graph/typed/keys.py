"""Keys of node types and relations, and the read-only maps of a typed graph. Knows fields and errors only."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, NoReturn, TypeVar

from gnnkit.errors import DTypeError, GnnkitError, ImmutableError, UnknownFieldError, unknown_name
from gnnkit.graph.fields import FieldMap

RelationKey = tuple[str, str, str]
Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


def as_type(name: Any) -> str:
    """Return ``name`` if it can name a node type."""
    if not isinstance(name, str) or not name:
        raise DTypeError(
            f"A node type must be named by a non-empty string. Got {name!r} of type {type(name).__name__}. Rename it."
        )
    return name


def as_relation(key: Any) -> RelationKey:
    """Return ``key`` if it can name a relation: sender type, name, receiver type."""
    if not (isinstance(key, tuple) and len(key) == 3 and all(isinstance(part, str) and part for part in key)):
        raise DTypeError(
            "A relation must be named by three non-empty strings: (sender type, name, receiver type). "
            f"Got {key!r} of type {type(key).__name__}. Write for example ('author', 'writes', 'paper')."
        )
    return key


def place(key: str | RelationKey | None) -> str:
    """How an error speaks of a node type, a relation, or (None) the globals."""
    if key is None:
        return "graph"
    return f"node type {key!r}" if isinstance(key, str) else f"relation {key!r}"


@contextmanager
def within(key: str | RelationKey | None) -> Iterator[None]:
    """Say in the text of any error of gnnkit that is raised inside which node type or relation it is about."""
    try:
        yield
    except GnnkitError as error:
        text = place(key)
        raise type(error)(f"{text[0].upper()}{text[1:]}: {error}") from error.__cause__


class TypeMap(dict[Key, T], Generic[Key, T]):
    """Read-only map from node types or relations to something; an absent key is an error that lists what exists."""

    __slots__ = ("kind",)

    def __init__(self, kind: str, values: Any) -> None:
        super().__init__(values)
        self.kind = kind

    def __missing__(self, key: Any) -> NoReturn:
        raise UnknownFieldError(str(unknown_name(self.kind, key, map(str, self))))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmutableError(
            "A TypedGraph never changes. Got an attempt to change one of its maps. "
            "Make a new graph with g.replace(...), g.select(...) or gk.typed_graph(...)."
        )

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    update = pop = popitem = clear = setdefault = _refuse  # type: ignore[assignment]

    def __copy__(self) -> TypeMap[Key, T]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return TypeMap, (self.kind, dict(self))


class TypedFields(FieldMap):
    """The fields of one node type, of one relation, or the globals; ``of`` says whose they are."""

    __slots__ = ("of",)

    def __init__(self, level: str, values: dict[str, Any], of: str | RelationKey | None = None) -> None:
        super().__init__(level, values)
        self.of = of

    def __missing__(self, name: str) -> NoReturn:
        known = ", ".join(repr(key) for key in self) or "none"
        advice = f"{{{name!r}: values}}" if self.of is None else f"{{{self.of!r}: {{{name!r}: values}}}}"
        raise UnknownFieldError(
            f"A field must exist to be read. The {place(self.of)} has no field {name!r}; it has: {known}. "
            f"Add it with g.replace({self.level}={advice})."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return TypedFields, (self.level, dict(self), self.of)


class Frozen:
    """Base of what never changes."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ImmutableError(
            f"A TypedGraph and its parts never change. Got an assignment to {name!r}. "
            "Use g.replace(...), which returns a new graph."
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise ImmutableError(
            f"A TypedGraph and its parts never change. Got a deletion of {name!r}. Use g.without(name)."
        )
