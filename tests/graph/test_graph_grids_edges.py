"""The edges of grid topologies, listed and as plans, against a loop over receivers and offsets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gnnkit as gk
from gnnkit.errors import ShapeError
from gnnkit.graph import Grid, GridTopology, Stencil, Topology
from gnnkit.graph.grids import parts as grid_parts

MODES = {"wrap": "wrap", "reflect": "reflect", "edge": "edge"}


def padded_cells(size: int, before: int, after: int, border: str) -> list[int]:
    """What numpy.pad puts at each position of one axis; -1 for nothing."""
    if border == "zero" or size == 0:
        return [-1] * before + list(range(size)) + [-1] * after
    return np.pad(np.arange(size), (before, after), mode=MODES[border]).tolist()


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    out = -(-size // stride)
    total = max((out - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def naive_edges(grid: Grid, stencil: Stencil) -> tuple[list[tuple[int, int, int]], list[tuple[int, ...]]]:
    """(receiver cell, sender cell, offset) with cells counted over all images, and the receivers' sizes."""
    edges, outs, sender_start, receiver_start = [], [], 0, 0
    for size in grid.sizes:
        axes, out = [], []
        for a, n in enumerate(size):
            k, s, d = stencil.kernel_size[a], stencil.stride[a], stencil.dilation[a]
            pad = same_padding(n, k, s, d) if stencil.padding == "same" else stencil.padding[a]
            cells = padded_cells(n, *pad, stencil.border)
            count = max((n + sum(pad) - d * (k - 1) - 1) // s + 1, 0) if stencil.padding != "same" else -(-n // s)
            axes.append([[cells[j * s + o * d] for o in range(k)] for j in range(count)])
            out.append(count)
        for receiver, position in enumerate(itertools.product(*map(range, out))):
            for offset, steps in enumerate(itertools.product(*map(range, stencil.kernel_size))):
                found = [axes[a][position[a]][steps[a]] for a in range(len(size))]
                if min(found) < 0:
                    continue
                sender = sender_start + int(np.ravel_multi_index(found, size))
                if grid.mask is None or grid.mask[sender]:
                    edges.append((receiver_start + receiver, sender, offset))
        sender_start += int(np.prod(size))
        receiver_start += int(np.prod(out))
        outs.append(tuple(out))
    return edges, outs


def expected_edges(grid: Grid, stencil: Stencil) -> tuple[np.ndarray, int, int]:
    """Sorted [num_edges, 3] (receiver, sender, offset) as nodes; numbers of senders and receivers."""
    edges, outs = naive_edges(grid, stencil)
    cells = sum(int(np.prod(out)) for out in outs)
    if grid.mask is None:
        return np.array(sorted(edges), int).reshape(-1, 3), grid.num_cells, cells
    same = tuple(outs) == grid.sizes and set(stencil.stride) == {1}
    # without the mask: a receiver that hears nothing even then has its window in the padding, and exists
    whole, _ = naive_edges(grid.without_mask(), stencil)
    heard, any_cell = (np.isin(np.arange(cells), [edge[0] for edge in each]) for each in (edges, whole))
    exists = grid.mask if same else heard | ~any_cell
    kept = [edge for edge in edges if exists[edge[0]]]
    receiver_node, sender_node = np.cumsum(exists) - 1, np.cumsum(grid.mask) - 1
    nodes = sorted((receiver_node[r], sender_node[s], k) for r, s, k in kept)
    return np.array(nodes, int).reshape(-1, 3), int(grid.mask.sum()), int(exists.sum())


def expanded(topology: GridTopology) -> np.ndarray:
    """The edges of the plan, sorted [num_edges, 3] (receiver, sender, offset), by its definition."""
    edges = []
    for part in topology.parts:
        assert len(part.offsets) == len(part.table) and len(part.sender_base) == len(part.receiver_base)
        assert part.rows is None or len(np.unique(part.rows)) == len(part.rows) == part.table.shape[1]
        assert not any(array.flags.writeable for array in (part.table, part.offsets, part.sender_base))
        rows = np.arange(part.table.shape[1]) if part.rows is None else part.rows
        slot, column = np.nonzero(part.table >= 0)
        for sender, receiver in zip(part.sender_base, part.receiver_base):
            edges.append(
                np.stack([receiver + rows[column], sender + part.table[slot, column], part.offsets[slot]], axis=1)
            )
    edges = np.concatenate([np.zeros((0, 3), int), *edges])
    return edges[np.lexsort(edges.T[::-1])]


def check_all(topology: GridTopology, edges: np.ndarray, num_senders: int, num_receivers: int) -> None:
    assert (topology.num_senders, topology.num_receivers) == (num_senders, num_receivers)
    assert topology.num_edges == len(edges)
    np.testing.assert_array_equal(expanded(topology), edges)
    plain, offset = topology.to_explicit()
    assert type(plain) is Topology and offset.dtype == np.int32
    np.testing.assert_array_equal(np.stack([plain.receivers, plain.senders, offset], axis=1), edges)
    by_arrays = Topology(plain.indptr, plain.indices, num_senders=num_senders)  # checks that they are canonical
    assert topology == by_arrays and by_arrays == plain
    turned = topology.transpose()
    swapped = edges[:, [1, 0, 2]]
    swapped = swapped[np.lexsort(swapped.T[::-1])]
    np.testing.assert_array_equal(expanded(turned), swapped)
    assert turned.transpose() is topology and turned.is_transposed and turned.num_edges == len(edges)
    np.testing.assert_array_equal(np.stack([turned.receivers, turned.senders, turned.offset], axis=1), swapped)
    permutation = topology.transpose_permutation
    np.testing.assert_array_equal(topology.receivers[permutation], turned.senders)
    np.testing.assert_array_equal(topology.offset[permutation], turned.offset)
    np.testing.assert_array_equal(turned.receivers[turned.transpose_permutation], topology.senders)
    np.testing.assert_array_equal(topology.in_degree(), plain.in_degree())
    np.testing.assert_array_equal(topology.out_degree(), plain.out_degree())
    ends = topology.receiver_grid.node_ptr
    np.testing.assert_array_equal(topology.edges_before(ends), plain.indptr[ends])


@st.composite
def stencils(draw: Any, ndim: int) -> Stencil:
    def axis(strategy: Any) -> Any:
        return tuple(draw(strategy) for _ in range(ndim))

    small = st.integers(0, 7)
    return Stencil(
        axis(st.integers(1, 5 if ndim < 3 else 3)),
        ndim=ndim,
        stride=axis(st.integers(1, 3)),
        dilation=axis(st.integers(1, 3)),
        padding=draw(st.one_of(st.just("same"), st.just("valid"), small, st.just(axis(st.tuples(small, small))))),
        border=draw(st.sampled_from(["zero", "wrap", "reflect", "edge"])),
    )


@st.composite
def cases(draw: Any) -> tuple[Grid, Stencil]:
    ndim = draw(st.integers(1, 3))
    size = st.tuples(*[st.integers(0, 7 if ndim < 3 else 4)] * ndim)
    sizes = draw(st.one_of(size.map(lambda s: [s] * 3), st.lists(size, min_size=1, max_size=4)))
    cells = sum(int(np.prod(s)) for s in sizes)
    kind = draw(st.sampled_from(["none", "random", "one for all", "empty"]))
    mask = None
    if kind == "random":
        mask = np.array(draw(st.lists(st.booleans(), min_size=cells, max_size=cells)), bool)
    elif kind == "one for all" and len(set(sizes)) == 1:
        count = int(np.prod(sizes[0]))
        mask = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(sizes[0])
    elif kind == "empty":
        mask = np.zeros(cells, bool)
    return Grid(sizes, mask=mask), draw(stencils(ndim))


@settings(max_examples=250, deadline=None)
@given(cases())
def test_edges_are_those_of_a_loop_over_receivers_and_offsets(case: tuple[Grid, Stencil]) -> None:
    grid, stencil = case
    try:
        topology = GridTopology(grid, stencil)
    except ShapeError:  # the kernel does not fit
        assume(False)
        raise
    check_all(topology, *expected_edges(grid, stencil))


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 400))
def test_strips_are_the_same_plan(case: tuple[Grid, Stencil], table_bytes: int) -> None:
    grid, stencil = case
    try:
        whole = GridTopology(grid.without_mask(), stencil)
    except ShapeError:
        assume(False)
        raise
    for topology in (whole, whole.transpose()):
        edges = expanded(topology)
        size = whole.sender_grid.sizes[0]
        parts = grid_parts.image_parts(size, stencil, topology.is_transposed, table_bytes)
        image = whole.part(0) if not topology.is_transposed else whole.part(0).transpose()
        cut = object.__new__(GridTopology)
        cut._place(image.sender_grid, stencil, image.receiver_grid, transposed=image.is_transposed)
        cut._cache["parts"] = parts
        first = edges[edges[:, 0] < topology.receiver_grid.node_ptr[1]]
        np.testing.assert_array_equal(expanded(cut), first)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_transposed_plans_of_strided_stencils_have_no_idle_slots(stride: int, dilation: int) -> None:
    topology = GridTopology(Grid((40, 40)), Stencil(3, ndim=2, stride=stride, dilation=dilation))
    for part in topology.transpose().parts:
        filled = (part.table >= 0).reshape(len(part.table), -1)
        assert filled.mean(axis=1).min() > 0.8  # absent only near the border


