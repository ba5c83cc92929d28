"""The state of a random generator as plain values, and back: what JSON can hold. Imports numpy and the error tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnkit.errors import InvalidArgumentError


def generator_from_state(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that continues where ``generator.bit_generator.state`` was taken."""
    kind = getattr(np.random, str(state["bit_generator"]), None)
    if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise InvalidArgumentError(
            "A random state must come from one of numpy's bit generators. "
            f"Got bit_generator={state['bit_generator']!r}. Use the state that rng_state() returned."
        )
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)


def plain_state(state: Any) -> Any:
    """Return the state of a bit generator with plain integers and lists: JSON knows no numpy values."""
    if isinstance(state, dict):
        return {key: plain_state(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return state.tolist()
    return int(state) if isinstance(state, np.integer) else state
