"""Pace inside one process and event loop; quotas shared by several runs live in the state database (`quota.py`).

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

    async def take(self, weight: float = 1.0) -> None:
        """Return when one request may go; `weight` is its cost where a quota counts more than requests.

        Raises: QuotaSpent: the turn is too far away to wait for it.
        """

    async def pause(self, wait_s: float, scope: str) -> None:
        """Hold back everyone who shares the quota that the vendor names `scope`: it asked for a pause."""


class QuotaSpent(Exception):
    """The next turn is further away than a run waits. The session makes a `Deferred` of it.

    `kept`: what is not given to this request although it is there, in words.
    """

    def __init__(self, scope: str, wait_s: float, kept: str = "") -> None:
        super().__init__(f"the shared quota of {scope} has its next turn in {wait_s:.0f} s" + (kept and f"; {kept}"))
        self.scope = scope
        self.wait_s = wait_s


class Pace:
    """`rate_per_s` requests a second on average, `burst` at once.

    The limiter is made inside the running loop at first use, and again in another loop, because it belongs to its loop.
    """

    def __init__(self, rate_per_s: float, burst: float = 1) -> None:
        """Raise ValueError for a rate that is not positive or a burst below 1."""
        check_rate(rate_per_s, burst)
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._limiter: AsyncLimiter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self, weight: float = 1.0) -> None:  # noqa: ARG002 - a rate counts requests
        """Return when one request may go."""
        loop = asyncio.get_running_loop()
        if self._limiter is None or self._loop is not loop:
            self._limiter = AsyncLimiter(self.burst, self.burst / self.rate_per_s)
            self._loop = loop
        await self._limiter.acquire()

    async def pause(self, wait_s: float, scope: str) -> None:
        """Do nothing: the session that was asked to wait is the only one here."""


class Paces:
    """Several limits at once; the slowest one decides."""

    def __init__(self, paces: Sequence[Pacer]) -> None:
        """Keep the limits; they are taken in this order."""
        self.paces = tuple(paces)

    async def take(self, weight: float = 1.0) -> None:
        """Return when every limit lets one request go."""
        for pace in self.paces:
            await pace.take(weight)

    async def pause(self, wait_s: float, scope: str) -> None:
        """Pass it on to all."""
        for pace in self.paces:
            await pace.pause(wait_s, scope)


def check_rate(rate_per_s: float, burst: float) -> None:
    """Raise ValueError for a rate that is not positive or a burst below 1: a request would never get its turn."""
    if not 0 < rate_per_s < float("inf"):
        raise ValueError(f"rate_per_s must be positive and finite, not {rate_per_s}")
    if not 1 <= burst < float("inf"):
        raise ValueError(f"burst must be at least 1, not {burst}")
