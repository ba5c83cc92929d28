"""The registry: one card per data set, read from ``graphs/*/card.md``. Imports only the error tree.

A card is Markdown for people with one ``toml`` block for programs, so that counts and checksums are written once.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gnnkit.errors import FileFormatError, FileMissingError, unknown_name

_BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class DataFile:
    """One file that holds a data set: its ``name``, ``bytes`` and ``sha256``, the layout of its arrays, and from where.

    ``layout`` is one of those in :mod:`gnnkit.datasets.layouts`; ``url`` is None for a file that cannot be downloaded.
    """

    name: str
    bytes: int
    sha256: str
    layout: str = "gnnkit"
    url: str | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a data set without opening it; ``text`` is the whole card.

    ``num_nodes`` and ``num_edges`` count all graphs of the set together, and edges in both directions.
    ``split`` gives the sizes of the published masks, empty where none is published. A set of images has its
    ``image_size`` (height, width) and the ``largest_value`` that a stored pixel can have.
    """

    name: str
    title: str
    task: str
    num_nodes: int
    num_edges: int
    num_features: int
    licence: str
    source: str
    reference: str
    files: tuple[DataFile, ...]
    folder: Path
    text: str = field(repr=False)
    num_graphs: int = 1
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    node_labels: tuple[str, ...] = ()
    edge_labels: tuple[str, ...] = ()
    features: str = "stored"
    image_size: tuple[int, ...] = ()
    largest_value: int = 255
    split: Mapping[str, int] = field(default_factory=dict)
    content_sha256: str | None = None

    @property
    def url(self) -> str | None:
        """Where the set can be downloaded; None for a bundled one."""
        return next((file.url for file in self.files if file.url), None)

    @property
    def holds_images(self) -> bool:
        """Whether the graphs of the set are images."""
        return bool(self.image_size)

    @property
    def is_bundled(self) -> bool:
        """Whether the arrays come with gnnkit."""
        return self.url is None


def card(name: str) -> Card:
    """Return the card of the data set ``name``.

    Parameters
    ----------
    name
        As listed by ``gk.datasets.list()``. Case does not matter, and ``-`` or a space stand for ``_``.

    Raises
    ------
    UnknownNameError
        If there is no such data set; the message names the closest ones.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.datasets.card("Cora").num_nodes
    2708
    >>> gk.datasets.card("Amazon-Photo").is_bundled
    False
    """
    known = all_cards()
    key = re.sub(r"[-\s]+", "_", str(name).strip().lower())
    if key not in known:
        raise unknown_name("data set", name, known)
    return known[key]


def describe(name: str) -> str:
    """Return the card of the data set ``name`` as text: what it holds, where it comes from, its licence and quirks.

    Examples
    --------
    >>> import gnnkit as gk
    >>> print(gk.datasets.describe("karate").splitlines()[0])
    # Zachary's karate club
    """
    return card(name).text


@functools.cache
def all_cards() -> Mapping[str, Card]:
    """Return every card by name, bundled sets first, each kind sorted by name."""
    cards = [read_card(path) for path in graphs_folder().glob("*/card.md")]
    cards.sort(key=lambda card: (not card.is_bundled, card.name))
    return MappingProxyType({card.name: card for card in cards})


def graphs_folder(package: Path | None = None) -> Path:
    """Return the folder of the cards: inside the installed package, or at the top of a checkout.

    Raises
    ------
    FileMissingError
        If neither is there: the installation is incomplete.
    """
    package = package or Path(__file__).resolve().parents[1]
    installed, checkout = package / "_graphs", package.parent / "graphs"
    if installed.is_dir():
        return installed
    # Beside an installed package anything may be called "graphs"; beside a checkout's there is its project file.
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise FileMissingError(
        f"The bundled data sets must be in '{installed}' (installed) or '{checkout}' (checkout). Neither is there. "
        "Install gnnkit again."
    )


def read_card(path: Path) -> Card:
    """Return the card in the file ``path``."""
    text = path.read_text(encoding="utf-8")
    block = _BLOCK.search(text)
    try:
        facts = tomllib.loads(block.group(1) if block else "")
        return _card(facts, text, path.parent)
    except (tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise FileFormatError(
            f"A card must hold one toml block with the facts of its data set. '{path}' does not ({error}). "
            "Compare it with the card of another data set."
        ) from error


def _card(facts: dict[str, Any], text: str, folder: Path) -> Card:
    files = tuple(DataFile(**file) for file in facts.pop("file"))
    for key in ("class_names", "node_labels", "edge_labels", "image_size"):
        facts[key] = tuple(facts.get(key, ()))
    facts.setdefault("num_classes", len(facts["class_names"]))
    facts["split"] = MappingProxyType(facts.get("split", {}))
    return Card(**facts, files=files, text=text, folder=folder)
