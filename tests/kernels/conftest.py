"""Fixtures of the kernel tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gnnkit import kernels as K
from gnnkit.kernels import parallel

sys.path.append(str(Path(__file__).parent))  # tests are no package: vector_streams.py


@pytest.fixture
def threads(monkeypatch):
    """Set the number of threads inside a test, and let small work use them; restored afterwards."""
    before = K.get_num_threads()
    monkeypatch.setattr(parallel, "DEFAULT_GRAIN", 1 << 10)
    yield K.set_num_threads
    K.set_num_threads(before)
