"""From names to random streams: the only place where randomness starts.

A stream depends on its parts alone (seed, tenant, day, ...), never on what was asked before, so the data of any day
can be computed by itself and asking twice gives the same answer.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def number(*parts: object) -> int:
    """Return a 64-bit number that depends on every part."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def stream(*parts: object) -> np.random.Generator:
    """Return a random generator that depends on every part."""
    return np.random.Generator(np.random.PCG64(number(*parts)))


def share(*parts: object) -> float:
    """Return a number in [0, 1) that depends on every part."""
    return number(*parts) / 2**64
