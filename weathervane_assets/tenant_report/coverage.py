"""The section on coverage: how many orders have a place, how much of the matrix has weather, and which places these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geohash
import polars as pl

from weathervane_assets.tenant_report.charts import coverage_chart
from weathervane_assets.tenant_report.source import Missing, Source
from weathervane_assets.tenant_report.svg import Chart
from weathervane_assets.transforms.features import sales
from weathervane_checks.geocoding_report import geocoding_report
from weathervane_resources.geocoder import PostalPlaces, centre
from weathervane_resources.lake import Lake

MOST_CELLS = 10
FEWEST_ORDERS = 5
"""A cell with fewer orders could point at a person: it is counted with the others."""
HOW = {
    "address": "coordinates of the address",
    "postal": "postal code",
    "postal_prefix": "first part of the postal code",
    "city": "city",
    "none": "no place found",
}


@dataclass(frozen=True)
class Cell:
    """One cell that orders went to."""

    geohash: str
    place: str | None
    latitude: float
    longitude: float
    orders: int
    weather_ratio: float | None


@dataclass(frozen=True)
class Coverage:
    """The section. `report` is the one of `weathervane coverage geocoding`, over all that the lake holds."""

    missing: Missing | None
    report: Mapping[str, Any]
    orders: int
    located_ratio: float | None
    located_limit: float
    weather_ratio: float | None
    weather_limit: float
    weather_missing: Missing | None
    found: Mapping[str, int]
    cells: Sequence[Cell]
    other_cells: int
    other_orders: int
    all_cells: int
    chart: Chart | None
    by_day: pl.DataFrame


def examine_coverage(source: Source) -> Coverage:
    """Return the section."""
    orders = source.orders_of_period
    by_day = _by_day(source, orders)
    cells = _cells(source, orders)
    shown = cells.filter(pl.col("orders") >= FEWEST_ORDERS).head(MOST_CELLS)
    other = cells.height - shown.height
    has_features = source.features.height > 0
    return Coverage(
        missing=_why_no_orders(source) if orders.is_empty() else None,
        report=geocoding_report(source.tenant, source.lake, source.now),
        orders=orders.height,
        located_ratio=_mean(orders["ship_geohash"].is_not_null()),
        located_limit=source.limits.geocoded_ratio_warning,
        weather_ratio=_mean(~source.features["is_weather_missing"]),
        weather_limit=source.limits.weather_coverage_warning,
        weather_missing=source.no_matrix,
        found={HOW[how]: n for how, n in orders["geo_source"].value_counts(sort=True).iter_rows()},
        cells=_named(shown, source.lake, orders),
        other_cells=other,
        other_orders=sum(cells["orders"].to_list()) - sum(shown["orders"].to_list()),
        all_cells=source.features["geohash"].n_unique(),
        chart=coverage_chart(by_day, source.limits) if has_features and orders.height else None,
        by_day=by_day,
    )


def _why_no_orders(source: Source) -> Missing:
    if source.no_matrix and source.ledger.is_empty():
        return source.no_matrix
    if source.is_unconfigured("orders"):
        return Missing("No source of orders is configured.", "Set the shop's credentials: docs/sources.")
    return Missing("There is no order in the period.", source.backfill("orders"))


def _by_day(source: Source, orders: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `orders`, `located_ratio`, `rows`, `weather_ratio` for each day of the period; null without any."""
    located = orders.group_by("date").agg(
        pl.len().alias("orders"), pl.col("ship_geohash").is_not_null().mean().alias("located_ratio")
    )
    known = source.features.group_by("date").agg(
        pl.len().alias("rows"), (~pl.col("is_weather_missing")).mean().alias("weather_ratio")
    )
    spine = pl.DataFrame({"date": source.days}, schema={"date": pl.Date})
    return spine.join(located, on="date", how="left", validate="1:1").join(known, on="date", how="left", validate="1:1")


def _cells(source: Source, orders: pl.DataFrame) -> pl.DataFrame:
    """Return `geohash`, `orders` (sales), `weather_ratio`, the most orders first."""
    counts = sales(orders).drop_nulls("ship_geohash").group_by(pl.col("ship_geohash").alias("geohash")).len("orders")
    known = source.features.group_by("geohash").agg((~pl.col("is_weather_missing")).mean().alias("weather_ratio"))
    joined = counts.join(known, on="geohash", how="left", validate="1:1")
    return joined.sort(["orders", "geohash"], descending=[True, False])


def _named(cells: pl.DataFrame, lake: Lake, orders: pl.DataFrame) -> list[Cell]:
    is_stub = orders["source"].eq("stub").any()
    countries = orders["shipping_country"].drop_nulls().unique().to_list()
    places = PostalPlaces(lake, is_stub=is_stub).read(countries) if cells.height else pl.DataFrame()
    return [
        Cell(cell, _place(cell, places), *centre(cell), count, ratio)
        for cell, count, ratio in cells.select("geohash", "orders", "weather_ratio").iter_rows()
    ]


def _place(cell: str, places: pl.DataFrame) -> str | None:
    """Return the place of most postal codes in a cell, None where no postal table has one."""
    box = geohash.bbox(cell)
    inside = places.filter(
        pl.col("latitude").is_between(box["s"], box["n"]), pl.col("longitude").is_between(box["w"], box["e"])
    )
    names = (
        inside.drop_nulls("place").group_by("place", "country").len().sort(["len", "place"], descending=[True, False])
    )
    return f"{names['place'][0]}, {names['country'][0]}" if names.height else None


def _mean(values: pl.Series) -> float | None:
    return float(values.mean()) if values.len() else None  # type: ignore[arg-type] # of Booleans: a float
