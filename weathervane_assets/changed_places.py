"""Which old days are still made of places that the stored orders do not make any more: an order came back with its address, or lost it.

Belongs here: holding the matrix, the weather and the normals against orders that were written after them. Does not belong here: when they are
made again (`schedules.py`), and the recent days, which every night makes again.

A place is in the matrix for a year after each order, so a day of orders that is read again may change any day of the year after it.
What was written after those orders is never named, whatever it holds: nothing is made again twice for the same change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from weathervane_assets.change_cursor import ranges
from weathervane_assets.features import matrix_cells
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.transforms.calendar import ACTIVE_DAYS
from weathervane_assets.unread import is_given_up, newest_source
from weathervane_assets.weather import active_in, days_of_places, shipping_days
from weathervane_assets.window import Window
from weathervane_resources.lake import Lake, LakeError, Shape, whole
from weathervane_resources.lake_ledger import left_over_days
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import WeatherCache, cell_table

MOST_DAYS = 366
"""So long a span is made again in a night: all that one order can change. What is left is the next night's."""
_CELL = ("date", "geohash")


def spans_of_changed_places(
    lake: Lake, tenant: Tenant, first: date, last: date, now: datetime
) -> list[tuple[date, date]]:
    """Return the oldest of the days first..last whose matrix or weather is of other places than their orders make, to a year on.

    Also days with weather whose normals were made later. A span ends where a day was never made. None where a table cannot be
    read: the run itself says what is wrong.
    """
    try:
        ledger = lake.ledger(tenant.id)
        days = _days_of_matrix(lake, tenant, _behind(ledger, "features", first, last), now)
        if not is_given_up(ledger):
            behind, source = _behind(ledger, "weather_daily", first, last), newest_source(ledger)
            days += _days_of_weather(lake, tenant, behind, source, now)
            days += _days_before_normals(lake, tenant, ledger, first, last)
    except LakeError:
        return []
    if not days:
        return []
    newest = max(day for day in days if day < min(days) + timedelta(days=MOST_DAYS))
    made = ledger.filter((pl.col("dataset") == "features") & pl.col("date").is_between(min(days), newest))
    return ranges(made["date"])


def years_of_changed_places(lake: Lake, tenant: Tenant, last: date) -> list[int]:
    """Return the years whose normals lack a place that orders up to `last` have had since: `years_without_normals` sees later ones."""
    try:
        ledger = lake.ledger(tenant.id)
        made, orders = (
            ledger.filter(pl.col("dataset") == name).select("date", "written_at_utc")
            for name in ("climatology", "orders")
        )
        if is_given_up(ledger):
            return []
        return sorted(
            january.year
            for january, at in made.iter_rows()
            if _has_new_place(lake, tenant, january, at, orders.filter(pl.col("date") <= last))
        )
    except LakeError:
        return []


def _behind(ledger: pl.DataFrame, dataset: str, first: date, last: date) -> list[date]:
    """Return the days of a dataset that were written before some of the orders that say which places are active on them."""
    written = {
        name: ledger.filter(pl.col("dataset") == name).select("date", "written_at_utc") for name in ("orders", dataset)
    }
    both = written["orders"].join(
        written[dataset], on="date", how="full", coalesce=True, validate="1:1", suffix="_made"
    )
    newest = pl.col("written_at_utc").rolling_max_by("date", f"{ACTIVE_DAYS}d")
    behind = both.sort("date").filter(pl.col("written_at_utc_made") < newest)
    left_over = left_over_days(ledger.filter(pl.col("dataset") == "orders"))
    return behind.filter(pl.col("date").is_between(first, last) & ~pl.col("date").is_in(left_over))["date"].to_list()


def _days_of_matrix(lake: Lake, tenant: Tenant, days: Sequence[date], now: datetime) -> list[date]:
    if not days:
        return []
    columns = [*_CELL, "is_first_order_day"]
    made = _rows(lake, tenant, "features", columns, days)
    wanted = matrix_cells(Window(tenant, tuple(days), now, lake)).select(columns)
    return _other(wanted, made)["date"].to_list() + _other(made, wanted)["date"].to_list()


