"""Weather of regions and tenants: cells weighted by where orders went before, never by where they went that day.

A weight taken from the orders of the day is the target in disguise: a storm that stops orders would weigh itself out.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from weathervane_assets.transforms.calendar import ACTIVE_DAYS
from weathervane_assets.transforms.features import CARRIED

WEIGHED = tuple(name for name in CARRIED if not name.endswith("_flag") and name != "observation_type")
WEIGHT = "_weight"


def weighted_weather(
    features: pl.DataFrame, orders_history: pl.DataFrame, by: Sequence[str] = ("tenant_id",), *, lead_days: int = 0
) -> pl.DataFrame:
    """Return `by`, `date`, the weather columns as means over cells, and `weather_weight_ratio`; one row for each group and day.

    A cell weighs as many orders as went there from 365 days before the day up to the day before it (with `lead_days`: up to
    the day before the decision). `by`: columns of `features`; join a region by `geohash` first. A value is the mean over the cells that have
    it; null where none has, or where no order went anywhere before. `weather_weight_ratio` is the share of the weight that
    has weather. Flags are not averaged. `orders_history`: rows of `Orders`, from 365 days before the first day on.
    """
    weighed = _with_weights(features, orders_history, lead_days)
    groups = [*by, "date"]
    means = [_weighted_mean(name) for name in WEIGHED if name in features.columns]
    has_weather = pl.col(WEIGHT).filter(~pl.col("is_weather_missing")).sum() / _positive(pl.col(WEIGHT).sum())
    return weighed.group_by(groups).agg(*means, has_weather.alias("weather_weight_ratio")).sort(groups)


def _with_weights(features: pl.DataFrame, orders: pl.DataFrame, lead_days: int) -> pl.DataFrame:
    """Add the orders of each cell in the 365 days before the row's day, less the lead, as running totals' difference.

    Cancelled ones too: that they would be was not known on the day.
    """
    counts = (
        orders.filter(~pl.col("is_test"))
        .drop_nulls("ship_geohash")
        .group_by(pl.col("ship_geohash").alias("geohash"), "date")
        .len("_orders")
        .sort("geohash", "date")
        .select("geohash", "date", pl.col("_orders").cum_sum().over("geohash").cast(pl.Int64).alias("_total"))
    )
    until = _total_up_to(features, counts, -1 - lead_days).rename({"_total": "_until"})
    both = _total_up_to(until, counts, -1 - ACTIVE_DAYS)
    return both.with_columns((pl.col("_until") - pl.col("_total")).alias(WEIGHT)).drop("_until", "_total")


def _total_up_to(frame: pl.DataFrame, counts: pl.DataFrame, shift_days: int) -> pl.DataFrame:
    """Add `_total`: how many orders a cell had ever had by the end of the day that is `shift_days` from the row's."""
    ordered = frame.with_columns(pl.col("date").dt.offset_by(f"{shift_days}d").alias("_by")).sort("_by")
    dated = counts.rename({"date": "_by"}).sort("_by")
    joined = ordered.join_asof(dated, on="_by", by="geohash", strategy="backward", check_sortedness=False)
    return joined.drop("_by").with_columns(pl.col("_total").fill_null(0))


def _weighted_mean(name: str) -> pl.Expr:
    known = pl.col(name).is_not_null()
    weight = pl.col(WEIGHT).filter(known)
    return ((pl.col(name).filter(known) * weight).sum() / _positive(weight.sum())).alias(name)


def _positive(total: pl.Expr) -> pl.Expr:
    return pl.when(total > 0).then(total)
