"""The section on weather: the tenant's temperature against its normal, and the events of the period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from weathervane_assets.pictures import EVENTS, FEWEST_DAYS
from weathervane_assets.tenant_report.charts import temperature_chart
from weathervane_assets.tenant_report.source import Missing, Source
from weathervane_assets.tenant_report.svg import Chart
from weathervane_assets.transforms.normals import base_period
from weathervane_resources.tenants import Tenant

MOST_EVENTS = 20
UNUSUAL_C = 5.0
"""A day so far from its normal is counted as unusual."""


@dataclass(frozen=True)
class Event:
    """A stretch of days on which something happened somewhere, and in how many cells at most."""

    name: str
    first: date
    last: date
    days: int
    cells: int


@dataclass(frozen=True)
class Climate:
    """The section. Temperatures and departures in degC; `by_day`: the figures of the picture."""

    missing: Missing | None
    normals_missing: Missing | None
    mean_c: float | None
    mean_anomaly_c: float | None
    unusual_days: int
    judged_days: int
    warmest: tuple[date, float] | None
    coldest: tuple[date, float] | None
    forecast_rows: int
    events: Sequence[Event]
    more_events: int
    normal_years: str
    chart: Chart | None
    by_day: pl.DataFrame


def examine_climate(source: Source) -> Climate:
    """Return the section."""
    by_day = source.weather.with_columns((pl.col("temp_c") - pl.col("temp_anomaly")).alias("normal_c"))
    judged = by_day.drop_nulls("temp_anomaly").sort("temp_anomaly", "date")
    events = _events(source.features)
    known = by_day["temp_c"].count()
    return Climate(
        missing=_why_missing(source, known),
        normals_missing=_why_no_normals(source) if known and judged.is_empty() else None,
        mean_c=_number(judged["temp_c"].mean() if judged.height else by_day["temp_c"].mean()),
        mean_anomaly_c=_number(judged["temp_anomaly"].mean()),
        unusual_days=judged.filter(pl.col("temp_anomaly").abs() > UNUSUAL_C).height,
        judged_days=judged.height,
        warmest=judged.select("date", "temp_anomaly").row(-1) if judged.height else None,
        coldest=judged.select("date", "temp_anomaly").row(0) if judged.height else None,
        forecast_rows=source.features.filter(pl.col("observation_type") == "forecast").height,
        events=events[:MOST_EVENTS],
        more_events=max(0, len(events) - MOST_EVENTS),
        normal_years=base_periods(source.tenant, source.days),
        chart=temperature_chart(by_day, events) if known >= FEWEST_DAYS else None,
        by_day=by_day,
    )


def _why_missing(source: Source, known: int) -> Missing | None:
    if source.no_matrix or known >= FEWEST_DAYS:
        return source.no_matrix
    if source.is_unconfigured("weather_daily"):
        return Missing(
            "No source of weather is configured.", "Set OPEN_METEO_API_KEY, or OPEN_METEO_NON_COMMERCIAL: docs/sources."
        )
    if known:
        return Missing(
            f"Only {known} days of the period have weather; fewer than {FEWEST_DAYS} are no picture.", source.backfill()
        )
    return Missing("No day of the period has weather.", source.backfill("weather_daily", "features"))


def _why_no_normals(source: Source) -> Missing:
    years = sorted({day.year for day in source.days})
    named = " and ".join(map(str, years))
    return Missing(
        f"The normals of {named} are not there, so it cannot be said what is unusual.",
        source.backfill("climatology", "weather_daily", "features"),
    )


def _events(features: pl.DataFrame) -> list[Event]:
    """Return the stretches of consecutive days of each event, the newest first."""
    found = []
    for flag, (_, name) in EVENTS.items():
        days = features.filter(pl.col(flag) == 1).group_by("date").len("cells").sort("date")
        stretch = (pl.col("date").diff() != pl.duration(days=1)).fill_null(value=False).cum_sum()
        spans = days.group_by(stretch.alias("_")).agg(
            pl.min("date").alias("first"), pl.max("date").alias("last"), pl.len().alias("days"), pl.max("cells")
        )
        found += [Event(name, *row) for row in spans.select("first", "last", "days", "cells").iter_rows()]
    return sorted(found, key=lambda event: (event.first, event.name), reverse=True)


def base_periods(tenant: Tenant, days: Sequence[date]) -> str:
    """Return the years that the days' normals come from; of both years where one begins within the days, once if they are the same."""
    bases = dict.fromkeys(base_period(tenant, year) for year in sorted({days[0].year, days[-1].year}))
    return " and ".join(f"{first.year} to {last.year}" for first, last in bases)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, float) else None
