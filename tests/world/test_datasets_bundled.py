"""The bundled data sets: counts of the literature, equality with the development copies, splits, speed, read-only."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.datasets.fetch import obtain
from gnnkit.datasets.layouts import Content

# nodes, pairs, features, classes, stored feature values, training nodes: Sen et al. 2008, Yang et al. 2016
CITATION = {
    "cora": (2708, 5278, 1433, 7, 49216, 140),
    "citeseer": (3327, 4552, 3703, 6, 105165, 120),
    "pubmed": (19717, 44324, 500, 3, 988031, 60),
}
BUNDLED = [card.name for card in gk.datasets.list() if card.is_bundled]


def content(name: str) -> Content:
    return obtain(gk.datasets.card(name))


@pytest.mark.parametrize("name", CITATION)
def test_a_citation_network_has_the_published_counts(name: str) -> None:
    nodes, pairs, features, classes, stored, _ = CITATION[name]
    g = gk.datasets.load(name)
    assert (g.num_nodes, g.num_edges, g.x.shape, g.x.nnz) == (nodes, 2 * pairs, (nodes, features), stored)
    assert g.x.dtype == np.float32 and g.nodes["y"].dtype == np.int64
    assert np.unique(g.nodes["y"][g.nodes["y"] >= 0]).tolist() == list(range(classes))
    assert not g.topology.has_self_loops() and g.topology.is_symmetric()
    assert len(np.unique(g.senders * np.int64(nodes) + g.receivers)) == g.num_edges


@pytest.mark.parametrize("name", CITATION)
def test_the_public_split_is_20_per_class_then_500_then_1000(name: str) -> None:
    g = gk.datasets.load(name)
    train, val, test = (g.nodes[f"{part}_mask"] for part in ("train", "val", "test"))
    assert train.dtype == val.dtype == test.dtype == bool
    assert np.bincount(g.nodes["y"][train]).tolist() == [20] * CITATION[name][3]
    assert (int(train.sum()), int(val.sum()), int(test.sum())) == (CITATION[name][5], 500, 1000)
    assert not (train & val).any() and not (train & test).any() and not (val & test).any()
    assert (g.nodes["y"][train | val | test] >= 0).all()


@pytest.mark.parametrize("name", CITATION)
def test_a_citation_network_equals_the_planetoid_copy(name: str, shared_data: Path) -> None:
    ours = content(name)
    with np.load(shared_data / f"{name}.npz", allow_pickle=False) as theirs:
        np.testing.assert_array_equal(ours.pairs, theirs["edge_index"][:, np.lexsort(theirs["edge_index"][::-1])])
        np.testing.assert_array_equal(ours.y, theirs["y"])
        for part, nodes in ours.split.items():
            np.testing.assert_array_equal(nodes, np.sort(theirs[f"{part}_idx"]))
        rows = np.repeat(np.arange(ours.num_nodes), np.diff(theirs["x_indptr"]))
        order = np.lexsort((theirs["x_indices"], rows))
        np.testing.assert_array_equal(ours.x.indptr, theirs["x_indptr"])
        np.testing.assert_array_equal(ours.x.indices, theirs["x_indices"][order])
        np.testing.assert_array_equal(ours.x.data, theirs["x_data"][order].astype(np.float32))
        assert ours.x.shape == tuple(theirs["x_shape"])


def test_cora_keeps_the_paper_ids_of_the_release(shared_data: Path) -> None:
    with np.load(shared_data / "cora_linqs_ids.npz", allow_pickle=False) as ids:
        np.testing.assert_array_equal(gk.datasets.load("cora").nodes["paper_id"], ids["paper_id"])


def test_citeseer_keeps_its_15_missing_nodes_without_label_and_features() -> None:
    g = gk.datasets.load("citeseer")
    missing = np.flatnonzero(g.nodes["y"] == -1)
    assert missing.tolist() == [
        2407, 2489, 2553, 2682, 2781, 2953, 3042, 3063, 3212, 3214, 3250, 3292, 3305, 3306, 3309,
    ]  # fmt: skip
    assert g.x.to_scipy()[missing].nnz == 0
    degree = g.topology.in_degree()
    assert degree[missing].tolist() == [1] * 8 + [2] + [1] * 6  # they are cited, only their text is missing
    assert int((degree == 0).sum()) == 48


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cora", [351, 217, 418, 818, 426, 298, 180]),
        ("citeseer", [249, 590, 668, 701, 596, 508]),
        ("pubmed", [4103, 7739, 7875]),
        ("karate", [17, 17]),
    ],
)
def test_the_class_sizes_are_those_of_the_release(name: str, sizes: list[int]) -> None:
    y = gk.datasets.load(name).nodes["y"]
    assert np.bincount(y[y >= 0]).tolist() == sizes


def test_mutag_is_188_molecules_as_published(shared_data: Path) -> None:
    molecules = gk.datasets.load("mutag")
    labels = np.array([molecule.globals["y"][0] for molecule in molecules])
    assert len(molecules) == 188 and np.bincount(labels).tolist() == [63, 125]
    atoms, bonds = sum(m.num_nodes for m in molecules), sum(m.num_edges for m in molecules)
    assert (round(atoms / 188, 2), round(bonds / 376, 2)) == (17.93, 19.79)
    batch = gk.batch(molecules)
    assert (batch.x.sum(axis=0)).tolist() == [2395, 345, 593, 12, 1, 23, 2]  # C N O F I Cl Br
    assert (batch.e.sum(axis=0) / 2).tolist() == [2354, 1004, 362, 1]  # aromatic single double triple
    with np.load(shared_data / "tu_mutag.npz", allow_pickle=False) as theirs:
        np.testing.assert_array_equal(batch.node_ptr, theirs["graph_indptr"])
        np.testing.assert_array_equal(batch.x.argmax(axis=1), theirs["node_label"])
        np.testing.assert_array_equal(labels, theirs["y"])
        once = batch.senders < batch.receivers
        ours = np.stack([batch.senders, batch.receivers, batch.e.argmax(axis=1)])[:, once]
        copy = np.concatenate([theirs["edge_index"], theirs["edge_label"][None]])
        np.testing.assert_array_equal(ours[:, np.lexsort(ours[::-1])], copy[:, np.lexsort(copy[::-1])])


def test_both_directions_of_a_bond_are_of_the_same_kind() -> None:
    for molecule in gk.datasets.load("mutag")[:20]:
        kinds = np.zeros((molecule.num_nodes,) * 2, int)
        kinds[molecule.receivers, molecule.senders] = molecule.e.argmax(axis=1) + 1
        np.testing.assert_array_equal(kinds, kinds.T)


def test_karate_has_its_two_leaders_to_learn_from() -> None:
    g = gk.datasets.load("karate")
    assert (g.num_nodes, g.num_edges) == (34, 156)
    assert np.flatnonzero(g.nodes["train_mask"]).tolist() == [0, 33]
    np.testing.assert_array_equal(g.nodes["test_mask"], ~g.nodes["train_mask"])
    assert "val_mask" not in g.nodes
    assert g.nodes["y"][[0, 8, 9, 33]].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(g.x.toarray(), np.eye(34))
    first = g.edges["weight"][(g.senders == 0) & (g.receivers == 1)]
    assert first.tolist() == [4.0]


@pytest.mark.parametrize(("name", "networkx_name"), [
    ("karate", "karate_club_graph"),
    ("davis", "davis_southern_women_graph"),
    ("florentine", "florentine_families_graph"),
    ("lesmis", "les_miserables_graph"),
])  # fmt: skip
def test_the_small_graphs_are_those_of_networkx(name: str, networkx_name: str) -> None:
    import networkx as nx

    theirs = getattr(nx, networkx_name)()
    g = gk.datasets.load(name)
    names = g.nodes["name"].tolist() if "name" in g.nodes else list(range(g.num_nodes))
    assert names == list(theirs)
    ours = {frozenset((names[s], names[r])) for s, r in zip(g.senders, g.receivers)}
    assert ours == {frozenset(edge) for edge in theirs.edges} and g.num_edges == 2 * theirs.number_of_edges()
    if "weight" in g.edges:
        for s, r, weight in zip(g.senders, g.receivers, g.edges["weight"]):
            assert theirs.edges[names[s], names[r]]["weight"] == weight


def test_davis_joins_18_women_and_14_events() -> None:
    g = gk.datasets.load("davis")
    assert np.bincount(g.nodes["side"]).tolist() == [18, 14]
    assert (g.nodes["side"][g.senders] != g.nodes["side"][g.receivers]).all()


@pytest.mark.parametrize("name", BUNDLED)
def test_loaded_arrays_cannot_be_written(name: str) -> None:
    loaded = gk.datasets.load(name)
    g = loaded[0] if isinstance(loaded, list) else loaded
    arrays = [v for fields in (g.nodes, g.edges, g.globals) for v in fields.values() if isinstance(v, np.ndarray)]
    edges = [] if gk.datasets.card(name).holds_images else [g.senders, g.receivers]  # those of a grid are not stored
    assert all(not array.flags.writeable for array in [*arrays, *edges])


@pytest.mark.parametrize("name", BUNDLED)
def test_a_loaded_graph_has_what_its_card_promises(name: str) -> None:
    loaded, card = gk.datasets.load(name), gk.datasets.card(name)
    g = gk.batch(loaded) if isinstance(loaded, list) else loaded
    assert (g.num_graphs, g.num_nodes, g.num_edges) == (card.num_graphs, card.num_nodes, card.num_edges)
    assert (g.x.shape[1] if "x" in g.nodes else 0) == card.num_features
    held = g.globals if card.holds_images else g.nodes
    assert {key: int(held[f"{key}_mask"].sum()) for key in card.split} == dict(card.split)
    assert card.holds_images or g.topology.is_symmetric()


def test_cora_loads_in_a_tenth_of_a_second() -> None:
    gk.datasets.load("cora")  # the first call pays for imports and, where the cache is cold, for compiling
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        gk.datasets.load("cora")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1


def test_the_bundle_stays_small() -> None:
    assert sum(file.bytes for card in gk.datasets.list() if card.is_bundled for file in card.files) < 5_000_000
