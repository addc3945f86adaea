"""What weather costs: fetched in few requests, once for all tenants, and only what is new."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import geohash
import numpy as np
import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.tables import Orders, polars_schema, shape_of
from weathervane_assets.transforms.normals import base_period
from weathervane_assets.weather import _fill
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import ARCHIVE_MODEL, VERSIONS_SCHEMA, WeatherCache, cell_table

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
FOUR_YEARS = Tenant("acme", "Acme", "America/New_York", "USD", date(2024, 1, 1), climatology_years=4)


def fill(here: Installation, tenant: str, points: list[str], start: date, end: date, now: datetime = NOW) -> int:
    """Fetch as a run of the tenant does; return the number of requests."""
    platform, connector = Platform(threshold_names=sorted(OVERRIDABLE)), OpenMeteoConnector()
    access = connector.access(tenant, platform)
    cache = WeatherCache(here.lake, access.source)
    return asyncio.run(_fill(connector, access, platform, cache, (points, start, end), lambda: now))


def versions(here: Installation) -> pl.DataFrame:
    return here.lake.scan_shared("_weather", "versions", VERSIONS_SCHEMA).collect()


def test_300_cells_of_a_year_take_at_most_ten_requests_and_a_second_tenant_none(installation: Installation) -> None:
    """One request a cell and day: 109,500 of them, and each tenant again."""
    rng = np.random.default_rng(5)
    places = zip(rng.uniform(30, 48, 300), rng.uniform(-120, -75, 300), strict=True)
    cells = cell_table([geohash.encode(latitude, longitude, 5) for latitude, longitude in places])
    points = cells["point"].unique().to_list()
    span = (points, date(2025, 11, 1), date(2026, 10, 31))
    assert cells.height == 300
    assert 1 <= fill(installation, "acme", *span) <= 10
    assert fill(installation, "kiwi", *span) == 0
    assert versions(installation).height == len(points) * 365


def test_trap_13_every_place_is_asked_for_in_whatever_order(installation: Installation) -> None:
    """trap 13: the first 8 coordinates of an unordered `unique()`: other towns each run, and most never."""
    points = [f"{30 + n / 10:.1f},-9{n % 10}.5" for n in range(120)]
    span = (date(2026, 10, 1), date(2026, 10, 3))
    assert fill(installation, "acme", points[::-1], *span) == 2
    assert set(versions(installation)["point"]) == set(points)
    assert fill(installation, "acme", points, *span) == 0


def test_trap_13_every_place_that_was_shipped_to_is_in_the_table(installation: Installation) -> None:
    """trap 13: the asset asked for the first eight points, and the shop's other towns never had any weather."""
    day = date(2026, 11, 10)
    cells = [geohash.encode(34.05 + n / 2, -118.05 + 2 * n, 5) for n in range(12)]
    sold = [{"tenant_id": "acme", "date": day, "order_id": c, "ship_geohash": c, "is_test": False} for c in cells]
    orders = pl.DataFrame(sold, schema=polars_schema(Orders))
    installation.lake.replace(
        "acme", "orders", orders, shape=shape_of(Orders), days=[day], source="stub", run_id="r", now=NOW
    )
    installation.backfill("acme", day, day, "weather_daily")
    found = installation.rows("acme", "weather_daily")
    assert sorted(found["geohash"]) == sorted(cells)
    assert found["temp_c"].null_count() == 0


def test_one_more_year_of_normals_fetches_that_year_only(installation: Installation) -> None:
    """Each January 1 fetched ten years of every cell again: 209 calls' weight a cell instead of 23."""
    points, later = ["52.5,13.4", "42.4,-71.1"], NOW + timedelta(days=1)
    fill(installation, "acme", points, *base_period(FOUR_YEARS, 2025))
    assert fill(installation, "acme", points, *base_period(FOUR_YEARS, 2026), later) == 1
    new = versions(installation).filter(pl.col("known_at_utc") == later)
    assert (new["valid_date"].min(), new["valid_date"].max()) == (date(2025, 1, 1), date(2025, 12, 31))
    assert new.height == 2 * 365


def test_the_base_of_a_year_holds_no_day_of_it_whatever_is_known(installation: Installation) -> None:
    """The target year's own days were in its normals as soon as they were cached."""
    points, year = ["52.5,13.4"], 2026
    fill(installation, "acme", points, date(2022, 1, 1), date(2026, 11, 1))
    cache = WeatherCache(installation.lake, "stub")
    before = cache.latest(points, *base_period(FOUR_YEARS, year))
    own = versions(installation).filter(pl.col("valid_year") >= year)
    cache.keep([own.with_columns(pl.col("temp_c") + 50, known_at_utc=pl.lit(NOW).dt.cast_time_unit("us"))])
    after = cache.latest(points, *base_period(FOUR_YEARS, year))
    assert after.equals(before)
    assert after["valid_date"].max() == date(2025, 12, 31)
    assert set(after["model"]) == {ARCHIVE_MODEL}


@pytest.mark.parametrize("point", ["52.5,13.4", "-36.8,174.8", "34.1,-118.2", "22.6,88.4"])
def test_every_day_comes_back_across_both_clock_changes(installation: Installation, point: str) -> None:
    """After the clocks went back, a day of 25 hours pushed every later one off by one."""
    for start, end in ((date(2026, 3, 1), date(2026, 4, 15)), (date(2026, 9, 15), date(2026, 11, 10))):
        fill(installation, "acme", [point], start, end)
        days = WeatherCache(installation.lake, "stub").latest([point], start, end)["valid_date"]
        assert days.to_list() == pl.date_range(start, end, eager=True).to_list()
