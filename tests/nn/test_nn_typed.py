"""Layers of typed graphs: against loops over the edges, under permutations, batches, gradients, empties, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.errors import DTypeError, InvalidArgumentError, InvalidFeatureError, ShapeError, UnknownNameError
from gnnkit.nn import MESSAGE_PASSING, UNKNOWN

WRITES, CITES, WRITTEN = ("author", "writes", "paper"), ("paper", "cites", "paper"), ("paper", "rev_writes", "author")
WIDTH = {"author": 3, "paper": 4}
# Author 2 wrote nothing, paper 3 is by nobody and cites nothing; a self-loop at paper 1; an edge twice.
EDGES = {
    WRITES: ([0, 1, 1, 0, 0], [2, 0, 2, 1, 1]),
    CITES: ([2, 1, 2, 0], [0, 1, 1, 2]),
    WRITTEN: ([2, 0, 2, 1], [0, 1, 1, 0]),
}
COUNTS = {"author": 3, "paper": 4, "venue": 0}


def make_graph(seed=0, counts=COUNTS, edges=EDGES, dtype="float64"):
    rng = np.random.default_rng(seed)
    nodes = {name: {"x": rng.normal(size=(counts[name], width)).astype(dtype)} for name, width in WIDTH.items()}
    return gk.typed_graph(counts, nodes=nodes, edges=edges)


@gk.message_program
def difference(src, dst, params):
    return gk.agg.max(gk.tanh(src.x @ params.weight - dst.x @ params.other)) + params.shift


LAYERS = {
    "mean": lambda s, d, rng: gk.nn.RelationSAGE((s, d), 2, rng=rng),
    "mean wide": lambda s, d, rng: gk.nn.RelationSAGE((s, d), 9, rng=rng),
    "sum": lambda s, d, rng: gk.nn.RelationSAGE((s, d), 2, reducer="sum", bias=False, rng=rng),
    "max": lambda s, d, rng: gk.nn.RelationSAGE((s, d), 2, reducer="max", own=False, rng=rng),
    "attention": lambda s, d, rng: gk.nn.RelationGAT((s, d), 2, heads=3, rng=rng),
    "program": lambda s, d, rng: gk.nn.RelationProgram(
        difference, params={"weight": (s, 2), "other": (d, 2), "shift": (2,)}, rng=rng
    ),
}


def make(name, aggregate="sum", seed=0):
    rng = np.random.default_rng(seed)
    layers = {key: LAYERS[name](WIDTH[key[0]], WIDTH[key[2]], rng) for key in EDGES}
    conv = gk.nn.TypedConv(layers, aggregate=aggregate).astype("float64")
    for parameter in conv.parameters():
        parameter.assign(parameter.data + rng.normal(scale=0.3, size=parameter.shape))
    return conv


def results(layer, g):
    """New features of every type, and the gradients of a fixed function of them."""
    x = {name: gk.tensor(value, requires_grad=True) for name, value in g.x.items()}
    layer.zero_grad()
    out = layer(g.replace(x=x)).x
    sum(np.sum(np.sin(out[name])) for name in x).backward()
    gradients = {name: p.grad.numpy() for name, p in layer.named_parameters() if p.grad is not None}
    return {name: out[name].numpy() for name in x}, {name: one.grad.numpy() for name, one in x.items()}, gradients


def assert_same(left, right, **options):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_allclose(left[key], right[key], atol=1e-11, err_msg=str(key), **options)


every_layer = pytest.mark.parametrize("name", LAYERS)
every_aggregate = pytest.mark.parametrize("aggregate", ["sum", "mean", "max", "min"])


def naive_relation(layer, senders, receivers, xs, xd):
    """What a layer of one relation gives, edge by edge, from its formula."""
    into = [[s for s, r in zip(senders, receivers, strict=True) if r == i] for i in range(len(xd))]
    value = {key: parameter.data for key, parameter in layer.own_parameters()}
    rows = []
    for i, mine in enumerate(into):
        if isinstance(layer, gk.nn.RelationSAGE):
            reduced = np.zeros(xs.shape[1])
            if mine:
                reduced = {"mean": np.mean, "sum": np.sum, "max": np.max}[layer.reducer](xs[mine], axis=0)
            row = reduced @ value["sender_weight"] + value.get("bias", 0.0)
            row = row + (xd[i] @ value["receiver_weight"] if "receiver_weight" in value else 0.0)
        elif isinstance(layer, gk.nn.RelationGAT):
            h = (xs @ value["sender_weight"]).reshape(len(xs), layer.heads, -1)
            own = (xd[i] @ value["receiver_weight"]).reshape(layer.heads, -1)
            score = (h[mine] * value["sender_score"]).sum(-1) + (own * value["receiver_score"]).sum(-1)
            weight = np.exp(np.where(score > 0, score, 0.2 * score))
            weight = weight / weight.sum(0) if mine else weight
            row = (weight[..., None] * h[mine]).sum(0).reshape(-1) + value["bias"]
        else:
            row = value["shift"].copy()
            if mine:
                row += np.max(np.tanh(xs[mine] @ value["weight"] - xd[i] @ value["other"]), axis=0)
        rows.append(row)
    return np.array(rows)


def naive(conv, g):
    parts = {}
    for key, (senders, receivers) in EDGES.items():
        xs, xd = g[key[0]].x, g[key[2]].x
        parts.setdefault(key[2], []).append(naive_relation(conv.layer(key), senders, receivers, xs, xd))
    join = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}[conv.aggregate]
    return {name: join(np.stack(values), axis=0) for name, values in parts.items()}


@every_layer
@every_aggregate
def test_equals_the_loop_over_relations_and_edges(name, aggregate):
    conv, g = make(name, aggregate), make_graph()
    out = conv(g)
    assert_same({key: value.numpy() for key, value in out.x.items()}, naive(conv, g))
    assert out.relations is not g.relations and out.edge_types == g.edge_types and "x" not in out["venue"]


@every_layer
def test_permuting_the_nodes_of_each_type_permutes_outputs_and_gradients(name, rng):
    conv, g = make(name), make_graph()
    order = {kind: rng.permutation(count) for kind, count in COUNTS.items()}  # node i becomes order[i]
    x = {kind: g[kind].x[np.argsort(order[kind])] for kind in WIDTH}
    edges = {}
    for key, (senders, receivers) in EDGES.items():
        shuffle = rng.permutation(len(senders))
        edges[key] = order[key[0]][senders][shuffle], order[key[2]][receivers][shuffle]
    moved = gk.typed_graph(COUNTS, nodes={kind: {"x": value} for kind, value in x.items()}, edges=edges)
    (out, gx, gp), (out2, gx2, gp2) = results(conv, g), results(conv, moved)
    assert_same(out, {kind: value[order[kind]] for kind, value in out2.items()})
    assert_same(gx, {kind: value[order[kind]] for kind, value in gx2.items()})
    assert_same(gp, gp2)
    assert conv.symmetry == MESSAGE_PASSING


def derivatives(name, seed):
    """Largest errors of the derivatives by the features (first and second) and by the parameters (first)."""
    conv, g = make(name, "max" if name == "sum" else "mean", seed), make_graph(seed + 5)

    def function(author, paper):
        out = conv(g.replace(x={"author": author, "paper": paper}))
        return sum(np.sum(np.sin(value)) for value in out.x.values())

    errors = [gk.gradcheck(function, g["author"].x, g["paper"].x, order=2, directions=1).max_error]
    _, _, gradients = results(conv, g)
    for key, parameter in conv.named_parameters():
        old, direction = parameter.data.copy(), np.random.default_rng(1).normal(size=parameter.shape)
        values = []
        for step in (1e-6, -1e-6):
            parameter.assign(old + step * direction)
            values.append(function(g["author"].x, g["paper"].x).item())
        parameter.assign(old)
        errors.append(abs(np.sum(gradients[key] * direction) - (values[0] - values[1]) / 2e-6))
    return max(errors)


@every_layer
def test_gradients_against_differences(name):
    # Differences that straddle the kink of a relu or a max are wrong by chance, a wrong rule is wrong everywhere.
    assert min(derivatives(name, seed) for seed in range(3)) < 1e-6


@every_layer
def test_a_batch_equals_a_loop(name):
    conv = make(name)
    no_edges = {key: ([], []) for key in EDGES}
    graphs = [
        make_graph(1, {"author": 0, "paper": 0, "venue": 0}, no_edges),
        make_graph(2),
        make_graph(3, {"author": 2, "paper": 0, "venue": 1}, no_edges),
        make_graph(
            4, {"author": 1, "paper": 2, "venue": 0}, {WRITES: ([0, 0], [1, 1]), CITES: ([1], [0]), WRITTEN: ([], [])}
        ),
    ]
    out, gx, gp = results(conv, gk.batch(graphs))
    single = [results(conv, g) for g in graphs]
    for kind in WIDTH:
        np.testing.assert_allclose(out[kind], np.concatenate([one[kind] for one, _, _ in single]), atol=1e-11)
        np.testing.assert_allclose(gx[kind], np.concatenate([one[kind] for _, one, _ in single]), atol=1e-11)
    for key, value in gp.items():
        np.testing.assert_allclose(value, sum(one.get(key, 0.0) for _, _, one in single), atol=1e-10, err_msg=key)
    assert all(np.isfinite(value).all() for value in (*out.values(), *gx.values(), *gp.values()))


@every_layer
def test_backends_and_dtypes(name):
    conv, g = make(name), make_graph()
    fast = results(conv, g)
    with K.use_backend("numpy"):
        plain = results(make(name), make_graph())
    for left, right in zip(plain, fast, strict=True):
        assert_same(left, right)
    for value in results(conv.astype("float32"), make_graph(dtype="float32"))[0].values():
        assert value.dtype == np.float32
    assert conv(make_graph()).x["paper"].dtype == np.float32


@every_layer
def test_threads_and_the_order_of_the_edges_change_no_bit(name, rng):
    counts = {"author": 50, "paper": 40, "venue": 0}
    ends = {key: (rng.integers(0, counts[key[0]], 300), rng.integers(0, counts[key[2]], 300)) for key in EDGES}
    order = rng.permutation(300)
    shuffled = {key: (senders[order], receivers[order]) for key, (senders, receivers) in ends.items()}
    conv, threads = make(name), K.get_num_threads()
    try:
        runs = []
        for number, edges in ((1, ends), (2, ends), (3, shuffled)):
            K.set_num_threads(number)
            runs.append(results(conv, make_graph(0, counts, edges)))
    finally:
        K.set_num_threads(threads)
    for run in runs[1:]:
        for left, right in zip(runs[0], run, strict=True):
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], err_msg=str(key))


def test_a_typed_convolution_is_rgcn_on_the_homogeneous_graph():
    keys = [("n", "r0", "n"), ("n", "r1", "n")]
    g = gk.typed_graph(
        nodes={"n": {"x": np.random.default_rng(0).normal(size=(5, 3))}},
        edges={keys[0]: ([0, 1, 2, 2], [1, 2, 0, 0]), keys[1]: ([4, 0], [1, 1])},
    )
    relational = gk.nn.RGCNConv(3, 2, num_relations=2, relation="edge_type", rng=0).astype("float64")
    conv = gk.nn.TypedConv(
        {keys[0]: gk.nn.RelationSAGE(3, 2), keys[1]: gk.nn.RelationSAGE(3, 2, own=False, bias=False)}
    ).astype("float64")
    state = relational.state_dict()
    weights = next(value for value in state.values() if value.shape == (2, 3, 2))
    own = next(value for value in state.values() if value.shape == (3, 2))
    for k, key in enumerate(keys):
        conv.layer(key).sender_weight.assign(weights[k])
    conv.layer(keys[0]).receiver_weight.assign(own)
    np.testing.assert_allclose(conv(g)["n"].x.numpy(), relational(g.to_homogeneous()).x.numpy(), atol=1e-12)


def test_plain_layers_within_one_type():
    g = make_graph().replace(e={CITES: np.ones((4, 2))})
    plain = gk.nn.GCNConv(4, 2, rng=0).astype("float64")
    conv = gk.nn.TypedConv({CITES: plain})
    with pytest.raises(InvalidFeatureError, match=r"Relation \('paper', 'cites', 'paper'\): .*whole state"):
        conv(g)
    g = g.without("e")
    alone = gk.Graph(g[CITES].topology, {"x": g["paper"].x})
    out = conv(g)
    np.testing.assert_array_equal(out["paper"].x.numpy(), plain(alone).x.numpy())
    assert out["author"].x is g["author"].x  # no layer enters this type
    both = conv(gk.batch([g, g]))["paper"].x.numpy()
    np.testing.assert_array_equal(both, np.concatenate([out["paper"].x.numpy()] * 2))
    with pytest.raises(InvalidArgumentError, match=r"between two node types needs a layer that takes both.*GCNConv"):
        gk.nn.TypedConv({WRITES: gk.nn.GCNConv(3, 4)})


def test_programs_with_edge_fields():
    g = make_graph().replace(e={WRITES: np.arange(5.0)[:, None]})

    @gk.message_program
    def weighted(src, edge):
        return gk.agg.sum(edge.e * src.x)

    out = gk.nn.TypedConv({WRITES: weighted})(g)["paper"].x.numpy()
    expected = np.zeros((4, 3))
    for s, r, e in zip(g[WRITES].senders, g[WRITES].receivers, g[WRITES].e[:, 0], strict=True):
        expected[r] += e * g["author"].x[s]
    np.testing.assert_allclose(out, expected, atol=1e-12)
    scaled = gk.nn.RelationProgram(
        lambda src, edge, params: gk.agg.sum(edge.e * src.x @ params.w), params={"w": (3, 2)}
    )
    assert gk.nn.TypedConv({WRITES: scaled})(g)["paper"].x.dtype == np.float32  # that of the parameters
    with pytest.raises(InvalidFeatureError, match=r"Got edge state e on Relation.*g\.without\('e', at="):
        gk.nn.TypedConv({WRITES: gk.nn.RelationSAGE((3, 4), 2)})(g)
    with pytest.raises(ShapeError, match=r"one value per receiver"):
        gk.nn.TypedConv({WRITES: gk.message_program(lambda src, dst: src.x.sum() * dst.x)})(make_graph())
    with pytest.raises(InvalidArgumentError, match=r"name that is free"):
        gk.nn.RelationProgram(weighted, params={"forward": (2, 2)})


def test_featureless_receivers_and_sparse_features():
    import scipy.sparse as sp

    x = sp.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))
    g = gk.typed_graph({"tag": 2}, nodes={"doc": {"x": x}}, edges={("doc", "has", "tag"): ([0, 1], [0, 0])})
    layer = gk.nn.RelationSAGE(3, 2, own=False, reducer="sum", rng=0).astype("float64")
    out = gk.nn.TypedConv({("doc", "has", "tag"): layer})(g)["tag"].x.numpy()
    np.testing.assert_allclose(out, np.array([[1.0, 3.0, 2.0], [0, 0, 0]]) @ layer.sender_weight.data)
    with pytest.raises(InvalidFeatureError, match=r"features x of the receivers"):
        gk.nn.TypedConv({("doc", "has", "tag"): gk.nn.RelationSAGE(3, 2)})(g)
    with pytest.raises(InvalidFeatureError, match=r"dense features"):
        gk.nn.TypedConv({("doc", "has", "tag"): gk.nn.RelationSAGE(3, 2, own=False, reducer="max")})(g)


def test_refusals():
    g, sage = make_graph(), gk.nn.RelationSAGE((3, 4), 2)
    for make_error, error, match in [
        (lambda: gk.nn.TypedConv({WRITES: sage}, aggregate="max_"), UnknownNameError, r"Did you mean 'max'"),
        (lambda: gk.nn.TypedConv({"writes": sage}), DTypeError, r"three non-empty strings"),
        (lambda: gk.nn.TypedConv({WRITES: np.tanh}), InvalidArgumentError, r"holds a layer for every relation"),
        (lambda: gk.nn.TypedConv({("author", "write", "paper"): sage})(g), UnknownNameError, r"A relation must be one"),
        (lambda: gk.nn.TypedConv({WRITES: sage})(gk.path(2)), InvalidArgumentError, r"gk\.TypedGraph\. Got Graph"),
        (lambda: gk.nn.TypedConv({WRITES: sage})(g.replace(u=[1.0])), InvalidFeatureError, r"g\.without\('u'\)"),
        (
            lambda: gk.nn.TypedConv({WRITES: sage, CITES: gk.nn.RelationSAGE(4, 3)})(g),
            ShapeError,
            r"For 'paper', .* gave \[4, 2\] and .* gave \[4, 3\]",
        ),
        (lambda: gk.nn.TypedConv({WRITES: gk.nn.RelationSAGE(3, 2)})(g), ShapeError, r"Relation .*\[num_nodes, 3\]"),
        (lambda: gk.nn.TypedConv({WRITES: sage}).layer(CITES), UnknownNameError, r"A relation must be one of"),
        (lambda: gk.nn.RelationSAGE((3, 4, 5), 2), InvalidArgumentError, r"one number, or two"),
        (lambda: gk.nn.RelationSAGE(3, 2, reducer="maxx"), UnknownNameError, r"Did you mean 'max'"),
        (lambda: sage(g, None), InvalidArgumentError, r"works on a relation"),
        (lambda: gk.nn.TypedMap(np.tanh), InvalidArgumentError, r"TypedMap holds modules"),
        (lambda: gk.nn.TypedMap({"papr": gk.nn.ReLU()})(g), KeyError, r"Did you mean 'paper'"),
        (lambda: gk.nn.TypedMap({"venue": gk.nn.ReLU()})(g), KeyError, r"'venue'"),
        (lambda: gk.nn.TypedLinear(3, 2), InvalidArgumentError, r"must map node types to widths"),
        (lambda: gk.nn.TypedLinear({"a": 3}, {"b": 3}), InvalidArgumentError, r"same node types"),
        (lambda: gk.nn.TypedLinear({"paper": 3}, 2)(g), ShapeError, r"Node type 'paper': Linear"),
    ]:
        with pytest.raises(error, match=match):
            make_error()


def model(rng=0):
    rng = np.random.default_rng(rng)
    shared = gk.nn.RelationSAGE(8, 8, rng=rng)
    return gk.nn.Sequential(
        gk.nn.TypedLinear(WIDTH, 8, rng=rng),
        gk.nn.TypedMap(gk.nn.ELU()),
        gk.nn.TypedConv(dict.fromkeys(EDGES, shared), aggregate="mean"),
        gk.nn.TypedMap({"paper": gk.nn.LayerNorm(8), "author": gk.nn.Dropout(0.5)}),
        gk.nn.TypedConv({WRITES: gk.nn.RelationGAT(8, 2, rng=rng), CITES: gk.nn.GraphConv(8, 2, rng=rng)}),
    )


def test_models_are_saved_summed_up_and_trained(tmp_path):
    net, g = model(), make_graph(dtype="float32")
    assert net.symmetry == MESSAGE_PASSING
    assert "2.author/writes/paper.sender_weight" in dict(net.named_parameters())
    assert "2.paper/cites/paper.sender_weight" not in dict(net.named_parameters())  # shared: once
    again = gk.nn.build(json.loads(json.dumps(net.config())))
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again.eval()(g)["paper"].x.numpy(), net.eval()(g)["paper"].x.numpy())
    assert repr(again) == repr(net)
    gk.nn.save_model(net, tmp_path / "typed.safetensors")
    loaded = gk.nn.load_model(tmp_path / "typed.safetensors").eval()
    np.testing.assert_array_equal(loaded(g)["paper"].x.numpy(), net(g)["paper"].x.numpy())
    assert f"{net.num_parameters:,}" in str(gk.nn.summary(net, g))
    labels = np.array([0, 1, 0, 1])
    optimiser = gk.nn.Adam(net, lr=0.05)
    net.train().seed(0)
    for _ in range(60):
        optimiser.zero_grad()
        loss = gk.nn.cross_entropy(net(g)["paper"].x, labels)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2


def test_names_with_dots_and_slashes_stay_apart():
    keys = [("a/b", "c", "d"), ("a", "b/c", "d"), ("a.b", "forward", "~1")]
    counts = {"a/b": 1, "a": 1, "d": 1, "a.b": 1, "~1": 1}
    x = {name: {"x": np.ones((1, 2), "float32")} for name in counts}
    g = gk.typed_graph(nodes=x, edges={key: ([0], [0]) for key in keys})
    conv = gk.nn.TypedConv({key: gk.nn.RelationSAGE(2, 2, rng=k) for k, key in enumerate(keys)})
    assert len(conv.state_dict()) == 9 and conv(g)["d"].x.shape == (1, 2)
    gk.nn.build(conv.config()).load_state_dict(conv.state_dict())
    linear = gk.nn.TypedLinear({"a/b": 2, "a": 2}, 1)
    assert list(linear.state_dict()) == ["types/a~1b.weight", "types/a~1b.bias", "types/a.weight", "types/a.bias"]


def test_symmetry_is_only_claimed_where_known():
    class Odd(gk.nn.RelationLayer):
        symmetry = UNKNOWN

    assert gk.nn.TypedConv({WRITES: Odd()}).symmetry == UNKNOWN
    assert gk.nn.TypedMap(gk.nn.Lambda(abs)).symmetry == UNKNOWN
    with pytest.raises(NotImplementedError, match=r"must define messages\. Odd does not"):
        gk.nn.TypedConv({WRITES: Odd()})(make_graph())
