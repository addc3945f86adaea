"""Shopify orders to rows of `Orders`. Personal data never gets this far: the client does not decode it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl
from weathervane_resources.clients.shopify import AmountField, Order, ShippingAddress
from weathervane_resources.geocoder import locate
from weathervane_resources.local_time import local_date

from weathervane_assets.tables import MONEY, Orders, conform
from weathervane_assets.transforms.rejects import Sorted, exact_money, exact_sum, instant, known_currency, set_aside

RFC3339 = "%+"
AMOUNTS: dict[str, AmountField] = {
    "total_price": "total_price",
    "subtotal_price": "subtotal_price",
    "total_tax": "total_tax",
    "total_discounts": "total_discounts",
    "net_revenue": "current_subtotal_price",
}
REQUIRED = (
    "created_at", "updated_at", "currency", "total_price", "subtotal_price", "total_tax", "total_discounts",
)  # fmt: skip
OF_SHIPPING = ("shipping_taxes", "shipping_charged", "shipping_left", "shipping_refunded")
_NOWHERE = ShippingAddress()


ROWS_AT_ONCE = 50_000
"""What is made of them on the way takes several times what comes out."""


def order_rows(
    sent: pl.DataFrame, places: pl.DataFrame, *, tenant_id: str, timezone: str, source: str, as_of: datetime
) -> Sorted:
    """Return one row per order on the tenant-local day it was created, by time.

    An order of which a value cannot be read, or is absent where the contract wants one, is set aside.
    `sent`: as `order_columns` gives them. `places`: the postal tables of the countries shipped to (`PostalPlaces.read`).
    """
    slices = sent.iter_slices(ROWS_AT_ONCE) if sent.height else [sent]
    rows_of = partial(_rows, places=places, tenant_id=tenant_id, timezone=timezone, source=source, as_of=as_of)
    done = [rows_of(part) for part in slices]
    rows = pl.concat([part.rows for part in done]).sort("created_at", "order_id")
    return Sorted(rows, pl.concat([part.rejects for part in done]))


def _rows(
    sent: pl.DataFrame, places: pl.DataFrame, *, tenant_id: str, timezone: str, source: str, as_of: datetime
) -> Sorted:
    raw = sent.with_columns(
        instant("created_at", "updated_at", "cancelled_at", written=RFC3339),
        exact_money(*AMOUNTS, "current_total_tax"),
        *map(exact_sum, OF_SHIPPING),
        known_currency(),
    )
    day = local_date("created_at", timezone)
    usable, rejects = set_aside(sent, raw, REQUIRED, day=day, key=pl.col("order_id"))
    frame = conform(
        locate(usable, places).with_columns(
            _before_tax("net_revenue"),
            pl.lit(tenant_id).alias("tenant_id"),
            day.alias("date"),
            pl.col("postal_code").alias("shipping_postal_code"),
            pl.col("country").alias("shipping_country"),
            pl.col("latitude").alias("ship_latitude"),
            pl.col("longitude").alias("ship_longitude"),
            pl.lit(source).alias("source"),
            pl.lit(as_of).dt.cast_time_unit("us").alias("as_of_utc"),
        ),
        Orders,
    )
    return Sorted(frame, rejects)


def _before_tax(subtotal: str) -> pl.Expr:
    """Return a current subtotal without the items' tax where the shop's prices include it, null where that is unknown.

    The current tax is that of items and shipping; the subtotal is of items only, so what is the shipping's stays out.
    """
    items_tax = (pl.col("current_total_tax") - _current_shipping_tax()).clip(0)
    before = (pl.col(subtotal) - items_tax).clip(0).cast(MONEY)
    return pl.when("taxes_included").then(before).otherwise(subtotal).alias(subtotal)


def _current_shipping_tax() -> pl.Expr:
    """Return the tax of shipping that is still in the current tax: its tax lines stay as they were when it is refunded.

    It falls as the price falls. Where the price that is left was not sent, nothing is taken for refunded.
    """
    taxes, charged = pl.col("shipping_taxes"), pl.col("shipping_charged")
    left = pl.coalesce("shipping_left", charged - pl.col("shipping_refunded")).clip(0)
    divisor = pl.when(left < charged).then(charged)  # above zero
    return pl.coalesce((taxes * left / divisor).round(2, mode="half_away_from_zero"), taxes)


def order_columns(orders: Sequence[Order]) -> pl.DataFrame:
    """Return what orders say as it was sent: amounts and times as text, one row an order."""
    address = [order.shipping_address or _NOWHERE for order in orders]
    text: dict[str, list[str | None]] = {
        "order_id": [str(order.id) for order in orders],
        "name": [order.name for order in orders],
        "created_at": [order.created_at for order in orders],
        "updated_at": [order.updated_at for order in orders],
        "cancelled_at": [order.cancelled_at for order in orders],
        "financial_status": [order.financial_status for order in orders],
        "currency": [order.shop_currency() for order in orders],
        "postal_code": _each(address, lambda a: a.zip or None),
        "country": _each(address, lambda a: a.country_code or None),
        "city": _each(address, lambda a: a.city or None),
        "admin1_code": _each(address, lambda a: a.province_code or None),
    }
    text |= {name: [order.amount(field) for order in orders] for name, field in AMOUNTS.items()}
    # only where they are needed: a tax that cannot be read costs no order that nothing is taken out of
    taxed = [order if order.taxes_included else None for order in orders]
    text["current_total_tax"] = [order.amount("current_total_tax") if order else None for order in taxed]
    of_shipping = {name: [getattr(order, name)() if order else None for order in taxed] for name in OF_SHIPPING}
    series = [pl.Series(name, values, dtype=pl.String) for name, values in text.items()]
    return pl.DataFrame(
        [
            *series,
            pl.Series("latitude", _each(address, lambda a: a.latitude), dtype=pl.Float64),
            pl.Series("longitude", _each(address, lambda a: a.longitude), dtype=pl.Float64),
            *(pl.Series(name, values, dtype=pl.List(pl.String)) for name, values in of_shipping.items()),
            pl.Series("taxes_included", [order is not None for order in taxed], dtype=pl.Boolean),
            pl.Series("is_test", [bool(order.test) for order in orders], dtype=pl.Boolean),
            pl.Series("line_item_count", [len(order.line_items or ()) for order in orders], dtype=pl.Int32),
        ]
    )


def _each(addresses: Sequence[ShippingAddress], read: Callable[[ShippingAddress], Any]) -> list[Any]:
    return [read(address) for address in addresses]


def geocoded_by_day(orders: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `orders`, `geocoded`, `geocoded_ratio` (null for a day without orders)."""
    found = pl.col("ship_geohash").is_not_null()
    return (
        orders.group_by("date")
        .agg(pl.len().alias("orders"), found.sum().alias("geocoded"), found.mean().alias("geocoded_ratio"))
        .sort("date")
    )
