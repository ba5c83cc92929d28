"""Curves over layers and over distance, and colours that keep their meaning over several pictures."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError

pytest.importorskip("matplotlib")

PNG = b"\x89PNG"


def average(graph):
    return graph.replace(x=(graph.x + gk.message.neighbour_sum(graph.topology, graph.x)) / 3)


def test_energies_are_drawn_over_the_layers(tmp_path):
    ring = gk.cycle(5).replace(x=np.eye(5))
    short, long = gk.symmetry.energies([average] * 3, ring), gk.symmetry.energies([average] * 6, ring)
    figure = gk.plot.energies({"three": short, "six": long}, tmp_path / "energy.png")
    assert (tmp_path / "energy.png").read_bytes().startswith(PNG)
    (axis,) = figure.axes
    assert axis.get_yscale() == "log" and axis.get_xlabel() == "layer" and axis.get_ylabel() == "energy"
    for line, curve in zip(axis.lines, (short, long)):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(curve)))
        np.testing.assert_array_equal(line.get_ydata(), curve.values)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["three", "six"]
    relative = gk.symmetry.energies([average], ring, relative=True)
    assert "squared size" in gk.plot.energies(relative).axes[0].get_ylabel()


def test_an_energy_of_zero_ends_the_line():
    ring = gk.cycle(4).replace(x=np.eye(4))
    gone = gk.symmetry.energies([lambda g: g.replace(x=g.x * 0)], ring)
    assert np.isnan(gk.plot.energies(gone).axes[0].lines[0].get_ydata()).tolist() == [False, True]


def test_influence_is_drawn_over_the_distance(tmp_path):
    path = gk.path(4).replace(x=np.ones((4, 1)))
    found = gk.symmetry.influence(lambda g: average(average(g)), path, 0)
    figure = gk.plot.influence({"path": found, "again": found}, tmp_path / "influence.svg")
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_ydata()[:3], [1.0, 1.0, 0.5])
    assert np.isnan(axis.lines[0].get_ydata()[3])  # not felt at all
    assert axis.get_xlabel() == "distance" and axis.get_yscale() == "log"
    nothing = gk.symmetry.influence(lambda g: np.ones((4, 1)), path, 0)
    assert np.isnan(gk.plot.influence(nothing).axes[0].lines[0].get_ydata()).all()


def test_there_must_be_a_curve():
    with pytest.raises(InvalidArgumentError, match=r"at least one curve, each a Energies\. Got dict"):
        gk.plot.energies({})
    with pytest.raises(InvalidArgumentError, match=r"each a Influence\. Got list.*gk\.symmetry\.influence"):
        gk.plot.influence([1.0])


def colours(figure) -> list[tuple[float, ...]]:
    drawn = [c for c in figure.axes[0].collections if hasattr(c, "get_sizes")]
    return [tuple(c.get_facecolor()[0].round(3)) for c in drawn]


def test_a_class_has_one_colour_in_several_pictures():
    names = ["a", "b", "c"]
    whole = gk.plot.draw_graph(gk.path(3), color=[0, 1, 2], class_names=names)
    part = gk.plot.draw_graph(gk.path(3), color=[2, 2, 1], class_names=names)
    assert colours(part) == colours(whole)[1:]
    assert [text.get_text() for text in part.axes[0].get_legend().get_texts()] == ["b (1)", "c (2)"]
