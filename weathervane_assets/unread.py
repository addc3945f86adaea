"""What a tenant's tables say is still to be read: missed nights, days read too early, weather that the archive may mend, years without whole normals.

Belongs here: a look into the lake that names days. Does not belong here: when they are read (`schedules.py`).

A table or ledger that cannot be read names none: the run itself says what is wrong with it, and the other tenants go on.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

import polars as pl

from weathervane_assets import graph
from weathervane_assets.change_cursor import ranges
from weathervane_assets.transforms.as_of import decision_frame
from weathervane_assets.transforms.normals import base_period
from weathervane_resources.credentials import NOT_CONFIGURED, UNREAD
from weathervane_resources.lake import Lake, LakeError, Shape, whole
from weathervane_resources.lake_ledger import IS_OWN
from weathervane_resources.local_time import local_date
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import ARCHIVED, archive_end

OLDEST_UNSETTLED_DAYS = 60
"""How far back `restate_weather` looks for days that still stand as forecasts, after a pause or an outage, or have a gap."""
AGES_BETWEEN_READS = 4
"""Such a day is read again once it is older by a quarter of the age at which it was read last: 13 days old, 17, 22, 28, 35, 44, 55
and 69. What the archive lacks for good is read so often, and what it mends is late by a quarter of the day's age at most."""
OLDEST_EARLY_DAYS = 366
"""How far back days are looked for that were last read before the vendor was done with them."""
WEATHER_DAYS = 10
"""The archive has a day when it is 7 days old in UTC, where it may be yesterday still: each day is read with it at least twice."""
ISSUED = "weather_forecast"
"""Had on the day itself only: a night that reads it again brings nothing, so it is complete whenever it was written. `freshness` says
where it was missed."""
_VALUES = Shape(
    pl.Schema(
        {
            "date": pl.Date(),
            "geohash": pl.String(),
            "observation_type": pl.String(),
            **dict.fromkeys(ARCHIVED, pl.Float64()),
        }
    ),
    (),
)
_CELLS = Shape(pl.Schema({"date": pl.Date(), "geohash": pl.String()}), ())
_COUNTS = IS_OWN | ~IS_OWN.sort_by("date").last().over("dataset")
"""Whether a row of the ledger counts: not days without credentials or of a demo, of a source that has them now; of one that was given up
they are all there is."""
_JOINED = Shape(pl.Schema({"date": pl.Date(), "geohash": pl.String(), "is_weather_missing": pl.Boolean()}), ())


def complete_nights(lake: Lake, tenant: Tenant) -> set[date]:
    """Return the days that every table of a night was written for once they were over; none where the ledger cannot be read.

    `features` alone says nothing: days that are read again for ads or weather write it too, also where orders failed.
    Nor do days that do not count. The run itself says what is wrong with a tenant's ledger; the nights of the others go on.
    """
    try:
        ledger = lake.ledger(tenant.id).filter(pl.col("dataset").is_in(graph.DAILY))
    except LakeError:
        return set()
    ledger = ledger.filter(_COUNTS | (pl.col("dataset") == ISSUED))
    is_over = local_date("written_at_utc", tenant.timezone) > pl.col("date")
    tables = ledger.filter(is_over | (pl.col("dataset") == ISSUED)).group_by("date").agg(pl.col("dataset").n_unique())
    return set(tables.filter(pl.col("dataset") == len(graph.DAILY))["date"])


def oldest_unsettled(lake: Lake, tenant_id: str, first: date, now: datetime) -> date:
    """Return the oldest day of the 60 before `first` that the archive may still mend and that is due; `first` where none is.

    A forecast: while a tenant was paused or the daemon was off nobody read it again, and the archive has it since. A day
    with a gap: the archive is asked for it again, but the table has the answer only when the day is read.
    """
    since = first - timedelta(days=OLDEST_UNSETTLED_DAYS)
    try:
        rows = lake.scan(tenant_id, "weather_daily", _VALUES).filter(pl.col("date") >= since)
        unsettled = whole(rows.filter(_is_unsettled()).select("date"), lake.uri(tenant_id, "weather_daily"))
        ledger = lake.ledger(tenant_id, "weather_daily")
    except LakeError:
        return first
    if is_given_up(ledger):
        return first
    read = ledger.join(unsettled, on="date", how="semi")
    read_on = pl.col("written_at_utc").dt.date()
    is_due = (pl.lit(now.date()) - read_on) * AGES_BETWEEN_READS >= read_on - pl.col("date")
    return min(read.filter((pl.col("date") < first) & is_due)["date"].to_list(), default=first)


