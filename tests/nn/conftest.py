"""Lets the tests of layers import the helpers that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package: conv_cases.py, position_cases.py
