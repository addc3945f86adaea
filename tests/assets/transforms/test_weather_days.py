"""Lags, rolling means, anomalies and flags: by calendar day, never ahead, never from nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import WEATHER_VALUES, WeatherDaily, conform
from weathervane_assets.transforms.weather import LAGGED, FlagLimits, describe_days

NOW = datetime(2025, 8, 1, tzinfo=UTC)
DAY0 = date(2025, 7, 1)
CELL = "u33d8"
FLAGS = {
    "freeze_flag": "temp_min_c", "heatwave_flag": "temp_max_c", "snow_event_flag": "snowfall_cm",
    "high_wind_flag": "wind_gust_max_kmh", "uv_alert_flag": "uv_index_max", "high_precip_prob_flag": "precip_probability",
}  # fmt: skip
MILD = {
    "temp_c": 15.0, "temp_max_c": 20.0, "temp_min_c": 10.0, "apparent_temp_c": 14.0, "precip_mm": 1.0, "precip_probability": 0.3,
    "humidity_mean": 60.0, "wind_gust_max_kmh": 30.0, "wind_speed_max_kmh": 20.0, "uv_index_max": 5.0, "snowfall_cm": 0.0,
}  # fmt: skip
VALUES_SCHEMA = {
    "geohash": pl.String, "date": pl.Date, **dict.fromkeys(WEATHER_VALUES, pl.Float64),
    "observation_type": pl.String, "source_model": pl.String, "source": pl.String, "as_of_utc": pl.Datetime("us", "UTC"),
}  # fmt: skip
NORMALS_SCHEMA = {
    "geohash": pl.String, "year": pl.Int32, "day_of_year": pl.Int16, "temp_mean_c": pl.Float64, "precip_mean_mm": pl.Float64,
    "temp_p90_c": pl.Float64,
}  # fmt: skip
NO_NORMALS = pl.DataFrame(schema=NORMALS_SCHEMA)


def day(n: int) -> date:
    return DAY0 + timedelta(days=n)


def values(by_day: Mapping[int, Mapping[str, float | None]], cell: str = CELL) -> pl.DataFrame:
    rows = [
        {**MILD, **change, "geohash": cell, "date": day(n), "observation_type": "observed", "source_model": "era5_seamless",
         "source": "open_meteo", "as_of_utc": NOW}
        for n, change in by_day.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=VALUES_SCHEMA)


def normal(cell: str = CELL, *, year: int = 2025, mean: float = 18.0, p90: float = 24.0) -> pl.DataFrame:
    rows = [(cell, year, slot, mean, 2.0, p90) for slot in range(1, 367)]
    return pl.DataFrame(rows, schema=NORMALS_SCHEMA, orient="row")


def describe(
    frame: pl.DataFrame, normals: pl.DataFrame = NO_NORMALS, days: Sequence[int] | None = None
) -> pl.DataFrame:
    cells = pl.DataFrame(
        [(CELL, "Europe/Berlin", 1), ("drt2y", "America/New_York", -5)],
        schema={"geohash": pl.String, "timezone": pl.String, "lst_offset_hours": pl.Int8},
        orient="row",
    )
    active = frame.select("date", "geohash").unique()
    if days is not None:
        active = active.filter(pl.col("date").is_in([day(n) for n in days]))
    return describe_days(frame, normals, active, cells, FlagLimits())


def row(frame: pl.DataFrame, n: int, cell: str = CELL) -> dict[str, Any]:
    return frame.filter((pl.col("date") == day(n)) & (pl.col("geohash") == cell)).row(0, named=True)


def test_a_described_day_keeps_the_contract_and_starts_at_local_standard_midnight() -> None:
    """`date` was the UTC date of the local midnight: a day early in Berlin."""
    found = describe(pl.concat([values({0: {}, 1: {}}), values({0: {}}, cell="drt2y")]), normal())
    WeatherDaily.validate(conform(found.with_columns(tenant_id=pl.lit("acme")), WeatherDaily))
    berlin, boston = row(found, 0), row(found, 0, "drt2y")
    # standard time also in July: an hour after civil midnight
    assert berlin["utc_datetime"] == datetime(2025, 6, 30, 23, tzinfo=UTC)
    assert boston["utc_datetime"] == datetime(2025, 7, 1, 5, tzinfo=UTC)
    assert berlin["local_date"] == berlin["date"] == DAY0
    assert berlin["local_datetime"] == datetime(2025, 7, 1)
    assert (berlin["day_basis"], berlin["timezone"], berlin["day_of_year"]) == ("lst", "Europe/Berlin", 183)


GAPPY = st.dictionaries(st.integers(0, 25), st.one_of(st.none(), st.integers(-20, 40).map(float)), max_size=20)


def mean_before(series: Mapping[int, float | None], n: int) -> float | None:
    known = [v for k in range(n - 7, n) if (v := series.get(k)) is not None]
    return sum(known) / len(known) if len(known) >= 5 else None


@settings(max_examples=60, deadline=None)
@given(GAPPY, st.permutations(range(20)))
def test_lags_and_means_go_by_calendar_day_whatever_is_missing(
    series: dict[int, float | None], order: list[int]
) -> None:
    """`shift(1)` took the last row for yesterday, and `rolling(7)` seven rows for a week: after a gap both are wrong."""
    mine = values({n: {"temp_c": v, "precip_mm": v and abs(v)} for n, v in series.items()})
    other = values({n: {"temp_c": 99.0} for n in range(26)}, cell="drt2y")
    shuffled = pl.concat([mine[[n for n in order if n < mine.height]], other])
    found = describe(shuffled)
    for n in series:
        got = row(found, n)
        assert got["temp_c_lag1"] == series.get(n - 1)
        wanted = mean_before(series, n)
        assert got["temp_roll7"] is None if wanted is None else math.isclose(got["temp_roll7"], wanted, abs_tol=1e-9)
        rain = mean_before({k: v if v is None else abs(v) for k, v in series.items()}, n)
        assert got["precip_roll7"] is None if rain is None else math.isclose(got["precip_roll7"], rain, abs_tol=1e-9)


def test_lags_do_not_jump_over_new_year() -> None:
    """trap 4: sorted by day of year, December 29 had January 3 as its yesterday."""
    december_29 = (date(2025, 12, 29) - DAY0).days
    week = {december_29 + n: {"temp_c": float(n)} for n in (0, 2, 3, 5)}  # 29 and 31 December, 1 and 3 January
    found = describe(values(week))
    lags = [row(found, december_29 + n)["temp_c_lag1"] for n in (0, 2, 3, 5)]
    assert lags == [None, None, 2.0, None]
    older = {december_29 - 365 + n: {"temp_c": 20.0 + n} for n in range(10)}
    both = describe(values(week | older)).filter(pl.col("date") >= day(december_29))
    assert both.select(found.columns).equals(found)


def test_every_lag_is_of_its_own_value() -> None:
    """Five lags built by copy and paste: one of them of the wrong column."""
    first = {name: float(n) for n, name in enumerate(WEATHER_VALUES, 1)} | {"precip_probability": 0.5}
    found = row(describe(values({0: first, 1: {}})), 1)
    assert {lag: found[lag] for lag in LAGGED.values()} == {lag: first[value] for value, lag in LAGGED.items()}


@settings(max_examples=25, deadline=None)
@given(GAPPY, st.integers(0, 25))
def test_tomorrow_changes_nothing_about_today(series: dict[int, float | None], today: int) -> None:
    """The shuffle-future canary: whatever comes after a day, its row stays as it is."""
    past = {n: {"temp_c": v, "temp_max_c": v} for n, v in series.items() if n <= today}
    future = {n: {"temp_c": 39.0, "temp_max_c": 45.0} for n in range(today + 1, 27)}
    with_future = describe(values(past | future), normal()).filter(pl.col("date") <= day(today))
    assert with_future.equals(describe(values(past), normal()))


@pytest.mark.parametrize(
    ("flag", "value", "below", "at"),
    [
        ("freeze_flag", "temp_min_c", 0.1, 0.0),
        ("snow_event_flag", "snowfall_cm", 0.99, 1.0),
        ("high_wind_flag", "wind_gust_max_kmh", 61.9, 62.0),
        ("uv_alert_flag", "uv_index_max", 7.9, 8.0),
        ("high_precip_prob_flag", "precip_probability", 0.69, 0.7),
    ],
)
def test_a_flag_is_set_at_its_limit_and_not_before(flag: str, value: str, below: float, at: float) -> None:
    """trap 7: millimetres compared with a limit in centimetres: snow on every frosty day."""
    found = describe(values({0: {value: below}, 1: {value: at}}))
    assert (row(found, 0)[flag], row(found, 1)[flag]) == (0, 1)


@pytest.mark.parametrize(("flag", "value"), FLAGS.items())
@pytest.mark.parametrize("yesterday", [{}, {"temp_max_c": None}, {"temp_max_c": 40.0}])
def test_a_flag_of_an_unknown_value_is_unknown(flag: str, value: str, yesterday: dict[str, float | None]) -> None:
    """trap 5: null became 0 degrees and a freeze; and a heatwave was ruled out on a day whose maximum nobody knew."""
    found = describe(values({-2: yesterday, -1: yesterday, 0: {value: None}}), normal())
    assert row(found, 0)[flag] is None


def heat(*maxima: float | None, p90: float = 24.0) -> list[int | None]:
    frame = values({n: {"temp_max_c": v} for n, v in enumerate(maxima)})
    return describe(frame, normal(p90=p90)).sort("date")["heatwave_flag"].to_list()


def test_a_heatwave_is_known_on_its_third_day_and_not_before() -> None:
    """Marked from its first day on, a heatwave told the model on Monday that Wednesday would be hot."""
    assert heat(20, 30, 30, 30, 30, 20, 30)[1:] == [0, 0, 1, 1, 0, 0]


def test_heat_is_above_the_places_own_summer_and_above_25_degrees() -> None:
    """30 degrees are no event in Phoenix, and 12 degrees none in January, however unusual."""
    assert heat(30, 30, 30, p90=30.0)[2] == 0
    assert heat(31, 31, 31, p90=30.0)[2] == 1
    assert heat(24.9, 24.9, 24.9, p90=10.0)[2] == 0
    assert heat(25, 25, 25, p90=10.0)[2] == 1


def test_a_gap_in_a_run_of_hot_days_leaves_the_next_two_unknown() -> None:
    """Counted by row, two hot days before a gap and one after it were a heatwave."""
    assert heat(30, 30, None, 30, 30, 30)[2:] == [None, None, None, 1]
    gone = describe(values({n: {"temp_max_c": 30.0} for n in (0, 1, 3)}), normal())
    assert row(gone, 3)["heatwave_flag"] is None


def test_an_anomaly_is_the_value_minus_the_normal_of_its_year_and_slot() -> None:
    """trap 2: first fetch and second fetch of the same day gave two anomalies, the second exactly 0.0."""
    normals = pl.concat([normal(mean=18.0), normal(year=2024, mean=99.0), normal("drt2y", mean=-99.0)])
    found = row(describe(values({0: {"temp_c": 15.0, "precip_mm": 5.0}}), normals), 0)
    assert (found["temp_anomaly"], found["precip_anomaly"]) == (-3.0, 3.0)


@pytest.mark.parametrize(
    "normals", [NO_NORMALS, normal(year=2024), normal("drt2y")], ids=["none", "another year", "another cell"]
)
def test_without_a_normal_there_is_no_anomaly(normals: pl.DataFrame) -> None:
    """A new cell's first weeks had the anomaly 0: perfectly normal weather, said nobody."""
    found = row(describe(values({0: {}}), normals), 0)
    assert (found["temp_anomaly"], found["precip_anomaly"]) == (None, None)
    assert found["temp_c"] == 15.0


