"""Into which parts a long window is cut for bulk operations: pure, by Shopify's own counts.

A window is only ever halved, so that its parts are the same when a run is started again, whatever was ordered in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from weathervane_resources.clients.shopify_window import ceil_second

MOST_ORDERS = 100_000
"""In one part: with three items an order its file has about 130 MB."""
SHORTEST_PART = timedelta(days=1)
"""A shorter one is not cut for its count; where its file is too large, it still is."""
_HALVINGS = 5
"""The 32 pieces are counted in one request."""


@dataclass(frozen=True, slots=True)
class Part:
    """A half-open window and how many orders Shopify counts in it."""

    start: datetime
    end: datetime
    count: int

    @property
    def is_too_much(self) -> bool:
        """Whether its pieces are to be counted."""
        return self.count > MOST_ORDERS and self.end - self.start > SHORTEST_PART


def pieces(start: datetime, end: datetime, halvings: int = _HALVINGS) -> list[datetime]:
    """Return the edges of a window that is halved, and its halves, and theirs; in UTC, at whole seconds but for the ends."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    middle = ceil_second(first + (last - first) / 2)
    if halvings == 0 or not first < middle < last:
        return [first, last]
    return [*pieces(first, middle, halvings - 1)[:-1], *pieces(middle, last, halvings - 1)]


def halves(part: Part) -> list[datetime]:
    """Return the edges of a part's halves; of one that cannot be halved, its own."""
    return pieces(part.start, part.end, 1)


def joined(parts: Sequence[Part]) -> list[Part]:
    """Return pieces as few parts: halves that are not too much together are one again."""
    count = sum(part.count for part in parts)
    if len(parts) == 1 or count <= MOST_ORDERS:
        return [Part(parts[0].start, parts[-1].end, count)]
    half = len(parts) // 2
    return [*joined(parts[:half]), *joined(parts[half:])]
