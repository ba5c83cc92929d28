"""Ctrl-C as a flag: the loop ends after the epoch it is in, never half-way through a step. Imports only the library.

A second Ctrl-C raises KeyboardInterrupt at once. Outside the main thread, where Python delivers no signals, the guard
does nothing.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any


class InterruptGuard:
    """Context manager; ``.pressed`` turns True when Ctrl-C was pressed inside."""

    def __init__(self) -> None:
        self.pressed = False
        self._previous: Any = None
        self._installed = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        print("\nStopping after this epoch (Ctrl-C again to stop at once).", file=sys.stderr)

    def __enter__(self) -> InterruptGuard:
        # A host that replaced the handler (a notebook, an editor, a server) keeps its own.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
            self._installed = True
        return self

    def __exit__(self, *exc: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)
            self._installed = False
