"""The orders of a synthetic shop, day by day, as columns. No Shopify shapes: those are `order_shape.py`.

A tenant-local day is a pure function of (seed, tenant, profile, day). What happens to an order later (refund, edit,
cancellation) is part of its record with the instant it happens; readers hide what lies after their "now".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from weathervane_resources.sandbox import campaigns_world, seeding, taxes, weather_world
from weathervane_resources.sandbox.config import SandboxConfig, TenantProfile
from weathervane_resources.sandbox.day_cache import DayCache, Records
from weathervane_resources.sandbox.gazetteer import PLACES

NO_EVENT, CANCELLED, REFUNDED, PARTLY_REFUNDED, EDITED = range(5)
HAS_COORDINATES, HAS_POSTAL_CODE, NONSENSE_ADDRESS, NO_ADDRESS = range(4)
LONGEST_EVENT_DAYS = 31
OPENED = campaigns_world.OPENED

ORDER_RECORD = np.dtype(
    [
        ("order_id", "i8"),
        ("created", "i8"),  # UTC epoch seconds
        ("event", "i1"),
        ("event_at", "i8"),  # UTC epoch seconds; meaningless without an event
        ("after_cents", "i8"),  # current subtotal once the event has happened
        ("subtotal_cents", "i8"),
        ("discount_cents", "i8"),
        ("tax_cents", "i8"),
        ("shipping_cents", "i8"),
        ("shipping_back_cents", "i8"),  # refunded by a test; the seed gives shipping back with the whole order only
        ("unit_cents", "i8"),
        ("lines", "i1"),
        ("first_quantity", "i1"),
        ("place", "i2"),
        ("latitude", "f8"),
        ("longitude", "f8"),
        ("address", "i1"),
        ("is_test", "?"),
        ("is_closed", "?"),
        ("person", "i4"),
    ]
)
_HOUR_WEIGHTS = np.array(
    [2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 10, 10, 9, 9, 9, 10, 11, 13, 14, 12, 8, 4], dtype=np.float64
)
# A shop is calm on purpose: every lift is bounded, so that no day falls under 0.6 of the median of the week before it
# and the check `row_count_drop` has nothing to say, while weather and promos still show in the counts.
_PROMO_UPLIFT = (0.20, 0.10, 0.04)  # on the day of the send and the two after it
_HIGHEST_UPLIFT = 0.24
_WEATHER_PULL = 0.16
_WEATHER_BOUNDS = (0.88, 1.14)
_WEEKDAY_SWING = 0.05
_COUNT_NOISE = 0.04
_STREETS_WITHIN_KM = 1.0
_KM_PER_DEGREE = 111.2
_CACHED_ORDERS = 1_000_000
IDS_A_DAY = 100_000


@dataclass(frozen=True)
class Shop:
    """The lasting habits of one tenant."""

    tenant: str
    zone: ZoneInfo
    places: NDArray[np.int64]
    place_share: NDArray[np.float64]
    weekday_factor: NDArray[np.float64]
    appetite: str  # warm | cold | wet
    median_cents: int
    id_base: int
    taxes_included: bool


@lru_cache(maxsize=1024)
def shop_of(seed: int, tenant: str, profile: TenantProfile) -> Shop:
    """Return the habits of a tenant."""
    random = seeding.stream("shop", seed, tenant)
    pull = np.array([1.0 if place.country == "US" else 0.25 for place in PLACES])
    count = min(max(profile.places, 1), len(PLACES))
    places = random.choice(len(PLACES), size=count, replace=False, p=pull / pull.sum())
    share = 1.0 / (np.arange(count) + 1.5) ** 0.9
    return Shop(
        tenant=tenant,
        zone=ZoneInfo(profile.timezone),
        places=places,
        place_share=share / share.sum(),
        weekday_factor=1 + random.uniform(-_WEEKDAY_SWING, _WEEKDAY_SWING, size=7),
        appetite=str(random.choice(("warm", "cold", "wet"))),
        median_cents=int(random.integers(2_500, 9_000)),
        id_base=(seeding.number("order ids", seed, tenant) % 89_999 + 1) * 10**11,
        taxes_included=profile.taxes_included,
    )


_cache = DayCache(_CACHED_ORDERS)


def order_day(config: SandboxConfig, tenant: str, day: date) -> Records:
    """Return every order created on a tenant-local day, in order of creation."""
    profile, busy = config.profile(tenant), config.planted.trade.get((tenant, day), 1.0)
    key = (config.seed, tenant, profile, day.toordinal(), busy)
    return _cache.get(key, lambda: _compute_day(config, shop_of(config.seed, tenant, profile), day, busy))


def order_days(config: SandboxConfig, tenant: str, first: date, last: date) -> Records:
    """Return the orders of a range of tenant-local days, both included."""
    days = [order_day(config, tenant, date.fromordinal(o)) for o in range(first.toordinal(), last.toordinal() + 1)]
    return np.concatenate(days) if days else np.zeros(0, dtype=ORDER_RECORD)


def place_pull(config: SandboxConfig, shop: Shop, day: date) -> NDArray[np.float64]:
    """Return how the weather of the day multiplies the demand of each of the shop's places."""
    latitude = np.array([round(PLACES[i].latitude * 4) / 4 for i in shop.places])
    longitude = np.array([round(PLACES[i].longitude * 4) / 4 for i in shop.places])
    fields = weather_world.latents(config.seed, latitude, longitude, np.array([day.toordinal()], dtype=np.int64))
    heat, moisture = np.clip(fields.heat[:, 0], -2.5, 2.5), np.clip(fields.moisture[:, 0], -2.5, 2.5)
    wish = {"warm": heat - 0.4 * moisture, "cold": 0.3 * moisture - heat, "wet": 0.8 * moisture - 0.8 * heat}[
        shop.appetite
    ]
    return np.asarray(np.exp(_WEATHER_PULL * wish))


