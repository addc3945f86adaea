"""Pace inside one process and event loop; quotas shared by several runs live in the state database.

aiolimiter's `AsyncLimiter(max_rate, time_period)` is a leaky bucket of `max_rate` places that drains over
`time_period`: `max_rate` is the burst, not a rate, and `acquire(1)` never succeeds with a bucket smaller than 1.
`AsyncLimiter(0.5, 1)` is therefore not "one every two seconds" but "never" (traps.md 22).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiolimiter import AsyncLimiter


class Pacer(Protocol):
    """Anything that makes a caller wait for its turn."""

    async def take(self) -> None:
        """Return when one request may go."""


class Pace:
    """`rate_per_s` requests a second on average, `burst` at once.

    The limiter is made inside the running loop at first use, and again in another loop, because it belongs to its loop.
    """

    def __init__(self, rate_per_s: float, burst: float = 1) -> None:
        """Raise ValueError for a rate that is not positive or a burst below 1."""
        if not 0 < rate_per_s < float("inf"):
            raise ValueError(f"rate_per_s must be positive and finite, not {rate_per_s}")
        if not 1 <= burst < float("inf"):
            raise ValueError(f"burst must be at least 1, not {burst}")
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._limiter: AsyncLimiter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self) -> None:
        """Return when one request may go."""
        loop = asyncio.get_running_loop()
        if self._limiter is None or self._loop is not loop:
            self._limiter = AsyncLimiter(self.burst, self.burst / self.rate_per_s)
            self._loop = loop
        await self._limiter.acquire()


class Paces:
    """Several limits at once (Klaviyo: 10/s and 150/min); the slowest one decides."""

    def __init__(self, paces: Sequence[Pacer]) -> None:
        """Keep the limits; they are taken in this order."""
        self.paces = tuple(paces)

    async def take(self) -> None:
        """Return when every limit lets one request go."""
        for pace in self.paces:
            await pace.take()
