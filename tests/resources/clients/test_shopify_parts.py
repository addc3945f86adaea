"""A long window of REST orders is read in parts at the same time, and comes out as if it were read at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from tests.resources.http.scripted import NOW, Script, calling
from weathervane_resources.clients.shopify_rest import ShopifyRest
from weathervane_resources.clients.shopify_window import AT_ONCE, SHORTEST_PART, parts_of
from weathervane_resources.http.errors import BadRequest

FROM = datetime(2026, 10, 5, tzinfo=UTC)
TO = FROM + AT_ONCE * SHORTEST_PART


class Shop:
    """Answers once `wanted` requests are there; each answer has the orders at both edges of what was asked."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.waiting, self.refused = wanted, 0, ""
        self.is_full = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.waiting += 1
        if self.waiting == self.wanted:
            self.is_full.set()
        await self.is_full.wait()
        edges = [request.query["created_at_min"], request.query["created_at_max"]]
        if edges[0] == self.refused:
            return web.json_response({"errors": "no"}, status=400)
        found = [{"id": int(datetime.fromisoformat(at).timestamp()), "created_at": at} for at in edges]
        return web.json_response({"orders": found})


def read(shop: Shop) -> list[int]:
    async def main() -> list[int]:
        async with asyncio.timeout(20), calling(Script([shop.answer] * AT_ONCE)) as session:
            client = ShopifyRest(session, session.origin, "2026-10", lambda: NOW)
            return [row.id async for page in client.orders(FROM, TO) for row in page.rows]

    return asyncio.run(main())


def test_parts_are_asked_at_once_and_an_order_on_an_edge_comes_once_and_in_order() -> None:
    """One after the other the first answer would never come; `created_at_max` is inclusive, so both parts have the edge."""
    starts = [FROM + n * SHORTEST_PART for n in range(AT_ONCE)]
    assert read(Shop(AT_ONCE)) == [int(at.timestamp()) for at in starts]


def test_a_part_that_fails_fails_the_window() -> None:
    """Seven parts of eight are no window."""
    shop = Shop(AT_ONCE)
    shop.refused = (FROM + 5 * SHORTEST_PART).isoformat().replace("+00:00", "Z")
    with pytest.raises(BadRequest):
        read(shop)


@pytest.mark.parametrize("days", [0, 1, 7, 8, 31, 90, 366])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe"])
def test_parts_meet_at_whole_seconds_and_leave_nothing_out(zone: str, days: int) -> None:
    start = datetime(2026, 3, 1, tzinfo=ZoneInfo(zone))
    end = datetime(2026, 3, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=days, hours=5, seconds=1)
    parts = parts_of(start, end)
    assert (parts[0][0], parts[-1][1]) == (start, end)
    assert all(one[1] == two[0] and not one[1].microsecond for one, two in pairwise(parts))
    assert all(first < last for first, last in parts)
    assert len(parts) == max(1, min(AT_ONCE, days // SHORTEST_PART.days))
