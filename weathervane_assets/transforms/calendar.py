"""Days: slots of the year, and cells that are active on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

SLOTS = 366
FEBRUARY_28 = 59
"""Its slot, and its ordinal day in every year."""
ACTIVE_DAYS = 365
"""A cell is active on a day if an order went there in this many days up to and including it."""


def day_slot(day: pl.Expr) -> pl.Expr:
    """Return the calendar-day slot 1-366: Feb 29 is 60 and Mar 1 is 61 in every year, leap or not."""
    ordinal = day.dt.ordinal_day()
    return ordinal + (~day.dt.is_leap_year() & (ordinal > FEBRUARY_28)).cast(pl.Int16)


def in_calendar_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in order of `geohash` and `date`; those that are so already are not sorted again, which is dear."""
    is_same_cell = pl.col("geohash").rle_id().diff() == 0
    goes_back = is_same_cell & (pl.col("date").to_physical().diff() < 0)
    if frame["geohash"].is_sorted() and not frame.select(goes_back.any()).item():
        return frame
    return frame.sort("geohash", "date")


def day_frame(days: Sequence[date]) -> pl.DataFrame:
    """Return the days as a frame with the one column `date`."""
    return pl.DataFrame({"date": sorted(set(days))}, schema={"date": pl.Date})


def history_start(first: date) -> date:
    """Return the first day of orders that decides which cells are active on `first`."""
    return first - timedelta(days=ACTIVE_DAYS)


def active_cells(order_days: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Return `date`, `geohash`, `is_first_order_day` for each cell active on each of `days`.

    `order_days`: `date` and `geohash` of orders from `history_start(days[0])` on; repeats and nulls are allowed.
    Nothing after a day decides about it. `is_first_order_day` marks a cell that is in the matrix only because of an
    order of that very day: its first, or the first after 365 days or more without one.
    """
    visits = order_days.lazy().drop_nulls("geohash").select("date", "geohash").unique()
    ordered = visits.sort("geohash", "date").with_columns(
        (pl.col("date") - pl.col("date").shift(1).over("geohash")).alias("_gap")
    )
    starts = (pl.col("_gap").is_null() | (pl.col("_gap") >= pl.duration(days=ACTIVE_DAYS))).alias("_starts")
    latest = ordered.select("geohash", pl.col("date").alias("_visit"), starts).sort("_visit")
    spine = visits.select("geohash").unique().join(day_frame(days).lazy(), how="cross").sort("date")
    return (
        spine.join_asof(
            latest, left_on="date", right_on="_visit", by="geohash", strategy="backward", check_sortedness=False
        )
        .filter(pl.col("date") - pl.col("_visit") < pl.duration(days=ACTIVE_DAYS))
        .select(
            "date",
            "geohash",
            ((pl.col("_visit") == pl.col("date")) & pl.col("_starts")).alias("is_first_order_day"),
        )
        .sort("date", "geohash")
        .collect()
    )
