"""Fixtures and strategies of the graph tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gnnkit import kernels as K


@pytest.fixture(params=["numba", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test once on each backend."""
    with K.use_backend(request.param):
        yield request.param
