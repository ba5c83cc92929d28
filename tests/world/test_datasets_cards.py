"""Cards and registry: every card is complete and tells the truth, names are forgiving, unknown ones are explained."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import gnnkit as gk
from gnnkit.datasets.cards import Card, graphs_folder, read_card
from gnnkit.errors import FileFormatError, FileMissingError, UnknownNameError

CARDS = list(gk.datasets.list())
CARD = pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])


@CARD
def test_a_card_is_complete(card: Card) -> None:
    for section in ("## What", "## Counts", "## Quirks"):
        assert section in card.text
    for fact in (card.title, card.task, card.licence, card.source, card.reference):
        assert len(fact) > 5
    assert card.folder.name == card.name and card.num_nodes > 0 and card.num_edges > 0
    assert card.num_classes == len(card.class_names) or not card.class_names
    for file in card.files:
        assert file.bytes > 0 and len(file.sha256) == 64 and set(file.sha256) <= set("0123456789abcdef")


@CARD
def test_the_checksum_on_the_card_is_that_of_the_file(card: Card) -> None:
    for file in card.files:
        path = card.folder / file.name
        assert path.is_file() == card.is_bundled
        if card.is_bundled:
            content = path.read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)


def test_the_folder_holds_data_sets_and_nothing_else() -> None:
    folder = graphs_folder()
    assert sorted(path.name for path in folder.iterdir()) == sorted(gk.datasets.list().names)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    bundled = [f"{card.name}/{file.name}" for card in CARDS if card.is_bundled for file in card.files]
    assert found == sorted([f"{card.name}/card.md" for card in CARDS] + bundled)


def test_the_list_prints_as_a_table() -> None:
    table = gk.datasets.list()
    lines = repr(table).splitlines()
    assert len(lines) == len(table) + 1 and lines[0].split()[:4] == ["name", "graphs", "nodes", "edges"]
    cora = next(line for line in lines if line.startswith("cora "))
    assert cora.split()[1:6] == ["1", "2,708", "10,556", "1,433", "7"] and "bundled" in cora and "Apache-2.0" in cora
    assert "download 17 MB" in repr(table)
    assert max(map(len, lines)) <= 120
    assert table[0].name == table.names[0] and table[:2].names == table.names[:2]


def test_describe_is_the_card() -> None:
    assert gk.datasets.describe("cora") == gk.datasets.card("cora").text
    assert "5278" in gk.datasets.describe("cora")


@pytest.mark.parametrize("name", ["Cora", "CORA", " cora "])
def test_case_and_spaces_do_not_matter(name: str) -> None:
    assert gk.datasets.card(name).name == "cora"


@pytest.mark.parametrize("name", ["amazon-photo", "Amazon Photo"])
def test_hyphens_and_spaces_stand_for_underscores(name: str) -> None:
    assert gk.datasets.card(name).name == "amazon_photo"


@pytest.mark.parametrize(("name", "hint"), [
    ("coar", "Did you mean 'cora'"),
    ("pubmde", "Did you mean 'pubmed'"),
    ("karate_club", "Did you mean 'karate'"),
    ("ogbn-products", "A data set must be one of: amazon_photo, citeseer"),
    ("", "A data set must be one of"),
])  # fmt: skip
def test_an_unknown_name_is_explained(name: str, hint: str) -> None:
    for function in (gk.datasets.load, gk.datasets.describe, gk.datasets.card):
        with pytest.raises(UnknownNameError, match=hint):
            function(name)


@pytest.mark.parametrize("name", [None, 3, ["cora"]])
def test_a_name_that_is_no_text_is_unknown(name: object) -> None:
    with pytest.raises(UnknownNameError, match="A data set must be one of"):
        gk.datasets.load(name)  # type: ignore[arg-type]


def test_the_installed_folder_comes_before_the_checkout(tmp_path: Path) -> None:
    package = tmp_path / "site" / "gnnkit"
    (package.parent / "graphs").mkdir(parents=True)
    package.mkdir()
    # A folder that happens to be called graphs, beside an installed package without data, is not ours.
    with pytest.raises(FileMissingError, match=r"must be in .*_graphs.*\(installed\).*Install gnnkit again"):
        graphs_folder(package)
    (package.parent / "pyproject.toml").touch()
    assert graphs_folder(package) == package.parent / "graphs"
    (package / "_graphs").mkdir()
    assert graphs_folder(package) == package / "_graphs"


@pytest.mark.parametrize("text", ["# no block\n", "```toml\nname = \n```\n", '```toml\nname = "a"\nfile = []\n```\n'])
def test_a_broken_card_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"one toml block.*card\.md"):
        read_card(path)
