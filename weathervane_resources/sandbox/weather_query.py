"""Reading an Open-Meteo request: locations, variables, days, time zones. What the weather was is not decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isnan
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from weathervane_resources.sandbox.gazetteer import nearest_place

MAX_LOCATIONS = 1_000
ARCHIVE_BEGINS = date(1940, 1, 1)
FORECAST_PAST_DAYS, FORECAST_AHEAD_DAYS = 93, 15
DEFAULT_FORECAST_DAYS, MAX_FORECAST_DAYS = 7, 16
# name -> unit, decimals
VARIABLES: dict[str, tuple[str, int]] = {
    "temperature_2m_mean": ("°C", 1),
    "temperature_2m_max": ("°C", 1),
    "temperature_2m_min": ("°C", 1),
    "apparent_temperature_mean": ("°C", 1),
    "precipitation_sum": ("mm", 1),
    "rain_sum": ("mm", 1),
    "snowfall_sum": ("cm", 2),
    "precipitation_hours": ("h", 1),
    "precipitation_probability_max": ("%", 0),
    "relative_humidity_2m_mean": ("%", 0),
    "wind_speed_10m_max": ("km/h", 1),
    "wind_gusts_10m_max": ("km/h", 1),
    "uv_index_max": ("", 2),
    "weather_code": ("wmo code", 0),
}
ABSENT_FROM_ARCHIVE = frozenset({"uv_index_max", "precipitation_probability_max"})


class WeatherError(ValueError):
    """A request that the vendor refuses, with its reason."""


@dataclass(frozen=True)
class Location:
    """One place of a request with its own days and time zone; elevation None is the terrain's, NaN the grid's."""

    latitude: float
    longitude: float
    elevation: float | None
    timezone: str
    utc_offset_s: int
    first: date
    last: date


@dataclass(frozen=True)
class WeatherQuery:
    """A request for daily values."""

    is_archive: bool
    variables: tuple[str, ...]
    locations: tuple[Location, ...]

    @property
    def weight(self) -> float:
        """Return the call weight as the vendor counts it."""
        tenth = len(self.variables) / 10
        days = [(place.last - place.first).days + 1 for place in self.locations]
        return sum(max(1.0, tenth, tenth * count / 14) for count in days)


Parameters = Mapping[str, Sequence[str]]
T = TypeVar("T")


def parse(parameters: Parameters, now: datetime, *, is_archive: bool) -> WeatherQuery:
    """Read a request. Raises: WeatherError."""
    latitudes, longitudes = _numbers(parameters, "latitude"), _numbers(parameters, "longitude")
    if not latitudes or len(latitudes) != len(longitudes):
        msg = "Parameter 'latitude' and 'longitude' must have the same number of elements"
        raise WeatherError(msg)
    if len(latitudes) > MAX_LOCATIONS:
        msg = f"Only up to {MAX_LOCATIONS} locations can be requested at once"
        raise WeatherError(msg)
    variables = _variables(parameters)
    count = len(latitudes)
    elevations: list[float | None] = [*_numbers(parameters, "elevation")]
    elevations = _spread(elevations or [None], count, "elevation")
    zones = _spread(list(parameters.get("timezone", [])) or ["GMT"], count, "timezone")
    places = []
    for index, (lat, lon) in enumerate(zip(latitudes, longitudes, strict=True)):
        if not (-90 <= lat <= 90 and -180 <= lon <= 180):
            msg = f"Latitude must be in range of -90 to 90° and longitude -180 to 180°. Given: {lat}, {lon}."
            raise WeatherError(msg)
        zone = nearest_place(lat, lon).timezone if zones[index] == "auto" else zones[index]
        offset = _offset(zone, now)
        first, last = _days(parameters, index, count, (now + timedelta(seconds=offset)).date(), is_archive=is_archive)
        _check_range(first, last, now.astimezone(UTC).date(), is_archive=is_archive)
        places.append(Location(lat, lon, elevations[index], zone, offset, first, last))
    return WeatherQuery(is_archive, variables, tuple(places))


def _numbers(parameters: Parameters, name: str) -> list[float]:
    try:
        numbers = [float(text) for text in parameters.get(name, [])]
    except ValueError as error:
        msg = f"Value of type 'Float' required for key '{name}'."
        raise WeatherError(msg) from error
    if name != "elevation" and any(isnan(number) for number in numbers):
        msg = f"Value of type 'Float' required for key '{name}'."
        raise WeatherError(msg)
    return numbers


def _spread(values: list[T], count: int, name: str) -> list[T]:
    """Return one value for each location from one or as many."""
    if len(values) not in (1, count):
        msg = f"Parameter '{name}' must have one element or as many as there are locations"
        raise WeatherError(msg)
    return values * count if len(values) == 1 else values


def _variables(parameters: Parameters) -> tuple[str, ...]:
    if parameters.get("hourly") or parameters.get("current"):
        msg = "The sandbox serves daily variables only"
        raise WeatherError(msg)
    for name, known in (("wind_speed_unit", "kmh"), ("temperature_unit", "celsius"), ("precipitation_unit", "mm")):
        if list(parameters.get(name, [known])) != [known]:
            msg = f"The sandbox serves {name}={known} only"
            raise WeatherError(msg)
    variables = tuple(parameters.get("daily", []))
    for name in variables:
        if name not in VARIABLES:
            msg = (
                f"Data corrupted at path ''. Cannot initialize ForecastVariableDaily from invalid String value {name}."
            )
            raise WeatherError(msg)
    if not variables:
        msg = "Parameter 'daily' is required"
        raise WeatherError(msg)
    return variables


def _offset(zone: str, now: datetime) -> int:
    """Return the offset valid now, which the vendor uses for the whole series."""
    try:
        offset = now.astimezone(ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = "Invalid timezone"
        raise WeatherError(msg) from error
    return int(offset.total_seconds()) if offset is not None else 0


def _whole(parameters: Parameters, name: str, default: int, highest: int) -> int:
    texts = parameters.get(name, [])
    if not texts:
        return default
    if len(texts) != 1 or not texts[0].isdigit() or int(texts[0]) > highest:
        msg = f"Parameter '{name}' is out of allowed range from 0 to {highest}. Given {','.join(texts)}."
        raise WeatherError(msg)
    return int(texts[0])


def _days(parameters: Parameters, index: int, count: int, today: date, *, is_archive: bool) -> tuple[date, date]:
    starts, ends = list(parameters.get("start_date", [])), list(parameters.get("end_date", []))
    has_window = bool(parameters.get("past_days") or parameters.get("forecast_days"))
    if (starts or ends) and has_window:
        msg = "Parameter 'past_days' is mutually exclusive with 'start_date' and 'end_date'"
        raise WeatherError(msg)
    if not starts and not ends:
        if is_archive:
            msg = "Parameter 'start_date' and 'end_date' must be set"
            raise WeatherError(msg)
        past = _whole(parameters, "past_days", 0, FORECAST_PAST_DAYS)
        ahead = _whole(parameters, "forecast_days", DEFAULT_FORECAST_DAYS, MAX_FORECAST_DAYS)
        return today - timedelta(days=past), today + timedelta(days=ahead - 1)
    if len(starts) != len(ends):
        msg = "Parameter 'start_date' and 'end_date' must have the same number of elements"
        raise WeatherError(msg)
    try:
        first = date.fromisoformat(_spread(starts, count, "start_date")[index])
        last = date.fromisoformat(_spread(ends, count, "end_date")[index])
    except ValueError as error:
        msg = error.args[0] if isinstance(error, WeatherError) else "Invalid date format. Make sure to use 'YYYY-MM-DD'"
        raise WeatherError(msg) from error
    return first, last


def _check_range(first: date, last: date, today: date, *, is_archive: bool) -> None:
    earliest = ARCHIVE_BEGINS if is_archive else today - timedelta(days=FORECAST_PAST_DAYS)
    # A local day may be a day ahead of the UTC one; the vendor's own window must not refuse it.
    latest = today if is_archive else today + timedelta(days=FORECAST_AHEAD_DAYS)
    for name, day in (("start_date", first), ("end_date", last)):
        slack = timedelta(days=0 if is_archive else 1)
        if not earliest - slack <= day <= latest + slack:
            msg = f"Parameter '{name}' is out of allowed range from {earliest} to {latest}"
            raise WeatherError(msg)
    if last < first:
        msg = "End-date must be larger or equals than start-date"
        raise WeatherError(msg)
