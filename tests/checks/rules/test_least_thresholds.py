"""A threshold of 0, which tenants.toml takes, is no reason for a check to end with an error."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from weathervane_checks.rules.geocoding import judge_geocoding
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import THRESHOLD_NAMES, Thresholds

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(40)]


@pytest.mark.parametrize("counts", [[0] * 40, [0, 3] * 20, [1] + [0] * 39], ids=["none", "every other day", "one"])
@pytest.mark.parametrize("name", sorted(THRESHOLD_NAMES))
def test_every_threshold_may_be_zero(name: str, counts: list[int]) -> None:
    """`new_rows_median_min = 0` for a shop that sells little divided by its usual zero orders: no verdict any more."""
    limits = Thresholds().for_tenant({name: 0})
    ledger = pl.DataFrame(
        {"date": DAYS, "row_count": counts, "previous_row_count": [0] * 40, "source": ["shopify_api"] * 40}
    )
    assert len(judge_row_counts(ledger, DAYS, limits, DAYS[-1] + timedelta(days=1))) == len(DAYS)
    days = [day for day, count in zip(DAYS, counts, strict=True) for _ in range(count)]
    cells = {"ship_geohash": ["u33d8", None] * (len(days) // 2) + ["u33d8"] * (len(days) % 2)}
    orders = pl.DataFrame(
        {"date": days, "order_id": [str(n) for n in range(len(days))], **cells},
        schema={"date": pl.Date, "order_id": pl.String, "ship_geohash": pl.String},
    )
    assert len(judge_geocoding(orders, DAYS, limits)) == len(DAYS)
