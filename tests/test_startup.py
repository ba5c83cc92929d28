"""``import gnnkit`` is light: a fresh interpreter loads none of the heavy packages, and the seconds are printed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "pandas", "sklearn", "rich", "typer", "pooch", "networkx", "numba", "scipy")
PROBE = """
import json, sys, time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules)}}))
"""


def loaded_after(statement: str) -> dict:
    probe = PROBE.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_import_gnnkit_is_light(capsys: pytest.CaptureFixture[str]) -> None:
    found = loaded_after("import gnnkit")
    with capsys.disabled():
        print(f"\nimport gnnkit: {found['seconds']:.3f} s, {len(found['modules'])} modules")
    assert sorted(set(HEAVY) & set(found["modules"])) == []


def test_the_lazy_packages_load_on_first_use() -> None:
    found = loaded_after("import gnnkit as gk; gk.nn")
    assert "gnnkit.nn" in found["modules"]
    assert sorted(set(HEAVY) & set(found["modules"])) == []


def test_help_of_the_command_line_loads_no_kernels() -> None:
    found = loaded_after("import gnnkit.cli")
    unneeded = set(HEAVY) - {"typer", "rich"}
    assert sorted(unneeded & set(found["modules"])) == []


def test_the_probe_sees_a_heavy_import() -> None:
    assert "networkx" in loaded_after("import gnnkit, networkx")["modules"]


def test_dir_shows_what_a_person_uses() -> None:
    import gnnkit as gk

    shown = {name for name in dir(gk) if not name.startswith("__")}
    assert {"Graph", "NodeClassifier", "nn", "datasets"} <= shown
    assert not shown & {"Any", "TYPE_CHECKING", "importlib", "annotations", "files"}
    assert not [name for name in shown if name.startswith("_")]
