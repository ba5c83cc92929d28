"""In gk.exact_sums() every layer is equivariant to the last bit, and so is a whole training."""

from __future__ import annotations

import numpy as np
import pytest
from test_nn_symmetry import LAYERS, NUM_NODES, RECEIVERS, SENDERS, make, make_graph, results

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.kernels import parallel

every_layer = pytest.mark.parametrize("name", LAYERS)


def larger(name, dtype, seed):
    """A graph of 40 nodes with hubs, self-loops, parallel edges of different features, and isolated nodes."""
    rng = np.random.default_rng(seed)
    senders = np.concatenate([rng.integers(0, 36, 150), np.arange(20), SENDERS, SENDERS])
    receivers = np.concatenate([rng.integers(0, 36, 150), np.full(20, 7), RECEIVERS, RECEIVERS])
    return make_graph(name, senders, receivers, 40, seed, dtype)


def relabelled(graph, order, shuffle):
    """The same graph whose node i is called order[i], its edges given in another order."""
    senders, receivers, fields = graph.to_edges()
    x = np.empty_like(graph.x)
    x[order] = graph.x
    return gk.from_edges(
        order[senders][shuffle],
        order[receivers][shuffle],
        x=x,
        edges={key: value[shuffle] for key, value in fields.items()},
        globals={"u": graph.u} if "u" in graph.globals else {},
    )


def bits(array):
    """The bits of floats as integers, every NaN the same."""
    array = np.ascontiguousarray(array)
    return np.where(np.isnan(array), 0, array.view(f"u{array.itemsize}"))


def assert_same_bits(left, right):
    np.testing.assert_array_equal(bits(left), bits(right))


def moved_results(layer, graph, order, shuffle):
    """Results for a relabelled graph, with the rows of nodes and edges moved back."""
    states, x_gradient, gradients = results(layer, moved := relabelled(graph, order, shuffle))
    states = dict(states)
    if "x" in states and len(states["x"]) == graph.num_nodes:
        states["x"] = states["x"][order]
    if "e" in states:
        given = moved.replace(e=states["e"]).to_edges()[2]["e"]
        back = np.empty_like(given)
        back[shuffle] = given
        states["e"] = back
    return states, x_gradient[order], gradients


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relabelling_the_nodes_changes_no_bit(name, dtype, rng):
    layer, graph = make(name).astype(dtype), larger(name, dtype, 11)
    with gk.exact_sums():
        states, x_gradient, gradients = results(layer, graph)
        if "e" in states:
            states["e"] = graph.replace(e=states["e"]).to_edges()[2]["e"]
        for _ in range(4):
            order, shuffle = rng.permutation(graph.num_nodes), rng.permutation(graph.num_edges)
            moved, moved_x, moved_gradients = moved_results(layer, graph, order, shuffle)
            for key in states:
                assert_same_bits(moved[key], states[key])
            assert_same_bits(moved_x, x_gradient)
            assert moved_gradients.keys() == gradients.keys()
            for key in gradients:
                assert_same_bits(moved_gradients[key], gradients[key])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_nodes", [31, 203])