def spans_read_early(
    lake: Lake, tenant: Tenant, datasets: Collection[str], span: tuple[date, date], earliest: date
) -> list[tuple[date, date]]:
    """Return the days of the year before `span` that were last read younger than its first day is now, as ranges.

    Every night reads such a span, so a day is read for the last time when it is its first, and the vendor is done with it. Where
    nights were missed, days fell out of it before. Not of a source that was given up, nor days that were never read from it.
    """
    if not datasets:
        return []
    first, age = span[0], (span[1] - span[0]).days + 1
    since = max(first - timedelta(days=OLDEST_EARLY_DAYS), tenant.start_date, earliest)
    try:
        ledger = lake.ledger(tenant.id).filter(pl.col("dataset").is_in(list(datasets)))
    except LakeError:
        return []
    newest = pl.col("source").sort_by("date").last().over("dataset")
    is_asked = (newest != NOT_CONFIGURED) & ~pl.col("source").is_in(list(UNREAD)) & _COUNTS
    read_at = (local_date("written_at_utc", tenant.timezone) - pl.col("date")).dt.total_days()
    is_early = pl.col("date").is_between(since, first - timedelta(days=1)) & (read_at < age)
    return ranges(ledger.filter(is_asked & is_early)["date"])


def _is_unsettled() -> pl.Expr:
    """Return whether a row is a forecast, or lacks what the archive gives of its place on other days.

    A value that a place never has is none to wait for: a model may have no gusts.
    """
    kind = pl.col("observation_type")
    is_observed = kind == "observed"
    lacks = (
        pl.col(name).is_null() & (pl.col(name).is_not_null() & is_observed).any().over("geohash") for name in ARCHIVED
    )
    return (kind == "forecast") | (is_observed & pl.any_horizontal(lacks))


def years_without_normals(lake: Lake, tenant: Tenant, today: date) -> list[int]:
    """Return the years whose normals a cell with weather lacks, of the days that `restate_weather` reads next.

    In join mode as_of also the years whose normals the decisions of these days could have: in January that is the year before.
    """
    days = [today - timedelta(days=n) for n in range(1, WEATHER_DAYS + 1)]
    decided = decision_frame({day: tenant.decision_at(day) for day in days if tenant.join_mode == "as_of"})
    years = {day.year for day in days} | set(decided["normals_year"])
    of_year = pl.col("date").dt.year().alias("year"), pl.col("geohash")
    try:
        weather = lake.scan(tenant.id, "weather_daily", _CELLS, days).select(of_year)
        joined = lake.scan(tenant.id, "features", _JOINED, days).filter(~pl.col("is_weather_missing"))
        by_decision = joined.join(decided.lazy(), on="date", how="inner", validate="m:1")
        needed = pl.concat([weather, by_decision.select(pl.col("normals_year").alias("year"), "geohash")]).unique()
        normals = lake.scan(tenant.id, "climatology", _CELLS, [date(year, 1, 1) for year in years]).select(of_year)
        without = whole(needed.join(normals, on=["year", "geohash"], how="anti"), lake.uri(tenant.id, "weather_daily"))
    except LakeError:
        return []  # its night says what is wrong; the other tenants go on
    return sorted(without["year"].unique().to_list())


def normals_lack_december(lake: Lake, tenant: Tenant, now: datetime) -> bool:
    """Return whether the year's normals were made before the archive had all of their base period, and it has that now."""
    january = tenant.today(now).replace(month=1, day=1)
    _, base_end = base_period(tenant, january.year)
    if archive_end(now) < base_end:
        return False
    try:
        ledger = lake.ledger(tenant.id)
    except LakeError:
        return False
    made = ledger.filter(pl.col("dataset") == "climatology", pl.col("date") == january)["written_at_utc"]
    return not is_given_up(ledger) and any(archive_end(at) < base_end for at in made)


def is_given_up(ledger: pl.DataFrame) -> bool:
    """Return whether nobody is asked for weather any more: then what was read stays as it is, however old."""
    return newest_source(ledger) == NOT_CONFIGURED


def newest_source(ledger: pl.DataFrame) -> str:
    """Return where the newest weather came from; empty where there is none."""
    newest = ledger.filter(pl.col("dataset") == "weather_daily").sort("date")["source"].tail(1)
    return "".join(newest)
