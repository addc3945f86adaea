"""The synthetic shops are calm enough for the checks and lively enough for a model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import geohash
import numpy as np
import pytest
from numpy.typing import NDArray

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, ads_world, campaigns_world
from weathervane_resources.sandbox import commerce_world as world
from weathervane_resources.sandbox.gazetteer import PLACES

TENANTS = {
    "acme": TenantProfile(),
    "bergwelt": TenantProfile("Europe/Berlin", "EUR"),
    "kiwi": TenantProfile("Pacific/Auckland", "NZD"),
    **{f"demo-{number}": TenantProfile() for number in range(4, 9)},
}
CONFIG = SandboxConfig(tenants=TENANTS, clock=lambda: datetime(2025, 6, 30, 12, tzinfo=UTC))
FIRST, LAST = date(2024, 1, 1), date(2027, 12, 31)
LATER = datetime(2028, 6, 1, tzinfo=UTC)
YEAR = 365


def _days(first: date, last: date) -> Iterator[date]:
    return (date.fromordinal(ordinal) for ordinal in range(first.toordinal(), last.toordinal() + 1))


def _lowest_against_the_week_before(counts: NDArray[Any]) -> float:
    return float(min(counts[i] / np.median(counts[i - 7 : i]) for i in range(7, counts.size)))


def _check_orders(tenant: str, last: date) -> None:
    days = [world.order_day(CONFIG, tenant, day) for day in _days(FIRST, last)]
    assert _lowest_against_the_week_before(np.array([day.size for day in days])) >= 0.6
    assert min(float((day["address"] == world.HAS_COORDINATES).mean()) for day in days) >= 0.88


def _check_ads(tenant: str, last: date) -> None:
    for platform in ads_world.PLATFORMS:
        rows = ads_world.deliveries(CONFIG, tenant, platform, FIRST, last, LATER)
        counts = np.bincount([row.day.toordinal() - FIRST.toordinal() for row in rows])
        assert counts.size == (last - FIRST).days + 1
        assert counts.min() > 0
        assert _lowest_against_the_week_before(counts) >= 0.6


@pytest.mark.parametrize("tenant", ["acme", "bergwelt", "kiwi"])
def test_no_day_of_a_year_looks_like_a_drop(tenant: str) -> None:
    """A noisy shop made `row_count_drop` warn in a demo where nothing was wrong."""
    _check_orders(tenant, date(2024, 12, 31))
    _check_ads(tenant, date(2024, 12, 31))


@pytest.mark.slow
@pytest.mark.parametrize("tenant", list(TENANTS))
def test_no_day_of_four_years_looks_like_a_drop(tenant: str) -> None:
    _check_orders(tenant, LAST)
    _check_ads(tenant, LAST)


@pytest.mark.parametrize("tenant", ["acme", "bergwelt", "kiwi"])
def test_a_year_of_orders_goes_to_a_few_dozen_cells(tenant: str) -> None:
    """Each cell costs a weather series; addresses spread over kilometres made hundreds of them."""
    orders = world.order_days(CONFIG, tenant, FIRST, date(2024, 12, 31))
    located = orders[orders["address"] == world.HAS_COORDINATES]
    cells = {geohash.encode(one["latitude"], one["longitude"], 5) for one in located}
    cells |= {geohash.encode(PLACES[i].latitude, PLACES[i].longitude, 5) for i in np.unique(orders["place"])}
    assert 20 <= len(cells) <= 40


def _served_temperature_anomaly(get: Any, sandbox: RunningSandbox, tenant: str) -> NDArray[np.float64]:
    """Return what the archive serves for the shop's places, weighted by their share, less the seasonal cycle."""
    shop = world.shop_of(CONFIG.seed, tenant, TENANTS[tenant])
    params = {
        "latitude": ",".join(str(PLACES[i].latitude) for i in shop.places),
        "longitude": ",".join(str(PLACES[i].longitude) for i in shop.places),
        "daily": "temperature_2m_mean",
        "start_date": "2024-01-01",
        "end_date": "2024-12-30",
    }
    answer = get(f"{sandbox.url}/t/{tenant}/v1/archive", params=params).data
    served = np.array([item["daily"]["temperature_2m_mean"] for item in answer])
    phase = 2 * np.pi * np.arange(YEAR) / YEAR
    cycle = np.stack([np.ones(YEAR), np.cos(phase), np.sin(phase)], axis=1)
    return np.asarray(shop.place_share @ (served - (cycle @ np.linalg.lstsq(cycle, served.T)[0]).T))


def _share_of_shifts_as_strong(counts: NDArray[Any], signal: NDArray[Any]) -> float:
    """Return a permutation p-value: shifts in time keep the memory of both series and break their tie."""
    strength = [abs(np.corrcoef(counts, np.roll(signal, shift))[0, 1]) for shift in range(YEAR)]
    return float(np.mean(np.array(strength) >= strength[0]))


@pytest.mark.parametrize("tenant", ["acme", "bergwelt", "kiwi"])
def test_weather_and_promos_show_in_the_orders(get: Any, tenant: str) -> None:
    """Calm must not mean flat: the whole point of the data is that weather moves it."""
    days = list(_days(FIRST, date(2024, 12, 30)))
    counts = np.array([world.order_day(CONFIG, tenant, day).size for day in days])
    promo = np.array([float(campaigns_world.sends_on(CONFIG, tenant, day) > 0) for day in days])
    with RunningSandbox(CONFIG) as running:
        anomaly = _served_temperature_anomaly(get, running, tenant)
    assert _share_of_shifts_as_strong(counts, promo) < 0.01
    without_promo = counts - np.polyval(np.polyfit(promo, counts, 1), promo)
    assert _share_of_shifts_as_strong(without_promo, anomaly) < 0.01
