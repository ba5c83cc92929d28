"""Pictures: what is drawn, what is refused, and that nothing global is touched."""

from __future__ import annotations

import sys

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import (
    InvalidArgumentError,
    InvalidFeatureError,
    MissingDependencyError,
    ShapeError,
    UnknownNameError,
)
from gnnkit.learn import History
from gnnkit.plot.layered import layered_layout

pytest.importorskip("matplotlib")

PNG = b"\x89PNG"


def history(epochs: int = 5) -> History:
    record = History()
    for e in range(epochs):
        record.append({"train_loss": 1.0 / (e + 1), "val_loss": 1.2 / (e + 1), "val_accuracy": 0.1 * e, "seconds": 0.1})
    record.best_epoch = epochs - 1
    return record


def karate() -> tuple[gk.Graph, list[str]]:
    club = nx.karate_club_graph()
    a, b = np.array(club.edges).T
    return gk.from_edges(a, b, num_nodes=34, undirected=True), [club.nodes[i]["club"] for i in club]


def texts(figure) -> str:
    found = [t.get_text() for axis in figure.axes for t in axis.texts]
    for axis in figure.axes:
        found += [axis.get_title(), axis.get_title(loc="left"), axis.get_xlabel()]
        legend = axis.get_legend()
        found += [t.get_text() for t in legend.get_texts()] if legend else []
    return "\n".join(found)


def points(figure) -> int:
    return sum(len(c.get_offsets()) for axis in figure.axes for c in axis.collections if hasattr(c, "get_sizes"))


def test_training_curve_draws_every_set_and_the_best_epoch(tmp_path):
    figure = gk.plot.training_curve(history(), tmp_path / "curve.png", title="GCN")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)
    assert len(figure.axes) == 2 and "best epoch 5: 0.400" in texts(figure)
    assert {"training", "validation"} <= set(texts(figure).split("\n"))
    assert len(gk.plot.training_curve(history(1)).axes) == 2
    with pytest.raises(InvalidArgumentError, match="at least one epoch"):
        gk.plot.training_curve(History())


def test_training_curve_of_a_column_without_numbers_and_a_title_with_dollars(tmp_path):
    never = History()
    never.append({"train_loss": 1.0, "val_loss": float("nan")})
    gk.plot.training_curve(never, tmp_path / "curve.png", title=r"gcn on a$\b$.graphml")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_formats_by_ending(tmp_path, ending):
    gk.plot.training_curve(history(), tmp_path / f"curve.{ending}")
    assert [p.name for p in tmp_path.iterdir()] == [f"curve.{ending}"]


def test_unknown_ending_writes_nothing(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"Got the ending '.doc'"):
        gk.plot.training_curve(history(), tmp_path / "curve.doc")
    assert list(tmp_path.iterdir()) == []


def test_graph_with_classes_has_a_legend_with_counts(tmp_path):
    g, club = karate()
    figure = gk.plot.draw_graph(g, tmp_path / "karate.png", color=club, highlight=np.arange(34) == 0, title="Karate")
    assert (tmp_path / "karate.png").read_bytes().startswith(PNG)
    assert "Mr. Hi (17)" in texts(figure) and "Officer (17)" in texts(figure) and "Karate" in texts(figure)
    assert points(figure) == 34


def test_values_get_a_scale():
    g, _ = karate()
    assert len(gk.plot.draw_graph(g, color=np.linspace(0, 1, 34)).axes) == 2


@pytest.mark.parametrize("layout", ["spring", "kamada_kawai", "circular", "spectral", "shell", "auto"])
def test_layouts(layout):
    g, _ = karate()
    assert points(gk.plot.draw_graph(g, layout=layout)) == 34


def test_own_positions_and_own_layouts():
    g = gk.path(3)
    figure = gk.plot.draw_graph(g, layout=np.array([[0, 0], [1, 0], [2, 0.0]]))
    assert points(figure) == 3
    assert points(gk.plot.draw_graph(g, layout=nx.circular_layout)) == 3
    with pytest.raises(ShapeError, match=r"Positions have shape \(3, 2\). Got \(2, 2\)"):
        gk.plot.draw_graph(g, layout=np.zeros((2, 2)))
    with pytest.raises(UnknownNameError, match="Did you mean 'spring'"):
        gk.plot.draw_graph(g, layout="sprung")


