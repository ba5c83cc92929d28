"""``python -m gnnkit`` is the ``gnnkit`` command. Imports the command line only."""

from __future__ import annotations

from gnnkit.cli import main

if __name__ == "__main__":
    main()