def test_wide_features_and_narrow_results(num_nodes, dtype, rng):
    """Products of such shapes are where BLAS rounds a row by its position: 3 channels show nothing of that."""
    senders, receivers = rng.integers(0, num_nodes, (2, 4 * num_nodes))
    x = rng.normal(size=(num_nodes, 33)).astype(dtype)
    model = gk.nn.Sequential(
        gk.nn.GCNConv(33, 64, rng=0), gk.nn.Tanh(), gk.nn.SAGEConv(64, 17, rng=0), gk.nn.Linear(17, 1, rng=0)
    ).astype(dtype)
    found = []
    for order in (np.arange(num_nodes), rng.permutation(num_nodes)):
        model.zero_grad()
        given = gk.tensor(x[np.argsort(order)], requires_grad=True)
        with gk.exact_sums():
            out = model(gk.from_edges(order[senders], order[receivers], x=given)).x
            np.sum(np.sin(out)).backward()
        found.append([out.numpy()[order], given.grad.numpy()[order], *(p.grad.numpy() for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        assert_same_bits(a, b)


@every_layer
def test_both_modes_and_both_backends_agree_but_for_roundings(name):
    layer, graph = make(name), larger(name, "float64", 12)
    usual = results(layer, graph)
    with gk.exact_sums():
        exact = results(layer, larger(name, "float64", 12))
        with K.use_backend("numpy"):
            plain = results(layer, larger(name, "float64", 12))
    for other in (exact, plain):
        for left, right in zip(usual, other):
            parts = [(left, right)] if isinstance(left, np.ndarray) else [(left[k], right[k]) for k in left]
            for a, b in parts:
                np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(a).max(initial=0.0)))


def test_what_was_remembered_in_the_usual_mode_is_not_used_in_the_exact_one():
    graph = gk.from_edges([0, 1, 2, 3], [4, 4, 4, 4], x=np.array([[1e8], [1.0], [-1e8], [1.0], [0.0]], "float32"))
    layer = gk.nn.GINConv(gk.nn.Linear(1, 3, rng=0))  # it sums first, and remembers
    usual = [layer(graph).x.numpy() for _ in range(3)][-1]
    with gk.exact_sums():
        exact = [layer(graph).x.numpy() for _ in range(3)][-1]
    again = layer(graph).x.numpy()
    assert not np.array_equal(usual, exact)
    np.testing.assert_array_equal(usual, again)


def test_sparse_features(rng):
    cora = gk.datasets.load("cora")
    x = gk.transforms.normalize_features(cora).x
    graph = gk.from_edges(*cora.to_edges()[:2], num_nodes=cora.num_nodes, x=x)
    order = rng.permutation(graph.num_nodes)
    moved = gk.from_edges(
        *(order[ends] for ends in cora.to_edges()[:2]), num_nodes=cora.num_nodes, x=x.take_rows(np.argsort(order))
    )
    for make_layer in (
        gk.nn.GCNConv,
        gk.nn.SAGEConv,
        gk.nn.TAGConv,
        lambda i, o, rng: gk.nn.GINConv(gk.nn.Linear(i, o)),
    ):
        layer = make_layer(1433, 5, rng=0).reset_parameters(0)
        found = []
        for g in (graph, moved):
            layer.zero_grad()
            with gk.exact_sums():
                out = layer(g).x
                np.sum(np.sin(out)).backward()
            found.append((out.numpy(), {n: p.grad.numpy() for n, p in layer.named_parameters()}))
        assert_same_bits(found[1][0][order], found[0][0])
        for key, value in found[0][1].items():
            assert_same_bits(found[1][1][key], value)


@pytest.mark.parametrize("name", ["gcn weighted", "gat", "pna", "gin"])
def test_second_derivatives_change_no_bit(name, rng):
    layer, graph = make(name).astype("float32"), larger(name, "float32", 9)
    order, shuffle = rng.permutation(40), rng.permutation(graph.num_edges)

    def steepness(g):
        """The derivative by x of the squared length of the derivative by x."""
        slope = gk.grad(lambda x: np.sum(np.sin(layer(g.replace(x=x)).x)))
        return gk.grad(lambda x: np.sum(np.square(slope(x))))(g.x)

    with gk.exact_sums():
        found, moved = (gk.autodiff.as_array(steepness(g)) for g in (graph, relabelled(graph, order, shuffle)))
    assert np.abs(found).max() > 0
    assert_same_bits(moved[order], found)


def positions(layer, order, shuffle):
    """Outputs and gradients of a geometric layer on a random graph, rows as the nodes were numbered first."""
    rng = np.random.default_rng(2)
    senders, receivers = rng.integers(0, 37, (2, 160))
    x, pos = rng.normal(size=(2, 40, 3)).astype("float32")
    fields = [gk.tensor(a[np.argsort(order)], requires_grad=True) for a in (x, pos)]
    ends = order[senders][shuffle], order[receivers][shuffle]
    layer.zero_grad()
    out = layer(gk.from_edges(*ends, x=fields[0], nodes={"pos": fields[1]}))
    results = out.x, gk.tensor(0.0) + out.nodes["pos"]
    sum(np.sum(np.sin(a)) for a in results).backward()
    rows = [a.numpy()[order] for a in (*results, *(f.grad for f in fields))]
    return rows + [p.grad.numpy() for p in layer.parameters()]


@pytest.mark.parametrize("kind", ["egnn", "schnet"])
def test_layers_with_positions(kind, rng):
    layer = {"egnn": gk.nn.EGNNConv, "schnet": gk.nn.SchNetConv}[kind](3, 4, positions="pos", rng=0)
    with gk.exact_sums():
        first = positions(layer, np.arange(40), np.arange(160))
        second = positions(layer, rng.permutation(40), rng.permutation(160))
    for a, b in zip(second, first, strict=True):
        assert_same_bits(a, b)


def test_shifting_a_torus_changes_no_bit(rng):
    conv, image = gk.nn.Conv2d(2, 3, 3, border="wrap", rng=0), rng.normal(size=(8, 8, 2)).astype("float32")
    found = []
    with gk.exact_sums():
        for shift in ((0, 0), (3, 5)):
            conv.zero_grad()
            out = conv(gk.from_image(np.roll(image, shift, (0, 1))))
            np.sum(np.sin(out.x)).backward()
            back = np.roll(gk.to_image(out), (-shift[0], -shift[1]), (0, 1))
            found.append((np.ascontiguousarray(back), conv.weight.grad.numpy()))
    for a, b in zip(*found, strict=True):
        assert_same_bits(a, b)


def train(graph, y, mask, seed):
    """A few steps of training with norms, weight decay and momentum; the state of the model and its outputs."""
    model = gk.nn.Sequential(
        gk.nn.GATConv(3, 4, heads=2, rng=0),
        gk.nn.GraphNorm(8),
        gk.nn.ELU(),
        gk.nn.GINConv(gk.nn.MLP([8, 8, 4], norm="batch")),
    )
    model.reset_parameters(seed)
    optimizer = gk.nn.SGD(model, lr=0.05, momentum=0.9, weight_decay=1e-2)  # Adam would blow up what differs
    for _ in range(5):
        optimizer.zero_grad()
        gk.nn.cross_entropy(model(graph).x, y, mask=mask).backward()
        optimizer.step()
    return model.eval()(graph).x.numpy(), model.state_dict()


def test_a_whole_training_is_the_same_to_the_bit(rng):
    graph = larger("gat", "float32", 5).without("w", "kind")
    y, mask = rng.integers(0, 4, 40), rng.random(40) < 0.6
    order, shuffle = rng.permutation(40), rng.permutation(graph.num_edges)
    moved = relabelled(graph, order, shuffle)
    moved_y, moved_mask = np.empty_like(y), np.empty_like(mask)
    moved_y[order], moved_mask[order] = y, mask
    with gk.exact_sums():
        out, state = train(graph, y, mask, 3)
        moved_out, moved_state = train(moved, moved_y, moved_mask, 3)
    assert_same_bits(moved_out[order], out)
    for key in state:
        assert_same_bits(moved_state[key], state[key])
    plain = train(graph, y, mask, 3)[0]
    np.testing.assert_allclose(out, plain, atol=1e-3)


def test_the_usual_mode_would_fail_this_test(rng):
    graph = larger("graph conv", "float32", 11)
    layer = make("graph conv").astype("float32")
    order, shuffle = rng.permutation(40), rng.permutation(graph.num_edges)
    states, _, gradients = results(layer, graph)
    moved, _, moved_gradients = moved_results(layer, graph, order, shuffle)
    differ = [not np.array_equal(bits(moved["x"]), bits(states["x"]))]
    differ += [not np.array_equal(bits(moved_gradients[key]), bits(gradients[key])) for key in gradients]
    assert any(differ)


def either_way(compute, *rows, tries=6):
    """Assert that ``compute`` gives the same bits for its arrays with their rows in any order."""
    rng = np.random.default_rng(1)
    with gk.exact_sums():
        first = np.asarray(compute(*rows))
        for _ in range(tries):
            order = rng.permutation(len(rows[0]))
            assert_same_bits(np.asarray(compute(*(a[order] for a in rows))), first)


def test_sums_of_plain_arrays_beside_the_network(rng):
    """Weights of classes, of averages, metrics, scalings: no Tensor is needed for an order to show."""
    x = rng.normal(size=(101, 3)) * 10.0 ** rng.integers(-2, 3, (101, 1))
    y, numbers = rng.integers(0, 3, 101), rng.normal(size=(2, 101))
    classes = np.array([0.1, 0.7, 1.3])
    either_way(lambda x, y: gk.nn.cross_entropy(x, y, weight=classes, label_smoothing=0.1).numpy(), x, y)
    either_way(lambda x, y: gk.nn.cross_entropy(x, y, weight=classes).numpy(), x, y)
    either_way(lambda x, w: np.average(gk.tensor(x), 0, weights=w).numpy(), x, np.abs(x[:, 0]))
    either_way(lambda x: np.prod(gk.tensor(x), 0).numpy(), x)
    either_way(lambda x: np.prod(gk.tensor(x), (0, 1), keepdims=True).numpy(), x)
    for metric in (gk.learn.rmse, gk.learn.mae, gk.learn.r2):
        either_way(metric, *numbers)


def test_walks_and_label_propagation_with_weights(rng):
    senders, receivers = rng.integers(0, 40, (2, 300))
    weights = rng.random(300) * 10.0 ** rng.integers(-3, 3, 300)
    order, shuffle = rng.permutation(40), rng.permutation(300)
    known, labels = rng.choice(40, 10, replace=False), rng.integers(0, 3, 10)
    found = []
    for place, turn in ((np.arange(40), np.arange(300)), (order, shuffle)):
        graph = gk.from_edges(
            place[senders][turn], place[receivers][turn], num_nodes=40, edges={"w": weights[turn]}
        )  # fmt: skip
        with gk.exact_sums():
            walks = gk.transforms.random_walk_encoding(graph, 5, weight="w").nodes["random_walk"]
            spread = [
                gk.learn.LabelPropagation(graph, method=method, edge_weight="w", max_iter=20)
                .fit(place[known], labels).label_distributions_
                for method in ("spreading", "propagation")
            ]  # fmt: skip
        found.append([a[place] for a in (walks, *spread)])
    for a, b in zip(*found, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_change_no_bit(threads, monkeypatch):
    monkeypatch.setattr(parallel, "DEFAULT_GRAIN", 1 << 8)  # else all of this is too little work for two
    shared = []
    submit = parallel._submit
    monkeypatch.setattr(parallel, "_submit", lambda task, copies: shared.append(copies) or submit(task, copies))
    before = K.get_num_threads()
    graph = larger("gat", "float32", 4)
    big = gk.batch([graph] * 60)
    layer = make("gat").astype("float32")
    try:
        with gk.exact_sums():
            K.set_num_threads(1)
            expected = results(layer, big)
            assert not shared
            K.set_num_threads(threads)
            found = results(layer, big)
    finally:
        K.set_num_threads(before)
    assert max(shared) == threads - 1
    assert_same_bits(found[0]["x"], expected[0]["x"])
    assert_same_bits(found[1], expected[1])
    for key, value in expected[2].items():
        assert_same_bits(found[2][key], value)


def test_tiny_graphs():
    with gk.exact_sums():
        for name in LAYERS:
            for num_nodes, num_edges in ((0, 0), (1, 0), (NUM_NODES, 0), (1, 2)):
                nothing = np.zeros(num_edges, int)
                found = results(make(name), make_graph(name, nothing, nothing, num_nodes, 1))
                assert all(np.isfinite(value).all() for value in found[0].values()), name
