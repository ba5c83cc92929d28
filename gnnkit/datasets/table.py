"""The list of data sets as a table that prints itself. Imports the cards only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gnnkit.datasets.cards import Card, all_cards

_COLUMNS = ("name", "graphs", "nodes", "edges", "features", "classes", "task", "where", "licence")
_COUNTS = {"graphs", "nodes", "edges", "features", "classes"}


class CardTable(Sequence[Card]):
    """A read-only sequence of cards; printed, one line per data set.

    Edges are counted in both directions. ``where`` is ``bundled``, or the size of the download.
    """

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = tuple(cards)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that ``gk.datasets.load`` takes."""
        return tuple(card.name for card in self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        found = self._cards[index]
        return CardTable(found) if isinstance(index, slice) else found

    def rows(self) -> list[dict[str, str]]:
        """Return the cells of the table, one dictionary per data set."""
        return [dict(zip(_COLUMNS, _cells(card))) for card in self._cards]

    def __repr__(self) -> str:
        lines = [dict(zip(_COLUMNS, _COLUMNS)), *self.rows()]
        widths = {column: max(len(line[column]) for line in lines) for column in _COLUMNS}
        return "\n".join(
            "  ".join(
                line[column].rjust(widths[column]) if column in _COUNTS else line[column].ljust(widths[column])
                for column in _COLUMNS
            ).rstrip()
            for line in lines
        )


def list_cards() -> CardTable:
    """Return the data sets that ``gk.datasets.load`` knows, as a table that prints itself.

    Examples
    --------
    >>> import gnnkit as gk
    >>> gk.datasets.list().names[:3]
    ('citeseer', 'cora', 'davis')
    >>> [card.name for card in gk.datasets.list() if not card.is_bundled]
    ['amazon_photo', 'coauthor_cs', 'mnist']
    """
    return CardTable(tuple(all_cards().values()))


def _cells(card: Card) -> tuple[str, ...]:
    where = "bundled" if card.is_bundled else f"download {card.files[0].bytes / 1e6:.0f} MB"
    counts = (card.num_graphs, card.num_nodes, card.num_edges, card.num_features, card.num_classes)
    licence = card.licence.split(" (")[0]
    return (card.name, *(f"{count:,}" if count else "-" for count in counts), card.task, where, licence)
