"""Counters behind the vendors' rate limits. Times are arguments, in seconds; what a vendor answers is not here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class LeakyBucket:
    """A bucket that drains steadily."""

    capacity: float
    leak_per_s: float
    level: float = 0.0
    seen_s: float = 0.0

    def take(self, now_s: float, cost: float = 1.0) -> bool:
        """Add one request; False, and nothing added, when it does not fit."""
        self.level = max(0.0, self.level - (now_s - self.seen_s) * self.leak_per_s) if self.level else 0.0
        self.seen_s = now_s
        if self.level + cost > self.capacity:
            return False
        self.level += cost
        return True

    def give_back(self, cost: float) -> None:
        """Take out again what a request did not use."""
        self.level = max(0.0, self.level - cost)


@dataclass
class FixedWindow:
    """A counter that starts again at every multiple of its length."""

    limit: float
    length_s: float
    used: float = 0.0
    window: int = -1

    def roll(self, now_s: float) -> None:
        """Forget what belongs to an earlier window."""
        window = int(now_s // self.length_s)
        if window != self.window:
            self.window, self.used = window, 0.0

    def is_spent(self, now_s: float) -> bool:
        """Return whether nothing is left in the window of this time."""
        self.roll(now_s)
        return self.used >= self.limit

    def charge(self, now_s: float, weight: float = 1.0) -> None:
        """Count a request."""
        self.roll(now_s)
        self.used += weight

    def rest_s(self, now_s: float) -> float:
        """Return the seconds until the window ends."""
        return self.length_s - now_s % self.length_s


@dataclass
class Limits:
    """Every counter of one sandbox, made when first asked for."""

    monotonic: Callable[[], float]
    buckets: dict[tuple[str, str], LeakyBucket] = field(default_factory=dict)
    windows: dict[tuple[str, str, float], FixedWindow] = field(default_factory=dict)

    def bucket(self, vendor: str, key: str, capacity: float, leak_per_s: float) -> LeakyBucket:
        """Return the bucket of a vendor's scope."""
        return self.buckets.setdefault((vendor, key), LeakyBucket(capacity, leak_per_s))

    def window(self, vendor: str, key: str, limit: float, length_s: float) -> FixedWindow:
        """Return the window of a vendor's scope."""
        return self.windows.setdefault((vendor, key, length_s), FixedWindow(limit, length_s))


LIMITS = web.AppKey("limits", Limits)
