"""What a reader of a report sees, word by word; and what importing the checker loads."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import planted_defects

import gnnkit as gk
from gnnkit.symmetry.report import number


def numbered(g):
    return g.x * np.arange(g.num_nodes)[:, None]


def failed(**options):
    g = gk.from_edges([2, 0, 1], [0, 1, 1], num_nodes=3, x=[[1.0], [2.0], [4.0]], e=[0.5, 1.5, 2.5])
    return gk.symmetry.check(numbered, g, output="nodes", shrink=False, **options)


def test_a_failed_report_reads_like_this():
    report = failed(gradients=False, rng=3)
    example = report.counterexample
    order = ", ".join(f"{i} -> {t}" for i, t in enumerate(example.element.target) if i != t)
    source = example.source_row()
    assert str(report).splitlines() == [
        "symmetry check FAILED: numbered is not equivariant under 'nodes'",
        "  1 case, float64, relative tolerance 4.1e-10",
        "  gradients were not asked for",
        "  largest error  absolute  relative",
        f"  nodes output    {report.errors['nodes output'][0]:.1e}   {report.max_error:.1e}   <- too large",
        "smallest counterexample found:",
        "  3 nodes, 3 edges",
        "  edges: 2 -> 0, 0 -> 1, 1 -> 1",
        "  nodes x = [[1], [2], [4]]",
        "  edges e = [0.5, 1.5, 2.5]",
        f"  group element: nodes {order}",
        f"  differs at: nodes output, node {example.where[0]} on the right (node {source} on the left), channel 0",
        f"    f(graph), moved : {example.left:g}",
        f"    f(moved graph)  : {example.right:g}",
    ]
    x = [1.0, 2.0, 4.0]
    assert example.left == x[source] * source and example.right == x[source] * example.where[0]


def test_gradients_that_fail_alone_are_what_the_report_speaks_of():
    report = planted_defects.DEFECTS["gradient to the first maximum"].check()
    text, example = str(report), report.counterexample
    assert text.startswith(
        "symmetry check FAILED: the gradients of gradient_to_the_first_maximum are not equivariant under 'nodes'\n"
    )
    assert f"\n    gradient at graph, moved : {number(example.left)}\n" in text
    assert f"\n    gradient at moved graph  : {number(example.right)}" in text and "f(graph)" not in text


def test_counterexamples_of_several_graphs_parameters_and_large_fields():
    norm = gk.symmetry.check(gk.nn.BatchNorm(1), gk.path(2).replace(x=[[0.0], [1.0]]), group="union", shrink=False)
    text = str(norm)
    assert "graphs of " in text and "each alone (left) and as one batch (right)" in text
    wide = gk.symmetry.check(numbered, gk.path(20).replace(x=np.ones((20, 1))), output="nodes", shrink=False)
    assert "and 8 rows more" in str(wide) and "and 26 more" in str(wide)


def test_where_a_parameter_differs():
    class Uneven(gk.nn.Module):
        def __init__(self):
            self.weight = gk.nn.Parameter(np.ones((1, 2)))

        def forward(self, g):
            seen = g.x * self.weight  # the value of every node, but the gradient of the first node only
            return g.replace(x=g.x * self.weight.data + (seen - seen.data) * (np.arange(g.num_nodes) == 0)[:, None])

    g = gk.path(3).replace(x=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    report = gk.symmetry.check(Uneven(), g, shrink=False)
    assert report.counterexample.finding.kind == "gradient"
    assert report.errors["nodes x"] == (0.0, 0.0)
    assert report.errors["gradient of parameter weight"][1] > report.tolerance


def test_a_function_that_draws_by_chance_is_told():
    rng = np.random.default_rng(0)
    report = gk.symmetry.check(lambda g: g.x * rng.random(), gk.path(3).replace(x=[[1.0]] * 3), output="nodes")
    assert not report.passed
    assert "gives different values for the same graph twice" in str(report)
    assert report.counterexample.num_nodes == 3  # chance is not made small


def test_importing_the_checker_is_light():
    probe = "import sys, json, gnnkit as gk; gk.symmetry.check; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    loaded = set(json.loads(done.stdout))
    assert "gnnkit.symmetry" in loaded and "gnnkit.nn" not in loaded
    assert not loaded & {"matplotlib", "hypothesis", "torch", "sklearn", "networkx", "numba", "scipy"}
