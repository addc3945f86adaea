"""Recorded payloads in place of the synthetic worlds: a folder is read once, when the app is made.

A file that does not parse, or in which nothing is recognised, is passed over: a folder of test vectors holds both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiohttp import web

from weathervane_resources.sandbox.shopify_orders import OrderTable

NEAR_DEGREES = 0.5
_OK_STATUS = range(200, 300)


@dataclass
class RecordedWeather:
    """The days recorded for one location by one kind of host."""

    latitude: float
    longitude: float
    elevation: float | None
    units: dict[str, str] = field(default_factory=dict)
    days: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Replay:
    """What was recognised in a replay folder."""

    orders: OrderTable
    insights: list[dict[str, Any]]
    archives: list[RecordedWeather]
    forecasts: list[RecordedWeather]

    def weather_near(self, latitude: float, longitude: float) -> RecordedWeather | None:
        """Return what was recorded within half a degree, archive values over forecast values."""
        archive, forecast = _nearest(self.archives, latitude, longitude), _nearest(self.forecasts, latitude, longitude)
        if archive is None or forecast is None:
            return archive or forecast
        days = {
            day: {**forecast.days.get(day, {}), **archive.days.get(day, {})}
            for day in {**forecast.days, **archive.days}
        }
        units = {**forecast.units, **archive.units}
        return RecordedWeather(archive.latitude, archive.longitude, archive.elevation, units, days)

    def insights_between(self, first: date, last: date) -> list[dict[str, Any]]:
        """Return the recorded insight rows that start within these days."""
        return [row for row in self.insights if first.isoformat() <= str(row["date_start"]) <= last.isoformat()]


REPLAY: web.AppKey[Replay | None] = web.AppKey("replay")


def load(folder: Path) -> Replay:
    """Read a folder of recordings, recursively, in the order of their names.

    Raises: FileNotFoundError: the folder does not exist.
    """
    if not folder.is_dir():
        msg = f"replay folder {folder} does not exist"
        raise FileNotFoundError(msg)
    orders: dict[int, dict[str, Any]] = {}
    insights: list[dict[str, Any]] = []
    archives: dict[tuple[float, float], RecordedWeather] = {}
    forecasts: dict[tuple[float, float], RecordedWeather] = {}
    for path in sorted(folder.rglob("*.json")):
        weather = archives if "archive" in path.name else forecasts
        for payload in _payloads(_parse(path)):
            for order in _orders_in(payload):
                _keep_fullest(orders, order)
            insights += _insights_in(payload)
            _add_weather(weather, payload)
    return Replay(_order_table(list(orders.values())), insights, list(archives.values()), list(forecasts.values()))


def _parse(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _payloads(found: Any) -> Iterator[dict[str, Any]]:
    """Yield every payload in a file: itself, the items of a list, the good answers of recorded pairs."""
    for item in found if isinstance(found, list) else [found]:
        if not isinstance(item, dict):
            continue
        if "response" not in item:
            yield item
        elif item.get("status") in _OK_STATUS and isinstance(item["response"], dict):
            yield item["response"]


def _orders_in(payload: dict[str, Any]) -> list[dict[str, Any]]:
    several = payload.get("orders")
    found = [*(several if isinstance(several, list) else []), payload.get("order")]
    return [order for order in found if isinstance(order, dict) and type(order.get("id")) is int]


def _keep_fullest(orders: dict[int, dict[str, Any]], order: dict[str, Any]) -> None:
    known = orders.get(order["id"])
    if known is None or len(msgspec.json.encode(order)) > len(msgspec.json.encode(known)):
        orders[order["id"]] = order


def _insights_in(payload: dict[str, Any]) -> list[dict[str, Any]]:
    rows = payload.get("data")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and "date_start" in row and "adset_id" in row]


def _add_weather(weather: dict[tuple[float, float], RecordedWeather], payload: dict[str, Any]) -> None:
    daily, units = payload.get("daily"), payload.get("daily_units")
    where = (payload.get("latitude"), payload.get("longitude"))
    if not (isinstance(daily, dict) and isinstance(units, dict) and isinstance(daily.get("time"), list)):
        return
    if not all(isinstance(part, int | float) for part in where):
        return
    latitude, longitude = float(payload["latitude"]), float(payload["longitude"])
    known = weather.setdefault((latitude, longitude), RecordedWeather(latitude, longitude, payload.get("elevation")))
    known.units.update({str(name): str(unit) for name, unit in units.items()})
    columns = {name: column for name, column in daily.items() if name != "time" and isinstance(column, list)}
    for index, day in enumerate(daily["time"]):
        values = {name: column[index] for name, column in columns.items() if index < len(column)}
        known.days.setdefault(str(day), {}).update(values)


def _nearest(recorded: list[RecordedWeather], latitude: float, longitude: float) -> RecordedWeather | None:
    def distance(one: RecordedWeather) -> float:
        return max(abs(one.latitude - latitude), abs(one.longitude - longitude))

    near = [one for one in recorded if distance(one) <= NEAR_DEGREES]
    return min(near, key=distance) if near else None


def _epoch(text: Any) -> int | None:
    """Return a recorded time in UTC epoch seconds, None when it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return int(moment.timestamp()) if moment.tzinfo else None


def _order_table(orders: list[dict[str, Any]]) -> OrderTable:
    """Return the recorded orders as a table; one without a creation time is not served."""
    times = [(_epoch(order.get("created_at")), _epoch(order.get("updated_at"))) for order in orders]
    served = [
        (order, made, seen or made) for order, (made, seen) in zip(orders, times, strict=True) if made is not None
    ]
    return OrderTable(
        order_id=np.array([order["id"] for order, _, _ in served], dtype=np.int64),
        created=np.array([made for _, made, _ in served], dtype=np.int64),
        updated=np.array([seen for _, _, seen in served], dtype=np.int64),
        is_cancelled=np.array([order.get("cancelled_at") is not None for order, _, _ in served], dtype=bool),
        is_closed=np.array([order.get("closed_at") is not None for order, _, _ in served], dtype=bool),
        show=lambda row: served[row][0],
    )