def test_only_active_days_come_out_and_each_once() -> None:
    """The days read for lags leaked into the table; a normal of two years doubled each row."""
    frame = values({n: {} for n in range(-7, 3)})
    found = describe(frame, pl.concat([normal(), normal(year=2024)]), days=[0, 1, 2])
    assert found["date"].to_list() == [day(0), day(1), day(2)]
    assert row(found, 0)["temp_roll7"] == 15.0


def test_a_day_without_weather_has_no_row() -> None:
    """trap 6: fifteen degrees were made up where the vendor had nothing, and marked as observed."""
    cells = pl.DataFrame(
        {"geohash": [CELL], "timezone": ["Europe/Berlin"], "lst_offset_hours": pl.Series([1], dtype=pl.Int8)}
    )
    active = pl.DataFrame({"date": [day(0), day(1)], "geohash": [CELL, CELL]})
    found = describe_days(values({0: {}}), NO_NORMALS, active, cells, FlagLimits())
    assert found["date"].to_list() == [day(0)]
    assert describe_days(values({}), NO_NORMALS, active, cells, FlagLimits()).is_empty()


def test_two_versions_of_one_day_are_an_error_not_two_rows() -> None:
    """trap 10: a fan-out in the weather multiplies revenue two joins later."""
    with pytest.raises(ValueError, match="u33d8 on 2025-07-01"):
        describe(pl.concat([values({0: {}}), values({0: {"temp_c": 1.0}})]))


