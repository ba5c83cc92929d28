"""Lets the tests of message programs import the naive interpreter and the grammar that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gnnkit import kernels as K

sys.path.append(str(Path(__file__).parent))  # tests are no package: naive_programs.py, random_programs.py


@pytest.fixture(params=["numba", "numpy"])
def backend(request):
    """Run a test once on each backend."""
    with K.use_backend(request.param):
        yield request.param
