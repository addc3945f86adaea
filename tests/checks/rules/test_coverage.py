"""How much of what should have weather has it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from weathervane_assets.tables import WEATHER_VALUES, Features, WeatherDaily, WeatherForecast, polars_schema
from weathervane_checks.rules.coverage import judge_coverage, judge_issue_coverage, judge_join_coverage
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.tenants import LONGEST_DECISION_LEAD_DAYS
from weathervane_resources.weather_plan import ARCHIVE_MODEL, FORECAST_MODEL

DAY = date(2025, 3, 10)
AT = datetime(2025, 3, 9, 6, tzinfo=UTC)
DECISIONS = pl.DataFrame(
    {"date": [DAY], "decision_at": [AT]}, schema_overrides={"decision_at": pl.Datetime("us", "UTC")}
)


def cells(count: int, day: date = DAY) -> pl.DataFrame:
    rows = [{"date": day, "geohash": f"drt{n:02}"} for n in range(count)]
    return pl.DataFrame(rows, schema={"date": pl.Date, "geohash": pl.String})


def weather(count: int) -> pl.DataFrame:
    return pl.DataFrame(cells(count).to_dicts(), schema=polars_schema(WeatherDaily))


def judge(there: int, active: int, source: str = "open_meteo", *, ordered: date = DAY) -> Any:
    return judge_coverage(weather(there), cells(active, ordered), [DAY], Thresholds(), {DAY: source})[0]


@pytest.mark.parametrize(
    ("there", "severity"), [(20, "ok"), (17, "ok"), (16, "warning"), (1, "warning"), (0, "critical")]
)
def test_the_share_of_active_cells_decides(there: int, severity: str) -> None:
    """Coverage was 1.0 by definition: it was measured over the rows that had weather."""
    found = judge(there, 20)
    assert (found.severity, found.observed, found.threshold) == (severity, there / 20, 0.85)
    assert found.alerts == (() if severity == "ok" else (f"weather_coverage_{severity}",))


def test_a_cell_is_active_for_a_year_and_not_before_its_first_order() -> None:
    """A cell that is sold to next week has no weather today, and needs none."""
    assert judge(0, 3, ordered=DAY - timedelta(days=364)).severity == "critical"
    assert judge(0, 3, ordered=DAY - timedelta(days=365)).observed == "no active cells"
    assert judge(0, 3, ordered=DAY + timedelta(days=1)).severity == "ok"


def test_no_weather_is_expected_of_a_source_that_is_not_configured() -> None:
    """A tenant without a key was red for ever, and red came to mean nothing."""
    assert judge(0, 3, "not_configured").severity == "ok"


ALL = dict.fromkeys(WEATHER_VALUES, 1.0)


def judge_values(*rows: dict[str, object]) -> Any:
    frame = pl.DataFrame(
        [{"date": DAY, "geohash": f"drt{n:02}", **row} for n, row in enumerate(rows)],
        schema=polars_schema(WeatherDaily),
    )
    return judge_coverage(frame, cells(len(rows)), [DAY], Thresholds(), {DAY: "open_meteo"})[0]


@pytest.mark.parametrize("model", [ARCHIVE_MODEL, FORECAST_MODEL])
def test_a_variable_that_is_null_everywhere_is_told(model: str) -> None:
    """Rain was null in each row for a month: all places had weather, said the check, and no model knew of rain."""
    whole = {**ALL, "source_model": model}
    assert judge_values(*[whole] * 20).severity == "ok"
    found = judge_values(*[{**whole, "precip_mm": None, "wind_gust_max_kmh": None}] * 20)
    assert (found.severity, found.alerts, found.observed) == ("warning", ("weather_values_missing",), 0.0)
    assert found.extra["missing_values"] == "precip_mm, wind_gust_max_kmh"
    assert found.note == "20 of 20 active cells have weather; of its rows 0% have precip_mm, 0% have wind_gust_max_kmh"
    assert judge_values(*[whole] * 17, *[{**whole, "precip_mm": None}] * 3).severity == "ok"
    assert judge_values(*[whole] * 16, *[{**whole, "precip_mm": None}] * 4).observed == 0.8


def test_what_a_host_never_has_is_not_missed() -> None:
    """The archive has no UV index: a warning for each day of history."""
    without = {**ALL, "uv_index_max": None, "precip_probability": None}
    archived, forecast = {**without, "source_model": ARCHIVE_MODEL}, {**without, "source_model": FORECAST_MODEL}
    assert judge_values(archived).severity == "ok"
    assert judge_values(*[archived] * 9, forecast).extra["missing_values"] == "precip_probability, uv_index_max"


WHOLE = range(LONGEST_DECISION_LEAD_DAYS + 1)


def forecasts(*leads_by_cell: Collection[int], **values: object) -> pl.DataFrame:
    """Return a forecast issued on DAY, for one cell each; `values` in place of those that a whole row has."""
    rows = [
        {**ALL, "date": DAY, "geohash": f"drt{n:02}", "source_model": FORECAST_MODEL, "valid_date": DAY + timedelta(days=d), **values}
        for n, leads in enumerate(leads_by_cell)
        for d in leads
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=polars_schema(WeatherForecast))


def judge_forecasts(
    issued: pl.DataFrame, active: int, *, ordered: date = DAY - timedelta(days=1), today: date = DAY
) -> Any:
    told = (issued, cells(active, ordered), [DAY], Thresholds(), {DAY: "open_meteo"})
    return judge_issue_coverage(*told, today)[0]


def judge_issue(there: int, active: int, *, ordered: date = DAY - timedelta(days=1), today: date = DAY) -> Any:
    return judge_forecasts(forecasts(*[WHOLE] * there), active, ordered=ordered, today=today)


@pytest.mark.parametrize(("there", "severity"), [(20, "ok"), (16, "warning"), (0, "critical")])
def test_todays_forecast_is_judged_while_it_can_still_be_had(there: int, severity: str) -> None:
    """The forecast job had written nothing for a week, each night without a word: those days' decisions knew no weather."""
    assert judge_issue(there, 20).severity == severity
    assert judge_issue(there, 20, today=DAY + timedelta(days=1)).observed == "not judged"


