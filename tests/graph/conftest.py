"""Fixtures and strategies of the graph tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from gnnkit import kernels as K

# The first call of a kernel compiles or loads it, which takes longer than any deadline for one example.
settings.register_profile("graph", deadline=None)
settings.load_profile("graph")


@pytest.fixture(params=["numba", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test once on each backend."""
    with K.use_backend(request.param):
        yield request.param
