"""Fixtures shared by all tests: the real data beside the checkout, a fixed generator, and strict numpy."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gnnkit import kernels as K
from gnnkit.kernels import parallel

pytest_plugins = ["pytester"]  # for the tests of our own plugin

REPOSITORY = Path(__file__).resolve().parents[1]


def _shared_folder() -> Path:
    return Path(os.environ.get("GNNKIT_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the development data sets; tests that need it skip where it is absent (CI forbids that skip)."""
    folder = _shared_folder() / "data"
    if not folder.is_dir():
        if os.environ.get("GNNKIT_REQUIRE_SHARED") == "1":
            pytest.fail(f"the development data {folder} must be there in CI, and is not")
        pytest.skip("needs the development data sets, folder ../shared/data beside the checkout: absent here")
    return folder


@pytest.fixture
def threads(monkeypatch):
    """Set the number of threads inside a test, and let small work use them; restored afterwards."""
    before = K.get_num_threads()
    monkeypatch.setattr(parallel, "DEFAULT_GRAIN", 1 << 10)
    yield K.set_num_threads
    K.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
