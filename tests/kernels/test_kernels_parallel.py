"""Row sharing: chunks cover every row once, errors and interrupts come out, forks and nesting work."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnkit import kernels as K
from gnnkit.errors import InvalidArgumentError
from gnnkit.kernels import parallel


@given(lengths=st.lists(st.sampled_from([0, 0, 1, 3, 500]), min_size=1, max_size=40), chunks=st.integers(1, 12))
def test_bounds_cover_all_rows(lengths, chunks):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    bounds = parallel.balanced_bounds(len(lengths), chunks, indptr)
    assert bounds[0] == 0 and bounds[-1] == len(lengths)
    assert all(a < b for a, b in itertools.pairwise(bounds))
    assert len(bounds) <= chunks + 1
    # no chunk is heavier than its share plus one row
    weights = np.array(lengths) + 1
    for a, b in itertools.pairwise(bounds):
        assert weights[a:b].sum() <= weights.sum() / chunks + weights.max() + 1


@given(lengths=st.lists(st.sampled_from([0, 0, 1, 3, 500]), min_size=1, max_size=40), chunks=st.integers(1, 12))
def test_shrinking_chunks_cover_all_rows(lengths, chunks):
    indptr, weights = np.concatenate([[0], np.cumsum(lengths)]), np.array(lengths) + 1
    bounds = parallel.balanced_bounds(len(lengths), chunks, indptr, shrinking=True)
    assert bounds[0] == 0 and bounds[-1] == len(lengths)
    assert all(a < b for a, b in itertools.pairwise(bounds))
    # the c-th from the end is no heavier than 2 c - 1 shares of chunks**2, plus one row
    for c, (a, b) in enumerate(reversed(list(itertools.pairwise(bounds))), 1):
        whole = 2 * (c if len(bounds) == chunks + 1 else chunks) - 1
        assert weights[a:b].sum() <= whole * weights.sum() / chunks**2 + weights.max() + 1


def test_long_chunks_of_equal_rows_begin_cache_lines():
    assert parallel.balanced_bounds(1000, 4) == [0, 192, 448, 704, 1000]
    assert parallel.balanced_bounds(10, 4) == [0, 2, 5, 7, 10]
    shrinking = parallel.balanced_bounds(100_000, 4, shrinking=True)
    assert [b % 64 for b in shrinking[:-1]] == [0] * 4
    np.testing.assert_allclose(np.diff(shrinking) / 100_000, np.array([7, 5, 3, 1]) / 16, atol=0.001)


def test_within_a_chunk_everything_runs_in_its_thread(threads):
    threads(2)
    places = []

    def inner(start, stop):
        places.append((outer_of.here, threading.get_ident()))

    def outer(start, stop):
        outer_of.here = threading.get_ident()
        time.sleep(0.01)  # so that both threads come to have some
        K.run_chunks(inner, list(range(9)))

    outer_of = threading.local()
    outer_of.here = None
    K.run_chunks(outer, list(range(9)))
    assert len(places) == 64 and all(a == b for a, b in places)
    assert len({a for a, _ in places}) == 2
    # and behind it the caller has both again
    seen = set()
    K.run_chunks(lambda start, stop: (seen.add(threading.get_ident()), time.sleep(0.01)), list(range(9)))
    assert len(seen) == 2


def test_every_row_once(threads):
    threads(4)
    seen = np.zeros(1000, np.int64)

    def visit(start, stop, out):
        out[start:stop] += 1

    K.parallel_rows(visit, 1000, (seen,), grain=1)
    assert (seen == 1).all()
    K.parallel_rows(visit, 0, (seen,), grain=1)
    K.parallel_rows(visit, 1, (seen,), grain=1)
    assert seen[0] == 2 and seen[1:].max() == 1


def test_small_work_stays_on_this_thread(threads):
    threads(4)
    names = []
    K.parallel_rows(lambda start, stop: names.append((start, stop, threading.get_ident())), 100, grain=1 << 10)
    assert names == [(0, 100, threading.get_ident())]


def test_large_work_uses_other_threads(threads):
    threads(2)
    names = set()

    def visit(start, stop):
        names.add(threading.get_ident())
        time.sleep(0.01)

    K.parallel_rows(visit, 1000, grain=1)
    assert len(names) == 2


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("where", [0, 7, 15])
def test_an_exception_comes_out_and_nothing_keeps_running(failure, where, threads):
    threads(2)
    running, calls = [0], []

    def work(start, stop):
        running[0] += 1
        calls.append(start)
        if start == where:
            running[0] -= 1
            raise failure("stop here")
        time.sleep(0.001)
        running[0] -= 1

    with pytest.raises(failure, match="stop here"):
        K.run_chunks(work, list(range(17)))
    count = len(calls)
    time.sleep(0.01)
    assert running[0] == 0 and len(calls) == count
    # and the pool still works
    K.run_chunks(lambda start, stop: calls.append(start), [0, 1, 2, 3])
    assert len(calls) == count + 3


def test_nested_and_concurrent_callers_do_not_deadlock(threads):
    threads(2)
    total = np.zeros(64, np.int64)

    def inner(start, stop, row):
        total[row] += stop - start

    def outer(start, stop):
        for row in range(start, stop):
            K.parallel_rows(inner, 100, (row,), grain=1)

    callers = [threading.Thread(target=lambda: K.parallel_rows(outer, 64, grain=1)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=30)
        assert not caller.is_alive()


def _sum_in_child(queue, x, indptr):
    queue.put(hashlib.sha256(K.segment_sum(x, indptr).tobytes()).digest())  # fits the buffer of a pipe


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system does not have")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_pool_survives_a_fork(rng, threads):
    threads(2)
    x, indptr = rng.normal(size=(400_000, 2)), np.arange(0, 400_001, 4)
    here = hashlib.sha256(K.segment_sum(x, indptr).tobytes()).digest()  # starts the pool
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_sum_in_child, args=(queue, x, indptr))
    with parallel._lock:  # as if another thread were handing out work just then
        child.start()
    child.join(timeout=30)
    child.kill()  # only a child that waits for a thread that is not there is still alive
    assert child.exitcode == 0
    assert queue.get() == here


def test_number_of_threads_is_checked(threads):
    for wrong in (0, -1, 2.0, True, "2"):
        with pytest.raises(InvalidArgumentError, match="num_threads must be a whole number of at least 1"):
            threads(wrong)
    threads(np.int64(3))
    assert K.get_num_threads() == 3


def test_number_of_threads_from_the_environment(monkeypatch, threads):
    monkeypatch.setattr(parallel, "_num_threads", None)
    monkeypatch.setenv("GNNKIT_NUM_THREADS", "3")
    assert K.get_num_threads() == 3
    monkeypatch.setattr(parallel, "_num_threads", None)
    monkeypatch.setenv("GNNKIT_NUM_THREADS", "many")
    with pytest.raises(InvalidArgumentError, match=r"GNNKIT_NUM_THREADS must be a whole number .* Got 'many'"):
        K.get_num_threads()
    monkeypatch.setattr(parallel, "_num_threads", 2)


def test_helpers_run_in_the_context_of_the_caller(threads):
    threads(2)
    seen, both = [], threading.Barrier(2, timeout=10)

    def look(start, stop):
        both.wait()  # so that each of the two threads takes one chunk
        seen.append((np.geterr()["divide"], K.current_backend()))

    with np.errstate(divide="ignore"), K.use_backend("numpy"):
        K.run_chunks(look, [0, 1, 2])
    assert seen == [("ignore", "numpy")] * 2
    zeros = np.zeros(1 << 19)
    with np.errstate(divide="ignore"):  # a warning would be an error here
        assert np.isneginf(K.blockwise(np.log, zeros)).all()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that ties threads to cores")
def test_helpers_stay_off_the_core_of_their_caller(threads):
    allowed = os.sched_getaffinity(0)
    threads(3)

    def visit(start, stop):
        time.sleep(0.001)

    for _ in range(2):  # the first call starts the pool
        K.run_chunks(visit, range(9))
    assert len(parallel._helpers) == parallel._pool_size
    core, _ = parallel._kept_off
    expected = allowed - {core} if len(allowed) > 1 else allowed
    assert all(os.sched_getaffinity(helper) in (expected, allowed) for helper in parallel._helpers)
    assert any(os.sched_getaffinity(helper) == expected for helper in parallel._helpers)
    assert os.sched_getaffinity(0) == allowed
