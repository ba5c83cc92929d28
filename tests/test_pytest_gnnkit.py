"""The pytest plugin, in runs of pytest inside of this one: fixtures, options, and what a failure prints."""

from __future__ import annotations

import subprocess
import sys

import pytest

LAYERS = """
import numpy as np
import gnnkit as gk

class LastWins(gk.nn.Module):
    symmetry = gk.nn.EQUIVARIANT
    in_channels = 1
    def forward(self, graph):
        x = np.zeros(graph.x.shape)
        x[graph.receivers] = gk.autodiff.as_array(graph.x)[graph.senders]
        return graph.replace(x=x)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file in a process of its own (one in ours would take its modules away from later tests)."""
    for name in ("CI", "BUILD_NUMBER"):  # there pytest prints long messages a second time, in its summary
        monkeypatch.delenv(name, raising=False)

    def run(text, *arguments):
        pytester.makepyfile(layers=LAYERS, test_own=text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments)

    return run


def test_a_correct_layer_passes_in_one_line(run):
    result = run(
        """
        import gnnkit as gk

        def test_conv(assert_symmetry):
            reports = assert_symmetry(gk.nn.SAGEConv(3, 2, rng=0))
            assert set(reports) == {"nodes", "edges", "union", "euclidean"}
            assert reports["nodes"].cases == 17

        def test_function(assert_symmetry, small_graphs):
            graphs = small_graphs(2)[:5]
            assert_symmetry(lambda g: g.x.sum(axis=0), graphs, group="nodes", expect="invariant", output="globals")
        """,
        "--gnnkit-cases=17",
    )
    result.assert_outcomes(passed=2)


def test_a_broken_layer_shows_its_counterexample_and_no_traceback_of_ours(run):
    result = run(
        """
        from layers import LastWins

        def test_last_wins(assert_symmetry):
            layer = LastWins()
            assert_symmetry(layer)
        """
    )
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "symmetry check FAILED: LastWins() is not equivariant under 'nodes'" in text
    assert "smallest counterexample found:" in text and "f(moved graph)" in text
    assert "test_own.py:5" in text and "assert_symmetry(layer)" in text
    assert "gnnkit/nn/held.py" not in text and "gnnkit/symmetry" not in text and "def __call__" not in text


def test_assert_equivariant_and_a_plain_assert_show_it_too(run):
    result = run(
        """
        import gnnkit as gk
        from layers import LastWins

        def test_wrapped(small_graphs):
            gk.symmetry.assert_equivariant(LastWins(), small_graphs(1))

        def test_plain(small_graphs):
            report = gk.symmetry.check(LastWins(), small_graphs(1))
            assert report.passed

        def test_other():
            assert 1 == 2
        """
    )
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert text.count("smallest counterexample found:") == 2
    assert "gnnkit/symmetry/check" not in text and "assert 1 == 2" in text


def test_what_is_called_wrongly_is_said_without_our_code(run):
    result = run(
        """
        import gnnkit as gk
        import pytest
        from layers import LastWins

        class Broken(gk.nn.Module):
            symmetry = gk.nn.EQUIVARIANT
            def forward(self, graph):
                return graph.replace(x=1 / 0)

        def test_group(assert_symmetry):
            assert_symmetry(gk.nn.ReLU(), group="nods")

        def test_class(assert_symmetry):
            assert_symmetry(LastWins)

        def test_output(assert_symmetry):
            assert_symmetry(lambda g: g.x, group="nodes")

        def test_own(assert_symmetry):
            assert_symmetry(Broken())

        def test_wrapped(small_graphs):
            gk.symmetry.assert_equivariant(lambda g: g.x, small_graphs(2))
        """
    )
    result.assert_outcomes(failed=5)
    text = result.stdout.str()
    assert "gnnkit/" not in text and "_pytest" not in text and len(text.splitlines()) < 65, text
    for said in (
        "Did you mean 'nodes'?",
        "Build it first: LastWins(...)",
        "Pass output='nodes'",
        "in forward\n",
        "ZeroDivisionError: div",
    ):
        assert said in text, said
    assert 'assert_symmetry(gk.nn.ReLU(), group="nods")' in text and "test_own.py:8: in forward" in text


@pytest.mark.parametrize("given", ["", "()", "('many')", "(0)", "(3, 4)", "(n=3)"])
def test_a_marker_without_a_number_is_refused(run, given):
    result = run(f"import pytest\n\n@pytest.mark.gnnkit_cases{given}\ndef test_marked():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "The marker gnnkit_cases takes a whole number of cases, at least 1." in result.stderr.str()
    assert "test_own.py::test_marked has gnnkit_cases(" in result.stderr.str()


def test_cases_come_from_the_option_the_marker_or_the_default(run):
    text = """
        import gnnkit as gk
        import pytest

        @pytest.mark.gnnkit_cases(13)
        def test_marked(assert_symmetry):
            print(f"<{assert_symmetry(gk.nn.ReLU(), group='nodes')['nodes'].cases}>")

        def test_default(assert_symmetry):
            print(f"<{assert_symmetry.cases}>")
        """
    found = run(text, "-s", "--strict-markers").stdout.str()
    assert "<13>" in found and "<50>" in found
    assert run(text, "-s", "--gnnkit-cases=14").stdout.str().count("<14>") == 2
    assert "--gnnkit-cases must be at least 1. Got 0." in run(text, "--gnnkit-cases=0").stderr.str()


def test_who_does_not_use_it_loads_nothing(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    loaded = {'numpy', 'gnnkit', 'numba', 'hypothesis'} & set(sys.modules)\n"
        "    assert 'pytest_gnnkit' in sys.modules and loaded <= {'hypothesis'}, loaded\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
