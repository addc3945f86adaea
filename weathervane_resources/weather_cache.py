"""The weather cache: every value ever fetched, with when it was known, shared by all tenants.

Belongs here: which points and days are still missing, fetching them, and reading the latest version.
Does not belong here: how missing days become requests (`weather_plan.py`), what is derived from the values (`weathervane_assets.transforms.weather`).

Points, not cells: a cell is served by the point of a 0.1 degree grid nearest to its centre, so that neighbouring cells
and other tenants share it. Days are the point's local standard time. Nothing is overwritten; a value that comes back
different is a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import polars as pl

from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.clients.open_meteo_answer import PlaceDays, Point
from weathervane_resources.credentials import STUB
from weathervane_resources.geocoder import centre, standard_offset_hours, time_zone
from weathervane_resources.lake import Lake, whole
from weathervane_resources.local_time import local_date
from weathervane_resources.weather_plan import (
    ARCHIVE_MODEL,
    ARCHIVE_VARIABLES,
    FORECAST_MODEL,
    MISSING_SCHEMA,
    VALUES_BY_VARIABLE,
    Request,
    days_of,
    requests_for,
    split,
)

__all__ = [
    "ARCHIVE_MODEL",
    "FORECAST_MODEL",
    "Answer",
    "Request",
    "WeatherCache",
    "archive_end",
    "cell_table",
    "offset_of",
    "point_of",
]

Connect = Callable[[Sequence[Request]], AbstractAsyncContextManager[OpenMeteoClient]]
"""A way to the hosts, for what is to be asked of them."""
Lock = Callable[[], AbstractAsyncContextManager[None]]
Now = Callable[[], datetime]

ARCHIVE_DELAY_DAYS = 6
"""Days before today that the archive does not have yet; the forecast host has them."""
LONGEST_LEAD_DAYS = 15
ASK_AGAIN_AFTER = {ARCHIVE_MODEL: timedelta(hours=20), FORECAST_MODEL: timedelta(hours=1)}
"""When a host is asked again: the forecast host for any day, the archive for days that it answered with null. Below a
day, so that each day's run asks."""
ARCHIVED = tuple(VALUES_BY_VARIABLE[name] for name in ARCHIVE_VARIABLES)
SETTLES_DAYS = 90
"""What the archive still lacks of a day so old it will not get: one model of the two that it is made of ended there."""
ZONE_YEAR = 2026
"""The year whose standard offset cuts the days, for all years: a day must not move when a country changes its clock."""
LOCK_PATIENCE_S = 1_800.0
"""How long a run waits for another one that fetches: what it fetches need not be fetched again."""

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

