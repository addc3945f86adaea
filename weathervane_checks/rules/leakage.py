"""The weather join may not know the future. Each rule names the rows that break it; ids as in docs/weather.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from weathervane_checks.findings import Finding

ARCHIVE_MODEL = "era5_seamless"
ARCHIVE_DELAY = timedelta(days=4)
FLAG_INPUTS = {
    "freeze_flag": "temp_min_c",
    "heatwave_flag": "temp_max_c",
    "snow_event_flag": "snowfall_cm",
    "high_wind_flag": "wind_gust_max_kmh",
    "uv_alert_flag": "uv_index_max",
    "high_precip_prob_flag": "precip_probability",
    "temp_anomaly": "temp_c",
    "precip_anomaly": "precip_mm",
}
NOT_WEATHER = frozenset({"tenant_id", "date", "geohash", "source", "as_of_utc"})
LAGS = {
    "temp_c_lag1": "temp_c",
    "precip_mm_lag1": "precip_mm",
    "uv_index_lag1": "uv_index_max",
    "precip_probability_lag1": "precip_probability",
    "humidity_lag1": "humidity_mean",
}


@dataclass(frozen=True)
class Join:
    """The matrix of a window, the weather it was joined from, and the normals behind the weather's anomalies."""

    features: pl.DataFrame
    weather: pl.DataFrame
    normals: pl.DataFrame
    today: date


def _day_end() -> pl.Expr:
    return pl.col("utc_datetime") + pl.duration(days=1)


def observed_before_the_day_ended(join: Join) -> pl.DataFrame:
    """W01: an observation of a day was known before the day was over."""
    observed = pl.col("observation_type") == "observed"
    return join.weather.filter(observed & (pl.col("as_of_utc") < _day_end()))


def known_after_the_decision(join: Join) -> pl.DataFrame:
    """W02: in join mode as_of, the weather was learnt after the day had begun."""
    starts = join.weather.select("date", "geohash", "utc_datetime")
    as_of = join.features.filter(pl.col("join_mode") == "as_of").join(starts, on=["date", "geohash"], how="left")
    return as_of.filter(pl.col("weather_known_at_utc") > pl.col("utc_datetime"))


def archived_too_early(join: Join) -> pl.DataFrame:
    """W03: a row says it is from the archive at a time when the archive cannot have had it."""
    archived = pl.col("source_model") == ARCHIVE_MODEL
    return join.weather.filter(archived & (pl.col("as_of_utc") < _day_end() + pl.lit(ARCHIVE_DELAY)))


def lag_is_not_yesterday(join: Join) -> pl.DataFrame:
    """W05: a lag differs from the value of the calendar day before."""
    yesterday = join.weather.select(
        "geohash",
        pl.col("date").dt.offset_by("1d"),
        *(pl.col(value).alias(f"_{lag}") for lag, value in LAGS.items()),
        pl.lit(value=True).alias("_known"),
    )
    both = join.weather.join(yesterday, on=["geohash", "date"], how="inner")
    return both.filter(pl.any_horizontal(*(pl.col(lag).ne_missing(pl.col(f"_{lag}")) for lag in LAGS)))


def normal_knows_the_year(join: Join) -> pl.DataFrame:
    """W06: normals for a year are built from days of that year or later."""
    return join.normals.filter(pl.col("base_end") >= pl.col("date"))


def doubled_rows(join: Join) -> pl.DataFrame:
    """W08: a cell and day stands more than once in the matrix or in the weather."""
    keys = ["date", "geohash"]
    doubled = [frame.filter(pl.struct(keys).is_duplicated()).select(keys) for frame in (join.features, join.weather)]
    return pl.concat(doubled)


def joined_to_another_day(join: Join) -> pl.DataFrame:
    """W09: the matrix shows weather that the cell did not have on that local day."""
    carried = [name for name in join.features.columns if name in join.weather.columns and name not in NOT_WEATHER]
    mine = join.weather.select("date", "geohash", "local_date", *(pl.col(name).alias(f"_{name}") for name in carried))
    joined = join.features.join(mine, on=["date", "geohash"], how="left")
    # where the matrix says that weather is missing, it must show none
    is_there = ~pl.col("is_weather_missing")
    differs = (pl.col(name).ne_missing(pl.when(is_there).then(f"_{name}")) for name in carried)
    return joined.filter(pl.any_horizontal(*differs, is_there & pl.col("local_date").ne_missing(pl.col("date"))))


def mixed_day_basis(join: Join) -> pl.DataFrame:
    """W10: days are cut in more than one way, or a day starts at an hour that no time zone knows."""
    is_mixed = pl.col("day_basis").n_unique() > 1
    off = (pl.col("utc_datetime") - pl.col("local_datetime").dt.replace_time_zone("UTC")).dt.total_hours().abs() > 14
    return join.weather.filter(is_mixed | off | (pl.col("local_date") != pl.col("date")))


def known_though_input_is_unknown(join: Join) -> pl.DataFrame:
    """W12: a flag or anomaly has a value though its input is null: null became zero."""
    wrong = pl.any_horizontal(
        *(pl.col(derived).is_not_null() & pl.col(value).is_null() for derived, value in FLAG_INPUTS.items())
    )
    return join.weather.filter(wrong)


def day_is_in_the_future(join: Join) -> pl.DataFrame:
    """W18: the matrix has sales of a day that has not begun."""
    return join.features.filter(pl.col("date") > pl.lit(join.today))


RULES: dict[str, Callable[[Join], pl.DataFrame]] = {
    "W01": observed_before_the_day_ended,
    "W02": known_after_the_decision,
    "W03": archived_too_early,
    "W05": lag_is_not_yesterday,
    "W06": normal_knows_the_year,
    "W08": doubled_rows,
    "W09": joined_to_another_day,
    "W10": mixed_day_basis,
    "W12": known_though_input_is_unknown,
    "W18": day_is_in_the_future,
}


def judge_leakage(join: Join, days: Sequence[date]) -> list[Finding]:
    """Return one finding a day; any violation is critical. A rule about normals speaks against every day of their year."""
    violations = [(rule, _located(find(join), rule)) for rule, find in RULES.items()]
    return [_judge(day, violations, join.features) for day in sorted(days)]


def _located(rows: pl.DataFrame, rule: str) -> pl.DataFrame:
    keys = rows.select(pl.col("date"), pl.col("geohash").cast(pl.String))
    return keys.with_columns(pl.lit(rule == "W06").alias("is_yearly"))


def _judge(day: date, violations: Sequence[tuple[str, pl.DataFrame]], features: pl.DataFrame) -> Finding:
    is_of_day = (pl.col("date") == day) | (pl.col("is_yearly") & (pl.col("date").dt.year() == day.year))
    hits = [(rule, found) for rule, rows in violations if (found := rows.filter(is_of_day)).height]
    rows = features.filter(pl.col("date") == day).height
    if not hits:
        return Finding(day, "ok", 0, 0, note=f"{rows} rows, {len(RULES)} rules, none broken", extra={"rows": rows})
    count = sum(found.height for _, found in hits)
    note = "; ".join(f"{rule}: {_first_sentence(rule)} ({found.height} rows)" for rule, found in hits)
    sample = tuple(f"{day}/{cell}" for _, found in hits for cell in found["geohash"].head(5))
    return Finding(
        day, "critical", count, 0, tuple(f"leakage_{rule}" for rule, _ in hits), note, sample, {"rows": rows}
    )


def _first_sentence(rule: str) -> str:
    return (RULES[rule].__doc__ or "").partition(": ")[2].rstrip(".")
