"""Models by name: architecture, hyper-parameters, decay, seeds, learning a toy problem."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import gnnkit as gk
from gnnkit.errors import InvalidArgumentError, UnknownNameError
from gnnkit.nn import models

every_model = pytest.mark.parametrize("name", models.names())


@pytest.fixture
def graph(rng):
    ring = gk.cycle(12)
    return ring.replace(x=(rng.random((12, 9)) * (rng.random((12, 9)) < 0.4)).astype("float32"))


@every_model
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_scores_of_every_node(name, layers, graph):
    hyper = {"layers": layers} if "layers" in models.hyperparameters(name) else {}
    model = models.build(name, 9, 4, rng=0, **hyper)
    assert model(graph).x.shape == (12, 4)


@every_model
def test_sparse_features(name, graph):
    model = models.build(name, 9, 4, rng=0).eval()
    sparse = graph.replace(x=sp.csr_array(graph.x))
    np.testing.assert_allclose(model(sparse).x.numpy(), model(graph).x.numpy(), atol=1e-5)
    model.train()(sparse).x.sum().backward()


@every_model
def test_the_same_seed_gives_the_same_bits(name, graph):
    first, second = (models.build(name, 9, 4, rng=7) for _ in range(2))
    np.testing.assert_array_equal(first(graph).x.numpy(), second(graph).x.numpy())
    assert str(models.build(name, 9, 4, rng=7, dtype="float64").dtype) == "float64"


@every_model
def test_it_survives_a_specification(name):
    model = models.build(name, 9, 4, rng=0)
    assert repr(gk.nn.build(model.config())) == repr(model)


@every_model
def test_it_can_fit_labels(name, graph):
    labels = np.arange(12) // 4  # neighbours on the ring mostly agree
    graph = graph.replace(x=np.eye(12, dtype="float32"))
    dropouts = {key: 0.0 for key in ("dropout",) if key in models.hyperparameters(name)}
    model = models.build(name, 12, 3, rng=0, **dropouts)
    optimizer = gk.nn.Adam(model, lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = gk.nn.cross_entropy(model(graph).x, labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5


@pytest.mark.parametrize("name", ["gcn", "cheb", "appnp"])
def test_only_the_first_layer_decays(name):
    decays = {key: p.decay for key, p in models.build(name, 9, 4, rng=0).named_parameters()}
    weights = [value for key, value in decays.items() if key.endswith("weight")]
    assert weights == [1.0, 0.0]
    assert all(value == 0.0 for key, value in decays.items() if key.endswith("bias"))


def test_gat_is_that_of_the_paper():
    model = models.build("gat", 1433, 7)
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Dropout(0.6)\n"
        "  (1): GATConv(1433, 8, heads=8, dropout=0.6)\n"
        "  (2): ELU()\n"
        "  (3): Dropout(0.6)\n"
        "  (4): GATConv(64, 7, concat=False, dropout=0.6)\n"
        ")"
    )
    assert model.num_parameters == 1433 * 64 + 2 * 64 + 64 + 64 * 7 + 2 * 7 + 7
    pubmed = models.build("gat", 500, 3, out_heads=8)
    assert pubmed[-1].heads == 8 and not pubmed[-1].concat


def test_gin_reads_out_graphs(graph):
    model = models.build("gin", 9, 2, readout="sum", layers=3, rng=0)
    assert model(gk.batch([graph, graph])).u.shape == (2, 2)


def test_errors():
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'gcn'"):
        models.build("gnc", 2, 3)
    with pytest.raises(InvalidArgumentError, match="Got heads"):
        models.build("gcn", 2, 3, heads=8)
    with pytest.raises(InvalidArgumentError, match="at least 1 layer"):
        models.build("gcn", 2, 3, layers=0)
    with pytest.raises(InvalidArgumentError, match="at least 1 layer"):
        models.build("gin", 2, 3, layers=0)
    with pytest.raises(UnknownNameError, match="model"):
        models.hyperparameters("nothing")
