"""The picture of a counterexample: both graphs, the marked node, both values."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError

pytest.importorskip("matplotlib")


def texts(figure) -> str:
    found = [t.get_text() for axis in figure.axes for t in axis.texts]
    found += [axis.get_title(loc="left") for axis in figure.axes]
    return "\n".join([*found, figure.get_suptitle()])


def test_a_counterexample_on_nodes(tmp_path):
    g = gk.path(4).replace(x=np.array([[1.0], [2.0], [3.0], [4.0]]))
    report = gk.symmetry.check(lambda g: g.x * np.arange(g.num_nodes)[:, None], g, output="nodes")
    figure = gk.plot.counterexample(report, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    written = texts(figure)
    assert len(figure.axes) == 2 and "moved graph" in written
    assert "nodes 0 -> 1, 1 -> 0" in written and "edges: none" in written
    assert "f must become 0" in written or "f must become 1" in written
    assert gk.plot.counterexample(report.counterexample).axes


def test_gradients_images_errors_and_graphs_without_nodes():
    conv = gk.nn.Conv2d(1, 1, 3, rng=0)
    image = gk.from_image(np.random.default_rng(0).normal(size=(4, 4, 1)))
    written = texts(gk.plot.counterexample(gk.symmetry.check(conv, image, group="torus")))
    assert "image: Grid(" in written and "images shifted by" in written
    readout = gk.symmetry.check(
        lambda g: g.x[: g.num_graphs - 1], gk.path(2).replace(x=[[1.0], [2.0]]), group="union", output="globals"
    )
    assert "the result must have one row per graph" in texts(gk.plot.counterexample(readout))


def test_nothing_to_draw():
    report = gk.symmetry.check(gk.nn.ReLU(), gk.path(3).replace(x=[[1.0], [2.0], [3.0]]))
    with pytest.raises(InvalidArgumentError, match=r"Got a report that passed\. Pass report\.counterexample"):
        gk.plot.counterexample(report)
    with pytest.raises(InvalidArgumentError, match=r"Got int"):
        gk.plot.counterexample(3)
