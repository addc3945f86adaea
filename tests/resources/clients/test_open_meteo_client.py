"""Open-Meteo: many points in, the same points out, or Malformed."""

import asyncio
import json
import math
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from aiohttp import web

from tests.resources.http.scripted import DATA, Script, calling
from weathervane_resources.clients import open_meteo
from weathervane_resources.clients.open_meteo import OpenMeteoClient, call_weight
from weathervane_resources.clients.open_meteo_answer import Point, degrees_between, expected_unit
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import Malformed

START, END = date(2026, 11, 1), date(2026, 11, 2)
HERE = Point(40.0, -75.0, "Etc/GMT+5")
NAMES = ("temperature_2m_mean", "snowfall_sum", "uv_index_max")


def place(latitude: float = 40.0, longitude: float = -75.0, **change: Any) -> dict[str, Any]:
    units = {"time": "iso8601", "temperature_2m_mean": "°C", "snowfall_sum": "cm", "uv_index_max": "undefined"}
    daily = {
        "time": ["2026-11-01", "2026-11-02"],
        "temperature_2m_mean": [1, None],
        "snowfall_sum": [0.0, 0.7],
        "uv_index_max": [None, None],
    }
    sent = {"latitude": latitude, "longitude": longitude, "utc_offset_seconds": -18_000, "elevation": 12.0}
    sent |= {"daily_units": {**units, **change.pop("units", {})}, "daily": {**daily, **change.pop("daily", {})}}
    return {**sent, **change}


def ask(script: Script, points: list[Point], start: date = START, names: tuple[str, ...] = NAMES, **more: Any) -> Any:
    end = more.pop("end", END)

    async def main() -> Any:
        async with calling(script, "open_meteo", StaticHeaders({})) as session:
            client = OpenMeteoClient(
                session, f"{session.origin}/v1/forecast", f"{session.origin}/v1/archive", more.get("key")
            )
            batches = client.daily("archive", points, start, end, names, "era5_seamless")
            return [batch async for batch in batches]

    return asyncio.run(main())


def test_one_point_is_an_object_and_its_missing_values_stay_missing() -> None:
    """Null became 0 °C and a freeze flag in the predecessor (trap 5); snowfall is in cm (trap 7)."""
    script = Script([place()])
    ((days,),) = ask(script, [HERE], key="om-key-123456")
    assert days.columns == {
        "temperature_2m_mean": [1.0, None],
        "snowfall_sum": [0.0, 0.7],
        "uv_index_max": [None, None],
    }
    assert (days.units["snowfall_sum"], days.elevation, days.point) == ("cm", 12.0, HERE)
    request = script.seen[0]
    assert (request.method, request.path, request.headers["X-Api-Key"]) == ("GET", "/v1/archive", "om-key-123456")
    assert "om-key" not in str(request.url)
    assert (request.query["models"], request.query["timezone"], request.query["elevation"]) == (
        "era5_seamless",
        "Etc/GMT+5",
        "nan",
    )


def echo(request_body: Callable[[web.Request], Any] = lambda r: r.query) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = await request.post() if request.method == "POST" else request.query
        latitudes, longitudes = (str(query[name]).split(",") for name in ("latitude", "longitude"))
        sent = [place(float(a) + 0.1, float(b)) for a, b in zip(latitudes, longitudes, strict=True)]
        for index, item in enumerate(sent[1:], start=1):
            item["location_id"] = index
        return web.json_response(sent if len(sent) > 1 else sent[0])

    return answer


def test_points_go_a_hundred_at_a_time_and_come_back_in_order() -> None:
    """A reordered batch gives one town another town's weather."""
    points = [Point(10 + n / 4, 20 - n / 8, "Etc/GMT+5") for n in range(205)]
    script = Script([echo()])
    batches = ask(script, points)
    assert [len(batch) for batch in batches] == [100, 100, 5]
    assert [days.point for batch in batches for days in batch] == points
    assert len(script.seen[0].query["timezone"].split(",")) == 100


