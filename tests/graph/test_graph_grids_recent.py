"""What is remembered between batches: equal arguments share a plan, and plans that never come again do not pile up."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from gnnkit.graph import Grid, Stencil, grid_topology
from gnnkit.graph.grids.recent import Recent


def test_a_value_is_built_once_while_it_is_remembered() -> None:
    built: list[str] = []
    recent: Recent[str] = Recent(most=2, most_bytes=100)

    def ask(key: str) -> None:
        recent.get(key, lambda: built.append(key) or key, len)

    for key in ("a", "b", "a", "c", "a", "b"):  # "c" sends "b" away, which was not asked for as lately as "a"
        ask(key)
    assert built == ["a", "b", "c", "b"]


def test_heavy_values_go_first_and_the_newest_stay() -> None:
    recent: Recent[bytes] = Recent(most=100, most_bytes=10, least=2)
    for size in (4, 4, 4):
        recent.get(size + len(recent), lambda size=size: bytes(size), len)
    assert (len(recent), recent.weight) == (2, 8)
    for key in "xy":
        recent.get(key, lambda: bytes(50), len)
    assert (len(recent), recent.weight) == (2, 100)


def test_a_value_that_fails_to_build_is_not_remembered() -> None:
    recent: Recent[int] = Recent(most=2, most_bytes=100)
    with pytest.raises(ZeroDivisionError):
        recent.get("key", lambda: 1 // 0, lambda _: 1)
    assert len(recent) == 0 and recent.get("key", lambda: 3, lambda _: 1) == 3


@pytest.mark.parametrize("kind", ["masks", "sizes"])
def test_plans_of_batches_that_never_come_again_do_not_pile_up(kind: str) -> None:
    rng, size = np.random.default_rng(0), 1500
    known = []
    for i in range(12):  # of some 160 million bytes each, if they were built
        if kind == "masks":
            grid = Grid((size, size), mask=rng.random((size, size)) < 0.9)
        else:
            grid = Grid([(size, size), (3, 4 + i)])
        known.append(weakref.ref(grid_topology(grid, Stencil(3, ndim=2))))
        del grid
    gc.collect()
    alive = [ref() is not None for ref in known]
    assert not any(alive[:4]) and all(alive[-8:])


def test_equal_masks_share_a_topology() -> None:
    mask = np.random.default_rng(1).random((9, 9)) < 0.5
    one, other = (grid_topology(Grid((9, 9), mask=mask.copy()), Stencil(3, ndim=2)) for _ in range(2))
    assert one is other
