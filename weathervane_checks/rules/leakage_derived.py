"""Anomalies and flags of the stored weather, computed again from its values: wrong ones are wrong in the matrix too. Ids as in docs/weather.md."""

from __future__ import annotations

import polars as pl

from weathervane_checks.rules.join import KEYS, Join, nothing

ANOMALIES = {"temp_anomaly": ("temp_c", "temp_mean_c"), "precip_anomaly": ("precip_mm", "precip_mean_mm")}
OF_NORMALS = frozenset({*ANOMALIES, "heatwave_flag"})
"""What the normals of its place decide in a row."""
LEAST = {
    "snow_event_flag": ("snowfall_cm", "snow_min_cm"),
    "high_wind_flag": ("wind_gust_max_kmh", "high_wind_min_kmh"),
    "uv_alert_flag": ("uv_index_max", "uv_min"),
    "high_precip_prob_flag": ("precip_probability", "precip_probability_min"),
}
"""The flags that are set by one value of the day itself from a limit on, with both."""
LIMITS = ("freeze_max_c", "heat_min_c", *(limit for _, limit in LEAST.values()))
TOLERANCE = 1e-6


def wrong_anomalies(join: Join) -> pl.DataFrame:
    """Return the days and cells in join mode observed whose anomaly is not the value less the normal of its place and calendar day.

    Only of `normed` days: of others the normals were made again since. One that is null is none: its place may be newer than it.
    """
    if join.is_as_of or not join.normed:
        return nothing()
    year, slot = pl.col("date").dt.year().alias("_year"), calendar_slot().alias("_slot")
    rows = join.weather.filter(pl.col("date").is_in(sorted(join.normed))).with_columns(year, slot)
    means = join.normals.select(
        "geohash", year, pl.col("day_of_year").alias("_slot"), *(mean for _, mean in ANOMALIES.values())
    )
    both = rows.join(means.unique(["geohash", "_year", "_slot"]), on=["geohash", "_year", "_slot"], how="left")
    return both.filter(pl.any_horizontal(_is_off(name, *of) for name, of in ANOMALIES.items())).select(KEYS)


def calendar_slot() -> pl.Expr:
    """Return the slot 1-366 of the date's month and day, the same in each year."""
    return pl.date(2000, pl.col("date").dt.month(), pl.col("date").dt.day()).dt.ordinal_day().cast(pl.Int16)


def _is_off(anomaly: str, value: str, mean: str) -> pl.Expr:
    off = (pl.col(anomaly) - (pl.col(value) - pl.col(mean))).abs() > TOLERANCE
    return pl.col(anomaly).is_not_null() & pl.col(value).is_not_null() & (off | pl.col(mean).is_null())


def wrong_flags(join: Join) -> pl.DataFrame:
    """Return the days and cells in join mode observed with a flag that the limits noted of the day do not set.

    Of a heatwave only that its own day is hot enough: the two days before, and their normals, are not looked at.
    """
    if join.is_as_of or not join.limits.width:
        return nothing()
    both = join.weather.join(join.limits, on="date", how="inner", validate="m:1")
    freezes = pl.col("temp_min_c") <= pl.col("freeze_max_c")
    wrong = [
        _is_not_as("freeze_flag", freezes),
        *(_is_not_as(f, pl.col(v) >= pl.col(x)) for f, (v, x) in LEAST.items()),
    ]
    too_cool = (pl.col("heatwave_flag") == 1) & (pl.col("temp_max_c") < pl.col("heat_min_c"))
    return both.filter(pl.any_horizontal(*wrong, too_cool.fill_null(value=False))).select(KEYS)


def _is_not_as(flag: str, is_set: pl.Expr) -> pl.Expr:
    """Return whether a flag is another than it has to be; where that is not known, W12 judges it."""
    return is_set.is_not_null() & pl.col(flag).ne_missing(is_set.cast(pl.Int8))