def test_a_url_that_would_be_too_long_becomes_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies cut URLs off at 8 kB."""
    monkeypatch.setattr(open_meteo, "LONGEST_URL", 3_000)
    points = [Point(10 + n / 7, 20 - n / 7, "Etc/GMT+5") for n in range(100)]
    script = Script([echo()])
    ask(script, points)
    assert (script.seen[0].method, script.seen[0].query_string) == ("POST", "")


WRONG: list[tuple[str, Any]] = [
    ("fewer locations", [place()]),
    ("an object for two points", place()),
    ("a day short", [place(), place(daily={"time": ["2026-11-01"]})]),
    ("other days", [place(), place(daily={"time": ["2026-10-31", "2026-11-01"]})]),
    ("no days", [place(), place(daily={"time": None})]),
    ("column short", [place(), place(daily={"snowfall_sum": [1.0]})]),
    ("column null", [place(), place(daily={"snowfall_sum": None})]),
    ("text in a column", [place(), place(daily={"snowfall_sum": ["1", "2"]})]),
    ("days of another zone", [place(), place(utc_offset_seconds=7_200)]),
    ("another unit", [place(), place(units={"snowfall_sum": "mm"})]),
    ("far away", [place(), place(42.0, -75.0)]),
    ("reordered", [place(location_id=1), place(location_id=0)]),
    ("no units", [place(), place(daily_units={})]),
]


@pytest.mark.parametrize(("why", "body"), WRONG, ids=[why for why, _ in WRONG])
def test_an_answer_that_is_not_what_was_asked_is_malformed(why: str, body: Any) -> None:
    """Each of these was once read as weather."""
    with pytest.raises(Malformed):
        ask(Script([json.dumps(body).encode()]), [HERE, HERE])


def test_an_absent_variable_is_malformed() -> None:
    """Absent is not unsupported: that comes as nulls with the unit "undefined"."""
    with pytest.raises(Malformed):
        ask(Script([place()]), [HERE], names=("rain_sum",))


def test_an_error_inside_the_stream_is_retried() -> None:
    """Open-Meteo breaks off in the middle of a 200."""
    script = Script([b'{"daily":{"time":["2026-11Unexpected error while streaming data: timeoutReached', place()])
    assert len(ask(script, [HERE])[0]) == 1
    assert len(script.seen) == 2


def test_impossible_questions_are_refused_before_asking() -> None:
    """Several models suffix every column."""
    with pytest.raises(ValueError, match="daily"):
        ask(Script([place()]), [HERE], names=())


def test_distance_minds_the_date_line_and_the_poles() -> None:
    """Fiji is 0.2 degrees across the date line, not 359.8."""
    assert degrees_between(-17, 179.9, -17, -179.9) == pytest.approx(0.191, abs=0.01)
    assert degrees_between(90, 0, 90, 180) == pytest.approx(0, abs=1e-6)
    assert degrees_between(0, 0, 0, 180) == pytest.approx(180)
    assert math.isnan(degrees_between(math.nan, 0, 0, 0)) or degrees_between(math.nan, 0, 0, 0) > 1


def test_call_weight_is_the_servers_formula() -> None:
    """Worked examples of weather.md 1.4."""
    names = [str(n) for n in range(12)]
    assert call_weight(names, 18, 1) == pytest.approx(1.543, abs=1e-3)
    assert call_weight(names[:8], 10_957, 1) == pytest.approx(626, abs=0.2)
    assert call_weight(names[:8], 7, 1_000) == 1_000


@pytest.mark.skipif(not DATA.exists(), reason="recorded vendor payloads are not in this checkout")
def test_recorded_answers_are_read_whole() -> None:
    """Mumbai and Kolkata as the vendor sent them."""
    for name in ("mumbai_archive_0_0.json", "kolkata_daily_forecast.json"):
        body = json.loads((DATA / "open-meteo" / name).read_text())
        times = body["daily"]["time"]
        names = tuple(key for key in body["daily"] if key != "time" and expected_unit(key) is not None)
        point = Point(body["latitude"], body["longitude"], "Asia/Kolkata")
        start, end = date.fromisoformat(times[0]), date.fromisoformat(times[-1])
        ((days,),) = ask(Script([body]), [point], start, names, end=end)
        assert days.times == times
        assert names
