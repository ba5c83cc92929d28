"""One contract for all layers: permuted nodes, reordered edges, batches, gradients, backends, dtypes, empty graphs."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from layer_cases import CHANNELS, EDGE_CHANNELS, GLOBAL_CHANNELS, LAYERS

import gnnkit as gk
from gnnkit import kernels as K

every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, seed=0):
    layer = LAYERS[name][0](np.random.default_rng(seed)).astype("float64")
    rng = np.random.default_rng(seed + 1)
    for parameter in layer.parameters():  # biases too
        parameter.assign(parameter.data + rng.normal(scale=0.3, size=parameter.shape))
    return layer


def make_graph(name, senders, receivers, num_nodes, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    state = LAYERS[name][1]
    return gk.from_edges(
        senders,
        receivers,
        x=rng.normal(size=(num_nodes, CHANNELS)).astype(dtype),
        e=rng.normal(size=(len(senders), EDGE_CHANNELS)).astype(dtype) if "e" in state else None,
        u=rng.normal(size=(1, GLOBAL_CHANNELS)).astype(dtype) if "u" in state else None,
        edges={"w": rng.uniform(0.5, 2.0, len(senders)).astype(dtype), "kind": rng.integers(0, 3, len(senders))},
    )


# A self-loop at 1, an isolated node 5, node 4 sends only; no parallel edges, so that the order of edges cannot matter.
SENDERS, RECEIVERS, NUM_NODES = np.array([0, 1, 2, 1, 3, 4, 2, 0]), np.array([1, 0, 1, 1, 2, 2, 3, 3]), 6


def standard(name, seed=3, dtype="float64"):
    return make_graph(name, SENDERS, RECEIVERS, NUM_NODES, seed, dtype)


def results(layer, graph):
    """Every state that the layer returns, and the gradients of a fixed function of them for x and the parameters."""
    x = gk.tensor(graph.x, requires_grad=True)
    layer.zero_grad()
    out = layer(graph.replace(x=x))
    loss, states = gk.tensor(np.zeros((), graph.x.dtype)), {}
    for field, level in (("x", out.nodes), ("e", out.edges), ("u", out.globals)):
        if field in level:
            states[field] = gk.autodiff.as_array(level[field])
            loss = loss + np.sum(np.sin(level[field]))
    if loss.requires_grad:
        loss.backward()
    gradients = {n: p.grad.numpy() for n, p in layer.named_parameters() if p.grad is not None}
    return states, x.grad.numpy() if x.grad is not None else np.zeros(x.shape), gradients


def assert_same(left, right, tolerance=1e-11):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_allclose(left[key], right[key], rtol=tolerance, atol=tolerance, err_msg=key)


@every_layer
def test_permuting_the_nodes_permutes_outputs_and_gradients(name, rng):
    layer, graph = make(name), standard(name)
    order = rng.permutation(NUM_NODES)  # node i becomes order[i]
    x = np.empty_like(graph.x)
    x[order] = graph.x
    senders, receivers, fields = graph.to_edges()
    state = {"u": graph.u} if "u" in graph.globals else {}
    moved = gk.from_edges(order[senders], order[receivers], x=x, edges=fields, globals=state)
    states, x_gradient, gradients = results(layer, graph)
    moved_states, moved_x_gradient, moved_gradients = results(layer, moved)
    if layer.symmetry["nodes"] != "invariant":
        np.testing.assert_allclose(moved_states["x"][order], states["x"], atol=1e-11)
    if "u" in states:
        np.testing.assert_allclose(moved_states["u"], states["u"], atol=1e-11)
    if "e" in states:
        caller = moved.replace(e=moved_states["e"]).to_edges()[2]["e"]
        np.testing.assert_allclose(caller, graph.replace(e=states["e"]).to_edges()[2]["e"], atol=1e-11)
    np.testing.assert_allclose(moved_x_gradient[order], x_gradient, atol=1e-11)
    assert_same(gradients, moved_gradients)


@every_layer
def test_the_order_of_the_edges_changes_no_bit(name, rng):
    layer, graph = make(name), standard(name)
    shuffle = rng.permutation(graph.num_edges)
    senders, receivers, fields = graph.to_edges()
    state = {"u": graph.u} if "u" in graph.globals else {}
    shuffled = gk.from_edges(
        senders[shuffle],
        receivers[shuffle],
        x=graph.x,
        edges={key: value[shuffle] for key, value in fields.items()},
        globals=state,
    )
    (states, x_gradient, gradients), (s, xg, gs) = results(layer, graph), results(layer, shuffled)
    for key in states:
        np.testing.assert_array_equal(states[key], s[key])
    np.testing.assert_array_equal(x_gradient, xg)
    for key in gradients:
        np.testing.assert_array_equal(gradients[key], gs[key])


@every_layer
def test_a_batch_equals_a_loop(name):
    layer = make(name)
    nothing, none = np.zeros(0, int), np.zeros(0, int)
    graphs = [
        make_graph(name, nothing, none, 0, 5),
        standard(name),
        make_graph(name, nothing, none, 2, 6),
        make_graph(name, np.array([0, 1, 0]), np.array([1, 0, 1]), 3, 7),
        make_graph(name, nothing, none, 0, 8),
    ]
    states, x_gradient, gradients = results(layer, gk.batch(graphs))
    single = [results(layer, graph) for graph in graphs]
    for key, value in states.items():
        parts = [part[key] for part, _, _ in single]
        np.testing.assert_allclose(value, np.concatenate(parts), atol=1e-11, err_msg=key)
    np.testing.assert_allclose(x_gradient, np.concatenate([part for _, part, _ in single]), atol=1e-11)
    for key, value in gradients.items():
        total = sum(part.get(key, 0.0) for _, _, part in single)
        np.testing.assert_allclose(value, total, atol=1e-10, err_msg=key)


@contextmanager
def parameters_replaced(layer, tensors):
    """The layer with other tensors in the places of its parameters."""
    places = [(module, key) for module in layer.modules() for key, _ in module.own_parameters()]
    old = [getattr(module, key) for module, key in places]
    try:
        for (module, key), value in zip(places, tensors, strict=True):
            object.__setattr__(module, key, value)
        yield
    finally:
        for (module, key), value in zip(places, old, strict=True):
            object.__setattr__(module, key, value)


def derivatives(name, seed):
    layer, graph = make(name, seed), standard(name, seed + 30)
    starts = [parameter.data for module in layer.modules() for _, parameter in module.own_parameters()]
    state = {key: graph.edges[key] for key in ("e", "w") if key in graph.edges}

    def function(x, *values):
        fields = dict(zip(state, values[: len(state)], strict=True))
        with parameters_replaced(layer, values[len(state) :]):
            out = layer(graph.replace(x=x, edges=fields))
        states = (out.x, *out.edges.values(), *out.globals.values())
        return sum(np.sum(np.sin(value)) for value in states)

    return gk.gradcheck(function, graph.x, *state.values(), *starts, order=2, directions=1)


@every_layer
def test_first_and_second_derivatives_against_differences(name):
    # Differences that straddle the kink of a relu or a max are wrong by chance, a wrong rule is wrong everywhere.
    reports = []
    while not (reports and reports[-1].passed):
        assert len(reports) < 3, "\n".join(map(str, reports))
        reports.append(derivatives(name, seed=len(reports)))


@every_layer
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(0, 0), (1, 0), (4, 0), (1, 2)])
def test_empty_and_tiny_graphs(name, num_nodes, num_edges):
    layer = make(name)
    graph = make_graph(name, np.zeros(num_edges, int), np.zeros(num_edges, int), num_nodes, 1)
    states, x_gradient, gradients = results(layer, graph)
    for value in (*states.values(), x_gradient, *gradients.values()):
        assert np.isfinite(value).all()
    assert len(states["x"]) == num_nodes


@every_layer
def test_float32_stays_float32(name):
    layer, graph = make(name).astype("float32"), standard(name, dtype="float32")
    states, x_gradient, gradients = results(layer, graph)
    for key, value in (*states.items(), ("gradient of x", x_gradient), *gradients.items()):
        assert value.dtype == np.float32, key


@every_layer
def test_other_floats_are_converted_on_entry(name):
    layer, graph = make(name), standard(name)
    single = layer.astype("float32")(graph)
    if any(True for _ in layer.parameters()):
        changed = single.x if layer.symmetry["nodes"] != "invariant" else single.u
        assert gk.autodiff.as_array(changed).dtype == np.float32


@every_layer
def test_backends_agree(name):
    layer, graph = make(name), standard(name)
    with K.use_backend("numpy"):
        plain = results(layer, standard(name))
    fast = results(layer, graph)
    assert_same(plain[0], fast[0])
    np.testing.assert_allclose(plain[1], fast[1], atol=1e-11)
    assert_same(plain[2], fast[2])


@every_layer
def test_a_layer_is_rebuilt_from_its_specification(name):
    layer, graph = make(name), standard(name)
    again = gk.nn.build(layer.config()).astype("float64")
    again.load_state_dict(layer.state_dict())
    assert_same(results(layer, graph)[0], results(again, graph)[0], tolerance=0)
    assert repr(again) == repr(layer)


@every_layer
def test_resetting_draws_the_same_bits_from_the_same_seed(name):
    layer = make(name)
    first = layer.reset_parameters(5).state_dict()
    second = LAYERS[name][0](np.random.default_rng(9)).astype("float64").reset_parameters(5).state_dict()
    assert_same(first, second, tolerance=0)


@every_layer
def test_summary_counts_its_work(name):
    layer, graph = make(name), standard(name)
    assert name.split()[0] and str(layer.summary(graph))


@every_layer
def test_unused_state_is_refused(name):
    layer, graph = make(name), standard(name)
    if "u" not in graph.globals:
        with pytest.raises(gk.errors.InvalidFeatureError, match=r"without\('u'\)"):
            layer(graph.replace(u=np.ones((1, 2))))
    if "e" not in graph.edges and name != "global pool":
        with pytest.raises(gk.errors.InvalidFeatureError, match=r"without\('e'\)"):
            layer(graph.replace(e=np.ones((graph.num_edges, 2))))


@every_layer
def test_integer_features_are_refused_with_advice(name):
    layer, graph = make(name), standard(name)
    with pytest.raises(gk.errors.DTypeError, match="one-hot"):
        layer(graph.replace(x=np.ones((NUM_NODES, CHANNELS), int)))


@every_layer
def test_a_field_that_is_needed_and_missing_is_named(name):
    layer, graph = make(name), standard(name)
    for field in LAYERS[name][1]:
        with pytest.raises(gk.errors.UnknownFieldError, match=f"'{field}'"):
            layer(graph.without(field))
