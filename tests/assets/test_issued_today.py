"""Today's forecast, where the forecast host was asked for other days earlier today."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets import weather
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.schedules import ROUTINES
from weathervane_resources.clock import Clock
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import FIRST_HOUR_WITH_TODAYS_FORECAST, LONGEST_DECISION_LEAD_DAYS
from weathervane_resources.weather_cache import FORECAST_MODEL
from weathervane_resources.weather_plan import FORECAST_DAYS

TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
MORNING, LATER = "2026-11-20T10:00:00+00:00", "2026-11-20T11:00:00+00:00"


@pytest.mark.parametrize("asked_before", [YESTERDAY, TODAY])
def test_weather_that_was_read_in_the_morning_does_not_stand_in_for_the_forecast(
    installation: Installation, asked_before: date
) -> None:
    """The night reads yesterday from the forecast host before today's forecast is asked for: it was never asked for."""
    installation.backfill("acme", YESTERDAY, TODAY, "orders")
    installation.backfill("acme", asked_before, asked_before, "weather_daily", now=MORNING)
    installation.backfill("acme", TODAY, TODAY, "weather_forecast", now=LATER)
    issued = installation.rows("acme", "weather_forecast")
    assert set(issued["lead_days"]) == set(range(8))
    assert set(issued["source_model"]) == {FORECAST_MODEL}
    assert issued["valid_date"].max() == TODAY + timedelta(days=7)


def test_a_place_that_the_night_found_has_todays_forecast_before_the_decision(installation: Installation) -> None:
    """Its first row in join mode as_of was without weather: asked for at two, the forecast left out what the night read at three."""
    acme = Platform(threshold_names=sorted(OVERRIDABLE)).tenants()["acme"]
    (issue,) = (routine for routine in ROUTINES if routine.name == "issue_forecasts")
    night = datetime(TODAY.year, TODAY.month, TODAY.day, ROUTINES[0].hour, tzinfo=acme.zone)
    installation.backfill("acme", YESTERDAY - timedelta(days=1), YESTERDAY - timedelta(days=1), "orders")
    for hour in issue.hours:
        at = night.replace(hour=hour)
        if at > night:
            installation.backfill("acme", YESTERDAY, YESTERDAY, "orders", now=night.isoformat())
        installation.backfill("acme", TODAY, TODAY, "weather_forecast", now=at.isoformat())
    shipped, issued = installation.rows("acme", "orders"), installation.rows("acme", "weather_forecast")
    new = shipped.filter(pl.col("date") == YESTERDAY)["ship_geohash"].drop_nulls()
    known = issued.filter(pl.col("issued_at_utc") <= acme.decision_at(TODAY + timedelta(days=1)))
    assert set(new) <= set(known["geohash"])
    assert set(new) - set(shipped.filter(pl.col("date") < YESTERDAY)["ship_geohash"].drop_nulls()), "none is new"


@pytest.mark.parametrize("asked_on_its_day", [True, False])
def test_a_day_that_nobody_asked_for_while_it_went_on_is_noted_as_such(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, asked_on_its_day: bool
) -> None:
    """Nights wrote nine empty days of forecasts that nobody had asked for, and they counted as if they had been issued."""
    monkeypatch.setenv("ACME__OPEN_METEO_NON_COMMERCIAL", "on")
    for name, path in (("FORECAST", "forecast"), ("ARCHIVE", "archive")):
        monkeypatch.setenv(f"OPEN_METEO_{name}_URL", f"{installation.sandbox.url}/t/acme/v1/{path}")
    before = YESTERDAY - timedelta(days=1)
    installation.backfill("acme", before, YESTERDAY, "orders")
    if asked_on_its_day:
        evening = (datetime.fromisoformat(MORNING) - timedelta(days=1)).isoformat()
        installation.backfill("acme", YESTERDAY, YESTERDAY, "weather_forecast", now=evening)
    outcome = installation.backfill("acme", before, YESTERDAY, "weather_forecast", now=MORNING)
    assert outcome.failures == []
    rows = installation.lake.ledger("acme", "weather_forecast").sort("date").select("row_count", "source").rows()
    # on the first day there was no place to ask for before its own orders
    assert rows[0] == (0, "open_meteo")
    assert rows[1][1] == ("open_meteo" if asked_on_its_day else "not_kept")
    assert (rows[1][0] > 0) == asked_on_its_day


def test_a_forecast_that_is_whole_is_not_asked_for_again(installation: Installation) -> None:
    installation.backfill("acme", YESTERDAY, TODAY, "orders")
    installation.backfill("acme", TODAY, TODAY, "weather_forecast", now=MORNING)
    again = installation.backfill("acme", TODAY, TODAY, "weather_forecast", now=LATER)
    (made,) = installation.materializations(again, "weather_forecast").values()
    assert made.metadata["requests"].value == 0


@pytest.mark.parametrize("asset", ["weather_forecast", "weather_daily"])
def test_weather_is_known_from_when_it_came_not_from_when_the_run_began(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, asset: str
) -> None:
    """A run that waited for another one's fetch was said to have known its weather before the decision of the hour."""
    installation.backfill("acme", YESTERDAY, TODAY, "orders")
    clock = {"now": datetime.fromisoformat(MORNING)}
    came = clock["now"] + timedelta(minutes=30)

    @asynccontextmanager
    async def waited_for() -> AsyncIterator[None]:
        clock["now"] = came
        yield

    monkeypatch.setattr(Clock, "now", lambda _: clock["now"])
    monkeypatch.setattr(weather, "_lock", lambda *_: waited_for)
    installation.backfill("acme", TODAY, TODAY, asset)
    assert installation.rows("acme", asset)["as_of_utc"].unique().to_list() == [came]


def test_no_decision_is_set_where_no_forecast_can_be_known() -> None:
    """A lead of 14 days was taken without a word, and every row of its matrix was without weather."""
    (issue,) = (routine for routine in ROUTINES if routine.name == "issue_forecasts")
    assert FORECAST_DAYS == LONGEST_DECISION_LEAD_DAYS
    assert issue.hour + 1 == FIRST_HOUR_WITH_TODAYS_FORECAST
