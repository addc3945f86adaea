"""Open-Meteo's forecast and archive hosts. The weather is `weather_world`; reading a request is `weather_query`."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any

import msgspec
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from weathervane_resources.sandbox import weather_query, weather_world
from weathervane_resources.sandbox.call import Call, answer, open_call
from weathervane_resources.sandbox.limits import LIMITS, FixedWindow
from weathervane_resources.sandbox.replay import REPLAY, Replay
from weathervane_resources.sandbox.weather_query import (
    ABSENT_FROM_ARCHIVE,
    VARIABLES,
    Location,
    WeatherError,
    WeatherQuery,
)

ARCHIVE_DELAY_DAYS = 5
_LAPSE_C_PER_M = 0.0065
_WINDOWS = (
    ("Minutely", 600, 60, "Please try again in one minute."),
    ("Hourly", 5_000, 3_600, "Please try again in the next hour."),
    ("Daily", 10_000, 86_400, "Please try again tomorrow."),
)
_TEMPERATURES = ("temperature_2m_mean", "temperature_2m_max", "temperature_2m_min", "apparent_temperature_mean")


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor; both hosts take GET and POST."""
    return [
        web.get("/v1/forecast", _forecast),
        web.post("/v1/forecast", _forecast),
        web.get("/v1/archive", _archive),
        web.post("/v1/archive", _archive),
    ]


async def _forecast(request: web.Request) -> web.Response:
    return await _respond(request, is_archive=False)


async def _archive(request: web.Request) -> web.Response:
    return await _respond(request, is_archive=True)


async def _respond(request: web.Request, *, is_archive: bool) -> web.Response:
    call = open_call(request)
    windows = _windows(call)
    now_s = call.config.clock().timestamp()
    for window, (name, *_, advice) in zip(windows, _WINDOWS, strict=True):
        if call.config.enforce_limits and window.is_spent(now_s):
            return answer({"error": True, "reason": f"{name} API request limit exceeded. {advice}"}, 429)
    try:
        query = weather_query.parse(await _parameters(request), call.now, is_archive=is_archive)
    except WeatherError as error:
        _charge(windows, now_s, 1.0)
        return answer({"error": True, "reason": str(error)}, 400)
    _charge(windows, now_s, query.weight)
    items = _items(call, query)
    return answer(items[0] if len(items) == 1 else items)


def _windows(call: Call) -> list[FixedWindow]:
    limits = call.request.app[LIMITS]
    return [limits.window("open_meteo", "", limit, length_s) for _, limit, length_s, _ in _WINDOWS]


def _charge(windows: list[FixedWindow], now_s: float, weight: float) -> None:
    for window in windows:
        window.charge(now_s, weight)


async def _parameters(request: web.Request) -> dict[str, list[str]]:
    """Return every parameter as a list of texts, from the query, a form or a JSON body."""
    found: dict[str, list[str]] = {}
    pairs: list[tuple[str, Any]] = list(request.query.items())
    if request.method == "POST" and request.content_type == "application/json":
        try:
            body = msgspec.json.decode(await request.read())
        except msgspec.DecodeError as error:
            msg = "The request body is not valid JSON"
            raise WeatherError(msg) from error
        pairs += list(body.items()) if isinstance(body, dict) else []
    elif request.method == "POST":
        pairs += list((await request.post()).items())
    for name, value in pairs:
        values = value if isinstance(value, list) else str(value).split(",")
        found.setdefault(name, []).extend(str(one) for one in values if str(one) != "")
    return found


def _items(call: Call, query: WeatherQuery) -> list[dict[str, Any]]:
    """Return one answer for each location, in order; those with the same days are computed together."""
    replay = call.request.app[REPLAY]
    items: list[dict[str, Any]] = [{} for _ in query.locations]
    groups: dict[tuple[date, date], list[int]] = {}
    for index, place in enumerate(query.locations):
        groups.setdefault((place.first, place.last), []).append(index)
    for indices in groups.values():
        places = [query.locations[index] for index in indices]
        answers = _synthetic(call, query, places) if replay is None else _recorded(replay, query, places)
        for index, item in zip(indices, answers, strict=True):
            items[index] = item if index == 0 else {**item, "location_id": index}
    return items


def _day_texts(place: Location) -> list[str]:
    return [(place.first + timedelta(days=d)).isoformat() for d in range((place.last - place.first).days + 1)]


