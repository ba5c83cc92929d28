"""EGNNConv and SchNetConv: the equations of their papers by loops, motions of space, permutations, learning."""

from __future__ import annotations

import numpy as np
import pytest
from position_cases import NUM_EDGES, NUM_NODES, make_graph, randomised, states

import gnnkit as gk
from gnnkit.errors import (
    ShapeError,
)

# --- the equations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_channels", [None, 2])
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("dimensions", [1, 3])
def test_egnn(edge_channels, update, dimensions, rng):
    graph = make_graph(rng, edge_channels=edge_channels, dimensions=dimensions)
    options = {"edge_channels": edge_channels, "update_positions": update}
    layer = randomised(gk.nn.EGNNConv(3, 4, hidden=5, **options), rng)
    x, pos = graph.x, graph.nodes["pos"]
    received, moved = np.zeros((NUM_NODES, 5)), np.zeros((NUM_NODES, dimensions))
    for k in range(NUM_EDGES):
        i, j = graph.receivers[k], graph.senders[k]
        squared = np.sum((pos[i] - pos[j]) ** 2)
        z = np.concatenate([x[i], x[j], [squared]] + ([graph.e[k]] if edge_channels else []))
        message = layer.edge_mlp(z[None])
        message = gk.silu(message).numpy()[0]
        received[i] += message
        if update:
            moved[i] += (pos[i] - pos[j]) * layer.position_mlp(message[None]).numpy()[0]
    degree = np.maximum(graph.topology.in_degree(), 1)[:, None]
    new_x, new_pos = states(layer(graph))
    np.testing.assert_allclose(new_x, layer.node_mlp(np.concatenate([x, received], axis=1)).numpy(), atol=1e-10)
    np.testing.assert_allclose(new_pos, pos + moved / degree, atol=1e-10)
    summing = gk.nn.EGNNConv(3, 4, hidden=5, position_reducer="sum", residual=False, **options).astype("float64")
    summing.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(states(summing(graph))[1], pos + moved, atol=1e-10)


def test_egnn_residual(rng):
    graph = make_graph(rng)
    plain, residual = (gk.nn.EGNNConv(3, 3, residual=flag, rng=0).astype("float64") for flag in (False, True))
    np.testing.assert_allclose(states(residual(graph))[0], states(plain(graph))[0] + graph.x, atol=1e-12)
    with pytest.raises(ShapeError, match="residual=False"):
        gk.nn.EGNNConv(3, 4, residual=True)


def test_egnn_on_a_complete_graph_divides_as_in_the_paper(rng):
    graph = gk.complete(5).replace(x=rng.normal(size=(5, 2)), nodes={"pos": rng.normal(size=(5, 3))})
    by_mean, by_sum = (
        randomised(gk.nn.EGNNConv(2, 4, position_reducer=reducer), np.random.default_rng(1))
        for reducer in ("mean", "sum")
    )
    steps = [states(layer(graph))[1] - graph.nodes["pos"] for layer in (by_mean, by_sum)]
    np.testing.assert_allclose(steps[0] * (5 - 1), steps[1], atol=1e-10)


def test_egnn_starts_almost_at_rest(rng):
    graph = make_graph(rng)
    step = states(gk.nn.EGNNConv(3, 16, rng=0).reset_parameters(1)(graph))[1] - graph.nodes["pos"]
    assert 0 < abs(step).max() < 0.01


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dimensions", [1, 3])
def test_schnet(bias, dimensions, rng):
    graph = make_graph(rng, dimensions=dimensions)
    cutoff, gaussians = 2.0, 6
    layer = gk.nn.SchNetConv(3, 4, filters=5, gaussians=gaussians, cutoff=cutoff, bias=bias)
    randomised(layer, rng)
    pos, centres = graph.nodes["pos"], np.linspace(0, cutoff, gaussians)
    gamma = 1 / (2 * (centres[1] - centres[0]) ** 2)

    def shifted_softplus(values):
        return np.log(0.5 * np.exp(values) + 0.5)

    summed, beyond = np.zeros((NUM_NODES, 5)), 0
    for k in range(NUM_EDGES):
        i, j = graph.receivers[k], graph.senders[k]
        distance = np.linalg.norm(pos[i] - pos[j])
        beyond += distance > cutoff
        hidden = np.exp(-gamma * (distance - centres) ** 2) @ layer.filter_weight_1.data + layer.filter_bias_1.data
        hidden = shifted_softplus(hidden) @ layer.filter_weight_2.data + layer.filter_bias_2.data
        fade = 0.5 * (np.cos(np.pi * distance / cutoff) + 1) if distance < cutoff else 0
        summed[i] += (graph.x[j] @ layer.in_weight.data) * shifted_softplus(hidden) * fade
    assert 0 < beyond < NUM_EDGES
    expected = summed @ layer.out_weight.data + (layer.bias.data if bias else 0)
    new_x, new_pos = states(layer(graph))
    np.testing.assert_allclose(new_x, expected, atol=1e-10)
    np.testing.assert_array_equal(new_pos, pos)


def test_schnet_is_smooth_at_the_cutoff(rng):
    layer = randomised(gk.nn.SchNetConv(1, 1, gaussians=5, cutoff=2.0), rng)

    def force(distance):
        pos = gk.tensor(np.array([[0.0], [distance]]), requires_grad=True)
        graph = gk.from_edges([0], [1], x=np.ones((2, 1)), nodes={"pos": pos})
        layer(graph).x[1].sum().backward()
        return pos.grad.numpy()[1, 0]

    assert abs(force(1.99)) > abs(force(1.9999)) > 0
    assert force(2.0) == force(2.5) == 0
    assert abs(force(2 - 1e-7)) < 1e-5


