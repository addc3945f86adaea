"""Read Open-Meteo's answer, and believe it only where it is what was asked.

Facts: one location answers as an object, more as a list, in request order; `location_id` is left out when 0,
`elevation` when unknown; latitude and longitude are the grid point's; null is "not there (yet)", never 0; a known
variable that the model does not serve comes as nulls with the unit "undefined"; snowfall is in cm.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import msgspec

from weathervane_resources.http.errors import Malformed, Where
from weathervane_resources.http.strict_json import decode

FARTHEST_DEGREES = 1.0
UNSUPPORTED = "undefined"
_UNITS_BY_STEM = {
    "temperature_2m": "°C",
    "apparent_temperature": "°C",
    "dew_point_2m": "°C",
    "precipitation_sum": "mm",
    "rain_sum": "mm",
    "showers_sum": "mm",
    "snowfall_sum": "cm",
    "precipitation_probability": "%",
    "relative_humidity_2m": "%",
    "wind_gusts_10m": "km/h",
    "wind_speed_10m": "km/h",
    "uv_index": "",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A place to ask for. `timezone` fixes its days (`Etc/GMT+5`, one without clock changes); `elevation` NaN: the grid's own."""

    latitude: float
    longitude: float
    timezone: str
    elevation: float = math.nan

    @property
    def utc_offset_s(self) -> int:
        """How far its days are from those of UTC, in seconds, east positive."""
        return _utc_offset_s(self.timezone)


@cache
def _utc_offset_s(timezone: str) -> int:
    return int((datetime(2000, 1, 1, tzinfo=ZoneInfo(timezone)).utcoffset() or timedelta()).total_seconds())


@dataclass(frozen=True, slots=True)
class PlaceDays:
    """One point's days. `columns` has every variable asked for, each as long as `times`; None is missing."""

    point: Point
    grid_latitude: float
    grid_longitude: float
    elevation: float | None
    utc_offset_seconds: int
    units: dict[str, str]
    times: list[str]
    columns: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for, to hold its answer against."""

    points: tuple[Point, ...]
    start: date
    end: date
    variables: tuple[str, ...]
    where: Where

    def days(self) -> list[str]:
        """Return start..end as ISO dates."""
        return [(self.start + timedelta(days=n)).isoformat() for n in range((self.end - self.start).days + 1)]


class _Place(msgspec.Struct, frozen=True):
    latitude: float
    longitude: float
    utc_offset_seconds: int
    daily_units: dict[str, str]
    daily: dict[str, msgspec.Raw]
    elevation: float | None = None
    location_id: int | None = None


def read_places(body: bytes, asked: Asked) -> list[PlaceDays]:
    """Return one place for each point asked for, in order.

    Raises:
        Malformed: see `_place`, or another number of places than asked for.
    """
    is_alone = len(asked.points) == 1
    sent = [decode(body, _Place, asked.where)] if is_alone else decode(body, list[_Place], asked.where)
    if len(sent) != len(asked.points):
        raise Malformed(f"{len(sent)} locations for {len(asked.points)} asked", **asked.where)
    days = asked.days()
    return [_place(place, index, days, asked) for index, place in enumerate(sent)]


def _place(place: _Place, index: int, days: list[str], asked: Asked) -> PlaceDays:
    """Check one place: the right one, exactly the days asked for, every variable, in its unit."""
    point = asked.points[index]
    distance = degrees_between(point.latitude, point.longitude, place.latitude, place.longitude)
    is_on_globe = abs(place.latitude) <= 90 and abs(place.longitude) <= 180
    if place.location_id not in (None, index) or not is_on_globe or not distance <= FARTHEST_DEGREES:
        raise Malformed(f"location {index} is {distance:.1f} degrees from the point asked for", **asked.where)
    if place.utc_offset_seconds != point.utc_offset_s:
        raise Malformed(
            f"location {index} is cut at {place.utc_offset_seconds} s from UTC, not at {point.utc_offset_s}",
            **asked.where,
        )
    times = decode(place.daily.get("time", msgspec.Raw(b"null")), list[str], asked.where)
    if times != days:
        raise Malformed(f"location {index} has {len(times)} days, not {days[0]}..{days[-1]}", **asked.where)
    return PlaceDays(
        point=point,
        grid_latitude=place.latitude,
        grid_longitude=place.longitude,
        elevation=place.elevation,
        utc_offset_seconds=place.utc_offset_seconds,
        units={name: place.daily_units.get(name, UNSUPPORTED) for name in asked.variables},
        times=times,
        columns={name: _column(place, name, len(days), asked.where) for name in asked.variables},
    )


def _column(place: _Place, name: str, length: int, where: Where) -> list[float | None]:
    unit = place.daily_units.get(name)
    if name not in place.daily or unit is None:
        raise Malformed(f"the variable {name} or its unit is absent", **where)
    values = decode(place.daily[name], list[float | None], where)
    if len(values) != length:
        raise Malformed(f"{name} has {len(values)} values for {length} days", **where)
    if unit == UNSUPPORTED:
        return [None] * length
    expected = expected_unit(name)
    if expected is not None and unit != expected:
        raise Malformed(
            f"{name} is in {unit!r}, not {expected!r}", hint="a changed unit must not reach the lake", **where
        )
    return values


@cache
def expected_unit(variable: str) -> str | None:
    """Return the unit of a daily variable at Open-Meteo's defaults; None where we have no expectation."""
    for stem, unit in _UNITS_BY_STEM.items():
        if variable == stem or variable.startswith(f"{stem}_"):
            return unit
    return None


def degrees_between(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the great-circle angle in degrees; right across the date line and at the poles."""
    a, b = math.radians(latitude), math.radians(other_latitude)
    half_lat, half_lon = (b - a) / 2, math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(a) * math.cos(b) * math.sin(half_lon) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(chord))))
