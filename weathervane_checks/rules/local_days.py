"""Whose day a sale's weather is of.

A row of the matrix is a date: the sale's by the shop's clock, the weather's by the place's. Where the two clocks are hours apart, a
sale of the evening joins the weather of a day that was over, or had not begun, where it goes. That is counted here; no row moves.
"""

from __future__ import annotations

import polars as pl
from weathervane_resources.local_time import local_date

from weathervane_checks.rules.join import KEYS


def count_other_days(orders: pl.DataFrame, features: pl.DataFrame, weather: pl.DataFrame) -> tuple[int, int]:
    """Return how many sales in the matrix go to a place of known time zone, and how many of them had another date there."""
    zones = weather.select("geohash", "timezone").unique("geohash", keep="first", maintain_order=True)
    placed = (
        orders.filter(~pl.col("is_test") & pl.col("cancelled_at").is_null())
        .select("date", "created_at", pl.col("ship_geohash").alias("geohash"))
        .join(features.select(KEYS), on=KEYS, how="semi")
        .join(zones, on="geohash", how="inner", validate="m:1")
    )
    others = (
        sales.filter(local_date("created_at", str(zone)) != pl.col("date")).height
        for (zone,), sales in placed.group_by("timezone")
    )
    return placed.height, sum(others)
