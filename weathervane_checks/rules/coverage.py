"""How much of what should have weather has it. A gap is a gap: it is counted, never filled."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED
from weathervane_resources.tenants import LONGEST_DECISION_LEAD_DAYS
from weathervane_resources.weather_plan import (
    ARCHIVE_MODEL,
    ARCHIVE_VARIABLES,
    FORECAST_MODEL,
    FORECAST_VARIABLES,
    VALUES_BY_VARIABLE,
)

from weathervane_checks.findings import Finding, Severity
from weathervane_checks.thresholds import Thresholds

ACTIVE_DAYS = 365
STALE_HOURS = 48
"""Two daily fetches: weather that was older than this at the decision is of a fetch that did not happen."""

MODELS_WITH = {
    VALUES_BY_VARIABLE[name]: [ARCHIVE_MODEL, FORECAST_MODEL] if name in ARCHIVE_VARIABLES else [FORECAST_MODEL]
    for name in FORECAST_VARIABLES
}
"""Whose rows should have a value: the archive has neither UV index nor probability of precipitation."""


def judge_coverage(
    weather: pl.DataFrame,
    shipped: pl.DataFrame,
    days: Sequence[date],
    limits: Thresholds,
    sources: Mapping[date, str],
) -> list[Finding]:
    """Return one finding a day: the share of active cells that have weather; none at all is critical.

    A variable that is null in too many of the rows that should have it warns: rows alone do not say that there are values.
    `shipped`: `date`, `geohash` of orders of the 365 days up to each day. `sources`: what each day was written from.
    """
    active, there, known = _active(shipped, days), _cells_by_day(weather), _known_values(weather)
    return [
        _with_values(
            _judge_cells(day, active[day], there.get(day, set()), limits, sources.get(day)), known.get(day, {}), limits
        )
        for day in sorted(days)
    ]


def _known_values(weather: pl.DataFrame) -> dict[date, dict[str, float | None]]:
    """Return of each day and variable the share of the rows that should have a value which have one; None of no such rows."""
    shares = [
        pl.col(name).is_not_null().filter(pl.col("source_model").is_in(models)).mean().alias(name)
        for name, models in MODELS_WITH.items()
    ]
    return {row.pop("date"): row for row in weather.group_by("date").agg(shares).iter_rows(named=True)}


def _with_values(finding: Finding, known: Mapping[str, float | None], limits: Thresholds) -> Finding:
    """Return the finding, with the variables that are null too often."""
    limit = limits.weather_coverage_warning
    low = {name: share for name, share in known.items() if share is not None and share < limit}
    if not low:
        return finding
    said = replace(
        finding,
        alerts=(*finding.alerts, "weather_values_missing"),
        note=f"{finding.note}; of its rows " + ", ".join(f"{share:.0%} have {name}" for name, share in low.items()),
        extra={**finding.extra, "missing_values": ", ".join(low)},
    )
    return replace(said, severity="warning", observed=min(low.values()), threshold=limit) if finding.is_ok else said


def judge_issue_coverage(
    forecasts: pl.DataFrame,
    shipped: pl.DataFrame,
    days: Sequence[date],
    limits: Thresholds,
    sources: Mapping[date, str],
    today: date,
) -> list[Finding]:
    """Return one finding a day of issue, as `judge_coverage`; a day that is over is not judged, its forecast cannot be had.

    A cell has its forecast if it has all days of it. A variable may lack on one lead of the eight: models end at different hours.
    The cells are those that were active the day before: orders of the day itself may come after its forecast.
    """
    before = shipped.with_columns(pl.col("date").dt.offset_by("1d"))
    active, there, known = _active(before, days), _cells_by_day(forecasts), _known_values(forecasts)
    whole = _cells_by_day(_whole(forecasts))
    over = "the day of issue is over: what was not learnt on it cannot be had any more"
    return [
        _with_values(
            _judge_cells(day, active[day], whole.get(day, set()), limits, sources.get(day), there.get(day, set())),
            known.get(day, {}),
            limits,
        )
        if day == today
        else Finding(day, "ok", "not judged", note=over)
        for day in sorted(days)
    ]


def _whole(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `geohash` of the forecasts that have each valid day up to the longest lead."""
    lead = (pl.col("valid_date") - pl.col("date")).dt.total_days()
    valid = forecasts.filter(lead.is_between(0, LONGEST_DECISION_LEAD_DAYS)).group_by("date", "geohash")
    return valid.agg(pl.col("valid_date").n_unique().alias("days")).filter(
        pl.col("days") == LONGEST_DECISION_LEAD_DAYS + 1
    )


