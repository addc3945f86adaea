"""The weather cache: every value ever fetched, with when it was known, shared by all tenants.

Belongs here: which points and days are still missing, fetching them in few requests, and reading the latest version.
Does not belong here: what is derived from the values (`weathervane_assets.transforms.weather`).

Points, not cells: a cell is served by the point of a 0.1 degree grid nearest to its centre, so that neighbouring cells
and other tenants share it. Days are the point's local standard time. Nothing is overwritten; a value that comes back
different is a new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from weathervane_resources.clients.open_meteo import Host, OpenMeteoClient, call_weight
from weathervane_resources.clients.open_meteo_answer import PlaceDays, Point
from weathervane_resources.geocoder import centre, standard_offset_hours, time_zone
from weathervane_resources.lake import Lake

ARCHIVE_MODEL = "era5_seamless"
FORECAST_MODEL = "best_match"
ARCHIVE_DELAY_DAYS = 6
"""Days before today that the archive does not have yet; the forecast host has them."""
LONGEST_LEAD_DAYS = 15
HEAVIEST_REQUEST = 4_500.0
"""Open-Meteo refuses one request of more than 5,000 calls' weight."""
FORECAST_FRESH_FOR = timedelta(hours=1)
ZONE_YEAR = 2026
"""The year whose standard offset cuts the days, for all years: a day must not move when a country changes its clock."""

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

VERSIONS_SCHEMA = pl.Schema(
    {
        "point": pl.String(),
        "valid_date": pl.Date(),
        "lst_offset_hours": pl.Int8(),
        "source": pl.String(),
        "model": pl.String(),
        "known_at_utc": pl.Datetime("us", "UTC"),
        "grid_latitude": pl.Float64(),
        "grid_longitude": pl.Float64(),
        "elevation_m": pl.Float64(),
        **dict.fromkeys(VALUES_BY_VARIABLE.values(), pl.Float64()),
        "valid_year": pl.Int32(),
    }
)


@dataclass(frozen=True)
class Request:
    """Points that miss the same span of days."""

    points: tuple[str, ...]
    start: date
    end: date


def point_of(cell: str) -> str:
    """Return the grid point that serves a cell, as `latitude,longitude` with one decimal."""
    latitude, longitude = centre(cell)
    return f"{round(latitude, 1) + 0.0:.1f},{round(longitude, 1) + 0.0:.1f}"


def cell_table(cells: Sequence[str]) -> pl.DataFrame:
    """Return `geohash`, `point`, `timezone` (the cell's) and `lst_offset_hours` (the point's) of each cell."""
    rows = []
    for cell in sorted(set(cells)):
        point = point_of(cell)
        rows.append((cell, point, time_zone(*centre(cell)), offset_of(point)))
    schema = pl.Schema(
        {"geohash": pl.String(), "point": pl.String(), "timezone": pl.String(), "lst_offset_hours": pl.Int8()}
    )
    return pl.DataFrame(rows, schema=schema, orient="row")


def offset_of(point: str) -> int:
    """Return the standard-time offset by which a point's days are cut, in hours."""
    return standard_offset_hours(time_zone(*_coordinates(point)), ZONE_YEAR)


def _coordinates(point: str) -> tuple[float, float]:
    latitude, _, longitude = point.partition(",")
    return float(latitude), float(longitude)


def _asked(point: str) -> Point:
    offset = offset_of(point)
    # POSIX signs: Etc/GMT+5 is five hours west
    zone = "GMT" if offset == 0 else f"Etc/GMT{-offset:+d}"
    return Point(*_coordinates(point), timezone=zone)


def archive_end(now: datetime) -> date:
    """Return the newest day that is read from the archive at `now`."""
    return now.date() - timedelta(days=ARCHIVE_DELAY_DAYS + 1)


