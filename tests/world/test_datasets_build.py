"""The maintainer's build script: packed data is read back bit for bit, and its unpickler builds arrays only."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnkit.datasets.layouts import decode

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "build_graphs.py"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_graphs", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_graphs"] = module
    spec.loader.exec_module(module)
    return module


def test_the_unpickler_refuses_anything_that_is_no_array(build: ModuleType) -> None:
    command = b"cos\nsystem\n(S'true'\ntR."
    with pytest.raises(Exception, match=r"os\.system has no place in a file of arrays"):
        build.ArrayUnpickler(io.BytesIO(command), encoding="latin1").load()


@settings(max_examples=50, deadline=None)
@given(
    dense=st.lists(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, 0.1, 1e-7, 3.25]), min_size=4, max_size=4), min_size=1, max_size=12
    ),
    binary=st.booleans(),
)
def test_packed_features_come_back_bit_for_bit(build: ModuleType, dense: list[list[float]], binary: bool) -> None:
    table = np.array(dense, np.float32)
    table = (table != 0).astype(np.float32) if binary else table
    rows = [(np.flatnonzero(row), row[row != 0]) for row in table]
    arrays = {"edge_index": np.zeros((2, 0), np.int32), **build.pack_rows(rows, 4)}
    assert ("x_data" in arrays) == bool(np.isin(table, [0, 1]).all())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    x = decode(buffer.getvalue(), layout="gnnkit", num_nodes=len(table), name="packed.npz").x
    assert x is not None and x.data.dtype == np.float32
    rebuilt = np.zeros_like(table)
    rebuilt[np.repeat(np.arange(len(table)), np.diff(x.indptr)), x.indices] = x.data
    np.testing.assert_array_equal(rebuilt, table)


def test_pairs_are_sorted_once_and_without_loops(build: ModuleType) -> None:
    pairs = build.undirected(np.array([[3, 1], [1, 3], [2, 2], [0, 2], [3, 1]]))
    assert pairs.tolist() == [[0, 1], [2, 3]]
