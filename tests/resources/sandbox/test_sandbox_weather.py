"""Open-Meteo and GeoNames over HTTP, and the weather world behind them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth, weather_world

DAILY = "temperature_2m_mean,temperature_2m_max,temperature_2m_min,precipitation_sum,snowfall_sum,wind_gusts_10m_max"
PLACE = {"latitude": "40.7", "longitude": "-74.0", "timezone": "Etc/GMT+5", "elevation": "nan"}


def _ask(get: Any, sandbox: RunningSandbox, host: str, now: str = "", **params: str) -> Any:
    headers = {"X-Sandbox-Now": now} if now else {}
    return get(f"{sandbox.url}/v1/{host}", headers=headers, params={**PLACE, "daily": DAILY, **params})


def test_a_location_is_the_same_alone_and_in_a_batch(sandbox: RunningSandbox, get: Any) -> None:
    days = {"start_date": "2024-01-01", "end_date": "2024-12-31"}
    lats, lons = ["40.7", "51.5", "-33.9"], ["-74.0", "-0.1", "151.2"]
    batch = _ask(get, sandbox, "archive", latitude=",".join(lats), longitude=",".join(lons), **days).data
    assert [item.get("location_id") for item in batch] == [None, 1, 2]
    for item, lat, lon in zip(batch, lats, lons, strict=True):
        alone = _ask(get, sandbox, "archive", latitude=lat, longitude=lon, **days).data
        assert alone["daily"] == item["daily"]
        assert alone["latitude"] * 4 % 1 == 0
    assert len({str(item["daily"]) for item in batch}) == 3


def test_the_archive_hides_the_last_days_and_never_has_uv(sandbox: RunningSandbox, get: Any) -> None:
    """Rows not yet published arrive as null, and null must never become 0."""
    names = "temperature_2m_mean,uv_index_max,precipitation_probability_max"
    answer = _ask(get, sandbox, "archive", daily=names, start_date="2025-06-20", end_date="2025-06-30").data
    missing = [value is None for value in answer["daily"]["temperature_2m_mean"]]
    assert missing == [False] * 6 + [True] * 5
    assert set(answer["daily"]["uv_index_max"]) == {None}
    assert (
        answer["daily_units"]["uv_index_max"] == answer["daily_units"]["precipitation_probability_max"] == "undefined"
    )
    later = _ask(get, sandbox, "archive", "2025-07-10T00:00:00Z", start_date="2025-06-20", end_date="2025-06-30").data
    assert None not in later["daily"]["temperature_2m_mean"]


def test_a_forecast_depends_on_its_day_of_issue_and_errs_more_with_lead(sandbox: RunningSandbox, get: Any) -> None:
    days = {"start_date": "2025-06-10", "end_date": "2025-06-12"}
    issued = [_ask(get, sandbox, "forecast", f"2025-06-{d:02d}T12:00:00Z", **days).data["daily"] for d in (1, 5, 5)]
    assert issued[0] != issued[1]
    assert issued[1] == issued[2]
    errors = {1: [], 9: []}
    for lead, found in errors.items():
        for day in range(1, 28):
            valid = date(2025, 3, day)
            now = (valid - timedelta(days=lead)).isoformat() + "T12:00:00Z"
            window = {"start_date": valid.isoformat(), "end_date": valid.isoformat()}
            item = _ask(get, sandbox, "forecast", now, **window).data
            true = truth.weather(sandbox.config, item["latitude"], item["longitude"], valid)
            found.append(abs(item["daily"]["temperature_2m_mean"][0] - true["temperature_2m_mean"]))
    assert np.mean(errors[1]) < np.mean(errors[9])


def test_values_restate_when_the_archive_publishes_them(sandbox: RunningSandbox, get: Any) -> None:
    days = {"start_date": "2025-06-01", "end_date": "2025-06-20"}
    where = {"latitude": "40.5", "longitude": "-74.0"}  # on both grids
    answers = [_ask(get, sandbox, host, **where, **days).data["daily"] for host in ("forecast", "archive")]
    gaps = np.subtract(*(a["temperature_2m_mean"] for a in answers))
    assert 0 < np.abs(gaps).mean() < 1.5


@settings(max_examples=25, deadline=None)
@given(lat=st.floats(-89, 89), lon=st.floats(-180, 180), start=st.integers(700_000, 745_000), seed=st.integers(0, 99))
def test_the_world_is_physically_possible(lat: float, lon: float, start: int, seed: int) -> None:
    latitude, longitude, days = np.array([lat]), np.array([lon]), np.arange(start, start + 400)
    ground = weather_world.elevation_m(latitude, longitude)
    world = weather_world.daily(latitude, ground, days, weather_world.latents(seed, latitude, longitude, days))
    assert (world["temperature_2m_min"] <= world["temperature_2m_mean"]).all()
    assert (world["temperature_2m_mean"] <= world["temperature_2m_max"]).all()
    assert ((world["temperature_2m_mean"] > -75) & (world["temperature_2m_mean"] < 55)).all()
    assert (world["precipitation_sum"] >= 0).all()
    assert (world["snowfall_sum"][world["temperature_2m_mean"] > 5] == 0).all()
    for name in ("relative_humidity_2m_mean", "precipitation_probability_max"):
        assert ((world[name] >= 0) & (world[name] <= 100)).all()
    assert all(np.isfinite(column).all() for column in world.values())


@pytest.mark.parametrize(
    ("host", "params", "reason"),
    [
        ("archive", {"start_date": "1939-12-31", "end_date": "2000-01-01"}, "'start_date' is out of allowed range"),
        ("archive", {"start_date": "2025-06-01", "end_date": "2025-07-01"}, "from 1940-01-01 to 2025-06-30"),
        ("forecast", {"start_date": "2025-01-01", "end_date": "2025-06-01"}, "'start_date' is out of allowed range"),
        ("forecast", {"past_days": "3", "start_date": "2025-06-01", "end_date": "2025-06-01"}, "mutually exclusive"),
        ("archive", {"daily": "nonsense", "start_date": "2025-06-01", "end_date": "2025-06-01"}, "nonsense"),
        ("archive", {"timezone": "Mars/Base", "start_date": "2025-06-01", "end_date": "2025-06-01"}, "timezone"),
        ("forecast", {"latitude": ",".join(["1"] * 1001), "longitude": ",".join(["1"] * 1001)}, "Only up to 1000"),
    ],
)
def test_what_open_meteo_refuses(
    sandbox: RunningSandbox, get: Any, host: str, params: dict[str, str], reason: str
) -> None:
    answer = _ask(get, sandbox, host, **params)
    assert answer.status == 400
    assert answer.data["error"] is True
    assert reason in answer.data["reason"]


def test_post_takes_what_get_takes_and_each_location_its_own_zone(sandbox: RunningSandbox, get: Any) -> None:
    """Past days count from each location's own today."""
    form = {"latitude": "40,35", "longitude": "-75,139", "daily": DAILY, "past_days": "2", "forecast_days": "1"}
    form["timezone"] = "Etc/GMT+5,Etc/GMT-14"
    headers = {"X-Sandbox-Now": "2025-06-30T12:00:00Z"}
    west, east = get(f"{sandbox.url}/v1/forecast", "POST", headers=headers, data=form).data
    assert west["daily"]["time"] == ["2025-06-28", "2025-06-29", "2025-06-30"]
    assert east["daily"]["time"] == ["2025-06-29", "2025-06-30", "2025-07-01"]
    assert (west["utc_offset_seconds"], east["utc_offset_seconds"]) == (-18_000, 50_400)
    body = {name: value.split(",") for name, value in form.items()}
    assert get(f"{sandbox.url}/v1/forecast", "POST", headers=headers, json=body).data == [west, east]


