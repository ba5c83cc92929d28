"""The summary of models on grids: sizes as rows x columns x channels, receptive fields in pixels, work."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import on_grid

import gnnkit as gk
from gnnkit import nn
from gnnkit.graph.grids import Grid


def image(size, channels=1, num_graphs=1):
    grid = Grid(size, num_graphs=num_graphs)
    return on_grid(grid, np.random.default_rng(0).normal(size=(grid.num_nodes, channels)).astype("float32"))


def seen(model, graph, node):
    """How many pixels of the input, along each axis, the output at ``node`` depends on."""
    x = gk.tensor(np.asarray(graph.x, float), requires_grad=True)
    out = model.astype("float64")(graph.replace(x=x))
    out.x[node].sum().backward()
    grid = graph.topology.grid
    places = grid.coordinates()[np.flatnonzero(x.grad.numpy().any(axis=1))]
    return tuple(float(n) for n in places.max(axis=0) - places.min(axis=0) + 1)


def test_sizes_and_receptive_fields_of_convolutions():
    wide = nn.Conv2d(4, 4, (3, 5), stride=2, rng=1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.Tanh(), wide, nn.Conv2d(4, 2, 3, dilation=2, rng=2))
    table = model.summary(image((28, 20)))
    assert [row.output for row in table.rows] == ["28 x 20 x 4", "28 x 20 x 4", "14 x 10 x 4", "14 x 10 x 2"]
    assert [row.receptive_field for row in table.rows] == [(3, 3), (3, 3), (5, 7), (13, 15)]
    assert table.receptive_field == (13, 15)
    text = str(table)
    assert "receptive field" in text and "13 x 15" in text and "hops" not in text


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Conv2d(1, 2, 3, rng=0), nn.Conv2d(2, 1, 5, rng=1)],
        lambda: [nn.Conv2d(1, 2, 3, stride=2, rng=0), nn.Conv2d(2, 1, 3, rng=1)],
        lambda: [nn.Conv2d(1, 2, (1, 3), stride=(1, 2), rng=0), nn.Conv2d(2, 1, 3, stride=2, dilation=2, rng=1)],
        lambda: [nn.IsotropicConv(1, 2, 5, rng=0), nn.DepthwiseConv2d(2, 3, rng=1)],
        lambda: [nn.GCNConv(1, 2, rng=0), nn.Conv2d(2, 1, 3, rng=1), nn.GCNConv(1, 1, rng=0)],
        lambda: [nn.Residual(nn.Conv2d(1, 1, 3, rng=0)), nn.Conv2d(1, 1, 3, rng=1)],
    ],
)
def test_the_receptive_field_is_the_true_one(layers):
    model, graph = nn.Sequential(*layers()), image((25, 25))
    table = model.summary(graph)
    grid = model(graph).topology.grid
    middle = grid.size[0] // 2 * grid.size[1] + grid.size[1] // 2
    assert table.receptive_field == seen(model, graph, middle)


def test_up_and_down():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ConvTranspose2d(2, 2, 2, stride=2), nn.Conv2d(2, 1, 3))
    table = model.summary(image((8, 8)))
    assert [row.output for row in table.rows] == ["4 x 4 x 2", "8 x 8 x 2", "8 x 8 x 1"]
    assert [row.receptive_field for row in table.rows] == [(3, 3), (3, 3), (5, 5)]


def test_batches_and_mixed_sizes():
    conv = nn.Conv2d(1, 2, 3, stride=2)
    assert conv.summary(image((6, 4), num_graphs=5)).rows[0].output == "5 x 3 x 2 x 2"
    mixed = on_grid([(3, 4), (5, 5)], np.ones((37, 1), "float32"))
    assert conv.summary(mixed).rows[0].output == "2 x mixed x 2"
    assert nn.Conv3d(1, 2, 3).summary(on_grid((2, 3, 4), np.ones((24, 1)))).rows[0].output == "2 x 3 x 4 x 2"


def test_everything_is_seen_after_a_global_state():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GlobalPool("mean", head=nn.Linear(4, 10)))
    table = model.summary(image((8, 8)))
    assert table.rows[-1].receptive_field == (np.inf, np.inf) and " all " in str(table)
    assert table.rows[-1].output == "10"


def test_work_by_hand():
    table = nn.Conv2d(3, 8, 3, padding="valid").summary(image((6, 6), 3))
    assert table.flops == 2 * 16 * 9 * 3 * 8 + 16 * 8
    assert nn.Conv2d(4, 8, 3, padding="valid", groups=4, bias=False).summary(image((6, 6), 4)).flops == 2 * 16 * 9 * 8
    assert nn.DepthwiseConv2d(4, 1, bias=False).summary(image((6, 6), 4)).flops == 2 * 36 * 4
    assert nn.IsotropicConv(4, 8, bias=False).summary(image((1, 2), 4)).flops == 4 * 2 * 4 * 8 + 2 * 4 * 4
    up = nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False)
    assert up.summary(image((5, 5), 2)).flops == 2 * 25 * 4 * 2 * 3
    local = nn.LocallyConnected2d(2, 3, 3, size=(4, 4), padding="valid", bias=False)
    assert local.summary(image((4, 4), 2, num_graphs=7)).flops == 7 * 2 * 4 * 9 * 2 * 3


def test_twice_the_images_cost_twice_the_work():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2))
    one, two = (model.summary(image((8, 8), num_graphs=n)) for n in (3, 6))
    assert two.flops == 2 * one.flops and two.num_bytes == 2 * one.num_bytes
    assert two.num_parameters == one.num_parameters == model.num_parameters


def test_no_edge_is_listed_for_a_summary():
    graph = image((9, 9))
    nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3, stride=2)).summary(graph)
    assert "edges" not in graph.topology._cache


def test_the_table_of_a_small_network():
    model = nn.Sequential(
        nn.Conv2d(1, 10, 3),
        nn.MaxPool(2),
        nn.Conv2d(10, 10, 3),
        nn.MaxPool(2),
        nn.Flatten(),
        nn.OnGlobals(nn.Linear(490, 3)),
    )
    table = model.summary(image((28, 28)))
    assert [(row.layer, row.parameters, row.output) for row in table.rows] == [
        ("Conv2d", 100, "28 x 28 x 10"),
        ("MaxPool", 0, "14 x 14 x 10"),
        ("Conv2d", 910, "14 x 14 x 10"),
        ("MaxPool", 0, "7 x 7 x 10"),
        ("Flatten", 0, "490"),
        ("Linear", 1473, "3"),
    ]
    assert [row.receptive_field for row in table.rows[:4]] == [(3, 3), (4, 4), (8, 8), (10, 10)]
    assert table.rows[0].flops == (2 * (28 * 28 * 9 - 4 * 28 * 3 + 4) + 28 * 28) * 10
    assert table.num_parameters == 2483 and table.hops == float("inf")
    lines = str(table).splitlines()
    assert "7 x 7 x 10" in lines[5] and "10 x 10" in lines[5] and " all " in lines[6]
    batch = model.summary(image((28, 28), num_graphs=4))
    assert [row.output for row in batch.rows][-3:] == ["4 x 7 x 7 x 10", "4 x 490", "4 x 3"]


def test_features_within_a_block_have_the_size_of_its_grid():
    class Block(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(1, 4, rng=0)

        def forward(self, graph):
            return graph.replace(x=self.inner(graph.x))

    assert Block().summary(image((5, 6))).rows[0].output == "5 x 6 x 4"
