"""A small table for the tests of the lake: how its rows are made, written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from weathervane_resources.lake import Lake, Shape, Written

MONEY = pl.Decimal(18, 4)
SCHEMA = pl.Schema(
    {
        "tenant_id": pl.String,
        "date": pl.Date,
        "row_key": pl.String,
        "part": pl.String,
        "amount": MONEY,
        "source": pl.String,
        "as_of_utc": pl.Datetime("us", "UTC"),
    }
)
SHAPE = Shape(SCHEMA, ("row_key", "part"))
MON, TUE, WED = date(2025, 3, 31), date(2025, 4, 1), date(2025, 4, 2)
T0 = datetime(2025, 6, 1, 8, tzinfo=UTC)

Row = tuple[date, str, str]


class Killed(Lake):
    """A lake whose process dies between the table's commit and the ledger's."""

    def note(self, *args: object, **named: object) -> None:
        raise KeyboardInterrupt


def frame(*rows: Row, at: datetime = T0, source: str = "shopify_api", part: str | None = None) -> pl.DataFrame:
    """Return rows of (day, key, amount)."""
    data = [("acme", day, key, part, Decimal(amount), source, at) for day, key, amount in rows]
    return pl.DataFrame(data, schema=SCHEMA, orient="row")


def put(
    lake: Lake,
    rows: pl.DataFrame,
    days: Sequence[date],
    *,
    source: str = "shopify_api",
    now: datetime = T0,
    run_id: str = "run",
) -> Written:
    return lake.replace("acme", "orders", rows, shape=SHAPE, days=days, source=source, run_id=run_id, now=now)


def stored(lake: Lake, days: Sequence[date] | None = None) -> pl.DataFrame:
    return lake.scan("acme", "orders", SHAPE, days).collect().sort("date", "row_key", "part")
