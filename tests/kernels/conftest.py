"""Fixtures of the kernel tests."""

from __future__ import annotations

import pytest

from gnnkit import kernels as K


@pytest.fixture
def threads():
    """Set the number of threads inside a test; restored afterwards."""
    before = K.get_num_threads()
    yield K.set_num_threads
    K.set_num_threads(before)
