"""`check` and its arguments, on functions whose symmetry is known by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gnnkit as gk
from gnnkit.errors import DTypeError, GroupError, InvalidArgumentError, SymmetryError, UnknownNameError

check = gk.symmetry.check


def small(seed=0, nodes=6, edges=12):
    rng = np.random.default_rng(seed)
    return gk.from_edges(
        rng.integers(0, nodes, edges), rng.integers(0, nodes, edges), num_nodes=nodes, x=rng.normal(size=(nodes, 3))
    )


def numbered(g):
    return g.x * np.arange(g.num_nodes)[:, None]


def neighbour_sum(g):
    return gk.scatter_add(gk.take_rows(g.x, g.senders), g.receivers, g.num_nodes)


def test_a_convolution_passes():
    report = check(gk.nn.GCNConv(3, 2, rng=0), small())
    assert report.passed and bool(report) and report.cases == 20 and report.counterexample is None
    assert list(report.errors) == [
        "nodes x",
        "gradient of nodes x",
        "gradient of parameter weight",
        "gradient of parameter bias",
    ]
    assert report.max_error < 1e-14 < report.tolerance < 1e-9
    assert (report.group, report.expect, report.dtype) == ("nodes", "equivariant", "float64")
    assert str(report).startswith("symmetry check passed: GCNConv(3, 2) is equivariant under 'nodes'\n")


def test_a_number_of_a_node_is_no_feature():
    report = check(numbered, small(), output="nodes")
    example = report.counterexample
    assert not report.passed and not bool(report) and report.max_error > report.tolerance
    assert (example.num_nodes, example.graph.num_edges) == (2, 0)
    assert str(example.element) == "nodes 0 -> 1, 1 -> 0"
    assert example.what == "nodes output"
    assert (example.left, example.right) in [(1.0, 0.0), (0.0, 1.0)]
    with pytest.raises(SymmetryError, match=r"numbered is not equivariant under 'nodes'(.|\n)*smallest counterexample"):
        gk.symmetry.assert_equivariant(numbered, small(), output="nodes")
    with pytest.raises(AssertionError):
        gk.symmetry.assert_equivariant(numbered, small(), output="nodes", shrink=False)


def test_invariance():
    gk.symmetry.assert_invariant(lambda g: np.sum(g.x, axis=0), small(), output="globals")
    gk.symmetry.assert_invariant(lambda g: float(np.asarray(g.x).max()), small(), output="globals", gradients=False)
    with pytest.raises(SymmetryError, match=r"is not invariant under 'nodes'"):
        gk.symmetry.assert_invariant(lambda g: g.x[0], small(), output="globals")
    with pytest.raises(SymmetryError):
        gk.symmetry.assert_invariant(neighbour_sum, small(), output="nodes")


def test_tuples_and_mappings_of_arrays():
    def both(g):
        return {"sum": neighbour_sum(g), "number": numbered(g)}

    report = check(both, small(), output="nodes", shrink=False)
    assert report.counterexample.what == "nodes number"
    assert report.errors["nodes sum"][1] < 1e-12
    assert check(lambda g: (g.x, neighbour_sum(g)), small(), output="nodes").passed


def test_the_graphs_are_tried_in_turn():
    seen = set()

    def note(g):
        seen.add(g.num_nodes)
        return g.x

    report = check(note, [small(nodes=3), small(nodes=4), small(nodes=5)], output="nodes", cases=1)
    assert seen == {3, 4, 5} and report.cases == 3


def test_the_same_seed_tries_the_same_cases():
    one, two = (check(gk.nn.GCNConv(3, 2, rng=0), small(), rng=7) for _ in range(2))
    other = check(gk.nn.GCNConv(3, 2, rng=0), small(), rng=8)
    assert one.errors == two.errors != other.errors


# ------------------------------------------------------------------------------------ precision and strange values
def test_rounding_is_told_apart_from_a_defect():
    def slightly(share):
        return lambda g: g.x * (1 + share * np.arange(g.num_nodes)[:, None])

    assert check(slightly(1e-13), small(), output="nodes").passed
    assert not check(slightly(1e-8), small(), output="nodes").passed
    assert check(slightly(1e-8), small(), output="nodes", tolerance=1e-6).passed
    assert check(slightly(1e-8), small(), output="nodes", dtype="float32").passed
    assert not check(slightly(1e-13), small(), output="nodes", tolerance=0).passed


def test_a_model_inside_a_function_computes_in_float32_and_is_judged_so():
    model = gk.nn.GCNConv(3, 2, rng=0)
    report = check(lambda g: model(g), small())
    assert report.passed and report.tolerance == pytest.approx(7e-5, rel=0.02)


def test_nan_and_infinity():
    def nan_where_negative(g):
        return np.where(g.x > 0, g.x, np.nan * g.x)

    assert check(nan_where_negative, small(), output="nodes").passed
    first_only = check(lambda g: np.where(np.arange(g.num_nodes)[:, None] == 0, np.inf, g.x), small(), output="nodes")
    assert not first_only.passed and first_only.max_error == np.inf


def test_results_of_another_shape():
    report = check(lambda g: g.x[: g.receivers[0] + 1], small(), output="nodes")
    assert not report.passed and report.max_error == np.inf
    assert "the result must have one row per node" in str(report)
    report = check(lambda g: g.x[:, : int(g.x.data[0, 0] > 0) + 1], small(), output="nodes")
    assert "shape" in report.counterexample.finding.message


def test_an_error_on_one_side_only_is_a_finding():
    def fussy(g):
        if g.x.data[0, 0] < g.x.data[-1, 0]:
            raise KeyError("unsorted nodes")
        return g.x

    g = gk.path(3).replace(x=np.array([[3.0], [2.0], [1.0]]))
    report = check(fussy, g, output="nodes")
    example = report.counterexample
    assert not report.passed and report.max_error == np.inf and example.finding.kind == "raised"
    assert example.num_nodes == 2 and example.what == "KeyError"
    assert {example.left, example.right} == {"no error", "KeyError: 'unsorted nodes'"}
    assert "KeyError: the function raised on the" in str(report)


def test_an_error_on_both_sides_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        check(lambda g: 1 / 0, small(), output="nodes")


# --------------------------------------------------------------------------------------------------- gradients
def test_gradients_that_cannot_be_compared_are_reported():
    plain = check(lambda g: np.asarray(g.x.data if hasattr(g.x, "numpy") else g.x) * 2, small(), output="nodes")
    assert plain.passed and "NOT compared in 20 cases: nodes output came back as a plain array" in plain.gradients
    assert "NOT compared" in str(plain)
    refused = check(lambda g: np.linalg.norm(np.asarray(g.x), axis=1), small(), output="nodes")
    assert "cannot compute with Tensors (GradientError" in refused.gradients
    labels = check(lambda g: np.argmax(g.x, axis=1), small(), output="nodes")
    assert labels.passed and "no result is floating" in labels.gradients
    lost = check(lambda g: gk.tensor(g.x) * 2.0, small(), output="nodes")
    assert lost.passed and "NOT compared in 20 cases: no result hangs on an input or parameter by the tape" in str(lost)
    assert "gradient of nodes x" not in lost.errors
    assert check(neighbour_sum, small(), output="nodes", gradients=False).gradients == "gradients were not asked for"


def test_gradients_of_edge_and_global_fields_are_compared():
    rng = np.random.default_rng(0)
    g = small().replace(edges={"w": rng.normal(size=12)}, globals={"s": rng.normal(size=(1, 2))})

    def weighted(g):
        messages = gk.take_rows(g.x, g.senders) * g.edges["w"][:, None]
        return gk.scatter_add(messages, g.receivers, g.num_nodes) * g.globals["s"][0, 0]

    for group in ("nodes", "edges"):
        report = check(weighted, g, output="nodes", group=group)
        assert report.passed
        assert {"gradient of edges w", "gradient of globals s"} <= set(report.errors)


# ----------------------------------------------------------------------------------------- the user's model
def test_the_model_of_the_user_never_changes():
    model = gk.nn.Sequential(gk.nn.GCNConv(3, 3, rng=0), gk.nn.BatchNorm(3), gk.nn.Dropout(0.5)).seed(3)
    before, mode = model.state_dict(), [module.training for module in model.modules()]
    random = model.rng_state()
    report = check(model, small())
    assert report.passed, str(report)
    assert "Dropout: checked in evaluation mode" in str(report)
    assert {name: value.dtype for name, value in model.state_dict().items()} == {n: v.dtype for n, v in before.items()}
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == mode
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.rng_state() == random


def test_a_module_that_draws_at_evaluation_is_seeded_alike():
    class Noisy(gk.nn.Module):
        stochastic = True

        def forward(self, graph):
            return graph.replace(x=graph.x + self.generator.standard_normal())

    assert check(Noisy(), small()).passed


def test_the_mode_of_a_module_is_kept():
    norm = gk.nn.BatchNorm(3)
    assert not check(norm, small(), group="union").passed
    assert check(norm.eval(), small(), group="union").passed


# -------------------------------------------------------------------------------------------- wrong arguments
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"group": "node"}, UnknownNameError, r"A symmetry group must be one of: .*Did you mean 'nodes'"),
        ({"group": 3}, DTypeError, r"A group is a name, \(name, options\), or a Group\. Got int"),
        ({"group": ("torus", {"stride": 2})}, InvalidArgumentError, "Options of the group 'torus' are: step, margin"),
        ({"expect": "same"}, UnknownNameError, "An expectation must be one of"),
        ({"output": None}, InvalidArgumentError, "must say what their rows are; the shape never decides"),
        ({"output": "node"}, UnknownNameError, "A level of output must be one of"),
        ({"cases": 0}, InvalidArgumentError, "cases is a whole number, at least 1"),
        ({"tolerance": np.inf}, InvalidArgumentError, "A tolerance is a finite number"),
        ({"tolerance": -1}, InvalidArgumentError, "A tolerance is a finite number"),
        ({"dtype": "int64"}, InvalidArgumentError, "Checks run in float32 or float64"),
        ({"group": "union", "expect": "invariant"}, GroupError, "A disjoint union must give the values of its graphs"),
    ],
)
def test_wrong_arguments(options, error, text):
    with pytest.raises(error, match=text):
        check(lambda g: g.x, small(), **{"output": "nodes", **options})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("permutation", "Did you mean 'nodes'?"),
        ("Relabelling", "Did you mean 'nodes'?"),
        ("S_n", "Did you mean 'nodes'?"),
        ("batch", "Did you mean 'union'?"),
        ("C4", "Did you mean 'rot90'?"),
        ("E(n)", "All motions of space are group='euclidean'."),
        ("e3", "All motions of space are group='euclidean'."),
        ("SE(3)", "Motions without reflections are group=('euclidean', {'reflect': False})."),
        ("O(2)", "Motions that keep the origin are group=('euclidean', {'move': False})."),
        ("SO(3)", "Rotations are group='rotation'."),
        ("T(3)", "Translations of space are group='shift', those of images 'translation' or 'torus'."),
        ("euclidian", "Did you mean 'euclidean'?"),
    ],
)
def test_what_others_call_a_group(name, advice):
    with pytest.raises(UnknownNameError, match=r"A symmetry group must be one of: channels, edges, .*\. Got") as caught:
        check(gk.nn.ReLU(), small(), group=name)
    assert str(caught.value).endswith(f"Got {name!r}. {advice}")


def sparse():
    from scipy import sparse

    return sparse.eye_array(3).tocsr()


def table():
    return pytest.importorskip("pandas").DataFrame({"source": [0], "target": [1]})


@pytest.mark.parametrize(
    ("made", "came", "advice"),
    [
        (lambda: nx.path_graph(3), "networkx.Graph", r"Convert it with gk.from_networkx\(G\)\."),
        (lambda: [nx.path_graph(3)], "networkx.Graph", r"Convert it with gk.from_networkx\(G\)\."),
        (lambda: {"train": small()}, "dict", r"Pass its graphs: list\(graphs.values\(\)\)\."),
        (lambda: gk.symmetry.small_graphs, "function", r"Call it first: small_graphs\(\)\."),
        (sparse, r"scipy\..*", r"Convert a sparse matrix with gk.from_scipy\(A\), and give it features"),
        (table, r"pandas\..*", r"Convert a table of edges with gk.from_pandas\(table\)\."),
        (lambda: np.eye(3), "numpy.ndarray", r"Pass a gk.Graph, a list of them, or a hypothesis strategy"),
        (lambda: "cora", "str", r"Pass a gk.Graph, a list of them, or a hypothesis strategy"),
    ],
)
def test_what_holds_no_graphs_is_refused_before_it_is_looked_through(made, came, advice):
    with pytest.raises(DTypeError, match=rf"Symmetry is checked on graphs\. Got {came}\. {advice}"):
        check(numbered, made(), output="nodes")


def test_a_seed_is_a_number():
    with pytest.raises(DTypeError, match=r"rng is a whole number, at least 0, or a numpy Generator\. Got 'a'\. Pass"):
        check(numbered, small(), output="nodes", rng="a")


def test_wrong_functions_and_graphs():
    class Fitted:
        def predict(self, X):
            return X

    with pytest.raises(DTypeError, match=r"Wrap an estimator with gk.symmetry.from_estimator"):
        check(Fitted(), small(), output="nodes")
    with pytest.raises(DTypeError, match=r"What is checked must be callable. Got int"):
        check(3, small())
    with pytest.raises(
        DTypeError, match=r"a function of a graph\. ReLU is a class\. Build it first: ReLU\(\.\.\.\)\.$"
    ):
        check(gk.nn.ReLU, small())
    with pytest.raises(DTypeError, match=r"Symmetry is checked on graphs. Got int"):
        check(numbered, 3, output="nodes")
    with pytest.raises(DTypeError, match=r"Symmetry is checked on graphs. Got int"):
        check(numbered, [3], output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"at least one graph. Got an empty list"):
        check(numbered, [], output="nodes")
    with pytest.raises(InvalidArgumentError, match=r"returns a Graph or arrays of numbers. Got"):
        check(lambda g: object(), small(), output="nodes")


@pytest.mark.parametrize(
    ("group", "graph"),
    [("nodes", gk.empty(1)), ("edges", gk.empty(4)), ("reversal", gk.empty(3)), ("nodes", gk.empty(0))],
)
def test_nothing_to_try_is_an_error_and_no_pass(group, graph):
    graph = graph.replace(x=np.zeros((graph.num_nodes, 1)))
    with pytest.raises(GroupError, match=r"A check must try at least one case"):
        check(lambda g: g.x, graph, group=group, output="nodes")


def test_nothing_to_compare_is_an_error_and_no_pass():
    with pytest.raises(GroupError, match=r"A result must have fields to be compared"):
        check(lambda g: g.without("x"), small())
    with pytest.raises(GroupError, match=r"Only globals of a returned graph can be invariant"):
        check(gk.nn.ReLU(), small(), expect="invariant")
