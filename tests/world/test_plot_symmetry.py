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


def test_a_batch_and_a_motion_say_what_changes():
    def centred(g):
        return g.x - g.x.mean(axis=0)

    graphs = [gk.path(2).replace(x=np.array([[0.0], [1.0]]))]
    union = gk.symmetry.check(centred, graphs, group=("union", {"empty": False}), output="nodes")
    written = texts(gk.plot.counterexample(union))
    assert "each alone: f must become" in written and "as one batch: f is" in written and "moved graph" not in written
    placed = graphs[0].replace(nodes={"pos": np.array([[1.0, 2.0], [3.0, 4.0]])})
    moved = gk.symmetry.check(
        lambda g: g.nodes["pos"][:, :1], placed, group="shift", expect="invariant", output="nodes", shrink=False
    )
    left, right = (axis.texts[-1].get_text() for axis in gk.plot.counterexample(moved).axes)
    assert "node 0: pos = [1 2]\nnode 1: pos = [3 4]" in left and "node 0: pos = [" in right and left != right


def boxes(figure):
    """What is written at the nodes, where it lies."""
    figure.canvas.draw()
    return [[t.get_window_extent() for t in axis.texts if t.get_text().startswith("x = ")] for axis in figure.axes]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_values_do_not_touch(n):
    g = gk.cycle(n) if n > 2 else gk.path(n)
    g = g.replace(x=np.random.default_rng(0).normal(size=(n, 1)))
    report = gk.symmetry.check(
        lambda g: g.x * (g.num_graphs == 1), g, group=("union", {"empty": False}), output="nodes", shrink=n > 5
    )
    figures = [gk.plot.counterexample(report)]
    if n > 2:
        renamed = gk.symmetry.check(lambda g: g.x * np.arange(g.num_nodes)[:, None], g, output="nodes", shrink=False)
        figures.append(gk.plot.counterexample(renamed))
        assert [len(panel) for panel in boxes(figures[-1])] == [n, n]
    for panel in (panel for figure in figures for panel in boxes(figure)):
        assert not any(a.overlaps(b) for i, a in enumerate(panel) for b in panel[:i])


def test_long_values_stand_below():
    g = gk.path(3).replace(x=np.arange(12.0).reshape(3, 4))
    report = gk.symmetry.check(lambda g: g.x * np.arange(g.num_nodes)[:, None], g, output="nodes", shrink=False)
    written = texts(gk.plot.counterexample(report))
    assert "node 0: x = [0 1 2 3]\nnode 1: x = [4 5 6 7]\nnode 2: x = [8 9 10 11]" in written


def test_nothing_to_draw():
    report = gk.symmetry.check(gk.nn.ReLU(), gk.path(3).replace(x=[[1.0], [2.0], [3.0]]))
    with pytest.raises(InvalidArgumentError, match=r"Got a report that passed\. Pass report\.counterexample"):
        gk.plot.counterexample(report)
    with pytest.raises(InvalidArgumentError, match=r"Got int"):
        gk.plot.counterexample(3)
