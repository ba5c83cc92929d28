"""Backends in processes of their own: numpy without numba, the on-disk cache, folders that cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gnnkit
from gnnkit import kernels as K
from gnnkit.errors import MissingDependencyError, UnknownNameError
from gnnkit.kernels import backend

# Touches every door once, small and large; prints a hash of all bits and what was compiled.
EVERY_KERNEL = """
import hashlib, sys
import numpy as np
from gnnkit import kernels as K
rng = np.random.default_rng(0)
digest = hashlib.sha256()
def keep(*arrays):
    for a in arrays:
        digest.update(np.round(np.asarray(a, np.float64), 3).tobytes())
ends = rng.integers(0, 300, (2, 40000))
indptr, indices, order = K.build_csr(ends[0], ends[1], num_receivers=300, num_senders=300)
keep(indptr, indices, order, *K.transpose_csr(indptr, indices, num_senders=300), K.khop(indptr, indices, [0], 2))
x, w = rng.integers(-4, 4, (300, 8)).astype(np.float32), rng.integers(0, 3, 40000).astype(np.float32)
keep(K.neighbour_sum(indptr, indices, x), K.neighbour_sum(indptr, indices, x, w), K.edge_dot(indptr, indices, x, x))
values = K.gather(x, indices)
keep(values, K.scatter_add(values, indices, 300), K.segment_repeat(x, indptr))
for name in ("sum", "mean", "max", "min"):
    keep(getattr(K, f"segment_{name}")(values, indptr))
for name in ("prod", "std", "logsumexp", "softmax"):
    getattr(K, f"segment_{name}")(values, indptr)
keep(K.dropout(x, 1, 0.5))
K.softmax_cross_entropy(x, indices[:300] % 8)
K.adam_update(x.copy(), x, x.copy(), np.abs(x), lr=0.1, beta1=0.9, beta2=0.99, eps=1e-8, step=1)
print(K.current_backend(), digest.hexdigest(), "numba" in sys.modules)
"""

COUNT_COMPILATIONS = """
import sys, time
import numpy as np
from gnnkit import kernels as K
from numba.core import event
class Count(event.Listener):
    compiled = 0
    def on_start(self, ev): Count.compiled += 1
    def on_end(self, ev): pass
