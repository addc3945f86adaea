"""The normals of a year through the path that the asset takes: orders and versions in a real lake, read, fitted, conformed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.assets.conftest import write_environment
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.tables import Orders, polars_schema, shape_of
from weathervane_assets.weather import _normals_of_year
from weathervane_assets.window import Window
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.lake import Lake
from weathervane_resources.platform import Platform
from weathervane_resources.weather_cache import (
    ARCHIVE_MODEL,
    FORECAST_MODEL,
    VERSIONS_SCHEMA,
    Request,
    WeatherCache,
    cell_table,
    offset_of,
)

CELLS = ["u33d8", "drt2y"]
YEAR, BASE_YEARS = 2024, 4
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
LEARNT = datetime(2026, 1, 10, tzinfo=UTC)
HOLE = (date(2022, 7, 1), date(2022, 7, 20))
"""Days that the archive answered with null."""
VALUES = [name for name, dtype in VERSIONS_SCHEMA.items() if dtype == pl.Float64]


def versions(days: pl.Series, seed: int, model: str = ARCHIVE_MODEL, known_at: datetime = LEARNT) -> pl.DataFrame:
    """Return one version of each day and point, of weather that the seed decides."""
    rng = np.random.default_rng(seed)
    points = cell_table(CELLS)["point"]
    frame = pl.DataFrame({"point": points}).join(pl.DataFrame({"valid_date": days}), how="cross")
    season = -10 * np.cos(2 * np.pi * frame["valid_date"].dt.ordinal_day().to_numpy() / 365.25)
    known = frame.with_columns(
        pl.col("point").replace_strict({p: offset_of(p) for p in points}).alias("lst_offset_hours"),
        *(pl.Series(name, season + rng.normal(10, 6, frame.height)) for name in VALUES),
        source=pl.lit("stub"), model=pl.lit(model), known_at_utc=pl.lit(known_at).dt.cast_time_unit("us"),
        valid_year=pl.col("valid_date").dt.year(),
    )  # fmt: skip
    return known.select(pl.col(name).cast(dtype) for name, dtype in VERSIONS_SCHEMA.items())


@dataclass(frozen=True)
class Place:
    """A lake with two cells' weather of the base years, and the way to their normals."""

    lake: Lake

    @property
    def cache(self) -> WeatherCache:
        return WeatherCache(self.lake, "stub")

    @cached_property
    def first(self) -> pl.DataFrame:
        return self.normals()

    def normals(self, year: int = YEAR) -> pl.DataFrame:
        platform, connector = Platform(threshold_names=sorted(OVERRIDABLE)), OpenMeteoConnector()
        window = Window(platform.tenants()["acme"], (date(year, 1, 1),), NOW, self.lake)
        table, requests = _normals_of_year(window, date(year, 1, 1), connector, connector.access("acme", platform), platform, Clock(fixed=NOW.isoformat()))  # fmt: skip
        assert requests == 0, "everything is in the lake"
        return table


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("climatology")
    lake = Lake(str(folder / "lake"))
    day = date(YEAR - 1, 12, 1)
    sold = [
        {"tenant_id": "acme", "date": day, "order_id": cell, "ship_geohash": cell, "is_test": False} for cell in CELLS
    ]
    orders = pl.DataFrame(sold, schema=polars_schema(Orders))
    lake.replace("acme", "orders", orders, shape=shape_of(Orders), days=[day], source="stub", run_id="r", now=NOW)
    cache = WeatherCache(lake, "stub")
    days = pl.date_range(date(YEAR - BASE_YEARS, 1, 1), date(YEAR - 1, 12, 31), eager=True)
    known = versions(days, 1).filter(~pl.col("valid_date").is_between(*HOLE))
    cache.keep([known])
    cache._note_unanswered(Request(tuple(cell_table(CELLS)["point"]), *HOLE), known, NOW)
    with pytest.MonkeyPatch.context() as patch:
        write_environment(patch, folder, "http://sandbox.invalid")
        yield Place(lake)


FUTURE = st.tuples(
    st.integers(0, 1_050), st.integers(1, 400), st.sampled_from([ARCHIVE_MODEL, FORECAST_MODEL]), st.integers(0, 10**6)
)


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(FUTURE, min_size=1, max_size=4))
def test_no_day_of_the_year_or_later_changes_its_normals(
    place: Place, changes: list[tuple[int, int, str, int]]
) -> None:
    """The normal that is partly made of the day it judges finds every day a little more normal.

    Each example adds versions of days of the year and later to the lake, newer than all before, for good.
    """
    before = place.first
    for start, length, model, seed in changes:
        first = date(YEAR, 1, 1) + timedelta(days=start)
        days = pl.date_range(first, first + timedelta(days=length), eager=True)
        place.cache.keep([versions(days, seed, model, LEARNT + timedelta(seconds=seed))])
    after = place.normals()
    assert after.height == 2 * 366
    assert after["temp_mean_c"].null_count() == 0
    assert after.equals(before)


def test_trap_3_a_forecast_of_a_day_of_the_base_years_counts_for_nothing(place: Place) -> None:
    """trap 3: forecast rows, and each fetch of a day again, were counted as days of their own."""
    before = place.first
    place.cache.keep([versions(pl.date_range(*HOLE, eager=True), 5, FORECAST_MODEL, LEARNT)])
    points = list(cell_table(CELLS)["point"])
    again = place.cache.latest(points, date(YEAR - 2, 3, 1), date(YEAR - 1, 12, 31))
    place.cache.keep([again.filter(pl.col("model") == ARCHIVE_MODEL)] * 3)
    assert place.normals().equals(before)


def test_trap_2_the_normals_are_the_same_when_they_are_read_again_and_see_the_base_years(place: Place) -> None:
    """trap 2: the second read made the normals of the window's own rows: each anomaly was exactly 0.0.

    A changed day of the base years must move them: normals that nothing moves prove nothing.
    """
    before = place.first
    assert place.normals().equals(before)
    days = pl.date_range(date(YEAR - 1, 7, 1), date(YEAR - 1, 7, 31), eager=True)
    kept = place.cache.latest(list(cell_table(CELLS)["point"]), days[0], days[-1])
    later = pl.lit(NOW).dt.cast_time_unit("us")
    place.cache.keep([kept.with_columns(pl.col("temp_c") + 30, known_at_utc=later)])
    moved = place.normals()
    place.cache.keep([kept.with_columns(known_at_utc=later + pl.duration(seconds=1))])
    assert not moved.equals(before)
    assert place.normals().equals(before)