@dataclass(frozen=True)
class WeatherCache:
    """The versions of one source (`open_meteo` or `stub`), which never mix."""

    lake: Lake
    source: str

    def plan_archive(self, points: Sequence[str], start: date, end: date, now: datetime) -> list[Request]:
        """Return what must be fetched from the archive so that start..end is there, as far as it exists."""
        last = min(end, archive_end(now))
        return self._plan(points, start, last, pl.col("model") == ARCHIVE_MODEL, ARCHIVE_VARIABLES)

    def plan_forecast(self, points: Sequence[str], start: date, end: date, now: datetime) -> list[Request]:
        """Return what must be fetched from the forecast host: days after the archive's last, not read within the hour."""
        first = max(start, archive_end(now) + timedelta(days=1))
        last = min(end, now.date() + timedelta(days=LONGEST_LEAD_DAYS))
        fresh = (pl.col("model") == FORECAST_MODEL) & pl.col("known_at_utc").is_between(now - FORECAST_FRESH_FOR, now)
        return self._plan(points, first, last, fresh, FORECAST_VARIABLES)

    def _plan(
        self, points: Sequence[str], start: date, end: date, is_there: pl.Expr, variables: Sequence[str]
    ) -> list[Request]:
        if start > end or not points:
            return []
        wanted = pl.DataFrame({"point": sorted(set(points))}, schema={"point": pl.String}).join(
            pl.DataFrame({"valid_date": pl.date_range(start, end, eager=True)}), how="cross"
        )
        have = self._scan(points, start, end).filter(is_there).select("point", "valid_date").unique().collect()
        missing = wanted.join(have, on=["point", "valid_date"], how="anti")
        spans = missing.group_by("point").agg(pl.min("valid_date").alias("start"), pl.max("valid_date").alias("end"))
        grouped = spans.group_by("start", "end").agg(pl.col("point").sort()).sort("start", "end")
        return [
            Request(tuple(chunk), first, last)
            for first, last, same_span in grouped.iter_rows()
            for chunk in _chunks(same_span, (last - first).days + 1, variables)
        ]

    def whole_forecast(self, points: Sequence[str], start: date, end: date) -> list[Request]:
        """Return requests for start..end of every point, whatever is known already."""
        chunks = _chunks(points, (end - start).days + 1, FORECAST_VARIABLES)
        return [Request(tuple(chunk), start, end) for chunk in chunks]

    async def fetch(
        self, client: OpenMeteoClient, requests: Sequence[Request], *, model: str, known_at: datetime
    ) -> None:
        """Fetch `requests` from the model's host and keep what came."""
        self.keep(await self.ask(client, requests, model=model, known_at=known_at))

    async def ask(
        self, client: OpenMeteoClient, requests: Sequence[Request], *, model: str, known_at: datetime
    ) -> list[pl.DataFrame]:
        """Return the versions that `requests` bring from the model's host; a day without values is not among them."""
        host: Host = "archive" if model == ARCHIVE_MODEL else "forecast"
        variables = ARCHIVE_VARIABLES if model == ARCHIVE_MODEL else FORECAST_VARIABLES
        frames = []
        for request in requests:
            points = [_asked(point) for point in request.points]
            asked_model = ARCHIVE_MODEL if model == ARCHIVE_MODEL else None
            names = iter(request.points)
            async for batch in client.daily(host, points, request.start, request.end, variables, asked_model):
                frames += [self._versions([next(names) for _ in batch], batch, model, known_at)]
        return frames

    def keep(self, versions: Sequence[pl.DataFrame]) -> None:
        """Append versions in one commit."""
        if versions:
            rows = pl.concat(versions).sort("valid_date", "point")
            self.lake.append("_weather", "versions", rows, ["source", "valid_year"])

    def latest(self, points: Sequence[str], start: date, end: date, known_by: datetime | None = None) -> pl.DataFrame:
        """Return one row per point and day: the archive's newest version, else the forecast host's; as known by then."""
        versions = self._scan(points, start, end)
        if known_by is not None:
            versions = versions.filter(pl.col("known_at_utc") <= known_by)
        rank = (pl.col("model") == ARCHIVE_MODEL).alias("_is_archive")
        return (
            versions.with_columns(rank)
            .sort("point", "valid_date", "_is_archive", "known_at_utc")
            .unique(["point", "valid_date"], keep="last", maintain_order=True)
            .drop("_is_archive")
            .collect()
        )

    def issued(self, points: Sequence[str], first: date, last: date, zone: str) -> pl.DataFrame:
        """Return the forecasts learnt on the days first..last of `zone`, with that day as `issue_date`.

        One row per day of issue, point and valid day: the earliest version, so that a later run cannot change it.
        """
        issue_date = pl.col("known_at_utc").dt.convert_time_zone(zone).dt.date()
        return (
            self._scan(points, first - timedelta(days=1), last + timedelta(days=LONGEST_LEAD_DAYS + 1))
            .filter(pl.col("model") == FORECAST_MODEL)
            .with_columns(issue_date.alias("issue_date"))
            .filter(pl.col("issue_date").is_between(first, last))
            .sort("issue_date", "point", "valid_date", "known_at_utc")
            .unique(["issue_date", "point", "valid_date"], keep="first", maintain_order=True)
            .collect()
        )

    def _scan(self, points: Sequence[str], start: date, end: date) -> pl.LazyFrame:
        years = list(range(start.year, end.year + 1))
        return self.lake.scan_shared("_weather", "versions", VERSIONS_SCHEMA).filter(
            pl.col("valid_year").is_in(years)
            & (pl.col("source") == self.source)
            & pl.col("point").is_in(sorted(set(points)))
            & pl.col("valid_date").is_between(start, end)
        )

    def _versions(
        self, points: Sequence[str], places: Sequence[PlaceDays], model: str, known_at: datetime
    ) -> pl.DataFrame:
        """Return one row per point and day that has a temperature, of points with the same days."""
        days = len(places[0].times)

        def per_place(values: Sequence[object], dtype: pl.DataType) -> pl.Series:
            return pl.Series(values, dtype=dtype).gather([n for n in range(len(places)) for _ in range(days)])

        def per_day(variable: str) -> pl.Series:
            missing: list[float | None] = [None] * days
            return pl.Series([v for p in places for v in p.columns.get(variable, missing)], dtype=pl.Float64)

        return (
            pl.DataFrame(
                {
                    "point": per_place(points, pl.String()),
                    "valid_date": pl.Series([t for p in places for t in p.times], dtype=pl.String).str.to_date(),
                    "lst_offset_hours": per_place([offset_of(point) for point in points], pl.Int8()),
                    "grid_latitude": per_place([p.grid_latitude for p in places], pl.Float64()),
                    "grid_longitude": per_place([p.grid_longitude for p in places], pl.Float64()),
                    "elevation_m": per_place([p.elevation for p in places], pl.Float64()),
                    **{name: per_day(variable) for variable, name in VALUES_BY_VARIABLE.items()},
                }
            )
            .filter(pl.col("temp_c").is_not_null())
            .with_columns(
                pl.col("precip_probability") / 100,
                source=pl.lit(self.source),
                model=pl.lit(model),
                known_at_utc=pl.lit(known_at).dt.cast_time_unit("us"),
                valid_year=pl.col("valid_date").dt.year(),
            )
            .select(pl.col(name).cast(dtype) for name, dtype in VERSIONS_SCHEMA.items())
        )


def _chunks(points: Sequence[str], days: int, variables: Sequence[str]) -> list[Sequence[str]]:
    """Split points so that no request weighs more than the vendor takes."""
    most = max(1, int(HEAVIEST_REQUEST / call_weight(variables, days, 1)))
    return [points[first : first + most] for first in range(0, len(points), most)]
