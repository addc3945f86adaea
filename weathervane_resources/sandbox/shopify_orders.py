"""Selecting orders: filters, order and cursor over a table of orders, synthetic or recorded. No HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from weathervane_resources.sandbox import commerce_world as world
from weathervane_resources.sandbox import order_history
from weathervane_resources.sandbox.call import Call
from weathervane_resources.sandbox.order_shape import shown_order

_FOREVER = 2**53


class BadOrderQuery(ValueError):
    """A parameter that the vendor refuses; `errors` is the body it answers with."""

    def __init__(self, errors: Any) -> None:
        super().__init__(str(errors))
        self.errors = errors


@dataclass(frozen=True)
class OrderTable:
    """Orders as columns to filter by, with a way to show one of them."""

    order_id: NDArray[np.int64]
    created: NDArray[np.int64]
    updated: NDArray[np.int64]
    is_cancelled: NDArray[np.bool_]
    is_closed: NDArray[np.bool_]
    show: Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class OrderQuery:
    """What a request asks for; times are UTC epoch seconds, bounds included."""

    status: str = "open"
    created_min: int = 0
    created_max: int = _FOREVER
    updated_min: int = 0
    updated_max: int = _FOREVER
    since_id: int = 0
    sort: str = "created_at"
    descending: bool = True


def parse_query(parameters: Mapping[str, str], zone: tzinfo) -> OrderQuery:
    """Read the filters of a request. Raises: BadOrderQuery."""
    status = parameters.get("status", "open")
    if status not in ("open", "closed", "cancelled", "any"):
        raise BadOrderQuery({"status": "must be one of open, closed, cancelled, any"})
    sort, _, direction = parameters.get("order", "created_at desc").lower().partition(" ")
    if sort not in ("created_at", "updated_at", "id") or direction not in ("", "asc", "desc"):
        raise BadOrderQuery({"order": "is invalid"})
    if not parameters.get("since_id", "0").isdigit():
        raise BadOrderQuery({"since_id": "is invalid"})
    return OrderQuery(
        status=status,
        created_min=ceil(_epoch(parameters, "created_at_min", zone, 0)),
        created_max=floor(_epoch(parameters, "created_at_max", zone, _FOREVER)),
        updated_min=ceil(_epoch(parameters, "updated_at_min", zone, 0)),
        updated_max=floor(_epoch(parameters, "updated_at_max", zone, _FOREVER)),
        since_id=int(parameters.get("since_id", "0")),
        sort=sort,
        descending=direction == "desc",
    )


def _epoch(parameters: Mapping[str, str], name: str, zone: tzinfo, default: float) -> float:
    text = parameters.get(name)
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise BadOrderQuery({name: "is invalid"}) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def select(table: OrderTable, query: OrderQuery) -> NDArray[np.int64]:
    """Return the rows that match, in the order asked for; ties go by id."""
    keep = (table.created >= query.created_min) & (table.created <= query.created_max)
    keep &= (table.updated >= query.updated_min) & (table.updated <= query.updated_max)
    keep &= table.order_id > query.since_id
    if query.status == "cancelled":
        keep &= table.is_cancelled
    elif query.status == "closed":
        keep &= table.is_closed
    elif query.status == "open":
        keep &= ~table.is_cancelled & ~table.is_closed
    rows = np.flatnonzero(keep)
    order = np.lexsort((table.order_id[rows], sort_column(table, query)[rows]))
    return np.asarray(rows[order[::-1]] if query.descending else rows[order])


def sort_column(table: OrderTable, query: OrderQuery) -> NDArray[np.int64]:
    """Return the column that the query sorts by."""
    return {"created_at": table.created, "updated_at": table.updated, "id": table.order_id}[query.sort]


def position(table: OrderTable, query: OrderQuery, rows: NDArray[np.int64], cursor: tuple[int, int]) -> int:
    """Return how many rows come before or at the cursor's row."""
    values, ids = sort_column(table, query)[rows], table.order_id[rows]
    if query.descending:
        return int(((values > cursor[0]) | ((values == cursor[0]) & (ids >= cursor[1]))).sum())
    return int(((values < cursor[0]) | ((values == cursor[0]) & (ids <= cursor[1]))).sum())


def keys(table: OrderTable, query: OrderQuery, page: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return what a cursor says of each row: its place in the order, and its id."""
    values = sort_column(table, query)
    return [(int(values[row]), int(table.order_id[row])) for row in page]


def days_to_read(call: Call, query: OrderQuery, cursor: tuple[int, int] | None) -> tuple[date, date]:
    """Return the UTC days, generously, in which matching orders can have been created; the cursor narrows them."""
    now, lag = call.now, (order_history.longest_event_days(call.config, call.tenant) + 2) * 86_400
    first = max(query.created_min, query.updated_min - lag if query.updated_min else 0)
    last = min(query.created_max, query.updated_max, int(now.timestamp()))
    if cursor is not None and query.sort != "id":
        if query.descending:
            last = min(last, cursor[0])
        else:
            first = max(first, cursor[0] - (lag if query.sort == "updated_at" else 0))
    margin = timedelta(days=1)
    opened = datetime(world.OPENED.year, world.OPENED.month, world.OPENED.day, tzinfo=UTC).timestamp()
    earliest = datetime.fromtimestamp(first or opened, UTC).date()
    return earliest - margin, datetime.fromtimestamp(max(last, 0), UTC).date() + margin


def synthetic_table(call: Call, days: tuple[date, date]) -> OrderTable:
    """Return the orders of the synthetic shop over these days, as they stand for this request."""
    profile = call.config.profile(call.tenant)
    zone = ZoneInfo(profile.timezone)
    records = order_history.shop_orders(call.config, call.tenant, *days, call.now)
    cancelled = order_history.event_has_happened(records, call.now) & (records["event"] == world.CANCELLED)
    return OrderTable(
        order_id=records["order_id"],
        created=records["created"],
        updated=order_history.updated(records, call.now),
        is_cancelled=cancelled,
        is_closed=records["is_closed"],
        show=lambda row: shown_order(records[row], call.now, zone, profile),
    )
