"""The weather cache: versions in a real Delta table, filled over real HTTP by a small Open-Meteo of our own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.weather_versions import BERLIN, BOSTON, HOUR, NOW, TODAY, days_ago, versions
from weathervane_resources.clients.open_meteo_answer import PlaceDays, Point
from weathervane_resources.geocoder import centre
from weathervane_resources.lake import Lake
from weathervane_resources.weather_cache import (
    ARCHIVE_MODEL,
    FORECAST_MODEL,
    VERSIONS_SCHEMA,
    Answer,
    Request,
    WeatherCache,
    archive_end,
    cell_table,
    offset_of,
    point_of,
)
from weathervane_resources.weather_plan import HEAVIEST_REQUEST, NIGHT_DAYS, is_history, requests_for


@pytest.fixture
def cache(tmp_path: Path) -> WeatherCache:
    return WeatherCache(Lake(str(tmp_path)), "open_meteo")


# points, days and offsets


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789bcdefghjkmnpqrstuvwxyz", min_size=5, max_size=5))
def test_the_point_of_a_cell_is_the_nearest_of_the_grid(cell: str) -> None:
    """Truncated instead of rounded, a cell took the weather of a point 15 km away; -0.0 was a point of its own."""
    latitude, longitude = centre(cell)
    point = point_of(cell)
    asked_latitude, asked_longitude = map(float, point.split(","))
    assert abs(asked_latitude - latitude) <= 0.05 + 1e-9
    assert abs(asked_longitude - longitude) <= 0.05 + 1e-9
    assert "-0.0" not in point.split(",")


def test_neighbouring_cells_share_a_point_and_keep_their_own_row() -> None:
    """One request a cell is three times the quota; one row a point loses cells."""
    table = cell_table(["u33d8", "u33d9", "u33d8", "drt2y"])
    assert table["geohash"].to_list() == ["drt2y", "u33d8", "u33d9"]
    assert table.filter(pl.col("geohash").str.starts_with("u33"))["timezone"].unique().to_list() == ["Europe/Berlin"]
    assert table.schema["lst_offset_hours"] == pl.Int8
    assert cell_table([]).is_empty()


@pytest.mark.parametrize(
    ("point", "hours"),
    [(BERLIN, 1), (BOSTON, -5), ("-36.8,174.8", 12), ("22.6,88.4", 6), ("53.3,-6.3", 0), ("47.6,-52.7", -3)],
)
def test_days_are_cut_by_standard_time_all_year(point: str, hours: int) -> None:
    """`timezone=auto` cuts the same past day differently in summer and in winter."""
    assert offset_of(point) == hours


# what is missing


def test_an_empty_cache_misses_everything_that_the_archive_has(cache: WeatherCache) -> None:
    """Days that the archive does not have yet come back as nulls, and were stored as 0 degrees."""
    plan = cache.plan_archive([BOSTON, BERLIN, BERLIN], days_ago(20), TODAY, NOW)
    assert plan == [Request((BOSTON, BERLIN), days_ago(20), days_ago(7))]
    assert archive_end(NOW) == days_ago(7)


def test_the_forecast_host_is_asked_only_for_days_after_the_archives_last(cache: WeatherCache) -> None:
    """trap 6: asked for the full history first, the forecast host answered 'out of allowed range', and 15 degrees were made up."""
    assert cache.plan_forecast([BERLIN], days_ago(300), TODAY + timedelta(days=40), NOW) == [
        Request((BERLIN,), days_ago(6), TODAY + timedelta(days=15), FORECAST_MODEL)
    ]
    assert cache.plan_forecast([BERLIN], days_ago(300), days_ago(7), NOW) == []


def test_archive_and_forecast_together_ask_for_each_day_once(cache: WeatherCache) -> None:
    """A day between the two hosts is in neither, one in both is paid twice."""
    for first in range(12):
        start, end = days_ago(first), days_ago(first - 3)
        asked = cache.plan_archive([BERLIN], start, end, NOW) + cache.plan_forecast([BERLIN], start, end, NOW)
        days = [r.start + timedelta(days=n) for r in asked for n in range((r.end - r.start).days + 1)]
        assert days == [start + timedelta(days=n) for n in range(4)]


def test_what_is_there_is_not_asked_for_again(cache: WeatherCache) -> None:
    """trap 8: keyed by the exact range, the cache fetched a whole year again for one more day."""
    cache.keep([versions(BERLIN, [days_ago(n) for n in range(7, 20)], 10.0)])
    assert cache.plan_archive([BERLIN], days_ago(19), TODAY, NOW) == []
    assert cache.plan_archive([BERLIN], days_ago(22), days_ago(10), NOW) == [
        Request((BERLIN,), days_ago(22), days_ago(20))
    ]
    assert cache.plan_archive([BERLIN, BOSTON], days_ago(19), TODAY, NOW) == [
        Request((BOSTON,), days_ago(19), days_ago(7))
    ]


def test_a_forecast_never_stands_in_for_the_archive(cache: WeatherCache) -> None:
    """trap 8: forecast rows in the file were taken for observations for ever."""
    cache.keep([versions(BERLIN, [days_ago(8)], 10.0, model=FORECAST_MODEL)])
    assert cache.plan_archive([BERLIN], days_ago(8), days_ago(8), NOW) == [Request((BERLIN,), days_ago(8), days_ago(8))]


@pytest.mark.parametrize(
    ("age", "asks"), [(timedelta(minutes=59), 0), (timedelta(minutes=61), 1), (-timedelta(minutes=5), 1)]
)
def test_a_forecast_is_fresh_for_an_hour(cache: WeatherCache, age: timedelta, asks: int) -> None:
    """Each of ten tenants fetched the same point in the same minute; or a forecast was never fetched again.

    A version from the future (a replay with an older clock) is not fresh either.
    """
    cache.keep([versions(BERLIN, [TODAY], 10.0, model=FORECAST_MODEL, known_at=NOW - age)])
    assert len(cache.plan_forecast([BERLIN], TODAY, TODAY, NOW)) == asks


def test_no_request_weighs_more_than_the_vendor_takes(cache: WeatherCache) -> None:
    """Ten years for 400 cells in one request: refused, and retried for an hour."""
    points = [f"{lat / 10:.1f},10.0" for lat in range(400)]
    plan = cache.plan_archive(points, date(2015, 1, 1), date(2024, 12, 31), NOW)
    assert sorted(p for r in plan for p in r.points) == sorted(points)
    for request in plan:
        assert request.weight <= HEAVIEST_REQUEST
    whole = cache.whole_forecast(points, TODAY, TODAY)
    assert [p for r in whole for p in r.points] == points


def test_what_is_longer_than_a_night_is_history_whoever_asks(cache: WeatherCache) -> None:
    """A schedule's first normals of a new tenant took the day's quota as a backfill does; a night's repair by hand waited for midnight."""
    of_a_night = cache.plan_archive([BERLIN, BOSTON], days_ago(NIGHT_DAYS + 8), days_ago(9), NOW)
    assert [request.days for request in of_a_night] == [NIGHT_DAYS]
    assert not is_history(of_a_night)
    longer = cache.plan_archive([BERLIN, BOSTON], days_ago(NIGHT_DAYS + 9), days_ago(9), NOW)
    assert is_history(longer)
    assert is_history([*of_a_night, *longer]), "what else the run asks for goes with it"
    assert not is_history([])


