"""examples/molecules.py on a small setting: it trains, prints the three protocols and saves the picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import gnnkit as gk

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "molecules.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("molecules", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_folds_have_equal_shares_of_every_class(example: ModuleType) -> None:
    labels = np.array([molecule.globals["y"][0] for molecule in gk.datasets.load("mutag")])
    fold = example.stratified_folds(labels, 10, np.random.default_rng(3))
    sizes = np.bincount(fold)
    assert len(sizes) == 10 and sizes.max() - sizes.min() <= 1
    for label in (0, 1):
        shares = np.bincount(fold[labels == label], minlength=10)
        assert shares.max() - shares.min() <= 1


def test_the_example_runs_small(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "molecules.png"
    results = example.main(["--folds", "2", "--epochs", "3", "--hidden", "8", "--plot", str(picture)])
    printed = capsys.readouterr().out
    assert len(results) == 3
    for protocol, (mean, std) in results.items():
        assert 0 <= mean <= 100 and 0 <= std <= 50
        assert protocol in printed and f"{mean:5.1f} +- {std:4.1f}" in printed
    assert "2 of 10 stratified folds, 3 epochs" in printed and "66.5" in printed
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and picture.stat().st_size > 20_000


def test_the_model_is_invariant_to_the_order_of_atoms(example: ModuleType) -> None:
    molecule = gk.datasets.load("mutag")[0]
    order = np.random.default_rng(0).permutation(molecule.num_nodes)
    place = np.argsort(order)
    shuffled = gk.from_edges(
        place[molecule.senders], place[molecule.receivers], x=molecule.x[order], e=molecule.e, undirected=False
    )
    model = example.GIN(7, 8, num_classes=2).eval()
    np.testing.assert_allclose(model(molecule).numpy(), model(shuffled).numpy(), rtol=1e-4, atol=1e-5)