def test_a_forecast_without_all_its_days_is_none_yet() -> None:
    """Each place had a row, of the day of issue; decisions a day ahead had no weather, and all was well."""
    most = judge_forecasts(forecasts(*[WHOLE] * 17, *[[0]] * 2), 20)
    assert (most.severity, most.observed) == ("ok", 17 / 20)
    assert most.note == "17 of 20 active cells have weather, 2 some days of it"
    few = judge_forecasts(forecasts(*[WHOLE] * 16, *[[0]] * 4), 20)
    assert (few.severity, few.alerts, few.observed) == ("warning", ("weather_coverage_warning",), 0.8)
    assert few.sample_keys == tuple(f"{DAY}/drt{n}" for n in range(16, 20))
    assert judge_forecasts(forecasts(*[WHOLE[:-1]] * 20), 20).severity == "warning"
    assert judge_forecasts(forecasts(*[WHOLE[1:]] * 20), 20).severity == "warning"
    assert judge_forecasts(forecasts(*[[-1, *WHOLE[:-1]]] * 20), 20).severity == "warning"
    assert judge_forecasts(forecasts(), 20).severity == "critical"


def test_a_forecast_of_nulls_is_told_and_one_without_its_last_day_is_not() -> None:
    """Temperature was all that a forecast had; a UV index that ends after two days is Open-Meteo's own issue 1878."""
    bare = judge_forecasts(forecasts(*[WHOLE] * 20, precip_mm=None, wind_gust_max_kmh=None), 20)
    assert (bare.severity, bare.alerts, bare.observed) == ("warning", ("weather_values_missing",), 0.0)
    assert bare.extra["missing_values"] == "precip_mm, wind_gust_max_kmh"
    for known, severity in ((2, "warning"), (6, "warning"), (7, "ok"), (8, "ok")):
        uv = pl.when(pl.col("valid_date") < DAY + timedelta(days=known)).then("uv_index_max")
        found = judge_forecasts(forecasts(*[WHOLE] * 20).with_columns(uv_index_max=uv), 20)
        assert (found.severity, found.extra.get("missing_values")) == (
            severity,
            None if severity == "ok" else "uv_index_max",
        )
    gone = judge_forecasts(forecasts(*[WHOLE] * 20, precip_mm=None), 20, today=DAY + timedelta(days=1))
    assert (gone.severity, gone.observed) == ("ok", "not judged")