def test_limits_go_by_call_weight(config: SandboxConfig, get: Any) -> None:
    """Six variables over ten years weigh 156 a location: four locations spend the minute."""
    moment = datetime(2025, 6, 30, 12, tzinfo=UTC)
    with RunningSandbox(replace(config, enforce_limits=True, clock=lambda: moment)) as running:
        heavy = {"latitude": "1,2,3,4", "longitude": "1,2,3,4", "start_date": "2014-01-01", "end_date": "2023-12-31"}
        assert _ask(get, running, "archive", **heavy).status == 200
        refused = _ask(get, running, "archive", **heavy)
    assert refused.status == 429
    assert refused.data["reason"] == "Minutely API request limit exceeded. Please try again in one minute."


def test_postal_tables_are_zipped_tab_separated_lines(sandbox: RunningSandbox, get: Any) -> None:
    answer = get(f"{sandbox.url}/t/acme/export/zip/US.zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        lines = [line.split("\t") for line in archive.read("US.txt").decode().splitlines()]
    assert {len(line) for line in lines} == {12}
    louisville = next(line for line in lines if line[1] == "40202")
    assert louisville[:5] == ["US", "40202", "Louisville", "Kentucky", "KY"]
    assert "02108" in {line[1] for line in lines}
    assert get(f"{sandbox.url}/export/zip/XX.zip").status == 404
