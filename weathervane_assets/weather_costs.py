"""What a backfill of weather would ask of Open-Meteo, before it asks: `weathervane weather plan`.

Belongs here: going through the steps of a backfill with the cache's own plans, each without what the ones before would
have brought. Does not belong here: fetching (`weather.py`), printing (`console.py`). Spends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from weathervane_assets.transforms.normals import base_period
from weathervane_assets.transforms.weather import LOOKBACK_DAYS
from weathervane_assets.weather import active_in, places_of_year
from weathervane_assets.window import Window
from weathervane_resources.clock import system_now
from weathervane_resources.credentials import OPEN_METEO, Access, find_access
from weathervane_resources.lake import Lake
from weathervane_resources.quota import OPEN_METEO_FREE, beside_nights
from weathervane_resources.settings import Settings
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import WeatherCache, cell_table
from weathervane_resources.weather_plan import (
    ARCHIVE_MODEL,
    FORECAST_DAYS,
    FORECAST_MODEL,
    MISSING_SCHEMA,
    Request,
    days_of,
    requests_for,
)

FREE_LIMITS = {60: "a minute", 3_600: "an hour", 86_400: "a day"}
*_, _FREE_DAY = beside_nights(OPEN_METEO_FREE)
FREE_A_DAY = _FREE_DAY.limit - _FREE_DAY.kept
"""What all backfills together may spend of a day on the free hosts: what is not kept for the nights."""


@dataclass(frozen=True)
class HostCost:
    """What one host is asked for."""

    requests: int
    points: int
    point_days: int
    weight: float


@dataclass(frozen=True)
class Costs:
    """What a backfill spends, by host, for the cells that the lake knows of."""

    tenant: str
    source: str
    cells: int
    hosts: dict[str, HostCost]
    free_days: int
    """How many days it takes on the free hosts."""

    @property
    def weight(self) -> float:
        """The weight on both hosts; the free limits count them for one address."""
        return sum(host.weight for host in self.hosts.values())

    @property
    def free_a_day(self) -> float:
        """The weight that all backfills together may spend of a day on the free hosts."""
        return FREE_A_DAY

    @property
    def note(self) -> str | None:
        """Why it is nothing although there may be much to come; None where places are known."""
        if self.cells:
            return None
        return "no places are known yet: the lake has no located orders for these days; bring in `orders` first"

    def plain(self) -> dict[str, Any]:
        """Return it for JSON, with the free limits."""
        limits = {f"weight {FREE_LIMITS[window.length_s]}": window.limit for window in OPEN_METEO_FREE}
        plain = asdict(self)
        days = {"free_weight_a_day_for_backfills": self.free_a_day, "days_at_free_limit": plain.pop("free_days")}
        return plain | {"weight": self.weight, "free_limits": limits, **days, "note": self.note}


def costs(window: Window, access: Access) -> Costs:
    """Return what a backfill of the window's days would spend, the climatology of its years included."""
    active = cell_table(active_in(window)["geohash"].to_list())
    requests = list(_requests(window, WeatherCache(window.lake, access.source), _points(active)))
    hosts = {name: _host_cost([r for r in requests if r.host == name]) for name in ("archive", "forecast")}
    return Costs(window.tenant.id, access.source, active.height, hosts, days_on_free_hosts(r.weight for r in requests))


def days_on_free_hosts(weights: Iterable[float]) -> int:
    """Return on how many days requests of such weights go, one after the other: what is left of a day may be too little for the next."""
    days, left = 0, 0.0
    for weight in weights:
        if not days or weight > left:
            days, left = days + 1, FREE_A_DAY
        left -= weight
    return days


def costs_of_backfill(
    settings: Settings, tenants: Mapping[str, Tenant], tenant: Tenant, first: date, last: date
) -> Costs:
    """Return what a backfill of first..last would spend now, with the credentials of the environment.

    Raises: ConfigurationError: the tenant's credentials are half set.
    """
    days = tuple(first + timedelta(days=n) for n in range((last - first).days + 1))
    access = find_access(OPEN_METEO, os.environ, tenant.id, frozenset(tenants), settings.stubs)
    return costs(Window(tenant, days, system_now(), Lake(settings.lake)), access)


def _points(cells: pl.DataFrame) -> list[str]:
    return cells["point"].unique().sort().to_list()


def _spans(window: Window, active: list[str]) -> Iterator[tuple[list[str], date, date]]:
    """Yield points and days in the order in which a backfill fills them: normals by year, then the days."""
    for year in range(window.first.year, window.last.year + 1):
        yield _points(places_of_year(window, year)), *base_period(window.tenant, year)
    yield active, window.first - timedelta(days=LOOKBACK_DAYS), window.last


def _requests(window: Window, cache: WeatherCache, active: list[str]) -> Iterator[Request]:
    today = window.tenant.today(window.now)
    for missing_of, model in ((cache.missing_archive, ARCHIVE_MODEL), (cache.missing_forecast, FORECAST_MODEL)):
        brought = pl.DataFrame(schema=MISSING_SCHEMA)
        for span in _spans(window, active):
            missing = missing_of(*span, window.now).join(brought, on=["point", "valid_date"], how="anti")
            planned = requests_for(missing, model)
            brought = pl.concat([brought, days_of(planned)]).unique()
            yield from planned
    if window.last == today:
        # only today's forecast can still be had, and it is asked for whole
        yield from cache.whole_forecast(active, today, today + timedelta(days=FORECAST_DAYS))


def _host_cost(requests: list[Request]) -> HostCost:
    return HostCost(
        requests=len(requests),
        points=len({point for request in requests for point in request.points}),
        point_days=sum(len(request.points) * request.days for request in requests),
        weight=round(sum(request.weight for request in requests), 1),
    )