event.register("numba:compile", Count())
x = np.ones((3, 5), np.float32)
start = time.perf_counter()
y = K.neighbour_sum(np.array([0, 2, 3]), np.array([0, 1, 2], np.int32), x)
z = K.edge_dot(np.array([0, 2, 3]), np.array([0, 1, 2], np.int32), x[:2], x)
assert y.tolist() == [[2.0] * 5, [1.0] * 5] and z.tolist() == [5.0] * 3
print(Count.compiled, time.perf_counter() - start)
"""


def run(code, *, check=True, **environment):
    """Run code in a fresh interpreter that sees this package; values of None unset a variable."""
    merged = {**os.environ, "PYTHONPATH": str(Path(gnnkit.__file__).parents[1]), **environment}
    merged = {key: value for key, value in merged.items() if value is not None}
    # -P keeps the current folder out of the module path
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    result = subprocess.run(command, env=merged, capture_output=True, text=True)
    if check:
        assert result.returncode == 0, result.stderr
    return result


def test_every_kernel_gives_the_same_on_both_backends():
    on_numpy = run(EVERY_KERNEL, GNNKIT_BACKEND="numpy").stdout.split()
    on_numba = run(EVERY_KERNEL, GNNKIT_BACKEND=None).stdout.split()
    assert on_numpy[0] == "numpy" and on_numpy[2] == "False"
    assert on_numba[0] == "numba"
    assert on_numpy[1] == on_numba[1]


def test_without_numba_numpy_runs_and_says_so(tmp_path):
    # a finder that hides numba, as if it were not installed
    hide = (
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('numba', 'llvmlite'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'numba' else real(name, package)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    result = run(hide + EVERY_KERNEL, GNNKIT_BACKEND=None)
    assert result.stdout.split()[0] == "numpy"
    assert result.stderr.count("numba is not usable here, so the slower numpy backend runs") == 1
    refused = run(hide + EVERY_KERNEL, GNNKIT_BACKEND="numba", check=False)
    assert refused.returncode != 0
    assert "The numba backend needs the package 'numba'" in refused.stderr


def test_a_disabled_compiler_means_numpy():
    assert run(EVERY_KERNEL, GNNKIT_BACKEND=None, NUMBA_DISABLE_JIT="1").stdout.split()[0] == "numpy"


def test_importing_the_kernels_does_not_import_numba():
    code = "import sys, gnnkit.kernels; print('numba' in sys.modules, 'scipy' in sys.modules)"
    assert run(code).stdout.split() == ["False", "False"]


def test_the_second_process_loads_the_compiled_kernels(tmp_path):
    first = run(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), GNNKIT_BACKEND=None)
    second = run(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), GNNKIT_BACKEND=None)
    assert int(first.stdout.split()[0]) > 0
    assert first.stderr.count("compiling kernels for this machine") == 1
    assert int(second.stdout.split()[0]) == 0, "the cache was not used"
    assert second.stderr == ""


def test_a_damaged_cache_only_costs_time(tmp_path):
    run(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), GNNKIT_BACKEND=None)
    damaged = list(tmp_path.rglob("*.nbi")) + list(tmp_path.rglob("*.nbc"))
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:20])
    again = run(COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), GNNKIT_BACKEND=None)
    assert int(again.stdout.split()[0]) > 0


def test_no_place_for_a_cache_is_no_error(tmp_path):
    # a copy of the package whose __pycache__ is a file, and a home that is one: nowhere to write
    package = tmp_path / "gnnkit"
    shutil.copytree(Path(gnnkit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "kernels" / "jit" / "__pycache__").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    environment = {
        "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "GNNKIT_BACKEND": None, "NUMBA_CACHE_DIR": None,
        "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    result = run(COUNT_COMPILATIONS, **environment)
    assert int(result.stdout.split()[0]) > 0


def test_unknown_backends_are_refused():
    with pytest.raises(UnknownNameError, match=r"A backend must be one of: numba, numpy. Got 'numby'. Did you mean"):
        K.use_backend("numby").__enter__()
    result = run(EVERY_KERNEL, GNNKIT_BACKEND="torch", check=False)
    assert "A backend must be one of: numba, numpy. Got 'torch'." in result.stderr


def test_use_backend_nests_and_restores():
    outside = K.current_backend()
    with K.use_backend("numpy"):
        with K.use_backend("numba"):
            assert K.current_backend() == "numba"
        assert K.current_backend() == "numpy"
    assert K.current_backend() == outside
    with pytest.raises(ZeroDivisionError), K.use_backend("numpy"):
        raise ZeroDivisionError
    assert K.current_backend() == outside


def test_numba_backend_without_numba_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "numba_is_usable", lambda: False)
    with pytest.raises(MissingDependencyError, match="The numba backend needs the package 'numba'"):
        K.use_backend("numba").__enter__()


def test_compiling_after_a_pause_is_told_again(tmp_path):
    always = "from gnnkit.kernels import backend\nbackend.PAUSE = -1.0\n"
    result = run(always + COUNT_COMPILATIONS, NUMBA_CACHE_DIR=str(tmp_path), GNNKIT_BACKEND=None)
    assert result.stderr.count("compiling kernels for this machine") > 1


def test_notices_go_where_the_caller_wants():
    heard = []
    K.set_notice(heard.append)
    try:
        backend._say_once("gnnkit: a test notice")
        backend._say_once("gnnkit: a test notice")
    finally:
        K.set_notice(None)
    assert heard == ["gnnkit: a test notice"]


def test_inputs_reach_the_loops_read_only():
    from gnnkit.kernels.arrays import positions, read_only

    array = np.zeros(3)
    view = read_only(array)
    assert not view.flags.writeable and array.flags.writeable and np.shares_memory(view, array)
    assert positions(np.zeros(2, np.int16)).dtype == np.int64


EVERY_WIDTH = """
import hashlib
import numpy as np
from gnnkit import kernels as K
rng = np.random.default_rng(0)
ends = rng.integers(0, 50, (2, 700))
indptr, indices, order = K.build_csr(ends[0], ends[1], num_receivers=50, num_senders=50)
weights = rng.normal(size=(700, 2)).astype(np.float32)
sums, dots = hashlib.sha256(), []
for width in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 40, 63, 64, 65, 96, 97, 128, 200, 256, 257, 300]:
    x = rng.normal(size=(50, 2, width)).astype(np.float32)
    single = np.ascontiguousarray(x[:, 0])
    for result in (K.neighbour_sum(indptr, indices, x, weights), K.neighbour_sum(indptr, indices, single)):
        sums.update(result.tobytes())
    dots.append(float(np.abs(K.edge_dot(indptr, indices, single, single)).sum()))
for rows, first, second in ((4500, 1000, 40), (70_000, 33, 17), (300_000, 16, 2)):
    a, b = (rng.random((rows, width), dtype=np.float32) for width in (first, second))
    sums.update(K.contract_rows(a, b).tobytes())
print(sums.hexdigest(), *(round(d, 1) for d in dots))
"""


def test_every_vector_width_gives_the_same_sums():
    answers = {run(EVERY_WIDTH, GNNKIT_BACKEND=None, GNNKIT_SIMD=bits).stdout for bits in ("0", "128", "256", "512")}
    assert len(answers) == 1 and next(iter(answers)).strip()