def test_large_graphs_are_cut_with_a_note():
    g = gk.star(50)
    figure = gk.plot.draw_graph(g, max_nodes=20, color=np.arange(50) % 3)
    assert "20 of 50 nodes" in texts(figure) and points(figure) == 20


def test_directed_graphs_get_arrows():
    g = gk.from_edges([0, 1], [1, 2], num_nodes=3)
    assert len(gk.plot.draw_graph(g).axes[0].patches) == 2
    both = gk.from_edges([0, 1], [1, 2], num_nodes=3, undirected=True)
    assert len(gk.plot.draw_graph(both).axes[0].patches) == 0


def test_small_and_odd_graphs():
    assert "no nodes" in texts(gk.plot.draw_graph(gk.empty(0)))
    assert points(gk.plot.draw_graph(gk.empty(1))) == 1
    assert points(gk.plot.draw_graph(gk.from_edges([0, 0], [0, 0], num_nodes=2))) == 2
    assert points(gk.plot.draw_graph(gk.batch([gk.path(2), gk.cycle(3)]))) == 5


def test_many_classes_differ_in_shape_too():
    figure = gk.plot.draw_graph(gk.empty(20), color=np.arange(20))
    assert len({tuple(c.get_paths()[0].vertices.ravel()) for c in figure.axes[0].collections}) >= 3


def test_names_with_dollars_are_not_formulas(tmp_path):
    odd = [r"$\x$", "$5 to $10"]
    gk.plot.draw_graph(gk.path(2), tmp_path / "a.png", color=[0, 1], labels=odd, class_names=odd, title=odd[0])
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_labels_and_layouts_that_leave_nodes_out():
    with pytest.raises(ShapeError, match=r"one text for each of the 3 nodes. Got 1"):
        gk.plot.draw_graph(gk.path(3), labels=["a"])
    with pytest.raises(InvalidArgumentError, match="Got none for node 1"):
        gk.plot.draw_graph(gk.path(2), layout=lambda drawn: {0: (0.0, 0.0)})


def test_colours_of_the_wrong_shape():
    with pytest.raises(ShapeError, match=r"color has one entry for each of the 3 nodes. Got shape \(2,\)"):
        gk.plot.draw_graph(gk.path(3), color=[0, 1])


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_embedding_map(tmp_path, rng, method):
    y = np.repeat([0, 1, 2], 20)
    z = rng.normal(size=(60, 5)) + 6 * np.eye(5)[y]
    figure = gk.plot.embedding_map(z, y, method=method, path=tmp_path / "z.png", class_names=["a", "b", "c"])
    assert points(figure) == 60 and "a (20)" in texts(figure)
    assert (tmp_path / "z.png").read_bytes().startswith(PNG)


def test_embedding_map_limits_and_refusals(rng):
    z = rng.normal(size=(50, 3))
    assert "20 of 50 rows" in texts(gk.plot.embedding_map(z, z[:, 0], method="pca", max_points=20))
    assert points(gk.plot.embedding_map(z[:1], method="pca")) == 1
    assert points(gk.plot.embedding_map(gk.tensor(z[:3, :1]), method="tsne")) == 3
    z[7, 1] = np.nan
    with pytest.raises(InvalidFeatureError, match="Row 7 is not"):
        gk.plot.embedding_map(z)
    with pytest.raises(ShapeError, match="one row of channels per point"):
        gk.plot.embedding_map(z[0])
    with pytest.raises(UnknownNameError, match="Did you mean 'tsne'"):
        gk.plot.embedding_map(z[:3], method="t-sne")


def test_principal_components_are_those_of_scikit_learn(rng):
    decomposition = pytest.importorskip("sklearn.decomposition")
    from gnnkit.plot.embeddings import project

    z = rng.normal(size=(30, 4)) * [5, 3, 1, 1]
    ours, first, _ = project(z, method="pca")
    pca = decomposition.PCA(2).fit(z)
    assert np.allclose(np.abs(ours), np.abs(pca.transform(z)))
    assert f"{pca.explained_variance_ratio_[0]:.0%}" in first


