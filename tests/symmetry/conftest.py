"""Lets the tests of the checker import the planted defects and the sound functions that lie beside them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package: planted_defects.py

# The adapter for torch is tested against torch, which is no dependency: pip install torch, and these tests run too.
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_symmetry_torch.py"]