def _units(query: WeatherQuery) -> dict[str, str]:
    absent = ABSENT_FROM_ARCHIVE if query.is_archive else frozenset()
    return {name: "undefined" if name in absent else VARIABLES[name][0] for name in query.variables}


def _frame(place: Location, where: tuple[float, float, float | None]) -> dict[str, Any]:
    latitude, longitude, elevation = where
    frame: dict[str, Any] = {
        "latitude": latitude,
        "longitude": longitude,
        "generationtime_ms": 0.25,
        "utc_offset_seconds": place.utc_offset_s,
        "timezone": place.timezone,
        "timezone_abbreviation": f"GMT{place.utc_offset_s // 3600:+d}" if place.utc_offset_s else "GMT",
    }
    return frame if elevation is None else {**frame, "elevation": elevation}


def _synthetic(call: Call, query: WeatherQuery, places: list[Location]) -> list[dict[str, Any]]:
    """Return the answers for locations that share their days, computed in one go."""
    per_degree = 4 if query.is_archive else 10
    asked = np.array([(place.latitude, place.longitude) for place in places])
    latitude, longitude = np.round(asked * per_degree).T / per_degree
    grid = weather_world.elevation_m(latitude, longitude)
    terrain = weather_world.elevation_m(asked[:, 0], asked[:, 1])
    wanted = [t if p.elevation is None else p.elevation for p, t in zip(places, terrain, strict=True)]
    target = np.where(np.isnan(wanted), grid, wanted)
    days = np.arange(places[0].first.toordinal(), places[0].last.toordinal() + 1, dtype=np.int64)
    columns = _columns(call, query, (latitude, longitude, grid, target), days)
    texts, units = _day_texts(places[0]), {"time": "iso8601", **_units(query)}
    return [
        {
            **_frame(place, (float(latitude[i]), float(longitude[i]), float(target[i]))),
            "daily_units": units,
            "daily": {"time": texts, **{name: column[i] for name, column in columns.items()}},
        }
        for i, place in enumerate(places)
    ]


def _columns(
    call: Call, query: WeatherQuery, points: tuple[NDArray[np.float64], ...], days: NDArray[np.int64]
) -> dict[str, list[list[float | None]]]:
    """Return each variable as lists by location, null where the host has nothing."""
    latitude, longitude, grid, target = points
    today = call.now.astimezone(UTC).date().toordinal()
    if query.is_archive:
        fields = weather_world.latents(call.config.seed, latitude, longitude, days)
    else:
        fields = weather_world.forecast_latents(call.config.seed, latitude, longitude, days, today)
    values = weather_world.daily(latitude, grid, days, fields)
    for name in _TEMPERATURES:
        values[name] = values[name] + ((grid - target) * _LAPSE_C_PER_M)[:, None]
    hidden = days > today - ARCHIVE_DELAY_DAYS if query.is_archive else np.zeros(days.size, dtype=bool)
    columns: dict[str, list[list[float | None]]] = {}
    for name in query.variables:
        is_absent = query.is_archive and name in ABSENT_FROM_ARCHIVE
        columns[name] = _rounded(values[name], VARIABLES[name][1], np.ones_like(hidden) if is_absent else hidden)
    return columns


def _rounded(values: NDArray[np.float64], decimals: int, hidden: NDArray[np.bool_]) -> list[list[float | None]]:
    rounded = np.round(values, decimals) + 0.0  # no negative zero
    if hidden.any():
        rounded[:, hidden] = np.nan
    elif decimals == 0:
        whole: list[list[float | None]] = rounded.astype(np.int64).tolist()
        return whole
    lists: list[list[float | None]] = rounded.tolist()
    return lists


def _recorded(replay: Replay, query: WeatherQuery, places: list[Location]) -> list[dict[str, Any]]:
    """Return recorded values, null for days and variables that were not recorded."""
    answers = []
    for place in places:
        near = replay.weather_near(place.latitude, place.longitude)
        days = near.days if near else {}
        units = near.units if near else {}
        texts = _day_texts(place)
        columns = {name: [days.get(day, {}).get(name) for day in texts] for name in query.variables}
        where = (near.latitude, near.longitude, near.elevation) if near else (place.latitude, place.longitude, None)
        named = {name: units.get(name, "undefined") for name in query.variables}
        daily = {"time": texts, **columns}
        answers.append({**_frame(place, where), "daily_units": {"time": "iso8601", **named}, "daily": daily})
    return answers
