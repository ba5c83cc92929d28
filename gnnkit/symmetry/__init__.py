"""Symmetry as a contract: check, assert and explain whether a function of graphs is equivariant or invariant.

- Checks: ``check`` returns a ``Report``, ``assert_equivariant`` and ``assert_invariant`` raise; ``GROUPS`` by name;
  ``check_rule`` for a rule over a list of neighbours.
- Models of other libraries: ``from_estimator``, ``from_torch``.
- Graphs to check on: ``small_graphs``, ``small_images``; ``strategies.graphs`` for hypothesis.
- What networks can tell apart: ``colour_refinement``, ``wl_equivalent``, ``wl_level``, ``distinguishes``, and classic
  ``pairs`` that look alike.
- How far they see: ``receptive_field``, ``influence``. What depth does: ``energies``, ``dirichlet_energy``,
  ``mean_average_distance``.

Layers say what they promise in ``layer.symmetry``; ``gk.nn.check_declared`` holds them to it. Floor 3.5: knows graphs,
Tensors and message programs; models are recognised by what they offer, not imported.
"""

from typing import Any

from gnnkit.symmetry import pairs as pairs
from gnnkit.symmetry import strategies as strategies
from gnnkit.symmetry.adapters import from_estimator as from_estimator
from gnnkit.symmetry.adapters import from_torch as from_torch
from gnnkit.symmetry.checking import assert_equivariant as assert_equivariant
from gnnkit.symmetry.checking import assert_invariant as assert_invariant
from gnnkit.symmetry.checking import check as check
from gnnkit.symmetry.distinguish import Distinction as Distinction
from gnnkit.symmetry.distinguish import distinguishes as distinguishes
from gnnkit.symmetry.groups import GROUPS as GROUPS
from gnnkit.symmetry.groups import Element as Element
from gnnkit.symmetry.groups import Group as Group
from gnnkit.symmetry.reach import Influence as Influence
from gnnkit.symmetry.reach import influence as influence
from gnnkit.symmetry.reach import receptive_field as receptive_field
from gnnkit.symmetry.refinement import ColourRefinement as ColourRefinement
from gnnkit.symmetry.refinement import colour_refinement as colour_refinement
from gnnkit.symmetry.report import Counterexample as Counterexample
from gnnkit.symmetry.report import Report as Report
from gnnkit.symmetry.rule_report import Finding as Finding
from gnnkit.symmetry.rule_report import RuleReport as RuleReport
from gnnkit.symmetry.rules import check_rule as check_rule
from gnnkit.symmetry.samples import small_graphs as small_graphs
from gnnkit.symmetry.samples import small_images as small_images
from gnnkit.symmetry.smoothing import Energies as Energies
from gnnkit.symmetry.smoothing import dirichlet_energy as dirichlet_energy
from gnnkit.symmetry.smoothing import energies as energies
from gnnkit.symmetry.smoothing import mean_average_distance as mean_average_distance
from gnnkit.symmetry.subjects import Subject as Subject
from gnnkit.symmetry.tuples import wl_equivalent as wl_equivalent
from gnnkit.symmetry.tuples import wl_level as wl_level


def __getattr__(name: str) -> Any:
    if name == "check_declared":
        raise AttributeError("check_declared knows layers. Call gk.nn.check_declared(module).")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from types import ModuleType

    modules = {name for name, value in globals().items() if isinstance(value, ModuleType)} - {"pairs", "strategies"}
    return sorted(name for name in globals() if name not in modules and not name.startswith("_"))