def test_tape_of_the_textbook_function(tmp_path):
    t, a, b = (gk.Tensor(v, requires_grad=True, name=n) for v, n in ((2.0, "t"), (1.0, "x1"), (3.0, "x2")))
    f = np.sin(t * a + b) + t * b**2
    figure = gk.plot.draw_tape(f, tmp_path / "tape.png")
    shown = texts(figure)
    assert "adjoint 9.284" in shown  # df/dt = x1 cos(t x1 + x2) + x2^2
    assert "adjoint 12.28" in shown  # df/dx2 = cos(t x1 + x2) + 2 t x2
    assert len(figure.axes[0].patches) == len(gk.tape(f).nodes) + 10  # boxes and arrows
    assert "the last 3 of" in texts(gk.plot.draw_tape(gk.tape(f), max_nodes=3))


def test_layers_run_downwards_and_rows_do_not_overlap():
    nodes = list("abcdef")
    edges = [("a", "c"), ("b", "c"), ("c", "d"), ("a", "e"), ("d", "f"), ("e", "f")]
    place, routes = layered_layout(nodes, edges)
    assert all(place[a][1] < place[b][1] for a, b in edges)
    for (a, b), route in zip(edges, routes):
        assert route[0] == place[a] and route[-1] == place[b]
    for one in nodes:
        for other in nodes:
            if one < other and place[one][1] == place[other][1]:
                assert abs(place[one][0] - place[other][0]) >= 1 - 1e-9
    assert layered_layout([], []) == ({}, [])


def test_receptive_field_counts_what_k_layers_see(tmp_path):
    figure = gk.plot.draw_receptive_field(gk.path(7), 3, layers=2, path=tmp_path / "field.png")
    shown = texts(figure)
    assert "5 of 7 nodes" in shown and "1 step (2)" in shown and "2 steps (2)" in shown and "not seen (2)" in shown
    big = gk.star(500)
    assert "nodes drawn" in texts(gk.plot.draw_receptive_field(big, 1, layers=1))
    with pytest.raises(InvalidArgumentError, match=r"node lies in \[0, 7\)"):
        gk.plot.draw_receptive_field(gk.path(7), 7, layers=2)


def test_unrolled_computation_has_a_column_per_layer():
    figure = gk.plot.draw_computation(gk.path(5), 2, layers=2)
    shown = texts(figure).split("\n")
    assert "input x" in shown and "after layer 1" in shown and "after layer 2" in shown
    assert points(figure) == 1 + 2 + 3  # node 2; nodes 1 and 3; nodes 0, 2 and 4
    assert "and 9 more" in texts(gk.plot.draw_computation(gk.star(50), 0, layers=1))
    assert "no messages" in texts(gk.plot.draw_computation(gk.empty(2), 0, layers=1))


def test_several_pictures_in_one_figure(tmp_path, rng):
    from matplotlib.figure import Figure

    g, club = karate()
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    assert gk.plot.draw_graph(g, color=club, title="left", ax=axes[0, 0]) is figure
    gk.plot.draw_receptive_field(g, 0, layers=1, labels=["n"] * 34, ax=axes[0, 1])
    gk.plot.draw_computation(gk.path(3), 0, layers=1, labels="abc", ax=axes[1, 0])
    gk.plot.embedding_map(rng.normal(size=(9, 3)), club[:9], method="pca", legend=False, ax=axes[1, 1])
    written = texts(figure).split("\n")
    assert {"left", "Mr. Hi (17)", "n", "a", "b"} <= set(written) and "Mr. Hi (9)" not in written
    figure.savefig(tmp_path / "four.png")


def test_points_carry_their_numbers_in_small_panels():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2))
    for ax, labels in zip(figure.subplots(1, 3), (None, False, True)):
        gk.plot.draw_graph(gk.complete(30), labels=labels, ax=ax)
    sizes = [axis.collections[-1].get_sizes()[0] for axis in figure.axes]
    assert sizes[0] == sizes[2] > 150 > sizes[1]


def test_no_pyplot_state(tmp_path):
    gk.plot.training_curve(history(), tmp_path / "curve.png")
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_missing_packages_name_the_extra(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"needs the package 'matplotlib'.*gnnkit\[plot\]"):
        gk.plot.training_curve(history())
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingDependencyError, match=r"'scikit-learn'.*gnnkit\[sklearn\]"):
        gk.plot.embedding_map(rng.normal(size=(20, 3)))
