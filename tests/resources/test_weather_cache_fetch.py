"""What the weather cache fetches, from whom, and what it keeps of the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from tests.resources.http.scripted import Script, calling
from tests.resources.weather_versions import BERLIN, BOSTON, HOUR, NOW, TODAY, days_ago, versions
from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.clients.open_meteo_answer import Point
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import VendorError
from weathervane_resources.http.pacing import Pace
from weathervane_resources.lake import Lake
from weathervane_resources.state import open_state
from weathervane_resources.weather_cache import (
    ARCHIVE_MODEL,
    FORECAST_MODEL,
    Request,
    WeatherCache,
)
from weathervane_resources.weather_plan import VALUES_BY_VARIABLE, requests_for

TOMORROW = TODAY + timedelta(days=1)
UNITS = {"precipitation_sum": "mm", "precipitation_probability_max": "%", "relative_humidity_2m_mean": "%", "uv_index_max": "", "snowfall_sum": "cm"}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path) -> WeatherCache:
    return WeatherCache(Lake(str(tmp_path)), "open_meteo")


async def open_meteo(request: web.Request) -> web.Response:
    """Answer like Open-Meteo: temperature is the day of the month, and the newest day is not there yet."""
    query = request.query
    start, end = (date.fromisoformat(query[name]) for name in ("start_date", "end_date"))
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    names = query["daily"].split(",")
    daily = {name: [40.0 for _ in days] for name in names}
    daily["temperature_2m_mean"] = [float(day.day) if day < end else None for day in days]
    units = {name: UNITS.get(name, "km/h" if "wind" in name else "°C") for name in names}
    places = [
        {
            "latitude": float(latitude), "longitude": float(longitude), "utc_offset_seconds": Point(0, 0, zone).utc_offset_s, "elevation": 30.0,
            "daily_units": {"time": "iso8601", **units}, "daily": {"time": [day.isoformat() for day in days], **daily},
        }
        for latitude, longitude, zone in zip(*(query[name].split(",") for name in ("latitude", "longitude", "timezone")), strict=True)
    ]  # fmt: skip
    for number, place in enumerate(places):
        place |= {"location_id": number} if number else {}
    return web.json_response(places if len(places) > 1 else places[0])


def fetch(cache: WeatherCache, requests: Sequence[Request], script: Script | None = None) -> Script:
    script = script or Script([open_meteo])

    async def main() -> None:
        async with calling(script, "open_meteo", StaticHeaders({})) as session:
            client = OpenMeteoClient(session, f"{session.origin}/v1/forecast", f"{session.origin}/v1/archive")
            await cache.fetch(client, requests, lambda: NOW)

    asyncio.run(main())
    return script


def test_what_was_fetched_is_there_and_a_day_without_values_stays_missing(cache: WeatherCache) -> None:
    """trap 5: archive rows not yet published arrive as null: they became 0 degrees, 'observed', with a freeze flag."""
    script = fetch(cache, cache.plan_archive([BERLIN, BOSTON], days_ago(9), TODAY, NOW))
    (request,) = script.seen
    assert request.path == "/v1/archive"
    assert request.query["models"] == ARCHIVE_MODEL
    assert request.query["timezone"] == "Etc/GMT+5,Etc/GMT-1"
    latest = cache.latest([BERLIN, BOSTON], days_ago(9), TODAY)
    assert latest.select("point", "valid_date", "temp_c").rows() == [
        (point, days_ago(n), float(days_ago(n).day)) for point in (BOSTON, BERLIN) for n in (9, 8)
    ]
    assert latest["lst_offset_hours"].to_list() == [-5, -5, 1, 1]
    assert latest["uv_index_max"].null_count() == latest["precip_probability"].null_count() == latest.height


def test_a_forecast_comes_from_its_host_with_probability_as_a_ratio(cache: WeatherCache) -> None:
    """40 percent stored as 40 set the flag of every day; the model name of the archive was sent to the forecast host."""
    script = fetch(cache, [Request((BERLIN,), days_ago(1), TODAY, FORECAST_MODEL)])
    (request,) = script.seen
    assert request.path == "/v1/forecast"
    assert "models" not in request.query
    (row,) = cache.latest([BERLIN], days_ago(1), TODAY).to_dicts()
    assert (row["precip_probability"], row["humidity_mean"], row["uv_index_max"]) == (0.4, 40.0, 40.0)
    assert (row["model"], row["known_at_utc"], row["source"]) == (FORECAST_MODEL, NOW, "open_meteo")
    assert set(VALUES_BY_VARIABLE.values()) <= set(row)


def test_a_fetch_of_nothing_writes_no_version(cache: WeatherCache) -> None:
    """An empty commit a run is a thousand versions a year that say nothing."""
    fetch(cache, [])
    assert cache.lake.version("_weather", "versions") is None


def test_trap_9_the_second_fetch_of_a_cell_adds_to_the_first(cache: WeatherCache) -> None:
    """trap 9: the second fetch of any cell died: cached and new days were put together by a join that polars renamed."""
    first = fetch(cache, cache.plan_archive([BERLIN], days_ago(20), days_ago(15), NOW))
    before = cache.latest([BERLIN], days_ago(20), TODAY)
    second = fetch(cache, cache.plan_archive([BERLIN], days_ago(22), days_ago(10), NOW + 24 * HOUR))
    assert [(r.query["start_date"], r.query["end_date"]) for r in first.seen + second.seen] == [
        (days_ago(20).isoformat(), days_ago(15).isoformat()), (days_ago(22).isoformat(), days_ago(10).isoformat()),
    ]  # fmt: skip
    latest = cache.latest([BERLIN], days_ago(22), TODAY)
    assert latest["valid_date"].to_list() == [days_ago(n) for n in range(22, 10, -1)]
    assert latest["temp_c"].to_list() == [float(days_ago(n).day) for n in range(22, 10, -1)]
    assert before["valid_date"].to_list() == [days_ago(n) for n in range(20, 15, -1)]


# fetching once


def test_an_archive_day_with_gaps_is_asked_again_until_it_is_whole(cache: WeatherCache) -> None:
    """Temperature came and rain did not: the day was settled for ever, and its rain, snow and gusts were never known."""
    day, old = days_ago(20), days_ago(200)

    async def without_rain(request: web.Request) -> web.Response:
        answer = await open_meteo(request)
        body = json.loads(str(answer.text))
        body["daily"] |= {"precipitation_sum": [None], "temperature_2m_mean": [5.0]}
        return web.json_response(body)

    for one in (day, old):
        fetch(cache, [Request((BERLIN,), one, one)], Script([without_rain]))
    assert cache.latest([BERLIN], day, day)["temp_c"].to_list() == [5.0]
    assert cache.plan_archive([BERLIN], day, day, NOW) == [], "once a day is enough"
    later = NOW + timedelta(hours=21)
    (again,) = cache.plan_archive([BERLIN], day, day, later)
    assert (again.start, again.end) == (day, day)
    assert cache.plan_archive([BERLIN], old, old, later) == [], "what the archive lacks after months it will not get"
    cache.keep([versions(BERLIN, [day], 5.0, known_at=later)])
    assert cache.plan_archive([BERLIN], day, day, later + timedelta(days=2)) == []


def test_a_day_that_the_archive_answers_with_null_is_asked_again_the_next_day_only(cache: WeatherCache) -> None:
    """ERA5-Land was null for days: each run of each tenant asked for them again, all day long."""
    fetch(cache, cache.plan_archive([BERLIN, BOSTON], days_ago(9), TODAY, NOW))
    assert cache.plan_archive([BERLIN, BOSTON], days_ago(9), TODAY, NOW + HOUR) == []
    again = Request((BOSTON, BERLIN), days_ago(7), days_ago(7))
    assert cache.plan_archive([BERLIN, BOSTON], days_ago(9), days_ago(7), NOW + 24 * HOUR) == [again]
    assert cache.plan_archive([BERLIN, BOSTON], days_ago(9), days_ago(7), NOW - HOUR) == [again]
    assert cache.latest([BERLIN], days_ago(7), days_ago(7)).is_empty()


def test_a_hole_far_from_the_newest_day_does_not_fetch_the_years_between_again(cache: WeatherCache) -> None:
    """One null of 2018 and one new day: eight years of every point, 209 calls' weight each."""
    days = [date(2018, 1, 1) + timedelta(days=n) for n in range(2_000)]
    cache.keep([versions(BERLIN, [day for n, day in enumerate(days) if n not in (5, 9)], 1.0)])
    plan = cache.plan_archive([BERLIN], days[0], days[-1] + timedelta(days=1), NOW)
    assert [(r.start, r.end) for r in plan] == [(days[5], days[9]), (days[-1] + timedelta(days=1),) * 2]


