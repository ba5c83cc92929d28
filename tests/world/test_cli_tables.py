"""The files a person brings: columns as numbers, categories, classes; edge lists; and every way to get them wrong."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.cli.problem import Shares, random_masks
from gnnkit.cli.readers import Files, read
from gnnkit.cli.recipe import Recipe, write_recipe
from gnnkit.cli.tables import NodeTable, read_csv
from gnnkit.errors import (
    FileFormatError,
    GnnkitError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    ShapeError,
    UnknownNameError,
)

TABLE = NodeTable(
    ["ann", "bob", "eve"],
    {"age": ["31", "35", "40"], "gap": ["1", None, "2"], "job": ["b", "a", None], "rank": ["10", "2", "10"]},
    "people.csv",
)


def test_columns_are_selected_by_name_and_by_pattern_once() -> None:
    assert TABLE.select(["job", "*a*"]) == ["job", "age", "gap", "rank"]
    with pytest.raises(UnknownNameError, match=r"must be one of: age, gap, job, rank. Got 'aeg'. Did you mean 'age'"):
        TABLE.select(["aeg"])
    many = NodeTable([], {f"w{k}": [] for k in range(1433)}, "cora.csv")
    with pytest.raises(UnknownNameError, match=r"w19 and 1413 more. Got 'x\*'"):
        many.select(["x*"])


def test_numbers_are_float32_and_a_hole_is_named() -> None:
    values = TABLE.numbers(["age", "rank"])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[31, 10], [35, 2], [40, 10]])
    with pytest.raises(InvalidFeatureError, match=r"Node 'bob' has nothing in the column 'gap' of people.csv"):
        TABLE.numbers(["gap"])
    with pytest.raises(InvalidFeatureError, match="Node 'y' has 'nan'"):
        NodeTable(["x", "y"], {"a": ["1", "nan"]}, "t.csv").numbers(["a"])
    for large in ("1e39", 10**400, 1e300):  # more than float32, or than a float at all
        with pytest.raises(InvalidFeatureError, match=r"a number \(below 3.4e38\) for every node. Node 'y'"):
            NodeTable(["x", "y"], {"a": ["1", large]}, "t.csv").numbers(["a"])


def test_categories_are_sorted_numbers_by_size() -> None:
    assert TABLE.categories("rank") == ["2", "10"]
    np.testing.assert_array_equal(TABLE.one_hot("job", ["a", "b"]), [[0, 1], [1, 0], [0, 0]])
    with pytest.raises(InvalidFeatureError, match=r"must be one of: a. Node 'ann' of people.csv has 'b'"):
        TABLE.one_hot("job", ["a"])


def test_labels_become_codes_and_a_missing_one_is_minus_one() -> None:
    codes, classes = TABLE.labels("job")
    assert classes == ["a", "b"] and codes.tolist() == [1, 0, -1]
    assert NodeTable([1, 2, 3], {"y": [True, False, 2.0]}, "g").labels("y")[1] == ["2", "False", "True"]
    with pytest.raises(InvalidFeatureError, match=r"holds the number 0.5"):
        NodeTable([1, 2], {"y": [0.5, 1.0]}, "g").labels("y")
    for values, came in ((["a", "a"], "only 'a'"), ([None, None], "no value at all")):
        with pytest.raises(InvalidFeatureError, match=f"at least two classes.*{came}"):
            NodeTable([1, 2], {"y": values}, "g").labels("y")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "must name every column once"),
        ("a,a\n1,2\n", "must name every column once"),
        ("a,,b\n", "must name every column once"),
        ("a,b\n1,2\n1\n", "Line 3 of .* has 1 and there are 2 columns"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FileFormatError, match=match):
        read_csv(tmp_path / "t.csv")


def test_tables_may_have_tabs_quotes_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name, note\n x ,"one, two"\n\ny,\n', encoding="utf-8-sig")
    assert read_csv(tmp_path / "t.csv") == {"name": ["x", "y"], "note": ["one, two", None]}
    (tmp_path / "t.tsv").write_text("a\tb\n1\t2\n")
    assert read_csv(tmp_path / "t.tsv") == {"a": ["1"], "b": ["2"]}
    (tmp_path / "latin.csv").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(FileFormatError, match="must be text in UTF-8"):
        read_csv(tmp_path / "latin.csv")


def edge_list(folder: Path, edges: str, nodes: str | None = None, **names: object) -> Files:
    (folder / "e.csv").write_text(edges)
    if nodes is not None:
        (folder / "n.csv").write_text(nodes)
        names |= {"nodes": folder / "n.csv", "id": names.get("id", "id")}
    return Files(edges=folder / "e.csv", **{"source": "u", "target": "v", **names})


def test_an_edge_list_is_undirected_unless_told(tmp_path: Path) -> None:
    files = edge_list(tmp_path, "u,v,w\na,b,2\nb,b,3\n", "id,y\nb,1\na,0\nalone,1\n", weight="w")
    graph, table = read(files)
    assert list(table.names) == ["b", "a", "alone"] and list(table.columns) == ["y"]
    senders, receivers, fields = graph.to_edges()
    found = sorted(zip(senders.tolist(), receivers.tolist(), fields["weight"].tolist()))
    assert found == [(0, 0, 3.0), (0, 1, 2.0), (1, 0, 2.0)]
    directed, _ = read(Files(**{**vars(files), "directed": True}))
    assert directed.num_edges == 2
    both = edge_list(tmp_path, "u,v,w\na,b,2\nb,a,2\nb,b,3\n", "id,y\nb,1\na,0\n", weight="w")
    senders, receivers, fields = read(both)[0].to_edges()  # not: every edge twice
    assert sorted(zip(senders.tolist(), receivers.tolist(), fields["weight"].tolist())) == found
    unlike = edge_list(tmp_path, "u,v,w\na,b,2\nb,a,5\n", "id,y\nb,1\na,0\n", weight="w")
    with pytest.raises(InvalidFeatureError, match=r"different values in the column 'w'. Add --directed"):
        read(unlike)


def test_without_a_node_table_the_nodes_are_the_names_in_the_edges(tmp_path: Path) -> None:
    graph, table = read(edge_list(tmp_path, "u,v\nx,y\ny,z\n"))
    assert list(table.names) == ["x", "y", "z"] and graph.num_edges == 4


@pytest.mark.parametrize(
    ("edges", "nodes", "names", "error", "match"),
    [
        ("u,v\na,c\n", "id\na\n", {}, InvalidGraphError, "Row 1 of .* has 'c' in the column 'v'. Add that node"),
        ("u,v\na,\n", "id\na\n", {}, InvalidGraphError, "has nothing in the column 'v'"),
        ("u,v\na,a\n", "id\na\na\n", {}, InvalidGraphError, "Row 2 of .* has 'a', as row 1 does"),
        ("u,v\na,a\n", "id,x\n,1\n", {}, InvalidGraphError, "has an empty name"),
        ("u,v\na,a\n", "id\na\n", {"id": "ids"}, UnknownNameError, "Did you mean 'id'"),
        ("u,v\na,a\n", None, {"source": "U"}, UnknownNameError, "must be one of: u, v. Got 'U'"),
        ("u,v,w\na,a,x\n", None, {"weight": "w"}, InvalidFeatureError, "Row 1 of .* has 'x' in the column 'w'"),
    ],
)
def test_a_broken_edge_list_is_refused(
    tmp_path: Path, edges: str, nodes: str | None, names: dict[str, str], error: type[GnnkitError], match: str
) -> None:
    with pytest.raises(error, match=match):
        read(edge_list(tmp_path, edges, nodes, **names))


@pytest.mark.parametrize(
    ("suffix", "write"), [("graphml", nx.write_graphml), ("gml", nx.write_gml), ("gexf", nx.write_gexf)]
)
def test_graph_files_keep_names_direction_and_columns(tmp_path: Path, suffix: str, write: object) -> None:
    G = nx.DiGraph([("a", "b", {"w": 0.5}), ("b", "c", {"w": 1.5})])
    nx.set_node_attributes(G, {"a": 1, "b": 2}, "y")
    path = tmp_path / f"g.{suffix}"
    write(G, path)  # type: ignore[operator]
    graph, table = read(Files(graph=str(path), weight="w"))
    assert list(table.names) == ["a", "b", "c"] and graph.num_edges == 2
    assert table.columns["y"] == [1, 2, None]
    assert graph.edges["weight"].tolist() == [0.5, 1.5]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FileFormatError, match="could not be read"):
        read(Files(graph=str(path)))


def test_a_recipe_makes_the_same_features_from_another_graph() -> None:
    graph, table = gk.star(3), NodeTable([0, 1, 2], {"a": [0, 2, 4], "k": ["p", "q", "p"], "c": [7, 7, 7]}, "t")
    assert graph.num_nodes == 3
    recipe = write_recipe(graph, table, features=["a", "c", "@degree"], one_hot=["k"])
    recipe = Recipe(**recipe.to_json())
    x = recipe.features(graph, table)
    assert recipe.feature_names() == ["a", "c", "@degree", "k=p", "k=q"] and x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0], np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-6)
    np.testing.assert_array_equal(x[:, 1], 0)  # a constant column carries nothing
    np.testing.assert_array_equal(x[:, 3:], [[1, 0], [0, 1], [1, 0]])
    other = recipe.features(gk.path(2), NodeTable([0, 1], {"a": [2, 2], "k": ["q", None], "c": [7, 7]}, "u"))
    np.testing.assert_allclose(other[:, [0, 1, 3, 4]], [[0, 0, 0, 1], [0, 0, 0, 0]], atol=1e-6)


def test_identity_features_belong_to_their_graph() -> None:
    empty = NodeTable([0, 1, 2], {}, "t")
    recipe = write_recipe(gk.path(3), empty, features=["@identity"], one_hot=[], scale="l1")
    np.testing.assert_array_equal(recipe.features(gk.path(3), empty), np.eye(3))
    with pytest.raises(ShapeError, match="It had 3 nodes and this one has 2"):
        recipe.features(gk.path(2), NodeTable([0, 1], {}, "u"))
    with pytest.raises(InvalidArgumentError, match="None were named; there are no columns"):
        write_recipe(gk.path(3), empty, features=[], one_hot=[])
    with pytest.raises(UnknownNameError, match="scale must be one of: l1, none, standard"):
        write_recipe(gk.path(3), TABLE, features=["age"], one_hot=[], scale="log")


def test_l1_makes_rows_sum_to_one_and_leaves_zero_rows() -> None:
    table = NodeTable([0, 1], {"a": [1, 0], "b": [3, 0]}, "t")
    x = write_recipe(gk.path(2), table, features=["*"], one_hot=[], scale="l1").features(gk.path(2), table)
    np.testing.assert_array_equal(x, [[0.25, 0.75], [0, 0]])


def test_random_masks_are_disjoint_by_class_and_seeded() -> None:
    y = np.array([0] * 10 + [1] * 5 + [2] + [-1] * 4)
    masks, protocol = random_masks(y, ["a", "b", "c"], Shares(0.2, 0.2, 3))
    total = sum(mask.astype(int) for mask in masks.values())
    assert (total == (y >= 0)).all()
    assert [int(masks[part][y == 0].sum()) for part in ("train", "val", "test")] == [6, 2, 2]
    assert masks["train"][15]  # the only member of its class
    assert protocol == "random split by class, 60% / 20% / 20%, split seed 3"
    again, _ = random_masks(y, ["a", "b", "c"], Shares(0.2, 0.2, 3))
    other, _ = random_masks(y, ["a", "b", "c"], Shares(0.2, 0.2, 4))
    assert (again["test"] == masks["test"]).all() and (other["test"] != masks["test"]).any()


def test_a_table_that_is_no_csv_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"' + "x" * 200_000)  # as after a quotation mark that is never closed
    with pytest.raises(FileFormatError, match=r"A table must be plain CSV. .* near line 2 \(field larger"):
        read_csv(path)
    tabs = tmp_path / "T.TSV"
    tabs.write_text("a\tb\n1\t2\n")
    assert read_csv(tabs) == {"a": ["1"], "b": ["2"]}


def test_a_random_split_without_test_nodes_is_refused() -> None:
    with pytest.raises(InvalidFeatureError, match="Got 4 labelled nodes of 4 classes, which leaves none"):
        random_masks(np.arange(4), list("abcd"), Shares())
