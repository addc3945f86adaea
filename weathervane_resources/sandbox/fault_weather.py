"""Weather that is well-formed and not what was asked, or not all of it: what Open-Meteo and proxies before it were seen to send.

Each answer is the vendor's own with one thing changed; a client must refuse it or show a gap, and never fill it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.fault_hit import Hit, body_of

Place = dict[str, Any]
UNDEFINED = "wind_gusts_10m_max"


async def _with_places(hit: Hit, change: Callable[[list[Place]], Any]) -> web.StreamResponse:
    """Answer what `change` makes of the places; one place alone is an object, as the vendor has it."""
    response = await hit.answer()
    if response.status == web.HTTPOk.status_code:
        body = msgspec.json.decode(body_of(response))
        changed = change(body if isinstance(body, list) else [body])
        response.body = msgspec.json.encode(changed[0] if isinstance(body, dict) and changed else changed)
    return response


def _values(place: Place) -> dict[str, list[Any]]:
    return {name: values for name, values in place["daily"].items() if name != "time"}


async def null_days(hit: Hit) -> web.StreamResponse:
    """Leave out all values of the day in the middle, as ERA5-Land did for days, and the snow of the day after it."""

    def change(places: list[Place]) -> list[Place]:
        for place in places:
            middle = len(place["daily"]["time"]) // 2
            for name, values in _values(place).items():
                values[middle] = None
                if name == "snowfall_sum" and middle + 1 < len(values):
                    values[middle + 1] = None
        return places

    return await _with_places(hit, change)


async def undefined_variable(hit: Hit) -> web.StreamResponse:
    """Say that the model does not have gusts: nulls with the unit "undefined"."""

    def change(places: list[Place]) -> list[Place]:
        for place in places:
            if UNDEFINED in place["daily"]:
                place["daily"][UNDEFINED] = [None] * len(place["daily"]["time"])
                place["daily_units"][UNDEFINED] = "undefined"
        return places

    return await _with_places(hit, change)


async def at_sea(hit: Hit) -> web.StreamResponse:
    """Answer as a land model does for a point in the ocean: every value null, no elevation."""

    def change(places: list[Place]) -> list[Place]:
        for place in places:
            place.pop("elevation", None)
            for name, values in _values(place).items():
                place["daily"][name] = [None] * len(values)
        return places

    return await _with_places(hit, change)


async def swapped_coordinates(hit: Hit) -> web.StreamResponse:
    """Answer for the place whose latitude and longitude are the other way round."""

    def change(places: list[Place]) -> list[Place]:
        return [{**p, "latitude": p["longitude"], "longitude": p["latitude"]} for p in places]

    return await _with_places(hit, change)


async def fewer_places(hit: Hit) -> web.StreamResponse:
    """Leave out the last place."""
    return await _with_places(hit, lambda places: places[:-1])


async def lost_day(hit: Hit) -> web.StreamResponse:
    """Leave out the day in the middle, values and all."""

    def change(places: list[Place]) -> list[Place]:
        for place in places:
            middle = len(place["daily"]["time"]) // 2
            for values in place["daily"].values():
                del values[middle]
        return places

    return await _with_places(hit, change)


async def other_days(hit: Hit) -> web.StreamResponse:
    """Answer as many days, from the day before on."""

    def change(places: list[Place]) -> list[Place]:
        for place in places:
            times = place["daily"]["time"]
            place["daily"]["time"] = [(date.fromisoformat(day) - timedelta(days=1)).isoformat() for day in times]
        return places

    return await _with_places(hit, change)
