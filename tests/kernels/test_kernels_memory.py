"""Keeping freed memory: it nests, it ends, and it changes no result."""

from __future__ import annotations

import numpy as np

from gnnkit import kernels as K
from gnnkit.kernels import memory


def test_it_nests_and_ends(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, name, value):
            calls.append((name, value))

        def malloc_trim(self, pad):
            calls.append("trim")

    library = Library()
    monkeypatch.setattr(memory, "_glibc", lambda: library)
    with K.keep_freed_memory() as works:
        assert works
        count = len(calls)
        with K.keep_freed_memory():
            assert len(calls) == count
        assert len(calls) == count
    assert calls[-1] == "trim"
    assert memory._depth == 0


def test_it_ends_after_an_error():
    try:
        with K.keep_freed_memory():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert memory._depth == 0


def test_without_glibc_it_does_nothing(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with K.keep_freed_memory() as works:
        assert not works


def test_results_do_not_change(rng):
    x = rng.normal(size=(400_000, 16))
    with K.keep_freed_memory():
        kept = [(x + 1).sum() for _ in range(3)]
    assert kept == [(x + 1).sum()] * 3
    assert np.isfinite(kept).all()
