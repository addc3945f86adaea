"""Words in messages: what someone may have meant by one that nobody knows, and one or several of a thing.

Belongs here: the words. Does not belong here: the messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """Return the known word that `typed` most resembles; None where none is near."""
    return next(iter(get_close_matches(typed, sorted(known), 1, 0.6)), None)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless there is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
