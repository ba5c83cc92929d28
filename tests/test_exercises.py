"""Exercises of university courses on whole layers and models; those on one operation stand beside its module."""

from __future__ import annotations

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import nn


def full_block(channels: int = 4) -> nn.GraphNetwork:
    """Nodes, edges and a global state, each updated from all that it sees."""
    return nn.GraphNetwork(
        edge_model=nn.Linear(4 * channels, channels, rng=0),
        node_model=nn.Linear(3 * channels, channels, rng=1),
        global_model=nn.Linear(3 * channels, channels, rng=2),
    )


def with_state(graph: gk.Graph, channels: int = 4) -> gk.Graph:
    rows = {"x": graph.num_nodes, "e": graph.num_edges, "u": 1}
    return graph.replace(**{name: np.ones((n, channels), np.float32) for name, n in rows.items()})


def test_work_of_a_full_layer_with_nodes_edges_and_a_global_state():
    block = full_block()
    # Linear maps of 16, 12 and 12 channels to 4: 2 * 16 * 4 + 4 = 132 for an edge, 100 for a node and for the graph.
    for n, edges in ((50, 100), (100, 200)):
        table = block.summary(with_state(gk.cycle(n)))
        assert [row.flops for row in table.rows] == [132 * edges, 100 * n, 100]
        assert table.num_parameters == 68 + 52 + 52
    # On a complete graph twice the nodes mean four times the edges, and the same weights.
    table = block.summary(with_state(gk.complete(60)))
    assert table.rows[0].flops == 132 * 60 * 59
    assert table.num_parameters == 172
    assert table.hops == float("inf")


@pytest.mark.parametrize("name", ["gcn", "sage", "gat", "gatv2", "gin", "sgc", "appnp", "cheb", "graphconv", "mlp"])
def test_information_arrives_after_as_many_layers_as_the_distance(name):
    # What summary() calls hops is what the gradients see: node 10 of a path depends on exactly the nodes within them.
    options = {} if name in ("sgc", "appnp") else {"layers": 3}
    model = nn.models.build(name, 2, 1, rng=0, **options).astype("float64").eval()
    graph = gk.path(41).replace(x=np.random.default_rng(0).normal(size=(41, 2)))
    x = gk.tensor(graph.x, requires_grad=True)
    model(graph.replace(x=x)).x[20].sum().backward()
    reached = np.flatnonzero(np.abs(x.grad.numpy()).sum(axis=1))
    hops = int(model.summary(graph).hops)
    assert (reached.min(), reached.max()) == (20 - hops, 20 + hops)
    assert hops == {"sgc": 2, "appnp": 10, "cheb": 6, "mlp": 0}.get(name, 3)


def test_a_global_state_joins_any_two_nodes_within_two_layers():
    graph = with_state(gk.path(30))
    x = gk.tensor(graph.x, requires_grad=True)
    first, second = full_block(), full_block()
    second(first(graph.replace(x=x))).x[29].sum().backward()
    assert (np.abs(x.grad.numpy()).sum(axis=1) > 0).all()
    x.grad = None
    first(graph.replace(x=x)).x[29].sum().backward()
    assert np.flatnonzero(np.abs(x.grad.numpy()).sum(axis=1)).tolist() == [28, 29]


def test_own_weights_for_each_layer_or_shared_weights_with_new_data_at_each_step():
    unrolled = nn.ModuleList([nn.GCNConv(2, 2, rng=k) for k in range(3)])
    step = nn.GCNConv(2 + 1, 2, rng=0)  # two channels of state and one of new data
    graph = gk.cycle(4).replace(x=np.zeros((4, 2), np.float32))
    for time in range(3):
        news = np.full((4, 1), time, np.float32)
        graph = step(graph.replace(x=np.concatenate([graph.x, news], axis=1)))
    assert unrolled.num_parameters == 3 * (2 * 2 + 2)
    assert step.num_parameters == 3 * 2 + 2
    # On a regular graph of equal nodes the averaging changes nothing: h <- [h, time] W + b.
    h = np.zeros(2)
    for time in range(3):
        h = np.append(h, time) @ step.weight.numpy() + step.bias.numpy()
    np.testing.assert_allclose(graph.x.numpy(), np.tile(h, (4, 1)), rtol=1e-5)


class Dense(nn.Module):
    """Every layer reads the outputs of all earlier ones, concatenated."""

    symmetry = nn.GCNConv.symmetry

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        widths = [channels + k * growth for k in range(layers)]
        self.layers = nn.ModuleList([nn.GCNConv(width, growth, rng=k) for k, width in enumerate(widths)])

    def forward(self, graph: gk.Graph) -> gk.Graph:
        for layer in self.layers:
            graph = graph.replace(x=np.concatenate([graph.x, layer(graph).x], axis=1))
        return graph


def test_skip_connections_written_out():
    graph = gk.path(3).replace(x=np.array([[1.0, 7.0], [7.0, 9.0], [2.0, 2.0]], np.float32))
    conv, norm = nn.GCNConv(2, 2, rng=0), nn.LayerNorm(2)
    x, inner = graph.x, conv(graph).x.numpy()
    pre = nn.Residual(nn.Sequential(norm, conv))(graph).x.numpy()
    np.testing.assert_allclose(pre, x + conv(norm(graph)).x.numpy(), rtol=1e-6)
    post = nn.Sequential(nn.Residual(conv), norm)(graph).x.numpy()
    np.testing.assert_allclose(post, norm(x + inner).numpy(), rtol=1e-6)
    wide, projection = nn.GCNConv(2, 3, rng=1), nn.Linear(2, 3, rng=2)
    projected = nn.Residual(wide, projection=projection)(graph).x.numpy()
    np.testing.assert_allclose(projected, projection(x).numpy() + wide(graph).x.numpy(), rtol=1e-6)
    out = Dense(2, 3, 4)(graph)
    assert out.x.shape == (3, 2 + 4 * 3)
    np.testing.assert_array_equal(out.x.numpy()[:, :2], x)


def last_loss(wrap, depth: int, epochs: int = 40) -> float:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 8)).astype(np.float32)
    graph, y = gk.cycle(32).replace(x=x), np.sin(x[:, :1])
    blocks = [wrap(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8, rng=rng), nn.ReLU())) for _ in range(depth)]
    model = nn.Sequential(*blocks, nn.LayerNorm(8), nn.Linear(8, 1, rng=rng))
    optimizer = nn.Adam(model, lr=0.003)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = nn.mse_loss(model(graph).x, y)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_a_net_of_fifty_more_layers_trains_with_skip_connections_and_stalls_without():
    # The targets have a variance of 0.42: a net that learns nothing but their mean stays there.
    shallow = last_loss(nn.Residual, 2)
    assert shallow < 0.15
    assert last_loss(nn.Residual, 52) < shallow
    assert last_loss(lambda block: block, 52) > 0.3