def _active(shipped: pl.DataFrame, days: Sequence[date]) -> dict[date, set[str]]:
    """Return of each day the cells that an order went to in the 365 days up to it."""
    visits = shipped.drop_nulls("geohash").group_by("geohash").agg(pl.col("date").unique().sort())
    found: dict[date, set[str]] = {day: set() for day in days}
    for cell, dates in visits.iter_rows():
        for day, active in found.items():
            last = bisect_right(dates, day) - 1
            if last >= 0 and (day - dates[last]).days < ACTIVE_DAYS:
                active.add(cell)
    return found


def _cells_by_day(rows: pl.DataFrame) -> dict[date, set[str]]:
    return {day: set(cells) for day, cells in rows.group_by("date").agg(pl.col("geohash").unique()).iter_rows()}


def _judge_cells(
    day: date,
    active: set[str],
    known: set[str],
    limits: Thresholds,
    source: str | None,
    partly: Collection[str] = (),
) -> Finding:
    """Judge the cells that have weather; those that have it `partly` count as without, but are not nothing at all."""
    if source == NOT_CONFIGURED:
        return Finding(day, "ok", NOT_CONFIGURED, note="the source is not configured; there is no weather to expect")
    if not active:
        return Finding(day, "ok", "no active cells", note="no cell is active, so no ratio")
    bare = active - known
    there, halves = len(active) - len(bare), len(bare.intersection(partly))
    ratio, limit = there / len(active), limits.weather_coverage_warning
    severity: Severity = "critical" if not there + halves else "warning" if ratio < limit else "ok"
    alerts = () if severity == "ok" else (f"weather_coverage_{severity}",)
    note = f"{there} of {len(active)} active cells have weather" + (f", {halves} some days of it" if halves else "")
    sample = tuple(f"{day}/{cell}" for cell in sorted(bare)[:5])
    return Finding(day, severity, ratio, limit, alerts, note, sample, {"cells": len(active), "with_weather": there})


def judge_join_coverage(
    features: pl.DataFrame,
    days: Sequence[date],
    limits: Thresholds,
    decisions: pl.DataFrame,
    first_forecast: datetime | None = None,
) -> list[Finding]:
    """W17. Return one finding a day: the share of the matrix' rows with weather, and whether it was fresh at the decision.

    `decisions`: `date`, `decision_at`; it matters in join mode as_of only. What was decided before `first_forecast`, the first one that
    was kept, could know no weather: nobody can mend that, so it is no warning.
    """
    first = pl.lit(first_forecast, pl.Datetime("us", "UTC"))
    stale = pl.col("decision_at") - pl.col("weather_known_at_utc") > pl.duration(hours=STALE_HOURS)
    by_day = (
        features.join(decisions.select("date", "decision_at"), on="date", how="left")
        .group_by("date")
        .agg(
            pl.len().alias("rows"),
            (~pl.col("is_weather_missing")).sum().alias("with_weather"),
            (stale & (pl.col("join_mode") == "as_of")).sum().alias("stale"),
            ((pl.col("join_mode") == "as_of") & (pl.col("decision_at") < first)).any().alias("is_too_early"),
            pl.col("geohash").filter(pl.col("is_weather_missing")).sort().head(5).alias("bare"),
        )
    )
    rows = {row["date"]: row for row in by_day.iter_rows(named=True)}
    return [_judge_rows(day, rows.get(day), limits) for day in sorted(days)]


def _judge_rows(day: date, row: Mapping[str, object] | None, limits: Thresholds) -> Finding:
    if row is None:
        return Finding(day, "ok", "no rows", note="no cell is active, so no ratio")
    count, known, stale = (int(str(row[name])) for name in ("rows", "with_weather", "stale"))
    limit = limits.weather_coverage_warning
    extra = {"rows": count, "with_weather": known, "stale": stale}
    sample = tuple(f"{day}/{cell}" for cell in row["bare"])  # type: ignore[attr-defined]
    note = f"{known} of {count} rows have weather"
    if known / count < limit:
        if row["is_too_early"]:
            note += ": decided before the first forecast was kept, so it stays so"
            return Finding(day, "ok", known / count, limit, note=note, sample_keys=sample, extra=extra)
        return Finding(day, "warning", known / count, limit, ("weather_join_coverage_low",), note, sample, extra)
    if stale and stale > (1 - limit) * known:
        note = f"{stale} of {known} rows had weather older than {STALE_HOURS} hours at the decision"
        return Finding(day, "warning", known / count, limit, ("weather_stale",), note, extra=extra)
    return Finding(day, "ok", known / count, limit, note=note, extra=extra)
