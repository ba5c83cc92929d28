"""The shape of the code base, checked over its syntax trees: imports only go down the floors, files stay short,
library code does not print, nothing touches pickle or the global random state. Every rule is shown to catch a breach.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "gnnkit"

# The ground (errors, files) knows nothing of gnnkit; a package may import itself and whatever has a smaller number.
FLOORS: dict[str, float] = {
    "errors": -2,
    "files": -1,
    "kernels": 0,
    "autodiff": 1,
    "graph": 2,
    "message": 3,
    "symmetry": 3.5,
    "nn": 4,
    "learn": 5,
    "datasets": 6,
    "plot": 6,
    "cli": 7,
    "testing": 8,  # the pytest plugin: imports only inside of its fixtures
    "__main__": 8,
}
DOOR = 99  # `import gnnkit` reaches every floor, so only the door itself and the command line above all may do it
MAX_LINES = 400
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
SEEDABLE = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM", "Philox", "SFC64"}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import at any depth; ``from a import b`` yields ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                here = here[: len(here) - node.level + 1]
                base = ".".join([*here, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def floor_of(dotted: str) -> float:
    """Return the floor of a module of gnnkit; a name that is no floor (``gnnkit.Tensor``) comes through the door."""
    parts = dotted.split(".")
    return FLOORS.get(parts[1], DOOR) if len(parts) > 1 else DOOR


def upward_imports(tree: ast.AST, module: str, is_package: bool = False) -> list[str]:
    if module == "gnnkit":
        return []
    here, found = module.split(".")[1], []
    if here not in FLOORS:
        return [f"{module} stands on no floor: add it to FLOORS"]
    for line, target in imported_modules(tree, module, is_package):
        if target.split(".")[0] != "gnnkit" or target.split(".")[1:2] == [here]:
            continue
        if target == "gnnkit.__version__":  # a text, not a floor
            continue
        if floor_of(target) >= FLOORS[here]:
            found.append(f"{module}:{line} imports {target}, which is not below it")
    return found


def printing(tree: ast.AST, module: str) -> list[str]:
    """Find every ``print`` but those to stderr: standard output belongs to the program that uses the library."""
    return [
        f"{module}:{call.lineno} prints"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
        if not any(k.arg == "file" and ast.unparse(k.value) == "sys.stderr" for k in call.keywords)
    ]


def pickling(tree: ast.AST, module: str) -> list[str]:
    found = [
        f"{module}:{line} imports {name}"
        for line, name in imported_modules(tree, module, False)
        if name.split(".")[0] in PICKLERS
    ]
    found += [
        f"{module}:{node.value.lineno} allows pickle"
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    ]
    return found


def global_randomness(tree: ast.AST, module: str) -> list[str]:
    found = [
        f"{module}:{line} imports {name}"
        for line, name in imported_modules(tree, module, False)
        if name == "random"
        or name.startswith("random.")
        or (name.startswith("numpy.random.") and name.split(".")[2] not in SEEDABLE)
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr in SEEDABLE:
            continue
        if ast.unparse(node.value) in ("np.random", "numpy.random"):
            found.append(f"{module}:{node.lineno} uses np.random.{node.attr}")
    return found


def python_files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (REPOSITORY / folder).rglob("*.py"))


def everywhere(rule: Callable[[ast.AST, str], list[str]], *folders: str) -> list[str]:
    return [
        breach
        for path in python_files(*folders)
        for breach in rule(ast.parse(path.read_text(encoding="utf-8")), module_name(path))
    ]


def test_imports_only_go_down() -> None:
    breaches = []
    for path in python_files("gnnkit"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        breaches += upward_imports(tree, module_name(path), path.name == "__init__.py")
    assert not breaches, "\n".join(breaches)


def test_every_folder_of_the_package_is_a_floor() -> None:
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    modules = {p.stem for p in PACKAGE.glob("*.py")} - {"__init__"}
    assert folders | modules <= set(FLOORS)


def test_files_stay_short() -> None:
    files = python_files("gnnkit", "tests", "examples")
    lengths = {module_name(p): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert {name: count for name, count in lengths.items() if count > MAX_LINES} == {}


def test_library_code_does_not_print_to_standard_output() -> None:
    assert [b for b in everywhere(printing, "gnnkit") if not b.startswith("gnnkit.cli")] == []


def test_no_pickle_anywhere() -> None:
    # Tests may use it: one proves that pickling a Tensor is refused.
    assert everywhere(pickling, "gnnkit", "examples", "tests/bench") == []


def test_no_global_random_state() -> None:
    assert everywhere(global_randomness, "gnnkit", "examples", "tests") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gnnkit.kernels.csr", "from gnnkit.graph import Topology"),
        ("gnnkit.kernels.csr", "from gnnkit import autodiff"),
        ("gnnkit.graph.topology", "import gnnkit.nn"),
        ("gnnkit.graph.topology", "import gnnkit as gk"),
        ("gnnkit.graph.topology", "from gnnkit import Tensor"),
        ("gnnkit.autodiff.tensor", "def f():\n    from gnnkit.graph import Graph"),
        ("gnnkit.autodiff.tensor", "if TYPE_CHECKING:\n    from gnnkit.message import gather_senders"),
        ("gnnkit.nn.module", "from ..learn import fit"),
        ("gnnkit.nn.module", "from .. import learn"),
        ("gnnkit.message.ops", "importlib.import_module('gnnkit.nn')"),
        ("gnnkit.datasets.registry", "from gnnkit.plot import draw_graph"),
        ("gnnkit.learn.loop", "from gnnkit.cli import app"),
        ("gnnkit.errors", "from gnnkit import kernels"),
        ("gnnkit.attic.old", "import numpy"),
    ],
)
def test_an_upward_import_is_caught(module: str, source: str) -> None:
    assert len(upward_imports(ast.parse(source), module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gnnkit.autodiff.tensor", "from gnnkit import kernels as K\nfrom gnnkit.errors import ShapeError"),
        ("gnnkit.nn.conv", "from .module import Module\nfrom gnnkit.nn.linear import Linear"),
        ("gnnkit.cli.train", "from gnnkit import __version__\nfrom gnnkit.plot import training_curve"),
        ("gnnkit", "importlib.import_module('gnnkit.nn')"),
        ("gnnkit.kernels.csr", "import numpy as np\nimport gnnkits.graph"),
    ],
)
def test_a_downward_import_is_allowed(module: str, source: str) -> None:
    assert upward_imports(ast.parse(source), module) == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (printing, "def f():\n    print(1)"),
        (printing, "print(1, file=stream)"),
        (pickling, "import pickle"),
        (pickling, "def f():\n    from joblib import dump"),
        (pickling, "np.load(path, allow_pickle=True)"),
        (pickling, "np.load(path, allow_pickle=flag)"),
        (global_randomness, "np.random.seed(0)"),
        (global_randomness, "x = numpy.random.rand(3)"),
        (global_randomness, "from numpy.random import randint"),
        (global_randomness, "import random"),
    ],
)
def test_a_breach_of_a_rule_is_caught(rule: Callable[[ast.AST, str], list[str]], source: str) -> None:
    assert len(rule(ast.parse(source), "somewhere")) == 1


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (printing, '"""\n>>> print(1)\n"""\nconsole.print("table")\nprint("wait", file=sys.stderr)'),
        (pickling, "np.load(path, allow_pickle=False)"),
        (global_randomness, "rng = np.random.default_rng(0)\nfrom numpy.random import Generator\nrng.random(3)"),
    ],
)
def test_a_rule_lets_good_code_pass(rule: Callable[[ast.AST, str], list[str]], source: str) -> None:
    assert rule(ast.parse(source), "somewhere") == []