# --- motions of space -----------------------------------------------------------------------------------------------

LAYERS = {
    "egnn": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, rng=0), False),
    "egnn edges": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, edge_channels=2, rng=0), True),
    "egnn at rest": (lambda: gk.nn.EGNNConv(3, 4, hidden=5, update_positions=False, rng=0), False),
    "schnet": (lambda: gk.nn.SchNetConv(3, 4, gaussians=6, cutoff=4.0, rng=0), False),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


def standard(name, seed=3, **options):
    return make_graph(np.random.default_rng(seed), edge_channels=2 if LAYERS[name][1] else None, **options)


def make(name, seed=1):
    return randomised(LAYERS[name][0](), np.random.default_rng(seed))


def motions(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    shift = rng.normal(scale=3.0, size=3)
    still = np.zeros(3)
    return {
        "rotation": (rotation, still),
        "reflection": (np.diag([1.0, 1.0, -1.0]), still),
        "translation": (np.eye(3), shift),
        "all": (rotation @ np.diag([-1.0, 1.0, 1.0]), shift),
    }


def gradients(layer, graph, turn=None):
    """Gradients, for features, positions and parameters, of a function of what comes out, turned back first."""
    turn = np.eye(3) if turn is None else turn
    x = gk.tensor(graph.x, requires_grad=True)
    pos = gk.tensor(graph.nodes["pos"], requires_grad=True)
    layer.zero_grad()
    out = layer(graph.replace(x=x, nodes={"pos": pos}))
    moved = (out.nodes["pos"] - pos) @ turn
    (np.sin(out.x).sum() + np.sin(moved).sum()).backward()
    rest = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters() if parameter.grad is not None}
    return x.grad.numpy(), pos.grad.numpy(), rest


@every_layer
@pytest.mark.parametrize("motion", ["rotation", "reflection", "translation", "all"])
def test_motions_of_space(name, motion, rng):
    layer, graph = make(name), standard(name)
    turn, shift = motions(rng)[motion]
    pos = graph.nodes["pos"]
    moved = graph.replace(nodes={"pos": pos @ turn.T + shift})
    (x, p), (moved_x, moved_p) = states(layer(graph)), states(layer(moved))
    np.testing.assert_allclose(moved_x, x, atol=1e-10)
    np.testing.assert_allclose(moved_p, p @ turn.T + shift, atol=1e-10)
    (gx, gp, rest), (moved_gx, moved_gp, moved_rest) = gradients(layer, graph), gradients(layer, moved, turn)
    np.testing.assert_allclose(moved_gx, gx, atol=1e-10)
    np.testing.assert_allclose(moved_gp, gp @ turn.T, atol=1e-10)
    for key, value in rest.items():
        np.testing.assert_allclose(moved_rest[key], value, atol=1e-10)


@every_layer
def test_what_is_declared(name):
    layer = make(name)
    moves = isinstance(layer, gk.nn.EGNNConv) and layer.position_mlp is not None
    assert layer.symmetry == gk.nn.EQUIVARIANT | {"euclidean": "equivariant" if moves else "invariant"}


@every_layer
def test_permuting_the_nodes_permutes_outputs_and_gradients(name, rng):
    layer, graph = make(name), standard(name)
    order = rng.permutation(NUM_NODES)  # node i becomes order[i]
    x, pos = np.empty_like(graph.x), np.empty_like(graph.nodes["pos"])
    x[order], pos[order] = graph.x, graph.nodes["pos"]
    senders, receivers, fields = graph.to_edges()
    permuted = gk.from_edges(order[senders], order[receivers], x=x, edges=fields, nodes={"pos": pos})
    for there, here in zip(states(layer(permuted)), states(layer(graph)), strict=True):
        np.testing.assert_allclose(there[order], here, atol=1e-11)
    (gx, gp, rest), (other_gx, other_gp, other_rest) = gradients(layer, graph), gradients(layer, permuted)
    np.testing.assert_allclose(other_gx[order], gx, atol=1e-11)
    np.testing.assert_allclose(other_gp[order], gp, atol=1e-11)
    for key, value in rest.items():
        np.testing.assert_allclose(other_rest[key], value, atol=1e-11)


@every_layer
def test_the_order_of_the_edges_changes_no_bit(name, rng):
    layer, graph = make(name), standard(name)
    senders, receivers, fields = graph.to_edges()
    keep = np.array([0, *range(2, NUM_EDGES)])  # one of the two parallel edges: their order is the caller's
    shuffle = rng.permutation(keep)
    graphs = [
        gk.from_edges(
            senders[chosen],
            receivers[chosen],
            x=graph.x,
            edges={key: value[chosen] for key, value in fields.items()},
            nodes={"pos": graph.nodes["pos"]},
        )
        for chosen in (keep, shuffle)
    ]
    for left, right in zip(*(states(layer(g)) for g in graphs), strict=True):
        np.testing.assert_array_equal(left, right)


# --- learning -------------------------------------------------------------------------------------------------------


def test_two_layers_learn_a_distance(rng):
    graph = make_graph(rng)
    model = gk.nn.Sequential(gk.nn.EGNNConv(3, 8, rng=0), gk.nn.EGNNConv(8, 1, rng=1)).astype("float64")
    target = np.linalg.norm(graph.nodes["pos"], axis=1, keepdims=True)
    optimiser = gk.nn.Adam(model, lr=0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = gk.nn.mse_loss(model(graph).x, target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