def _demand(config: SandboxConfig, shop: Shop, day: date) -> tuple[float, NDArray[np.float64], float]:
    """Return expected orders, their shares over the places, and the promo uplift."""
    pull = shop.place_share * place_pull(config, shop, day)
    uplift = sum(
        weight * min(campaigns_world.sends_on(config, shop.tenant, day - timedelta(days=lag)), 2)
        for lag, weight in enumerate(_PROMO_UPLIFT)
    )
    uplift = min(uplift, _HIGHEST_UPLIFT)
    per_day, weather = config.profile(shop.tenant).orders_per_day, float(np.clip(pull.sum(), *_WEATHER_BOUNDS))
    expected = per_day * weather * float(shop.weekday_factor[day.weekday()]) * (1 + uplift)
    return expected, pull / pull.sum(), uplift


def _compute_day(config: SandboxConfig, shop: Shop, day: date, busy: float) -> Records:
    random = seeding.stream("orders", config.seed, shop.tenant, day.toordinal())
    expected, share, uplift = _demand(config, shop, day)
    noise = 1 + _COUNT_NOISE * float(np.clip(random.normal(), -2, 2))
    orders = np.zeros(int(busy * expected * noise + random.random()), dtype=ORDER_RECORD)
    if orders.size:
        _set_creation(orders, shop, day, random)
        _set_amounts(orders, shop, uplift, random)
        _set_places(orders, shop, share, random)
        if not config.profile(shop.tenant).settled:
            _set_events(orders, random)
    return orders


def _set_creation(orders: Records, shop: Shop, day: date, random: np.random.Generator) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=shop.zone).timestamp()
    tomorrow = day + timedelta(days=1)
    length = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=shop.zone).timestamp() - start
    hours = random.choice(24, size=orders.size, p=_HOUR_WEIGHTS / _HOUR_WEIGHTS.sum())
    of_day = (hours + random.random(orders.size)) / 24
    orders["created"] = np.sort(int(start) + np.floor(of_day * length).astype(np.int64))
    orders["order_id"] = shop.id_base + day.toordinal() * IDS_A_DAY + np.arange(orders.size)


