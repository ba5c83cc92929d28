"""Floor 6: real graphs by name. ``gk.datasets.load("cora")``, ``gk.datasets.list()``, ``gk.datasets.describe("cora")``.

Each data set is a folder in ``graphs/`` with a card (what, source, licence, counts, checksum, quirks); the small and
free ones have their arrays there too, the others are downloaded at first use. May import everything below floor 6.
"""

from __future__ import annotations

from gnnkit.datasets.cards import Card as Card
from gnnkit.datasets.cards import DataFile as DataFile
from gnnkit.datasets.cards import card as card
from gnnkit.datasets.cards import describe as describe
from gnnkit.datasets.cluttered import cluttered_digits as cluttered_digits
from gnnkit.datasets.fetch import cache_folder as cache_folder
from gnnkit.datasets.images import load_images as load_images
from gnnkit.datasets.loader import load as load
from gnnkit.datasets.table import CardTable as CardTable
from gnnkit.datasets.table import list_cards as list
