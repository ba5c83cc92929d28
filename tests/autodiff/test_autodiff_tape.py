"""The tape as a graph: exercise 17's nodes, a valid reverse schedule, and each adjoint."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit import errors


@pytest.fixture
def exercise() -> tuple[gk.Tensor, tuple[gk.Tensor, ...]]:
    """f = sin(t x1 + x2) + t x2^2 at t=2, x1=0.5, x2=3."""
    t, x1, x2 = (gk.Tensor(v, requires_grad=True, name=n) for v, n in ((2.0, "t"), (0.5, "x1"), (3.0, "x2")))
    result = np.sin(t * x1 + x2) + t * x2**2
    return result, (t, x1, x2)


def test_nodes(exercise) -> None:
    result, _leaves = exercise
    tape = gk.tape(result)
    formulas = [node.formula for node in tape.nodes]
    assert formulas == [
        "input", "input", "input", "multiply(t, x1)", "add(v1, x2)", "sin(v2)", "square(x2)", "multiply(t, v4)",
        "add(v3, v5)",
    ]  # fmt: skip
    assert len(tape) == 9
    values = {node.name: float(node.value) for node in tape.nodes}
    assert values["v1"] == 1.0 and values["v2"] == 4.0 and values["v4"] == 9.0 and values["v5"] == 18.0


def test_reverse_schedule_is_valid(exercise) -> None:
    result, _leaves = exercise
    tape = gk.tape(result)
    schedule = tape.schedule()
    assert sorted(n.name for n in schedule) == sorted(n.name for n in tape.nodes)
    place = {node.name: k for k, node in enumerate(schedule)}
    assert place[tape.nodes[-1].name] == 0
    for node in tape.nodes:  # a node comes before everything it was made of
        assert all(place[node.name] < place[argument.name] for _, argument in node.arguments)


def test_every_adjoint(exercise) -> None:
    result, (t, x1, x2) = exercise
    found = {node.name: float(g) for node, g in gk.tape(result).adjoints()}
    c = math.cos(4.0)
    expected = {"v6": 1, "v5": 1, "v4": 2, "v3": 1, "v2": c, "v1": c}
    expected |= {"t": 0.5 * c + 9, "x1": 2 * c, "x2": c + 12}
    assert found == pytest.approx(expected)
    assert t.grad is None and x1.grad is None and x2.grad is None  # looking leaves no trace


def test_networkx(exercise) -> None:
    result, _leaves = exercise
    graph = gk.tape(result).to_networkx()
    assert nx.is_directed_acyclic_graph(graph) and graph.number_of_nodes() == 9 and graph.number_of_edges() == 10
    assert graph.nodes["v2"]["operation"] == "add" and graph.nodes["t"]["operation"] == "input"
    assert graph.nodes["v3"]["adjoint"] == 1.0 and graph.nodes["v3"]["shape"] == ()
    assert set(graph.predecessors("v1")) == {"t", "x1"} and graph.edges["x1", "v1"]["arguments"] == [1]


def test_a_value_used_twice_in_one_operation() -> None:
    x = gk.Tensor(3.0, requires_grad=True, name="x")
    graph = gk.tape(x * x).to_networkx()
    assert graph.edges["x", "v1"]["arguments"] == [0, 1] and graph.nodes["x"]["adjoint"] == 6.0


def test_printed_table(exercise) -> None:
    result, _leaves = exercise
    lines = repr(gk.tape(result)).splitlines()
    assert lines[0].split() == ["node", "formula", "shape", "value", "adjoint"]
    assert lines[1].split() == ["t", "input", "()", "2", "8.67318"]
    assert lines[-1] == "reverse schedule: v6 -> v5 -> v4 -> v3 -> v2 -> v1 -> x2 -> x1 -> t"
    assert repr(gk.tape(result).nodes[3]) == "v1 = multiply(t, x1)" and repr(gk.tape(result).nodes[0]) == "t"


def test_an_mlp() -> None:
    rng = np.random.default_rng(0)
    shapes = {"W1": (3, 4), "b1": (4,), "W2": (4, 2)}
    w1, b1, w2 = (gk.Tensor(rng.normal(size=s), requires_grad=True, name=n) for n, s in shapes.items())
    out = gk.softmax(gk.relu(np.ones((5, 3)) @ w1 + b1) @ w2)
    tape = gk.tape(out)
    assert [n.operation for n in tape.nodes] == ["input"] * 3 + ["matmul", "add", "relu", "matmul", "softmax"]
    adjoints = {node.name: g for node, g in tape.adjoints(rng.normal(size=(5, 2)))}
    assert adjoints["W1"].shape == (3, 4) and adjoints["b1"].shape == (4,)
    assert "matmul(constant[5, 3], W1)" in repr(tape)
    assert nx.ancestors(tape.to_networkx(), "v5") == {"W1", "b1", "W2", "v1", "v2", "v3", "v4"}


def test_names_are_unique() -> None:
    a, b = gk.Tensor(1.0, requires_grad=True, name="w"), gk.Tensor(2.0, requires_grad=True, name="w")
    c = gk.Tensor(2.0, requires_grad=True)
    hidden = a * b
    hidden.name = "h"
    names = [node.name for node in gk.tape(hidden * c).nodes]
    assert len(set(names)) == 5 and "h" in names and "w" in names


def test_large_values_may_be_gone() -> None:
    x = gk.tensor(np.ones(5000), requires_grad=True)
    tape = gk.tape(((x + 1) + 1).sum())
    assert tape.nodes[1].value is None and "..." in repr(tape)
    assert tape.adjoints()[-1][1].sum() == 5000


def test_a_constant_has_no_tape() -> None:
    with pytest.raises(errors.GradientError, match=r"has a tape\. Got a constant"):
        gk.tape(gk.tensor(1.0))
