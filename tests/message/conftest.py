"""Lets the tests of message programs import the naive interpreter and the grammar that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import gnnkit as gk
from gnnkit import kernels as K

sys.path.append(str(Path(__file__).parent))  # tests are no package: naive_programs.py, random_programs.py


@pytest.fixture(params=["numba", "numpy"])
def backend(request):
    """Run a test once on each backend."""
    with K.use_backend(request.param):
        yield request.param


@pytest.fixture
def hub_topology(rng):
    """``hub_topology(num_nodes, num_edges, hub)``: random edges, ``hub`` of them to one node, none to the last."""

    def build(num_nodes, num_edges, hub):
        senders = rng.integers(0, num_nodes, num_edges)
        receivers = np.concatenate([rng.integers(0, num_nodes - 20, num_edges - hub), np.full(hub, 3)])
        return gk.Topology.from_edges(senders, receivers, num_nodes=num_nodes)

    return build
