"""GridTopology as an object: what is computed when, sharing, workers, masks, graphs on it, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, ImmutableError, InvalidGraphError, ShapeError
from gnnkit.graph import Grid, GridTopology, Stencil, Topology, as_grid, grid_topology, receiving_grid

LISTED = {"edges", "indptr", "receivers", "explicit", "transpose_permutation"}


def test_nothing_is_listed_before_it_is_asked_for() -> None:
    x = np.zeros((5, 6, 7, 2), np.float32)
    g = GridTopology(Grid((6, 7), num_graphs=5), Stencil(3, ndim=2))
    graph = gk.Graph(g, {"x": x.reshape(-1, 2)}, globals={"u": np.zeros((5, 1))})
    assert graph.num_graphs == 5 and graph.num_edges == 5 * (6 * 3 - 2) * (7 * 3 - 2)
    np.testing.assert_array_equal(graph.edge_ptr, np.arange(6) * 16 * 19)
    assert graph.replace(x=graph.x + 1, u=graph.u).topology is g
    assert gk.Graph.trusted(g, graph.nodes, node_ptr=graph.node_ptr).num_graphs == 5
    assert pickle.loads(pickle.dumps(graph)).topology is grid_topology(g.sender_grid, g.stencil)
    assert graph.replace(topology=grid_topology(g.grid, Stencil(5, ndim=2))).num_graphs == 5
    repr(graph), hash(g), g.parts, g.transpose().parts, g.in_degree(), g.signature()
    assert not LISTED & set(g._cache)
    masked = gk.from_image(x, mask=np.arange(42).reshape(6, 7) % 3 > 0)
    assert not {"parts", "num_edges", *LISTED} & set(masked.topology._cache)


def test_equal_arguments_share_a_topology() -> None:
    stencil = Stencil(3, ndim=2)
    one = grid_topology(Grid((5, 5), num_graphs=3), stencil)
    assert one is grid_topology(Grid([(5, 5)] * 3), Stencil((3, 3)))
    assert one is gk.from_image(np.zeros((3, 5, 5, 1))).topology
    assert one is not grid_topology(Grid((5, 5)), stencil)
    mask = np.eye(5, dtype=bool)
    assert grid_topology(Grid((5, 5), mask=mask), stencil) is grid_topology(Grid((5, 5), mask=mask.copy()), stencil)
    assert one.parts[0].table is grid_topology(Grid((5, 5)), stencil).parts[0].table


def test_batches_share_one_small_table() -> None:
    topology = grid_topology(Grid((5, 5), num_graphs=1000), Stencil(3, ndim=2, stride=2))
    (part,) = topology.parts
    assert part.table.shape == (9, 9) and part.rows is None and len(part.sender_base) == 1000
    np.testing.assert_array_equal(part.sender_base[:3], [0, 25, 50])
    np.testing.assert_array_equal(part.receiver_base[:3], [0, 9, 18])
    shared = Grid((5, 5), num_graphs=1000, mask=np.eye(5, dtype=bool))
    (part,) = grid_topology(shared, Stencil(3, ndim=2)).parts
    assert part.table.shape == (3, 5) and len(part.sender_base) == 1000  # slots that nobody has are left out


def test_many_sizes_and_many_masks_make_few_parts() -> None:
    rng = np.random.default_rng(0)
    sizes = [tuple(size) for size in rng.integers(9, 30, (40, 2)).tolist()]
    for grid in (Grid(sizes), Grid((20, 20), num_graphs=40, mask=rng.random((40, 20, 20)) < 0.5)):
        assert len(grid_topology(grid, Stencil(3, ndim=2)).parts) == 1
        assert len(grid_topology(grid, Stencil(3, ndim=2, stride=2, padding=1)).transpose().parts) == 4


def test_masks_of_receivers() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[1, 3] = True
    grid = Grid((4, 4), mask=mask)
    assert receiving_grid(grid, Stencil(3, ndim=2)) is grid
    pooled = receiving_grid(grid, Stencil(2, ndim=2, stride=2))
    np.testing.assert_array_equal(pooled.mask.reshape(2, 2), [[True, True], [False, False]])
    onto = Grid((2, 2), mask=np.eye(2, dtype=bool))
    topology = grid_topology(grid, Stencil(2, ndim=2, stride=2), onto)
    assert topology.num_edges == 1 and topology.num_receivers == 2
    np.testing.assert_array_equal(topology.transpose().in_degree(), [1, 0])
    nothing = grid_topology(Grid((4, 4), mask=np.zeros((4, 4), bool)), Stencil(3, ndim=2))
    assert (nothing.num_nodes, nothing.num_edges, nothing.parts, nothing.transpose().parts) == (0, 0, (), ())


def test_empty_axes_and_batches() -> None:
    for grid in (Grid((0, 5)), Grid((5, 5), num_graphs=0), Grid([(0, 0), (0, 3)])):
        topology = grid_topology(grid, Stencil(3, ndim=2, border="reflect"))
        assert (topology.num_nodes, topology.num_edges, len(topology.indices)) == (0, 0, 0)
        assert topology.parts == () == topology.transpose().parts
        assert topology.to_explicit()[0].num_edges == 0
    assert GridTopology(Grid((1, 1)), Stencil(7, ndim=2)).num_edges == 1
    with pytest.raises(ShapeError, match=r"must fit into the padded image"):
        GridTopology(Grid((1, 1)), Stencil(7, ndim=2, padding="valid"))


def test_the_grid_of_a_topology() -> None:
    same = grid_topology(Grid((4, 4)), Stencil(3, ndim=2))
    strided = grid_topology(Grid((4, 4)), Stencil(2, ndim=2, stride=2))
    assert same.grid is same.sender_grid and not same.is_bipartite and as_grid(same) is same.grid
    assert strided.is_bipartite and strided.graph_ptr is None
    with pytest.raises(InvalidGraphError, match=r"one grid.*leads from Grid"):
        _ = strided.grid
    with pytest.raises(InvalidGraphError, match=r"bipartite: 16 senders, 4 receivers"):
        gk.Graph(strided)
    with pytest.raises(DTypeError, match=r"graph on a grid, such as an image.*gk.from_image"):
        as_grid(gk.path(3))
    with pytest.raises(DTypeError, match=r"Got list"):
        as_grid([1])


def test_what_a_topology_can_do_a_grid_can() -> None:
    topology = grid_topology(Grid((3, 4), num_graphs=2), Stencil(3, ndim=2))
    plain, _ = topology.to_explicit()
    assert topology == plain and plain == topology and hash(topology) == hash(plain)
    assert topology.is_symmetric() and topology.has_self_loops() and topology.is_caller_ordered
    assert topology != grid_topology(Grid((3, 4), num_graphs=2), Stencil(5, ndim=2))
    assert copy.deepcopy(topology) is topology
    g = gk.Graph(topology)
    assert g.report().num_components == 2
    assert gk.transforms.remove_self_loops(g).num_edges == topology.num_edges - 24
    assert type(GridTopology.from_edges([0], [1], num_nodes=2)) is Topology
    assert gk.transforms.reverse(g).topology == topology
    with pytest.raises(ImmutableError):
        topology.stencil = None
    listed = gk.Graph(topology, node_ptr=[0, 24])  # whoever wants can see one graph
    assert listed.num_graphs == 1
    with pytest.raises(InvalidGraphError, match=r"stay within one graph"):
        gk.Graph(topology, node_ptr=[0, 5, 24])


def test_workers_receive_the_rule() -> None:
    mask = np.eye(4, dtype=bool)
    onto = Grid((2, 2), mask=np.eye(2, dtype=bool))
    for topology in (
        grid_topology(Grid([(4, 4), (3, 2)]), Stencil(3, ndim=2, border="wrap")),
        grid_topology(Grid((4, 4), mask=mask), Stencil(2, ndim=2, stride=2), onto),
    ):
        for each in (topology, topology.transpose()):
            again = pickle.loads(pickle.dumps(each))
            assert isinstance(again, GridTopology) and again == each and again.is_transposed == each.is_transposed


def test_the_transpose_outlives_its_origin() -> None:
    topology = GridTopology(Grid((5,)), Stencil(3, ndim=1, stride=2))
    edges = sorted(zip(topology.senders.tolist(), topology.receivers.tolist()))
    turned = topology.transpose()
    del topology
    assert sorted(zip(turned.receivers.tolist(), turned.senders.tolist())) == edges
    assert turned.transpose().is_transposed is False


def test_repr_is_one_line_of_facts() -> None:
    topology = grid_topology(Grid((28, 28), num_graphs=64), Stencil(3, ndim=2))
    assert repr(topology) == "GridTopology(28 x 28, 64 images, kernel 3 x 3, num_edges=430336)"
    strided = grid_topology(Grid((4,), mask=[True, True, False, True]), Stencil(2, ndim=1, stride=2, border="wrap"))
    text = "4, num_nodes=3, kernel 2, stride 2, border wrap"
    assert repr(strided) == f"GridTopology({text}, num_edges=3)"
    assert repr(strided.transpose()) == f"GridTopology({text}, transposed, num_edges=3)"


def test_errors() -> None:
    with pytest.raises(DTypeError, match=r"built from a Grid, a Stencil.*Got tuple"):
        GridTopology((3, 3), Stencil(3, ndim=2))
    with pytest.raises(DTypeError, match=r"Got int"):
        grid_topology(Grid((3, 3)), 3)
    with pytest.raises(ShapeError, match=r"receiver grid must have the sizes that the stencil gives"):
        GridTopology(Grid((4, 4)), Stencil(2, ndim=2, stride=2), Grid((3, 3)))
    with pytest.raises(ShapeError, match=r"The grid has 1, the stencil 2"):
        grid_topology(Grid((4,)), Stencil(3, ndim=2))


@pytest.mark.parametrize("options", [{"padding": 1}, {"padding": ((0, 3), (2, 0)), "stride": 2}])
def test_an_image_without_holes_has_the_same_receivers_beside_images_with_holes(options) -> None:
    """Also those whose window lies wholly in the padding, which hear nothing in either case."""
    stencil = Stencil((1, 2), **options)
    alone = grid_topology(Grid((2, 3)), stencil).receiver_grid
    holes = [np.ones((2, 3), bool), np.zeros((2, 3), bool)]
    both = grid_topology(Grid((2, 3), num_graphs=2, mask=holes), stencil)
    assert both.receiver_grid.image(0) == alone
    mixed = grid_topology(Grid([(2, 3), (2, 2)], mask=[holes[0], np.zeros((2, 2), bool)]), stencil)
    assert mixed.receiver_grid.image(0) == alone
    assert both.num_edges == mixed.num_edges == grid_topology(Grid((2, 3)), stencil).num_edges
