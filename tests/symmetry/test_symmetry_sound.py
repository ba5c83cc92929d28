"""Layers that have a symmetry are not flagged. More cases, and a table: ``tests/bench/bench_symmetry.py``."""

from __future__ import annotations

import pytest
import sound_functions


@pytest.mark.parametrize("name", sound_functions.SOUND)
def test_a_sound_layer_is_not_flagged(name):
    report = sound_functions.SOUND[name].check(cases=25)
    assert report.passed, str(report)
    assert report.cases == 25
    assert report.max_error <= 1e-12
    compared = report.gradients == "gradients were compared too"
    assert compared != ("numpy" in name), report.gradients  # only plain numpy has no gradients here
