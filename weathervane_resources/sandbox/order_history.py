"""Orders as they stand at a moment: what has happened by then, the refunds of a test included.

What the seed has in store for an order is `commerce_world`; shapes are `order_shape.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from weathervane_resources.sandbox import commerce_world as world
from weathervane_resources.sandbox import taxes
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.day_cache import Records
from weathervane_resources.sandbox.late_events import Refund


def shop_orders(config: SandboxConfig, tenant: str, first: date, last: date, at: datetime) -> Records:
    """Return the orders of these tenant-local days that exist at a moment."""
    last = min(last, at.astimezone(ZoneInfo(config.profile(tenant).timezone)).date())
    records = world.order_days(config, tenant, first, last)
    records = records[records["created"] <= at.timestamp()]
    records = _without_withheld(config, tenant, records, at)
    _lose_addresses(config, tenant, records)
    _apply_refunds(records, config.late_events.until(tenant, at), at)
    return records


def _without_withheld(config: SandboxConfig, tenant: str, records: Records, at: datetime) -> Records:
    """Leave out what a test withholds at this moment: of each day the orders that came last."""
    for one in config.planted.withheld.get(tenant, ()):
        if one.since <= at < one.until:
            mine = np.flatnonzero(_is_of_day(config, tenant, records, one.day))
            records = np.delete(records, mine[mine.size - round(mine.size * one.share) :])
    return records


def _lose_addresses(config: SandboxConfig, tenant: str, records: Records) -> None:
    """Take coordinates and postal code from a share of the orders of the days that a test names, on a copy."""
    for (whose, day), share in list(config.planted.unlocated.items()):
        if whose == tenant:
            mine = np.flatnonzero(_is_of_day(config, tenant, records, day))
            lost = mine[: round(mine.size * share)]
            records["address"][lost] = world.NO_ADDRESS
            records["latitude"][lost] = records["longitude"][lost] = np.nan


def _is_of_day(config: SandboxConfig, tenant: str, records: Records, day: date) -> NDArray[np.bool_]:
    id_base = world.shop_of(config.seed, tenant, config.profile(tenant)).id_base
    return np.asarray((records["order_id"] - id_base) // world.IDS_A_DAY == day.toordinal())


def _apply_refunds(records: Records, refunds: Sequence[Refund], at: datetime) -> None:
    """Put the refunds that a test added onto a copy of the records, on top of what had happened to them by then."""
    for refund in refunds:
        row = np.flatnonzero(records["order_id"] == refund.order_id)
        happened = event_has_happened(records[row], at)
        left = np.maximum(current_cents(records[row], at) - refund.cents, 0)
        kept = happened & (records["event"][row] == world.CANCELLED)
        records["event_at"][row] = np.maximum(updated(records[row], at), int(refund.at.timestamp()))
        records["event"][row] = np.where(
            kept, world.CANCELLED, np.where(left > 0, world.PARTLY_REFUNDED, world.REFUNDED)
        )
        records["after_cents"][row] = left
        back = records["shipping_back_cents"][row] + refund.shipping_cents
        records["shipping_back_cents"][row] = np.minimum(back, records["shipping_cents"][row])


def find_order(config: SandboxConfig, tenant: str, order_id: int) -> Records:
    """Return the record of an order, or none, whatever the time."""
    profile = config.profile(tenant)
    ordinal = (order_id - world.shop_of(config.seed, tenant, profile).id_base) // world.IDS_A_DAY
    if not world.OPENED.toordinal() <= ordinal <= date.max.toordinal():
        return np.zeros(0, dtype=world.ORDER_RECORD)
    records = world.order_day(config, tenant, date.fromordinal(ordinal))
    return np.asarray(records[records["order_id"] == order_id])


def longest_event_days(config: SandboxConfig, tenant: str) -> int:
    """Return the most days that lie between an order and what happens to it."""
    return max(world.LONGEST_EVENT_DAYS, config.late_events.longest_days(tenant))


def event_has_happened(records: Records, at: datetime) -> NDArray[np.bool_]:
    """Return where the order's later event lies at or before a moment."""
    return np.asarray((records["event"] != world.NO_EVENT) & (records["event_at"] <= at.timestamp()))


def updated(records: Records, at: datetime) -> NDArray[Any]:
    """Return `updated_at` in UTC epoch seconds as seen at a moment."""
    return np.where(event_has_happened(records, at), records["event_at"], records["created"])


def current_cents(records: Records, at: datetime) -> NDArray[Any]:
    """Return the current subtotal in cents as seen at a moment."""
    return np.where(event_has_happened(records, at), records["after_cents"], records["subtotal_cents"])


def net_cents(config: SandboxConfig, tenant: str, records: Records, at: datetime) -> NDArray[Any]:
    """Return the current subtotal before tax, in cents, as seen at a moment."""
    current = current_cents(records, at)
    if not config.profile(tenant).taxes_included:
        return current
    return np.asarray(current - taxes.of_items(current, are_included=True))
