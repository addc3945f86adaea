"""Forecasts of days that are over: only the sandbox can still make them, and they are kept for their tenant alone.

They are said to have been known at a time when nobody asked for them. Among the versions that all tenants share, they would
change what another tenant's decisions knew, after the fact.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, time, timedelta

import polars as pl

from weathervane_assets.tables import WEATHER_VALUES, WeatherForecast, shape_of
from weathervane_assets.window import Window
from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.credentials import STUB
from weathervane_resources.weather_cache import Answer, WeatherCache, cell_table
from weathervane_resources.weather_plan import FORECAST_DAYS, ISSUE_HOUR

ISSUED_AT = time(ISSUE_HOUR, 10)
"""When a past day's forecast is known, by the tenant's clock: a run started at that hour ends before the next."""
ISSUES_AT_ONCE = 8
"""Days of issue asked for at the same time."""

Connect = Callable[[datetime], AbstractAsyncContextManager[OpenMeteoClient]]
"""A way to the sandbox, as it answered at an instant."""


def unmade(window: Window, missed: pl.DataFrame) -> pl.DataFrame:
    """Return those of `missed` (`date`, `geohash`, `point` of days that are over) of which the tenant has no whole forecast."""
    days = _own(window, window.days).group_by("date", "geohash").agg(pl.col("valid_date").n_unique().alias("days"))
    return missed.join(days.filter(pl.col("days") == FORECAST_DAYS + 1), on=["date", "geohash"], how="anti")


async def make_up(
    window: Window, missing: pl.DataFrame, cache: WeatherCache, connect: Connect
) -> tuple[pl.DataFrame, int]:
    """Ask the sandbox for the `missing` forecasts, each as of its own day; return their versions and the number of requests."""
    gate = asyncio.Semaphore(ISSUES_AT_ONCE)

    async def ask(day: date, points: list[str]) -> tuple[date, list[Answer], int]:
        issued = datetime.combine(day, ISSUED_AT, window.tenant.zone)
        plan = cache.whole_forecast(points, day, day + timedelta(days=FORECAST_DAYS))
        async with gate, connect(issued) as client:
            return day, await cache.ask(client, plan, lambda: issued), client.session.requests

    by_day = missing.group_by("date").agg(pl.col("point").unique().sort()).sort("date").iter_rows()
    made = await asyncio.gather(*(ask(*one) for one in by_day))
    versions = [cache.versions_of(answers).with_columns(date=pl.lit(day)) for day, answers, _ in made]
    none = cache.versions_of([]).with_columns(date=pl.lit(None, pl.Date))
    found = missing.join(pl.concat([none, *versions]), on=["date", "point"], how="inner", validate="m:m")
    return found, sum(requests for *_, requests in made)


def known_versions(window: Window, points: Iterable[str], first: date, last: date) -> pl.DataFrame:
    """Return the tenant's made-up forecasts of first..last for points, as rows of the versions of weather."""
    span = [first + timedelta(days=n) for n in range(-FORECAST_DAYS, (last - first).days + 1)]
    own = _own(window, span).filter(pl.col("valid_date").is_between(first, last))
    cells = cell_table(own["geohash"].unique().to_list()).select("geohash", "point")
    placed = own.join(cells.filter(pl.col("point").is_in(list(points))), on="geohash", how="inner", validate="m:1")
    return placed.unique(["point", "valid_date", "known_at_utc"])


def _own(window: Window, days: Sequence[date]) -> pl.DataFrame:
    """Return `date`, `geohash`, `valid_date`, values and origin of the tenant's made-up forecasts issued on days."""
    rows = window.lake.scan(window.tenant.id, "weather_forecast", shape_of(WeatherForecast), days)
    columns = ["date", "geohash", "valid_date", "known_at_utc", *WEATHER_VALUES, "source"]
    named = rows.filter(pl.col("source") == STUB).select(*columns, pl.col("source_model").alias("model"))
    return window.whole("weather_forecast", named)
