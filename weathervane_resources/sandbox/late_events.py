"""What a test adds to a running sandbox. Kept beside the seed: the worlds compute, this remembers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock


@dataclass(frozen=True)
class Refund:
    """Items taken back, worth so much of an order's subtotal, and shipping, on top of whatever the seed had in store for it.

    Money given back without an item would not lower the current subtotal at Shopify; the sandbox has no such refund.
    """

    order_id: int
    cents: int
    at: datetime
    days_after_order: int
    shipping_cents: int = 0


@dataclass(frozen=True)
class Restatement:
    """A past day of a platform whose spend and conversions are this share of what they were: clicks found invalid."""

    platform: str
    day: date
    share: float
    at: datetime


class LateEvents:
    """Refunds, restatements and deletions by tenant, shared by the sandbox, the truth and the test; in order of time."""

    def __init__(self) -> None:
        self._deletions: dict[tuple[str, int], datetime] = {}
        self._refunds: dict[str, tuple[Refund, ...]] = {}
        self._restatements: dict[str, tuple[Restatement, ...]] = {}
        self._lock = Lock()

    def add(self, tenant: str, refund: Refund) -> None:
        """Remember a refund."""
        with self._lock:
            known = (*self._refunds.get(tenant, ()), refund)
            self._refunds[tenant] = tuple(sorted(known, key=lambda one: one.at))

    def until(self, tenant: str, at: datetime) -> tuple[Refund, ...]:
        """Return the refunds made by a moment."""
        return tuple(refund for refund in self._refunds.get(tenant, ()) if refund.at <= at)

    def longest_days(self, tenant: str) -> int:
        """Return the most days between an order and its refund."""
        return max((refund.days_after_order for refund in self._refunds.get(tenant, ())), default=0)

    def restate(self, tenant: str, restatement: Restatement) -> None:
        """Remember a restatement."""
        with self._lock:
            known = (*self._restatements.get(tenant, ()), restatement)
            self._restatements[tenant] = tuple(sorted(known, key=lambda one: one.at))

    def restated(self, tenant: str, platform: str, day: date, at: datetime) -> float:
        """Return the share of a day's numbers that is left at a moment; 1 where nothing was restated."""
        mine = [r for r in self._restatements.get(tenant, ()) if (r.platform, r.day) == (platform, day) and r.at <= at]
        return math.prod(r.share for r in mine)

    def delete_adset(self, tenant: str, adset_id: int, at: datetime) -> None:
        """Remember that an ad set of Meta was deleted: it delivers no more, and what it did is not shown unasked."""
        self._deletions[tenant, adset_id] = at

    def deleted_at(self, tenant: str, adset_id: int, at: datetime) -> datetime | None:
        """Return when an ad set was deleted; None where it was not by the moment of asking."""
        deleted_at = self._deletions.get((tenant, adset_id))
        return deleted_at if deleted_at is not None and deleted_at <= at else None