ZONES = [("Europe/Berlin", 1), ("Pacific/Auckland", 12), ("America/Los_Angeles", -8), ("Asia/Kolkata", 6)]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ZONES), st.integers(2015, 2026), st.integers(0, 364))
def test_trap_1_the_day_of_a_row_is_right_across_both_clock_changes(zone: tuple[str, int], year: int, n: int) -> None:
    """trap 1: east of Greenwich every row was a day early and the last day lost; after a clock change, off by an hour.

    Days start at standard midnight all year: 24 hours each, within an hour of the civil day's (half an hour in Kolkata).
    """
    name, offset = zone
    first = date(year, 1, 1) + timedelta(days=n)
    frame = pl.concat([values({0: {}, 1: {}}).with_columns(date=pl.Series([first, first + timedelta(days=1)]))])
    cells = pl.DataFrame(
        {"geohash": [CELL], "timezone": [name], "lst_offset_hours": pl.Series([offset], dtype=pl.Int8)}
    )
    found = describe_days(frame, NO_NORMALS, frame.select("date", "geohash"), cells, FlagLimits())
    assert found["local_date"].to_list() == found["date"].to_list() == [first, first + timedelta(days=1)]
    starts = found["utc_datetime"].to_list()
    assert starts[1] - starts[0] == timedelta(days=1)
    civil_noon = (starts[0] + timedelta(hours=12)).astimezone(ZoneInfo(name))
    assert civil_noon.date() == first
    civil_start = datetime.combine(first, time(), ZoneInfo(name))
    assert abs(starts[0] - civil_start) <= timedelta(hours=1)
