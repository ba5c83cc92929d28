"""Virtual nodes: one for every graph of a batch, joined to all of it, with fields that do not lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError
from gnnkit.graph.transforms import add_virtual_node


def test_edges_follow_those_of_the_caller():
    g = gk.from_edges([2, 0], [0, 1], num_nodes=3, e=[[5.0], [6.0]])
    joined = add_virtual_node(g, edge_fill=-1)
    senders, receivers, fields = joined.to_edges()
    assert senders.tolist() == [2, 0, 0, 1, 2, 3, 3, 3]
    assert receivers.tolist() == [0, 1, 3, 3, 3, 0, 1, 2]
    assert fields["e"].tolist() == [[5.0], [6.0], *[[-1.0]] * 6]
    assert joined.topology.in_degree()[3] == joined.topology.out_degree()[3] == 3
    assert g.num_nodes == 3 and g.num_edges == 2


def test_a_batch_gets_one_for_each_graph_even_an_empty_one():
    parts = [gk.path(2), gk.empty(0), gk.cycle(3), gk.empty(0)]
    parts = [g.replace(x=np.full((g.num_nodes, 1), i + 1.0), u=np.full((1, 1), i)) for i, g in enumerate(parts)]
    joined = add_virtual_node(gk.batch(parts), fill=-5.0)
    assert joined.node_ptr.tolist() == [0, 3, 4, 8, 9] and joined.u.ravel().tolist() == [0, 1, 2, 3]
    alone = [add_virtual_node(g, fill=-5.0) for g in parts]
    for one, other in zip(gk.unbatch(joined), alone):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.nodes["is_virtual"], other.nodes["is_virtual"])
        assert [a.tolist() for a in one.to_edges()[:2]] == [a.tolist() for a in other.to_edges()[:2]]
    assert np.flatnonzero(joined.nodes["is_virtual"]).tolist() == [2, 3, 7, 8]


def test_any_two_nodes_are_two_steps_apart():
    g = add_virtual_node(gk.batch([gk.path(9), gk.path(4)]))
    for node in range(g.num_nodes):
        distance = K.khop(g.topology.indptr, g.topology.indices, np.array([node]), 20)
        same = g.node_graph == g.node_graph[node]
        assert distance[same].max() <= 2 and (distance[~same] == -1).all()


def test_every_kind_of_field():
    g = gk.path(2).replace(
        x=np.ones((2, 2), np.float32),
        nodes={
            "y": np.array([3, 4]), "small": np.array([1, 2], np.uint8), "mask": np.array([True, True]),
            "bag": sparse.csr_matrix(np.eye(2)), "t": gk.tensor([1.0, 2.0], requires_grad=True),
        },
    )  # fmt: skip
    joined = add_virtual_node(g)
    assert joined.x.dtype == np.float32 and joined.x[2].tolist() == [0, 0]
    assert joined.nodes["y"].tolist() == [3, 4, -1] and joined.nodes["small"].tolist() == [1, 2, 0]
    assert joined.nodes["mask"].tolist() == [True, True, False]
    assert joined.nodes["bag"].to_scipy().toarray().tolist() == [[1, 0], [0, 1], [0, 0]]
    joined.nodes["t"].sum().backward()
    assert g.nodes["t"].grad.tolist() == [1, 1]
    assert add_virtual_node(g, label_fill=7).nodes["y"].tolist() == [3, 4, 7]
    named = add_virtual_node(g, fill={"y": 9, "x": [1.0, 2.0], "t": 0.5}, name="hub")
    assert named.nodes["y"].tolist() == [3, 4, 9] and named.x[2].tolist() == [1, 2] and named.nodes["hub"][2]


def test_grids_become_lists_of_edges():
    images = gk.from_image(np.ones((2, 3, 3, 1)))
    joined = add_virtual_node(images)
    assert joined.node_ptr.tolist() == [0, 10, 20] and joined.num_edges == images.num_edges + 2 * 18
    assert type(joined.topology) is gk.Topology and joined.x[9].tolist() == [0.0]


def test_what_is_refused():
    g = gk.path(2).replace(x=np.ones((2, 1)), nodes={"t": np.array(["a", "b"])})
    with pytest.raises(DTypeError, match=r"The field 't' is <U1, fill is 0\.0"):
        add_virtual_node(g)
    with pytest.raises(InvalidFeatureError, match=r"It gives \['t'\], and not 'x'"):
        add_virtual_node(g, fill={"t": "virtual"})
    assert add_virtual_node(g, fill={"t": "virtual", "x": 0.0}).nodes["t"].tolist() == ["a", "b", "virtual"]
    with pytest.raises(InvalidFeatureError, match=r"fill must name node fields\. Got 'z'"):
        add_virtual_node(g, fill={"z": 0.0})
    with pytest.raises(InvalidFeatureError, match=r"edge_fill must name edge fields\. Got 'w'"):
        add_virtual_node(g, fill={"t": "v", "x": 0.0}, edge_fill={"w": 0.0})
    with pytest.raises(InvalidArgumentError, match=r"has a node field 'x'\. Pass another name"):
        add_virtual_node(g, name="x")
    sparse_graph = gk.path(2).replace(x=sparse.csr_matrix(np.eye(2)))
    with pytest.raises(InvalidFeatureError, match=r"Sparse rows of virtual nodes must be zero\. fill gives 1\.0"):
        add_virtual_node(sparse_graph, fill=1.0)
