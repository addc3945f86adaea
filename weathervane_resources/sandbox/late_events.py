"""Refunds that a test adds to a running sandbox. Kept beside the seed: the worlds compute, this remembers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Lock


@dataclass(frozen=True)
class Refund:
    """Money given back for an order, on top of whatever the seed had in store for it."""

    order_id: int
    cents: int
    at: datetime
    days_after_order: int


class LateEvents:
    """Refunds by tenant, shared by the sandbox, the truth and the test; in order of time."""

    def __init__(self) -> None:
        self._refunds: dict[str, tuple[Refund, ...]] = {}
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
