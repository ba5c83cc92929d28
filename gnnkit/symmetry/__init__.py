"""Symmetry as a contract: check, assert and explain whether a function of graphs is equivariant or invariant.

Floor 3.5: knows graphs, Tensors and message programs; models are recognised by what they offer, not imported.
"""

from gnnkit.symmetry import strategies as strategies
from gnnkit.symmetry.adapters import from_estimator as from_estimator
from gnnkit.symmetry.adapters import from_torch as from_torch
from gnnkit.symmetry.checking import assert_equivariant as assert_equivariant
from gnnkit.symmetry.checking import assert_invariant as assert_invariant
from gnnkit.symmetry.checking import check as check
from gnnkit.symmetry.groups import GROUPS as GROUPS
from gnnkit.symmetry.groups import Element as Element
from gnnkit.symmetry.groups import Group as Group
from gnnkit.symmetry.report import Counterexample as Counterexample
from gnnkit.symmetry.report import Report as Report
from gnnkit.symmetry.samples import small_graphs as small_graphs
from gnnkit.symmetry.samples import small_images as small_images
from gnnkit.symmetry.subjects import Subject as Subject
