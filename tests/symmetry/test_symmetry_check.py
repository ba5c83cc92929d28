"""`check` on functions whose symmetry is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk


def small(rng, nodes=6, edges=12):
    return gk.from_edges(
        rng.integers(0, nodes, edges), rng.integers(0, nodes, edges), num_nodes=nodes, x=rng.normal(size=(nodes, 3))
    )


@pytest.mark.parametrize("group", ["nodes", "edges", "union"])
def test_a_convolution_passes(rng, group):
    report = gk.symmetry.check(gk.nn.GCNConv(3, 2, rng=0), small(rng), group=group)
    assert report.passed and report.cases == 20
    assert "gradient of parameter weight" in report.errors
    assert report.max_error < 1e-12


def test_a_direction_matters_to_a_convolution(rng):
    assert not gk.symmetry.check(gk.nn.GCNConv(3, 2, rng=0), small(rng), group="reversal").passed


def test_position_in_the_list_of_nodes_is_no_feature(rng):
    with pytest.raises(gk.errors.SymmetryError, match="not equivariant under 'nodes'"):
        gk.symmetry.assert_equivariant(lambda g: g.x * np.arange(g.num_nodes)[:, None], small(rng), output="nodes")
