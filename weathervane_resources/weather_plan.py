"""What a fetch of weather would ask for: requests of points with the same days, and what each costs.

Belongs here: splitting missing days into as few requests as the vendor takes. Does not belong here: which days are
missing (`weather_cache.py`), HTTP (`clients/open_meteo.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from weathervane_resources.clients.open_meteo import POINTS_PER_REQUEST, Host, call_weight

ARCHIVE_MODEL = "era5_seamless"
FORECAST_MODEL = "best_match"
FORECAST_DAYS = 7
"""Longest lead of the table `weather_forecast`, days after the day of issue."""
ISSUE_HOUR = 2
"""Tenant-local hour at which each day's forecast is asked for."""
HEAVIEST_REQUEST = 2_000.0
"""Open-Meteo refuses one request of more than 5,000 calls' weight. History may have 4,000 an hour and 8,000 a day of the free hosts: one
request of that size found no hour in which nights had asked for anything."""
NIGHT_DAYS = 21
"""The longest request of a night: 14 nights that were missed and the week before them, which has the restatement's 10 days too."""
SPLIT_AFTER_DAYS = 15
"""Days that are there already and lie between two missing ones: more are not fetched again, fewer cost nothing extra."""

VALUES_BY_VARIABLE = {
    "temperature_2m_mean": "temp_c",
    "temperature_2m_max": "temp_max_c",
    "temperature_2m_min": "temp_min_c",
    "apparent_temperature_mean": "apparent_temp_c",
    "precipitation_sum": "precip_mm",
    "precipitation_probability_max": "precip_probability",
    "relative_humidity_2m_mean": "humidity_mean",
    "wind_gusts_10m_max": "wind_gust_max_kmh",
    "wind_speed_10m_max": "wind_speed_max_kmh",
    "uv_index_max": "uv_index_max",
    "snowfall_sum": "snowfall_cm",
}
FORECAST_VARIABLES = tuple(VALUES_BY_VARIABLE)
ARCHIVE_VARIABLES = tuple(v for v in FORECAST_VARIABLES if v not in ("precipitation_probability_max", "uv_index_max"))
MISSING_SCHEMA = pl.Schema({"point": pl.String(), "valid_date": pl.Date()})


@dataclass(frozen=True)
class Request:
    """One HTTP request: points that miss the same span of days of a model."""

    points: tuple[str, ...]
    start: date
    end: date
    model: str = ARCHIVE_MODEL

    @property
    def host(self) -> Host:
        """Which host serves the model."""
        return "archive" if self.model == ARCHIVE_MODEL else "forecast"

    @property
    def variables(self) -> tuple[str, ...]:
        """What is asked for: all that the host has."""
        return ARCHIVE_VARIABLES if self.model == ARCHIVE_MODEL else FORECAST_VARIABLES

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.start).days + 1

    @property
    def weight(self) -> float:
        """What it costs of the quota, before it is spent."""
        return call_weight(self.variables, self.days, len(self.points))


def requests_for(missing: pl.DataFrame, model: str) -> list[Request]:
    """Return requests that bring every `point` and `valid_date` of `missing`, each within the vendor's limits."""
    gap = pl.col("valid_date").diff().over("point").dt.total_days() > SPLIT_AFTER_DAYS
    runs = missing.sort("point", "valid_date").with_columns(gap.fill_null(value=False).cum_sum().alias("_run"))
    spans = runs.group_by("point", "_run").agg(pl.min("valid_date").alias("start"), pl.max("valid_date").alias("end"))
    grouped = spans.group_by("start", "end").agg(pl.col("point").sort()).sort("start", "end")
    return [request for start, end, points in grouped.iter_rows() for request in split(points, start, end, model)]


def is_history(requests: Sequence[Request]) -> bool:
    """Return whether more is asked for than a night or its restatement does: normals of new places, a backfill.

    By what is asked, not by who asks: a day that someone runs again costs what the night did, while a schedule's first normals
    of a new tenant cost more than all nights of a month.
    """
    return any(request.days > NIGHT_DAYS for request in requests)


def split(points: Sequence[str], start: date, end: date, model: str) -> list[Request]:
    """Return requests for start..end of the points, none heavier or longer than the vendor takes."""
    one = Request(tuple(points[:1]), start, end, model)
    most = max(1, min(POINTS_PER_REQUEST, int(HEAVIEST_REQUEST / one.weight))) if points else 1
    return [Request(tuple(points[n : n + most]), start, end, model) for n in range(0, len(points), most)]


def days_of(requests: Sequence[Request]) -> pl.DataFrame:
    """Return each point and day that the requests bring."""
    frames = [
        pl.DataFrame({"point": request.points}).join(
            pl.DataFrame({"valid_date": pl.date_range(request.start, request.end, eager=True)}), how="cross"
        )
        for request in requests
    ]
    return pl.concat([pl.DataFrame(schema=MISSING_SCHEMA), *frames])
