"""Words in messages: what someone may have meant by one that nobody knows, one or several of a thing, and the command that brings in days.

Belongs here: the words. Does not belong here: the messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """Return the known word that `typed` most resembles; None where none is near."""
    return next(iter(get_close_matches(typed, sorted(known), 1, 0.6)), None)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless there is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def backfill_command(tenant: str, first: date | str, last: date | str, *assets: str) -> str:
    """Return the command that brings in a tenant's days, of all assets or of some."""
    only = "".join(f" --asset {name}" for name in assets)
    return f"weathervane backfill --tenant {tenant} --from {first} --to {last}{only}"
