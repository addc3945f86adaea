"""Daily weather of cells: anomalies, rolling means, lags and flags, all by calendar day and never looking ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import polars as pl

from weathervane_assets.transforms.calendar import day_slot

LOOKBACK_DAYS = 7
ROLL_MIN_DAYS = 5
LAGGED = {
    "temp_c": "temp_c_lag1",
    "precip_mm": "precip_mm_lag1",
    "uv_index_max": "uv_index_lag1",
    "precip_probability": "precip_probability_lag1",
    "humidity_mean": "humidity_lag1",
}


def _limit(default: float, unit: str, reason: str) -> float:
    """Describe one limit."""
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True)
class FlagLimits:
    """When a day counts as an event. A tenant may override each in tenants.toml."""

    freeze_max_c: float = _limit(0.0, "degC, lowest temperature at most", "water freezes (ETCCDI frost day)")
    heat_min_c: float = _limit(
        25.0, "degC, highest temperature at least", "above the p90 of the day alone, a mild winter day would be heat"
    )
    snow_min_cm: float = _limit(1.0, "cm a day at least", "less does not lie")
    high_wind_min_kmh: float = _limit(62.0, "km/h, gusts at least", "Beaufort 8, gale")
    uv_min: float = _limit(8.0, "UV index at least", "WHO: very high")
    precip_probability_min: float = _limit(0.7, "ratio at least", "rain is what people expect")

    @classmethod
    def of(cls, overrides: Mapping[str, float]) -> FlagLimits:
        """Return the limits with those of a tenant's overrides that are limits."""
        return cls(**{name: value for name, value in overrides.items() if name in FLAG_NAMES})


FLAG_NAMES = frozenset(f.name for f in fields(FlagLimits))


def describe_days(
    values: pl.DataFrame, normals: pl.DataFrame, active: pl.DataFrame, cells: pl.DataFrame, limits: FlagLimits
) -> pl.DataFrame:
    """Return one row per active cell and day that has weather, with everything of `WeatherDaily` but the two ids.

    `values`: `geohash`, `date`, the weather values, `observation_type`, `source_model`, `source`, `as_of_utc`; from
    `LOOKBACK_DAYS` before the first active day on. `normals`: `geohash`, `year`, `day_of_year`, `temp_mean_c`,
    `precip_mean_mm`, `temp_p90_c`. `active`: `date`, `geohash`. `cells`: `geohash`, `timezone`, `lst_offset_hours`.
    A cell or day without weather has no row: it is missing, not zero.
    """
    dated = values.with_columns(day_slot(pl.col("date")).cast(pl.Int16).alias("day_of_year"))
    with_normals = _join_normals(dated, normals)
    described = _add_heatwave(_add_lags(_add_rolling(with_normals)), limits).with_columns(
        (pl.col("temp_c") - pl.col("temp_mean_c")).alias("temp_anomaly"),
        (pl.col("precip_mm") - pl.col("precip_mean_mm")).alias("precip_anomaly"),
        **_flags(limits),
    )
    wanted = active.select("date", "geohash").join(described, on=["date", "geohash"], how="inner", validate="1:1")
    return _add_day_columns(wanted.join(cells, on="geohash", how="inner", validate="m:1"))


def _join_normals(dated: pl.DataFrame, normals: pl.DataFrame) -> pl.DataFrame:
    columns = ["geohash", "year", "day_of_year", "temp_mean_c", "precip_mean_mm", "temp_p90_c"]
    by_year = dated.with_columns(pl.col("date").dt.year().cast(pl.Int32).alias("year"))
    table = normals.select(columns).with_columns(pl.col("year").cast(pl.Int32))
    return by_year.join(table, on=["geohash", "year", "day_of_year"], how="left", validate="m:1").drop("year")


def _add_rolling(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the means of the 7 calendar days before, where at least 5 of them have a value."""
    ordered = frame.sort("geohash", "date")
    window = {"window_size": "7d", "min_samples": ROLL_MIN_DAYS, "closed": "left"}
    return ordered.with_columns(
        pl.col(name).rolling_mean_by("date", **window).over("geohash").alias(rolled)  # type: ignore[arg-type]
        for name, rolled in {"temp_c": "temp_roll7", "precip_mm": "precip_roll7"}.items()
    )


def _add_lags(frame: pl.DataFrame) -> pl.DataFrame:
    """Add yesterday's values, by date: after a gap there is no yesterday."""
    lagged = frame.select(
        pl.col("geohash"),
        pl.col("date").dt.offset_by("1d"),
        *(pl.col(name).alias(lag) for name, lag in LAGGED.items()),
    )
    return frame.join(lagged, on=["geohash", "date"], how="left", validate="1:1")


def _add_heatwave(frame: pl.DataFrame, limits: FlagLimits) -> pl.DataFrame:
    """Mark the third and later days of heat: a day is only ever judged by itself and the two before it.

    A mild yesterday rules a heatwave out, but not on a day whose own maximum nobody knows.
    """
    hot = (pl.col("temp_max_c") > pl.col("temp_p90_c")) & (pl.col("temp_max_c") >= limits.heat_min_c)
    heat = frame.select("geohash", "date", hot.alias("_hot"))
    for back in (1, 2):
        earlier = heat.select("geohash", pl.col("date").dt.offset_by(f"{back}d"), pl.col("_hot").alias(f"_hot{back}"))
        frame = frame.join(earlier, on=["geohash", "date"], how="left", validate="1:1")
    flag = pl.when(pl.col("temp_max_c").is_not_null()).then(pl.all_horizontal(hot, "_hot1", "_hot2"))
    return frame.with_columns(flag.cast(pl.Int8).alias("heatwave_flag")).drop("_hot1", "_hot2")


def _flags(limits: FlagLimits) -> Mapping[str, pl.Expr]:
    """Return the one-day flags; a comparison with null is null, so an unknown input stays unknown."""
    conditions = {
        "freeze_flag": pl.col("temp_min_c") <= limits.freeze_max_c,
        "snow_event_flag": pl.col("snowfall_cm") >= limits.snow_min_cm,
        "high_wind_flag": pl.col("wind_gust_max_kmh") >= limits.high_wind_min_kmh,
        "uv_alert_flag": pl.col("uv_index_max") >= limits.uv_min,
        "high_precip_prob_flag": pl.col("precip_probability") >= limits.precip_probability_min,
    }
    return {name: condition.cast(pl.Int8) for name, condition in conditions.items()}


def _add_day_columns(frame: pl.DataFrame) -> pl.DataFrame:
    midnight = pl.col("date").cast(pl.Datetime("us"))
    utc = midnight - pl.duration(hours=pl.col("lst_offset_hours"))
    return frame.with_columns(
        pl.col("date").alias("local_date"),
        midnight.alias("local_datetime"),
        utc.dt.replace_time_zone("UTC").alias("utc_datetime"),
        pl.lit("lst").alias("day_basis"),
    ).sort("date", "geohash")
