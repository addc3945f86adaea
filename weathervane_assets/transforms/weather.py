"""Daily weather of cells: anomalies, rolling means, lags and flags, all by calendar day and never looking ahead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

import polars as pl

from weathervane_assets.transforms.calendar import SLOTS, day_slot, in_calendar_order

LOOKBACK_DAYS = 7
ROLL_MIN_DAYS = 5
ROLLED = {"temp_c": "temp_roll7", "precip_mm": "precip_roll7"}
LAGGED = {
    "temp_c": "temp_c_lag1",
    "precip_mm": "precip_mm_lag1",
    "uv_index_max": "uv_index_lag1",
    "precip_probability": "precip_probability_lag1",
    "humidity_mean": "humidity_lag1",
}
_CELL, _DAY, _SLOT = "_cell", "_day", "_slot"
_FAR_APART_DAYS = 10_000_000
"""More than there are days between any two dates."""


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

    @classmethod
    def read(cls, noted: str) -> FlagLimits:
        """Return the limits that were `noted`."""
        return cls.of(json.loads(noted))

    @property
    def noted(self) -> str:
        """The limits as the ledger keeps them beside the days whose flags they set."""
        return json.dumps(asdict(self))


FLAG_NAMES = frozenset(f.name for f in fields(FlagLimits))


def describe_days(
    values: pl.DataFrame, normals: pl.DataFrame, active: pl.DataFrame, cells: pl.DataFrame, limits: FlagLimits
) -> pl.DataFrame:
    """Return one row per active cell and day that has weather, with everything of `WeatherDaily` but the two ids.

    `values`: `geohash`, `date`, the weather values, `observation_type`, `source_model`, `source`, `as_of_utc`; from
    `LOOKBACK_DAYS` before the first active day on. `normals`: `geohash`, `year`, `day_of_year`, `temp_mean_c`,
    `precip_mean_mm`, `temp_p90_c`. `active`: `date`, `geohash`. `cells`: `geohash`, `timezone`, `lst_offset_hours`.
    A cell or day without weather has no row: it is missing, not zero. Rows are in order of cell and day.

    Raises: ValueError: a cell has two rows of one day.
    """
    numbered = _on_one_calendar(values)
    described = _join_normals(numbered, normals).with_columns(
        (pl.col("temp_c") - pl.col("temp_mean_c")).alias("temp_anomaly"),
        (pl.col("precip_mm") - pl.col("precip_mean_mm")).alias("precip_anomaly"),
        *(_mean_before(name).alias(rolled) for name, rolled in ROLLED.items()),
        *(_days_ago(pl.col(name), 1).alias(lag) for name, lag in LAGGED.items()),
        _heatwave(limits).cast(pl.Int8).alias("heatwave_flag"),
        **_flags(limits),
    )
    places = _numbered_cells(numbered).join(cells, on="geohash", how="inner", validate="1:1", maintain_order="left")
    wanted = described.filter(pl.col(_DAY).is_in(_numbers_of(active, places).implode()))
    return _add_day_columns(_add_place_columns(wanted, places)).drop(_DAY, _CELL)


def _on_one_calendar(values: pl.DataFrame) -> pl.DataFrame:
    """Put rows in order of cell and day, and number the days so that two rows differ by n only n days apart in one cell.

    Then "n days ago" is a comparison with an earlier row instead of a join of the table with itself.
    """
    ordered = in_calendar_order(values).with_columns(pl.col("geohash").rle_id().cast(pl.Int64).alias(_CELL))
    numbered = ordered.with_columns(_number().alias(_DAY), day_slot(pl.col("date")).cast(pl.Int16).alias("day_of_year"))
    repeated = numbered.filter(pl.col(_DAY).diff() == 0)
    if not repeated.is_empty():
        cell, day = repeated.select("geohash", "date").row(0)
        raise ValueError(f"{repeated.height} days have weather twice, first {cell} on {day}: pass one version of each")
    return numbered


def _number() -> pl.Expr:
    """Return the number of a cell's day; one also of a day without weather, as long as its cell has a number."""
    return pl.col(_CELL) * _FAR_APART_DAYS + pl.col("date").to_physical()


def _numbered_cells(numbered: pl.DataFrame) -> pl.DataFrame:
    """Return each `geohash` with its number: what names cells elsewhere is joined to these few rows."""
    return numbered.select("geohash", _CELL).filter(pl.col(_CELL).diff().fill_null(1) != 0)


def _numbers_of(active: pl.DataFrame, places: pl.DataFrame) -> pl.Series:
    """Return the numbers of the active days, of cells that have weather and a place."""
    mine = active.select("geohash", "date").join(places, on="geohash", how="inner", validate="m:1")
    return mine.select(_number().alias(_DAY))[_DAY]


def _join_normals(numbered: pl.DataFrame, normals: pl.DataFrame) -> pl.DataFrame:
    """Add the normals of each row's cell, year and slot: by one number, which costs half of what three columns do."""
    slot = (pl.col(_CELL) * _FAR_APART_DAYS + pl.col("year")) * (SLOTS + 1) + pl.col("day_of_year")
    usual = normals.join(_numbered_cells(numbered), on="geohash", how="inner", validate="m:1")
    table = usual.select(slot.alias(_SLOT), "temp_mean_c", "precip_mean_mm", "temp_p90_c")
    by_slot = numbered.with_columns(pl.col("date").dt.year().alias("year")).with_columns(slot.alias(_SLOT))
    return by_slot.join(table, on=_SLOT, how="left", validate="m:1", maintain_order="left").drop(_SLOT, "year")


def _add_place_columns(wanted: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Add what `places` says of each row's cell, found by the cell's number."""
    row = places[_CELL].search_sorted(wanted[_CELL])
    return wanted.with_columns(places[name].gather(row) for name in places.columns if name not in ("geohash", _CELL))


def _days_ago(value: pl.Expr, days: int) -> pl.Expr:
    """Return the value of exactly `days` days before. The row is that many rows up or fewer: see `_mean_before`."""
    rows_up = [pl.when(_distance(n) == days).then(value.shift(n)) for n in range(1, days + 1)]
    return pl.coalesce(rows_up)


def _mean_before(name: str) -> pl.Expr:
    """Return the mean of the 7 calendar days before, where at least 5 of them have a value.

    Days are unique, so the 7 days before are among the 7 rows before.
    """
    week = [pl.when(_distance(n) <= LOOKBACK_DAYS).then(pl.col(name).shift(n)) for n in range(1, LOOKBACK_DAYS + 1)]
    known = pl.sum_horizontal(value.is_not_null().cast(pl.UInt8) for value in week)
    return pl.when(known >= ROLL_MIN_DAYS).then(pl.sum_horizontal(week) / known)


def _distance(rows: int) -> pl.Expr:
    """Return how many days lie between a row and the one `rows` above it; between two cells, very many."""
    return pl.col(_DAY) - pl.col(_DAY).shift(rows)


def _heatwave(limits: FlagLimits) -> pl.Expr:
    """Mark the third and later days of heat: a day is only ever judged by itself and the two before it.

    A mild yesterday rules a heatwave out, but not on a day whose own maximum nobody knows.
    """
    hot = (pl.col("temp_max_c") > pl.col("temp_p90_c")) & (pl.col("temp_max_c") >= limits.heat_min_c)
    run = pl.all_horizontal(hot, _days_ago(hot, 1), _days_ago(hot, 2))
    return pl.when(pl.col("temp_max_c").is_not_null()).then(run)


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
    )