def test_a_window_that_ends_before_it_begins_asks_for_nothing(cache: WeatherCache) -> None:
    """A tenant without orders has no cells, and a future backfill no archive."""
    assert cache.plan_archive([], days_ago(20), TODAY, NOW) == []
    assert cache.plan_archive([BERLIN], TODAY, TODAY, NOW) == []


# versions


def test_the_archives_word_wins_however_late_the_forecast_came(cache: WeatherCache) -> None:
    """Latest by time alone, a re-fetched forecast of a past day replaced its observation."""
    day = [days_ago(8)]
    cache.keep(
        [
            versions(BERLIN, day, 1.0, model=FORECAST_MODEL, known_at=NOW - 3 * HOUR),
            versions(BERLIN, day, 2.0, known_at=NOW - 2 * HOUR),
            versions(BERLIN, day, 3.0, known_at=NOW - HOUR),
            versions(BERLIN, day, 4.0, model=FORECAST_MODEL, known_at=NOW),
        ]
    )
    assert cache.latest([BERLIN], *day * 2)["temp_c"].to_list() == [3.0]


def test_what_was_known_then_can_be_asked_for(cache: WeatherCache) -> None:
    """trap 12: as_of_utc was recorded and never compared with anything."""
    day = [days_ago(8)]
    for hours, temp in ((3, 1.0), (2, 2.0), (1, 3.0)):
        cache.keep([versions(BERLIN, day, temp, known_at=NOW - hours * HOUR)])
    known = [
        cache.latest([BERLIN], *day * 2, known_by=NOW - hours * HOUR)["temp_c"].to_list() for hours in (4, 3, 2, 0)
    ]
    assert known == [[], [1.0], [2.0], [3.0]]
    assert cache.lake.scan_shared("_weather", "versions", VERSIONS_SCHEMA).collect().height == 3


def test_one_row_for_each_point_and_day_over_the_year_end(cache: WeatherCache) -> None:
    """Years are partitions: a window over New Year read one of them."""
    days = [date(2024, 12, 30) + timedelta(days=n) for n in range(4)]
    cache.keep([versions(point, days, 5.0, known_at=NOW - n * HOUR) for point in (BERLIN, BOSTON) for n in range(3)])
    latest = cache.latest([BERLIN, BOSTON], days[0], days[-1])
    assert latest.select("point", "valid_date").rows() == [(point, day) for point in (BOSTON, BERLIN) for day in days]


