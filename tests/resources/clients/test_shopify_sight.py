"""How far back a token sees: sixty days to the second, unless it may see all orders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from weathervane_resources.clients.shopify_window import ALL_ORDERS, require_sight
from weathervane_resources.http.errors import PermissionLost, Where

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
SIXTY_DAYS = timedelta(days=60)
WHERE: Where = {"vendor": "shopify", "tenant": "acme", "window": "orders"}


def look(age: timedelta, *scopes: str) -> int:
    """Require sight of so far back; return how often the scopes were asked for."""
    asked = []

    async def granted() -> frozenset[str]:
        asked.append(1)
        return frozenset(scopes)

    asyncio.run(require_sight(NOW - age, NOW, granted, WHERE))
    return len(asked)


def test_sixty_days_are_seen_and_a_second_more_is_not() -> None:
    """Shopify leaves older orders out without an error: the first day of each backfill had half of its orders."""
    assert look(SIXTY_DAYS) == 0
    with pytest.raises(PermissionLost, match="60 days ago"):
        look(SIXTY_DAYS + timedelta(seconds=1), "read_orders")
    assert look(SIXTY_DAYS + timedelta(seconds=1), ALL_ORDERS) == 1
