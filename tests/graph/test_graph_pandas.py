"""The pandas door: names, columns, order, and refusals that name the row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import (
    DTypeError,
    InvalidArgumentError,
    InvalidFeatureError,
    InvalidGraphError,
    UnknownNameError,
)

names = st.sampled_from(["a", "b", "c", "long name", "é"])


@st.composite
def tables(draw):
    rows = draw(
        st.lists(st.tuples(names, names, st.integers(-9, 9), st.floats(-9, 9), st.booleans(), st.text(max_size=3)))
    )
    rows = [row for row in rows if not row[-1].endswith("\0")]
    frame = pd.DataFrame(rows, columns=["from", "to", "count", "km", "open", "note"])
    return frame.astype({"count": "int64", "km": "float64", "open": bool, "from": object, "to": object, "note": object})


@given(tables(), st.booleans())
def test_round_trip(table, directed):
    g = gk.from_pandas(table, source="from", target="to", directed=directed)
    edges, nodes = gk.to_pandas(g, source="from", target="to")
    assert edges.columns.tolist() == table.columns.tolist()
    for column in table.columns:
        assert edges[column].tolist() == table[column].tolist()
    assert len(nodes) == g.num_nodes
    loops = int((table["from"] == table["to"]).sum())
    assert g.num_edges == (len(table) if directed else 2 * len(table) - loops)
    again = gk.from_pandas(edges, source="from", target="to", nodes=nodes, directed=directed)
    np.testing.assert_array_equal(again.senders, g.senders)


def test_node_table_gives_order_isolated_nodes_and_fields():
    edges = pd.DataFrame({"s": ["b", "a"], "t": ["a", "c"], "w": np.array([1, 2], "float32")})
    nodes = pd.DataFrame({"id": ["c", "b", "a", "z"], "age": [1, 2, 3, 4], "size": [0.5, 1.5, 2.5, 3.5]})
    g = gk.from_pandas(
        edges, source="s", target="t", nodes=nodes, node_id="id", node_attrs={"x": ["age", "size"]}, dtype="float32"
    )
    assert g.origin.node_names == ("c", "b", "a", "z")
    assert g.to_edges()[0].tolist() == [1, 2] and g.to_edges()[1].tolist() == [2, 0]
    assert g.x.dtype == np.float32 and g.edges["w"].dtype == np.float32
    back = gk.to_pandas(g)
    assert back.nodes.index.tolist() == ["c", "b", "a", "z"]
    assert back.nodes["age"].tolist() == [1, 2, 3, 4] and back.nodes["age"].dtype == np.int64
    indexed = gk.from_pandas(edges, source="s", target="t", nodes=nodes.set_index("id"))
    assert indexed.nodes["age"].tolist() == [1, 2, 3, 4] and list(indexed.nodes) == ["age", "size"]


def test_node_indices_with_explicit_count():
    edges = pd.DataFrame({"s": [0, 4], "t": [1, 2]})
    g = gk.from_pandas(edges, source="s", target="t", num_nodes=6)
    assert g.num_nodes == 6 and g.origin.node_names is None
    with pytest.raises(InvalidGraphError, match=r"Edge 1 \(4 -> 2\)"):
        gk.from_pandas(edges, source="s", target="t", num_nodes=3)
    with pytest.raises(InvalidArgumentError, match=r"not both"):
        gk.from_pandas(edges, source="s", target="t", num_nodes=6, nodes=pd.DataFrame(index=range(6)))


def test_without_a_count_integers_are_names():
    g = gk.from_pandas(pd.DataFrame({"s": [7, 3], "t": [3, 5]}), source="s", target="t")
    assert g.origin.node_names == (7, 3, 5) and g.num_nodes == 3


def test_selected_columns():
    table = pd.DataFrame({"s": ["a"], "t": ["b"], "p": [1.0], "q": [2], "junk": [None]})
    assert gk.from_pandas(table, source="s", target="t", edge_attrs=["p"]).edges["p"].tolist() == [1.0]
    g = gk.from_pandas(table, source="s", target="t", edge_attrs={"e": ["p", "q"]})
    assert g.e.tolist() == [[1.0, 2.0]]
    assert gk.to_pandas(g).edges.columns.tolist() == ["source", "target", "p", "q"]


def test_wide_and_sparse_fields_are_spread():
    from scipy import sparse

    g = gk.path(2).replace(x=np.array([[1, 2], [3, 4]], "float32"), nodes={"s": sparse.eye_array(2, format="csr")})
    nodes = gk.to_pandas(g).nodes
    assert nodes.columns.tolist() == ["s_0", "s_1", "x_0", "x_1"] and nodes["x_1"].tolist() == [2, 4]
    assert nodes["x_0"].dtype == np.float32
    both = gk.to_pandas(gk.batch([gk.path(2), gk.path(1)]))
    assert both.nodes["graph"].tolist() == [0, 0, 1]


def test_dates_and_empty_tables():
    table = pd.DataFrame({"s": ["a"], "t": ["b"], "day": pd.to_datetime(["2024-01-02"])})
    g = gk.from_pandas(table, source="s", target="t")
    assert g.edges["day"].dtype.kind == "M" and gk.to_pandas(g).edges["day"].tolist() == table["day"].tolist()
    nothing = gk.from_pandas(table.iloc[:0], source="s", target="t")
    assert (nothing.num_nodes, nothing.num_edges) == (0, 0)
    assert len(gk.to_pandas(nothing).edges) == 0


def test_the_table_is_left_alone():
    table = pd.DataFrame({"s": [0, 1], "t": [1, 0], "w": [1.0, 2.0]})
    g = gk.from_pandas(table, source="s", target="t", num_nodes=2)
    table.loc[0, "w"] = 9.0
    assert g.to_edges()[2]["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"source": "sender"}, UnknownNameError, "column of the edge table.*Got 'sender'"),
        ({"edge_attrs": ["ww"]}, UnknownNameError, "Got 'ww'"),
        ({"node_id": "name"}, UnknownNameError, "column of the node table.*Got 'name'"),
        ({"node_attrs": ["q"]}, UnknownNameError, "Got 'q'"),
    ],
)
def test_unknown_columns(change, error, text):
    table = pd.DataFrame({"s": ["a"], "t": ["b"], "w": [1.0]})
    nodes = pd.DataFrame({"v": [1, 2]}, index=["a", "b"])
    with pytest.raises(error, match=text):
        gk.from_pandas(table, **{"source": "s", "target": "t", "nodes": nodes, **change})


def test_bad_names_and_values_are_named_by_row():
    nodes = pd.DataFrame(index=["a", "b"])
    with pytest.raises(InvalidGraphError, match=r"Edge 1 has t='c', which is not among its 2 names"):
        gk.from_pandas(pd.DataFrame({"s": ["a", "a"], "t": ["b", "c"]}), source="s", target="t", nodes=nodes)
    with pytest.raises(InvalidGraphError, match=r"Edge 1 has no s"):
        gk.from_pandas(pd.DataFrame({"s": ["a", None], "t": ["b", "a"]}), source="s", target="t")
    with pytest.raises(InvalidGraphError, match=r"'a' names rows 0 and 2"):
        twice = pd.DataFrame(index=["a", "b", "a"])
        gk.from_pandas(pd.DataFrame({"s": ["a"], "t": ["b"]}), source="s", target="t", nodes=twice)
    mixed = pd.DataFrame({"s": ["a", "b"], "t": ["b", "a"], "w": [1, "two"]})
    with pytest.raises(InvalidFeatureError, match=r"Edge 1 \(row 1\) has 'two': a string among others"):
        gk.from_pandas(mixed, source="s", target="t")
    missing = pd.DataFrame({"s": ["a", "b"], "t": ["b", "a"], "w": [1.0, np.nan]})
    with pytest.raises(InvalidFeatureError, match=r"a NaN at edge 1 \('b' -> 'a'\)"):
        gk.from_pandas(missing, source="s", target="t")
    nullable = pd.DataFrame({"s": ["a"], "t": ["b"], "w": pd.array([None], dtype="Int64")})
    with pytest.raises(InvalidFeatureError, match=r"cannot hold a NAType"):
        gk.from_pandas(nullable, source="s", target="t")
    twin = pd.DataFrame([["a", "b", 1, 2]], columns=["s", "t", "w", "w"])
    with pytest.raises(DTypeError, match=r"several columns 'w'"):
        gk.from_pandas(twin, source="s", target="t")
    with pytest.raises(DTypeError, match=r"s must hold node indices"):
        gk.from_pandas(pd.DataFrame({"s": ["a"], "t": ["b"]}), source="s", target="t", num_nodes=2)


def test_two_columns_of_one_name_are_refused():
    g = gk.from_edges([0], [1], num_nodes=2, edges={"source": [7]})
    with pytest.raises(InvalidFeatureError, match=r"Two of them would be called 'source'. Rename one"):
        gk.to_pandas(g)
    assert gk.to_pandas(g, source="from").edges.to_dict("list") == {"from": [0], "target": [1], "source": [7]}
    wide = gk.from_edges([], [], num_nodes=2, nodes={"a": np.ones((2, 2)), "a_1": [1, 2]})
    with pytest.raises(InvalidFeatureError, match="would be called 'a_1'"):
        gk.to_pandas(wide)
    parts = [gk.from_edges([], [], num_nodes=2, nodes={"graph": [1, 2]})] * 2
    with pytest.raises(InvalidFeatureError, match="would be called 'graph'"):
        gk.to_pandas(gk.batch(parts))


def test_ends_that_the_index_does_not_name_point_to_node_id():
    edges, nodes = pd.DataFrame({"u": ["a"], "v": ["b"]}), pd.DataFrame({"name": ["a", "b"]})
    with pytest.raises(InvalidGraphError, match=r"named by its index.*Name the column of the names with node_id="):
        gk.from_pandas(edges, source="u", target="v", nodes=nodes)