def _set_amounts(orders: Records, shop: Shop, uplift: float, random: np.random.Generator) -> None:
    size = orders.size
    unit = np.maximum(np.round(shop.median_cents * np.exp(random.normal(0, 0.45, size))), 199).astype(np.int64)
    lines = random.choice((1, 2, 3), size=size, p=(0.62, 0.26, 0.12))
    quantity = random.choice((1, 2, 3), size=size, p=(0.8, 0.15, 0.05))
    gross = unit * (lines + quantity - 1)
    discounted = random.random(size) < 0.08 + min(uplift, 0.5)
    orders["unit_cents"], orders["lines"], orders["first_quantity"] = unit, lines, quantity
    orders["discount_cents"] = np.where(discounted, gross // 10, 0)
    orders["subtotal_cents"] = gross - orders["discount_cents"]
    orders["shipping_cents"] = np.where(gross > 7_500, 0, 595)
    of_shipping = taxes.of_shipping(orders["shipping_cents"], are_included=shop.taxes_included)
    orders["tax_cents"] = taxes.of_items(orders["subtotal_cents"], are_included=shop.taxes_included) + of_shipping
    orders["person"] = random.integers(0, 100_000, size)
    orders["is_test"] = random.random(size) < 0.01
    orders["is_closed"] = random.random(size) < 0.5


def _set_places(orders: Records, shop: Shop, share: NDArray[np.float64], random: np.random.Generator) -> None:
    size = orders.size
    orders["place"] = shop.places[random.choice(shop.places.size, size=size, p=share)]
    centre = np.array([(PLACES[i].latitude, PLACES[i].longitude) for i in orders["place"]])
    jitter = _jitter_degrees(centre[:, 0], random)
    # Stratified, not drawn one by one: about 8% lack coordinates on every single day, and never 12%.
    place_in_line = random.permutation(size)
    rank = np.where(place_in_line < int(0.115 * size), (place_in_line + random.random()) / size, 1.0)
    address = np.select([rank < 0.015, rank < 0.03, rank < 0.08], [NO_ADDRESS, NONSENSE_ADDRESS, HAS_POSTAL_CODE], 0)
    located = address == HAS_COORDINATES
    orders["address"] = address
    orders["latitude"] = np.where(located, np.round(centre[:, 0] + jitter[:, 0], 6), np.nan)
    orders["longitude"] = np.where(located, np.round(centre[:, 1] + jitter[:, 1], 6), np.nan)


def _jitter_degrees(latitude: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return offsets to addresses spread evenly over a small disc around the centre of their place."""
    away = _STREETS_WITHIN_KM / _KM_PER_DEGREE * np.sqrt(random.random(latitude.size))
    bearing = random.uniform(0, 2 * np.pi, latitude.size)
    return np.stack([away * np.cos(bearing), away * np.sin(bearing) / np.cos(np.radians(latitude))], axis=1)


def _set_events(orders: Records, random: np.random.Generator) -> None:
    size = orders.size
    event = random.choice(5, size=size, p=(0.9, 0.02, 0.03, 0.03, 0.02))
    longest = np.array([1, 3, LONGEST_EVENT_DAYS - 4, LONGEST_EVENT_DAYS - 4, 5])[event]
    delay_days = 1 + np.floor(random.random(size) * longest).astype(np.int64)
    subtotal, unit = orders["subtotal_cents"], orders["unit_cents"]
    partly = np.where(subtotal > unit, subtotal - unit, subtotal // 2)
    nothing = np.zeros(size, dtype=np.int64)
    orders["event"] = event
    orders["event_at"] = (orders["created"] // 86_400 + delay_days) * 86_400 + 3 * 3_600
    orders["after_cents"] = np.choose(event, [subtotal, nothing, nothing, partly, subtotal + unit])
