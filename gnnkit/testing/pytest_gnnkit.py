"""The pytest plugin of gnnkit: ``assert_symmetry``, ``small_graphs``, and counterexamples in place of tracebacks.

pytest loads this file in every run of every project beside which gnnkit is installed, so it imports nothing: gnnkit is
loaded by the fixtures. It is installed beside the package, as the module ``pytest_gnnkit``, because importing a part of
a package imports all of it; pyproject.toml says how.
"""

from __future__ import annotations

import sys

import pytest

CASES = 50
CHECKERS = ("gnnkit.nn.held", "gnnkit.symmetry.checking")  # the modules that run what is checked


def pytest_addoption(parser):
    group = parser.getgroup("gnnkit", "symmetry checks of gnnkit")
    group.addoption(
        "--gnnkit-cases",
        type=int,
        default=None,
        metavar="N",
        help=f"graphs and group elements that assert_symmetry tries, each graph once at least (default {CASES}).",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "gnnkit_cases(n): cases that assert_symmetry tries in this test")
    cases = config.getoption("gnnkit_cases")
    if cases is not None and cases < 1:
        raise pytest.UsageError(f"--gnnkit-cases must be at least 1. Got {cases}. Leave it out for {CASES}.")


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("gnnkit_cases")
        if marker is not None and not _is_count(marker):
            given = ", ".join([*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())])
            raise pytest.UsageError(
                f"The marker gnnkit_cases takes a whole number of cases, at least 1. {item.nodeid} has "
                f"gnnkit_cases({given}). Write @pytest.mark.gnnkit_cases(1000)."
            )


def _is_count(marker):
    return len(marker.args) == 1 and not marker.kwargs and type(marker.args[0]) is int and marker.args[0] >= 1


@pytest.fixture
def assert_symmetry(request):
    """``assert_symmetry(layer)`` holds a layer to the symmetry that it declares; see gnnkit's docs/symmetry.md."""
    from gnnkit.nn.held import AssertSymmetry

    marker = request.node.get_closest_marker("gnnkit_cases")
    asked = request.config.getoption("gnnkit_cases")
    return AssertSymmetry(cases=asked or (marker.args[0] if marker is not None else CASES))


@pytest.fixture
def small_graphs():
    """``small_graphs(channels=3, edge_channels=0, ...)``: a dozen small graphs with every corner case."""
    from gnnkit.symmetry import small_graphs

    return small_graphs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and call.excinfo is not None and "gnnkit.errors" in sys.modules:
        _explain(report, call.excinfo)
    return report


def _explain(report, excinfo):
    """Show no code of gnnkit: the page of a counterexample alone, of other errors in a check the lines of the test.

    For a plain ``assert`` of a report, the page stands beside the traceback.
    """
    error = excinfo.value
    own = [entry for entry in excinfo.traceback if not _is_ours(entry)]
    if isinstance(error, sys.modules["gnnkit.errors"].SymmetryError):
        page = excinfo.getrepr(style="value")
        if own:
            last = own[-1]
            page.addsection(f"{last.path}:{last.lineno + 1}", str(last.statement).strip())
        report.longrepr = page
    elif own and any(_module(entry) in CHECKERS for entry in excinfo.traceback):
        report.longrepr = excinfo.getrepr(style="short", tbfilter=_without_ours)
    elif isinstance(error, AssertionError):
        pages = [str(found) for found in _failed_reports(excinfo.traceback[-1].frame.f_locals.values())]
        report.sections += [("gnnkit", page) for page in dict.fromkeys(pages)]


def _without_ours(excinfo):
    """The lines of the test and of what it checks, neither gnnkit's nor pytest's."""
    return excinfo.traceback.filter(lambda entry: not _is_ours(entry)) or excinfo.traceback


def _is_ours(entry):
    return _module(entry).partition(".")[0] in ("gnnkit", "pytest_gnnkit", "_pytest", "pluggy")


def _module(entry):
    return str(entry.frame.f_globals.get("__name__", ""))


def _failed_reports(values):
    kind = getattr(sys.modules.get("gnnkit.symmetry"), "Report", None)
    return [value for value in values if kind is not None and isinstance(value, kind) and not value.passed]
