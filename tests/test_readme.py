"""The README keeps its word: its Python runs, its commands exist, its links lead somewhere, CI does the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import gnnkit as gk
from gnnkit.cli import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), names)
    numbers = [float(line) for line in capsys.readouterr().out.splitlines() if re.fullmatch(r"0\.\d+", line)]
    assert len(numbers) == 2 and min(numbers) > 0.75  # the club of the karate club, and the topics of Cora
    assert (tmp_path / "model.safetensors").is_file()
    own = names["GatedConv"]  # the layer of one's own, and its model file
    assert own(3, 4)(gk.path(3).replace(x=np.eye(3, dtype="float32"))).x.shape == (3, 4)  # type: ignore[operator]
    loaded = gk.nn.load_model("model.safetensors", classes=[own])
    assert isinstance(loaded[1], own)  # type: ignore[arg-type,index]


def test_every_gnnkit_command_and_option_exists():
    lines = [line for block in blocks("bash") for line in block.splitlines() if "gnnkit " in line]
    words = [shlex.split(line.split("gnnkit ", 1)[1], comments=True) for line in lines]
    assert len(words) >= 4
    for command in words:
        shown = CliRunner().invoke(app, [command[0], "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        for option in (word for word in command if word.startswith("--")):
            assert option in shown.output, f"{command[0]} has no {option}"


def test_every_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_ci_installs_and_tests_as_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    tests = next(block for block in blocks("bash") if "pytest" in block)
    assert 'pip install -q -e ".[dev]"' in tests and '-e ".[dev]"' in script
    assert "python -m pytest" in tests and "python -m pytest" in script