def test_a_cell_that_is_first_shipped_to_on_the_day_of_issue_is_not_missed() -> None:
    """The forecast is issued at 02:00, the order comes at noon, and the check that runs again in the evening was red."""
    assert judge_issue(0, 3, ordered=DAY).severity == "ok"
    assert judge_issue(0, 3, ordered=DAY - timedelta(days=365)).severity == "critical"


def features(known: int, rows: int, *, age: timedelta = timedelta(hours=1), mode: str = "as_of") -> pl.DataFrame:
    made = [
        {"date": DAY, "geohash": f"drt{n:02}", "is_weather_missing": n >= known, "weather_known_at_utc": AT - age if n < known else None, "join_mode": mode}
        for n in range(rows)
    ]  # fmt: skip
    return pl.DataFrame(made, schema=polars_schema(Features))


def judge_rows(frame: pl.DataFrame, first_forecast: datetime | None = None) -> Any:
    return judge_join_coverage(frame, [DAY], Thresholds(), DECISIONS, first_forecast)[0]


def test_rows_without_weather_warn() -> None:
    """W17: the model was trained on the third of the rows that happened to have weather."""
    assert judge_rows(features(17, 20)).severity == "ok"
    low = judge_rows(features(16, 20))
    assert (low.severity, low.alerts, low.observed) == ("warning", ("weather_join_coverage_low",), 0.8)
    assert low.sample_keys == tuple(f"{DAY}/drt{n}" for n in range(16, 20))
    assert judge_rows(features(0, 20)).severity == "warning"
    assert judge_rows(features(0, 0)).observed == "no rows"


def test_what_was_decided_before_the_first_forecast_warns_in_mode_observed_only() -> None:
    """Each first night, and each day of a first backfill, was a warning that nobody could do anything about."""
    later, sooner = AT + timedelta(hours=1), AT - timedelta(hours=1)
    early = judge_rows(features(0, 20), later)
    assert (early.severity, early.alerts, early.observed) == ("ok", (), 0.0)
    assert "decided before the first forecast was kept" in early.note
    assert judge_rows(features(0, 20), sooner).severity == "warning"
    assert judge_rows(features(0, 20, mode="observed"), later).severity == "warning"


@pytest.mark.parametrize(
    ("over", "rows", "alerts"),
    [
        (timedelta(0), 20, ()),
        (timedelta(microseconds=1), 20, ("weather_stale",)),
        (timedelta(microseconds=1), 3, ()),
        (timedelta(microseconds=1), 4, ("weather_stale",)),
    ],
)
def test_more_than_48_hours_are_stale_and_more_than_three_rows_of_twenty_are_many(
    over: timedelta, rows: int, alerts: tuple[str, ...]
) -> None:
    """The forecast of two days before at the very hour of the decision is on time: it warned each morning."""
    old, fresh = features(20, 20, age=timedelta(hours=48) + over).head(rows), features(20, 20).tail(20 - rows)
    assert judge_rows(pl.concat([old, fresh])).alerts == alerts


def test_weather_that_was_stale_at_the_decision_warns_in_mode_as_of_only() -> None:
    """W17: the forecast job had been dead for a week, and the last forecast was served day after day."""
    old = timedelta(hours=49)
    assert judge_rows(features(20, 20, age=old)).alerts == ("weather_stale",)
    assert judge_rows(features(20, 20, age=timedelta(hours=47))).severity == "ok"
    assert judge_rows(features(20, 20, age=old, mode="observed")).severity == "ok"