@pytest.mark.parametrize(("apart", "spans"), [(15, 1), (16, 2)])
def test_fourteen_days_between_two_missing_ones_are_fetched_again_and_fifteen_are_not(apart: int, spans: int) -> None:
    """Two weeks of a request cost the same as one; split at every gap, a year of holes took its whole quota."""
    ends = [days_ago(40), days_ago(40 - apart)]
    missing = pl.DataFrame({"point": [BERLIN] * 2, "valid_date": ends})
    assert len(requests_for(missing, ARCHIVE_MODEL)) == spans


@pytest.mark.parametrize(("age", "is_asked"), [(90, True), (91, False)])
def test_a_day_without_rain_is_asked_for_again_until_it_is_ninety_days_old(
    cache: WeatherCache, age: int, is_asked: bool
) -> None:
    """ERA5 is final after three months: asked for longer it cost calls each day, and for less its rain never came."""
    day = days_ago(age)
    cache.keep([versions(BERLIN, [day], 5.0).with_columns(precip_mm=pl.lit(None, pl.Float64))])
    assert bool(cache.plan_archive([BERLIN], day, day, NOW + timedelta(hours=1))) == is_asked


def test_the_weight_of_a_request_is_known_before_it_is_spent(cache: WeatherCache) -> None:
    """The quota was charged one for ten years of a hundred points."""
    (ten_years,) = cache.plan_archive([BERLIN], date(2015, 1, 1), date(2024, 12, 31), NOW)
    assert ten_years.weight == pytest.approx(9 / 10 * 3_653 / 14)
    assert cache.plan_forecast([BERLIN], TODAY, TODAY, NOW)[0].weight == pytest.approx(1.1)
    spent: list[float] = []

    class Listening(Pace):
        async def take(self, weight: float = 1.0) -> None:
            spent.append(weight)

    async def main() -> None:
        async with calling(Script([open_meteo]), "open_meteo", StaticHeaders({})) as session:
            session._pace = Listening(1000, 1000)
            client = OpenMeteoClient(session, f"{session.origin}/v1/forecast", f"{session.origin}/v1/archive")
            await cache.fetch(client, [ten_years], lambda: NOW)

    asyncio.run(main())
    assert spent == [ten_years.weight]


