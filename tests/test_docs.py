"""docs/ and the README keep their word: their Python runs, and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gnnkit import kernels as K

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "docs/message_programs.md", "docs/images.md", "docs/symmetry.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str, int]]:
    """(language, text, line) of every block of code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(m[1], m[2], text[: m.start()].count("\n") + 2) for m in BLOCK.finditer(text)]


def missing(shown: str, printed: str) -> list[str]:
    """Lines that are shown but not printed, or not in this order; a line is shown by its beginning."""
    rest = [" ".join(line.split()) for line in printed.splitlines()]
    lost = []
    for line in (" ".join(line.split()) for line in shown.splitlines()):
        if line in ("", "..."):
            continue
        place = next((i for i, candidate in enumerate(rest) if candidate.startswith(line)), None)
        if place is None:
            lost.append(line)
        else:
            rest = rest[place + 1 :]
    return lost


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    printed, compared = "", 0
    for language, text, line in blocks(page):
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile("\n" * (line - 1) + text, page, "exec"), names)
            printed = output.getvalue()
        elif language == "text":
            if K.current_backend() == "numba":  # plans say what runs them
                assert missing(text, printed) == [], f"{page}, line {line}"
            compared += 1
    assert compared


def test_a_wrong_output_is_caught() -> None:
    assert missing("a  b\n...\nc", "a b c\nx\nc d") == []
    assert missing("c\na", "a\nc") == ["a"]
    assert missing("a\na", "a") == ["a"]


def test_links_lead_somewhere() -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        links = [x for x in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")) if "://" not in x]
        assert [x for x in links if not (page.parent / x).exists()] == [], page.name


def test_benchmarks_are_listed_and_teach() -> None:
    folder = ROOT / "tests" / "bench"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    scripts = sorted(folder.glob("bench_*.py"))
    assert scripts and [x.name for x in scripts if f"`{x.name}`" not in listed] == []
    shown = subprocess.run(
        [sys.executable, str(folder / "bench_programs.py"), "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0 and "one sweep over the edges per direction" in shown.stdout
