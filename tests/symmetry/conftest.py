"""Lets the tests of the checker import the planted defects and the sound functions that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package: planted_defects.py