FOLDER, VERSIONS, UNANSWERED = "_weather", "versions", "unanswered"
"""Where the lake has them: they are of all tenants."""
UNANSWERED_SCHEMA = pl.Schema(
    {
        "source": pl.String(),
        "model": pl.String(),
        "point": pl.String(),
        "valid_date": pl.Date(),
        "asked_at_utc": pl.Datetime("us", "UTC"),
        "valid_year": pl.Int32(),
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said of the days of some points, and when we knew it."""

    points: Sequence[str]
    places: Sequence[PlaceDays]
    model: str
    known_at: datetime


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


@cache
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


def observation_type(source: str) -> pl.Expr:
    """Return what kind of value a version of `source` is: observed (the archive's), forecast, or stub."""
    kind = pl.when(pl.col("model") == ARCHIVE_MODEL).then(pl.lit("observed")).otherwise(pl.lit("forecast"))
    return pl.lit(STUB) if source == STUB else kind


@dataclass(frozen=True)
class WeatherCache:
    """The versions of one source (`open_meteo` or `stub`), which never mix."""

    lake: Lake
    source: str

    def plan_archive(self, points: Sequence[str], start: date, end: date, now: datetime) -> list[Request]:
        """Return what must be fetched from the archive so that start..end is there, as far as it exists."""
        return requests_for(self.missing_archive(points, start, end, now), ARCHIVE_MODEL)

    def plan_forecast(self, points: Sequence[str], start: date, end: date, now: datetime) -> list[Request]:
        """Return what must be fetched from the forecast host: days after the archive's last, not read within the hour."""
        return requests_for(self.missing_forecast(points, start, end, now), FORECAST_MODEL)

    def missing_archive(self, points: Sequence[str], start: date, end: date, now: datetime) -> pl.DataFrame:
        """Return `point` and `valid_date` that the archive was not asked for, or not lately where it had nothing or not all."""
        last = min(end, archive_end(now))
        archived = self.versions(points, start, end).filter(pl.col("model") == ARCHIVE_MODEL)
        is_settled = pl.col("valid_date") < now.date() - timedelta(days=SETTLES_DAYS)
        archived = archived.filter(is_settled | pl.all_horizontal(pl.col(ARCHIVED).is_not_null()))
        return self._missing(points, start, last, [archived, self._unanswered(ARCHIVE_MODEL, points, start, end, now)])

    def missing_forecast(self, points: Sequence[str], start: date, end: date, now: datetime) -> pl.DataFrame:
        """Return `point` and `valid_date` after the archive's last day that were not asked for within the hour."""
        first = max(start, archive_end(now) + timedelta(days=1))
        last = min(end, now.date() + timedelta(days=LONGEST_LEAD_DAYS))
        is_fresh = pl.col("known_at_utc").is_between(now - ASK_AGAIN_AFTER[FORECAST_MODEL], now)
        fresh = self.versions(points, start, end).filter((pl.col("model") == FORECAST_MODEL) & is_fresh)
        return self._missing(points, first, last, [fresh, self._unanswered(FORECAST_MODEL, points, start, end, now)])

    def _unanswered(self, model: str, points: Sequence[str], start: date, end: date, now: datetime) -> pl.LazyFrame:
        """Return the days that the model's host answered with null when it was asked lately."""
        is_lately = pl.col("asked_at_utc").is_between(now - ASK_AGAIN_AFTER[model], now)
        asked = self._scan(UNANSWERED, UNANSWERED_SCHEMA, points, start, end)
        return asked.filter((pl.col("model") == model) & is_lately)

    def unknown(self, points: Sequence[str], start: date, end: date) -> pl.LazyFrame:
        """Return `point` and `valid_date` of the days that a host was asked for, whenever, and of which no version is known."""
        asked = self._scan(UNANSWERED, UNANSWERED_SCHEMA, points, start, end).select("point", "valid_date")
        return asked.join(self.versions(points, start, end), on=["point", "valid_date"], how="anti").unique()

    def whole_forecast(self, points: Sequence[str], start: date, end: date) -> list[Request]:
        """Return requests for start..end of every point, whatever is known already."""
        return split(points, start, end, FORECAST_MODEL)

    async def fill(self, points: Sequence[str], start: date, end: date, now: Now, connect: Connect, lock: Lock) -> int:
        """Fetch what is missing of the points and days; return the number of HTTP requests.

        Runs that want the same at once fetch it once: the plan is made again under the lock, after the others' fetch. A value
        is known from when its answer came, not from when the run began: the lock may take half an hour.
        """

        def plan() -> list[Request]:
            span = (points, start, end, now())
            return self.plan_archive(*span) + self.plan_forecast(*span)

        if not plan():
            return 0
        async with lock():
            requests = plan()
            if not requests:
                return 0
            async with connect(requests) as client:
                await self.fetch(client, requests, now)
                return client.session.requests

    async def fetch(self, client: OpenMeteoClient, requests: Sequence[Request], now: Now) -> None:
        """Fetch `requests` and keep what came, also if a later one fails: it was paid for."""
        frames: list[pl.DataFrame] = []
        try:
            for request in requests:
                answers = await self.ask(client, [request], now)
                frames.append(self.versions_of(answers))
                self._note_unanswered(request, frames[-1], answers[0].known_at)
        finally:
            self.keep(frames)

    async def ask(self, client: OpenMeteoClient, requests: Sequence[Request], now: Now) -> list[Answer]:
        """Return what is answered to each of `requests`, known from when it came by `now`."""
        answers = []
        for request in requests:
            points = [_asked(point) for point in request.points]
            model = ARCHIVE_MODEL if request.model == ARCHIVE_MODEL else None
            span = (request.start, request.end)
            batches = client.daily(request.host, points, *span, request.variables, model)
            places = [place async for batch in batches for place in batch]
            answers.append(Answer(request.points, places, request.model, now()))
        return answers

    def _note_unanswered(self, request: Request, versions: pl.DataFrame, asked_at: datetime) -> None:
        """Remember the days that a host answered with nothing, or the archive with gaps: not every run asks for them again."""
        whole = versions if request.model != ARCHIVE_MODEL else versions.drop_nulls(ARCHIVED)
        empty = days_of([request]).join(whole, on=["point", "valid_date"], how="anti")
        if not empty.is_empty():
            rows = empty.select(
                pl.lit(self.source).alias("source"),
                pl.lit(request.model).alias("model"),
                "point",
                "valid_date",
                pl.lit(asked_at).dt.cast_time_unit("us").alias("asked_at_utc"),
                pl.col("valid_date").dt.year().alias("valid_year"),
            )
            self.lake.append(FOLDER, UNANSWERED, rows, ["source", "valid_year"])

    def keep(self, versions: Sequence[pl.DataFrame]) -> None:
        """Append versions in one commit."""
        if versions:
            rows = pl.concat(versions).sort("valid_date", "point")
            self.lake.append(FOLDER, VERSIONS, rows, ["source", "valid_year"])

    def latest(self, points: Sequence[str], start: date, end: date, known_by: datetime | None = None) -> pl.DataFrame:
        """Return one row per point and day: the archive's newest version, else the forecast host's; as known by then."""
        versions = self.versions(points, start, end)
        if known_by is not None:
            versions = versions.filter(pl.col("known_at_utc") <= known_by)
        rank = (pl.col("model") == ARCHIVE_MODEL).alias("_is_archive")
        ranked = versions.with_columns(rank).sort("point", "valid_date", "_is_archive", "known_at_utc")
        newest = ranked.unique(["point", "valid_date"], keep="last", maintain_order=True)
        return self.read(newest.drop("_is_archive"))

    def issued(self, points: Sequence[str], first: date, last: date, zone: str) -> pl.DataFrame:
        """Return the forecasts learnt on the days first..last of `zone`, with that day as `issue_date`.

        One row per day of issue, point and valid day: the earliest version, so that a later run cannot change it.
        """
        issue_date = local_date("known_at_utc", zone)
        learnt = (
            self.versions(points, first - timedelta(days=1), last + timedelta(days=LONGEST_LEAD_DAYS + 1))
            .filter(pl.col("model") == FORECAST_MODEL)
            .with_columns(issue_date.alias("issue_date"))
            .filter(pl.col("issue_date").is_between(first, last))
        )
        in_order = learnt.sort("issue_date", "point", "valid_date", "known_at_utc")
        return self.read(in_order.unique(["issue_date", "point", "valid_date"], keep="first", maintain_order=True))

    def read(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Return rows of these tables. Raises: LakeError: a file of them is gone or damaged."""
        return whole(rows, self.lake.uri(FOLDER, VERSIONS))

    def versions(self, points: Sequence[str], start: date, end: date) -> pl.LazyFrame:
        """Return every version known of the points and days, several of each."""
        return self._scan(VERSIONS, VERSIONS_SCHEMA, points, start, end)

    def _scan(self, table: str, schema: pl.Schema, points: Sequence[str], start: date, end: date) -> pl.LazyFrame:
        years = list(range(start.year, end.year + 1))
        return self.lake.scan_shared(FOLDER, table, schema).filter(
            pl.col("valid_year").is_in(years)
            & (pl.col("source") == self.source)
            & pl.col("point").is_in(sorted(set(points)))
            & pl.col("valid_date").is_between(start, end)
        )

    def _missing(self, points: Sequence[str], start: date, end: date, settled: list[pl.LazyFrame]) -> pl.DataFrame:
        """Return `point` and `valid_date` of start..end that are not settled."""
        if start > end or not points:
            return pl.DataFrame(schema=MISSING_SCHEMA)
        wanted = days_of([Request(tuple(sorted(set(points))), start, end)])
        have = self.read(pl.concat([scan.select("point", "valid_date") for scan in settled]).unique())
        return wanted.join(have, on=["point", "valid_date"], how="anti")

    def versions_of(self, answers: Sequence[Answer]) -> pl.DataFrame:
        """Return one row per answer, point and day that has a temperature."""
        told = [(answer, *pair) for answer in answers for pair in zip(answer.points, answer.places, strict=True)]
        rows = [n for n, (_, _, place) in enumerate(told) for _ in place.times]

        def per_place(values: Sequence[object], dtype: pl.DataType) -> pl.Series:
            return pl.Series(values, dtype=dtype).gather(rows)

        def per_day(variable: str) -> pl.Series:
            values = (place.columns.get(variable) or [None] * len(place.times) for _, _, place in told)
            return pl.Series([value for column in values for value in column], dtype=pl.Float64)

        return (
            pl.DataFrame(
                {
                    "point": per_place([point for _, point, _ in told], pl.String()),
                    "valid_date": pl.Series([t for *_, p in told for t in p.times], dtype=pl.String).str.to_date(),
                    "lst_offset_hours": per_place([offset_of(point) for _, point, _ in told], pl.Int8()),
                    "grid_latitude": per_place([place.grid_latitude for *_, place in told], pl.Float64()),
                    "grid_longitude": per_place([place.grid_longitude for *_, place in told], pl.Float64()),
                    "elevation_m": per_place([place.elevation for *_, place in told], pl.Float64()),
                    "model": per_place([answer.model for answer, *_ in told], pl.String()),
                    "known_at_utc": per_place(
                        [answer.known_at.astimezone(UTC) for answer, *_ in told], pl.Datetime("us", "UTC")
                    ),
                    **{name: per_day(variable) for variable, name in VALUES_BY_VARIABLE.items()},
                }
            )
            .filter(pl.col("temp_c").is_not_null())
            .with_columns(
                pl.col("precip_probability") / 100,
                source=pl.lit(self.source),
                valid_year=pl.col("valid_date").dt.year(),
            )
            .select(pl.col(name).cast(dtype) for name, dtype in VERSIONS_SCHEMA.items())
        )
