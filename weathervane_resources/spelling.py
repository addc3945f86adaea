"""What someone may have meant by a word that nobody knows.

Belongs here: the nearest of the known words. Does not belong here: what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """Return the known word that `typed` most resembles; None where none is near."""
    return next(iter(get_close_matches(typed, sorted(known), 1, 0.6)), None)
