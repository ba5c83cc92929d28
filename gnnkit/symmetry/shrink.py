"""Making a counterexample small, and drawing graphs from a strategy. hypothesis is imported inside, and is optional."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gnnkit.symmetry.case import Settings
from gnnkit.symmetry.groups.base import Group
from gnnkit.symmetry.report import Counterexample


def drawn(strategy: Any, cases: int) -> list[Any]:
    raise NotImplementedError


def shrunk(found: Counterexample, group: Group, settings: Settings, seed: int) -> Counterexample:
    """A smaller counterexample of the same kind, or ``found`` if there is none."""
    return replace(found, note="")
