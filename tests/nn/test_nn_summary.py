"""The summary: rows, totals, receptive field, and work that grows as it should."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn
from gnnkit.errors import InvalidArgumentError
from gnnkit.message import neighbour_sum


class SumConv(nn.Module):
    """The smallest convolution: neighbours' sum of a linear map."""

    hops = 1

    def __init__(self, channels: int) -> None:
        self.linear = nn.Linear(channels, channels, rng=0)

    def forward(self, graph):
        return graph.replace(x=neighbour_sum(graph.topology, self.linear(graph.x)))

    def work(self, graph_in, graph_out):
        return self.linear.work(graph_in, graph_out) + graph_in.num_edges * graph_in.x.shape[1]


def with_x(graph, channels=4):
    return graph.replace(x=np.ones((graph.num_nodes, channels), dtype=np.float32))


def test_rows_and_totals():
    model = nn.Sequential(SumConv(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    table = nn.summary(model, with_x(gk.path(5)))
    assert [row.name for row in table.rows] == ["0", "1", "2", "3"]
    assert [row.parameters for row in table.rows] == [20, 0, 0, 10]
    assert [row.hops for row in table.rows] == [1, 1, 1, 1]
    assert [row.output for row in table.rows] == ["[5, 4]", "[5, 4]", "[5, 4]", "[5, 2]"]
    assert table.num_parameters == model.num_parameters == 30
    assert table.rows[0].flops == 2 * 20 * 4 + 20 + 8 * 4
    assert table.rows[0].bytes == 2 * 80 + 8 * 4
    text = str(model.summary(with_x(gk.path(5))))
    assert text.splitlines()[-1].split()[:3] == ["total", "Sequential", "30"]
    assert "SumConv" in text
    assert repr(table) == str(table)


def test_doubling_nodes_doubles_the_work_and_complete_graphs_cost_four_times():
    model = nn.Sequential(SumConv(4), nn.ReLU(), SumConv(4))
    small, large = (nn.summary(model, with_x(gk.cycle(n))) for n in (50, 100))
    assert large.flops == 2 * small.flops
    assert large.num_bytes == 2 * small.num_bytes
    assert large.num_parameters == small.num_parameters
    sums = [nn.summary(model, with_x(gk.complete(n))) for n in (200, 400)]
    assert sums[1].flops / sums[0].flops == pytest.approx(4, rel=0.1)


def test_receptive_field_is_the_true_one():
    model = nn.Sequential(SumConv(1), nn.Tanh(), SumConv(1), SumConv(1))
    g = with_x(gk.path(9), 1)
    assert nn.summary(model, g).hops == 3
    x = gk.tensor(g.x, requires_grad=True)
    model(g.replace(x=x)).x[4].sum().backward()
    reached = np.flatnonzero(x.grad.numpy().ravel())
    assert reached.min() == 1
    assert reached.max() == 7


def test_residual_branches_run_in_parallel():
    model = nn.Sequential(nn.Residual(SumConv(4), projection=SumConv(4)), SumConv(4))
    table = nn.summary(model, with_x(gk.path(5)))
    assert [row.hops for row in table.rows] == [1, 1, 2]
    assert table.hops == 2


def test_shared_layers_count_their_parameters_once():
    layer = SumConv(4)
    table = nn.summary(nn.Sequential(layer, layer), with_x(gk.path(3)))
    assert [row.parameters for row in table.rows] == [20, 0]
    assert [row.hops for row in table.rows] == [1, 2]
    assert table.num_parameters == 20


def test_custom_modules_show_their_own_parameters_and_unknown_work():
    class Own(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(2, 2)
            self.gain = nn.Parameter([1.0])

        def forward(self, x):
            return self.inner(x) * self.gain

    table = nn.summary(Own(), np.ones((3, 2)))
    assert [(row.name, row.parameters) for row in table.rows] == [("inner", 6), (".", 1)]
    assert table.rows[1].flops is None
    assert "?" in str(table)


def test_global_state_reaches_all():
    class Pool(nn.Module):
        hops = float("inf")

        def forward(self, x):
            return x.mean(axis=0, keepdims=True)

    table = nn.summary(nn.Sequential(nn.Linear(2, 2), Pool()), np.ones((3, 2)))
    assert table.hops == float("inf")
    assert " all " in str(table)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.BatchNorm(4), nn.Dropout(0.5).seed(0), nn.Linear(4, 4).eval())
    before, state = model.state_dict(), model.rng_state()
    nn.summary(model, with_x(gk.path(3)))
    assert [m.training for m in model] == [True, True, False]
    assert model.rng_state() == state
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())


def test_an_error_in_the_model_leaves_no_watcher_behind():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(3, 1))
    with pytest.raises(gk.errors.ShapeError):
        nn.summary(model, np.ones((2, 4)))
    assert model.training
    assert len(nn.summary(model[0], np.ones((2, 4))).rows) == 1


def test_work_of_layers_by_hand():
    def flops(layer, graph, channels=4):
        return nn.summary(layer, with_x(graph, channels)).flops

    # 3 edges and 4 nodes, of which one has a self-loop already: 6 edges are summed over.
    graph = gk.from_edges([0, 1, 2], [1, 2, 2], num_nodes=4)
    assert flops(nn.GCNConv(4, 2), graph) == 2 * 4 * 4 * 2 + 2 * 6 * 2
    assert flops(nn.GCNConv(4, 2, self_loops=False), graph) == 2 * 4 * 4 * 2 + 2 * 3 * 2
    assert flops(nn.SAGEConv(4, 2), graph) == 2 * (2 * 4 * 4 * 2) + 2 * 3 * 2
    mlp = flops(nn.MLP([4, 8, 2]), graph)
    assert mlp == 4 * (2 * 4 * 8 + 8) + 4 * 8 + 4 * (2 * 8 * 2 + 2)
    assert flops(nn.GINConv(nn.MLP([4, 8, 2])), graph) == mlp + 2 * 3 * 4 + 2 * 4 * 4
    edges = graph.replace(e=np.ones((3, 4), dtype=np.float32))
    assert flops(nn.GINEConv(nn.MLP([4, 8, 2])), edges) == mlp + 3 * 3 * 4 + 2 * 4 * 4
    table = nn.summary(nn.GlobalPool("sum", head=nn.Linear(4, 2)), with_x(graph))
    assert [row.flops for row in table.rows] == [2 * 4 * 2 + 2, 4 * 4]
    # A complete graph with its self-loops has n * n edges: exactly four times the sums for twice the nodes.
    small, large = (flops(nn.APPNP(K=1, alpha=0.0), gk.complete(n)) - 2 * n * 4 for n in (50, 100))
    assert large == 4 * small


def test_zero_nodes():
    table = nn.summary(nn.Sequential(SumConv(4), nn.ReLU()), with_x(gk.empty(0)))
    assert table.flops == 0
    assert table.rows[1].output == "[0, 4]"


@pytest.mark.parametrize("name", nn.models.names())
def test_work_of_every_named_model_doubles_with_the_nodes(name):
    model = nn.models.build(name, 4, 3)
    small, large = (nn.summary(model, with_x(gk.cycle(n))) for n in (60, 120))
    assert all(row.flops is not None for row in small.rows)
    assert large.flops == 2 * small.flops
    assert large.num_bytes == 2 * small.num_bytes
    assert large.num_parameters == small.num_parameters == model.num_parameters == sum(r.parameters for r in small.rows)


def test_a_summary_without_a_graph_says_what_to_pass():
    with pytest.raises(InvalidArgumentError, match=r"Linear got nothing\. Pass a graph: model\.summary\(graph\)"):
        nn.Linear(2, 2).summary()
