"""Lakes with years of a tenant's history, for `bench/history.py`: a month that the graph made, again and again.

The month comes out of a real backfill from the sandbox. It is moved by multiples of 28 days, so that weekdays stay, and
written through the lake's and the cache's own interface: one commit a year, as a backfill does, then one a night.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from weathervane_assets import graph
from weathervane_assets.backfill import plan_steps, run_backfill
from weathervane_assets.instance import open_instance, sync_tenants
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import Lake
from weathervane_resources.settings import read_settings
from weathervane_resources.weather_cache import ARCHIVE_MODEL, VERSIONS_SCHEMA, WeatherCache

TENANT, SOURCE = "acme", "stub"
MONTH, NIGHTS = 28, 60
BASE_YEARS = 10
TEN_YEARS = timedelta(days=3653)


@dataclass(frozen=True)
class Home:
    """A folder with everything of one installation."""

    folder: Path

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake(str(self.folder / "lake"))

    def environment(self, start: date) -> dict[str, str]:
        """Return the variables that make it the installation in use; its partitions begin on `start`."""
        (self.folder / "tenants.toml").write_text(
            f'[tenants.{TENANT}]\nname = "Acme"\ntimezone = "America/New_York"\ncurrency = "USD"\nstart_date = {start}\n'
        )
        return {
            "WEATHERVANE_TENANTS": str(self.folder / "tenants.toml"),
            "WEATHERVANE_LAKE": self.lake.root,
            "WEATHERVANE_STATE_URL": f"sqlite:///{self.folder}/state.db",
            "WEATHERVANE_START_DATE": start.isoformat(),
            "DAGSTER_HOME": str(self.folder / "dagster"),
        }

    def open(self, start: date) -> dg.DagsterInstance:
        """Make it the installation in use and return its instance."""
        os.environ |= self.environment(start)
        instance = open_instance(read_settings(os.environ))
        sync_tenants(instance, [TENANT])
        return instance


def make_month(home: Home, last: date) -> None:
    """Bring in the month that ends on `last`, through Dagster, from the sandbox."""
    home.folder.mkdir()
    first = last - timedelta(days=MONTH - 1)
    instance = home.open(first)
    outcome = run_backfill(instance, TENANT, plan_steps(TENANT, first, last, list(graph.NODES)))
    if not outcome.is_good:
        raise SystemExit(f"the month could not be made: {outcome.failures or outcome.checks}")


def grow(month: Home, home: Home, last: date, years: int) -> None:
    """Write `years` years that end on `last`: a commit a year, and one a night for the last `NIGHTS` days."""
    home.folder.mkdir()
    nights = [last - timedelta(days=n) for n in reversed(range(NIGHTS))]
    spans = [*_years(last, years, nights[0]), *([night] for night in nights)]
    for dataset in graph.DAILY:
        table = month.lake.scan(TENANT, dataset, shape_of(CONTRACTS[dataset])).collect()
        for days in spans:
            _write(home.lake, dataset, _moved(table, days, last), days)
    _write_normals(month, home, range(last.year - years, last.year + 1))
    _write_versions(month, home, spans, last)


def _years(last: date, years: int, end: date) -> Iterator[list[date]]:
    first = last - timedelta(days=365 * years - 1)
    while first < end:
        until = min(first + timedelta(days=365), end)
        yield [first + timedelta(days=n) for n in range((until - first).days)]
        first = until


def _moved(table: pl.DataFrame, days: Sequence[date], last: date, column: str = "date") -> pl.DataFrame:
    """Return the month's rows moved back so often that they fill `days`; every instant moves with its row."""
    first_of_month = last - timedelta(days=MONTH - 1)
    most = (first_of_month - days[0]).days // MONTH + 1
    least = (last - days[-1]).days // MONTH
    parts = [_shifted(table, timedelta(days=MONTH * n)) for n in range(least, max(most, least) + 1)]
    return pl.concat(parts).filter(pl.col(column).is_between(days[0], days[-1]))


def _shifted(table: pl.DataFrame, by: timedelta) -> pl.DataFrame:
    moved = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.Date | pl.Datetime)]
    suffix = f"-{by.days}"
    ids = [name for name in ("order_id", "campaign_id") if name in table.columns and by]
    return table.with_columns(pl.col(moved) - by, *(pl.col(name) + suffix for name in ids)).select(table.columns)


def _write(lake: Lake, dataset: str, frame: pl.DataFrame, days: Sequence[date]) -> None:
    lake.replace(
        TENANT,
        dataset,
        frame,
        shape=shape_of(CONTRACTS[dataset]),
        days=days,
        source=SOURCE,
        run_id="history",
        now=_noon(days[-1]),
    )


def _noon(day: date) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00")


def _write_normals(month: Home, home: Home, years: Sequence[int]) -> None:
    shape = shape_of(CONTRACTS["climatology"])
    table = month.lake.scan(TENANT, "climatology", shape).collect()
    one = table.filter(pl.col("date") == table["date"].max())
    for year in years:
        january = date(year, 1, 1)
        _write(home.lake, "climatology", one.with_columns(pl.lit(january).alias("date")), [january])


def _write_versions(month: Home, home: Home, spans: Sequence[Sequence[date]], last: date) -> None:
    """Write the archive's days that normals need before the history, and what each day of it learnt."""
    cache = WeatherCache(home.lake, SOURCE)
    known = month.lake.scan_shared("_weather", "versions", VERSIONS_SCHEMA).collect()
    first = spans[0][0]
    archive = known.filter(pl.col("model") == ARCHIVE_MODEL)
    for by in (timedelta(0), TEN_YEARS):
        older = _with_year(_shifted(archive, by)).filter(pl.col("valid_date") < first)
        if by == timedelta(0) or first.year < last.year - 1:
            cache.keep([older])
    recent = known.filter(pl.col("known_at_utc").dt.date() >= last - timedelta(days=MONTH - 1))
    fresh = recent.filter(pl.col("valid_date") >= last - timedelta(days=MONTH - 1))
    learnt = fresh.with_columns(pl.col("valid_date").alias("_day"))
    for days in spans:
        cache.keep([_with_year(_moved(learnt, days, last, "_day").drop("_day"))])


def _with_year(versions: pl.DataFrame) -> pl.DataFrame:
    return versions.with_columns(pl.col("valid_date").dt.year().alias("valid_year"))
