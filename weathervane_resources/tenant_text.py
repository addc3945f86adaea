"""A tenant's id in text that others wrote: Dagster's bodies, messages, scopes.

Belongs here: telling `acme` from `acme-shop`, and taking it out of a JSON document without breaking it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

GONE = "(purged)"
"""Stands in the place of the id in documents that concern other tenants too. No tenant can have it for an id."""


def names(text: str, tenant: str) -> bool:
    """Return whether the text has the id as a word of its own: `2026-01-31|acme`, not `acme-shop` nor `acmes`."""
    return tenant in text and bool(_word(tenant).search(text))


def without(document: str, tenant: str) -> str:
    """Return a JSON document (or plain text) in which the id is `GONE`, in the documents that it quotes as well."""
    try:
        plain = json.loads(document)
    except ValueError:
        return _word(tenant).sub(GONE, document)
    if isinstance(plain, str | int | float | bool | None):
        return _word(tenant).sub(GONE, document)
    return json.dumps(_walk(plain, tenant))


def _walk(plain: Any, tenant: str) -> Any:
    if isinstance(plain, dict):
        is_map = "__class__" not in plain  # the keys of one of Dagster's objects are its fields
        return {(_text(key, tenant) if is_map else key): _walk(v, tenant) for key, v in plain.items()}
    if isinstance(plain, list):
        return [_walk(one, tenant) for one in plain]
    return _text(plain, tenant) if isinstance(plain, str) else plain


def _text(text: str, tenant: str) -> str:
    if tenant not in text:
        return text
    return without(text, tenant) if text[:1] in ("{", "[") else _word(tenant).sub(GONE, text)


@cache
def _word(tenant: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9_-]){re.escape(tenant)}(?![a-z0-9_-])")
