"""The weather as it was known when a decision was taken: one snapshot of the versions for each cell and day.

Method: each row of the matrix looks at the day and the `LOOKBACK_DAYS` before it through an as-of join of the versions
on the decision's instant. Anomaly, rolling means, lags and flags are then computed inside that snapshot, so that
yesterday's value in today's row is what was known of yesterday at the decision, and nothing where nothing was known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from weathervane_assets.transforms.calendar import ACTIVE_DAYS, day_slot
from weathervane_assets.transforms.weather import LOOKBACK_DAYS, FlagLimits, describe_days

NORMALS_DELAY_DAYS = 7
"""Normals of a year may be used from this many days after its start on: only then has the archive its base period."""
SNAPSHOT = "_snapshot"
KNOWN = "_known_at"


def decision_frame(decisions: Mapping[date, datetime]) -> pl.DataFrame:
    """Return `date`, `decision_at` (UTC) and `normals_year`, the year whose normals are whole and out by then."""
    rows = sorted(decisions.items())
    schema = pl.Schema({"date": pl.Date(), "decision_at": pl.Datetime("us", "UTC")})
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    published = pl.col("decision_at") - pl.duration(days=NORMALS_DELAY_DAYS)
    return frame.with_columns(published.dt.year().cast(pl.Int32).alias("normals_year"))


def known_cells(active: pl.DataFrame, order_days: pl.DataFrame, lead_days: int) -> pl.DataFrame:
    """Return those of `active` (`date`, `geohash`, ...) whose cell was known at the decision, `lead_days` before the day.

    Known: an order went there in the 365 days to the day, at least one of them before the day of the decision. So a
    cell's first day is left out, and with a lead the days after it that the decision could not foresee either.
    `order_days`: `date`, `geohash` of orders, as for `active_cells`.
    """
    seen = (
        order_days.drop_nulls("geohash")
        .select(
            "geohash", pl.col("date").alias("_visit"), pl.col("date").dt.offset_by(f"{lead_days + 1}d").alias("_on")
        )
        .unique()
    )
    latest = _by_time(active, "date").join_asof(
        _by_time(seen, "_on"),
        left_on="date",
        right_on="_on",
        by="geohash",
        strategy="backward",
        check_sortedness=False,
    )
    known = latest.filter(pl.col("date") - pl.col("_visit") < pl.duration(days=ACTIVE_DAYS))
    return known.select(active.columns).sort("date", "geohash")


def latest_known(wanted: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return for each row of `wanted` the version known at its `decision_at`; rows of which none was known are left out.

    `wanted`: `geohash`, `valid_date`, `decision_at`, ... `versions`: `geohash`, `valid_date`, `known_at_utc`,
    `is_archived`, ... The archive's newest version counts before the forecast host's newest, as in `weather_daily`.
    """
    left = _by_time(wanted.with_row_index("_row"), "decision_at")
    found = [
        left.join_asof(
            _by_time(
                versions.filter(pl.col("is_archived") == archived).with_columns(pl.col("known_at_utc").alias(KNOWN)),
                KNOWN,
            ),
            left_on="decision_at",
            right_on=KNOWN,
            by=["geohash", "valid_date"],
            strategy="backward",
            check_sortedness=False,
        ).filter(pl.col("known_at_utc").is_not_null())
        for archived in (True, False)
    ]
    best = pl.concat(found).unique("_row", keep="first", maintain_order=True).sort("_row").drop("_row", strict=True)
    if best.filter(pl.col("known_at_utc") > pl.col("decision_at")).height:
        raise ValueError("the as-of join gave a version that was not known at its decision; were its keys sorted?")
    return best


def _by_time(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Sort by an instant and make sure of it: with `by`, polars does not look, and joins wrongly without a word."""
    ordered = frame.sort(column, maintain_order=True)
    if not ordered[column].is_sorted():
        raise ValueError(f"{column} is not sorted; an as-of join of it would be wrong")
    return ordered


def in_months(known: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of each calendar month of `date`, in order.

    A snapshot looks at eight days of many versions: a year of them at once takes gigabytes, and is no faster.
    """
    parts = known.sort("date").with_columns(pl.col("date").dt.truncate("1mo").alias("_month"))
    return parts.partition_by("_month", maintain_order=True, include_key=False)


def describe_as_of(
    known: pl.DataFrame,
    versions: pl.DataFrame,
    normals: pl.DataFrame,
    cells: pl.DataFrame,
    decisions: pl.DataFrame,
    limits: FlagLimits,
) -> pl.DataFrame:
    """Return what `describe_days` does, for each cell and day from what was known at its decision.

    `known`: `date`, `geohash`. `versions`: as for `latest_known`, from `LOOKBACK_DAYS` before the first day on, with the
    columns of `describe_days`' `values` but for `date`. `normals`: as there. `decisions`: of `decision_frame`.
    """
    snapshots = known.select("date", "geohash").join(decisions, on="date", how="inner", validate="m:1")
    named = snapshots.with_columns(pl.format("{} {}", pl.col("date"), "geohash").alias(SNAPSHOT))
    back = pl.DataFrame({"_back": range(LOOKBACK_DAYS + 1)}, schema={"_back": pl.Int64})
    wanted = named.join(back, how="cross").with_columns(
        (pl.col("date") - pl.duration(days=pl.col("_back"))).alias("valid_date")
    )
    looked_at = versions.filter(pl.col("valid_date").is_between(wanted["valid_date"].min(), wanted["valid_date"].max()))
    values = latest_known(wanted.rename({"date": "_day"}), looked_at).with_columns(date=pl.col("valid_date"))
    described = describe_days(
        values.with_columns(pl.col(SNAPSHOT).alias("geohash")).select(_value_columns(versions)),
        _normals_of(wanted, normals),
        named.select("date", pl.col(SNAPSHOT).alias("geohash")),
        named.join(cells, on="geohash", how="inner", validate="m:1").select(
            pl.col(SNAPSHOT).alias("geohash"), "timezone", "lst_offset_hours"
        ),
        limits,
    )
    return described.with_columns(pl.col("geohash").str.slice(len("2025-01-01 "))).sort("date", "geohash")


def _value_columns(versions: pl.DataFrame) -> list[str]:
    return ["date", *(name for name in versions.columns if name not in ("valid_date", "is_archived", "known_at_utc"))]


def _normals_of(wanted: pl.DataFrame, normals: pl.DataFrame) -> pl.DataFrame:
    """Return the normals of each snapshot, of the year that its decision may use, under the year of the day they describe."""
    columns = ["temp_mean_c", "precip_mean_mm", "temp_p90_c"]
    table = normals.select("geohash", pl.col("year").cast(pl.Int32).alias("normals_year"), "day_of_year", *columns)
    slots = wanted.select(
        "geohash",
        "normals_year",
        SNAPSHOT,
        day_slot(pl.col("valid_date")).cast(pl.Int16).alias("day_of_year"),
        pl.col("valid_date").dt.year().alias("year"),
    )
    joined = slots.join(table, on=["geohash", "normals_year", "day_of_year"], how="inner", validate="m:1")
    return joined.select(pl.col(SNAPSHOT).alias("geohash"), "year", "day_of_year", *columns)


def weather_span(days: Sequence[date]) -> tuple[date, date]:
    """Return the first and last day whose versions the snapshots of `days` look at."""
    return min(days) - timedelta(days=LOOKBACK_DAYS), max(days)
