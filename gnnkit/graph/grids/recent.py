"""A memory of the values last asked for that counts bytes rather than entries. Knows nothing of grids."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The values last asked for, as long as they are few and weigh little in all; the oldest goes first.

    Parameters
    ----------
    most : int
        Number of values.
    most_bytes : int
        Of all values together. The ``least`` newest stay whatever they weigh.
    least : int

    Notes
    -----
    ``functools.lru_cache`` counts entries, but the plan of one batch may weigh a kilobyte or a hundred megabytes.

    Examples
    --------
    >>> recent = Recent(most=10, most_bytes=100, least=1)
    >>> [recent.get(size, lambda: bytes(size), len) is not None for size in (60, 30, 70)]
    [True, True, True]
    >>> len(recent), recent.weight
    (2, 100)
    """

    def __init__(self, *, most: int, most_bytes: int, least: int = 8) -> None:
        self.most, self.most_bytes, self.least = most, most_bytes, least
        self.weight = 0
        self._items: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable, build: Callable[[], V], weigh: Callable[[V], int]) -> V:
        """The value of ``key``, built if it is not remembered; ``weigh`` tells its bytes."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key][0]
        value = build()  # without the lock: it takes long, and may ask for other values
        with self._lock:
            if key in self._items:  # another thread was first
                return self._items[key][0]
            self._items[key] = value, weigh(value)
            self.weight += self._items[key][1]
            while len(self) > self.most or (self.weight > self.most_bytes and len(self) > self.least):
                self.weight -= self._items.popitem(last=False)[1][1]
        return value