def test_known_edges_of_a_strided_stencil_and_its_phases() -> None:
    topology = GridTopology(Grid((5,)), Stencil(3, ndim=1, stride=2))
    np.testing.assert_array_equal(topology.to_explicit()[0].senders, [0, 1, 1, 2, 3, 3, 4])
    np.testing.assert_array_equal(topology.offset, [1, 2, 0, 1, 2, 0, 1])
    phases = {tuple(part.offsets): part.rows.tolist() for part in topology.transpose().parts}
    assert phases == {(0, 2): [0, 2], (1,): [0, 2, 4]}


def test_folded_borders_have_parallel_edges_in_the_order_of_offsets() -> None:
    topology = GridTopology(Grid((3,)), Stencil(3, ndim=1, border="edge"))
    np.testing.assert_array_equal(topology.indices, [0, 0, 1, 0, 1, 2, 1, 2, 2])
    np.testing.assert_array_equal(topology.offset, [0, 1, 2, 0, 1, 2, 0, 1, 2])
    assert GridTopology(Grid((3,)), Stencil(3, ndim=1, border="wrap")).transpose().parts[0].table.min() == 0


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("border", ["zero", "wrap", "reflect"])
def test_plans_of_big_images_stay_small(border: str, stride: int) -> None:
    topology = GridTopology(Grid((4096, 4096)), Stencil(3, ndim=2, border=border, stride=stride))
    for each in (topology, topology.transpose()):
        tables = sum(part.table.nbytes + (0 if part.rows is None else part.rows.nbytes) for part in each.parts)
        assert tables < 12e6
        assert max(part.table.nbytes for part in each.parts) <= 1 << 20
    assert "indices" not in topology._cache and "edges" not in topology._cache


def test_explicit_edges_do_not_overwrite_a_field_named_offset() -> None:
    g = gk.from_sequence(np.zeros(3))
    mine = g.replace(edges={"offset": np.arange(g.num_edges)})
    with pytest.raises(gk.errors.InvalidFeatureError, match="The graph has one already"):
        gk.transforms.to_explicit(mine)