def _days_of_weather(lake: Lake, tenant: Tenant, days: Sequence[date], source: str, now: datetime) -> list[date]:
    """Return the days whose weather is of other places; what a host was asked for and did not have is not waited for."""
    if not days:
        return []
    made = _rows(lake, tenant, "weather_daily", _CELL, days)
    wanted = active_in(Window(tenant, tuple(days), now, lake)).select(_CELL)
    lacking, gone = _other(wanted, made), _other(made, wanted)["date"].to_list()
    if lacking.is_empty():
        return gone
    points = cell_table(lacking["geohash"].to_list()).select("geohash", "point")
    owed = lacking.join(points, on="geohash", how="inner", validate="m:1").rename({"date": "valid_date"})
    cache = WeatherCache(lake, source)
    unknown = cache.read(cache.unknown(points["point"].to_list(), days[0], days[-1]))
    return gone + owed.join(unknown, on=["point", "valid_date"], how="anti")["valid_date"].to_list()


def _days_before_normals(lake: Lake, tenant: Tenant, ledger: pl.DataFrame, first: date, last: date) -> list[date]:
    """Return the days with rows that have no anomaly, only because their weather was written before the normals of their place."""
    made = ledger.filter(pl.col("dataset") == "climatology").select(
        pl.col("date").dt.year().alias("year"), pl.col("written_at_utc").alias("normals_at")
    )
    written = ledger.filter((pl.col("dataset") == "weather_daily") & pl.col("date").is_between(first, last))
    by_year = written.with_columns(pl.col("date").dt.year().alias("year"))
    days = by_year.join(made, on="year", how="inner", validate="m:1").filter(
        pl.col("written_at_utc") < pl.col("normals_at")
    )
    if days.is_empty():
        return []
    columns = [*_CELL, "day_of_year", "temp_c", "temp_anomaly"]
    is_bare = pl.col("temp_anomaly").is_null() & pl.col("temp_c").is_not_null()
    bare = _rows(lake, tenant, "weather_daily", columns, days["date"].to_list(), is_bare)
    if bare.is_empty():
        return []
    januaries = [date(year, 1, 1) for year in bare["date"].dt.year().unique()]
    is_known = pl.col("temp_mean_c").is_not_null() & pl.col("geohash").is_in(bare["geohash"].unique().to_list())
    normals = _rows(lake, tenant, "climatology", [*_CELL, "day_of_year", "temp_mean_c"], januaries, is_known)
    year = pl.col("date").dt.year().alias("year")
    known = normals.select(year, "geohash", "day_of_year")
    return (
        bare.select("date", year, "geohash", "day_of_year")
        .join(known, on=["year", "geohash", "day_of_year"], how="semi")["date"]
        .to_list()
    )


def _has_new_place(lake: Lake, tenant: Tenant, january: date, made_at: datetime, written: pl.DataFrame) -> bool:
    """Return whether normals lack a place all of whose orders were written after them; another they have looked for in vain.

    `written`: `date`, `written_at_utc` of the days of orders that count.
    """
    since, until = days_of_places(january.year)
    orders = written.filter(pl.col("date").is_between(since, until))
    if orders.filter(pl.col("written_at_utc") > made_at).is_empty():
        return False
    shipped = shipping_days(Window(tenant, (january,), made_at, lake), since, until)
    placed = shipped.join(orders, on="date", how="inner", validate="m:1")
    since_then = (
        placed.group_by("geohash").agg(pl.col("written_at_utc").min()).filter(pl.col("written_at_utc") > made_at)
    )
    known = _rows(lake, tenant, "climatology", _CELL, [january])
    return not since_then.join(known, on="geohash", how="anti").is_empty()


def _other(rows: pl.DataFrame, than: pl.DataFrame) -> pl.DataFrame:
    return rows.join(than, on=rows.columns, how="anti")


def _rows(
    lake: Lake, tenant: Tenant, dataset: str, columns: Sequence[str], days: Sequence[date], *where: pl.Expr
) -> pl.DataFrame:
    schema = shape_of(CONTRACTS[dataset]).schema
    narrow = Shape(pl.Schema({name: schema[name] for name in columns}), ())
    return whole(lake.scan(tenant.id, dataset, narrow, days).filter(*where), lake.uri(tenant.id, dataset))
