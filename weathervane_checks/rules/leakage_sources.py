"""Leakage rules about what the join is made from: normals, versions, forecasts, units. Ids as in docs/weather.md."""

from __future__ import annotations

import polars as pl

from weathervane_checks.rules.join import ARCHIVE_MODEL, FORECAST_MODEL, KEYS, Join, nothing
from weathervane_checks.rules.leakage_derived import calendar_slot, wrong_anomalies

MIXED_SHARE = 0.15
MEASURED = (
    "temp_c",
    "temp_max_c",
    "temp_min_c",
    "precip_mm",
    "wind_gust_max_kmh",
    "wind_speed_max_kmh",
    "snowfall_cm",
    "humidity_mean",
    "apparent_temp_c",
    "precip_probability",
    "uv_index_max",
)


def forecast_learnt_too_late(join: Join) -> pl.DataFrame:
    """W04: a forecast was learnt after its day of issue, or is for a day before it: it is no forecast."""
    if not join.forecasts.width or not join.decisions.width:
        return nothing()
    dated = join.forecasts.join(join.decisions.select("date", "ends_at"), on="date", how="inner")
    late = pl.max_horizontal("known_at_utc", "issued_at_utc") >= pl.col("ends_at")
    lead = (pl.col("valid_date") - pl.col("date")).dt.total_days()
    return dated.filter(late | (lead < 0) | (lead != pl.col("lead_days"))).select(KEYS).unique()


def normal_knows_the_year(join: Join) -> pl.DataFrame:
    """W06: normals for a year are built from days of that year or later, or a row's anomaly is from other normals."""
    late = join.normals.filter(pl.col("base_end") >= pl.col("date")).select(*KEYS, is_yearly=pl.lit(value=True))
    foreign = pl.concat([_foreign_anomalies(join), wrong_anomalies(join)])
    return pl.concat([late, foreign.with_columns(is_yearly=pl.lit(value=False))])


def _foreign_anomalies(join: Join) -> pl.DataFrame:
    """Return the as_of rows whose anomaly is not against the normals that their decision could have.

    Not of `renormed` rows: the normals that they had are not kept.
    """
    normals = join.normals.select(
        "geohash", "day_of_year", "temp_mean_c", pl.col("date").dt.year().cast(pl.Int32).alias("normals_year")
    )
    judged = join.as_of.filter(pl.col("temp_anomaly").is_not_null()).join(join.renormed, on=KEYS, how="anti")
    rows = judged.with_columns(calendar_slot().alias("day_of_year"))
    unique = normals.unique(["geohash", "day_of_year", "normals_year"])
    both = rows.join(unique, on=["geohash", "day_of_year", "normals_year"], how="left", validate="m:1")
    off = (pl.col("temp_anomaly") - (pl.col("temp_c") - pl.col("temp_mean_c"))).abs() > 1e-6
    return both.filter(off | pl.col("temp_mean_c").is_null()).select(KEYS)


def normal_counts_twice(join: Join) -> pl.DataFrame:
    """W07: normals count a year or a slot twice, or are built from forecasts."""
    span = pl.col("base_end").dt.year() - pl.col("base_start").dt.year() + 1
    twice = pl.struct(*KEYS, "day_of_year").is_duplicated()
    wrong = join.normals.filter((pl.col("years") > span) | (pl.col("model") == FORECAST_MODEL) | twice)
    return wrong.select(*KEYS, is_yearly=pl.lit(value=True))


def model_of_unknown_age(join: Join) -> pl.DataFrame:
    """W11: weather is of a model of which nobody says when a value is known, such as another run's hours."""
    return join.weather.filter(~pl.col("source_model").is_in([ARCHIVE_MODEL, FORECAST_MODEL]))


def impossible_units(join: Join) -> pl.DataFrame:
    """W13: values that cannot be in their unit together: snow in mm, gusts in m/s, humidity as a ratio, two temperatures."""
    low, mean, high = pl.col("temp_min_c"), pl.col("temp_c"), pl.col("temp_max_c")
    # 1 mm of water is about 0.7 cm of snow; in mm it would be 7 of them
    snow = pl.col("snowfall_cm") > 3 * pl.col("precip_mm") + 5
    gusts = pl.col("wind_gust_max_kmh") < 0.5 * pl.col("wind_speed_max_kmh")
    humidity = pl.col("humidity_mean").is_between(0, 1, closed="right")
    return join.weather.filter((low > mean + 0.5) | (mean > high + 0.5) | snow | gusts | humidity)


def kinds_are_mixed(join: Join) -> pl.DataFrame:
    """W14: the matrix mixes join modes, or a day's weather is of another kind or age than the window's."""
    if len(join.modes) > 1:
        return join.features.select(KEYS)
    rows = join.as_of.filter(pl.col("weather_known_at_utc").is_not_null())
    age = (pl.col("decision_at") - pl.col("weather_known_at_utc")).dt.total_days()
    kinds = rows.select(*KEYS, pl.struct("observation_type", age.alias("age")).alias("_kind"))
    if kinds.is_empty():
        return nothing()
    usual = kinds["_kind"].value_counts(sort=True)["_kind"][0]
    other = kinds.with_columns(_is_other=pl.col("_kind") != pl.lit(usual, dtype=kinds.schema["_kind"]))
    return other.filter((pl.col("_is_other").mean().over("date") > MIXED_SHARE) & pl.col("_is_other")).select(KEYS)


def history_was_rewritten(join: Join) -> pl.DataFrame:
    """W15: two versions of a value were learnt at the same instant and differ: history was rewritten."""
    if not join.versions.width:
        return nothing()
    same = ["geohash", "valid_date", "source_model", "known_at_utc"]
    said = pl.struct(name for name in MEASURED if name in join.versions.columns).n_unique().alias("_said")
    wrong = join.versions.group_by(same).agg(said).filter(pl.col("_said") > 1)
    return wrong.select(pl.col("valid_date").alias("date"), "geohash")


def future_matters(join: Join) -> pl.DataFrame:
    """W16: a row is another one when what was learnt after its decision is shuffled."""
    return join.shuffled.select(KEYS) if join.shuffled.width else nothing()
