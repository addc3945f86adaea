"""Which orders a window has: its bounds, the pages' rows within them, and how far back a token sees.

Shared by both protocols; knows no HTTP.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order, OrdersPage, TimeField
from weathervane_resources.http.errors import PermissionLost, Where

ALL_ORDERS = "read_all_orders"
VISIBLE = timedelta(days=60)
"""Without `read_all_orders`; older orders are absent, which is no error to Shopify (392 of 8,000, airbyte #58668)."""

AT_ONCE = 8
"""Parts of a window that are read at the same time."""
SHORTEST_PART = timedelta(days=4)
"""A part costs at least one request, so a nightly window stays whole."""


def parts_of(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return [start, end) as up to `AT_ONCE` half-open windows, in order, that meet at whole seconds."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    count = max(1, min(AT_ONCE, (last - first) // SHORTEST_PART))
    inner = [ceil_second(first + (last - first) * n / count) for n in range(1, count)]
    return list(pairwise([start, *inner, end]))


async def is_seen(start: datetime, now: datetime, scopes: Callable[[], Awaitable[frozenset[str]]]) -> bool:
    """Return whether the token sees every order since `start`; the scopes are asked for only where it matters."""
    return start >= now - VISIBLE or ALL_ORDERS in await scopes()


async def require_sight(
    start: datetime, now: datetime, scopes: Callable[[], Awaitable[frozenset[str]]], where: Where
) -> None:
    """Return where the token sees every order since `start`.

    Raises: PermissionLost: `start` is more than 60 days ago and the token lacks `read_all_orders`.
    """
    _require_zone(start)
    if await is_seen(start, now, scopes):
        return
    raise PermissionLost(
        f"the window begins more than 60 days ago and the token lacks the scope {ALL_ORDERS}:"
        f" Shopify leaves out what was created before {now - VISIBLE:%Y-%m-%d %H:%M} UTC without an error",
        hint=f"ask Shopify for {ALL_ORDERS}, let the shop allow it, or begin the window later; nothing was written",
        **where,
    )


def kept_page(
    rows: list[Order], bad: list[BadRow], seen: set[int], by: TimeField, start: datetime, end: datetime
) -> OrdersPage:
    """Return the page's new rows within [start, end); `seen` is extended."""
    kept: list[Order] = []
    duplicates = outside = 0
    for order in rows:
        at = _instant(getattr(order, by))
        if at is None:
            bad = [*bad, BadRow(f"{by} is not a time with an offset", str(order.id))]
        elif not start <= at < end:
            outside += 1
        elif order.id in seen:
            duplicates += 1
        else:
            kept.append(order)
        seen.add(order.id)
    return OrdersPage(kept, bad, duplicates, outside)


def _instant(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def stamp(at: datetime) -> str:
    """Return an instant in UTC, to the second, as both protocols read it."""
    _require_zone(at)
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _require_zone(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError("a window needs aware datetimes")


def ceil_second(at: datetime) -> datetime:
    """Return the next whole second: Shopify's times have no fraction, so an exclusive bound may move up to it."""
    return at + timedelta(microseconds=-at.microsecond % 1_000_000)


def window_name(start: datetime, end: datetime) -> str:
    """Return a window for messages."""
    return f"{start.isoformat(timespec='seconds')}..{end.isoformat(timespec='seconds')}"
