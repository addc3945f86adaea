"""What a run spent of Open-Meteo's free quota is on the screen: its numbers at the weather, its picture in the report."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg
import pytest
import yarl

from tests.assets.conftest import Installation
from tests.assets.test_pictures import MOST_BYTES, png_of
from tests.resources.test_quota import Clock as QuotaClock
from weathervane_assets.partitions import day_key
from weathervane_assets.schedules import MOST_CAUGHT_UP
from weathervane_assets.transforms.weather import LOOKBACK_DAYS
from weathervane_assets.unread import WEATHER_DAYS
from weathervane_resources import connector, connectors, weather_plan
from weathervane_resources.failures import DEFERRED_TAG, WAITING
from weathervane_resources.quota import OPEN_METEO_FREE, SharedQuota, Window
from weathervane_resources.state import open_state
from weathervane_resources.weather_plan import NIGHT_DAYS

FIRST, LAST = date(2026, 11, 17), date(2026, 11, 19)
LENGTHS = ("minute", "hour", "day")
FREE_NAMES = ("api.open-meteo.com", "archive-api.open-meteo.com")


@pytest.fixture
def free_hosts(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The sandbox answers to the names of the free hosts, so that the quota of those names counts."""
    url, ask = yarl.URL(installation.sandbox.url), socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        return ask(url.host if host in FREE_NAMES else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name, host in zip(("FORECAST", "ARCHIVE"), FREE_NAMES, strict=True):
        monkeypatch.setenv(f"OPEN_METEO_{name}_URL", f"http://{host}:{url.port}/t/acme/v1/{name.lower()}")
    return installation


def report(here: Installation, tenant: str = "acme") -> dg.AssetMaterialization:
    return here.execute("dq_report_job", partition=tenant).asset_materializations_for_node("dq_report")[0]


def spend(*weights: float) -> None:
    """Spend of the free quota as the connector does."""
    state = open_state(os.environ["WEATHERVANE_STATE_URL"])
    at_s = datetime(2026, 11, 20, 13, 7, tzinfo=UTC).timestamp()
    quota = SharedQuota(state, "open_meteo:free", OPEN_METEO_FREE, clock=lambda: at_s, sleep=asyncio.sleep)
    for weight in weights:
        asyncio.run(quota.take(weight))


@pytest.fixture
def small_day(free_hosts: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Free hosts with a day of 285, of which history has 228: two requests of one place's four years, each of 94."""
    at = QuotaClock(datetime(2026, 11, 20, 13, 7, tzinfo=UTC).timestamp())
    monkeypatch.setattr(connector, "SharedQuota", partial(SharedQuota, clock=at, sleep=at.sleep))
    monkeypatch.setattr(connectors, "OPEN_METEO_FREE", (Window(600, 60), Window(5_000, 3_600), Window(285, 86_400)))
    monkeypatch.setattr(weather_plan, "HEAVIEST_REQUEST", 100.0)
    return free_hosts


def test_a_new_tenants_backfill_is_put_off_while_another_tenants_night_passes(small_day: Installation) -> None:
    """One tenant's first backfill burnt the day, and every tenant's night was deferred until 00:00 UTC."""
    here, night = small_day, day_key("kiwi", date(2026, 11, 20))
    here.backfill("acme", FIRST, LAST, "orders")
    outcome = here.backfill("acme", FIRST, LAST, "climatology")
    (said,) = outcome.failures
    assert "57 of the day's 285 are kept for the nights" in said
    (run,) = (here.instance.get_run_by_id(run_id) for run_id in outcome.run_ids)
    assert run is not None
    assert run.tags[DEFERRED_TAG] == WAITING
    assert here.execute("nightly", partition=night).success
    (event,) = here.execute("restate_weather", partition=night).asset_materializations_for_node("weather_daily")
    assert event.metadata["source"].value == "open_meteo"
    assert event.metadata["dagster/partition_row_count"].value > 0


def test_no_night_asks_for_so_much_that_it_counts_as_history() -> None:
    """A night that caught up on two weeks waited behind the backfills of all others."""
    assert max(MOST_CAUGHT_UP, WEATHER_DAYS) + LOOKBACK_DAYS == NIGHT_DAYS


def weights_in(event: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items() if name.startswith("call_weight")}


def test_a_run_on_the_free_hosts_says_what_it_spent_and_the_morning_draws_it(free_hosts: Installation) -> None:
    """A backfill was deferred at noon, and nobody could see that another tenant's had spent the day's quota."""
    here = free_hosts
    here.backfill("acme", FIRST, LAST, "orders")
    by_key = here.materializations(here.backfill("acme", FIRST, LAST, "weather_daily"), "weather_daily")
    assert {str(event.metadata["source"].value) for event in by_key.values()} == {"open_meteo"}
    assert [key for key, event in by_key.items() if weights_in(event)] == [max(by_key)]
    found = weights_in(by_key[max(by_key)])
    assert 0 < found["call_weight_minute"] <= found["call_weight_hour"] <= found["call_weight_day"]
    quotas = [found[f"call_weight_{length}_quota"] for length in LENGTHS]
    assert quotas == [window.limit for window in OPEN_METEO_FREE]
    again = here.materializations(here.backfill("acme", FIRST, LAST, "weather_daily"), "weather_daily")
    assert not any(weights_in(event) for event in again.values()), "a run that asked nothing spent nothing"
    event = report(here)
    assert event.metadata["call_weight_day"].value == found["call_weight_day"]
    assert len(png_of(str(event.metadata["call_weight"].value))) < MOST_BYTES


def test_the_picture_counts_what_all_tenants_spent(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quota is one address's: each tenant's own share looked harmless on the day that it was spent."""
    monkeypatch.setenv("OPEN_METEO_NON_COMMERCIAL", "true")
    assert not weights_in(report(installation)), "an empty picture looks like an outage"
    spend(100.0, 20.5)
    for tenant in ("acme", "kiwi"):
        event = report(installation, tenant)
        found = weights_in(event)
        assert {found[f"call_weight_{length}"] for length in LENGTHS} == {120.5}
        assert found["call_weight"].startswith("![Call weight spent against Open-Meteo's free quota](data:image/png")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"WEATHERVANE_STUBS": "never"},
        {"OPEN_METEO_API_KEY": "planted-key"},
        {"OPEN_METEO_FORECAST_URL": "http://127.0.0.1:9/f", "OPEN_METEO_ARCHIVE_URL": "http://127.0.0.1:9/a"},
        {"OPEN_METEO_FORECAST_URL": "http://127.0.0.1:9/f"},
    ],
    ids=["sandbox", "not configured", "paid", "a server of one's own", "half set"],
)
def test_where_no_quota_holds_there_is_no_picture(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    """A subscriber was shown a quota of the free hosts, spent by another tenant; half a setting cost the whole report."""
    spend(9_000.0)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    event = report(installation)
    assert not weights_in(event)
    assert "picture" in event.metadata