def test_stub_and_live_weather_never_mix(cache: WeatherCache) -> None:
    """The sandbox's summer stood in the live shop's matrix because the point was 'already cached'."""
    WeatherCache(cache.lake, "stub").keep([versions(BERLIN, [days_ago(8)], 99.0, source="stub")])
    assert cache.latest([BERLIN], days_ago(8), days_ago(8)).is_empty()
    assert len(cache.plan_archive([BERLIN], days_ago(8), days_ago(8), NOW)) == 1


def test_a_forecast_issued_on_a_day_is_the_first_one_learnt_on_it(cache: WeatherCache) -> None:
    """Reading the latest of the day, a second run rewrote the forecast that the model had been served."""
    night, morning, evening = (datetime(2025, 6, 29, hour, tzinfo=UTC) for hour in (2, 13, 23))
    for known_at, temp in ((night, 1.0), (morning, 2.0), (evening, 3.0)):
        cache.keep([versions(BOSTON, [TODAY], temp, model=FORECAST_MODEL, known_at=known_at)])
    cache.keep([versions(BOSTON, [TODAY], 9.0, known_at=night)])
    new_york = cache.issued([BOSTON], days_ago(2), days_ago(0), "America/New_York")
    assert new_york.select("issue_date", "temp_c").rows() == [(days_ago(2), 1.0), (days_ago(1), 2.0)]
    assert cache.issued([BOSTON], days_ago(1), days_ago(1), "UTC")["temp_c"].to_list() == [1.0]


def place(first: date, temperatures: list[float | None]) -> PlaceDays:
    times = [(first + timedelta(days=n)).isoformat() for n in range(len(temperatures))]
    return PlaceDays(Point(0.0, 0.0, "UTC"), 1.0, 2.0, None, 0, {}, times, {"temperature_2m_mean": temperatures})


def test_answers_of_other_lengths_times_and_models_become_one_table(cache: WeatherCache) -> None:
    """Made in one go for a year of days: each row must keep its own point, moment and model, and no value may slip a row."""
    new_york = datetime(2025, 6, 28, 22, 30, tzinfo=ZoneInfo("America/New_York"))
    answers = [
        Answer([BERLIN, BOSTON], [place(TODAY, [1.0, None]), place(TODAY, [3.0, 4.0])], ARCHIVE_MODEL, NOW),
        Answer([BOSTON], [place(days_ago(2), [5.0, 6.0, 7.0])], FORECAST_MODEL, new_york),
    ]
    table = cache.versions_of(answers)
    assert table.schema == VERSIONS_SCHEMA
    later = new_york.astimezone(UTC)
    assert table.select("point", "valid_date", "temp_c", "model", "known_at_utc").rows() == [
        (BERLIN, TODAY, 1.0, ARCHIVE_MODEL, NOW),
        (BOSTON, TODAY, 3.0, ARCHIVE_MODEL, NOW),
        (BOSTON, TODAY + timedelta(days=1), 4.0, ARCHIVE_MODEL, NOW),
        (BOSTON, days_ago(2), 5.0, FORECAST_MODEL, later),
        (BOSTON, days_ago(1), 6.0, FORECAST_MODEL, later),
        (BOSTON, TODAY, 7.0, FORECAST_MODEL, later),
    ]
    assert table["lst_offset_hours"].to_list() == [offset_of(BERLIN), *[offset_of(BOSTON)] * 5]
    assert table["precip_mm"].null_count() == table.height
    assert cache.versions_of([]).schema == VERSIONS_SCHEMA


def test_tenants_that_fill_the_cache_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two tenants' first runs both find no table: one of them failed, or wrote over the other."""
    points = [f"{n}.0,10.0" for n in range(6)]

    def fill(point: str) -> None:
        WeatherCache(Lake(str(tmp_path)), "open_meteo").keep([versions(point, [days_ago(8)], 1.0)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fill, points))
    latest = WeatherCache(Lake(str(tmp_path)), "open_meteo").latest(points, days_ago(8), days_ago(8))
    assert latest["point"].to_list() == points


DAYS_FROM_2020 = st.sets(st.integers(0, 400), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["1.0,1.0", "2.0,2.0", "3.0,3.0"]), DAYS_FROM_2020))
def test_requests_bring_every_missing_day_once(missing: dict[str, set[int]]) -> None:
    """Days in two requests are paid twice, days in none never come."""
    first = date(2020, 1, 1)
    rows = [(point, first + timedelta(days=n)) for point, days in missing.items() for n in days]
    frame = pl.DataFrame(rows, schema={"point": pl.String, "valid_date": pl.Date}, orient="row")
    brought = [
        (p, r.start + timedelta(days=n))
        for r in requests_for(frame, ARCHIVE_MODEL)
        for p in r.points
        for n in range(r.days)
    ]
    assert len(brought) == len(set(brought))
    assert set(rows) <= set(brought)