def test_runs_that_want_the_same_at_once_fetch_it_once(cache: WeatherCache, state_url: str) -> None:
    """Ten tenants of one city at six in the morning: ten times the year, and the day's quota gone."""
    script = Script([open_meteo])
    state = open_state(state_url)

    async def main() -> list[int]:
        async with calling(script, "open_meteo", StaticHeaders({})) as session:
            client = OpenMeteoClient(session, f"{session.origin}/v1/forecast", f"{session.origin}/v1/archive")
            span = ([BERLIN, BOSTON], days_ago(30), TODAY, lambda: NOW)
            runs = [
                cache.fill(*span, lambda _: nullcontext(client), lambda: state.exclusive("weather test"))
                for _ in range(6)
            ]
            return await asyncio.gather(*runs)

    assert sorted(asyncio.run(main()))[:5] == [0] * 5
    assert [request.path for request in script.seen] == ["/v1/archive", "/v1/forecast"]


def test_a_value_is_known_from_when_it_came_not_from_when_the_run_began(cache: WeatherCache) -> None:
    """The lock took half an hour, and a decision in between was said to have known what nobody had yet."""
    clock, sent = {"now": NOW}, []

    @asynccontextmanager
    async def after_another(client: OpenMeteoClient) -> AsyncIterator[None]:
        clock["now"] = NOW + timedelta(minutes=10)
        await cache.fetch(client, cache.plan_forecast([BERLIN], TODAY, TOMORROW, clock["now"]), lambda: clock["now"])
        clock["now"] = NOW + timedelta(minutes=30)
        yield

    async def main() -> None:
        async with calling(Script([open_meteo]), "open_meteo", StaticHeaders({})) as session:
            client = OpenMeteoClient(session, f"{session.origin}/v1/forecast", f"{session.origin}/v1/archive")
            for points in ([BERLIN], [BERLIN, BOSTON]):
                clock["now"] = NOW
                before = session.requests
                span = (points, TODAY, TOMORROW, lambda: clock["now"])
                await cache.fill(*span, lambda _: nullcontext(client), lambda: after_another(client))
                sent.append(session.requests - before)

    asyncio.run(main())
    known = cache.versions([BERLIN, BOSTON], TODAY, TODAY).select("point", "known_at_utc").collect()
    assert sent == [1, 1], "what another run fetched meanwhile is not fetched again"
    assert set(known.iter_rows()) == {(BERLIN, NOW + timedelta(minutes=10)), (BOSTON, NOW + timedelta(minutes=30))}


def test_what_came_before_a_failure_is_kept(cache: WeatherCache) -> None:
    """The day's quota was spent on nine years; the tenth was refused, and tomorrow all ten were asked for again."""
    good, bad = Request((BERLIN,), days_ago(20), days_ago(10)), Request((BOSTON,), days_ago(20), days_ago(10))
    script = Script([open_meteo, b'{"error": true, "reason": "no"}'])
    with pytest.raises(VendorError):
        fetch(cache, [good, bad], script)
    assert cache.latest([BERLIN, BOSTON], days_ago(20), TODAY)["point"].unique().to_list() == [BERLIN]
