"""Reach into JSON whose shape is never sure: what is not an object, a list or a plain value there is none at all.

Belongs here: reading vendors' error bodies, where a type would have to be guessed. Rows have types (`strict_json.decode`).
"""

from __future__ import annotations

from typing import Any


def obj(value: object) -> dict[str, Any]:
    """Return the JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objs(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON list, or none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def plain(value: object) -> str | int | float | None:
    """Return a text or number, or None; a list cannot be looked up in a table."""
    return value if isinstance(value, str | int | float) else None
