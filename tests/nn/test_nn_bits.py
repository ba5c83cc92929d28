"""Same bits for every layer: for any number of threads, for shuffled edges (also parallel ones), alone and in a batch.

Outputs, gradients of node and edge features, and (but for batches) gradients of the parameters, compared bit for bit.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import test_nn_conv_positions as positions
import test_nn_symmetry as symmetry
import test_nn_typed as typed
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit import kernels as K
from gnnkit.autodiff import as_array
from gnnkit.kernels import parallel, products, row_products
from gnnkit.message.program import fused

WIDTH = 3
LAYERS = {
    **{name: make for name, (make, _) in symmetry.LAYERS.items()},
    **{name: lambda rng, make=make: make() for name, (make, _) in positions.LAYERS.items()},
    "linear": lambda rng: gk.nn.Linear(3, 40, rng=rng),
    "linear to one": lambda rng: gk.nn.Linear(3, 1, rng=rng),
    "layer norm": lambda rng: gk.nn.MLP([3, 33, 2], norm="layer", activation="gelu", rng=rng),
    "rms norm": lambda rng: gk.nn.MLP([3, 65, 2], norm="rms", activation="elu", rng=rng),
    "graph norm": lambda rng: gk.nn.GraphNorm(3),
    "instance norm": lambda rng: gk.nn.InstanceNorm(3),
    "batch norm at rest": lambda rng: gk.nn.BatchNorm(3).eval(),
    "sum readout": lambda rng: gk.nn.GlobalPool("sum", head=gk.nn.Linear(3, 70, rng=rng)),
    "max readout": lambda rng: gk.nn.GlobalPool("max", head=gk.nn.Linear(3, 1, rng=rng)),
}
STATE = {name: state for name, (_, state) in symmetry.LAYERS.items()}
STATE |= {name: "xe" if with_edges else "x" for name, (_, with_edges) in positions.LAYERS.items()}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make(name, dtype="float32"):
    layer = LAYERS[name](np.random.default_rng(0)).astype(dtype)
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.assign(parameter.data + rng.normal(scale=0.3, size=parameter.shape))
    return layer


def random_graph(name, num_nodes, num_edges, rng, dtype="float32"):
    """Parallel edges and loops are likely; parallel edges carry different values."""
    ends = rng.integers(0, max(num_nodes, 1), (2, num_edges if num_nodes else 0))
    count, state = ends.shape[1], STATE.get(name, "x")
    return gk.from_edges(
        *ends,
        x=rng.normal(size=(num_nodes, WIDTH)).astype(dtype),
        e=rng.normal(size=(count, 2)).astype(dtype) if "e" in state else None,
        u=rng.normal(size=(1, 2)).astype(dtype) if "u" in state else None,
        nodes={"pos": rng.normal(size=(num_nodes, 3)).astype(dtype)},
        edges={"w": rng.uniform(0.5, 2.0, count).astype(dtype), "kind": rng.integers(0, 3, count)},
    )


def shuffled(graph, rng):
    senders, receivers, fields = graph.to_edges()
    order = rng.permutation(graph.num_edges)
    fields = {key: value[order] for key, value in fields.items()}
    return gk.from_edges(senders[order], receivers[order], nodes=graph.nodes, edges=fields, globals=graph.globals)


def results(layer, graph):
    """Every array that comes out: states, and gradients of a fixed function of them."""
    inputs = {"x": gk.tensor(graph.x, requires_grad=True)}
    if "e" in graph.edges:
        inputs["e"] = gk.tensor(graph.e, requires_grad=True)
    layer.zero_grad()
    out = layer(graph.replace(**inputs))
    states = {
        field: level[field]
        for field, level in (("x", out.nodes), ("e", out.edges), ("u", out.globals))
        if field in level
    }
    loss = sum(np.sum(np.sin(value)) for value in states.values())
    if loss.requires_grad:
        loss.backward()
    found = {field: as_array(value) for field, value in states.items()}
    found |= {f"gradient of {k}": np.zeros(0) if t.grad is None else t.grad.numpy() for k, t in inputs.items()}
    parameters = {k: p.grad.numpy() for k, p in layer.named_parameters() if p.grad is not None}
    return found, parameters


def differing(left, right):
    """Names of the arrays of which some bit differs."""
    assert left.keys() == right.keys()
    return [key for key in left if left[key].tobytes() != right[key].tobytes()]


def batch_differences(layer, graphs):
    """Names of the results of which some bit differs between a batch and its graphs alone."""
    whole, alone = results(layer, gk.batch(graphs))[0], [results(layer, graph)[0] for graph in graphs]
    return differing(whole, {key: np.concatenate([one[key] for one in alone]) for key in whole})


@contextlib.contextmanager
def threads_for_small_work(monkeypatch):
    """Let everything that can run on threads do so."""
    before = K.get_num_threads()
    with monkeypatch.context() as patch:
        for module, name, value in (
            (parallel, "DEFAULT_GRAIN", 1 << 6),
            (row_products, "WHOLE", 1),
            (row_products, "SHORTEST", 7),
            (products, "SMALL", 1),
            (products, "WHOLE", 1),
            (products, "SHORTEST", 16),
        ):
            patch.setattr(module, name, value)
        try:
            yield
        finally:
            K.set_num_threads(before)


@every_layer
def test_threads_and_the_order_of_the_edges_change_no_bit(name, rng, monkeypatch):
    layer, graph = make(name), random_graph(name, 90, 500, rng)
    assert len(np.unique(graph.senders * 90 + graph.receivers)) < 500
    with threads_for_small_work(monkeypatch):
        K.set_num_threads(1)
        wanted = results(layer, graph)
        for threads, other in ((2, graph), (4, shuffled(graph, rng)), (1, shuffled(graph, rng))):
            K.set_num_threads(threads)
            found = results(layer, other)
            assert differing(wanted[0], found[0]) + differing(wanted[1], found[1]) == []


SIZES = [(0, 0), (1, 0), (2, 1), (5, 9), (1, 3), (40, 130), (0, 0), (17, 40)]


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@every_dtype
@every_layer
def test_a_graph_has_the_same_bits_alone_and_in_a_batch(name, dtype, backend, rng):
    """Here all graphs are small, alone and together: message programs take one engine, without the switch too."""
    graphs = [random_graph(name, *size, rng, dtype) for size in SIZES]
    invariant = name in ("rgcn bases", "rgcn basis")  # these take what is quicker for the graph, unless told otherwise
    with K.use_backend(backend), K.batch_invariant(invariant):
        assert batch_differences(make(name, dtype), graphs) == []


# layers whose message programs have generated kernels
PROGRAMS = {
    "gat": lambda rng: gk.nn.GATConv(3, 20, heads=3, rng=rng),
    "gatv2": lambda rng: gk.nn.GATv2Conv(3, 20, heads=3, rng=rng),
    "transformer": lambda rng: gk.nn.TransformerConv(3, 10, heads=4, rng=rng),
    "pna": lambda rng: gk.nn.PNAConv(3, 8, delta=0.9, towers=2, rng=rng),
    "cg": lambda rng: gk.nn.CGConv(3, rng=rng),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_switch_gives_the_same_bits_across_the_sizes_that_kernels_begin_at(name, rng, monkeypatch):
    layer = PROGRAMS[name](rng)
    graphs = [random_graph(name, *size, rng) for size in SIZES]
    monkeypatch.setattr(fused, "SMALL", 300)  # the batch has more numbers, and most graphs have fewer
    # so this test can fail, and the switch has something to do; PNA is arithmetic alone, which both engines round alike
    assert (batch_differences(layer, graphs) == []) == (name == "pna")
    with K.batch_invariant():
        assert batch_differences(layer, graphs) == []


widths = st.one_of(st.integers(1, 20), st.integers(1, 300))


@settings(max_examples=40, deadline=None)
@given(
    channels=widths,
    hidden=widths,
    out=widths,
    dtype=st.sampled_from(["float32", "float64"]),
    backend=st.sampled_from(["numba", "numpy"]),
    sizes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 200)), min_size=1, max_size=5),
    seed=st.integers(0, 9),
)
def test_networks_of_any_width_have_the_same_bits_alone_and_in_a_batch(
    channels, hidden, out, dtype, backend, sizes, seed
):
    rng = np.random.default_rng(seed)
    model = gk.nn.Sequential(
        gk.nn.GCNConv(channels, hidden, rng=rng),
        gk.nn.LayerNorm(hidden),
        gk.nn.ELU(),
        gk.nn.GINConv(gk.nn.MLP([hidden, hidden, out], activation="tanh", rng=rng)),
        gk.nn.GlobalPool("mean", head=gk.nn.Linear(out, 2, rng=rng)),
    ).astype(dtype)
    graphs = []
    for nodes, edges in sizes:
        ends = rng.integers(0, max(nodes, 1), (2, edges if nodes else 0))
        graphs.append(gk.from_edges(*ends, x=rng.normal(size=(nodes, channels)).astype(dtype)))
    with K.use_backend(backend):
        assert batch_differences(model, graphs) == []


@pytest.mark.parametrize("name", typed.LAYERS)
def test_typed_graphs_have_the_same_bits_alone_and_in_a_batch(name, rng):
    graphs = []
    for authors, papers, edges in ((3, 4, 9), (0, 2, 0), (30, 20, 150), (1, 1, 5)):
        counts = {"author": authors, "paper": papers, "venue": 1}
        limits = {key: (counts[key[0]], counts[key[2]]) for key in typed.EDGES}
        ends = {
            key: (rng.integers(0, max(s, 1), edges * (s * r > 0)), rng.integers(0, max(r, 1), edges * (s * r > 0)))
            for key, (s, r) in limits.items()
        }
        graphs.append(typed.make_graph(authors, counts, ends))
    layer = typed.make(name)
    whole, alone = typed.results(layer, gk.batch(graphs)), [typed.results(layer, graph) for graph in graphs]
    for k in (0, 1):  # states, gradients of x
        assert differing(whole[k], {key: np.concatenate([one[k][key] for one in alone]) for key in whole[k]}) == []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_images_have_the_same_bits_alone_and_in_a_batch(rng, backend):
    model = gk.nn.Sequential(
        gk.nn.Conv2d(3, 20, 3, rng=rng), gk.nn.ReLU(), gk.nn.MaxPool(2), gk.nn.Conv2d(20, 5, 3, stride=2, rng=rng),
        gk.nn.GlobalPool("mean", head=gk.nn.Linear(5, 4, rng=rng)),
    )  # fmt: skip
    graphs = [gk.from_image(rng.normal(size=(*size, 3)).astype("float32")) for size in ((9, 7), (4, 4), (16, 5))]
    with K.use_backend(backend):
        assert batch_differences(model, graphs) == []


def test_molecules_have_the_same_bits_alone_and_in_batches_of_any_size(rng):
    molecules = [graph.without("e", "y") for graph in gk.datasets.load("mutag")[:100]]
    model = gk.nn.Sequential(
        gk.nn.GINConv(gk.nn.MLP([7, 64, 64], rng=rng)), gk.nn.ReLU(), gk.nn.GCNConv(64, 32, rng=rng), gk.nn.Tanh(),
        gk.nn.GlobalPool("sum", head=gk.nn.Linear(32, 2, rng=rng)),
    )  # fmt: skip
    for size in (100, 32, 7):
        for start in range(0, 100, size):
            assert batch_differences(model, molecules[start : start + size]) == []


def test_a_citation_network_has_the_same_bits_for_threads_and_shuffled_edges(rng):
    graph = gk.datasets.load("cora")
    graph = gk.from_edges(*graph.to_edges()[:2], x=graph.x, edges={"w": rng.uniform(0.5, 2.0, graph.num_edges)})
    ends = graph.to_edges()
    twice = np.concatenate([np.arange(graph.num_edges), rng.integers(0, graph.num_edges, 2000)])  # parallel edges
    w = rng.uniform(0.5, 2.0, len(twice)).astype("float32")
    first = gk.from_edges(ends[0][twice], ends[1][twice], x=graph.x, edges={"w": w})
    model = gk.nn.Sequential(
        gk.nn.GCNConv(1433, 16, edge_weight="w", rng=rng), gk.nn.ReLU(), gk.nn.GATConv(16, 8, heads=8, rng=rng)
    )

    def run(graph, threads):
        before = K.get_num_threads()
        K.set_num_threads(threads)
        try:
            model.zero_grad()
            out = model(graph).x
            np.sum(np.sin(out)).backward()
            return {"x": out.numpy()} | {key: p.grad.numpy() for key, p in model.named_parameters()}
        finally:
            K.set_num_threads(before)

    wanted = run(first, 1)
    assert differing(wanted, run(first, 2)) + differing(wanted, run(shuffled(first, rng), 4)) == []


def test_a_rounding_that_depends_on_the_number_of_rows_is_noticed(rng, monkeypatch):
    graphs = [random_graph("linear", *size, rng) for size in SIZES]
    honest = products.row_product
    eps = np.float32(2e-7)
    monkeypatch.setattr(products, "row_product", lambda x, b: honest(x, b) * (1 + eps * np.float32(len(x) > 60)))
    assert batch_differences(make("linear"), graphs) == ["x", "gradient of x"]


def test_an_order_of_parallel_edges_that_is_the_callers_is_noticed(rng, monkeypatch):
    graph = random_graph("gcn weighted", 30, 300, rng)
    monkeypatch.setattr("gnnkit.graph.parallel.ordered_by_content", lambda topology, fields: topology)
    wanted, found = (results(make("gcn weighted"), shuffled(graph, rng)) for _ in range(2))
    assert "x" in differing(wanted[0], found[0])
