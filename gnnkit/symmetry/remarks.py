"""What a reader of a report must know besides: values that compare as nothing, and warnings of numpy on the way."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SHOWN = 4  # different warnings that are quoted


@dataclass(frozen=True)
class Blanks:
    """How many places of some values say nothing, as both sides hold NaN or the same infinity there."""

    nan: int = 0
    infinite: int = 0
    places: int = 0

    def __add__(self, other: Blanks) -> Blanks:
        return Blanks(self.nan + other.nan, self.infinite + other.infinite, self.places + other.places)

    def describe(self, what: str) -> list[str]:
        """A sentence for each kind of value, none where there is nothing to say."""
        found = []
        if self.nan:
            at = f"at {self.nan} of {self.places} places on both sides"
            found.append(f"{what} holds NaN {at}; nothing is compared there")
        if self.infinite:
            at = f"at {self.infinite} of {self.places} places on both sides"
            found.append(f"{what} holds infinity {at}; only its sign is compared there")
        return found


def blanks(expected: np.ndarray, got: np.ndarray, valid: np.ndarray | None = None) -> Blanks:
    """Count them; with ``valid`` in these rows only. Arrays of different shapes have none."""
    if expected.shape != got.shape:
        return Blanks()
    if valid is not None:
        expected, got = expected[valid], got[valid]
    if expected.dtype.kind not in "fc" or got.dtype.kind not in "fc" or np.isfinite(got).all():
        return Blanks(places=got.size)
    nan = np.isnan(expected) & np.isnan(got)
    return Blanks(int(nan.sum()), int((np.isinf(got) & (expected == got)).sum()), got.size)


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Collect the texts of RuntimeWarnings, each once, in place of showing them; other warnings come as ever."""
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        show = warnings.showwarning

        def collect(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
            if not issubclass(category, RuntimeWarning):
                show(message, category, *rest, **options)
            elif str(message) not in found:
                found.append(str(message))

        warnings.showwarning = collect
        yield found


def warned(texts: list[str]) -> list[str]:
    """The warnings in a sentence; none where there were none."""
    if not texts:
        return []
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return [f"warnings came while it ran, and are not shown again: {'; '.join(texts[:SHOWN])}{more}"]
