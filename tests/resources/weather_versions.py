"""Versions of weather for the tests of its cache: one temperature for a run of days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl

from weathervane_resources.weather_cache import ARCHIVE_MODEL, ARCHIVED, VERSIONS_SCHEMA

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
TODAY = NOW.date()
BERLIN, BOSTON = "52.5,13.4", "42.4,-71.1"
HOUR = timedelta(hours=1)


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def versions(
    point: str,
    days: Sequence[date],
    temp_c: float,
    *,
    model: str = ARCHIVE_MODEL,
    known_at: datetime = NOW,
    source: str = "open_meteo",
) -> pl.DataFrame:
    """Return one version a day, all with one temperature, and whole: every variable of the archive is there."""
    row = dict.fromkeys(VERSIONS_SCHEMA) | dict.fromkeys(ARCHIVED, 1.0) | {
        "point": point, "lst_offset_hours": 1, "source": source, "model": model, "known_at_utc": known_at, "temp_c": temp_c,
    }  # fmt: skip
    return pl.DataFrame([row | {"valid_date": day, "valid_year": day.year} for day in days], schema=VERSIONS_SCHEMA)
